//! What decides permissions in a guild, in the form that travels: the guild holds it, and so does every relay.
//!
//! Lives on: the guild's core, and every core with a relay for it.
//! Both change it only by [`Facts::apply`], in the guild's order, so they agree at equal points of the guild's history.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::id::{ChannelId, GuildId, RoleId, UserId};
use crate::mail::event::Change;
use crate::model::channel::{Channel, OverwriteKind};
use crate::model::guild::GuildSettings;
use crate::model::permission_rules;
use crate::model::permissions::Permissions;
use crate::model::role::Role;

/// Owner, roles and channels of a guild.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The guild's settings, its owner among them.
    pub guild: Arc<GuildSettings>,
    /// All roles, `@everyone` under the guild's id.
    pub roles: BTreeMap<RoleId, Arc<Role>>,
    /// All channels.
    pub channels: BTreeMap<ChannelId, Arc<Channel>>,
}

impl Facts {
    /// The guild's id.
    pub fn id(&self) -> GuildId {
        self.guild.id
    }

    /// Guild-wide permissions of a member with these roles. Roles that are gone count for nothing.
    pub fn in_guild(&self, user: UserId, roles: &[RoleId]) -> Permissions {
        let everyone = self.permissions_of(self.id().cast());
        let listed = roles.iter().map(|role| self.permissions_of(*role));
        permission_rules::in_guild(user == self.guild.owner_id, everyone, listed)
    }

    /// Permissions of a member in a channel; none if the channel is gone.
    pub fn in_channel(&self, user: UserId, roles: &[RoleId], channel: ChannelId) -> Permissions {
        self.channels.get(&channel).map_or(Permissions::empty(), |channel| self.granted(user, roles, channel))
    }

    /// Permissions of a member in a channel as it is given, which may be about to become one of these.
    pub fn granted(&self, user: UserId, roles: &[RoleId], channel: &Channel) -> Permissions {
        let base = self.in_guild(user, roles);
        // Members and overwrites may still name roles that are gone; those count for nothing here as well.
        let has = |role| roles.contains(&role) && self.roles.contains_key(&role);
        let mut granted = permission_rules::in_channel(base, self.id(), Some(user), has, &channel.overwrites);
        // Nothing else is to be had in a voice channel that one may not connect to, but to see it.
        if channel.kind.has_voice() && !granted.contains(Permissions::CONNECT) {
            granted &= Permissions::VIEW_CHANNEL;
        }
        granted
    }

    /// Whether any channel has an overwrite for this very user.
    pub fn names(&self, user: UserId) -> bool {
        self.channels.values().any(|channel| {
            channel.overwrites.iter().any(|entry| entry.kind == OverwriteKind::Member && entry.id == user.get())
        })
    }

    /// The position of the highest of these roles, with the id that breaks ties (a lower id is higher).
    pub fn highest(&self, roles: &[RoleId]) -> (i32, std::cmp::Reverse<RoleId>) {
        roles
            .iter()
            .filter_map(|role| self.roles.get(role))
            .map(|role| (role.position, std::cmp::Reverse(role.id)))
            .max()
            .unwrap_or((0, std::cmp::Reverse(self.id().cast())))
    }

    /// Takes over a change. Says whether it can change what anybody may see.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Guild(guild) => {
                let touched = guild.owner_id != self.guild.owner_id;
                self.guild = Arc::clone(guild);
                touched
            }
            Change::Channel(channel) => {
                let before = self.channels.insert(channel.id, Arc::clone(channel));
                before.is_none_or(|before| before.overwrites != channel.overwrites || before.kind != channel.kind)
            }
            Change::ChannelGone(channel) => self.channels.remove(channel).is_some(),
            Change::Role(role) => {
                let before = self.roles.insert(role.id, Arc::clone(role));
                before.is_none_or(|before| before.permissions != role.permissions)
            }
            Change::RoleGone(role) => self.roles.remove(role).is_some(),
            Change::Member(_) | Change::MemberLeft(_) | Change::Deleted => false,
        }
    }

    fn permissions_of(&self, role: RoleId) -> Permissions {
        self.roles.get(&role).map_or(Permissions::empty(), |role| role.permissions)
    }
}
