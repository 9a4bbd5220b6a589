//! Messages. Source: Discord docs, Resources/Message.
//!
//! Lives on: every core.

use serde_json::{Value, json};

use crate::base::clock;
use crate::base::id::{ChannelId, MessageId, UserId};
use crate::limits;
use crate::mail::ask::{GuildRequest, Reply, Request};
use crate::rest::call::Call;
use crate::rest::form::Form;
use crate::rest::respond::{self, Outcome};
use crate::store::{Anchor, Found, Query};
use crate::wire::intents::Intents;
use crate::wire::model::message::{Message, MessageView};
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::message::{AllowedMentions, MessageDraft, MessagePatch, Reference};

/// SUPPRESS_EMBEDS and SUPPRESS_NOTIFICATIONS: what a client may set.
const SETTABLE_FLAGS: u32 = 1 << 2 | 1 << 12;

/// `GET /channels/{channel.id}/messages`.
pub async fn list(call: Call) -> Outcome {
    let channel: ChannelId = call.id(0)?;
    let limit = call.asked_number("limit", 1, 100, 50)?;
    let anchors = [
        call.asked_as::<MessageId>("before")?.map(Anchor::Before),
        call.asked_as::<MessageId>("after")?.map(Anchor::After),
        call.asked_as::<MessageId>("around")?.map(Anchor::Around),
    ];
    let anchor = anchors.into_iter().flatten().next().unwrap_or(Anchor::Newest);
    let reader = Reader::of(&call).await?;
    if !may_read(&call, channel).await? {
        return respond::json(200, &json!([]));
    }
    let Found::Messages(messages) = call.desk.read(Query::Messages { channel, anchor, limit }).await? else {
        return Err(Refusal::INTERNAL);
    };
    if anchor == Anchor::Newest && call.desk.shard().is_recording() {
        call.desk.with(|shard, out| shard.note_history(clock::now(), channel, reader.user, limit, out));
    }
    let views: Vec<MessageView<'_>> = messages.iter().map(|message| reader.view(message)).collect();
    respond::json(200, &views)
}

/// `GET /channels/{channel.id}/messages/{message.id}`.
pub async fn get(call: Call) -> Outcome {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    let reader = Reader::of(&call).await?;
    if !may_read(&call, channel).await? {
        return Err(Refusal::MISSING_PERMISSIONS);
    }
    match call.desk.read(Query::Message(channel, id)).await? {
        Found::Message(Some(message)) => respond::json(200, &reader.view(&message)),
        _ => Err(Refusal::UNKNOWN_MESSAGE),
    }
}

/// `POST /channels/{channel.id}/messages`.
pub async fn create(call: Call) -> Outcome {
    let channel: ChannelId = call.id(0)?;
    let form = call.form()?;
    refuse_unsupported(&form);
    let draft = MessageDraft {
        content: form.text("content", 0, limits::CONTENT_CHARS_MAX).unwrap_or_default(),
        nonce: nonce(&form),
        enforce_nonce: form.flag("enforce_nonce").unwrap_or(false),
        tts: form.flag("tts").unwrap_or(false),
        embeds: embeds(&form).unwrap_or_default(),
        components: components(&form).unwrap_or_default(),
        allowed_mentions: allowed_mentions(&form),
        reference: reference(&form),
        flags: form.number("flags", 0, i64::from(u32::MAX)).unwrap_or(0) as u32 & SETTABLE_FLAGS,
    };
    form.finish()?;
    if draft.content.is_empty() && draft.embeds.is_empty() && draft.components.is_empty() {
        return Err(Refusal::EMPTY_MESSAGE);
    }
    call.ask_channel(channel, GuildRequest::CreateMessage(channel, draft)).await
}

/// `PATCH /channels/{channel.id}/messages/{message.id}`.
pub async fn edit(call: Call) -> Outcome {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    let form = call.form()?;
    refuse_unsupported(&form);
    let content = if form.has("content") {
        Some(form.text("content", 0, limits::CONTENT_CHARS_MAX).unwrap_or_default())
    } else {
        None
    };
    let patch = MessagePatch {
        content,
        embeds: if form.has("embeds") { Some(embeds(&form).unwrap_or_default()) } else { None },
        components: if form.has("components") { Some(components(&form).unwrap_or_default()) } else { None },
        flags: form.number("flags", 0, i64::from(u32::MAX)).map(|flags| flags as u32),
        allowed_mentions: allowed_mentions(&form),
    };
    form.finish()?;
    call.ask_channel(channel, GuildRequest::EditMessage(channel, id, patch)).await
}

