//! Packing: bodies compressed, as seldom as possible.
//!
//! Lives on: every core.
//! What is compressed of an event is everything behind its number: `"t":…,"op":0,"d":…}`. It is the same for all who get it, so
//! it is compressed once for each format and kept with the body.
//! Events resemble each other, so a second form is compressed behind the event before it in the journal, and is less than half
//! the size. It suits a stream that ends with just that event: what stands between the two texts, the next event's number,
//! always has the same length. After anything else, such as the answer to a heartbeat, a stream gets the form that suits all,
//! once, and then goes on with the others.

use std::cell::{OnceCell, RefCell};
use std::num::NonZeroU64;
use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::limits;
use crate::net::compression::{Compressor, Format};
use crate::session::body::Body;

/// Bytes of what stands before a text: the number with what belongs to it, and spaces up to here.
pub const HEAD_LEN: usize = 16;

/// Names a text that a stream ends with. No other text of its core ever has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(NonZeroU64);

/// What was compressed of one text, for all bodies that have it.
#[derive(Debug, Default, Clone)]
pub struct Packed(Rc<OnceCell<Box<Forms>>>);

#[derive(Debug)]
struct Forms {
    mark: Mark,
    zlib: Form,
    zstd: Form,
}

/// One format's.
#[derive(Debug, Default)]
struct Form {
    /// Refers to nothing before it.
    alone: OnceCell<Bytes>,
    /// Refers to the text of that mark, right before it.
    behind: RefCell<SmallVec<[(Mark, Bytes); 1]>>,
}

/// Compresses bodies. One for a core.
#[derive(Debug, Default)]
pub struct Packer {
    compressor: Compressor,
    /// Marks given.
    marks: u64,
    /// A text being put together, and the one before it.
    text: Vec<u8>,
    past: Vec<u8>,
    /// The last guilds that were seen to be entered, one for each format: many come at once, and most of GUILD_CREATE is the same for
    /// all.
    entered: [Option<Entered>; 2],
    /// What it has done.
    pub work: Work,
}

/// How much was compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Texts by themselves.
    pub alone: u64,
    /// Texts behind others.
    pub behind: u64,
}

/// Where in a stream an event is put.
#[derive(Debug)]
pub struct Place<'a> {
    /// What the stream is compressed with.
    pub format: Format,
    /// The event before it in the journal, if it is one of a journal.
    pub before: Option<&'a Body>,
    /// What the stream ends with, if that is an event and known; set to what it then ends with.
    pub tail: &'a mut Option<Mark>,
}

/// What GUILD_CREATE has in common for all, compressed.
#[derive(Debug)]
struct Entered {
    json: Bytes,
    packed: Bytes,
}

impl Packer {
    /// Everything of a dispatch that follows its number, compressed, in up to two pieces: one that many get, and one of the
    /// session's own. `between` bytes stand between the stream's end and it.
    pub fn pack(&mut self, body: &Body, place: Place<'_>, between: usize) -> (Bytes, Option<Bytes>) {
        let Place { format, before, tail } = place;
        let end = tail.take();
        if let Some(own) = body.arrival_json() {
            return (self.enter(body, format), Some(self.pack_own(own, format)));
        }
        let forms = body.packed.0.get_or_init(|| Box::new(Forms::new(self.mark())));
        *tail = Some(forms.mark);
        let form = match format {
            Format::Zlib => &forms.zlib,
            Format::Zstd => &forms.zstd,
        };
        if let Some(end) = end
            && between == HEAD_LEN
            && let Some(packed) = self.pack_behind(end, body, before, format, &form.behind)
        {
            return (packed, None);
        }
        let packed = form.alone.get_or_init(|| {
            write_text(&mut self.text, body);
            self.text.push(b'}');
            self.work.alone += 1;
            self.compressor.compress(format, &[], &self.text)
        });
        (packed.clone(), None)
    }

