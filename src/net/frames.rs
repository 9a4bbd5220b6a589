//! WebSocket frames: heads of outgoing ones, and messages out of incoming bytes.
//!
//! Lives on: every core. tungstenite does the parsing and formatting. Between messages a connection keeps nothing of
//! it: whole frames are found first, and a context of tungstenite's lives only while a fragmented message is open or
//! for the moment of decoding.

use std::io::{self, Cursor, Read, Write};
use std::ops::ControlFlow;

use bytes::Bytes;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// What an outgoing frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// The last frame.
    Close,
    /// An answer to a ping, or, unasked for, nothing but bytes.
    Pong,
}

/// Bytes of the longest head that the server writes. Source: RFC 6455, 5.2.
const HEAD_MAX: usize = 10;

/// Appends the head of a whole, unmasked frame with `length` bytes to come, for which it makes room.
pub fn write_head(out: &mut Vec<u8>, kind: FrameKind, length: usize) {
    out.reserve(HEAD_MAX + length);
    let opcode = match kind {
        FrameKind::Text => OpCode::Data(Data::Text),
        FrameKind::Binary => OpCode::Data(Data::Binary),
        FrameKind::Close => OpCode::Control(Control::Close),
        FrameKind::Pong => OpCode::Control(Control::Pong),
    };
    let header = FrameHeader { is_final: true, opcode, mask: None, ..FrameHeader::default() };
    header.format(length as u64, out).expect("writing to memory does not fail");
}

/// Appends a close frame. `reason` is cut to what fits.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    write_head(out, FrameKind::Close, 2 + end);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..end]);
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole message, text or binary; both carry JSON.
    Payload(Bytes),
    /// The peer closes, with its code.
    Close(Option<u16>),
    /// A frame that completes nothing: a ping, a pong, a part of a message. It is reported because it is work too.
    Aside,
}

/// Why the bytes are no WebSocket messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A frame or message over the limit.
    TooLong,
    /// Text that is not UTF-8.
    NotUtf8,
    /// Anything else that the protocol forbids.
    Protocol,
}

/// The incoming half of one connection. Empty between messages: one word and no allocation.
#[derive(Debug, Default)]
pub struct MessageReader(Option<Box<Unfinished>>);

/// What is not whole yet.
#[derive(Debug, Default)]
struct Unfinished {
    /// An incomplete frame.
    partial: Vec<u8>,
    /// Lives while a fragmented message is open.
    open: Option<WebSocketContext>,
}

impl MessageReader {
    /// Takes bytes in and hands over what they complete, in order. Pongs that are due are appended to `replies`. When
    /// `each` breaks off, what lies behind is kept as it came, for [`MessageReader::unread`].
    ///
    /// `limit` bounds a message; not much more than that is ever kept of what was not broken off.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        limit: usize,
        replies: &mut Vec<u8>,
        mut each: impl FnMut(Incoming) -> ControlFlow<()>,
    ) -> Result<(), Broken> {
        let Unfinished { partial: kept, mut open } = self.0.take().map(|unfinished| *unfinished).unwrap_or_default();
        let joined;
        let mut rest: &[u8] = if kept.is_empty() {
            bytes
        } else {
            joined = [kept.as_slice(), bytes].concat();
            &joined
        };
        loop {
            let mut cursor = Cursor::new(rest);
            let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Broken::Protocol)? else { break };
            if length > limit as u64 {
                return Err(Broken::TooLong);
            }
            // A server must refuse unmasked frames (RFC 6455, 5.1); tungstenite does below.
            let whole = cursor.position() as usize + length as usize;
            if rest.len() < whole {
                break;
            }
            let (frame, behind) = rest.split_at(whole);
            rest = behind;
            if decode(&mut open, frame, &header, length as usize, limit, replies, &mut each)?.is_break() {
                break;
            }
        }
        if !rest.is_empty() || open.is_some() {
            self.0 = Some(Box::new(Unfinished { partial: rest.to_vec(), open }));
        }
        Ok(())
    }

    /// The bytes behind the last whole message, to go with a socket that moves. Parts of a message that were taken in
    /// before are not among them: behind a whole message there are none.
    pub fn unread(self) -> Vec<u8> {
        self.0.map(|unfinished| unfinished.partial).unwrap_or_default()
    }
}

/// One whole frame.
fn decode(
    open: &mut Option<WebSocketContext>,
    frame: &[u8],
    header: &FrameHeader,
    length: usize,
    limit: usize,
    replies: &mut Vec<u8>,
    each: &mut impl FnMut(Incoming) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Broken> {
    let amid_fragments = open.is_some();
    let mut context = open.take().unwrap_or_else(|| {
        // Once it has the head, tungstenite makes room for the payload behind what is there, were it the payload
        // itself.
        let config = WebSocketConfig::default()
            .read_buffer_size(frame.len() + length)
            .write_buffer_size(0)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        WebSocketContext::new(Role::Server, Some(config))
    });
    let mut pipe = Pipe { unread: frame, written: replies };
    loop {
        match context.read(&mut pipe) {
            // With its last frame a message is over, and nothing else is in the pipe.
            Ok(Message::Text(text)) => return Ok(each(Incoming::Payload(text.into()))),
            Ok(Message::Binary(bytes)) => return Ok(each(Incoming::Payload(bytes))),
            Ok(Message::Close(close)) => {
                let flow = each(Incoming::Close(close.map(|close| close.code.into())));
                // The answer is only queued so far; without it clients see 1006, and discordeno then comes back.
                return match context.flush(&mut pipe) {
                    Ok(()) | Err(Error::ConnectionClosed) => Ok(flow),
                    Err(_) => Err(Broken::Protocol),
                };
            }
            // Counted below.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => return Err(Broken::TooLong),
            Err(Error::Utf8(_)) => return Err(Broken::NotUtf8),
            Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::ReceivedAfterClosing)) => {
                return Ok(ControlFlow::Continue(()));
            }
            Err(_) => return Err(Broken::Protocol),
        }
    }
    // A control frame amid fragments leaves the message open; the last fragment has closed it above.
    let control = matches!(header.opcode, OpCode::Control(_));
    if if control { amid_fragments } else { !header.is_final } {
        *open = Some(context);
    }
    Ok(if control || !header.is_final { each(Incoming::Aside) } else { ControlFlow::Continue(()) })
}

