//! One line of a trace, read strictly: what is missing or out of place is said in words.

use std::borrow::Cow;

use serde::Deserialize;

use crate::model::trace::{Action, Guild, Line, Status};

/// What a line turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// Something that is known.
    Line(Line),
    /// An action of a later version, by its name.
    Unknown(String),
}

/// All fields that any action but `guild` has. One flat struct is several times as fast as an enum that serde tells
/// apart.
#[derive(Deserialize)]
struct Fields<'a> {
    at: Option<u64>,
    #[serde(rename = "do", borrow, default)]
    deed: Cow<'a, str>,
    guild: Option<u32>,
    channel: Option<u32>,
    who: Option<u32>,
    of: Option<u32>,
    size: Option<u32>,
    emoji: Option<u32>,
    limit: Option<u32>,
    first: Option<u32>,
    last: Option<u32>,
    status: Option<Status>,
    share: Option<f64>,
    over: Option<u64>,
    lines: Option<u64>,
}

/// Only what it is called: the fields of later versions may have other types.
#[derive(Deserialize)]
struct Name<'a> {
    #[serde(rename = "do", borrow, default)]
    deed: Cow<'a, str>,
}

const KNOWN: &[&str] = &[
    "guild",
    "message",
    "edit",
    "delete",
    "react",
    "unreact",
    "typing",
    "history",
    "presence",
    "join",
    "leave",
    "channel_create",
    "channel_delete",
    "voice",
    "scroll",
    "connect",
    "close",
    "cut",
    "storm",
    "lost",
];

/// Reads one line, without its end.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let fields: Fields = match serde_json::from_slice(bytes) {
        Ok(fields) => fields,
        Err(error) => {
            return match serde_json::from_slice::<Name>(bytes) {
                Ok(name) if !name.deed.is_empty() && !KNOWN.contains(&&*name.deed) => {
                    Ok(Parsed::Unknown(name.deed.into_owned()))
                }
                _ => Err(error.to_string()),
            };
        }
    };
    let deed = &*fields.deed;
    if deed.is_empty() {
        return Err("there is no `do`".into());
    }
    macro_rules! need {
        ($name:ident) => {
            fields.$name.ok_or_else(|| format!("`{deed}` needs `{}`", stringify!($name)))?
        };
    }
    let at = need!(at);
    let action = match deed {
        "guild" => Action::Guild(Box::new(serde_json::from_slice::<Guild>(bytes).map_err(|error| error.to_string())?)),
        "message" => {
            Action::Message { guild: need!(guild), channel: need!(channel), who: need!(who), size: need!(size) }
        }
        "edit" => Action::Edit { of: need!(of), size: need!(size) },
        "delete" => Action::Delete { of: need!(of) },
        "react" => Action::React { of: need!(of), guild: need!(guild), who: need!(who), emoji: need!(emoji) },
        "unreact" => Action::Unreact { of: need!(of), guild: need!(guild), who: need!(who), emoji: need!(emoji) },
        "typing" => Action::Typing { guild: need!(guild), channel: need!(channel), who: need!(who) },
        "history" => {
            Action::History { guild: need!(guild), channel: need!(channel), who: need!(who), limit: need!(limit) }
        }
        "presence" => Action::Presence { guild: need!(guild), who: need!(who), status: need!(status) },
        "join" => Action::Join { guild: need!(guild), who: need!(who) },
        "leave" => Action::Leave { guild: need!(guild), who: need!(who) },
        "channel_create" => Action::ChannelCreate { guild: need!(guild) },
        "channel_delete" => Action::ChannelDelete { guild: need!(guild), channel: need!(channel) },
        "voice" => Action::Voice { guild: need!(guild), who: need!(who), channel: fields.channel },
        "scroll" => Action::Scroll {
            guild: need!(guild),
            channel: need!(channel),
            who: need!(who),
            first: need!(first),
            last: need!(last),
        },
        "connect" => Action::Connect { guild: need!(guild), who: need!(who) },
        "close" => Action::Close { guild: need!(guild), who: need!(who) },
        "cut" => Action::Cut { guild: need!(guild), who: need!(who) },
        "storm" => {
            let share = need!(share);
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("`share` is {share}: a storm cuts from 0 to 1 of the sessions"));
            }
            Action::Storm { guild: need!(guild), share, over: need!(over) }
        }
        "lost" => Action::Lost { lines: need!(lines) },
        unknown => return Ok(Parsed::Unknown(unknown.to_owned())),
    };
    Ok(Parsed::Line(Line { at, action }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let text = |line: &str| parse(line.as_bytes()).expect_err("it is wrong");
        assert_eq!(text(r#"{"at":1,"do":"message","guild":0,"channel":0,"who":0}"#), "`message` needs `size`");
        assert_eq!(text(r#"{"do":"delete","of":0}"#), "`delete` needs `at`");
        assert_eq!(text(r#"{"at":1}"#), "there is no `do`");
        assert!(text(r#"{"at":1,"do":"delete","of":-3}"#).contains("-3"));
        assert!(text(r#"{"at":1,"do":"delete","of":3"#).contains("EOF"));
        assert!(text(r#"{"at":1,"do":"presence","guild":0,"who":0,"status":"away"}"#).contains("away"));
        assert!(text(r#"{"at":1,"do":"storm","guild":0,"share":1.5,"over":0}"#).contains("1.5"));
    }

    #[test]
    fn unknown_actions_are_told_whatever_their_fields_are() {
        for line in [r#"{"at":1,"do":"poll","of":3}"#, r#"{"at":1,"do":"poll","of":"three"}"#] {
            assert_eq!(parse(line.as_bytes()), Ok(Parsed::Unknown("poll".into())));
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let line = Line { at: 1, action: Action::Delete { of: 2 } };
        assert_eq!(parse(br#"{"at":1,"do":"delete","why":"spam","of":2}"#), Ok(Parsed::Line(line)));
    }
}
