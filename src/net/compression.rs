//! Stream compression without a context per connection: what differs per session travels in blocks that are not
//! compressed, a text that many get is compressed once and spliced into every stream.
//!
//! Lives on: every core. Both formats allow it: a stream is a sequence of blocks, and a block need not refer to what
//! stands before it, or only to what is known to stand there. Each client reads all of it with its one context. How is
//! in `deflate` and `zstd`.
//! Source: Discord docs, Gateway/Transport Compression.

use bytes::Bytes;

use crate::net::deflate::{self, Deflater};
use crate::net::zstd::{self, Encoder};

/// What a compressed connection has agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `compress=zlib-stream`.
    Zlib,
    /// `compress=zstd-stream`.
    Zstd,
}

impl Format {
    /// What a stream begins with.
    pub const fn header(self) -> &'static [u8] {
        match self {
            Format::Zlib => &deflate::HEADER,
            Format::Zstd => &zstd::HEADER,
        }
    }

    /// Appends `bytes` uncompressed.
    pub fn store(self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self {
            Format::Zlib => deflate::store(out, bytes),
            Format::Zstd => zstd::store(out, bytes),
        }
    }

    /// How many bytes [`Format::store`] appends for `length` bytes.
    pub const fn stored_len(self, length: usize) -> usize {
        match self {
            Format::Zlib => deflate::stored_len(length),
            Format::Zstd => zstd::stored_len(length),
        }
    }

    /// How many bytes [`Compressor::compress`] puts before a text, as a reader sees them decompressed.
    pub const fn gap(self) -> usize {
        match self {
            Format::Zlib => 0,
            Format::Zstd => zstd::RESET_SPACES,
        }
    }

    /// What ends a message that does not end with a compressed text.
    pub const fn end(self) -> &'static [u8] {
        match self {
            Format::Zlib => &deflate::FLUSH_MARK,
            Format::Zstd => &[],
        }
    }
}

/// Compresses texts. One for a core: some hundred KiB that all its sessions share.
#[derive(Debug, Default)]
pub struct Compressor {
    deflater: Deflater,
    encoder: Encoder,
}

impl Compressor {
    /// `text` as whole blocks that refer to nothing outside but `dictionary`, which must be what the stream ends with
    /// where they are put, [`Format::gap`] included; empty, they may be put anywhere. A client that has read them has
    /// the whole text. With zstd spaces come before it, so the text must be JSON that goes on where there may be any.
    pub fn compress(&mut self, format: Format, dictionary: &[u8], text: &[u8]) -> Bytes {
        match format {
            Format::Zlib => self.deflater.compress(dictionary, text),
            Format::Zstd => self.encoder.compress(dictionary, text),
        }
    }
}
