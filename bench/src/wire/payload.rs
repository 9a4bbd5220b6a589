//! Reads a payload's `t`, `s` and `op` from its front, as client libraries do, without parsing `d`.
//!
//! Payloads in another shape are parsed whole: correct, but slower.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::script::Named;

/// A gateway payload whose `d` is still text.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What happened, for a dispatch.
    pub name: &'a str,
    /// The dispatch's number.
    pub s: Option<u64>,
    /// The opcode.
    pub op: u64,
    /// The data as JSON; followed by what follows it in the payload.
    pub d: &'a [u8],
}

/// Reads a payload's envelope; `None` if it is no gateway payload.
pub fn envelope(payload: &[u8]) -> Option<Envelope<'_>> {
    from_front(payload).or_else(|| whole(payload))
}

/// What an event names, as far as it tells events apart.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The thing itself.
    pub id: Option<u64>,
    /// The guild that it is in.
    pub guild: Option<u64>,
    /// The channel that it is in.
    pub channel: Option<u64>,
    /// A message that it is about.
    pub message: Option<u64>,
    /// A person whom it is about.
    pub user: Option<u64>,
    /// Whether a guild is only out of order for a while.
    pub unavailable: bool,
}

impl Names {
    /// What a reaction is known by.
    pub fn reaction(&self) -> Option<u64> {
        Some(Named::pair(self.message?, self.user?))
    }

    /// What typing is known by.
    pub fn typing(&self) -> Option<u64> {
        Some(Named::pair(self.channel?, self.user?))
    }
}

/// Reads the names in an envelope's `d`.
pub fn names(d: &[u8]) -> Names {
    #[derive(Deserialize)]
    struct User<'a> {
        #[serde(borrow)]
        id: &'a str,
    }
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow)]
        id: Option<&'a str>,
        #[serde(borrow)]
        guild_id: Option<&'a str>,
        #[serde(borrow)]
        channel_id: Option<&'a str>,
        #[serde(borrow)]
        message_id: Option<&'a str>,
        #[serde(borrow)]
        user_id: Option<&'a str>,
        #[serde(borrow)]
        user: Option<User<'a>>,
        unavailable: Option<bool>,
    }
    let Some(form) = front::<Form<'_>>(d) else { return Names::default() };
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    Names {
        id: number(form.id),
        guild: number(form.guild_id),
        channel: number(form.channel_id),
        message: number(form.message_id),
        user: number(form.user_id.or(form.user.map(|user| user.id))),
        unavailable: form.unavailable.unwrap_or(false),
    }
}

/// Reads an envelope's `d`, or `None` if it has another shape. What follows it in the payload is left alone.
pub fn front<'a, T: Deserialize<'a>>(d: &'a [u8]) -> Option<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(d)).ok()
}

/// The id of a guild that has come. It may be megabytes long, and usually begins with its id.
pub fn guild_id(d: &[u8]) -> Option<u64> {
    let front = d.strip_prefix(b"{\"id\":\"").and_then(number).filter(|(_, rest)| rest.first() == Some(&b'"'));
    front.map(|(id, _)| id).or_else(|| names(d).id)
}

/// The latest message that an update of what is unread names.
pub fn last_message(d: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"last_message_id\":\"";
    memmem::find_iter(d, KEY).filter_map(|at| number(&d[at + KEY.len()..])).map(|(id, _)| id).max()
}

/// Whose message it is.
pub fn author(d: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Author<'a> {
        id: &'a str,
    }
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow)]
        author: Author<'a>,
    }
    front::<Form<'_>>(d)?.author.id.parse().ok()
}

/// All ranges that stand in an event.
pub fn ranges(d: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    const KEY: &[u8] = b"\"range\":[";
    let read = |text: &[u8]| {
        let (first, rest) = number(text)?;
        let (last, _) = number(rest.strip_prefix(b",")?)?;
        Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?))
    };
    memmem::find_iter(d, KEY).filter_map(move |at| read(&d[at + KEY.len()..]))
}

