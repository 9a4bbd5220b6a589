//! Packing: bodies compressed, as seldom as possible.
//!
//! Lives on: every core.
//! What is compressed of an event is everything behind its number: `"t":…,"op":0,"d":…}`. It is the same for all who get it, so
//! it is compressed once for each format and kept with the body.

use std::cell::OnceCell;

use bytes::Bytes;

use crate::limits;
use crate::net::compression::{Compressor, Format};
use crate::session::body::Body;

/// What was compressed of one body.
#[derive(Debug, Default)]
pub struct Packed(OnceCell<Box<Forms>>);

#[derive(Debug, Default)]
struct Forms {
    zlib: OnceCell<Bytes>,
    zstd: OnceCell<Bytes>,
}

impl Packed {
    fn form(&self, format: Format) -> &OnceCell<Bytes> {
        let forms = self.0.get_or_init(Box::default);
        match format {
            Format::Zlib => &forms.zlib,
            Format::Zstd => &forms.zstd,
        }
    }
}

/// Compresses bodies. One for a core.
#[derive(Debug, Default)]
pub struct Packer {
    compressor: Compressor,
    /// A text being put together.
    text: Vec<u8>,
    /// The last guild that was seen to be entered: many come at once, and most of GUILD_CREATE is the same for all.
    entered: Option<Entered>,
}

/// What GUILD_CREATE has in common for all, compressed.
#[derive(Debug)]
struct Entered {
    json: Bytes,
    format: Format,
    packed: Bytes,
}

impl Packer {
    /// Everything of a dispatch that follows its number, compressed, in up to two pieces: one that many get, and one of the
    /// session's own.
    pub fn pack(&mut self, body: &Body, format: Format) -> (Bytes, Option<Bytes>) {
        let Some(own) = body.arrival_json() else {
            let form = body.packed.form(format);
            let packed = form.get_or_init(|| {
                write_text(&mut self.text, body);
                self.text.push(b'}');
                self.compressor.compress(format, &self.text)
            });
            return (packed.clone(), None);
        };
        (self.enter(body, format), Some(self.pack_own(own, format)))
    }

    /// The common part of a GUILD_CREATE.
    fn enter(&mut self, body: &Body, format: Format) -> Bytes {
        let (json, _) = body.json();
        // The same bytes in memory, which `entered` keeps from being given to another guild.
        let same = |entered: &&Entered| (entered.json.as_ptr(), entered.format) == (json.as_ptr(), format);
        if let Some(entered) = self.entered.as_ref().filter(same) {
            return entered.packed.clone();
        }
        write_text(&mut self.text, body);
        let packed = self.compressor.compress(format, &self.text);
        self.entered = Some(Entered { json: json.clone(), format, packed: packed.clone() });
        packed
    }

    /// The session's own part, with the brace that closes the envelope.
    fn pack_own(&mut self, own: String, format: Format) -> Bytes {
        let mut own = own.into_bytes();
        own.push(b'}');
        if own.len() >= limits::COMPRESSED_BYTES_MIN {
            return self.compressor.compress(format, &own);
        }
        let mut packed = Vec::with_capacity(format.stored_len(own.len()) + format.end().len());
        format.store(&mut packed, &own);
        packed.extend_from_slice(format.end());
        packed.into()
    }
}

/// Puts `text` to what follows the number, without the own part and the last brace.
fn write_text(text: &mut Vec<u8>, body: &Body) {
    text.clear();
    text.shrink_to(limits::FLUSH_BYTES_MAX);
    text.extend_from_slice(b"\"t\":\"");
    text.extend_from_slice(body.name.as_str().as_bytes());
    text.extend_from_slice(b"\",\"op\":0,\"d\":");
    text.extend_from_slice(body.json().0);
}
