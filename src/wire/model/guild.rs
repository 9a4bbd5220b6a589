//! How clients see a guild. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::guild::GuildSettings;
use crate::model::role::Role;
use crate::wire::model::rendered;
use crate::wire::model::role::RoleView;

/// Writes all keys of the REST guild except `roles`.
pub fn fields<M: SerializeMap>(guild: &GuildSettings, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("id", &guild.id)?;
    map.serialize_entry("name", &guild.name)?;
    map.serialize_entry("icon", &guild.icon)?;
    map.serialize_entry("description", &guild.description)?;
    map.serialize_entry("owner_id", &guild.owner_id)?;
    map.serialize_entry("verification_level", &guild.verification_level)?;
    map.serialize_entry("default_message_notifications", &guild.default_message_notifications)?;
    map.serialize_entry("explicit_content_filter", &guild.explicit_content_filter)?;
    map.serialize_entry("afk_channel_id", &guild.afk_channel_id)?;
    map.serialize_entry("afk_timeout", &guild.afk_timeout)?;
    map.serialize_entry("system_channel_id", &guild.system_channel_id)?;
    map.serialize_entry("system_channel_flags", &guild.system_channel_flags)?;
    map.serialize_entry("rules_channel_id", &guild.rules_channel_id)?;
    map.serialize_entry("public_updates_channel_id", &guild.public_updates_channel_id)?;
    map.serialize_entry("preferred_locale", &guild.preferred_locale)?;
    map.serialize_entry("features", &guild.features)?;
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

/// A guild without its roles, as user's lists of guilds and GUILD_UPDATE begin.
#[derive(Debug, Clone, Copy)]
pub struct GuildView<'a>(pub &'a GuildSettings);

impl Serialize for GuildView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        fields(self.0, &mut map)?;
        map.end()
    }
}

/// The REST form: a guild with its roles, and counts if asked for (`with_counts=true`).
#[derive(Debug)]
pub struct RestGuild<'a> {
    /// The guild.
    pub guild: &'a GuildSettings,
    /// Its roles, ordered by position.
    pub roles: Vec<&'a Role>,
    /// `(members, online)` if asked for.
    pub counts: Option<(u64, u64)>,
}

impl Serialize for RestGuild<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        fields(self.guild, &mut map)?;
        map.serialize_entry("roles", &rendered(self.roles.iter().copied().map(RoleView)))?;
        if let Some((members, online)) = self.counts {
            map.serialize_entry("approximate_member_count", &members)?;
            map.serialize_entry("approximate_presence_count", &online)?;
        }
        map.end()
    }
}
