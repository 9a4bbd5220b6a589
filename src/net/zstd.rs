//! The zstd format of stream compression: one endless frame, made of blocks that were compressed elsewhere.
//!
//! Lives on: every core. What differs per session travels in *raw* blocks. A text is compressed as a frame of its own,
//! of which only the blocks are used. Such blocks refer to nothing before them, but for the text that the encoder was
//! given as the dictionary, and one thing: a block may use the offsets of the last matches, and a fresh encoder takes
//! for granted that they are 1, 4 and 8. So a small constant block stands before them that makes them so.
//! Source: RFC 8878 (3.1.1.2 blocks, 3.1.1.5 repeat offsets).

use bytes::Bytes;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use crate::limits;

/// Logarithm of the window. Clients set twice as much aside, so it is no larger than it has to be.
const WINDOW_LOG: u32 = 16;

/// The most that one block holds: the window.
const BLOCK_MAX: usize = 1 << WINDOW_LOG;

/// zstd's own default; each text is compressed once for all sessions.
const LEVEL: i32 = 3;

/// A frame's header: no size, no checksum, no dictionary, the window.
pub const HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, ((WINDOW_LOG - 10) << 3) as u8];

/// A block that sets the repeat offsets to 1, 4, 8 and is 33 spaces of JSON: three sequences, each of eight literals
/// and a match of three, with the offsets 8, 4 and 1.
#[rustfmt::skip]
const RESET: [u8; 12] = [
    0x4c, 0, 0, // a compressed block of nine bytes
    0xc1, b' ', // 24 literals, all the same
    // Three sequences; all lengths of literals have code 8, of matches code 0; predefined codes of offsets.
    3, 0x44, 8, 0,
    // Read from the end: a mark, state 5 (code 3), 3 more bits, state 14 (code 2), 2 more bits, state 14, 2 more bits.
    0b1011_1000, 0b1101_1101, 0b0100_1010,
];

/// How many spaces [`RESET`] is.
pub const RESET_SPACES: usize = 33;

const _: () = assert!(
    2 * limits::PAST_BYTES_MAX + 1_024 < BLOCK_MAX,
    "what a text refers to is within the window that clients keep"
);

/// Compresses texts, each by itself.
pub struct Encoder {
    context: CCtx<'static>,
    frame: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Default for Encoder {
    fn default() -> Self {
        let mut context = CCtx::create();
        for parameter in [
            CParameter::CompressionLevel(LEVEL),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
        ] {
            context.set_parameter(parameter).expect("zstd takes these");
        }
        Encoder { context, frame: Vec::new() }
    }
}

impl Encoder {
    /// `text` as whole blocks that refer to nothing outside but `dictionary`, behind the spaces that make them so.
    pub fn compress(&mut self, dictionary: &[u8], text: &[u8]) -> Bytes {
        self.frame.clear();
        self.frame.reserve(compress_bound(text.len()));
        let length = if dictionary.is_empty() {
            self.context.compress2(&mut self.frame, text)
        } else {
            self.context.compress_using_dict(&mut self.frame, text, dictionary, LEVEL)
        };
        length.expect("there is room for the worst");
        let out = blocks(&mut self.frame);
        if self.frame.capacity() > 2 * BLOCK_MAX {
            self.frame = Vec::new();
        }
        out
    }
}

/// The blocks of a frame, none of them marked as the last, behind [`RESET`].
fn blocks(frame: &mut [u8]) -> Bytes {
    let mut at = header_len(frame);
    let mut out = Vec::with_capacity(RESET.len() + frame.len() - at);
    out.extend_from_slice(&RESET);
    loop {
        let header = u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], 0]);
        let (last, kind, size) = (header & 1, header >> 1 & 3, header >> 3);
        // One byte stands for a block in which all are the same.
        let length = 3 + if kind == 1 { 1 } else { size as usize };
        frame[at] &= !1;
        out.extend_from_slice(&frame[at..at + length]);
        at += length;
        if last == 1 {
            return Bytes::from(out);
        }
    }
}

/// Length of a frame's header. Source: RFC 8878, 3.1.1.1.
fn header_len(frame: &[u8]) -> usize {
    let descriptor = frame[4];
    let whole = descriptor & 0x20 != 0;
    let size = match descriptor >> 6 {
        0 => usize::from(whole),
        log => 1 << log,
    };
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    5 + usize::from(!whole) + dictionary + size
}