/// `DELETE /channels/{channel.id}/messages/{message.id}`.
pub async fn delete(call: Call) -> Outcome {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    call.ask_channel(channel, GuildRequest::DeleteMessage(channel, id)).await
}

/// `POST /channels/{channel.id}/messages/bulk-delete`.
pub async fn bulk_delete(call: Call) -> Outcome {
    let channel: ChannelId = call.id(0)?;
    let form = call.form()?;
    let ids: Option<Vec<MessageId>> = form.parsed("messages", "LIST_TYPE_CONVERT", "Not a list of message ids.");
    if !form.has("messages") {
        form.fault(&["messages"], "BASE_TYPE_REQUIRED", "This field is required");
    }
    form.finish()?;
    call.ask_channel(channel, GuildRequest::BulkDelete(channel, ids.unwrap_or_default())).await
}

/// `POST /channels/{channel.id}/typing`.
pub async fn typing(call: Call) -> Outcome {
    let channel: ChannelId = call.id(0)?;
    call.ask_channel(channel, GuildRequest::Typing(channel)).await
}

/// Nothing can be pinned here: an empty list for whoever may see the channel.
/// `GET /channels/{channel.id}/pins`.
pub async fn pins(call: Call) -> Outcome {
    let channel: ChannelId = call.id(0)?;
    may_read(&call, channel).await?;
    respond::json(200, &json!([]))
}

/// Nothing can be pinned here.
/// `GET /channels/{channel.id}/messages/pins`.
pub async fn pins_page(call: Call) -> Outcome {
    let channel: ChannelId = call.id(0)?;
    may_read(&call, channel).await?;
    respond::json(200, &json!({ "items": [], "has_more": false }))
}

async fn may_read(call: &Call, channel: ChannelId) -> Result<bool, Refusal> {
    match call.ask(Request::Channel(channel, GuildRequest::ReadMessages(channel))).await? {
        Reply::MayRead { history } => Ok(history),
        Reply::Json(..) | Reply::Done | Reply::MayList | Reply::Account(_) => Err(Refusal::INTERNAL),
    }
}

/// Who reads: a bot without the message content privilege sees the text of its own messages and of mentions only.
struct Reader {
    user: UserId,
    all: bool,
}

impl Reader {
    async fn of(call: &Call) -> Result<Reader, Refusal> {
        let account = call.account().await?;
        Ok(Reader { user: account.user.id, all: account.allows(Intents::MESSAGE_CONTENT) })
    }

    fn view<'a>(&self, message: &'a Message) -> MessageView<'a> {
        MessageView { blank: !self.all && !message.is_open_to(self.user), ..MessageView::rest(message) }
    }
}

/// What this server does not have is refused by name; empty lists and nulls are nothing.
fn refuse_unsupported(form: &Form<'_>) {
    for name in ["sticker_ids", "attachments", "poll"] {
        let given = form.raw(name).is_some_and(|value| !value.as_array().is_some_and(Vec::is_empty));
        if given {
            form.fault(&[name], "UNSUPPORTED", format!("This server does not support {name} yet."));
        }
    }
}

fn nonce(form: &Form<'_>) -> Option<Value> {
    let nonce = form.raw("nonce")?;
    match nonce {
        Value::String(text) => form.errors().length(&["nonce"], text, 0, 25),
        Value::Number(_) => {}
        _ => form.fault(&["nonce"], "STRING_TYPE_CONVERT", "Could not interpret value as string."),
    }
    Some(nonce.clone())
}

fn components(form: &Form<'_>) -> Option<Vec<Value>> {
    let list = form.list("components")?;
    if list.len() > 5 {
        form.fault(&["components"], "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.");
    }
    Some(list.to_vec())
}

