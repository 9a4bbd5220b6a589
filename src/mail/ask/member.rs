//! What is asked of a guild about its members.
//!
//! Lives on: every core.

use crate::base::id::UserId;
use crate::mail::ask::actor::Actor;
use crate::mail::ask::claim::{Claim, Claims};
use crate::wire::request::member::MemberPatch;

/// A request about members. `@me` is resolved at the door.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberRequest {
    /// → `Json` 200.
    Get(UserId),
    /// → `Read`, members by ascending user id.
    List {
        /// After which user.
        after: UserId,
        /// 1 to 1,000.
        limit: u32,
    },
    /// → `Read`, members whose name starts like this.
    Search {
        /// The start of a name.
        prefix: String,
        /// 1 to 1,000.
        limit: u32,
    },
    /// By field: MANAGE_NICKNAMES / CHANGE_NICKNAME, MANAGE_ROLES, MUTE_MEMBERS, DEAFEN_MEMBERS, MODERATE_MEMBERS. →
    /// `Json` 200.
    Modify(UserId, MemberPatch),
    /// KICK_MEMBERS and hierarchy. → `Done`.
    Kick(UserId),
    /// The operator adds a user. → `Json` 201, or `Done` if already a member.
    Add(UserId),
    /// The actor leaves; an owner cannot. → `Done`.
    Leave,
}

impl MemberRequest {
    /// What must not change meanwhile.
    pub fn claims(&self, actor: Actor) -> Claims {
        match self {
            MemberRequest::Modify(user, _) | MemberRequest::Kick(user) | MemberRequest::Add(user) => {
                [Claim::Member(*user)].into_iter().collect()
            }
            MemberRequest::Leave => actor.user().map(Claim::Member).into_iter().collect(),
            MemberRequest::Get(_) | MemberRequest::List { .. } | MemberRequest::Search { .. } => Claims::new(),
        }
    }
}