    /// The form behind the text of that mark, if there is one or can be one.
    fn pack_behind(
        &mut self,
        end: Mark,
        body: &Body,
        before: Option<&Body>,
        format: Format,
        forms: &RefCell<SmallVec<[(Mark, Bytes); 1]>>,
    ) -> Option<Bytes> {
        let mut forms = forms.borrow_mut();
        if let Some((_, packed)) = forms.iter().find(|(mark, _)| *mark == end) {
            return Some(packed.clone());
        }
        let before = before.filter(|before| before.packed.0.get().is_some_and(|forms| forms.mark == end))?;
        if forms.len() == limits::PASTS_MAX {
            return None;
        }
        write_text(&mut self.text, body);
        self.text.push(b'}');
        write_text(&mut self.past, before);
        self.past.push(b'}');
        // JSON has no zeros. So nothing in the text is taken for what stands in for the number, which differs.
        if self.text.len().max(self.past.len()) > limits::PAST_BYTES_MAX || self.text.contains(&0) {
            return None;
        }
        self.past.resize(self.past.len() + HEAD_LEN + format.gap(), 0);
        self.work.behind += 1;
        let packed = self.compressor.compress(format, &self.past, &self.text);
        forms.push((end, packed.clone()));
        Some(packed)
    }

    fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark(NonZeroU64::new(self.marks).expect("it counts from one"))
    }

    /// The common part of a GUILD_CREATE.
    fn enter(&mut self, body: &Body, format: Format) -> Bytes {
        let json = body.shared();
        let of_format = match format {
            Format::Zlib => 0,
            Format::Zstd => 1,
        };
        // The same bytes in memory, which `entered` keeps from being given to another guild.
        let same = |entered: &&Entered| entered.json.as_ptr() == json.as_ptr();
        if let Some(entered) = self.entered[of_format].as_ref().filter(same) {
            return entered.packed.clone();
        }
        write_text(&mut self.text, body);
        self.work.alone += 1;
        let packed = self.compressor.compress(format, &[], &self.text);
        self.entered[of_format] = Some(Entered { json: json.clone(), packed: packed.clone() });
        packed
    }

    /// The session's own part, with the brace that closes the envelope.
    fn pack_own(&mut self, own: String, format: Format) -> Bytes {
        let mut own = own.into_bytes();
        own.push(b'}');
        if own.len() >= limits::COMPRESSED_BYTES_MIN {
            self.work.alone += 1;
            return self.compressor.compress(format, &[], &own);
        }
        let mut packed = Vec::with_capacity(format.stored_len(own.len()) + format.end().len());
        format.store(&mut packed, &own);
        packed.extend_from_slice(format.end());
        packed.into()
    }
}

impl Forms {
    fn new(mark: Mark) -> Forms {
        Forms { mark, zlib: Form::default(), zstd: Form::default() }
    }
}

