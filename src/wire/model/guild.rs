//! A guild without its channels, roles and members. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::base::id::{ChannelId, GuildId, UserId};
use crate::wire::model::role::Role;

/// A guild's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Guild {
    /// Id.
    pub id: GuildId,
    /// 2 to 100 characters.
    pub name: String,
    /// Image hash.
    #[serde(default)]
    pub icon: Option<String>,
    /// Up to 300 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// Who owns it.
    pub owner_id: UserId,
    /// 0 to 4.
    #[serde(default)]
    pub verification_level: u8,
    /// 0 all messages, 1 only mentions.
    #[serde(default)]
    pub default_message_notifications: u8,
    /// 0 to 2.
    #[serde(default)]
    pub explicit_content_filter: u8,
    /// Voice channel for the idle.
    #[serde(default)]
    pub afk_channel_id: Option<ChannelId>,
    /// Seconds: 60, 300, 900, 1800 or 3600.
    #[serde(default = "afk_timeout")]
    pub afk_timeout: u32,
    /// Where system messages go.
    #[serde(default)]
    pub system_channel_id: Option<ChannelId>,
    /// Bits.
    #[serde(default)]
    pub system_channel_flags: u32,
    /// Rules channel.
    #[serde(default)]
    pub rules_channel_id: Option<ChannelId>,
    /// Public updates channel.
    #[serde(default)]
    pub public_updates_channel_id: Option<ChannelId>,
    /// A language tag.
    #[serde(default = "locale")]
    pub preferred_locale: String,
    /// Enabled features.
    #[serde(default)]
    pub features: Vec<String>,
}

fn afk_timeout() -> u32 {
    300
}

fn locale() -> String {
    "en-US".to_owned()
}

impl Guild {
    /// A new guild with the usual settings.
    pub fn new(id: GuildId, name: String, owner_id: UserId) -> Guild {
        Guild {
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

    /// Writes all keys of the REST guild except `roles`.
    pub fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("icon", &self.icon)?;
        map.serialize_entry("description", &self.description)?;
        map.serialize_entry("owner_id", &self.owner_id)?;
        map.serialize_entry("verification_level", &self.verification_level)?;
        map.serialize_entry("default_message_notifications", &self.default_message_notifications)?;
        map.serialize_entry("explicit_content_filter", &self.explicit_content_filter)?;
        map.serialize_entry("afk_channel_id", &self.afk_channel_id)?;
        map.serialize_entry("afk_timeout", &self.afk_timeout)?;
        map.serialize_entry("system_channel_id", &self.system_channel_id)?;
        map.serialize_entry("system_channel_flags", &self.system_channel_flags)?;
        map.serialize_entry("rules_channel_id", &self.rules_channel_id)?;
        map.serialize_entry("public_updates_channel_id", &self.public_updates_channel_id)?;
        map.serialize_entry("preferred_locale", &self.preferred_locale)?;
        map.serialize_entry("features", &self.features)?;
        for absent in [
            "splash",
            "discovery_splash",
            "banner",
            "application_id",
            "vanity_url_code",
            "safety_alerts_channel_id",
            "widget_channel_id",
            "incidents_data",
            "home_header",
            "hub_type",
            "latest_onboarding_question_id",
            "max_presences",
        ] {
            map.serialize_entry(absent, &())?;
        }
        for zero in ["mfa_level", "premium_tier", "premium_subscription_count", "nsfw_level"] {
            map.serialize_entry(zero, &0)?;
        }
        for empty in ["emojis", "stickers"] {
            map.serialize_entry(empty, &[(); 0])?;
        }
        map.serialize_entry("widget_enabled", &false)?;
        map.serialize_entry("nsfw", &false)?;
        map.serialize_entry("premium_progress_bar_enabled", &false)?;
        map.serialize_entry("region", "deprecated")?;
        map.serialize_entry("max_members", &25_000_000)?;
        map.serialize_entry("max_video_channel_users", &25)?;
        map.serialize_entry("max_stage_video_channel_users", &50)
    }
}

impl Serialize for Guild {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.fields(&mut map)?;
        map.end()
    }
}

/// The REST form: a guild with its roles, and counts if asked for (`with_counts=true`).
#[derive(Debug)]
pub struct RestGuild<'a> {
    /// The guild.
    pub guild: &'a Guild,
    /// Its roles, ordered by position.
    pub roles: Vec<&'a Role>,
    /// `(members, online)` if asked for.
    pub counts: Option<(u64, u64)>,
}

impl Serialize for RestGuild<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.guild.fields(&mut map)?;
        map.serialize_entry("roles", &self.roles)?;
        if let Some((members, online)) = self.counts {
            map.serialize_entry("approximate_member_count", &members)?;
            map.serialize_entry("approximate_presence_count", &online)?;
        }
        map.end()
    }
}
