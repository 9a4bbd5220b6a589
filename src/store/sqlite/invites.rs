//! The table `invites`: invites into guilds, spent or not.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.

use rusqlite::{Connection, Row, params};

use super::accounts::{user_columns, user_of};
use super::statement::{Cells, all, asked, change, key, marks, names, one, run, whole};
use crate::base::id::{ChannelId, GuildId};
use crate::model::invite::Invite;
use crate::store::StoreError;

pub(super) const TABLE: &str = "
    CREATE TABLE invites (
        code          TEXT NOT NULL PRIMARY KEY,
        guild_id      INTEGER NOT NULL,
        channel_id    INTEGER NOT NULL,
        inviter_id    INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL,
        max_age       INTEGER NOT NULL,
        max_uses      INTEGER NOT NULL,
        uses          INTEGER NOT NULL,
        temporary     INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX invites_by_guild ON invites (guild_id);
";

macro_rules! columns {
    ($form:ident $($table:ident)?) => {
        $form!($($table)? [code guild_id channel_id created_at_ms max_age max_uses uses temporary])
    };
}

macro_rules! invites_where {
    ($condition:literal) => {
        concat!(
            // The inviter's id is there also when the user is not.
            "SELECT i.inviter_id, ", user_columns!(names u), ", ", columns!(names i),
            " FROM invites i LEFT JOIN users u ON u.id = i.inviter_id WHERE ", $condition
        )
    };
}

fn invite_of(row: &Row<'_>) -> rusqlite::Result<Invite> {
    let mut cells = Cells::of(row);
    Ok(Invite {
        inviter: user_of(&mut cells)?,
        code: cells.take()?,
        guild_id: cells.id()?,
        channel_id: cells.id()?,
        created_at_ms: cells.number()?,
        max_age: cells.number()?,
        max_uses: cells.take()?,
        uses: cells.take()?,
        temporary: cells.take()?,
    })
}

// ── writes ──

pub(super) fn put(connection: &Connection, invite: &Invite) -> Result<(), StoreError> {
    let sql = concat!("INSERT INTO invites (", columns!(names), ", inviter_id) VALUES (", columns!(marks), ", ?)");
    let values = params![
        invite.code,
        key(invite.guild_id),
        key(invite.channel_id),
        whole(invite.created_at_ms),
        whole(invite.max_age),
        invite.max_uses,
        invite.uses,
        invite.temporary,
        key(invite.inviter.id),
    ];
    run(connection, sql, values).map(drop)
}

pub(super) fn use_once(connection: &Connection, code: &str, unix_ms: u64) -> Result<(), StoreError> {
    let sql = "UPDATE invites SET uses = uses + 1 WHERE code = ?1
               AND (max_age = 0 OR created_at_ms + max_age * 1000 > ?2) AND (max_uses = 0 OR uses < max_uses)";
    change(connection, sql, params![code, whole(unix_ms)])
}

pub(super) fn delete(connection: &Connection, code: &str) -> Result<(), StoreError> {
    run(connection, "DELETE FROM invites WHERE code = ?1", params![code]).map(drop)
}

pub(super) fn delete_into(connection: &Connection, guild: GuildId, channel: ChannelId) -> Result<(), StoreError> {
    let sql = "DELETE FROM invites WHERE guild_id = ?1 AND channel_id = ?2";
    run(connection, sql, params![asked(guild), asked(channel)]).map(drop)
}

pub(super) fn delete_all(connection: &Connection, guild: GuildId) -> Result<(), StoreError> {
    run(connection, "DELETE FROM invites WHERE guild_id = ?1", params![asked(guild)]).map(drop)
}

// ── queries ──

pub(super) fn by_code(connection: &Connection, code: &str) -> Result<Option<Invite>, StoreError> {
    one(connection, invites_where!("i.code = ?1"), params![code], invite_of)
}

pub(super) fn of_guild(connection: &Connection, guild: GuildId) -> Result<Vec<Invite>, StoreError> {
    all(connection, invites_where!("i.guild_id = ?1 ORDER BY i.code"), params![asked(guild)], invite_of)
}
