//! What a client does with the bytes it gets: WebSocket frames, decompressed if that was agreed, to payloads.
//!
//! Written from RFC 6455 and Discord's documentation of `zlib-stream` and `zstd-stream`, not with the server's own
//! code.

use flate2::{Decompress, FlushDecompress};
use guildhall::net::compression::Format;
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

/// Something whole that the server said.
#[derive(Debug)]
pub enum Said {
    /// A JSON payload.
    Payload(String),
    /// A close frame.
    Close(u16),
}

/// The incoming half of a client's connection.
#[derive(Debug)]
pub struct Stream {
    unread: Vec<u8>,
    decoder: Decoder,
}

/// A connection's one context.
enum Decoder {
    None,
    Zlib(Decompress),
    Zstd(DCtx<'static>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Decoder::None => "None",
            Decoder::Zlib(_) => "Zlib",
            Decoder::Zstd(_) => "Zstd",
        })
    }
}

impl Stream {
    /// Of a new connection.
    pub fn new(compression: Option<Format>) -> Stream {
        let decoder = match compression {
            None => Decoder::None,
            Some(Format::Zlib) => Decoder::Zlib(Decompress::new(true)),
            Some(Format::Zstd) => Decoder::Zstd(DCtx::create()),
        };
        Stream { unread: Vec::new(), decoder }
    }

    /// Takes bytes in and gives what they complete. Panics at what no server may send.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.unread.extend_from_slice(bytes);
        let mut said = Vec::new();
        let mut at = 0;
        while let Some((head, length)) = self.frame_at(at) {
            let first = self.unread[at];
            let payload = &self.unread[at + head..at + head + length];
            assert_eq!(first & 0x70, 0, "judge wire: reserved bits are set");
            assert_ne!(first & 0x80, 0, "judge wire: the server never fragments");
            match (first & 0x0f, &mut self.decoder) {
                (1, Decoder::None) => {
                    let text = std::str::from_utf8(payload).expect("judge wire: text is UTF-8");
                    said.push(Said::Payload(text.to_owned()));
                }
                (2, Decoder::Zlib(inflater)) => said.push(Said::Payload(inflate(inflater, payload))),
                (2, Decoder::Zstd(context)) => said.push(Said::Payload(unpack(context, payload))),
                (8, _) => said.push(Said::Close(u16::from_be_bytes([payload[0], payload[1]]))),
                (9 | 10, _) => {}
                (opcode, decoder) => panic!("judge wire: a frame with opcode {opcode} for {decoder:?}"),
            }
            at += head + length;
        }
        self.unread.drain(..at);
        said
    }

    /// The lengths of head and payload of the frame at `at`, if it is whole.
    fn frame_at(&self, at: usize) -> Option<(usize, usize)> {
        let bytes = self.unread.get(at..)?;
        let second = *bytes.get(1)?;
        assert_eq!(second & 0x80, 0, "judge wire: a server's frames are not masked");
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        (bytes.len() >= head + length).then_some((head, length))
    }
}

/// Each frame completes one payload and ends with the mark of a flush.
fn inflate(inflater: &mut Decompress, payload: &[u8]) -> String {
    assert!(payload.ends_with(&[0, 0, 0xff, 0xff]), "judge wire: a compressed payload ends with a flush");
    let mut text = Vec::with_capacity(payload.len() * 4 + 256);
    let start = inflater.total_in();
    loop {
        let done = (inflater.total_in() - start) as usize;
        inflater
            .decompress_vec(&payload[done..], &mut text, FlushDecompress::Sync)
            .expect("judge wire: the stream inflates");
        if (inflater.total_in() - start) as usize == payload.len() && text.len() < text.capacity() {
            break;
        }
        text.reserve(text.len() + 256);
    }
    String::from_utf8(text).expect("judge wire: text is UTF-8")
}

/// Each frame completes one payload, and everything in it can be read at once.
fn unpack(context: &mut DCtx<'_>, payload: &[u8]) -> String {
    let (mut text, mut room) = (Vec::new(), [0; 4_096]);
    let mut input = InBuffer::around(payload);
    loop {
        let mut output = OutBuffer::around(&mut room[..]);
        let left = context.decompress_stream(&mut output, &mut input);
        assert_ne!(left.expect("judge wire: the stream can be read"), 0, "judge wire: the stream goes on");
        text.extend_from_slice(output.as_slice());
        if input.pos == payload.len() && output.pos() < output.capacity() {
            return String::from_utf8(text).expect("judge wire: text is UTF-8");
        }
    }
}

/// A client's frame around a payload: masked, as RFC 6455 wants.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    let mask = [0x5a, 3, 0xc4, 17];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
    frame
}

/// What [`masked`] frames say, for the log.
pub fn unmasked(mut frames: &[u8]) -> String {
    let mut texts = Vec::new();
    while frames.len() >= 6 {
        let (head, length) = match frames[1] & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes([frames[2], frames[3]]))),
            short => (2, usize::from(short)),
        };
        let mask = &frames[head..head + 4];
        let payload = &frames[head + 4..head + 4 + length];
        let text: Vec<u8> = payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
        texts.push(String::from_utf8_lossy(&text).into_owned());
        frames = &frames[head + 4 + length..];
    }
    texts.join(" ")
}
