//! Guilds. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde_json::json;

use crate::mail::ask::{GuildRequest, Request};
use crate::rest::call::Call;
use crate::rest::respond::{self, Outcome};
use crate::wire::request::guild::{GuildDraft, GuildPatch};

/// `POST /guilds`.
pub async fn create(call: Call) -> Outcome {
    let form = call.form()?;
    let name = form.required_text("name", 2, 100);
    form.finish()?;
    call.room_for_a_guild().await?;
    let owner = call.user()?;
    let request = Request::FoundGuild { shard: call.random_shard(), owner, draft: GuildDraft { name } };
    respond::answer(call.ask(request).await)
}

/// `GET /guilds/{guild.id}`.
pub async fn get(call: Call) -> Outcome {
    let with_counts = call.asked_flag("with_counts");
    call.ask_guild(call.id(0)?, GuildRequest::Get { with_counts }).await
}

/// `PATCH /guilds/{guild.id}`.
pub async fn modify(call: Call) -> Outcome {
    let form = call.form()?;
    let afk_timeout = form.number("afk_timeout", 60, 3_600);
    if afk_timeout.is_some_and(|seconds| ![60, 300, 900, 1_800, 3_600].contains(&seconds)) {
        form.fault(&["afk_timeout"], "BASE_TYPE_CHOICES", "Value must be one of {60, 300, 900, 1800, 3600}.");
    }
    let patch = GuildPatch {
        name: form.text("name", 2, 100),
        description: form.nullable_text("description", 300),
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
        preferred_locale: form.text("preferred_locale", 2, 10),
    };
    if form.raw("icon").is_some() {
        form.fault(&["icon"], "IMAGE_INVALID", "This server does not keep images.");
    }
    form.finish()?;
    call.ask_guild(call.id(0)?, GuildRequest::Modify(patch)).await
}

/// `DELETE /guilds/{guild.id}`.
pub async fn delete(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::Delete).await
}

/// There are no emojis here: an empty list for whoever may see the guild.
/// `GET /guilds/{guild.id}/emojis`.
pub async fn emojis(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::ListRoles).await?;
    respond::json(200, &json!([]))
}

/// There are no threads here: an empty list for whoever may see the guild.
/// `GET /guilds/{guild.id}/threads/active`.
pub async fn active_threads(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::ListRoles).await?;
    respond::json(200, &json!({ "threads": [], "members": [] }))
}