/// Puts `text` to what follows the number, without the own part and the last brace.
fn write_text(text: &mut Vec<u8>, body: &Body) {
    text.clear();
    text.shrink_to(limits::FLUSH_BYTES_MAX);
    text.extend_from_slice(b"\"t\":\"");
    text.extend_from_slice(body.name.as_str().as_bytes());
    text.extend_from_slice(b"\",\"op\":0,\"d\":");
    text.extend_from_slice(body.shared());
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
            let (packed, mut text) = (&frame[head..], vec![0; 1 << 20]);
            let length = match self {
                Reader::Zlib(inflate) => {
                    assert!(packed.ends_with(&[0, 0, 0xff, 0xff]));
                    let before = inflate.total_out();
                    inflate.decompress(packed, &mut text, FlushDecompress::Sync).expect("the stream is sound");
                    (inflate.total_out() - before) as usize
                }
                Reader::Zstd(context) => {
                    let (mut input, mut output) = (InBuffer::around(packed), OutBuffer::around(text.as_mut_slice()));
                    while input.pos < packed.len() {
                        context.decompress_stream(&mut output, &mut input).expect("the stream is sound");
                    }
                    output.pos()
                }
            };
            serde_json::from_slice(&text[..length]).expect("it is JSON")
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
        Body::new(EventName::MessageCreate, value.to_string().into(), Time::default())
    }

    /// Sessions of one journal that miss events, are answered in between, get events of their own, in any order.
    #[test]
    fn every_stream_reads_right_whatever_comes_in_between() {
        for format in FORMATS {
            let mut prng = Prng::new(11);
            let mut packer = Packer::default();
            let mut sessions: Vec<(Reader, u64, Option<Mark>)> =
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
                    // Too long to be a past, or to have one.
                    value["content"] = "much to say ".repeat(3_000).into();
                }
                journal.push((value.clone(), body(&value)));
                for (reader, s, tail) in &mut sessions {
                    let mut frame = Vec::new();
                    match prng.below(12) {
                        0 => {
                            dispatch::write_payload(&mut frame, b"{\"op\":11}", Some(format), false);
                            *tail = None;
                            assert_eq!(reader.read(&frame)["op"], 11);
                            frame.clear();
                        }
                        1 => continue,
                        2 => *s = prng.next_u64() >> (8 + prng.below(56)),
                        3 => {
                            let own = body(&value);
                            let place = Place { format, before: None, tail };
                            dispatch::write_packed(&mut frame, &own, *s, place, &mut packer);
                            assert_eq!(reader.read(&frame)["d"], value);
                            frame.clear();
                        }
                        _ => {}
                    }
                    *s += 1;
                    let before = journal.len().checked_sub(2).map(|before| &*journal[before].1);
                    let place = Place { format, before, tail };
                    dispatch::write_packed(&mut frame, &journal[number as usize].1, *s, place, &mut packer);
                    let expected = json!({ "t": "MESSAGE_CREATE", "s": *s, "op": 0, "d": value });
                    assert_eq!(reader.read(&frame), expected, "{format:?} {number}");
                }
            }
            assert!(packer.work.behind > 300 && packer.work.alone > 300, "{:?}", packer.work);
        }
    }

    #[test]
    fn a_message_behind_another_takes_a_third_of_its_size() {
        for format in FORMATS {
            let mut prng = Prng::new(3);
            let mut packer = Packer::default();
            let bodies: Vec<SharedBody> = (0..500).map(|number| body(&message(&mut prng, number))).collect();
            let (mut plain, mut alone, mut behind) = (Vec::new(), Vec::new(), Vec::new());
            let mut end = None;
            for (number, body) in bodies.iter().enumerate() {
                let s = number as u64 + 1;
                let before = number.checked_sub(1).map(|before| &*bodies[before]);
                dispatch::write_dispatch(&mut plain, body, s);
                let place = Place { format, before, tail: &mut None };
                dispatch::write_packed(&mut alone, body, s, place, &mut packer);
                dispatch::write_packed(&mut behind, body, s, Place { format, before, tail: &mut end }, &mut packer);
            }
            let each = [plain.len(), alone.len(), behind.len()].map(|length| length / bodies.len());
            println!("{format:?}: plain {}, alone {}, behind {} bytes each", each[0], each[1], each[2]);
            assert!(alone.len() * 10 < plain.len() * 7, "{each:?}");
            assert!(behind.len() * 3 < plain.len(), "{each:?}");
            assert_eq!(packer.work, Work { alone: 500, behind: 499 }, "each is compressed once in each form");
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
            let (mut frames, mut tail) = (Vec::new(), None);
            dispatch::write_packed(
                &mut frames,
                &before,
                1,
                Place { format, before: None, tail: &mut tail },
                &mut packer,
            );
            let place = Place { format, before: Some(&before), tail: &mut tail };
            dispatch::write_packed(&mut frames, &last, 2, place, &mut packer);
        }
        assert_eq!(packer.work.behind, limits::PASTS_MAX as u64);
    }
}
