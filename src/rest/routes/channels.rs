//! Channels. Source: Discord docs, Resources/Channel and Resources/Guild.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::mail::ask::GuildRequest;
use crate::rest::call::Call;
use crate::rest::form::Form;
use crate::rest::respond::Outcome;
use crate::wire::model::channel::{ChannelKind, Overwrite};
use crate::wire::refusal::FormErrors;
use crate::wire::request::channel::{ChannelDraft, ChannelMove, ChannelPatch};

/// `GET /guilds/{guild.id}/channels`.
pub async fn list(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::ListChannels).await
}

/// `POST /guilds/{guild.id}/channels`.
pub async fn create(call: Call) -> Outcome {
    let form = call.form()?;
    let draft = ChannelDraft {
        name: form.required_text("name", 1, 100),
        kind: kind(&form).unwrap_or(ChannelKind::Text),
        topic: form.nullable_text("topic", 1_024).flatten(),
        position: form.number("position", 0, i64::from(i32::MAX)).map(|position| position as i32),
        parent_id: form.id("parent_id"),
        nsfw: form.flag("nsfw").unwrap_or(false),
        rate_limit_per_user: form.number("rate_limit_per_user", 0, 21_600).unwrap_or(0) as u32,
        bitrate: form.number("bitrate", 8_000, 384_000).map(|bits| bits as u32),
        user_limit: form.number("user_limit", 0, 10_000).map(|users| users as u32),
        overwrites: overwrites(&form),
    };
    form.finish()?;
    call.ask_guild(call.id(0)?, GuildRequest::CreateChannel(draft)).await
}

/// `PATCH /guilds/{guild.id}/channels`.
pub async fn reorder(call: Call) -> Outcome {
    let moves = each(&call.form, |form| ChannelMove {
        id: form.id("id").unwrap_or(crate::base::id::ChannelId::new(0)),
        position: form.number("position", 0, i64::from(i32::MAX)).map(|position| position as i32),
        parent_id: form.nullable_id("parent_id"),
        lock_permissions: form.flag("lock_permissions").unwrap_or(false),
    })?;
    call.ask_guild(call.id(0)?, GuildRequest::MoveChannels(moves)).await
}

/// `GET /channels/{channel.id}`.
pub async fn get(call: Call) -> Outcome {
    let channel = call.id(0)?;
    call.ask_channel(channel, GuildRequest::GetChannel(channel)).await
}

/// `PATCH /channels/{channel.id}`, `PUT /channels/{channel.id}`.
pub async fn modify(call: Call) -> Outcome {
    let channel = call.id(0)?;
    let form = call.form()?;
    let patch = ChannelPatch {
        name: form.text("name", 1, 100),
        kind: kind(&form),
        topic: form.nullable_text("topic", 1_024),
        position: form.number("position", 0, i64::from(i32::MAX)).map(|position| position as i32),
        parent_id: form.nullable_id("parent_id"),
        nsfw: form.flag("nsfw"),
        rate_limit_per_user: form.number("rate_limit_per_user", 0, 21_600).map(|seconds| seconds as u32),
        bitrate: form.number("bitrate", 8_000, 384_000).map(|bits| bits as u32),
        user_limit: form.number("user_limit", 0, 10_000).map(|users| users as u32),
        overwrites: overwrites(&form),
    };
    form.finish()?;
    call.ask_channel(channel, GuildRequest::ModifyChannel(channel, patch)).await
}

/// `DELETE /channels/{channel.id}`.
pub async fn delete(call: Call) -> Outcome {
    let channel = call.id(0)?;
    call.ask_channel(channel, GuildRequest::DeleteChannel(channel)).await
}

fn kind(form: &Form<'_>) -> Option<ChannelKind> {
    let number = form.number("type", 0, 255)?;
    let kind = ChannelKind::from_number(number as u64);
    if kind.is_none() {
        form.fault(&["type"], "BASE_TYPE_CHOICES", "Value must be one of {0, 2, 4, 5, 13}.");
    }
    kind
}

fn overwrites(form: &Form<'_>) -> Option<Vec<Overwrite>> {
    form.parsed("permission_overwrites", "MODEL_TYPE_CONVERT", "Not a list of permission overwrites.")
}

/// Reads a body that is a list of objects.
pub(super) fn each<T>(body: &Value, read: impl Fn(&Form<'_>) -> T) -> Result<Vec<T>, crate::wire::refusal::Refusal> {
    let Value::Array(list) = body else {
        return Err(FormErrors::one(&[], "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"));
    };
    list.iter()
        .map(|item| {
            let form = Form::new(item)?;
            if form.raw("id").is_none() {
                form.fault(&["id"], "BASE_TYPE_REQUIRED", "This field is required");
            }
            let value = read(&form);
            form.finish()?;
            Ok(value)
        })
        .collect()
}
