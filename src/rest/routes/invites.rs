//! Invites. Source: Discord docs, Resources/Invite and Resources/Channel.
//!
//! Lives on: every core.

use crate::base::id::{ChannelId, GuildId};
use crate::mail::ask::invite::InviteRequest;
use crate::mail::ask::{Actor, Request};
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::{self, HandlerResult};
use crate::store::{Found, Query};
use crate::wire::refusal::Refusal;

/// `POST /channels/{channel.id}/invites`.
pub async fn create(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    let draft = form::invite::draft(&call.body)?;
    call.ask_channel(channel, InviteRequest::Create(channel, draft)).await
}

/// `GET /guilds/{guild.id}/invites`.
pub async fn of_guild(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, InviteRequest::List(None)).await
}

/// `GET /channels/{channel.id}/invites`.
pub async fn of_channel(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    call.ask_channel(channel, InviteRequest::List(Some(channel))).await
}

/// Anyone may look at an invite, signed in or not.
/// `GET /invites/{code}`.
pub async fn get(call: Call) -> HandlerResult {
    let (guild, code) = guild(&call).await?;
    let with_counts = call.asked_flag("with_counts");
    let request = Request::Guild(guild, InviteRequest::Get { code, with_counts }.into());
    // The caller may have no account.
    respond::reply(call.desk.ask(Actor::System, None, request).await?)
}

/// `POST /invites/{code}`.
pub async fn accept(call: Call) -> HandlerResult {
    let (guild, code) = guild(&call).await?;
    call.room_for_a_guild().await?;
    call.ask_guild(guild, InviteRequest::Accept { code }).await
}

/// `DELETE /invites/{code}`.
pub async fn delete(call: Call) -> HandlerResult {
    let (guild, code) = guild(&call).await?;
    call.ask_guild(guild, InviteRequest::Delete { code }).await
}

async fn guild(call: &Call) -> Result<(GuildId, String), Refusal> {
    let code = call.word(0).into_owned();
    match call.desk.read(Query::Invite(code.clone())).await? {
        Found::Invite(Some(invite)) => Ok((invite.guild_id, code)),
        _ => Err(Refusal::UNKNOWN_INVITE),
    }
}
