//! A trace's guilds on a real server: their ids, and the tokens of the people.
//!
//! Guildhall's own come from `admin import` ([`crate::runs::server_process`]); for another server the file is written
//! by hand.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::model::tokens::Tokens;
use crate::model::trace::Trace;

/// The fixture of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// By the trace's number of the guild.
    pub guilds: Vec<FixtureGuild>,
    /// Who makes and deletes channels: the `Authorization` header's value.
    pub owner: String,
    /// By session of the pool: the `Authorization` header's value.
    #[serde(default, with = "list", skip_serializing_if = "is_empty")]
    pub tokens: Arc<Tokens>,
}

/// A guild of a fixture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixtureGuild {
    /// Its id.
    #[serde(with = "text")]
    pub id: u64,
    /// By the trace's number of the channel.
    #[serde(with = "texts")]
    pub channels: Vec<u64>,
    /// The code by which people join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

impl Fixture {
    /// Reads a fixture from a JSON file; `tokens`, a file with one token a line, replaces those in the fixture.
    pub fn read(path: &Path, tokens: Option<&Path>) -> Result<Fixture, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut fixture: Fixture =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(tokens) = tokens {
            fixture.tokens = Arc::new(read_tokens(tokens)?);
        }
        Ok(fixture)
    }

    /// Says what the fixture lacks to play a trace with these guilds.
    pub fn check(&self, trace: &Trace) -> Result<(), String> {
        let (guilds, sessions) = (&trace.guilds, trace.sessions());
        if self.guilds.len() < guilds.len() {
            return Err(format!("the fixture has {} guilds, the trace {}", self.guilds.len(), guilds.len()));
        }
        if self.tokens.len() < sessions as usize {
            return Err(format!("the fixture has {} tokens, the trace {sessions} sessions", self.tokens.len()));
        }
        let mut ids = HashSet::new();
        for (guild, place) in guilds.iter().zip(&self.guilds) {
            if place.id == 0 && (guilds.len() > 1 || guild.joining > 0) {
                return Err(format!("guild {} of the fixture has no id", guild.guild));
            }
            if !ids.insert(place.id) {
                return Err(format!("guild {} of the fixture has the id of another", guild.guild));
            }
            if place.channels.len() < guild.channels.len() {
                let (has, wants) = (place.channels.len(), guild.channels.len());
                return Err(format!("guild {} of the fixture has {has} channels, the trace's {wants}", guild.guild));
            }
            if guild.joining > 0 && place.invite.is_none() {
                return Err(format!("guild {} of the fixture has no invite, but people join it", guild.guild));
            }
        }
        Ok(())
    }
}

/// A file with one token a line.
pub fn read_tokens(path: &Path) -> Result<Tokens, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let tokens = Tokens::from_lines(&text);
    if tokens.is_empty() { Err(format!("{}: no tokens", path.display())) } else { Ok(tokens) }
}

/// The user's id that a token begins with, as Discord's tokens do. Source: Discord docs, Reference/Authentication.
pub fn user_of(token: &str) -> Option<u64> {
    let first = token.strip_prefix("Bot ").unwrap_or(token).split('.').next()?.trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(first).or_else(|_| URL_SAFE_NO_PAD.decode(first)).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok()
}

fn is_empty(tokens: &Arc<Tokens>) -> bool {
    tokens.is_empty()
}

/// The pool has the same tokens as the fixture: there may be a million.
mod list {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::tokens::Tokens;

    pub fn serialize<S: Serializer>(tokens: &Arc<Tokens>, serializer: S) -> Result<S::Ok, S::Error> {
        Tokens::serialize(tokens, serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Tokens>, D::Error> {
        Tokens::deserialize(deserializer).map(Arc::new)
    }
}

/// Ids are strings in JSON, as everywhere in the API.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| de::Error::custom("an id is a number in a string"))
    }
}

mod texts {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(ids: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(u64::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let ids = Vec::<String>::deserialize(deserializer)?;
        let ids = ids.iter().map(|id| id.parse().map_err(|_| de::Error::custom("an id is a number in a string")));
        ids.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::trace::file;

    /// A trace of guilds with two sessions each.
    fn trace(guilds: &[(usize, u32)]) -> Trace {
        let mut lines = String::from("{\"trace\":\"guildhall\",\"version\":1,\"by\":\"synth\",\"name\":\"t\"}\n");
        for (number, (channels, joining)) in guilds.iter().enumerate() {
            let channels = vec![r#"{"kind":"text"}"#; *channels].join(",");
            lines += &format!(
                "{{\"at\":0,\"do\":\"guild\",\"guild\":{number},\"members\":9,\"sessions\":2,\"joining\":{joining},\
                 \"channels\":[{channels}]}}\n"
            );
        }
        file::read_from(lines.as_bytes()).expect("sound").trace
    }

    #[test]
    fn a_town_is_read_and_what_it_lacks_is_named() {
        let text = r#"{"guilds":[{"id":"7","channels":["8","9"]}],"owner":"o","tokens":["a","b"]}"#;
        let fixture: Fixture = serde_json::from_str(text).expect("sound");
        assert_eq!(fixture.guilds[0].channels, [8, 9]);
        assert_eq!(serde_json::to_string(&fixture).expect("sound"), text);
        let lacks = |guilds: &[(usize, u32)]| fixture.check(&trace(guilds)).err().unwrap_or_default();
        assert_eq!(lacks(&[(2, 0)]), "");
        assert!(lacks(&[(3, 0)]).contains("2 channels"));
        assert!(lacks(&[(2, 1)]).contains("invite"));
        assert!(lacks(&[(2, 0), (2, 0)]).contains("1 guilds"));
        let twice = Fixture {
            guilds: vec![fixture.guilds[0].clone(); 2],
            tokens: Arc::new(["a"; 4].iter().collect()),
            ..fixture.clone()
        };
        assert!(twice.check(&trace(&[(2, 0), (2, 0)])).is_err_and(|why| why.contains("the id of another")));
        let mut nameless = twice.clone();
        nameless.guilds[0].id = 0;
        assert!(nameless.check(&trace(&[(2, 0), (2, 0)])).is_err_and(|why| why.contains("no id")));
        assert_eq!(nameless.check(&trace(&[(2, 0)])), Ok(()));
        let few = Fixture { tokens: Arc::new(["a"].iter().collect()), ..fixture.clone() };
        assert!(few.check(&trace(&[(2, 0)])).is_err_and(|why| why.contains("1 tokens")));
    }

    #[test]
    fn tokens_name_their_user() {
        assert_eq!(user_of("MTIzNDU2.abc.def"), Some(123_456));
        assert_eq!(user_of("Bot MTIzNDU2.abc.def"), Some(123_456));
        assert_eq!(user_of("token-7"), None);
    }
}
