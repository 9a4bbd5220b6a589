//! Bodies about guilds. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use crate::base::id::{ChannelId, UserId};

/// `POST /guilds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuildDraft {
    /// 2 to 100 characters.
    pub name: String,
}

/// `PATCH /guilds/{guild.id}`. The outer `None` is: leave as it is; the inner one is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuildPatch {
    /// 2 to 100 characters.
    pub name: Option<String>,
    /// Up to 300 characters.
    pub description: Option<Option<String>>,
    /// Image hash after upload, or none.
    pub icon: Option<Option<String>>,
    /// A new owner; only the owner may.
    pub owner_id: Option<UserId>,
    /// 0 to 4.
    pub verification_level: Option<u8>,
    /// 0 or 1.
    pub default_message_notifications: Option<u8>,
    /// 0 to 2.
    pub explicit_content_filter: Option<u8>,
    /// A voice channel.
    pub afk_channel_id: Option<Option<ChannelId>>,
    /// 60, 300, 900, 1800 or 3600.
    pub afk_timeout: Option<u32>,
    /// A text channel.
    pub system_channel_id: Option<Option<ChannelId>>,
    /// Bits.
    pub system_channel_flags: Option<u32>,
    /// A text channel.
    pub rules_channel_id: Option<Option<ChannelId>>,
    /// A text channel.
    pub public_updates_channel_id: Option<Option<ChannelId>>,
    /// A language tag.
    pub preferred_locale: Option<String>,
}