fn reference(form: &Form<'_>) -> Option<Reference> {
    let inner = Form::new(form.raw("message_reference")?).ok()?;
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

fn allowed_mentions(form: &Form<'_>) -> AllowedMentions {
    let Some(value) = form.raw("allowed_mentions") else { return AllowedMentions::default() };
    let Ok(inner) = Form::new(value) else {
        form.fault(&["allowed_mentions"], "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType");
        return AllowedMentions::default();
    };
    let parse: Option<Vec<String>> = inner.parsed("parse", "LIST_TYPE_CONVERT", "Not a list of words.");
    let parse = parse.unwrap_or_default();
    let allowed = AllowedMentions {
        all_users: parse.iter().any(|word| word == "users"),
        all_roles: parse.iter().any(|word| word == "roles"),
        everyone: parse.iter().any(|word| word == "everyone"),
        users: inner.parsed("users", "LIST_TYPE_CONVERT", "Not a list of ids.").unwrap_or_default(),
        roles: inner.parsed("roles", "LIST_TYPE_CONVERT", "Not a list of ids.").unwrap_or_default(),
        replied_user: inner.flag("replied_user").unwrap_or(false),
    };
    for (all, listed, word) in
        [(allowed.all_users, allowed.users.is_empty(), "users"), (allowed.all_roles, allowed.roles.is_empty(), "roles")]
    {
        if all && !listed {
            let message = format!("parse:[\"{word}\"] and {word}: [ids...] are mutually exclusive.");
            form.fault(&["allowed_mentions"], "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
        }
    }
    for (count, word) in [(allowed.users.len(), "users"), (allowed.roles.len(), "roles")] {
        if count > limits::MENTIONS_MAX {
            form.fault(&["allowed_mentions", word], "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.");
        }
    }
    if inner.finish().is_err() {
        form.fault(&["allowed_mentions"], "MODEL_TYPE_CONVERT", "Could not be interpreted.");
    }
    allowed
}

/// Reads embeds: known texts are bounded, what only the server may say is dropped, `type` is `rich`.
fn embeds(form: &Form<'_>) -> Option<Vec<Value>> {
    let list = form.list("embeds")?;
    if list.len() > limits::EMBEDS_MAX {
        form.fault(&["embeds"], "BASE_TYPE_BAD_LENGTH", format!("Must be {} or fewer in length.", limits::EMBEDS_MAX));
    }
    let mut total = 0;
    let checked = list
        .iter()
        .enumerate()
        .map(|(index, embed)| {
            let place = index.to_string();
            let Value::Object(fields) = embed else {
                form.fault(&["embeds", &place], "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType");
                return Value::Null;
            };
            let mut fields = fields.clone();
            for dropped in ["provider", "video"] {
                fields.remove(dropped);
            }
            fields.insert("type".to_owned(), "rich".into());
            let mut errors = form.errors();
            for (path, max) in [
                (&["title"][..], 256),
                (&["description"], 4_096),
                (&["footer", "text"], 2_048),
                (&["author", "name"], 256),
            ] {
                total += text_at(&mut errors, &place, &fields, path, max);
            }
            match fields.get("fields") {
                Some(Value::Array(list)) => {
                    if list.len() > 25 {
                        errors.add(
                            &["embeds", &place, "fields"],
                            "BASE_TYPE_BAD_LENGTH",
                            "Must be 25 or fewer in length.",
                        );
                    }
                    for (number, field) in list.iter().enumerate() {
                        for (key, max) in [("name", 256), ("value", 1_024)] {
                            let text = field.get(key).and_then(Value::as_str).unwrap_or("").trim();
                            let number = number.to_string();
                            let path = ["embeds", &place, "fields", &number, key];
                            if text.is_empty() {
                                errors.add(&path, "BASE_TYPE_REQUIRED", "This field is required");
                            }
                            errors.length(&path, text, 0, max);
                            total += text.chars().count();
                        }
                    }
                }
                Some(Value::Null) | None => {}
                Some(_) => errors.add(
                    &["embeds", &place, "fields"],
                    "LIST_TYPE_CONVERT",
                    "Only iterables may be used in a ListType",
                ),
            }
            if let Some(color) = fields.get("color").filter(|color| !color.is_null()) {
                match color.as_i64() {
                    Some(color) => errors.range(&["embeds", &place, "color"], color, 0, 0xff_ffff),
                    None => errors.add(&["embeds", &place, "color"], "NUMBER_TYPE_COERCE", "Not an int."),
                }
            }
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        })
        .collect();
    if total > limits::EMBED_CHARS_MAX {
        form.fault(&["embeds"], "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000");
    }
    Some(checked)
}

/// Checks one text of an embed and counts its characters.
fn text_at(
    errors: &mut FormErrors,
    place: &str,
    fields: &serde_json::Map<String, Value>,
    path: &[&str],
    max: usize,
) -> usize {
    let Some(mut value) = fields.get(path[0]) else { return 0 };
    for step in &path[1..] {
        let Some(inner) = value.get(step) else { return 0 };
        value = inner;
    }
    let full: Vec<&str> = ["embeds", place].into_iter().chain(path.iter().copied()).collect();
    match value {
        Value::Null => 0,
        Value::String(text) => {
            errors.length(&full, text.trim(), 0, max);
            text.trim().chars().count()
        }
        _ => {
            errors.add(&full, "STRING_TYPE_CONVERT", "Could not interpret value as string.");
            0
        }
    }
}