/// Appends `bytes` as raw blocks.
pub fn store(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(BLOCK_MAX) {
        let header = (piece.len() as u32) << 3;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(piece);
    }
}

/// How many bytes [`store`] appends for `length` bytes.
pub const fn stored_len(length: usize) -> usize {
    length + length.div_ceil(BLOCK_MAX) * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

    /// Reads one message as clients do.
    fn read(context: &mut DCtx<'_>, message: &[u8]) -> Vec<u8> {
        let (mut text, mut room) = (Vec::new(), vec![0; 1_000]);
        let mut input = InBuffer::around(message);
        loop {
            let mut output = OutBuffer::around(room.as_mut_slice());
            context.decompress_stream(&mut output, &mut input).expect("the stream is sound");
            text.extend_from_slice(output.as_slice());
            if input.pos == message.len() && output.pos() < output.capacity() {
                return text;
            }
        }
    }

    /// A text with repetitions near and far, so that repeat offsets are used.
    fn text(prng: &mut Prng, length: usize) -> Vec<u8> {
        let words: Vec<String> = (0..40).map(|_| format!("\"{:x}\":{},", prng.below(1 << 20), prng.below(9))).collect();
        let mut text = Vec::new();
        while text.len() < length {
            let word = &words[prng.below(40) as usize];
            for _ in 0..1 + prng.below(3) {
                text.extend_from_slice(word.as_bytes());
            }
        }
        text
    }

    #[test]
    fn one_context_reads_spliced_streams() {
        let mut prng = Prng::new(5);
        let mut encoder = Encoder::default();
        let texts: Vec<Vec<u8>> = (0..300).map(|n| text(&mut prng, 1 + n * n * 4)).collect();
        let shared: Vec<Bytes> = texts.iter().map(|text| encoder.compress(&[], text)).collect();
        for session in 0..3 {
            let mut context = DCtx::create();
            let mut wire = HEADER.to_vec();
            for (index, (text, blocks)) in texts.iter().zip(&shared).enumerate() {
                if (index + session) % 4 == 0 {
                    continue; // this session does not get it
                }
                let head = format!("{{\"s\":{index},");
                store(&mut wire, head.as_bytes());
                wire.extend_from_slice(blocks);
                let read = read(&mut context, &wire);
                assert!(
                    read == [head.as_bytes(), &[b' '; RESET_SPACES], text].concat(),
                    "text {index} of session {session}"
                );
                wire.clear();
            }
        }
    }

    /// The trap that the constant block is for. An encoder that tries hard uses all three offsets from the start; the
    /// fast one seldom does, but no document rules it out.
    #[test]
    fn blocks_do_not_depend_on_what_was_repeated_before_them() {
        let mut prng = Prng::new(9);
        let mut noise = |length: usize| -> Vec<u8> { (0..length).map(|_| 35 + prng.below(56) as u8).collect() };
        let hard = |text: &[u8]| {
            let mut frame = Vec::with_capacity(compress_bound(text.len()));
            let mut context = CCtx::create();
            context.set_parameter(CParameter::CompressionLevel(19)).expect("zstd takes it");
            context.set_parameter(CParameter::WindowLog(WINDOW_LOG)).expect("zstd takes it");
            context.compress2(&mut frame, text).expect("there is room for the worst");
            blocks(&mut frame)
        };
        let mut context = DCtx::create();
        read(&mut context, &HEADER);
        for offset in [1, 4, 8] {
            // Noise, its last bytes over and over, and noise again.
            let front = noise(40);
            let text = [&front[..], &front[40 - offset..].repeat(40 / offset), &noise(40)].concat();
            // Leaves other offsets behind.
            let other =
                (5..60).flat_map(|length| [noise(length), noise(3), noise(length)]).flatten().collect::<Vec<u8>>();
            let other = [&other[..], &other[..200], &noise(9), &other[50..90], &noise(9), &other[7..70]].concat();
            for text in [&other, &text, &other, &text] {
                assert!(read(&mut context, &hard(text)).ends_with(text), "offset {offset}");
            }
        }
    }

    #[test]
    fn long_raw_texts_are_split() {
        let text = vec![b'a'; 200_000];
        let mut wire = HEADER.to_vec();
        store(&mut wire, &text);
        assert_eq!(wire.len(), HEADER.len() + stored_len(text.len()));
        assert!(read(&mut DCtx::create(), &wire) == text);
    }
}
