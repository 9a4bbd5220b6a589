//! Messages. Source: Discord docs, Resources/Message.
//!
//! Lives on: every core.

use serde_json::json;

use crate::base::id::{ChannelId, MessageId, UserId};
use crate::mail::ask::{GuildRequest, Reply, Request};
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::{self, Outcome};
use crate::store::{Anchor, Found, Query};
use crate::wire::intents::Intents;
use crate::wire::model::message::{Message, MessageView};
use crate::wire::refusal::Refusal;

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
    if anchor == Anchor::Newest {
        call.desk.record_history(channel, reader.user, limit);
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
    let draft = form::message::draft(&call.body)?;
    call.ask_channel(channel, GuildRequest::CreateMessage(channel, draft)).await
}

/// `PATCH /channels/{channel.id}/messages/{message.id}`.
pub async fn edit(call: Call) -> Outcome {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    let patch = form::message::patch(&call.body)?;
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
    let ids = form::message::bulk_deletion(&call.body)?;
    call.ask_channel(channel, GuildRequest::BulkDelete(channel, ids)).await
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
