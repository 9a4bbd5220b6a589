//! What comes in on a WebSocket, put together from however it was cut: whole messages, pings and the end.

use crate::base::limits;
use crate::wire::frames;
use crate::wire::frames::{Broken, Kind};

/// The incoming half of one connection. Between messages it holds no buffer.
#[derive(Debug, Default)]
pub struct Messages {
    /// The front of a frame that is not yet whole.
    partial: Vec<u8>,
    /// The front of a message whose other fragments are awaited.
    fragments: Option<Vec<u8>>,
}

/// Something that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message, and the bytes of its last frame on the wire.
    Message(&'a [u8], usize),
    /// To be answered with the same.
    Ping(&'a [u8]),
    /// The server closes, for this reason.
    Close(Option<u16>),
}

impl Messages {
    /// Takes what was read, and tells what is whole by it.
    pub fn read(&mut self, bytes: &[u8], mut tell: impl FnMut(Incoming<'_>)) -> Result<(), Broken> {
        if self.partial.is_empty() {
            let used = self.understand(bytes, &mut tell)?;
            if used < bytes.len() {
                self.partial = bytes[used..].to_vec();
            }
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let used = self.understand(&partial, &mut tell)?;
            if used < partial.len() {
                partial.drain(..used);
                self.partial = partial;
            }
        }
        Ok(())
    }

    /// Takes all that is whole at the front; says how much that was.
    fn understand(&mut self, bytes: &[u8], tell: &mut impl FnMut(Incoming<'_>)) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some(frame) = frames::next(&bytes[used..])? {
            used += frame.length;
            match (frame.kind, frame.last, &mut self.fragments) {
                (Kind::Ping, ..) => tell(Incoming::Ping(frame.payload)),
                (Kind::Pong, ..) => {}
                (Kind::Close, ..) => {
                    tell(Incoming::Close(frame.payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]))));
                }
                (Kind::Continuation, _, None) => return Err(Broken("a continuation of nothing")),
                (Kind::Continuation, last, Some(message)) => {
                    message.extend_from_slice(frame.payload);
                    if message.len() as u64 > limits::FRAME_BYTES_MAX {
                        return Err(Broken("a message is too long"));
                    }
                    if last {
                        tell(Incoming::Message(message, frame.length));
                        self.fragments = None;
                    }
                }
                (Kind::Text | Kind::Binary, _, Some(_)) => return Err(Broken("a message within a fragmented message")),
                (Kind::Text | Kind::Binary, true, None) => tell(Incoming::Message(frame.payload, frame.length)),
                (Kind::Text | Kind::Binary, false, None) => self.fragments = Some(frame.payload.to_vec()),
            }
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_however_the_bytes_are_split() {
        // A text in two fragments with a ping between them, a binary message, the end.
        let bytes = [
            0x01, 2, b'a', b'b', 0x89, 1, b'?', 0x80, 1, b'c', // "ab" + "c"
            0x82, 2, 0xff, 0xfe, // two bytes
            0x88, 2, 0x03, 0xe8, // 1000
        ];
        for size in [1, 2, 3, 7, bytes.len()] {
            let mut messages = Messages::default();
            let mut came = Vec::new();
            for piece in bytes.chunks(size) {
                let result = messages.read(piece, |one| {
                    came.push(match one {
                        Incoming::Message(bytes, wire) => format!("{bytes:?} {wire}"),
                        Incoming::Ping(bytes) => format!("ping {bytes:?}"),
                        Incoming::Close(code) => format!("close {code:?}"),
                    });
                });
                assert_eq!(result, Ok(()));
            }
            assert_eq!(came, ["ping [63]", "[97, 98, 99] 3", "[255, 254] 4", "close Some(1000)"]);
            assert!(messages.partial.capacity() == 0 && messages.fragments.is_none(), "nothing is kept");
        }
    }

    #[test]
    fn fragments_that_fit_to_nothing_are_broken() {
        for bytes in [&[0x80, 1, b'a'][..], &[0x01, 1, b'a', 0x81, 1, b'b']] {
            assert!(Messages::default().read(bytes, |_| ()).is_err());
        }
    }
}
