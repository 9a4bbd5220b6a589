//! Bodies about messages. Source: Discord docs, Resources/Message.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};

/// Which mentions in the text take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedMentions {
    /// Every user named in the text.
    pub all_users: bool,
    /// Every role named in the text.
    pub all_roles: bool,
    /// `@everyone` and `@here`.
    pub everyone: bool,
    /// These users, if named.
    pub users: Vec<UserId>,
    /// These roles, if named.
    pub roles: Vec<RoleId>,
    /// The author of the message replied to.
    pub replied_user: bool,
}

impl Default for AllowedMentions {
    /// What holds when the key is absent: everything.
    fn default() -> Self {
        AllowedMentions {
            all_users: true,
            all_roles: true,
            everyone: true,
            users: Vec::new(),
            roles: Vec::new(),
            replied_user: true,
        }
    }
}

/// What a message replies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The message.
    pub message_id: MessageId,
    /// Its channel, if given; must be the same one.
    pub channel_id: Option<ChannelId>,
    /// Its guild, if given.
    pub guild_id: Option<GuildId>,
    /// Refuse when it is gone; else the message is sent without the reference.
    pub fail_if_not_exists: bool,
}

/// `POST /channels/{channel.id}/messages`, its form checked: lengths, counts, embeds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageDraft {
    /// Trimmed; empty only if something else is there.
    pub content: String,
    /// A string or a number of up to 25 characters.
    pub nonce: Option<Value>,
    /// Answer an earlier message of the same author and nonce instead of sending again.
    pub enforce_nonce: bool,
    /// Read aloud.
    pub tts: bool,
    /// Checked embeds, `type` set to `rich`.
    pub embeds: Vec<Value>,
    /// Components, as given.
    pub components: Vec<Value>,
    /// Mentions that may take effect.
    pub allowed_mentions: AllowedMentions,
    /// A reply.
    pub reference: Option<Reference>,
    /// Only SUPPRESS_EMBEDS (4) and SUPPRESS_NOTIFICATIONS (4096).
    pub flags: u32,
}

/// `PATCH /channels/{channel.id}/messages/{message.id}`. `None` is: leave as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessagePatch {
    /// New text (trimmed; `null` on the wire is empty).
    pub content: Option<String>,
    /// New embeds.
    pub embeds: Option<Vec<Value>>,
    /// New components.
    pub components: Option<Vec<Value>>,
    /// New flags; only SUPPRESS_EMBEDS (4) can change.
    pub flags: Option<u32>,
    /// For the mentions of the new text.
    pub allowed_mentions: AllowedMentions,
}
