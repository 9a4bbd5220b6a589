//! A member: a user in a guild.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::base::id::RoleId;
use crate::model::is_default;
use crate::model::user::User;

/// A user in a guild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Name in this guild, 1 to 32 characters.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nick: Option<String>,
    /// Roles without `@everyone`, ascending by id.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles: SmallVec<[RoleId; 2]>,
    /// Unix milliseconds.
    pub joined_at_ms: u64,
    /// Deafened by a moderator.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deaf: bool,
    /// Muted by a moderator.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mute: bool,
    /// Timed out until this Unix millisecond; 0 is not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout_until_ms: u64,
}

impl Member {
    /// A user who has just joined.
    pub fn new(user: User, joined_at_ms: u64) -> Member {
        Member { user, nick: None, roles: SmallVec::new(), joined_at_ms, deaf: false, mute: false, timeout_until_ms: 0 }
    }

    /// Whether the member has the role. `@everyone` is not listed and answered by the caller.
    pub fn has(&self, role: RoleId) -> bool {
        self.roles.contains(&role)
    }
}
