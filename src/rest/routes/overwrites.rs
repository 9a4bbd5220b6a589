//! Permission overwrites. Source: Discord docs, Resources/Channel/Edit Channel Permissions.
//!
//! Lives on: every core.

use crate::base::id::{Id, kind};
use crate::mail::ask::channel::ChannelRequest;
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::HandlerResult;

/// `PUT /channels/{channel.id}/permissions/{overwrite.id}`.
pub async fn put(call: Call) -> HandlerResult {
    let channel = call.id(0)?;
    let id: Id<kind::OfUser> = call.id(1)?;
    let overwrite = form::overwrite::overwrite(id.get(), &call.body)?;
    call.ask_channel(channel, ChannelRequest::PutOverwrite(channel, overwrite)).await
}

/// `DELETE /channels/{channel.id}/permissions/{overwrite.id}`.
pub async fn delete(call: Call) -> HandlerResult {
    let channel = call.id(0)?;
    let id: Id<kind::OfUser> = call.id(1)?;
    call.ask_channel(channel, ChannelRequest::DeleteOverwrite(channel, id.get())).await
}
