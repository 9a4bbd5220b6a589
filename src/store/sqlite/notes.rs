//! The table `notes`: what users have written about others.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.
//! Invariant: no note is empty, and no user has more of them than `limits::USER_NOTES_MAX`.

use rusqlite::{Connection, Row, params};

use super::accounts;
use super::statement::{Cells, all, asked, exists, key, one, run};
use crate::base::id::UserId;
use crate::limits;
use crate::model::user_note::UserNote;
use crate::store::{Conflict, StoreError};

pub(super) const TABLE: &str = "
    CREATE TABLE notes (
        author INTEGER NOT NULL,
        about  INTEGER NOT NULL,
        note   TEXT NOT NULL,
        PRIMARY KEY (author, about)
    ) WITHOUT ROWID;
";

fn note_of(row: &Row<'_>) -> rusqlite::Result<UserNote> {
    let mut cells = Cells::of(row);
    Ok(UserNote { author: cells.id()?, about: cells.id()?, text: cells.take()? })
}

// ── writes ──

pub(super) fn set(connection: &Connection, note: &UserNote) -> Result<(), StoreError> {
    let UserNote { author, about, text } = note;
    if !accounts::exists(connection, *about)? {
        return Err(StoreError::Conflict(Conflict::Gone));
    }
    if text.is_empty() {
        let sql = "DELETE FROM notes WHERE author = ?1 AND about = ?2";
        return run(connection, sql, params![key(*author), key(*about)]).map(drop);
    }
    let known =
        exists(connection, "SELECT 1 FROM notes WHERE author = ?1 AND about = ?2", params![key(*author), key(*about)])?;
    if !known {
        let count = one(connection, "SELECT count(*) FROM notes WHERE author = ?1", [key(*author)], |row| {
            Cells::of(row).number()
        })?;
        if count.unwrap_or(0) >= limits::USER_NOTES_MAX {
            return Err(StoreError::Conflict(Conflict::Full));
        }
    }
    let sql = "INSERT INTO notes (author, about, note) VALUES (?1, ?2, ?3)
               ON CONFLICT (author, about) DO UPDATE SET note = excluded.note";
    run(connection, sql, params![key(*author), key(*about), text]).map(drop)
}

// ── queries ──

/// By ascending user id; only the one about a user, if one is named.
pub(super) fn of_user(
    connection: &Connection,
    author: UserId,
    about: Option<UserId>,
) -> Result<Vec<UserNote>, StoreError> {
    match about {
        Some(about) => {
            let sql = "SELECT author, about, note FROM notes WHERE author = ?1 AND about = ?2";
            Ok(one(connection, sql, params![asked(author), asked(about)], note_of)?.into_iter().collect())
        }
        None => {
            let sql = "SELECT author, about, note FROM notes WHERE author = ?1 ORDER BY about";
            all(connection, sql, [asked(author)], note_of)
        }
    }
}
