//! What deletions leave behind: rows that no query finds any more, deleted in slices between commits.
//!
//! Lives on: the store's writer.
//! A guild's or channel's own row goes with the commit that deletes it, and with it everything inside is out of every
//! query's sight: members are found only through their guild's row, messages only through their channel's. The commit
//! leaves a mark here for each table that may hold too many rows; a mark goes with the last of them, so a restart loses
//! none.
//! Invariant: a row whose guild or channel is gone has its mark.

use rusqlite::{Connection, params};

use super::statement::{change, exists, one, run};
use crate::store::StoreError;

pub(super) const TABLE: &str = "
    CREATE TABLE sweeps (
        name   TEXT NOT NULL,
        parent INTEGER NOT NULL,
        PRIMARY KEY (name, parent)
    ) WITHOUT ROWID;
";

/// How a table's rows of one parent are deleted.
pub(super) struct Sweep {
    /// The table's name; stands in the marks.
    pub name: &'static str,
    /// Deletes the rows of the parent `?1`, up to `?2` of them.
    pub delete: &'static str,
}

/// The parent's own row has gone: its rows in this table are to be deleted.
pub(super) fn mark(connection: &Connection, sweep: &Sweep, parent: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO sweeps (name, parent) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    run(connection, sql, params![sweep.name, parent]).map(drop)
}

/// A parent with this id is there (again): what an earlier one left must not appear in it. Ids are minted once, so
/// there is nothing to delete unless an operator puts something back.
pub(super) fn finish(connection: &Connection, sweep: &Sweep, parent: i64) -> Result<(), StoreError> {
    let marked = "SELECT 1 FROM sweeps WHERE name = ?1 AND parent = ?2";
    if exists(connection, marked, params![sweep.name, parent])? {
        run(connection, sweep.delete, params![parent, i64::MAX])?;
        unmark(connection, sweep.name, parent)?;
    }
    Ok(())
}

/// Deletes up to `rows` rows. Says whether there is more to delete.
pub(super) fn slice(connection: &Connection, sweeps: &[&Sweep], rows: u32) -> Result<bool, StoreError> {
    let mut left = rows;
    loop {
        let first = "SELECT name, parent FROM sweeps WHERE name > '' ORDER BY name, parent LIMIT 1";
        let mark = one(connection, first, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let Some((name, parent)) = mark else { return Ok(false) };
        if left == 0 {
            return Ok(true);
        }
        let sweep = sweeps
            .iter()
            .find(|sweep| sweep.name == name)
            .ok_or_else(|| StoreError::Failed(format!("{name} is to be swept, which is no table")))?;
        let deleted = run(connection, sweep.delete, params![parent, left])? as u32;
        if deleted < left {
            unmark(connection, &name, parent)?;
        }
        left -= deleted;
    }
}

fn unmark(connection: &Connection, name: &str, parent: i64) -> Result<(), StoreError> {
    change(connection, "DELETE FROM sweeps WHERE name = ?1 AND parent = ?2", params![name, parent])
}
