//! The oracle's own picture of a guild: what the committed writes say, and who may see what by Discord's rules.
//!
//! Written from the documentation alone (Discord docs, Topics/Permissions) on plain numbers; it shares no code with the
//! server's permission model, so that a mistake there is not repeated here.

use std::collections::{BTreeMap, BTreeSet};

use guildhall::base::clock::iso8601;
use guildhall::model::channel::{Channel, OverwriteKind};
use guildhall::model::guild::GuildSettings;
use guildhall::model::member::Member;
use guildhall::model::role::Role;

pub const MANAGE_CHANNELS: u64 = 1 << 4;
pub const VIEW_CHANNEL: u64 = 1 << 10;
const ADMINISTRATOR: u64 = 1 << 3;
const CONNECT: u64 = 1 << 20;
const EVERYTHING: u64 = u64::MAX;

/// What a channel gives to and takes from a role or member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverwriteModel {
    pub id: u64,
    pub of_member: bool,
    pub allow: u64,
    pub deny: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelModel {
    pub name: String,
    pub kind: u8,
    pub overwrites: Vec<OverwriteModel>,
    /// When its newest pin was made, as clients read it.
    pub last_pin: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleModel {
    pub name: String,
    pub permissions: u64,
    pub position: i32,
    pub hoist: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberModel {
    pub nick: Option<String>,
    pub roles: Vec<u64>,
}

/// A guild as the committed writes describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuildModel {
    pub id: u64,
    pub name: String,
    pub owner: u64,
    pub channels: BTreeMap<u64, ChannelModel>,
    pub roles: BTreeMap<u64, RoleModel>,
    pub members: BTreeMap<u64, MemberModel>,
}

impl From<&Channel> for ChannelModel {
    fn from(channel: &Channel) -> Self {
        let overwrites = channel
            .overwrites
            .iter()
            .map(|entry| OverwriteModel {
                id: entry.id,
                of_member: entry.kind == OverwriteKind::Member,
                allow: entry.allow.bits(),
                deny: entry.deny.bits(),
            })
            .collect();
        let last_pin = channel.last_pin_ms.map(iso8601);
        ChannelModel { name: channel.name.clone(), kind: channel.kind as u8, overwrites, last_pin }
    }
}

impl From<&Role> for RoleModel {
    fn from(role: &Role) -> Self {
        let (permissions, position, hoist) = (role.permissions.bits(), role.position, role.hoist);
        RoleModel { name: role.name.clone(), permissions, position, hoist }
    }
}

impl From<&Member> for MemberModel {
    fn from(member: &Member) -> Self {
        MemberModel { nick: member.nick.clone(), roles: member.roles.iter().map(|role| role.get()).collect() }
    }
}

impl GuildModel {
    /// A guild of which only the settings are known yet.
    pub fn new(guild: &GuildSettings) -> GuildModel {
        GuildModel {
            id: guild.id.get(),
            name: guild.name.clone(),
            owner: guild.owner_id.get(),
            channels: BTreeMap::new(),
            roles: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    /// The roles of a member that exist, `@everyone` left out. A deleted role is nobody's any more.
    pub fn roles_of(&self, user: u64) -> BTreeSet<u64> {
        let listed = self.members.get(&user).map(|member| member.roles.as_slice()).unwrap_or_default();
        listed.iter().copied().filter(|role| self.roles.contains_key(role)).collect()
    }

    fn in_guild(&self, user: u64) -> u64 {
        if user == self.owner {
            return EVERYTHING;
        }
        let mut granted = self.roles.get(&self.id).map_or(0, |everyone| everyone.permissions);
        for role in self.roles_of(user) {
            granted |= self.roles[&role].permissions;
        }
        if granted & ADMINISTRATOR != 0 { EVERYTHING } else { granted }
    }

    /// What a user may do in a channel.
    pub fn in_channel(&self, user: u64, channel: u64) -> u64 {
        let (granted, Some(channel)) = (self.in_guild(user), self.channels.get(&channel)) else { return 0 };
        if !self.members.contains_key(&user) {
            return 0;
        }
        if granted == EVERYTHING {
            return EVERYTHING;
        }
        let mut granted = granted;
        if let Some(everyone) = channel.overwrites.iter().find(|entry| !entry.of_member && entry.id == self.id) {
            granted = granted & !everyone.deny | everyone.allow;
        }
        let roles = self.roles_of(user);
        let of_roles = || channel.overwrites.iter().filter(|entry| !entry.of_member && roles.contains(&entry.id));
        let denied = of_roles().fold(0, |sum, entry| sum | entry.deny);
        let allowed = of_roles().fold(0, |sum, entry| sum | entry.allow);
        granted = granted & !denied | allowed;
        if let Some(own) = channel.overwrites.iter().find(|entry| entry.of_member && entry.id == user) {
            granted = granted & !own.deny | own.allow;
        }
        if granted & VIEW_CHANNEL == 0 {
            return 0;
        }
        let voice = matches!(channel.kind, 2 | 13);
        if voice && granted & CONNECT == 0 { VIEW_CHANNEL } else { granted }
    }

    /// Whether a user may see a channel.
    pub fn views(&self, user: u64, channel: u64) -> bool {
        self.in_channel(user, channel) & VIEW_CHANNEL != 0
    }

    /// The channels that a user may see.
    pub fn viewed_by(&self, user: u64) -> BTreeSet<u64> {
        self.channels.keys().copied().filter(|channel| self.views(user, *channel)).collect()
    }
}
