//! A new guild: what it starts with. Source: Discord docs, Resources/Guild/Create Guild.
//!
//! Lives on: the new guild's core, and the operator's commands.

use crate::base::id::{ChannelId, GuildId, Mint};
use crate::mail::placement::VirtualShard;
use crate::store::{GuildRecord, Write};
use crate::wire::model::channel::{Channel, ChannelKind};
use crate::wire::model::guild::Guild;
use crate::wire::model::member::Member;
use crate::wire::model::role::Role;
use crate::wire::model::user::User;

/// What is to be written for a new guild, and the guild as it will be: `@everyone`, a category and channel for text, one for
/// voice, and its owner as the only member.
pub fn found(
    shard: VirtualShard,
    owner: User,
    name: String,
    unix_ms: u64,
    mint: &mut Mint,
) -> (GuildRecord, Vec<Write>) {
    let id: GuildId = mint.mint(unix_ms, shard.number());
    let mut channel = |name: &str, kind: ChannelKind, parent_id: Option<ChannelId>| Channel {
        id: mint.mint(unix_ms, shard.number()),
        guild_id: id,
        kind,
        name: name.to_owned(),
        topic: None,
        position: 0,
        parent_id,
        nsfw: false,
        rate_limit_per_user: 0,
        bitrate: if kind.has_voice() { 64_000 } else { 0 },
        user_limit: 0,
        overwrites: Vec::new(),
        last_message_id: None,
    };
    let text = channel("Text Channels", ChannelKind::Category, None);
    let voice = channel("Voice Channels", ChannelKind::Category, None);
    let general = channel("general", ChannelKind::Text, Some(text.id));
    let lounge = channel("General", ChannelKind::Voice, Some(voice.id));
    let mut guild = Guild::new(id, name, owner.id);
    guild.system_channel_id = Some(general.id);
    let record = GuildRecord {
        guild,
        channels: vec![text, voice, general, lounge],
        roles: vec![Role::everyone(id)],
        member_count: 1,
    };
    let mut writes = vec![Write::PutGuild(Box::new(record.guild.clone()))];
    writes.extend(record.roles.iter().map(|role| Write::PutRole(id, Box::new(role.clone()))));
    writes.extend(record.channels.iter().map(|channel| Write::PutChannel(Box::new(channel.clone()))));
    writes.push(Write::PutMember(id, Box::new(Member::new(owner, unix_ms))));
    (record, writes)
}
