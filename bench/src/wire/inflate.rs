//! A connection's zlib stream: one inflater for all its messages. Source: Discord docs, Gateway/Transport Compression.

use flate2::{Decompress, FlushDecompress, Status};

use crate::base::limits;
use crate::wire::frames::Broken;

/// What ends each message of a zlib stream.
const END: [u8; 4] = [0, 0, 0xff, 0xff];

/// Room that the inflater is given at least.
const ROOM: usize = 16 * 1024;

/// One connection's inflater.
#[derive(Debug)]
pub struct Inflate {
    stream: Decompress,
    /// Inflated, but the message is not yet whole.
    held: Vec<u8>,
}

impl Default for Inflate {
    fn default() -> Self {
        Inflate { stream: Decompress::new(true), held: Vec::new() }
    }
}

impl Inflate {
    /// Takes one WebSocket message; says whether `out` now holds a whole payload.
    pub fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, Broken> {
        out.clear();
        out.append(&mut self.held);
        self.held = Vec::new();
        let whole = bytes.ends_with(&END);
        loop {
            out.reserve(ROOM);
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress_vec(bytes, out, FlushDecompress::Sync)
                .map_err(|_| Broken("the zlib stream is broken"))?;
            bytes = &bytes[(self.stream.total_in() - read) as usize..];
            if status == Status::StreamEnd || out.len() as u64 > limits::FRAME_BYTES_MAX {
                return Err(Broken("the zlib stream ended or is too long"));
            }
            // Room that was left means that there was nothing more to be said.
            let stuck = (self.stream.total_in(), self.stream.total_out()) == (read, written);
            if stuck || bytes.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        if !bytes.is_empty() {
            return Err(Broken("the zlib stream does not go on"));
        }
        if !whole {
            self.held.extend_from_slice(out);
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn deflated(stream: &mut Compress, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * payload.len() + 1_024);
        stream.compress_vec(payload, &mut out, FlushCompress::Sync).expect("sound");
        assert!(out.ends_with(&END));
        out
    }

    #[test]
    fn messages_come_out_one_by_one_even_when_split() {
        let mut server = Compress::new(Compression::fast(), true);
        let mut client = Inflate::default();
        let mut out = Vec::new();
        let large: Vec<u8> =
            (0..200_000u32).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()).collect();
        for payload in [&b"{\"op\":10}"[..], &vec![b'a'; ROOM], &large, b"end"] {
            let bytes = deflated(&mut server, payload);
            let (front, back) = bytes.split_at(bytes.len() / 2);
            assert_eq!(client.take(front, &mut out), Ok(false));
            assert_eq!(client.take(back, &mut out), Ok(true));
            assert!(out == payload);
        }
        assert!(client.take(b"nonsense", &mut out).is_err());
    }
}
