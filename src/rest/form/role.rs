//! Roles. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::base::id::RoleId;
use crate::limits;
use crate::rest::form::reader::{self, FormReader};
use crate::wire::refusal::Refusal;
use crate::wire::request::role::{RoleMove, RolePatch};

/// `POST /guilds/{guild.id}/roles`, `PATCH /guilds/{guild.id}/roles/{role.id}`.
pub fn patch(body: &Value) -> Result<RolePatch, Refusal> {
    let form = FormReader::new(body)?;
    // Newer clients send `colors` instead of `color`.
    let primary = form.raw("colors").and_then(|colors| colors.get("primary_color")?.as_i64());
    let primary = primary.filter(|color| (0..=limits::COLOR_MAX).contains(color));
    let patch = RolePatch {
        name: form.text("name", 1, limits::ROLE_NAME_CHARS_MAX),
        permissions: form.parsed("permissions", "PERMISSIONS_INVALID", "Not a set of permissions."),
        color: form.number("color", 0, limits::COLOR_MAX).or(primary).map(|color| color as u32),
        hoist: form.flag("hoist"),
        mentionable: form.flag("mentionable"),
        unicode_emoji: form.nullable_text("unicode_emoji", limits::ROLE_EMOJI_CHARS_MAX),
    };
    form.finish()?;
    Ok(patch)
}

/// `PATCH /guilds/{guild.id}/roles`.
pub fn moves(body: &Value) -> Result<Vec<RoleMove>, Refusal> {
    reader::each(body, |form| RoleMove { id: form.id("id").unwrap_or(RoleId::new(0)), position: form.position() })
}
