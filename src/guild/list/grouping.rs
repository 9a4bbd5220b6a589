//! Groups of a member list: who is in it at all, and under which heading.
//!
//! Lives on: the guild's core. A copy of what decides it, so that a list stays true to itself while the guild changes,
//! and is made anew only if that changes.

use std::collections::BTreeMap;

use crate::base::id::{GuildId, RoleId, UserId};
use crate::mail::facts::Facts;
use crate::mail::listing::{Exception, Viewers};
use crate::model::channel::{Overwrite, OverwriteKind};
use crate::model::kept_member::KeptMember;
use crate::model::permission_rules;
use crate::model::permissions::Permissions;
use crate::wire::model::listing::GroupId;

/// What decides in which group of one list a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    guild: GuildId,
    /// Unset where nothing depends on it, so that lists of everybody survive a change of it.
    owner: Option<UserId>,
    everybody: bool,
    overwrites: Vec<Overwrite>,
    everyone: Permissions,
    /// What roles let do, and the group of those that stand apart. Only roles that decide anything: another one may
    /// come, go and change, and no list is made anew for it.
    roles: BTreeMap<RoleId, (Permissions, Option<usize>)>,
    groups: Vec<GroupId>,
}

/// What viewing depends on.
const DECIDING: Permissions = Permissions::VIEW_CHANNEL.union(Permissions::ADMINISTRATOR);

impl Grouping {
    /// Of a list; `offline`: members who are not online are shown too.
    pub fn of(facts: &Facts, viewers: &Viewers, offline: bool) -> Grouping {
        let everybody = *viewers == Viewers::Everyone;
        let deciding = |granted: Permissions| if everybody { Permissions::empty() } else { granted & DECIDING };
        let overwrites = match viewers {
            Viewers::Everyone => Vec::new(),
            Viewers::But(exceptions) => exceptions.iter().map(overwrite).collect(),
        };
        let everyone = facts.roles.get(&facts.id().cast()).map_or(Permissions::empty(), |role| role.permissions);
        let mut grouping = Grouping {
            guild: facts.id(),
            owner: (!everybody).then_some(facts.guild.owner_id),
            everybody,
            overwrites,
            everyone: deciding(everyone),
            roles: BTreeMap::new(),
            groups: Vec::new(),
        };
        for role in facts.roles.values().filter(|role| role.id != facts.id().cast()) {
            grouping.roles.insert(role.id, (deciding(role.permissions), None));
        }
        let mut hoisted: Vec<(i32, RoleId)> = facts
            .roles
            .values()
            .filter(|role| {
                role.hoist && role.id != facts.id().cast() && grouping.is_viewed_by(UserId::new(0), &[role.id])
            })
            .map(|role| (-role.position, role.id))
            .collect();
        // Of two in one position the older one is higher.
        hoisted.sort_unstable();
        for (group, (_, role)) in hoisted.into_iter().enumerate() {
            grouping.groups.push(GroupId::Role(role));
            grouping.roles.entry(role).and_modify(|(_, place)| *place = Some(group));
        }
        let overwrites = &grouping.overwrites;
        grouping.roles.retain(|role, (granted, place)| {
            place.is_some() || !granted.is_empty() || overwrites.iter().any(|entry| entry.id == role.get())
        });
        grouping.groups.push(GroupId::Online);
        if offline {
            grouping.groups.push(GroupId::Offline);
        }
        grouping
    }

    /// The groups, from above.
    pub fn groups(&self) -> &[GroupId] {
        &self.groups
    }

    /// The group of a member; `None` if the list does not have it.
    pub fn place(&self, member: &KeptMember, online: bool) -> Option<usize> {
        let roles = member.roles();
        if !self.is_viewed_by(member.user(), &roles) {
            return None;
        }
        if !online {
            let last = self.groups.len() - 1;
            return (self.groups[last] == GroupId::Offline).then_some(last);
        }
        let highest = roles.iter().filter_map(|role| self.roles.get(role)?.1).min();
        highest.or_else(|| self.groups.iter().position(|group| *group == GroupId::Online))
    }

    fn is_viewed_by(&self, user: UserId, roles: &[RoleId]) -> bool {
        if self.everybody {
            return true;
        }
        let listed = roles.iter().filter_map(|role| self.roles.get(role)).map(|(granted, _)| *granted);
        let base = permission_rules::in_guild(self.owner == Some(user), self.everyone, listed);
        let has = |role| roles.contains(&role) && self.roles.contains_key(&role);
        permission_rules::in_channel(base, self.guild, Some(user), has, &self.overwrites)
            .contains(Permissions::VIEW_CHANNEL)
    }
}

fn overwrite(exception: &Exception) -> Overwrite {
    let Exception { id, of_member, allow } = *exception;
    let kind = if of_member { OverwriteKind::Member } else { OverwriteKind::Role };
    let (view, none) = (Permissions::VIEW_CHANNEL, Permissions::empty());
    Overwrite { id, kind, allow: if allow { view } else { none }, deny: if allow { none } else { view } }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::guild::GuildSettings;
    use crate::model::role::Role;

    const GUILD: GuildId = GuildId::new(1);

    #[test]
    fn only_roles_that_decide_something_make_a_list_anew() {
        let exception = |id, allow| Exception { id, of_member: false, allow };
        let hidden = Viewers::But(vec![exception(GUILD.get(), false), exception(12, true)].into());
        let role = |id, hoist, permissions| {
            let role = Role { id: RoleId::new(id), position: 1, hoist, permissions, ..Role::everyone(GUILD) };
            (role.id, Arc::new(role))
        };
        let with = |roles: &[(u64, bool, Permissions)]| {
            let mut all = BTreeMap::from([role(GUILD.get(), false, Permissions::VIEW_CHANNEL)]);
            all.extend(roles.iter().map(|(id, hoist, permissions)| role(*id, *hoist, *permissions)));
            let guild = Arc::new(GuildSettings::new(GUILD, "g".to_owned(), UserId::new(2)));
            let facts = Facts { guild, roles: all, channels: BTreeMap::new() };
            [&Viewers::Everyone, &hidden].map(|viewers| Grouping::of(&facts, viewers, false))
        };
        let nothing = Permissions::SEND_MESSAGES;
        let before = with(&[]);
        assert_eq!(before, with(&[(10, false, nothing)]), "a role that only lets write");
        let hoisted = with(&[(10, true, nothing)]);
        assert_ne!(before[0], hoisted[0], "a role that stands apart");
        assert_eq!(before[1], hoisted[1], "a role that would stand apart if whoever has it could view");
        let named = with(&[(12, false, nothing)]);
        assert_eq!(before[0], named[0]);
        assert_ne!(before[1], named[1], "a role that an overwrite names");
        let administrators = with(&[(13, false, Permissions::ADMINISTRATOR)]);
        assert_eq!(before[0], administrators[0]);
        assert_ne!(before[1], administrators[1], "a role that lets view everything");
    }
}
