//! A guild without its channels, roles and members.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};

use crate::base::id::{ChannelId, GuildId, UserId};
use crate::model::is_default;

/// A guild's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuildSettings {
    /// Id.
    pub id: GuildId,
    /// 2 to 100 characters.
    pub name: String,
    /// Image hash.
    #[serde(default, skip_serializing_if = "is_default")]
    pub icon: Option<String>,
    /// Up to 300 characters.
    #[serde(default, skip_serializing_if = "is_default")]
    pub description: Option<String>,
    /// Who owns it.
    pub owner_id: UserId,
    /// 0 to 4.
    #[serde(default, skip_serializing_if = "is_default")]
    pub verification_level: u8,
    /// 0 all messages, 1 only mentions.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default_message_notifications: u8,
    /// 0 to 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub explicit_content_filter: u8,
    /// Voice channel for the idle.
    #[serde(default, skip_serializing_if = "is_default")]
    pub afk_channel_id: Option<ChannelId>,
    /// Seconds: 60, 300, 900, 1800 or 3600.
    #[serde(default = "afk_timeout")]
    pub afk_timeout: u32,
    /// Where system messages go.
    #[serde(default, skip_serializing_if = "is_default")]
    pub system_channel_id: Option<ChannelId>,
    /// Bits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub system_channel_flags: u32,
    /// Rules channel.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rules_channel_id: Option<ChannelId>,
    /// Public updates channel.
    #[serde(default, skip_serializing_if = "is_default")]
    pub public_updates_channel_id: Option<ChannelId>,
    /// A language tag.
    #[serde(default = "locale")]
    pub preferred_locale: String,
    /// Enabled features.
    #[serde(default, skip_serializing_if = "is_default")]
    pub features: Vec<String>,
}

fn afk_timeout() -> u32 {
    300
}

fn locale() -> String {
    "en-US".to_owned()
}

impl GuildSettings {
    /// A new guild with the usual settings.
    pub fn new(id: GuildId, name: String, owner_id: UserId) -> GuildSettings {
        GuildSettings {
            id,
            name,
            icon: None,
            description: None,
            owner_id,
            verification_level: 0,
            default_message_notifications: 0,
            explicit_content_filter: 0,
            afk_channel_id: None,
            afk_timeout: afk_timeout(),
            system_channel_id: None,
            system_channel_flags: 0,
            rules_channel_id: None,
            public_updates_channel_id: None,
            preferred_locale: locale(),
            features: Vec::new(),
        }
    }
}
