//! Packing: compresses bodies, as seldom as possible.
//!
//! Lives on: every core.
//! The payload of an event is everything after its number: `"t":…,"op":0,"d":…}`. It is equal for all sessions, so it
//! is compressed once for each format and kept with the body, in two forms:
//!
//! - *independent*: refers to nothing before it;
//! - *chained*: its dictionary is the payload of the event before it in the journal. Events resemble each other, so
//!   this form is less than half the size. It fits a stream that ends with exactly that payload, because what stands
//!   between the two payloads, the next event's number, always has the same length.
//!
//! After anything else, such as the answer to a heartbeat, a stream gets one independent form, then chained ones again.
//! Read next: `packed` for what a body keeps.

use bytes::Bytes;

use crate::limits;
use crate::net::compression::{Compressor, Format};
use crate::session::body::EventBody;
use crate::session::packed::{ChainedForms, PackedForms, TextId};

/// Bytes before a payload: the number with its JSON, and spaces up to this length.
pub const HEAD_LEN: usize = 16;

/// Compresses bodies. One for a core.
#[derive(Debug, Default)]
pub struct Packer {
    compressor: Compressor,
    /// Text ids given.
    text_ids: u64,
    /// Buffers: the payload being rendered, and its dictionary.
    payload: Vec<u8>,
    dictionary: Vec<u8>,
    /// The last GUILD_CREATE, by format: many arrive together, and most of it is equal for all sessions.
    guild_prefixes: [Option<GuildPrefix>; 2],
    /// How much was compressed, since the caller last took it.
    pub work: PackingWork,
}

/// How much was compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackingWork {
    /// Independent forms.
    pub independent: u64,
    /// Chained forms.
    pub chained: u64,
}

/// The position in a stream at which an event is written.
#[derive(Debug)]
pub struct StreamPosition<'a> {
    /// What the stream is compressed with.
    pub format: Format,
    /// The event before it in the journal, if the event is a journal's.
    pub before: Option<&'a EventBody>,
    /// The id of the payload that the stream ends with, if known. Set to the new one.
    pub last_text: &'a mut Option<TextId>,
}

/// The part of a GUILD_CREATE that all sessions get, compressed.
#[derive(Debug)]
struct GuildPrefix {
    json: Bytes,
    packed: Bytes,
}

impl Packer {
    /// The compressed payload, in up to two pieces: a shared one, and one of this session only. `between` bytes stand
    /// between the end of the stream and the payload.
    pub fn pack(&mut self, body: &EventBody, place: StreamPosition<'_>, between: usize) -> (Bytes, Option<Bytes>) {
        let StreamPosition { format, before, last_text } = place;
        let end = last_text.take();
        if let Some(own) = body.arrival_json() {
            return (self.pack_guild_prefix(body, format), Some(self.pack_own(own, format)));
        }
        let forms = body.packed.0.get_or_init(|| Box::new(PackedForms::new(self.text_id())));
        *last_text = Some(forms.text_id);
        let form = match format {
            Format::Zlib => &forms.zlib,
            Format::Zstd => &forms.zstd,
        };
        if let Some(end) = end
            && between == HEAD_LEN
            && let Some(packed) = self.pack_chained(end, body, before, format, &form.chained)
        {
            return (packed, None);
        }
        let packed = form.independent.get_or_init(|| {
            write_text(&mut self.payload, body);
            self.payload.push(b'}');
            self.work.independent += 1;
            self.compressor.compress(format, &[], &self.payload)
        });
        (packed.clone(), None)
    }

    /// The form chained to the payload `end`, if there is one or can be one.
    fn pack_chained(
        &mut self,
        end: TextId,
        body: &EventBody,
        before: Option<&EventBody>,
        format: Format,
        forms: &ChainedForms,
    ) -> Option<Bytes> {
        let mut forms = forms.borrow_mut();
        if let Some((_, packed)) = forms.iter().find(|(text_id, _)| *text_id == end) {
            return Some(packed.clone());
        }
        let before = before.filter(|before| before.packed.0.get().is_some_and(|forms| forms.text_id == end))?;
        if forms.len() == limits::PASTS_MAX {
            return None;
        }
        write_text(&mut self.payload, body);
        self.payload.push(b'}');
        write_text(&mut self.dictionary, before);
        self.dictionary.push(b'}');
        // JSON has no zeros, so no match can reach into the zeros that stand for the number, which differs by session.
        if self.payload.len().max(self.dictionary.len()) > limits::PAST_BYTES_MAX || self.payload.contains(&0) {
            return None;
        }
        self.dictionary.resize(self.dictionary.len() + HEAD_LEN + format.gap(), 0);
        self.work.chained += 1;
        let packed = self.compressor.compress(format, &self.dictionary, &self.payload);
        forms.push((end, packed.clone()));
        Some(packed)
    }

    fn text_id(&mut self) -> TextId {
        self.text_ids += 1;
        TextId::new(self.text_ids)
    }

