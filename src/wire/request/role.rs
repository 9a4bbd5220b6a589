//! Bodies about roles. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use crate::base::id::RoleId;
use crate::model::permissions::Permissions;

/// `POST` and `PATCH` of a role. `None` is: leave as it is, or the default for a new role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RolePatch {
    /// 1 to 100 characters; `new role` by default.
    pub name: Option<String>,
    /// `@everyone`'s by default.
    pub permissions: Option<Permissions>,
    /// 0xRRGGBB.
    pub color: Option<u32>,
    /// Shown apart.
    pub hoist: Option<bool>,
    /// Anyone may mention it.
    pub mentionable: Option<bool>,
    /// An emoji beside the name; the inner `None` is `null`.
    pub unicode_emoji: Option<Option<String>>,
}

/// One entry of `PATCH /guilds/{guild.id}/roles`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleMove {
    /// Which.
    pub id: RoleId,
    /// Where to; `None` leaves it.
    pub position: Option<i32>,
}
