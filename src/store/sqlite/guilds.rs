//! The table `guilds`: a guild's own settings, and how many members it has.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.
//! Invariant: `member_count` is the number of the guild's rows in `members`; that table's file keeps it.

use rusqlite::{Connection, params};

use super::statement::{Cells, all, asked, change, exists as any, json, key, one, run};
use super::{channels, pins, roles};
use crate::base::id::{GuildId, UserId};
use crate::limits;
use crate::model::guild::GuildSettings;
use crate::store::{GuildRecord, StoreError};

pub(super) const TABLE: &str = "
    CREATE TABLE guilds (
        id           INTEGER PRIMARY KEY,
        data         TEXT NOT NULL,
        -- Rows of members with this guild, changed by whoever adds or removes one: counting millions takes too long.
        member_count INTEGER NOT NULL DEFAULT 0
    );
";

/// Up to version 3 a record was kept as REST showed it. Now it is kept as `model` has it, without what is null.
pub(super) const RECORDS: &str = "
    UPDATE guilds SET data = (
        SELECT json_group_object(key, json(guilds.data -> fullkey)) FROM json_each(guilds.data)
        WHERE type <> 'null' AND key IN ('id', 'name', 'icon', 'description', 'owner_id', 'verification_level',
            'default_message_notifications', 'explicit_content_filter', 'afk_channel_id',
            'afk_timeout', 'system_channel_id', 'system_channel_flags', 'rules_channel_id',
            'public_updates_channel_id', 'preferred_locale', 'features')
    );
";

// ── writes ──

pub(super) fn put(connection: &Connection, guild: &GuildSettings) -> Result<(), StoreError> {
    let sql = "INSERT INTO guilds (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = excluded.data";
    run(connection, sql, params![key(guild.id), json(guild)?]).map(drop)
}

/// Says whether it was there.
pub(super) fn delete(connection: &Connection, guild: GuildId) -> Result<bool, StoreError> {
    Ok(run(connection, "DELETE FROM guilds WHERE id = ?1", params![asked(guild)])? > 0)
}

/// Members came (or went).
pub(super) fn count_members(connection: &Connection, guild: GuildId, more: i64) -> Result<(), StoreError> {
    let sql = "UPDATE guilds SET member_count = member_count + ?2 WHERE id = ?1";
    change(connection, sql, params![asked(guild), more])
}

// ── queries ──

pub(super) fn exists(connection: &Connection, guild: GuildId) -> Result<bool, StoreError> {
    any(connection, "SELECT 1 FROM guilds WHERE id = ?1", params![asked(guild)])
}

pub(super) fn member_count(connection: &Connection, guild: GuildId) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT member_count FROM guilds WHERE id = ?1";
    one(connection, sql, params![asked(guild)], |row| Cells::of(row).number())
}

pub(super) fn load(connection: &Connection, guild: GuildId) -> Result<Option<GuildRecord>, StoreError> {
    let sql = "SELECT data, member_count FROM guilds WHERE id = ?1";
    let settings = one(connection, sql, params![asked(guild)], |row| {
        let mut cells = Cells::of(row);
        Ok((cells.record()?, cells.number()?))
    })?;
    let Some((settings, member_count)) = settings else { return Ok(None) };
    let mut channels = channels::of_guild(connection, guild)?;
    let pins = pins::of_guild(connection, guild)?;
    for channel in &mut channels {
        channel.last_pin_ms = pins.iter().rfind(|pin| pin.channel_id == channel.id).map(|pin| pin.pinned_at_ms);
    }
    let roles = roles::of_guild(connection, guild)?;
    Ok(Some(GuildRecord { guild: settings, channels, roles, pins, member_count }))
}

/// By ascending id.
pub(super) fn of_user(
    connection: &Connection,
    user: UserId,
    after: GuildId,
    limit: u32,
) -> Result<Vec<GuildSettings>, StoreError> {
    let sql = "SELECT g.data FROM members m CROSS JOIN guilds g ON g.id = m.guild_id
               WHERE m.user_id = ?1 AND m.guild_id > ?2 ORDER BY m.guild_id LIMIT ?3";
    let limit = limit.clamp(1, limits::GUILDS_PAGE_MAX);
    all(connection, sql, params![asked(user), asked(after), limit], |row| Cells::of(row).record())
}
