//! Guilds. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::wire::refusal::Refusal;
use crate::wire::request::guild::{GuildDraft, GuildPatch};

/// The choices of `afk_timeout`, in seconds.
const AFK_TIMEOUTS: [i64; 5] = [60, 300, 900, 1_800, 3_600];

/// `POST /guilds`.
pub fn draft(body: &Value) -> Result<GuildDraft, Refusal> {
    let form = FormReader::new(body)?;
    let name = form.required_text("name", limits::GUILD_NAME_CHARS_MIN, limits::GUILD_NAME_CHARS_MAX);
    form.finish()?;
    Ok(GuildDraft { name })
}

/// `PATCH /guilds/{guild.id}`.
pub fn patch(body: &Value) -> Result<GuildPatch, Refusal> {
    let form = FormReader::new(body)?;
    let afk_timeout = form.number("afk_timeout", AFK_TIMEOUTS[0], AFK_TIMEOUTS[4]);
    if afk_timeout.is_some_and(|seconds| !AFK_TIMEOUTS.contains(&seconds)) {
        form.fault(&["afk_timeout"], "BASE_TYPE_CHOICES", "Value must be one of {60, 300, 900, 1800, 3600}.");
    }
    let patch = GuildPatch {
        name: form.text("name", limits::GUILD_NAME_CHARS_MIN, limits::GUILD_NAME_CHARS_MAX),
        description: form.nullable_text("description", limits::GUILD_DESCRIPTION_CHARS_MAX),
        // Images are not kept here; null takes one away.
        icon: (form.has("icon") && form.raw("icon").is_none()).then_some(None),
        owner_id: form.id("owner_id"),
        verification_level: form.number("verification_level", 0, 4).map(|level| level as u8),
        default_message_notifications: form.number("default_message_notifications", 0, 1).map(|level| level as u8),
        explicit_content_filter: form.number("explicit_content_filter", 0, 2).map(|level| level as u8),
        afk_channel_id: form.nullable_id("afk_channel_id"),
        afk_timeout: afk_timeout.map(|seconds| seconds as u32),
        system_channel_id: form.nullable_id("system_channel_id"),
        system_channel_flags: form.number("system_channel_flags", 0, 0xffff).map(|flags| flags as u32),
        rules_channel_id: form.nullable_id("rules_channel_id"),
        public_updates_channel_id: form.nullable_id("public_updates_channel_id"),
        preferred_locale: form.text("preferred_locale", 2, limits::LOCALE_CHARS_MAX),
    };
    if form.raw("icon").is_some() {
        form.fault(&["icon"], "IMAGE_INVALID", "This server does not keep images.");
    }
    form.finish()?;
    Ok(patch)
}
