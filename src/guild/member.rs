//! Members: read, change, remove, add, leave. Source: Discord docs, Resources/Guild.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use serde_json::json;

use crate::base::id::UserId;
use crate::guild::Guild;
use crate::guild::plan::{Effect, Plan, PlanContext, Stop};
use crate::guild::settings::set;
use crate::mail::ask::member::MemberRequest;
use crate::mail::ask::{Actor, Reply, Shape};
use crate::mail::event::{Change, Scope};
use crate::model::member::Member;
use crate::model::permissions::Permissions;
use crate::model::user::User;
use crate::store::{Found, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::member::MemberOf;
use crate::wire::model::member::MemberView;
use crate::wire::model::user::UserView;
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::member::MemberPatch;

impl Guild {
    pub(super) fn plan_member(&self, request: &MemberRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        use MemberRequest as R;
        match request {
            R::Get(user) => self.plan_get_member(*user, at),
            R::List { after, limit } => {
                self.plan_read_members(Query::Members { guild: self.id(), after: *after, limit: *limit }, at)
            }
            R::Search { prefix, limit } => {
                let prefix = prefix.clone();
                self.plan_read_members(Query::MembersByPrefix { guild: self.id(), prefix, limit: *limit }, at)
            }
            R::Modify(user, patch) => self.plan_modify_member(*user, patch, at),
            R::Kick(user) => self.plan_kick(*user, at),
            R::Add(user) => self.plan_add_member(*user, at),
            R::Leave => self.plan_leave(at),
        }
    }

    fn plan_get_member(&self, user: UserId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        self.acting(at)?;
        let member = self.member(user)?;
        Ok(Plan::json(200, &MemberView(&member)))
    }

    fn plan_read_members(&self, query: Query, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        self.acting(at)?;
        Ok(Plan::answer(Reply::Read(query, Shape::Members)))
    }

    fn plan_modify_member(&self, user: UserId, patch: &MemberPatch, at: &PlanContext<'_>) -> Result<Plan, Stop> {
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
            return Ok(Plan::json(200, &MemberView(&member)));
        }
        Ok(self.put_member(member))
    }

    fn plan_kick(&self, user: UserId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::KICK_MEMBERS)?;
        let member = self.member(user)?;
        if user == self.facts.guild.owner_id {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        self.above_member(&acting, &member)?;
        Ok(self.remove(&member))
    }

    fn plan_leave(&self, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at).map_err(|halt| match halt {
            Stop::Refused(_) => Stop::Refused(Refusal::UNKNOWN_GUILD),
            needs @ Stop::Needs(_) => needs,
        })?;
        if self.is_owner(&acting) {
            // An owner must hand the guild over, or delete it.
            return Err(Refusal::INVALID_GUILD.into());
        }
        Ok(self.remove(acting.member()?))
    }

    fn plan_add_member(&self, user: UserId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        match at.actor {
            Actor::Operator | Actor::System => {}
            // Adding others takes an OAuth2 grant, which this server does not have.
            Actor::User(_) | Actor::Webhook(_) => return Err(Refusal::MISSING_PERMISSIONS.into()),
        }
        match self.member(user) {
            Ok(_) => return Ok(Plan::done()),
            Err(Stop::Refused(_)) => {}
            Err(needs) => return Err(needs),
        }
        let Found::Users(users) = at.look_up(Query::Users(vec![user]))? else { unreachable!("users were asked for") };
        let user = users.first().ok_or(Refusal::UNKNOWN_USER)?;
        Ok(self.add(user.clone(), at))
    }

    /// A user becomes a member.
    pub(super) fn add(&self, user: User, at: &PlanContext<'_>) -> Plan {
        let id = user.id;
        let member = Member::new(user, at.now.millis());
        let change = Change::Member(Arc::new(member.clone()));
        let body = MemberOf(self.id(), &member);
        let event = self.event(EventName::GuildMemberAdd, Scope::Guild, &body).changing(change);
        Plan::json(201, &MemberView(&member))
            .write(Write::PutMember(self.id(), Box::new(member)))
            .event(event)
            .effect(Effect::MemberJoined(id))
            .if_gone(Refusal::UNKNOWN_USER)
    }

    /// Writes a changed member. Sessions that asked for members get it, and the member's own.
    pub(super) fn put_member(&self, member: Member) -> Plan {
        let change = Change::Member(Arc::new(member.clone()));
        let event = self.event(EventName::GuildMemberUpdate, Scope::Guild, &MemberOf(self.id(), &member));
        let event = event.changing(change).always_to(member.user.id);
        Plan::json(200, &MemberView(&member)).write(Write::PutMember(self.id(), Box::new(member))).event(event)
    }

    fn remove(&self, member: &Member) -> Plan {
        let user = member.user.id;
        let body = json!({ "guild_id": self.id(), "user": UserView(&member.user) });
        let event = self.event(EventName::GuildMemberRemove, Scope::Guild, &body).changing(Change::MemberLeft(user));
        Plan::done().write(Write::RemoveMember(self.id(), user)).event(event).effect(Effect::MemberLeft(user))
    }
}
