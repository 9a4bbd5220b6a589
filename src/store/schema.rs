//! The tables, and how an older database becomes a current one.
//!
//! Lives on: the store's threads, once, when a database is opened.
//! Truth it holds: `PRAGMA user_version` is the number of [`MIGRATIONS`] that were carried out, each in a transaction of its
//! own together with the new number. A migration that was released is never edited; changes are appended.
//! Read next: `sqlite`.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// Marks the file as ours (`GHLD`), so that somebody else's database is not migrated by accident.
const APPLICATION_ID: i32 = 0x4748_4c44;

/// Ids are snowflakes as 64-bit integers. No foreign keys are declared: what must exist is checked by the writes themselves,
/// and what goes with a guild is deleted by key ranges.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (
        key   TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE users (
        id                   INTEGER PRIMARY KEY,
        username             TEXT NOT NULL,
        -- The username in lower case, by Unicode and not only by ASCII: unique, for signing in and for searching.
        name_key             TEXT NOT NULL,
        global_name          TEXT,
        avatar               TEXT,
        bot                  INTEGER NOT NULL,
        owner                INTEGER,
        privileged           INTEGER NOT NULL,
        tokens_valid_from_ms INTEGER NOT NULL,
        password             TEXT
    );
    CREATE UNIQUE INDEX users_by_name ON users (name_key);
    CREATE INDEX users_by_revocation ON users (id) WHERE tokens_valid_from_ms > 0;

    CREATE TABLE guilds (
        id           INTEGER PRIMARY KEY,
        data         TEXT NOT NULL,
        -- Rows of members with this guild, changed by whoever adds or removes one: counting millions takes too long.
        member_count INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE channels (
        guild_id INTEGER NOT NULL,
        id       INTEGER NOT NULL,
        data     TEXT NOT NULL,
        PRIMARY KEY (guild_id, id)
    ) WITHOUT ROWID;

    CREATE TABLE roles (
        guild_id INTEGER NOT NULL,
        id       INTEGER NOT NULL,
        data     TEXT NOT NULL,
        PRIMARY KEY (guild_id, id)
    ) WITHOUT ROWID;

    CREATE TABLE members (
        guild_id         INTEGER NOT NULL,
        user_id          INTEGER NOT NULL,
        nick             TEXT,
        nick_key         TEXT,
        -- Ids of 8 bytes each, little endian; NULL is none, which most have.
        roles            BLOB,
        joined_at_ms     INTEGER NOT NULL,
        deaf             INTEGER NOT NULL,
        mute             INTEGER NOT NULL,
        timeout_until_ms INTEGER NOT NULL,
        PRIMARY KEY (guild_id, user_id)
    ) WITHOUT ROWID;
    CREATE INDEX members_by_user ON members (user_id, guild_id);
    CREATE INDEX members_by_nick ON members (guild_id, nick_key) WHERE nick_key IS NOT NULL;

    CREATE TABLE messages (
        channel_id   INTEGER NOT NULL,
        id           INTEGER NOT NULL,
        guild_id     INTEGER NOT NULL,
        author_id    INTEGER NOT NULL,
        content      TEXT NOT NULL,
        edited_at_ms INTEGER,
        -- JSON; NULL is all defaults, which most are.
        extra        TEXT,
        PRIMARY KEY (channel_id, id)
    ) WITHOUT ROWID;

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
",
    "
    -- Whoever comes with a channel's id does not say which guild it is in.
    CREATE UNIQUE INDEX channels_by_id ON channels (id);
",
];

/// The version that this program writes.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

fn version_of(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn refuse_newer(found: u32, path: &Path) -> Result<(), StoreError> {
    if found <= VERSION {
        return Ok(());
    }
    Err(StoreError::Failed(format!(
        "the database {} was written by a newer Guildhall: its schema is version {found}, this one knows up to {VERSION}; run the newer one",
        path.display()
    )))
}

/// Brings the database to [`VERSION`]. Refuses a newer one and one that is not Guildhall's.
pub fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    refuse_newer(version_of(connection)?, path)?;
    loop {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read again under the write lock: another process may have got here first.
        let found = version_of(&step)?;
        refuse_newer(found, path)?;
        let Some(migration) = MIGRATIONS.get(found as usize) else { return Ok(()) };
        if found == 0 {
            let tables: u32 = step.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables > 0 {
                let sentence = format!("{} is a database, but not one of Guildhall's", path.display());
                return Err(StoreError::Failed(sentence));
            }
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", found + 1)?;
        step.commit()?;
    }
}

/// For connections that only read: the database must be at [`VERSION`] already.
pub fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version_of(connection)?;
    refuse_newer(found, path)?;
    if found == VERSION {
        return Ok(());
    }
    Err(StoreError::Failed(format!(
        "the database {} has schema version {found}; it must be opened for writing once to become version {VERSION}",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_is_brought_to_the_version_and_stays_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("x");
        migrate(&mut connection, path).unwrap();
        assert_eq!(version_of(&connection).unwrap(), VERSION);
        migrate(&mut connection, path).unwrap();
        check(&connection, path).unwrap();
    }

    #[test]
    fn a_newer_database_is_refused_with_both_numbers() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 4_321).unwrap();
        let sentence = migrate(&mut connection, Path::new("x.sqlite3")).unwrap_err().to_string();
        assert!(sentence.contains("version 4321") && sentence.contains(&format!("up to {VERSION}")), "{sentence}");
        assert!(sentence.contains("x.sqlite3"), "{sentence}");
    }

    #[test]
    fn somebody_elses_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE users (name)").unwrap();
        assert!(migrate(&mut connection, Path::new("x")).unwrap_err().to_string().contains("not one of Guildhall's"));
        assert_eq!(version_of(&connection).unwrap(), 0);
    }

    #[test]
    fn a_reader_refuses_an_empty_database() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(check(&connection, Path::new("x")).is_err());
    }
}
