//! Members: read, change, remove, add, leave. Source: Discord docs, Resources/Guild.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use serde_json::json;

use crate::base::id::UserId;
use crate::guild::settings::set;
use crate::guild::{Circumstances, Guild, Halt, Membership, Plan};
use crate::mail::ask::{Actor, Reply};
use crate::mail::event::{Change, Scope};
use crate::store::{Found, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::member::{Member, MemberOf};
use crate::wire::model::user::User;
use crate::wire::permissions::Permissions;
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::member::MemberPatch;

impl Guild {
    pub(super) fn plan_get_member(&self, user: UserId, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        self.acting(at)?;
        Ok(Plan::json(200, &*self.member(user)?))
    }

    pub(super) fn plan_list_members(&self, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        self.acting(at)?;
        Ok(Plan::answer(Reply::MayList))
    }

    pub(super) fn plan_modify_member(
        &self,
        user: UserId,
        patch: &MemberPatch,
        at: &Circumstances<'_>,
    ) -> Result<Plan, Halt> {
        let acting = self.acting(at)?;
        let before = self.member(user)?;
        let own = acting.user() == Some(user);
        let mut needed = Permissions::empty();
        if patch.nick.is_some() {
            needed |= if own { Permissions::CHANGE_NICKNAME } else { Permissions::MANAGE_NICKNAMES };
        }
        for (touched, permission) in [
            (patch.roles.is_some(), Permissions::MANAGE_ROLES),
            (patch.mute.is_some(), Permissions::MUTE_MEMBERS),
            (patch.deaf.is_some(), Permissions::DEAFEN_MEMBERS),
            (patch.timeout_until_ms.is_some(), Permissions::MODERATE_MEMBERS),
        ] {
            needed |= if touched { permission } else { Permissions::empty() };
        }
        acting.require(needed)?;
        if !own && (patch.nick.is_some() || patch.timeout_until_ms.is_some()) {
            self.above_member(&acting, &before)?;
        }
        let mut member = (*before).clone();
        if let Some(roles) = &patch.roles {
            member.roles = roles.iter().copied().collect();
            member.roles.sort_unstable();
            member.roles.dedup();
            if let Some(role) = member.roles.iter().find(|role| !self.facts.roles.contains_key(role)) {
                let message = format!("Unknown role {role}.");
                return Err(FormErrors::one(&["roles"], "UNKNOWN_ROLE", message).into());
            }
            let changed = member.roles.iter().filter(|role| !before.has(**role));
            let taken = before.roles.iter().filter(|role| !member.has(**role));
            for role in changed.chain(taken) {
                // A role that is gone may always be dropped.
                if self.facts.roles.contains_key(role) {
                    self.may_hand_out(&acting, *role)?;
                }
            }
        }
        if let Some(until) = patch.timeout_until_ms {
            let theirs = self.facts.in_guild(user, &before.roles);
            if until.is_some() && theirs.contains(Permissions::ADMINISTRATOR) {
                return Err(Refusal::MISSING_PERMISSIONS.into());
            }
            member.timeout_until_ms = until.unwrap_or(0);
        }
        set(&mut member.nick, &patch.nick);
        set(&mut member.mute, &patch.mute);
        set(&mut member.deaf, &patch.deaf);
        if member == *before {
            return Ok(Plan::json(200, &member));
        }
        Ok(self.put_member(member))
    }

    pub(super) fn plan_kick(&self, user: UserId, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        let acting = self.acting(at)?;
        acting.require(Permissions::KICK_MEMBERS)?;
        let member = self.member(user)?;
        if user == self.facts.guild.owner_id {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        self.above_member(&acting, &member)?;
        Ok(self.remove(&member))
    }

    pub(super) fn plan_leave(&self, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        let acting = self.acting(at).map_err(|halt| match halt {
            Halt::Refused(_) => Halt::Refused(Refusal::UNKNOWN_GUILD),
            needs @ Halt::Needs(_) => needs,
        })?;
        if self.is_owner(&acting) {
            // An owner must hand the guild over, or delete it.
            return Err(Refusal::INVALID_GUILD.into());
        }
        Ok(self.remove(acting.member()?))
    }

    pub(super) fn plan_add_member(&self, user: UserId, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        if let Actor::User(_) = at.actor {
            // Adding others takes an OAuth2 grant, which this server does not have.
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        match self.member(user) {
            Ok(_) => return Ok(Plan::answer(Reply::Done)),
            Err(Halt::Refused(_)) => {}
            Err(needs) => return Err(needs),
        }
        let Found::Users(users) = at.look_up(Query::Users(vec![user]))? else { unreachable!("users were asked for") };
        let user = users.first().ok_or(Refusal::UNKNOWN_USER)?;
        Ok(self.add(user.clone(), at))
    }

    /// A user becomes a member.
    pub(super) fn add(&self, user: User, at: &Circumstances<'_>) -> Plan {
        let id = user.id;
        let member = Member::new(user, at.now.millis());
        let change = Change::Member(Arc::new(member.clone()));
        let body = MemberOf(self.id(), &member);
        let event = self.event(EventName::GuildMemberAdd, Scope::Guild, &body, Some(change));
        let reply = Plan::json(201, &member).reply;
        Plan {
            writes: vec![Write::PutMember(self.id(), Box::new(member))],
            events: vec![event],
            newest: None,
            membership: Some((id, Membership::Gained)),
            sent: None,
            reply,
        }
    }

    /// Writes a changed member and tells everybody who asked for members, and the member itself.
    pub(super) fn put_member(&self, member: Member) -> Plan {
        let change = Change::Member(Arc::new(member.clone()));
        let mut event =
            self.event(EventName::GuildMemberUpdate, Scope::Guild, &MemberOf(self.id(), &member), Some(change));
        event.always_to = Some(member.user.id);
        let reply = Plan::json(200, &member).reply;
        let writes = vec![Write::PutMember(self.id(), Box::new(member))];
        Plan { writes, events: vec![event], newest: None, membership: None, sent: None, reply }
    }

    fn remove(&self, member: &Member) -> Plan {
        let user = member.user.id;
        let body = json!({ "guild_id": self.id(), "user": member.user });
        let event = self.event(EventName::GuildMemberRemove, Scope::Guild, &body, Some(Change::MemberLeft(user)));
        Plan {
            writes: vec![Write::RemoveMember(self.id(), user)],
            events: vec![event],
            newest: None,
            membership: Some((user, Membership::Parted)),
            sent: None,
            reply: Reply::Done,
        }
    }
}
