//! A message.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::model::is_default;
use crate::model::user::User;

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Id; carries the time.
    pub id: MessageId,
    /// Where.
    pub channel_id: ChannelId,
    /// The guild of the channel.
    pub guild_id: GuildId,
    /// Who wrote it.
    pub author: User,
    /// The text.
    pub content: String,
    /// Unix milliseconds of the last edit.
    pub edited_at_ms: Option<u64>,
    /// What is seldom there.
    pub extra: Extra,
}

/// The parts of a message that most messages lack; kept together so that a plain message is small.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// 0 default, 6 a message was pinned, 19 reply.
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub kind: u32,
    /// Bits.
    #[serde(skip_serializing_if = "is_default")]
    pub flags: u32,
    /// Read aloud.
    #[serde(skip_serializing_if = "is_default")]
    pub tts: bool,
    /// Whether `@everyone` or `@here` was mentioned with effect.
    #[serde(skip_serializing_if = "is_default")]
    pub mention_everyone: bool,
    /// Users mentioned with effect, as they were when the message was written.
    #[serde(skip_serializing_if = "is_default")]
    pub mentions: Vec<User>,
    /// Roles mentioned with effect.
    #[serde(skip_serializing_if = "is_default")]
    pub mention_roles: Vec<RoleId>,
    /// Rich embeds, as given after checking.
    #[serde(skip_serializing_if = "is_default")]
    pub embeds: Vec<Value>,
    /// Components, as given after checking.
    #[serde(skip_serializing_if = "is_default")]
    pub components: Vec<Value>,
    /// Pinned: it has its row among the pins.
    #[serde(skip_serializing_if = "is_default")]
    pub pinned: bool,
    /// The message replied to, or that the system message is about.
    #[serde(skip_serializing_if = "is_default")]
    pub replies_to: Option<MessageId>,
}

impl Message {
    /// Whether `reader` gets the text even without the message content intent: it wrote the message or is mentioned in
    /// it.
    pub fn is_open_to(&self, reader: UserId) -> bool {
        self.author.id == reader || self.extra.mentions.iter().any(|user| user.id == reader)
    }
}
