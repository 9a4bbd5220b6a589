//! What goes with a guild or a channel.
//!
//! Lives on: the store's writer, the operator's commands, the simulator.
//! What there is little of goes in the commit: the own row, channels, roles, invites. Members and messages are swept
//! later.

use rusqlite::Connection;

use super::statement::key;
use super::{channels, guilds, invites, members, messages, roles, sweep};
use crate::base::id::{ChannelId, GuildId};
use crate::model::channel::Channel;
use crate::model::guild::Guild;
use crate::store::StoreError;

pub(super) fn put_guild(connection: &Connection, guild: &Guild) -> Result<(), StoreError> {
    sweep::finish(connection, &members::SWEEP, key(guild.id))?;
    guilds::put(connection, guild)
}

pub(super) fn delete_guild(connection: &Connection, guild: GuildId) -> Result<(), StoreError> {
    if !guilds::delete(connection, guild)? {
        return Ok(());
    }
    sweep::mark(connection, &members::SWEEP, key(guild))?;
    for channel in channels::ids_of(connection, guild)? {
        sweep::mark(connection, &messages::SWEEP, key(channel))?;
    }
    channels::delete_all(connection, guild)?;
    roles::delete_all(connection, guild)?;
    invites::delete_all(connection, guild)
}

pub(super) fn put_channel(connection: &Connection, channel: &Channel) -> Result<(), StoreError> {
    sweep::finish(connection, &messages::SWEEP, key(channel.id))?;
    channels::put(connection, channel)
}

pub(super) fn delete_channel(connection: &Connection, guild: GuildId, channel: ChannelId) -> Result<(), StoreError> {
    if !channels::delete(connection, guild, channel)? {
        return Ok(());
    }
    sweep::mark(connection, &messages::SWEEP, key(channel))?;
    invites::delete_into(connection, guild, channel)
}
