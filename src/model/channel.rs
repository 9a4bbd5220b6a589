//! A channel of a guild, and permission overwrites.
//!
//! Lives on: every core.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::id::{ChannelId, GuildId, MessageId};
use crate::model::is_default;
use crate::model::permissions::Permissions;

/// What kind of channel; the numbers are Discord's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChannelKind {
    /// 0.
    Text = 0,
    /// 2.
    Voice = 2,
    /// 4.
    Category = 4,
    /// 5.
    Announcement = 5,
    /// 13.
    Stage = 13,
}

impl ChannelKind {
    /// From Discord's number; kinds that this server does not have are `None`.
    pub fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => ChannelKind::Text,
            2 => ChannelKind::Voice,
            4 => ChannelKind::Category,
            5 => ChannelKind::Announcement,
            13 => ChannelKind::Stage,
            _ => return None,
        })
    }

    /// Whether messages can be sent in it.
    pub const fn has_messages(self) -> bool {
        !matches!(self, ChannelKind::Category)
    }

    /// Whether one can talk in it.
    pub const fn has_voice(self) -> bool {
        matches!(self, ChannelKind::Voice | ChannelKind::Stage)
    }
}

impl Serialize for ChannelKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for ChannelKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| serde::de::Error::custom("unsupported channel type"))
    }
}

/// Whom an overwrite is for; the numbers are Discord's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OverwriteKind {
    /// 0: the id is a role's.
    Role = 0,
    /// 1: the id is a user's.
    Member = 1,
}

impl Serialize for OverwriteKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for OverwriteKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u8),
            Text(String),
        }
        // The words are the form of API v6, which some libraries still send.
        match Form::deserialize(deserializer)? {
            Form::Number(0) => Ok(OverwriteKind::Role),
            Form::Number(1) => Ok(OverwriteKind::Member),
            Form::Text(text) if text == "0" || text == "role" => Ok(OverwriteKind::Role),
            Form::Text(text) if text == "1" || text == "member" => Ok(OverwriteKind::Member),
            Form::Number(_) | Form::Text(_) => Err(serde::de::Error::custom("overwrite type must be 0 or 1")),
        }
    }
}

/// What a channel grants and denies to a role or a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwrite {
    /// A role's or a user's id, by `kind`.
    #[serde(with = "snowflake")]
    pub id: u64,
    /// Role or member.
    #[serde(rename = "type")]
    pub kind: OverwriteKind,
    /// Granted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Permissions,
    /// Denied.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deny: Permissions,
}

mod snowflake {
    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use crate::base::id::{Id, kind};

    pub(super) fn serialize<S: Serializer>(raw: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        Id::<kind::OfUser>::new(*raw).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Id::<kind::OfUser>::deserialize(deserializer).map(Id::get)
    }
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Id.
    pub id: ChannelId,
    /// The guild it is in.
    pub guild_id: GuildId,
    /// Discord's `type`.
    #[serde(rename = "type")]
    pub kind: ChannelKind,
    /// 1 to 100 characters.
    pub name: String,
    /// Up to 1,024 characters.
    #[serde(default, skip_serializing_if = "is_default")]
    pub topic: Option<String>,
    /// Place in the list.
    #[serde(default, skip_serializing_if = "is_default")]
    pub position: i32,
    /// The category it is in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent_id: Option<ChannelId>,
    /// Age-restricted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nsfw: bool,
    /// Slow mode, in seconds, 0 to 21,600.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_limit_per_user: u32,
    /// Bits per second, voice only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bitrate: u32,
    /// How many may join, voice only; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user_limit: u32,
    /// Overwrites.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overwrites: Vec<Overwrite>,
    /// Newest message. Not kept: looked up when the guild is loaded.
    #[serde(skip)]
    pub last_message_id: Option<MessageId>,
    /// When its newest pin was made, in Unix milliseconds. Not kept: looked up when the guild is loaded.
    #[serde(skip)]
    pub last_pin_ms: Option<u64>,
}

impl Channel {
    /// A new channel with the usual settings.
    pub fn new(id: ChannelId, guild_id: GuildId, kind: ChannelKind, name: String) -> Channel {
        Channel {
            id,
            guild_id,
            kind,
            name,
            topic: None,
            position: 0,
            parent_id: None,
            nsfw: false,
            rate_limit_per_user: 0,
            bitrate: if kind.has_voice() { 64_000 } else { 0 },
            user_limit: 0,
            overwrites: Vec::new(),
            last_message_id: None,
            last_pin_ms: None,
        }
    }
}
