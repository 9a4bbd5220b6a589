//! Envelopes: how a body becomes a WebSocket frame for one session.
//!
//! Lives on: every core.
//! Only the number differs between sessions. `t`, `s` and `op` come before `d`: client libraries scan for them from the
//! front. In a compressed stream the number stands first, so that everything behind it is compressed together and once
//! for all.

use crate::net::compression::Format;
use crate::net::frames::{self, FrameKind};
use crate::session::body::EventBody;
use crate::session::packing::{HEAD_LEN, Packer, StreamPosition};

/// Appends the frame that dispatches `body` as event number `s`, uncompressed. Says where the number stands.
pub fn write_dispatch(out: &mut Vec<u8>, body: &EventBody, s: u64) -> usize {
    let mut head = Head::default();
    head.push(b"{\"t\":\"");
    head.push(body.name.as_str().as_bytes());
    head.push(b"\",\"s\":");
    let before = head.length;
    head.push(itoa::Buffer::new().format(s).as_bytes());
    head.push(b",\"op\":0,\"d\":");
    let head = head.as_slice();
    let (shared, own) = body.json();
    frames::write_head(out, FrameKind::Text, head.len() + shared.len() + own.len() + 1);
    let at = out.len() + before;
    out.extend_from_slice(head);
    out.extend_from_slice(shared);
    out.extend_from_slice(own.as_bytes());
    out.push(b'}');
    at
}

/// The same for a compressed stream.
pub fn write_packed(
    out: &mut Vec<u8>,
    body: &EventBody,
    s: u64,
    place: StreamPosition<'_>,
    packer: &mut Packer,
) -> usize {
    let format = place.format;
    let mut head = Head::default();
    head.push(b"{\"s\":");
    let before = head.length;
    head.push(itoa::Buffer::new().format(s).as_bytes());
    head.push(b",");
    head.push(&[b' '; HEAD_LEN][head.length.min(HEAD_LEN)..]);
    let head = head.as_slice();
    let (shared, own) = packer.pack(body, place, head.len());
    let own = own.unwrap_or_default();
    frames::write_head(out, FrameKind::Binary, format.stored_len(head.len()) + shared.len() + own.len());
    format.store(out, head);
    // A head is stored in one piece, at the end of what storing appends.
    let at = out.len() - head.len() + before;
    out.extend_from_slice(&shared);
    out.extend_from_slice(&own);
    at
}

/// How many digits a number takes.
pub const fn digits(s: u64) -> u32 {
    match s.checked_ilog10() {
        Some(log) => log + 1,
        None => 1,
    }
}

/// Writes another number, of as many digits, over the one that stands at `at`.
pub fn renumber(frames: &mut [u8], at: usize, s: u64) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(s).as_bytes();
    frames[at..at + digits.len()].copy_from_slice(digits);
}

/// Appends a payload that is no event, such as HELLO. `first` begins a compressed stream.
pub fn write_payload(out: &mut Vec<u8>, json: &[u8], format: Option<Format>, first: bool) {
    let Some(format) = format else {
        frames::write_head(out, FrameKind::Text, json.len());
        out.extend_from_slice(json);
        return;
    };
    let header = if first { format.header() } else { &[] };
    let length = header.len() + format.stored_len(json.len()) + format.end().len();
    frames::write_head(out, FrameKind::Binary, length);
    out.extend_from_slice(header);
    format.store(out, json);
    out.extend_from_slice(format.end());
}

/// A head on the stack: the longest event name and the longest number fit.
struct Head {
    bytes: [u8; 96],
    length: usize,
}

impl Default for Head {
    fn default() -> Self {
        Head { bytes: [0; 96], length: 0 }
    }
}

impl Head {
    fn push(&mut self, piece: &[u8]) {
        self.bytes[self.length..self.length + piece.len()].copy_from_slice(piece);
        self.length += piece.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Time;
    use crate::wire::event::EventName;
    use bytes::Bytes;

    #[test]
    fn the_envelope_has_t_s_and_op_before_d() {
        let body = EventBody::new(EventName::MessageCreate, "{\"a\":1,\"b\":2}".into(), Time::default());
        let mut out = Vec::new();
        write_dispatch(&mut out, &body, 42);
        let text = br#"{"t":"MESSAGE_CREATE","s":42,"op":0,"d":{"a":1,"b":2}}"#;
        assert_eq!(out[2..], text[..]);
        assert_eq!(out[..2], [0x81, text.len() as u8]);
    }

    #[test]
    fn the_longest_head_fits() {
        let body = EventBody::new(EventName::GuildMembersChunk, Bytes::from("{}"), Time::default());
        let mut out = Vec::new();
        write_dispatch(&mut out, &body, u64::MAX);
        assert!(serde_json::from_slice::<serde_json::Value>(&out[2..]).is_ok());
    }
}
