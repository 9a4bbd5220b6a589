//! The table `channels`: the channels of guilds.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.

use rusqlite::{Connection, params};

use super::statement::{Cells, all, asked, exists as any, json, key, one, run};
use crate::base::id::{ChannelId, GuildId, MessageId};
use crate::model::channel::Channel;
use crate::store::StoreError;

pub(super) const TABLE: &str = "
    CREATE TABLE channels (
        guild_id INTEGER NOT NULL,
        id       INTEGER NOT NULL,
        data     TEXT NOT NULL,
        PRIMARY KEY (guild_id, id)
    ) WITHOUT ROWID;
";

/// For requests that name a channel and not its guild.
pub(super) const BY_ID: &str = "
    CREATE UNIQUE INDEX channels_by_id ON channels (id);
";

/// Up to version 3 a record was kept as REST showed it. Now it is kept as `model` has it, without what is null.
pub(super) const RECORDS: &str = "
    UPDATE channels SET data = (
        SELECT json_group_object(replace(key, 'permission_', ''), json(channels.data -> fullkey)) FROM json_each(channels.data)
        WHERE type <> 'null' AND key IN ('id', 'type', 'guild_id', 'name', 'position', 'permission_overwrites', 'parent_id',
            'topic', 'nsfw', 'rate_limit_per_user', 'bitrate', 'user_limit')
    );
";

// ── writes ──

pub(super) fn put(connection: &Connection, channel: &Channel) -> Result<(), StoreError> {
    let sql = "INSERT INTO channels (guild_id, id, data) VALUES (?1, ?2, ?3)
               ON CONFLICT (guild_id, id) DO UPDATE SET data = excluded.data";
    run(connection, sql, params![key(channel.guild_id), key(channel.id), json(channel)?]).map(drop)
}

/// Says whether it was there.
pub(super) fn delete(connection: &Connection, guild: GuildId, channel: ChannelId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM channels WHERE guild_id = ?1 AND id = ?2";
    Ok(run(connection, sql, params![asked(guild), asked(channel)])? > 0)
}

pub(super) fn delete_all(connection: &Connection, guild: GuildId) -> Result<(), StoreError> {
    run(connection, "DELETE FROM channels WHERE guild_id = ?1", params![asked(guild)]).map(drop)
}

// ── queries ──

pub(super) fn exists(connection: &Connection, channel: ChannelId) -> Result<bool, StoreError> {
    any(connection, "SELECT 1 FROM channels WHERE id = ?1", params![asked(channel)])
}

pub(super) fn ids_of(connection: &Connection, guild: GuildId) -> Result<Vec<ChannelId>, StoreError> {
    let sql = "SELECT id FROM channels WHERE guild_id = ?1";
    all(connection, sql, params![asked(guild)], |row| Cells::of(row).id())
}

pub(super) fn guild_of(connection: &Connection, channel: ChannelId) -> Result<Option<GuildId>, StoreError> {
    let sql = "SELECT guild_id FROM channels WHERE id = ?1";
    one(connection, sql, params![asked(channel)], |row| Cells::of(row).id())
}

/// By ascending id, each with its newest message, which is one step to the right end of the channel's range.
pub(super) fn of_guild(connection: &Connection, guild: GuildId) -> Result<Vec<Channel>, StoreError> {
    let sql = "SELECT data, (SELECT max(m.id) FROM messages m WHERE m.channel_id = c.id)
               FROM channels c WHERE guild_id = ?1 ORDER BY id";
    all(connection, sql, params![asked(guild)], |row| {
        let mut cells = Cells::of(row);
        let channel = cells.record()?;
        let last_message_id = cells.number_if_any()?.map(MessageId::new);
        Ok(Channel { last_message_id, ..channel })
    })
}