fn from_front(payload: &[u8]) -> Option<Envelope<'_>> {
    let mut name = "";
    let mut s = None;
    let mut op = None;
    let mut rest = payload.strip_prefix(b"{\"")?;
    loop {
        rest = match rest {
            [b't', b'"', b':', b'"', text @ ..] => {
                let end = memchr::memchr(b'"', text)?;
                name = std::str::from_utf8(&text[..end]).ok()?;
                &text[end + 1..]
            }
            [b't' | b's', b'"', b':', b'n', b'u', b'l', b'l', rest @ ..] => rest,
            [b's', b'"', b':', digits @ ..] => {
                let (number, rest) = number(digits)?;
                s = Some(number);
                rest
            }
            [b'o', b'p', b'"', b':', digits @ ..] => {
                let (number, rest) = number(digits)?;
                op = Some(number);
                rest
            }
            // Everything that stands behind `d` is unknown, so nothing may be left to be known.
            [b'd', b'"', b':', d @ ..] => {
                let op = op?;
                return (op != 0 || s.is_some() && !name.is_empty()).then_some(Envelope { name, s, op, d });
            }
            _ => return None,
        };
        rest = rest.strip_prefix(b",\"")?;
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut number = 0u64;
    for digit in &bytes[..digits] {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (digits > 0).then_some((number, &bytes[digits..]))
}

fn whole(payload: &[u8]) -> Option<Envelope<'_>> {
    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow, default)]
        t: Option<&'a str>,
        #[serde(default)]
        s: Option<u64>,
        op: u64,
        #[serde(borrow, default)]
        d: Option<&'a RawValue>,
    }
    let form: Form<'_> = serde_json::from_slice(payload).ok()?;
    let d = form.d.map_or(&b"null"[..], |d| d.get().as_bytes());
    Some(Envelope { name: form.t.unwrap_or(""), s: form.s, op: form.op, d })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatches_are_read_from_the_front() {
        let payload = br#"{"t":"MESSAGE_CREATE","s":42,"op":0,"d":{"op":9}}"#;
        let expected = Envelope { name: "MESSAGE_CREATE", s: Some(42), op: 0, d: b"{\"op\":9}}" };
        assert_eq!(from_front(payload), Some(expected));
        let hello = br#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}"#;
        assert_eq!(from_front(hello).map(|envelope| envelope.op), Some(10));
    }

    #[test]
    fn names_are_found_in_events_of_all_shapes() {
        let all =
            names(br#"{"user":{"username":"a","id":"7"},"guild_id":"2","channel_id":"5","message_id":"3","id":"4","x":[1]},"s":1}"#);
        let (guild, channel, message, user) = (Some(2), Some(5), Some(3), Some(7));
        let expected = Names { id: Some(4), guild, channel, message, user, unavailable: false };
        assert_eq!(all, expected);
        assert_eq!(names(br#"{"user_id":"8","unavailable":true}}"#).user, Some(8));
        assert_eq!(names(br#"{"id":5}"#), Names::default());
        for d in [&br#"{"id":"55","name":"x"}}"#[..], br#"{"name":"x","roles":[{"id":"1"}],"id":"55"}}"#] {
            assert_eq!(guild_id(d), Some(55));
        }
        assert_eq!(guild_id(b"null"), None);
    }

    #[test]
    fn other_shapes_are_parsed_whole() {
        for payload in [
            &br#"{ "op": 0, "d": {"a":[1]}, "s": 42, "t": "X" }"#[..],
            br#"{"d":{"a":[1]},"t":"X","s":42,"op":0}"#,
            br#"{"op":0,"d":{"a":[1]},"s":42,"t":"X"}"#,
            br#"{"new":1,"t":"X","s":42,"op":0,"d":{"a":[1]}}"#,
        ] {
            assert_eq!(from_front(payload), None);
            let expected = Envelope { name: "X", s: Some(42), op: 0, d: b"{\"a\":[1]}" };
            assert_eq!(envelope(payload), Some(expected));
        }
        assert_eq!(envelope(br#"{"op":11}"#).map(|envelope| envelope.op), Some(11));
        assert_eq!(envelope(b"what?"), None);
        assert_eq!(envelope(br#"{"t":"X","s":99999999999999999999999,"op":0,"d":1}"#), None);
    }
}
