//! What is asked of a guild about its roles, and who has them.
//!
//! Lives on: every core.

use crate::base::id::{RoleId, UserId};
use crate::mail::ask::actor::Actor;
use crate::mail::ask::claim::{Claim, Claims};
use crate::wire::request::role::{RoleMove, RolePatch};

/// A request about roles.
#[derive(Debug, Clone, PartialEq)]
pub enum RoleRequest {
    /// → `Json` 200, array.
    List,
    /// → `Json` 200.
    Get(RoleId),
    /// MANAGE_ROLES. → `Json` 200.
    Create(RolePatch),
    /// MANAGE_ROLES. → `Json` 200.
    Modify(RoleId, RolePatch),
    /// MANAGE_ROLES. → `Json` 200, all roles.
    Move(Vec<RoleMove>),
    /// MANAGE_ROLES. → `Done`.
    Delete(RoleId),
    /// MANAGE_ROLES and hierarchy. → `Done`.
    Give(UserId, RoleId),
    /// MANAGE_ROLES and hierarchy. → `Done`.
    Take(UserId, RoleId),
}

impl RoleRequest {
    /// What must not change meanwhile.
    pub fn claims(&self, _actor: Actor) -> Claims {
        match self {
            RoleRequest::Create(_) | RoleRequest::Modify(..) | RoleRequest::Move(_) | RoleRequest::Delete(_) => {
                [Claim::Structure].into_iter().collect()
            }
            RoleRequest::Give(user, _) | RoleRequest::Take(user, _) => [Claim::Member(*user)].into_iter().collect(),
            RoleRequest::List | RoleRequest::Get(_) => Claims::new(),
        }
    }
}
