//! What goes with a guild, a channel or a message.
//!
//! Lives on: the store's writer, the operator's commands, the simulator.
//! What there is little of goes in the commit: the own row, channels, roles, invites. Members, messages and pins
//! are swept later.

use rusqlite::Connection;

use super::statement::key;
use super::sweep::Sweep;
use super::{channels, guilds, invites, members, messages, pins, roles, sweep};
use crate::base::id::{ChannelId, GuildId, MessageId};
use crate::model::channel::Channel;
use crate::model::guild::GuildSettings;
use crate::store::StoreError;

/// Tables whose rows are found only through their channel's row.
const OF_CHANNEL: &[&Sweep] = &[&messages::SWEEP, &pins::SWEEP];

fn mark_rows_of_channel(connection: &Connection, channel: ChannelId) -> Result<(), StoreError> {
    OF_CHANNEL.iter().try_for_each(|sweep| sweep::mark(connection, sweep, key(channel)))
}

pub(super) fn put_guild(connection: &Connection, guild: &GuildSettings) -> Result<(), StoreError> {
    sweep::finish(connection, &members::SWEEP, key(guild.id))?;
    guilds::put(connection, guild)
}

pub(super) fn delete_guild(connection: &Connection, guild: GuildId) -> Result<(), StoreError> {
    if !guilds::delete(connection, guild)? {
        return Ok(());
    }
    sweep::mark(connection, &members::SWEEP, key(guild))?;
    for channel in channels::ids_of(connection, guild)? {
        mark_rows_of_channel(connection, channel)?;
    }
    channels::delete_all(connection, guild)?;
    roles::delete_all(connection, guild)?;
    invites::delete_all(connection, guild)
}

pub(super) fn put_channel(connection: &Connection, channel: &Channel) -> Result<(), StoreError> {
    for sweep in OF_CHANNEL {
        sweep::finish(connection, sweep, key(channel.id))?;
    }
    channels::put(connection, channel)
}

pub(super) fn delete_channel(connection: &Connection, guild: GuildId, channel: ChannelId) -> Result<(), StoreError> {
    if !channels::delete(connection, guild, channel)? {
        return Ok(());
    }
    mark_rows_of_channel(connection, channel)?;
    invites::delete_into(connection, guild, channel)
}

pub(super) fn delete_message(
    connection: &Connection,
    channel: ChannelId,
    message: MessageId,
) -> Result<(), StoreError> {
    messages::delete(connection, channel, message)?;
    pins::remove_if_any(connection, channel, message)
}
