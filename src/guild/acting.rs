//! Who acts, and what it may do: permissions and the hierarchy of roles.
//!
//! Lives on: the guild's core. Source: Discord docs, Topics/Permissions (hierarchy, timeouts).

use std::cmp::Reverse;
use std::sync::Arc;

use crate::base::id::{ChannelId, RoleId, UserId};
use crate::guild::Guild;
use crate::guild::plan::{PlanContext, Stop};
use crate::mail::ask::Actor;
use crate::model::channel::Channel;
use crate::model::member::Member;
use crate::model::permissions::Permissions;
use crate::model::role::Role;
use crate::wire::refusal::Refusal;

/// A place in the hierarchy; greater is higher.
type Rank = (i32, Reverse<RoleId>);

/// The actor of a request to the guild.
#[derive(Debug, Clone)]
pub(super) enum Acting {
    /// The operator, or the server itself: everything is permitted.
    Operator,
    /// A member.
    Member {
        /// Who.
        member: Arc<Member>,
        /// Guild-wide, timeout included.
        permissions: Permissions,
        /// Timed out now.
        timed_out: bool,
    },
}

impl Acting {
    /// Guild-wide permissions.
    pub(super) fn permissions(&self) -> Permissions {
        match self {
            Acting::Operator => Permissions::all(),
            Acting::Member { permissions, .. } => *permissions,
        }
    }

    /// The member, which the operator is not.
    pub(super) fn member(&self) -> Result<&Arc<Member>, Refusal> {
        match self {
            Acting::Member { member, .. } => Ok(member),
            Acting::Operator => Err(Refusal::UNKNOWN_MEMBER),
        }
    }

    /// Whose id it is, if it has one.
    pub(super) fn user(&self) -> Option<UserId> {
        match self {
            Acting::Member { member, .. } => Some(member.user.id),
            Acting::Operator => None,
        }
    }

    /// Refuses unless guild-wide permissions are there.
    pub(super) fn require(&self, needed: Permissions) -> Result<(), Refusal> {
        if self.permissions().contains(needed) { Ok(()) } else { Err(Refusal::MISSING_PERMISSIONS) }
    }
}

impl Guild {
    /// Who asks. A stranger has no access.
    pub(super) fn acting(&self, at: &PlanContext<'_>) -> Result<Acting, Stop> {
        let user = match at.actor {
            Actor::Operator | Actor::System => return Ok(Acting::Operator),
            Actor::User(user) => user,
            // What a webhook may do is checked by its own requests, not by permissions.
            Actor::Webhook(_) => return Err(Refusal::MISSING_ACCESS.into()),
        };
        let member = match self.member(user) {
            Err(Stop::Refused(_)) => return Err(Refusal::MISSING_ACCESS.into()),
            other => other?,
        };
        let mut permissions = self.facts.in_guild(user, &member.roles);
        let timed_out = member.timeout_until_ms > at.now.millis() && !permissions.contains(Permissions::ADMINISTRATOR);
        if timed_out {
            permissions &= Permissions::TIMED_OUT;
        }
        Ok(Acting::Member { member, permissions, timed_out })
    }

    /// What it may do in a channel.
    pub(super) fn in_channel(&self, acting: &Acting, channel: ChannelId) -> Permissions {
        match acting {
            Acting::Operator => Permissions::all(),
            Acting::Member { member, timed_out, .. } => {
                let granted = self.facts.in_channel(member.user.id, &member.roles, channel);
                if *timed_out { granted & Permissions::TIMED_OUT } else { granted }
            }
        }
    }

    /// The channel, if it is there, may be seen, and `needed` may be done in it.
    pub(super) fn channel_for(
        &self,
        acting: &Acting,
        channel: ChannelId,
        needed: Permissions,
    ) -> Result<&Arc<Channel>, Refusal> {
        let found = self.facts.channels.get(&channel).ok_or(Refusal::UNKNOWN_CHANNEL)?;
        let granted = self.in_channel(acting, channel);
        if !granted.contains(Permissions::VIEW_CHANNEL) {
            return Err(Refusal::MISSING_ACCESS);
        }
        if !granted.contains(needed) {
            return Err(Refusal::MISSING_PERMISSIONS);
        }
        Ok(found)
    }

    /// Refuses unless `acting` stands above a role.
    pub(super) fn above_role(&self, acting: &Acting, role: &Role) -> Result<(), Refusal> {
        self.above(acting, (role.position, Reverse(role.id)))
    }

    /// Refuses unless `acting` stands above a member. No actor stands above the owner.
    pub(super) fn above_member(&self, acting: &Acting, member: &Member) -> Result<(), Refusal> {
        if member.user.id == self.facts.guild.owner_id && !matches!(acting, Acting::Operator) {
            return Err(Refusal::MISSING_PERMISSIONS);
        }
        self.above(acting, self.facts.highest(&member.roles))
    }

    /// Whether this user owns the guild.
    pub(super) fn is_owner(&self, acting: &Acting) -> bool {
        match acting {
            Acting::Operator => true,
            Acting::Member { member, .. } => member.user.id == self.facts.guild.owner_id,
        }
    }

    fn above(&self, acting: &Acting, other: Rank) -> Result<(), Refusal> {
        let above = match acting {
            Acting::Operator => true,
            Acting::Member { member, .. } => self.is_owner(acting) || self.facts.highest(&member.roles) > other,
        };
        if above { Ok(()) } else { Err(Refusal::MISSING_PERMISSIONS) }
    }
}
