//! Channels. Source: Discord docs, Resources/Channel and Resources/Guild.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::base::id::ChannelId;
use crate::limits;
use crate::model::channel::{ChannelKind, Overwrite};
use crate::rest::form::reader::{self, FormReader};
use crate::wire::refusal::Refusal;
use crate::wire::request::channel::{ChannelDraft, ChannelMove, ChannelPatch};

/// `POST /guilds/{guild.id}/channels`.
pub fn draft(body: &Value) -> Result<ChannelDraft, Refusal> {
    let form = FormReader::new(body)?;
    let draft = ChannelDraft {
        name: form.required_text("name", 1, limits::CHANNEL_NAME_CHARS_MAX),
        kind: kind(&form).unwrap_or(ChannelKind::Text),
        topic: form.nullable_text("topic", limits::TOPIC_CHARS_MAX).flatten(),
        position: form.position(),
        parent_id: form.id("parent_id"),
        nsfw: form.flag("nsfw").unwrap_or(false),
        rate_limit_per_user: slowmode(&form).unwrap_or(0),
        bitrate: bitrate(&form),
        user_limit: user_limit(&form),
        overwrites: overwrites(&form),
    };
    form.finish()?;
    Ok(draft)
}

/// `PATCH /channels/{channel.id}`.
pub fn patch(body: &Value) -> Result<ChannelPatch, Refusal> {
    let form = FormReader::new(body)?;
    let patch = ChannelPatch {
        name: form.text("name", 1, limits::CHANNEL_NAME_CHARS_MAX),
        kind: kind(&form),
        topic: form.nullable_text("topic", limits::TOPIC_CHARS_MAX),
        position: form.position(),
        parent_id: form.nullable_id("parent_id"),
        nsfw: form.flag("nsfw"),
        rate_limit_per_user: slowmode(&form),
        bitrate: bitrate(&form),
        user_limit: user_limit(&form),
        overwrites: overwrites(&form),
    };
    form.finish()?;
    Ok(patch)
}

/// `PATCH /guilds/{guild.id}/channels`.
pub fn moves(body: &Value) -> Result<Vec<ChannelMove>, Refusal> {
    reader::each(body, |form| ChannelMove {
        id: form.id("id").unwrap_or(ChannelId::new(0)),
        position: form.position(),
        parent_id: form.nullable_id("parent_id"),
        lock_permissions: form.flag("lock_permissions").unwrap_or(false),
    })
}

fn kind(form: &FormReader<'_>) -> Option<ChannelKind> {
    let number = form.number("type", 0, 255)?;
    let kind = ChannelKind::from_number(number as u64);
    if kind.is_none() {
        form.fault(&["type"], "BASE_TYPE_CHOICES", "Value must be one of {0, 2, 4, 5, 13}.");
    }
    kind
}

fn slowmode(form: &FormReader<'_>) -> Option<u32> {
    form.number("rate_limit_per_user", 0, limits::SLOWMODE_SECONDS_MAX).map(|seconds| seconds as u32)
}

fn bitrate(form: &FormReader<'_>) -> Option<u32> {
    form.number("bitrate", limits::BITRATE_MIN, limits::BITRATE_MAX).map(|bits| bits as u32)
}

fn user_limit(form: &FormReader<'_>) -> Option<u32> {
    form.number("user_limit", 0, limits::VOICE_USERS_MAX).map(|users| users as u32)
}

fn overwrites(form: &FormReader<'_>) -> Option<Vec<Overwrite>> {
    form.parsed("permission_overwrites", "MODEL_TYPE_CONVERT", "Not a list of permission overwrites.")
}
