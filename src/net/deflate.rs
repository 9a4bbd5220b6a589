//! The zlib format of stream compression: one endless deflate stream, made of blocks that were compressed elsewhere.
//!
//! Lives on: every core. What differs per session travels in *stored* blocks. A text is compressed once, ended by a
//! full flush, and spliced into every session's stream. Every message ends with `00 00 ff ff`, which clients wait for.
//! Source: RFC 1950, RFC 1951 (3.2.4 stored blocks); Discord docs, Gateway/Transport Compression.

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// The first two bytes of a zlib stream: deflate, 32 KiB window, default level.
pub const HEADER: [u8; 2] = [0x78, 0x9c];

/// An empty stored block: what a flush leaves behind, and what ends a message that does not end with a compressed text.
pub const FLUSH_MARK: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// The most that one stored block holds.
const STORED_MAX: usize = 0xffff;

/// Compresses texts, each by itself.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Deflater(Compress::new(Compression::new(6), false))
    }
}

impl Deflater {
    /// `text` as whole deflate blocks that refer to nothing outside but `dictionary`, ended by a flush mark.
    pub fn compress(&mut self, dictionary: &[u8], text: &[u8]) -> Bytes {
        self.0.reset();
        if !dictionary.is_empty() {
            self.0.set_dictionary(dictionary).expect("a stream that has not begun takes one");
        }
        let start = self.0.total_in();
        let mut out: Vec<u8> = Vec::with_capacity(text.len() / 2 + 64);
        loop {
            out.reserve(256);
            let done = (self.0.total_in() - start) as usize;
            let room = out.capacity() - out.len();
            let before = self.0.total_out();
            self.0.compress_vec(&text[done..], &mut out, FlushCompress::Full).expect("the stream is never finished");
            let wrote = (self.0.total_out() - before) as usize;
            // A flush is complete when it leaves room in the buffer.
            if (self.0.total_in() - start) as usize == text.len() && wrote < room {
                break;
            }
        }
        out.shrink_to_fit();
        Bytes::from(out)
    }
}

/// Appends `bytes` as stored blocks.
pub fn store(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(STORED_MAX) {
        let length = piece.len() as u16;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(piece);
    }
}

/// How many bytes [`store`] appends for `length` bytes.
pub const fn stored_len(length: usize) -> usize {
    length + length.div_ceil(STORED_MAX) * 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress, Status};

    #[test]
    fn one_context_inflates_spliced_streams_of_two_sessions() {
        let mut deflater = Deflater::default();
        let bodies: Vec<Vec<u8>> = (0..50u32)
            .map(|n| format!("{{\"content\":\"{}\",\"n\":{n}}}", "word ".repeat(n as usize * 97)).into_bytes())
            .collect();
        let shared: Vec<Bytes> = bodies.iter().map(|body| deflater.compress(&[], body)).collect();
        for session in 0..2 {
            let mut inflater = Decompress::new(true);
            for (index, (body, deflated)) in bodies.iter().zip(&shared).enumerate() {
                if (index + session) % 3 == 0 {
                    continue; // this session does not get the event
                }
                let head = format!("{{\"s\":{index},\"d\":");
                let mut wire = if inflater.total_in() == 0 { HEADER.to_vec() } else { Vec::new() };
                store(&mut wire, head.as_bytes());
                wire.extend_from_slice(deflated);
                assert!(wire.ends_with(&[0, 0, 0xff, 0xff]));
                let mut text = Vec::with_capacity(1 << 20);
                let status = inflater.decompress_vec(&wire, &mut text, FlushDecompress::Sync).unwrap();
                assert_eq!(status, Status::Ok);
                assert_eq!(text, [head.as_bytes(), body].concat());
            }
        }
    }

    #[test]
    fn long_stored_texts_are_split() {
        let text = vec![b'a'; 200_000];
        let mut wire = HEADER.to_vec();
        store(&mut wire, &text);
        assert_eq!(wire.len(), 2 + stored_len(text.len()));
        wire.extend_from_slice(&FLUSH_MARK);
        let mut out = Vec::with_capacity(300_000);
        Decompress::new(true).decompress_vec(&wire, &mut out, FlushDecompress::Sync).unwrap();
        assert_eq!(out, text);
    }
}
