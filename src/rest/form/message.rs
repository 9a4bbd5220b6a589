//! Messages: drafts, edits, and the parts that webhooks, interactions and forum posts share with them.
//!
//! Lives on: every core. Source: Discord docs, Resources/Message.

use serde_json::Value;

use crate::base::id::MessageId;
use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::rest::form::{embed, mention};
use crate::wire::refusal::Refusal;
use crate::wire::request::message::{MessageDraft, MessagePatch, Reference};

/// SUPPRESS_EMBEDS and SUPPRESS_NOTIFICATIONS: what a client may set.
const SETTABLE_FLAGS: u32 = 1 << 2 | 1 << 12;

/// `POST /channels/{channel.id}/messages`.
pub fn draft(body: &Value) -> Result<MessageDraft, Refusal> {
    let form = FormReader::new(body)?;
    refuse_unsupported(&form);
    let draft = MessageDraft {
        content: form.text("content", 0, limits::CONTENT_CHARS_MAX).unwrap_or_default(),
        nonce: nonce(&form),
        enforce_nonce: form.flag("enforce_nonce").unwrap_or(false),
        tts: form.flag("tts").unwrap_or(false),
        embeds: embed::embeds(&form).unwrap_or_default(),
        components: components(&form).unwrap_or_default(),
        allowed_mentions: mention::allowed_mentions(&form),
        reference: reference(&form),
        flags: form.number("flags", 0, i64::from(u32::MAX)).unwrap_or(0) as u32 & SETTABLE_FLAGS,
    };
    form.finish()?;
    if draft.content.is_empty() && draft.embeds.is_empty() && draft.components.is_empty() {
        return Err(Refusal::EMPTY_MESSAGE);
    }
    Ok(draft)
}

/// `PATCH /channels/{channel.id}/messages/{message.id}`.
pub fn patch(body: &Value) -> Result<MessagePatch, Refusal> {
    let form = FormReader::new(body)?;
    refuse_unsupported(&form);
    let content = || form.text("content", 0, limits::CONTENT_CHARS_MAX).unwrap_or_default();
    let patch = MessagePatch {
        content: form.has("content").then(content),
        embeds: form.has("embeds").then(|| embed::embeds(&form).unwrap_or_default()),
        components: form.has("components").then(|| components(&form).unwrap_or_default()),
        flags: form.number("flags", 0, i64::from(u32::MAX)).map(|flags| flags as u32),
        allowed_mentions: mention::allowed_mentions(&form),
    };
    form.finish()?;
    Ok(patch)
}

/// `POST /channels/{channel.id}/messages/bulk-delete`.
pub fn bulk_deletion(body: &Value) -> Result<Vec<MessageId>, Refusal> {
    let form = FormReader::new(body)?;
    let ids: Option<Vec<MessageId>> = form.parsed("messages", "LIST_TYPE_CONVERT", "Not a list of message ids.");
    if !form.has("messages") {
        form.fault(&["messages"], "BASE_TYPE_REQUIRED", "This field is required");
    }
    form.finish()?;
    Ok(ids.unwrap_or_default())
}

/// What this server does not have is refused by name; empty lists and nulls are nothing.
fn refuse_unsupported(form: &FormReader<'_>) {
    for name in ["sticker_ids", "attachments", "poll"] {
        let given = form.raw(name).is_some_and(|value| !value.as_array().is_some_and(Vec::is_empty));
        if given {
            form.fault(&[name], "UNSUPPORTED", format!("This server does not support {name} yet."));
        }
    }
}

fn nonce(form: &FormReader<'_>) -> Option<Value> {
    let nonce = form.raw("nonce")?;
    match nonce {
        Value::String(text) => form.errors().length(&["nonce"], text, 0, limits::NONCE_CHARS_MAX),
        Value::Number(_) => {}
        _ => form.fault(&["nonce"], "STRING_TYPE_CONVERT", "Could not interpret value as string."),
    }
    Some(nonce.clone())
}

fn components(form: &FormReader<'_>) -> Option<Vec<Value>> {
    let list = form.list("components")?;
    if list.len() > limits::COMPONENT_ROWS_MAX {
        let message = format!("Must be between 1 and {} in length.", limits::COMPONENT_ROWS_MAX);
        form.fault(&["components"], "BASE_TYPE_BAD_LENGTH", message);
    }
    Some(list.to_vec())
}

fn reference(form: &FormReader<'_>) -> Option<Reference> {
    let inner = FormReader::new(form.raw("message_reference")?).ok()?;
    if inner.number("type", 0, 1) == Some(1) {
        form.fault(&["message_reference", "type"], "UNSUPPORTED", "This server does not support forwards yet.");
    }
    let Some(message_id) = inner.id("message_id") else {
        form.fault(&["message_reference", "message_id"], "BASE_TYPE_REQUIRED", "This field is required");
        return None;
    };
    Some(Reference {
        message_id,
        channel_id: inner.id("channel_id"),
        guild_id: inner.id("guild_id"),
        fail_if_not_exists: inner.flag("fail_if_not_exists").unwrap_or(true),
    })
}
