//! Roles. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use crate::base::id::RoleId;
use crate::mail::ask::GuildRequest;
use crate::rest::call::Call;
use crate::rest::form::Form;
use crate::rest::respond::Outcome;
use crate::rest::routes::channels::each;
use crate::wire::request::role::{RoleMove, RolePatch};

/// `GET /guilds/{guild.id}/roles`.
pub async fn list(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::ListRoles).await
}

/// `GET /guilds/{guild.id}/roles/{role.id}`.
pub async fn get(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::GetRole(call.id(1)?)).await
}

/// `POST /guilds/{guild.id}/roles`.
pub async fn create(call: Call) -> Outcome {
    let form = call.form()?;
    let patch = patch(&form);
    form.finish()?;
    call.ask_guild(call.id(0)?, GuildRequest::CreateRole(patch)).await
}

/// `PATCH /guilds/{guild.id}/roles/{role.id}`.
pub async fn modify(call: Call) -> Outcome {
    let form = call.form()?;
    let patch = patch(&form);
    form.finish()?;
    call.ask_guild(call.id(0)?, GuildRequest::ModifyRole(call.id(1)?, patch)).await
}

/// `PATCH /guilds/{guild.id}/roles`.
pub async fn reorder(call: Call) -> Outcome {
    let moves = each(&call.form, |form| RoleMove {
        id: form.id("id").unwrap_or(RoleId::new(0)),
        position: form.number("position", 0, i64::from(i32::MAX)).map(|position| position as i32),
    })?;
    call.ask_guild(call.id(0)?, GuildRequest::MoveRoles(moves)).await
}

/// `DELETE /guilds/{guild.id}/roles/{role.id}`.
pub async fn delete(call: Call) -> Outcome {
    call.ask_guild(call.id(0)?, GuildRequest::DeleteRole(call.id(1)?)).await
}

fn patch(form: &Form<'_>) -> RolePatch {
    // Newer clients send `colors` instead of `color`.
    let primary = form.raw("colors").and_then(|colors| colors.get("primary_color")?.as_u64()).map(|color| color as u32);
    RolePatch {
        name: form.text("name", 1, 100),
        permissions: form.parsed("permissions", "PERMISSIONS_INVALID", "Not a set of permissions."),
        color: form.number("color", 0, 0xff_ffff).map(|color| color as u32).or(primary.filter(|c| *c <= 0xff_ffff)),
        hoist: form.flag("hoist"),
        mentionable: form.flag("mentionable"),
        unicode_emoji: form.nullable_text("unicode_emoji", 32),
    }
}
