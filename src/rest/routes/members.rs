//! Members. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use crate::base::id::{GuildId, UserId};
use crate::mail::ask::member::MemberRequest;
use crate::mail::ask::role::RoleRequest;
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::{self, HandlerResult};
use crate::wire::intents::Intents;
use crate::wire::model::account;
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::member::MemberPatch;

/// `GET /guilds/{guild.id}/members`.
pub async fn list(call: Call) -> HandlerResult {
    let guild: GuildId = call.id(0)?;
    let limit = call.asked_number("limit", 1, 1_000, 1)?;
    let after = call.asked_as::<UserId>("after")?.unwrap_or(UserId::new(0));
    let caller = call.account().await?;
    if caller.user.bot && !account::allows(&caller, Intents::GUILD_MEMBERS) {
        return Err(Refusal::MISSING_ACCESS);
    }
    call.ask_guild(guild, MemberRequest::List { after, limit }).await
}

/// `GET /guilds/{guild.id}/members/search`.
pub async fn search(call: Call) -> HandlerResult {
    let guild: GuildId = call.id(0)?;
    let limit = call.asked_number("limit", 1, 1_000, 1)?;
    let Some(prefix) = call.asked("query").filter(|query| !query.is_empty()) else {
        return Err(FormErrors::one(&["query"], "BASE_TYPE_REQUIRED", "This field is required"));
    };
    call.ask_guild(guild, MemberRequest::Search { prefix, limit }).await
}

/// `GET /guilds/{guild.id}/members/{user.id}`.
pub async fn get(call: Call) -> HandlerResult {
    let user = who(&call, 1)?;
    call.ask_guild(call.id(0)?, MemberRequest::Get(user)).await
}

/// `PATCH /guilds/{guild.id}/members/{user.id}`.
pub async fn modify(call: Call) -> HandlerResult {
    let user = who(&call, 1)?;
    change(call, user).await
}

/// `PATCH /guilds/{guild.id}/members/@me`.
pub async fn modify_me(call: Call) -> HandlerResult {
    let user = call.user()?;
    change(call, user).await
}

/// The old form, which answers with the nickname alone.
/// `PATCH /guilds/{guild.id}/members/@me/nick`.
pub async fn modify_my_nick(call: Call) -> HandlerResult {
    let user = call.user()?;
    let nick = form::member::nick(&call.body)?;
    let patch = MemberPatch { nick: Some(nick.clone()), ..MemberPatch::default() };
    call.ask_guild(call.id(0)?, MemberRequest::Modify(user, patch)).await?;
    respond::json(200, &serde_json::json!({ "nick": nick }))
}

/// `DELETE /guilds/{guild.id}/members/{user.id}`.
pub async fn remove(call: Call) -> HandlerResult {
    let user = who(&call, 1)?;
    call.ask_guild(call.id(0)?, MemberRequest::Kick(user)).await
}

/// `PUT /guilds/{guild.id}/members/{user.id}/roles/{role.id}`.
pub async fn give_role(call: Call) -> HandlerResult {
    let user = who(&call, 1)?;
    call.ask_guild(call.id(0)?, RoleRequest::Give(user, call.id(2)?)).await
}

/// `DELETE /guilds/{guild.id}/members/{user.id}/roles/{role.id}`.
pub async fn take_role(call: Call) -> HandlerResult {
    let user = who(&call, 1)?;
    call.ask_guild(call.id(0)?, RoleRequest::Take(user, call.id(2)?)).await
}

async fn change(call: Call, user: UserId) -> HandlerResult {
    let patch = form::member::patch(&call.body)?;
    call.ask_guild(call.id(0)?, MemberRequest::Modify(user, patch)).await
}

fn who(call: &Call, index: usize) -> Result<UserId, Refusal> {
    if call.word(index) == "@me" { call.user() } else { call.id(index) }
}
