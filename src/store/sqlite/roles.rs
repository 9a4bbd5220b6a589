//! The table `roles`: the roles of guilds, `@everyone` among them.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::statement::{Cells, all, asked, json, key, run};
use crate::base::id::{GuildId, RoleId};
use crate::model::role::Role;
use crate::store::StoreError;

pub(super) const TABLE: &str = "
    CREATE TABLE roles (
        guild_id INTEGER NOT NULL,
        id       INTEGER NOT NULL,
        data     TEXT NOT NULL,
        PRIMARY KEY (guild_id, id)
    ) WITHOUT ROWID;
";

/// Up to version 3 a record was kept as REST showed it. Now it is kept as `model` has it, without what is null.
pub(super) const RECORDS: &str = "
    UPDATE roles SET data = (
        SELECT json_group_object(key, json(roles.data -> fullkey)) FROM json_each(roles.data)
        WHERE type <> 'null' AND key IN ('id', 'name', 'permissions', 'position', 'color', 'hoist', 'managed', 'mentionable',
            'unicode_emoji')
    );
";

// ── writes ──

pub(super) fn put(connection: &Connection, guild: GuildId, role: &Role) -> Result<(), StoreError> {
    let sql = "INSERT INTO roles (guild_id, id, data) VALUES (?1, ?2, ?3)
               ON CONFLICT (guild_id, id) DO UPDATE SET data = excluded.data";
    run(connection, sql, params![key(guild), key(role.id), json(role)?]).map(drop)
}

pub(super) fn delete(connection: &Connection, guild: GuildId, role: RoleId) -> Result<(), StoreError> {
    let sql = "DELETE FROM roles WHERE guild_id = ?1 AND id = ?2";
    run(connection, sql, params![asked(guild), asked(role)]).map(drop)
}

pub(super) fn delete_all(connection: &Connection, guild: GuildId) -> Result<(), StoreError> {
    run(connection, "DELETE FROM roles WHERE guild_id = ?1", params![asked(guild)]).map(drop)
}

// ── queries ──

/// By ascending id.
pub(super) fn of_guild(connection: &Connection, guild: GuildId) -> Result<Vec<Role>, StoreError> {
    let sql = "SELECT data FROM roles WHERE guild_id = ?1 ORDER BY id";
    all(connection, sql, params![asked(guild)], |row| Cells::of(row).record())
}

pub(super) fn ids_of(connection: &Connection, guild: GuildId) -> Result<HashSet<RoleId>, StoreError> {
    let sql = "SELECT id FROM roles WHERE guild_id = ?1";
    Ok(all(connection, sql, params![asked(guild)], |row| Cells::of(row).id())?.into_iter().collect())
}