    /// The shared part of a GUILD_CREATE.
    fn pack_guild_prefix(&mut self, body: &EventBody, format: Format) -> Bytes {
        let json = body.shared();
        let of_format = match format {
            Format::Zlib => 0,
            Format::Zstd => 1,
        };
        // Pointer equality is safe: the kept prefix keeps the allocation alive.
        let same = |prefix: &&GuildPrefix| prefix.json.as_ptr() == json.as_ptr();
        if let Some(prefix) = self.guild_prefixes[of_format].as_ref().filter(same) {
            return prefix.packed.clone();
        }
        write_text(&mut self.payload, body);
        self.work.independent += 1;
        let packed = self.compressor.compress(format, &[], &self.payload);
        self.guild_prefixes[of_format] = Some(GuildPrefix { json: json.clone(), packed: packed.clone() });
        packed
    }

    /// The session's own part, with the brace that closes the envelope.
    fn pack_own(&mut self, own: String, format: Format) -> Bytes {
        let mut own = own.into_bytes();
        own.push(b'}');
        if own.len() >= limits::COMPRESSED_BYTES_MIN {
            self.work.independent += 1;
            return self.compressor.compress(format, &[], &own);
        }
        let mut packed = Vec::with_capacity(format.stored_len(own.len()) + format.end().len());
        format.store(&mut packed, &own);
        packed.extend_from_slice(format.end());
        packed.into()
    }
}

