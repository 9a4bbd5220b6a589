//! Roles: list, make, change, order, delete, give and take. Source: Discord docs, Resources/Guild, Topics/Permissions.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use serde_json::json;

use crate::base::id::{RoleId, UserId};
use crate::guild::Guild;
use crate::guild::acting::Acting;
use crate::guild::plan::{Plan, PlanContext, Stop};
use crate::guild::settings::set;
use crate::limits;
use crate::mail::ask::Reply;
use crate::mail::ask::role::RoleRequest;
use crate::mail::event::{Change, Scope};
use crate::model::permissions::Permissions;
use crate::model::role::Role;
use crate::store::Write;
use crate::wire::event::EventName;
use crate::wire::model::rendered;
use crate::wire::model::role::RoleView;
use crate::wire::refusal::Refusal;
use crate::wire::request::role::{RoleMove, RolePatch};

impl Guild {
    pub(super) fn plan_role(&self, request: &RoleRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        use RoleRequest as R;
        match request {
            R::List => self.plan_list_roles(at),
            R::Get(role) => self.plan_get_role(*role, at),
            R::Create(patch) => self.plan_create_role(patch, at),
            R::Modify(role, patch) => self.plan_modify_role(*role, patch, at),
            R::Move(moves) => self.plan_move_roles(moves, at),
            R::Delete(role) => self.plan_delete_role(*role, at),
            R::Give(user, role) => self.plan_change_role(*user, *role, true, at),
            R::Take(user, role) => self.plan_change_role(*user, *role, false, at),
        }
    }

    /// Roles by position, ties by id.
    pub(super) fn roles_in_order(&self) -> Vec<&Role> {
        let mut roles: Vec<&Role> = self.facts.roles.values().map(Arc::as_ref).collect();
        roles.sort_by_key(|role| (role.position, role.id));
        roles
    }

    fn plan_list_roles(&self, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        self.acting(at)?;
        Ok(Plan::json(200, &rendered(self.roles_in_order().into_iter().map(RoleView))))
    }

    fn plan_get_role(&self, role: RoleId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        self.acting(at)?;
        Ok(Plan::json(200, &RoleView(self.facts.roles.get(&role).ok_or(Refusal::UNKNOWN_ROLE)?)))
    }

    fn plan_create_role(&self, patch: &RolePatch, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_ROLES)?;
        if self.facts.roles.len() >= limits::GUILD_ROLES_MAX {
            return Err(Refusal::TOO_MANY_ROLES.into());
        }
        may_grant(&acting, patch.permissions.unwrap_or_default())?;
        let everyone = &self.facts.roles[&self.id().cast()];
        let mut role = Role {
            id: self.mint(at),
            name: "new role".to_owned(),
            permissions: everyone.permissions,
            // New roles come in at the bottom; ties are ordered by id, so no other role moves.
            position: 1,
            ..Role::everyone(self.id())
        };
        patched(&mut role, patch);
        Ok(self.put_role(EventName::GuildRoleCreate, role))
    }

    fn plan_modify_role(&self, id: RoleId, patch: &RolePatch, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_ROLES)?;
        let before = self.facts.roles.get(&id).ok_or(Refusal::UNKNOWN_ROLE)?;
        self.above_role(&acting, before)?;
        let mut role = Role::clone(before);
        patched(&mut role, patch);
        if id == self.id().cast() {
            role.name.clone_from(&before.name);
        }
        may_grant(&acting, role.permissions.difference(before.permissions))?;
        Ok(self.put_role(EventName::GuildRoleUpdate, role))
    }

    fn plan_move_roles(&self, moves: &[RoleMove], at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_ROLES)?;
        let mut plan = Plan::done();
        let mut after = self.facts.roles.clone();
        for step in moves {
            let before = self.facts.roles.get(&step.id).ok_or(Refusal::UNKNOWN_ROLE)?;
            let Some(position) = step.position.filter(|position| *position != before.position) else { continue };
            self.above_role(&acting, before)?;
            let role = Role { position, ..Role::clone(before) };
            self.above_role(&acting, &role)?;
            if step.id == self.id().cast() || position < 1 {
                return Err(Refusal::INVALID_ROLE.into());
            }
            plan = plan.and(self.put_role(EventName::GuildRoleUpdate, role.clone()));
            after.insert(role.id, Arc::new(role));
        }
        let mut roles: Vec<&Role> = after.values().map(Arc::as_ref).collect();
        roles.sort_by_key(|role| (role.position, role.id));
        Ok(Plan::json(200, &rendered(roles.into_iter().map(RoleView))).and(plan))
    }

    fn plan_delete_role(&self, id: RoleId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_ROLES)?;
        let role = self.facts.roles.get(&id).ok_or(Refusal::UNKNOWN_ROLE)?;
        self.above_role(&acting, role)?;
        if id == self.id().cast() || role.managed {
            return Err(Refusal::INVALID_ROLE.into());
        }
        let body = json!({ "guild_id": self.id(), "role_id": id });
        let event = self.event(EventName::GuildRoleDelete, Scope::Guild, &body).changing(Change::RoleGone(id));
        Ok(Plan::done().write(Write::DeleteRole(self.id(), id)).event(event))
    }

    fn plan_change_role(&self, user: UserId, role: RoleId, give: bool, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_ROLES)?;
        self.may_hand_out(&acting, role)?;
        let before = self.member(user)?;
        if before.has(role) == give {
            return Ok(Plan::done());
        }
        let mut member = (*before).clone();
        if give {
            member.roles.push(role);
            member.roles.sort_unstable();
        } else {
            member.roles.retain(|other| *other != role);
        }
        Ok(self.put_member(member).replying(Reply::Done))
    }

    /// Refuses unless the role may be given and taken by `acting`.
    pub(super) fn may_hand_out(&self, acting: &Acting, role: RoleId) -> Result<(), Refusal> {
        let found = self.facts.roles.get(&role).ok_or(Refusal::UNKNOWN_ROLE)?;
        if role == self.id().cast() || found.managed {
            return Err(Refusal::INVALID_ROLE);
        }
        self.above_role(acting, found)
    }

    fn put_role(&self, name: EventName, role: Role) -> Plan {
        let body = json!({ "guild_id": self.id(), "role": RoleView(&role) });
        let event = self.event(name, Scope::Guild, &body).changing(Change::Role(Arc::new(role.clone())));
        Plan::json(200, &RoleView(&role)).write(Write::PutRole(self.id(), Box::new(role))).event(event)
    }
}

fn patched(role: &mut Role, patch: &RolePatch) {
    set(&mut role.name, &patch.name);
    set(&mut role.permissions, &patch.permissions);
    set(&mut role.color, &patch.color);
    set(&mut role.hoist, &patch.hoist);
    set(&mut role.mentionable, &patch.mentionable);
    set(&mut role.unicode_emoji, &patch.unicode_emoji);
}

/// An actor grants only permissions that it has itself.
fn may_grant(acting: &Acting, permissions: Permissions) -> Result<(), Refusal> {
    acting.require(permissions)
}
