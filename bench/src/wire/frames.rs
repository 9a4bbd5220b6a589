//! WebSocket frames as a client sees them: unmasked ones come in, masked ones go out. Source: RFC 6455, section 5.

use crate::base::limits;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes on with a fragmented message.
    Continuation,
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// The end.
    Close,
    /// To be answered with a pong.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// One whole frame at the front of what was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether the message ends with it.
    pub last: bool,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub payload: &'a [u8],
    /// Its bytes on the wire.
    pub length: usize,
}

/// The stream is no longer understood; says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// The frame at the front, if it is whole.
pub fn next(bytes: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Broken("reserved bits are set"));
    }
    if second & 0x80 != 0 {
        return Err(Broken("the server has masked a frame"));
    }
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 => Kind::Text,
        2 => Kind::Binary,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return Err(Broken("unknown opcode")),
    };
    let last = first & 0x80 != 0;
    if first & 0x08 != 0 && (!last || second > 125) {
        return Err(Broken("a control frame is fragmented or too long"));
    }
    let (head, length) = match second {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, u64::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(length) => (10, u64::from_be_bytes(length)),
            None => return Ok(None),
        },
        length => (2, u64::from(length)),
    };
    if length > limits::FRAME_BYTES_MAX {
        return Err(Broken("a frame is too long"));
    }
    let length = head + length as usize;
    Ok(bytes.get(head..length).map(|payload| Frame { last, kind, payload, length }))
}

/// Appends a masked frame.
pub fn write(out: &mut Vec<u8>, kind: Kind, payload: &[u8], mask: [u8; 4]) {
    let code = match kind {
        Kind::Continuation => 0,
        Kind::Text => 1,
        Kind::Binary => 2,
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    };
    out.push(0x80 | code);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::{Frame as Theirs, coding::Data, coding::OpCode};

    fn theirs(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = Theirs::message(vec![b'x'; length], OpCode::Data(Data::Text), true);
        frame.format(&mut bytes).expect("writes to memory");
        bytes
    }

    #[test]
    fn frames_of_all_lengths_are_read_only_when_whole() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let bytes = theirs(length);
            for cut in [0, 1, 2, 3, 5, 9, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert_eq!(next(&bytes[..cut]), Ok(None));
                }
            }
            let frame = next(&bytes).expect("sound").expect("whole");
            assert!(frame.last);
            assert_eq!((frame.kind, frame.payload.len(), frame.length), (Kind::Text, length, bytes.len()));
        }
    }

    #[test]
    fn what_no_server_may_send_is_broken() {
        assert!(next(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
        assert!(next(&[0xc1, 0]).is_err(), "reserved bit");
        assert!(next(&[0x83, 0]).is_err(), "unknown opcode");
        assert!(next(&[0x09, 0]).is_err(), "fragmented ping");
        assert!(next(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]).is_err(), "too long");
    }

    #[test]
    fn what_is_written_tungstenite_reads() {
        use std::io::Cursor;
        use tungstenite::protocol::frame::FrameHeader;
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut out = Vec::new();
            write(&mut out, Kind::Text, &payload, [1, 2, 3, 4]);
            let mut cursor = Cursor::new(&out[..]);
            let (head, size) = FrameHeader::parse(&mut cursor).expect("sound").expect("whole");
            assert_eq!((size as usize, head.mask, head.is_final), (length, Some([1, 2, 3, 4]), true));
            let body = &out[cursor.position() as usize..];
            let open: Vec<u8> = body.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(a, b)| a ^ b).collect();
            assert_eq!(open, payload);
        }
    }
}