/// Renders the payload without the session's own part and the last brace.
fn write_text(payload: &mut Vec<u8>, body: &EventBody) {
    payload.clear();
    payload.shrink_to(limits::FLUSH_BYTES_MAX);
    payload.extend_from_slice(b"\"t\":\"");
    payload.extend_from_slice(body.name.as_str().as_bytes());
    payload.extend_from_slice(b"\",\"op\":0,\"d\":");
    payload.extend_from_slice(body.shared());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Time;
    use crate::base::prng::Prng;
    use crate::session::body::SharedBody;
    use crate::session::dispatch;
    use crate::wire::event::EventName;
    use flate2::{Decompress, FlushDecompress};
    use serde_json::{Value, json};
    use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

    const FORMATS: [Format; 2] = [Format::Zlib, Format::Zstd];

    /// A client's end of a stream.
    enum Reader {
        Zlib(Decompress),
        Zstd(DCtx<'static>),
    }

    impl Reader {
        fn of(format: Format) -> Reader {
            match format {
                Format::Zlib => Reader::Zlib(Decompress::new(true)),
                Format::Zstd => Reader::Zstd(DCtx::create()),
            }
        }

        /// Everything that a frame says.
        fn read(&mut self, frame: &[u8]) -> Value {
            let head = match frame[1] {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            assert_eq!(frame[0], 0x82, "a whole binary message");
            let (packed, mut payload) = (&frame[head..], vec![0; 1 << 20]);
            let length = match self {
                Reader::Zlib(inflate) => {
                    assert!(packed.ends_with(&[0, 0, 0xff, 0xff]));
                    let before = inflate.total_out();
                    inflate.decompress(packed, &mut payload, FlushDecompress::Sync).expect("the stream is sound");
                    (inflate.total_out() - before) as usize
                }
                Reader::Zstd(context) => {
                    let (mut input, mut output) = (InBuffer::around(packed), OutBuffer::around(payload.as_mut_slice()));
                    while input.pos < packed.len() {
                        context.decompress_stream(&mut output, &mut input).expect("the stream is sound");
                    }
                    output.pos()
                }
            };
            serde_json::from_slice(&payload[..length]).expect("it is JSON")
        }
    }

    /// A message as guilds publish them: ten people of ten thousand talk in three channels.
    fn message(prng: &mut Prng, number: u64) -> Value {
        let author = prng.below(10) * 977 + number / 40;
        let words =
            ["the", "a", "server", "we", "should", "never", "look", "at", "what", "green", "bottle", "is", "café"];
        let length = 1 + prng.below(20);
        let content: Vec<String> =
            (0..length).map(|_| format!("{}{}", words[prng.below(13) as usize], prng.below(50))).collect();
        json!({
            "id": (1_464_000_000_000_000_000 + number * 1_258_291_200 + prng.below(1 << 22)).to_string(),
            "channel_id": (1_180_000_000_000_000_000 + prng.below(3)).to_string(),
            "author": {
                "id": (1_190_000_000_000_000_000 + author * 86_028_157).to_string(), "username": format!("person{author}"),
                "discriminator": "0", "global_name": null, "avatar": null, "bot": false, "public_flags": 0,
                "banner": null, "accent_color": null, "avatar_decoration_data": null, "flags": 0,
            },
            "content": content.join(" "),
            "timestamp": format!("2026-11-24T00:{:02}:{:02}.{:03}000+00:00", number / 60 % 60, number % 60, prng.below(1_000)),
            "edited_timestamp": null, "tts": false, "mention_everyone": false, "mentions": [], "mention_roles": [],
            "attachments": [], "embeds": [], "components": [], "pinned": false, "type": 0, "flags": 0,
            "nonce": prng.next_u64().to_string(), "guild_id": "1180000000000000000", "channel_type": 0,
            "member": {
                "nick": null, "avatar": null, "banner": null, "roles": [(1_180_000_000_000_000_100 + author % 7).to_string()],
                "joined_at": format!("2026-10-{:02}T07:08:09.{:03}000+00:00", 1 + author % 28, author % 1_000),
                "premium_since": null, "deaf": false, "mute": false, "flags": 0, "pending": false,
                "communication_disabled_until": null, "avatar_decoration_data": null,
            },
        })
    }

    fn body(value: &Value) -> SharedBody {
        EventBody::new(EventName::MessageCreate, value.to_string().into(), Time::default())
    }

    /// Sessions of one journal that miss events, are answered in between, get events of their own, in any order.
    #[test]
    fn every_stream_reads_right_whatever_comes_in_between() {
        for format in FORMATS {
            let mut prng = Prng::new(11);
            let mut packer = Packer::default();
            let mut sessions: Vec<(Reader, u64, Option<TextId>)> =
                (0..6).map(|at| (Reader::of(format), at, None)).collect();
            for (reader, ..) in &mut sessions {
                let mut frame = Vec::new();
                dispatch::write_payload(&mut frame, b"{\"op\":10}", Some(format), true);
                assert_eq!(reader.read(&frame)["op"], 10);
            }
            let mut journal: Vec<(Value, SharedBody)> = Vec::new();
            for number in 0..400 {
                let mut value = message(&mut prng, number);
                if number % 37 == 0 {
                    // Too long to be a dictionary, or to have one.
                    value["content"] = "much to say ".repeat(3_000).into();
                }
                journal.push((value.clone(), body(&value)));
                for (reader, s, last_text) in &mut sessions {
                    let mut frame = Vec::new();
                    match prng.below(12) {
                        0 => {
                            dispatch::write_payload(&mut frame, b"{\"op\":11}", Some(format), false);
                            *last_text = None;
                            assert_eq!(reader.read(&frame)["op"], 11);
                            frame.clear();
                        }
                        1 => continue,
                        2 => *s = prng.next_u64() >> (8 + prng.below(56)),
                        3 => {
                            let own = body(&value);
                            let place = StreamPosition { format, before: None, last_text };
                            dispatch::write_packed(&mut frame, &own, *s, place, &mut packer);
                            assert_eq!(reader.read(&frame)["d"], value);
                            frame.clear();
                        }
                        _ => {}
                    }
                    *s += 1;
                    let before = journal.len().checked_sub(2).map(|before| &*journal[before].1);
                    let place = StreamPosition { format, before, last_text };
                    dispatch::write_packed(&mut frame, &journal[number as usize].1, *s, place, &mut packer);
                    let expected = json!({ "t": "MESSAGE_CREATE", "s": *s, "op": 0, "d": value });
                    assert_eq!(reader.read(&frame), expected, "{format:?} {number}");
                }
            }
            assert!(packer.work.chained > 300 && packer.work.independent > 300, "{:?}", packer.work);
        }
    }

    #[test]
    fn a_message_behind_another_takes_a_third_of_its_size() {
        for format in FORMATS {
            let mut prng = Prng::new(3);
            let mut packer = Packer::default();
            let bodies: Vec<SharedBody> = (0..500).map(|number| body(&message(&mut prng, number))).collect();
            let (mut plain, mut independent, mut chained) = (Vec::new(), Vec::new(), Vec::new());
            let mut end = None;
            for (number, body) in bodies.iter().enumerate() {
                let s = number as u64 + 1;
                let before = number.checked_sub(1).map(|before| &*bodies[before]);
                dispatch::write_dispatch(&mut plain, body, s);
                let place = StreamPosition { format, before, last_text: &mut None };
                dispatch::write_packed(&mut independent, body, s, place, &mut packer);
                dispatch::write_packed(
                    &mut chained,
                    body,
                    s,
                    StreamPosition { format, before, last_text: &mut end },
                    &mut packer,
                );
            }
            let each = [plain.len(), independent.len(), chained.len()].map(|length| length / bodies.len());
            println!("{format:?}: plain {}, independent {}, chained {} bytes each", each[0], each[1], each[2]);
            assert!(independent.len() * 10 < plain.len() * 7, "{each:?}");
            assert!(chained.len() * 3 < plain.len(), "{each:?}");
            assert_eq!(
                packer.work,
                PackingWork { independent: 500, chained: 499 },
                "each is compressed once in each form"
            );
        }
    }

    #[test]
    fn forms_of_one_body_are_bounded() {
        let mut prng = Prng::new(4);
        let mut packer = Packer::default();
        let format = Format::Zlib;
        let last = body(&message(&mut prng, 0));
        for number in 0..2 * limits::PASTS_MAX as u64 {
            let before = body(&message(&mut prng, number));
            let (mut frames, mut last_text) = (Vec::new(), None);
            dispatch::write_packed(
                &mut frames,
                &before,
                1,
                StreamPosition { format, before: None, last_text: &mut last_text },
                &mut packer,
            );
            let place = StreamPosition { format, before: Some(&before), last_text: &mut last_text };
            dispatch::write_packed(&mut frames, &last, 2, place, &mut packer);
        }
        assert_eq!(packer.work.chained, limits::PASTS_MAX as u64);
    }
}