/// One frame to read, and a place for what tungstenite answers by itself.
struct Pipe<'a> {
    unread: &'a [u8],
    written: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.unread.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame: masked with a fixed key.
    fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first_byte];
        match payload.len() {
            short @ 0..=125 => out.push(0x80 | short as u8),
            long => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(long as u16).to_be_bytes());
            }
        }
        let mask = [7, 1, 200, 33];
        out.extend_from_slice(&mask);
        out.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        out
    }

    fn feed(reader: &mut MessageReader, bytes: &[u8]) -> (Result<(), Broken>, Vec<Incoming>, Vec<u8>) {
        let (mut got, mut replies) = (Vec::new(), Vec::new());
        let result = reader.feed(bytes, 1_000, &mut replies, |incoming| {
            got.push(incoming);
            ControlFlow::Continue(())
        });
        (result, got, replies)
    }

    fn payload(text: &str) -> Incoming {
        Incoming::Payload(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn message_reader_joins_bytes_cut_anywhere() {
        let mut stream = frame(0x81, b"hello");
        stream.extend(frame(0x82, &[b'x'; 300]));
        stream.extend(frame(0x01, b"frag"));
        stream.extend(frame(0x89, b"ping amid fragments"));
        stream.extend(frame(0x80, b"mented"));
        stream.extend(frame(0x81, b"last"));
        let expected = [
            payload("hello"),
            payload(&"x".repeat(300)),
            Incoming::Aside,
            Incoming::Aside,
            payload("fragmented"),
            payload("last"),
        ];
        for step in 1..stream.len() {
            let mut reader = MessageReader::default();
            let (mut got, mut pongs) = (Vec::new(), Vec::new());
            for piece in stream.chunks(step) {
                let (result, incoming, replies) = feed(&mut reader, piece);
                assert_eq!(result, Ok(()), "cut every {step} bytes");
                got.extend(incoming);
                pongs.extend(replies);
            }
            assert_eq!(got, expected, "cut every {step} bytes");
            assert_eq!(pongs, [&[0x8a, 19][..], b"ping amid fragments"].concat());
            assert!(reader.0.is_none(), "nothing is kept between messages");
        }
    }

    #[test]
    fn unread_bytes_behind_a_message_are_kept_unchanged() {
        let behind = [frame(0x01, b"frag"), frame(0x88, &1000u16.to_be_bytes()), vec![0x81, 0xff]].concat();
        let stream = [frame(0x81, b"first"), frame(0x81, b"last"), behind.clone()].concat();
        for first in 0..stream.len() {
            let (mut reader, mut got, mut replies) = (MessageReader::default(), Vec::new(), Vec::new());
            let mut left = Vec::new();
            for piece in [&stream[..first], &stream[first..]] {
                if got.len() == 2 {
                    left.extend_from_slice(piece);
                    continue;
                }
                let result = reader.feed(piece, 1_000, &mut replies, |incoming| {
                    got.push(incoming);
                    if got.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                assert_eq!(result, Ok(()));
            }
            assert_eq!(got, [payload("first"), payload("last")], "cut at {first}");
            assert_eq!([reader.unread(), left].concat(), behind, "cut at {first}");
            assert!(replies.is_empty(), "the close is not answered here");
        }
    }

    #[test]
    fn message_reader_names_each_violation() {
        assert_eq!(feed(&mut MessageReader::default(), &frame(0x81, &[b'x'; 1_001])).0, Err(Broken::TooLong));
        assert_eq!(feed(&mut MessageReader::default(), &frame(0x81, &[0xff, 0xfe])).0, Err(Broken::NotUtf8));
        assert_eq!(feed(&mut MessageReader::default(), &frame(0xc1, b"rsv1")).0, Err(Broken::Protocol));
        assert_eq!(feed(&mut MessageReader::default(), &[0x81, 2, b'h', b'i']).0, Err(Broken::Protocol), "unmasked");
        let many: Vec<u8> =
            std::iter::once(frame(0x01, &[b'x'; 600])).chain([frame(0x80, &[b'x'; 600])]).flatten().collect();
        assert_eq!(feed(&mut MessageReader::default(), &many).0, Err(Broken::TooLong), "fragments add up");
    }

    #[test]
    fn a_close_carries_its_code() {
        let (_, got, replies) = feed(&mut MessageReader::default(), &frame(0x88, &4000u16.to_be_bytes()));
        assert_eq!(got, [Incoming::Close(Some(4000))]);
        assert_eq!(replies, [0x88, 2, 0x0f, 0xa0], "it is answered with the same");
        assert_eq!(feed(&mut MessageReader::default(), &frame(0x88, b"")).1, [Incoming::Close(None)]);
        let mut out = Vec::new();
        write_close(&mut out, 4004, &"é".repeat(100));
        assert_eq!(out[1] as usize, out.len() - 2);
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
