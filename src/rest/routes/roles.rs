//! Roles. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use crate::mail::ask::role::RoleRequest;
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::HandlerResult;

/// `GET /guilds/{guild.id}/roles`.
pub async fn list(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, RoleRequest::List).await
}

/// `GET /guilds/{guild.id}/roles/{role.id}`.
pub async fn get(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, RoleRequest::Get(call.id(1)?)).await
}

/// `POST /guilds/{guild.id}/roles`.
pub async fn create(call: Call) -> HandlerResult {
    let patch = form::role::patch(&call.body)?;
    call.ask_guild(call.id(0)?, RoleRequest::Create(patch)).await
}

/// `PATCH /guilds/{guild.id}/roles/{role.id}`.
pub async fn modify(call: Call) -> HandlerResult {
    let patch = form::role::patch(&call.body)?;
    call.ask_guild(call.id(0)?, RoleRequest::Modify(call.id(1)?, patch)).await
}

/// `PATCH /guilds/{guild.id}/roles`.
pub async fn reorder(call: Call) -> HandlerResult {
    let moves = form::role::moves(&call.body)?;
    call.ask_guild(call.id(0)?, RoleRequest::Move(moves)).await
}

/// `DELETE /guilds/{guild.id}/roles/{role.id}`.
pub async fn delete(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, RoleRequest::Delete(call.id(1)?)).await
}
