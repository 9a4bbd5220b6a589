//! Channels. Source: Discord docs, Resources/Channel and Resources/Guild.
//!
//! Lives on: every core.

use crate::mail::ask::channel::ChannelRequest;
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::HandlerResult;

/// `GET /guilds/{guild.id}/channels`.
pub async fn list(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, ChannelRequest::List).await
}

/// `POST /guilds/{guild.id}/channels`.
pub async fn create(call: Call) -> HandlerResult {
    let draft = form::channel::draft(&call.body)?;
    call.ask_guild(call.id(0)?, ChannelRequest::Create(draft)).await
}

/// `PATCH /guilds/{guild.id}/channels`.
pub async fn reorder(call: Call) -> HandlerResult {
    let moves = form::channel::moves(&call.body)?;
    call.ask_guild(call.id(0)?, ChannelRequest::Move(moves)).await
}

/// `GET /channels/{channel.id}`.
pub async fn get(call: Call) -> HandlerResult {
    let channel = call.id(0)?;
    call.ask_channel(channel, ChannelRequest::Get(channel)).await
}

/// `PATCH /channels/{channel.id}`, `PUT /channels/{channel.id}`.
pub async fn modify(call: Call) -> HandlerResult {
    let channel = call.id(0)?;
    let patch = form::channel::patch(&call.body)?;
    call.ask_channel(channel, ChannelRequest::Modify(channel, patch)).await
}

/// `DELETE /channels/{channel.id}`.
pub async fn delete(call: Call) -> HandlerResult {
    let channel = call.id(0)?;
    call.ask_channel(channel, ChannelRequest::Delete(channel)).await
}
