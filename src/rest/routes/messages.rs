//! Messages. Source: Discord docs, Resources/Message.
//!
//! Lives on: every core.

use crate::base::id::{ChannelId, MessageId};
use crate::mail::ask::message::MessageRequest;
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::HandlerResult;
use crate::store::Anchor;

/// `GET /channels/{channel.id}/messages`.
pub async fn list(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    let limit = call.asked_number("limit", 1, 100, 50)?;
    let anchors = [
        call.asked_as::<MessageId>("before")?.map(Anchor::Before),
        call.asked_as::<MessageId>("after")?.map(Anchor::After),
        call.asked_as::<MessageId>("around")?.map(Anchor::Around),
    ];
    let anchor = anchors.into_iter().flatten().next().unwrap_or(Anchor::Newest);
    let user = call.user()?;
    let outcome = call.ask_channel(channel, MessageRequest::List { channel, anchor, limit }).await?;
    if anchor == Anchor::Newest {
        call.desk.record_history(channel, user, limit);
    }
    Ok(outcome)
}

/// `GET /channels/{channel.id}/messages/{message.id}`.
pub async fn get(call: Call) -> HandlerResult {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    call.ask_channel(channel, MessageRequest::Get(channel, id)).await
}

/// `POST /channels/{channel.id}/messages`.
pub async fn create(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    let draft = form::message::draft(&call.body)?;
    call.ask_channel(channel, MessageRequest::Create(channel, draft)).await
}

/// `PATCH /channels/{channel.id}/messages/{message.id}`.
pub async fn edit(call: Call) -> HandlerResult {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    let patch = form::message::patch(&call.body)?;
    call.ask_channel(channel, MessageRequest::Edit(channel, id, patch)).await
}

/// `DELETE /channels/{channel.id}/messages/{message.id}`.
pub async fn delete(call: Call) -> HandlerResult {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    call.ask_channel(channel, MessageRequest::Delete(channel, id)).await
}

/// `POST /channels/{channel.id}/messages/bulk-delete`.
pub async fn bulk_delete(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    let ids = form::message::bulk_deletion(&call.body)?;
    call.ask_channel(channel, MessageRequest::BulkDelete(channel, ids)).await
}

/// `POST /channels/{channel.id}/typing`.
pub async fn typing(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    call.ask_channel(channel, MessageRequest::Typing(channel)).await
}
