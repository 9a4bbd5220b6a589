//! Guilds. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde_json::json;

use crate::mail::ask::Request;
use crate::mail::ask::guild::SettingsRequest;
use crate::mail::ask::role::RoleRequest;
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::{self, HandlerResult};

/// `POST /guilds`.
pub async fn create(call: Call) -> HandlerResult {
    let draft = form::guild::draft(&call.body)?;
    call.room_for_a_guild().await?;
    let owner = call.user()?;
    let request = Request::FoundGuild { shard: call.random_shard(), owner, draft };
    call.ask(request).await
}

/// `GET /guilds/{guild.id}`.
pub async fn get(call: Call) -> HandlerResult {
    let with_counts = call.asked_flag("with_counts");
    call.ask_guild(call.id(0)?, SettingsRequest::Get { with_counts }).await
}

/// `PATCH /guilds/{guild.id}`.
pub async fn modify(call: Call) -> HandlerResult {
    let patch = form::guild::patch(&call.body)?;
    call.ask_guild(call.id(0)?, SettingsRequest::Modify(patch)).await
}

/// `DELETE /guilds/{guild.id}`.
pub async fn delete(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, SettingsRequest::Delete).await
}

/// There are no emojis here: an empty list for those who may see the guild.
/// `GET /guilds/{guild.id}/emojis`.
pub async fn emojis(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, RoleRequest::List).await?;
    respond::json(200, &json!([]))
}

/// There are no threads here: an empty list for those who may see the guild.
/// `GET /guilds/{guild.id}/threads/active`.
pub async fn active_threads(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, RoleRequest::List).await?;
    respond::json(200, &json!({ "threads": [], "members": [] }))
}
