//! A new guild: what it starts with. Source: Discord docs, Resources/Guild/Create Guild.
//!
//! Lives on: the new guild's core, and the operator's commands.

use crate::base::id::{ChannelId, GuildId, Mint, RoleId, UserId};
use crate::mail::placement::VirtualShard;
use crate::model::channel::{Channel, ChannelKind, Overwrite, OverwriteKind};
use crate::model::guild::GuildSettings;
use crate::model::member::Member;
use crate::model::permissions::Permissions;
use crate::model::role::Role;
use crate::model::user::User;
use crate::store::{GuildRecord, Write};

/// What a guild is to have besides its owner and `@everyone`.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Its name.
    pub name: String,
    /// Its roles from the lowest to the highest.
    pub roles: Vec<RoleDesign>,
    /// Its channels.
    pub channels: Vec<ChannelDesign>,
}

/// A role of a [`Design`].
#[derive(Debug, Clone, PartialEq)]
pub struct RoleDesign {
    /// Its name.
    pub name: String,
    /// What it grants.
    pub permissions: Permissions,
    /// Shown apart in the member list.
    pub hoist: bool,
}

/// A channel of a [`Design`].
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelDesign {
    /// Its name.
    pub name: String,
    /// What can be done there.
    pub kind: ChannelKind,
    /// Its place among those of the same category.
    pub position: i32,
    /// Its category: an earlier channel of the design, by index.
    pub parent: Option<usize>,
    /// The roles that may see it, by index; `None`: everybody.
    pub visible_to: Option<Vec<usize>>,
}

/// A new guild as an API client founds it: a category and channel for text, one for voice.
fn usual(name: String) -> Design {
    let channel = |name: &str, kind: ChannelKind, parent: Option<usize>| ChannelDesign {
        name: name.to_owned(),
        kind,
        position: 0,
        parent,
        visible_to: None,
    };
    let channels = vec![
        channel("Text Channels", ChannelKind::Category, None),
        channel("Voice Channels", ChannelKind::Category, None),
        channel("general", ChannelKind::Text, Some(0)),
        channel("General", ChannelKind::Voice, Some(1)),
    ];
    Design { name, roles: Vec::new(), channels }
}

/// The writes for a new guild, and the guild as it will be: `@everyone`, a category and channel for text, one for
/// voice, and its owner as the only member.
pub fn found(
    shard: VirtualShard,
    owner: User,
    name: String,
    unix_ms: u64,
    mint: &mut Mint,
) -> (GuildRecord, Vec<Write>) {
    let record = GuildRecord { member_count: 1, ..lay_out(shard, owner.id, usual(name), unix_ms, mint) };
    let mut writes = writes(&record);
    writes.push(Write::PutMember(record.guild.id, Box::new(Member::new(owner, unix_ms))));
    (record, writes)
}

/// A guild of this design, still without members. Roles follow `@everyone`; roles and channels keep the design's order.
///
/// # Panics
/// If the design names a role or a category that is not in it.
pub fn lay_out(shard: VirtualShard, owner: UserId, design: Design, unix_ms: u64, mint: &mut Mint) -> GuildRecord {
    let id: GuildId = mint.mint(unix_ms, shard.number());
    let mut roles = vec![Role::everyone(id)];
    for (below, role) in design.roles.into_iter().enumerate() {
        roles.push(Role {
            id: mint.mint(unix_ms, shard.number()),
            name: role.name,
            permissions: role.permissions,
            position: below as i32 + 1,
            hoist: role.hoist,
            ..Role::everyone(id)
        });
    }
    let mut channels: Vec<Channel> = Vec::with_capacity(design.channels.len());
    let mut system_channel_id: Option<ChannelId> = None;
    for channel in design.channels {
        let overwrites = match &channel.visible_to {
            None => Vec::new(),
            Some(visible_to) => hidden(id, visible_to.iter().map(|role| roles[role + 1].id)),
        };
        let channel = Channel {
            position: channel.position,
            parent_id: channel.parent.map(|parent| channels[parent].id),
            overwrites,
            ..Channel::new(mint.mint(unix_ms, shard.number()), id, channel.kind, channel.name)
        };
        if channel.kind == ChannelKind::Text && channel.overwrites.is_empty() {
            system_channel_id.get_or_insert(channel.id);
        }
        channels.push(channel);
    }
    let guild = GuildSettings { system_channel_id, ..GuildSettings::new(id, design.name, owner) };
    GuildRecord { guild, channels, roles, pins: Vec::new(), member_count: 0 }
}

/// Hidden from `@everyone`, shown to these roles.
fn hidden(guild: GuildId, visible_to: impl Iterator<Item = RoleId>) -> Vec<Overwrite> {
    let overwrite = |id: u64, allow, deny| Overwrite { id, kind: OverwriteKind::Role, allow, deny };
    let mut overwrites = vec![overwrite(guild.get(), Permissions::empty(), Permissions::VIEW_CHANNEL)];
    overwrites.extend(visible_to.map(|role| overwrite(role.get(), Permissions::VIEW_CHANNEL, Permissions::empty())));
    overwrites
}

/// What is to be written for a guild, members aside.
pub fn writes(record: &GuildRecord) -> Vec<Write> {
    let id = record.guild.id;
    let mut writes = vec![Write::PutGuild(Box::new(record.guild.clone()))];
    writes.extend(record.roles.iter().map(|role| Write::PutRole(id, Box::new(role.clone()))));
    writes.extend(record.channels.iter().map(|channel| Write::PutChannel(Box::new(channel.clone()))));
    writes
}
