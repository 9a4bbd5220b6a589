//! The store on SQLite: one file, a write-ahead log, every group of commits made durable by one `fsync`.
//!
//! Lives on: the store's threads (one connection each), the operator's commands, the simulator (in memory).
//! Truth it holds: everything that survives a restart. Invariant: `guilds.member_count` is the number of that guild's rows in
//! `members`. Read next: `schema` for the
//! tables, `write` and `read` for the statements, `service` for the threads.
//!
//! Deleting a guild or a channel deletes its messages in the same transaction. With millions of them the writer is busy for
//! seconds, and commits queue meanwhile.

pub mod bulk;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};

use rand_core::{OsRng, TryRngCore};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension, Params, Row, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::base::id::{GuildId, Id, RoleId, UserId};
use crate::limits;
use crate::store::{Commit, Found, Query, Store, StoreError, schema};

/// A connection to the database.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    /// `None` is in memory.
    path: Option<PathBuf>,
}

impl Store for SqliteStore {
    fn commit(&mut self, commits: &[Commit]) -> Vec<Result<(), StoreError>> {
        match self.commit_group(commits) {
            Ok(results) => results,
            Err(error) => vec![Err(error); commits.len()],
        }
    }

    fn read(&mut self, query: &Query) -> Result<Found, StoreError> {
        // One snapshot for all statements of the answer.
        let snapshot = Snapshot::of(&self.connection)?;
        read::find(snapshot.0, query)
    }

    fn read_each(
        &mut self,
        queries: &[Query],
        each: &mut dyn FnMut(Result<Found, StoreError>),
    ) -> Result<(), StoreError> {
        // One snapshot for all: to begin and to end one costs as much as a question.
        let snapshot = Snapshot::of(&self.connection)?;
        for query in queries {
            each(read::find(snapshot.0, query));
        }
        Ok(())
    }
}

/// What was committed when the first statement of the answer looked, for all of them. Begun and ended by statements that are kept: to
/// compile them takes as long as a quick question.
struct Snapshot<'a>(&'a Connection);

impl Snapshot<'_> {
    fn of(connection: &Connection) -> Result<Snapshot<'_>, StoreError> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Snapshot(connection))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]));
        if let Err(error) = ended {
            // The next one says so to whoever asks.
            tracing::error!(%error, "a snapshot could not be ended");
        }
    }
}

/// Creates the file if it is missing, for its owner alone: it has password hashes and the secret of all tokens. SQLite gives
/// the files beside it the same mode.
fn own(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create(true).truncate(false).open(path).map(drop)
}

impl SqliteStore {
    /// Opens the database for writing, creates it if missing, and brings it to the current schema.
    /// Refuses a database that a newer version wrote.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let failed = |error| StoreError::Failed(format!("the database {} cannot be opened: {error}", path.display()));
        own(path).map_err(|error| StoreError::Failed(format!("cannot create {}: {error}", path.display())))?;
        let mut connection = Connection::open(path).map_err(failed)?;
        configure(&connection, limits::STORE_WRITER_CACHE_KIB).map_err(failed)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(StoreError::Failed(format!(
                "the database {} cannot use a write-ahead log (got {mode}); is it on a network file system?",
                path.display()
            )));
        }
        connection.pragma_update(None, "wal_autocheckpoint", limits::STORE_CHECKPOINT_PAGES)?;
        schema::migrate(&mut connection, path)?;
        Ok(SqliteStore { connection, path: Some(path.to_owned()) })
    }

    /// A database that ends with the value: the same code for the simulator and for tests.
    pub fn in_memory() -> Result<SqliteStore, StoreError> {
        let mut connection = Connection::open_in_memory()?;
        configure(&connection, limits::STORE_READER_CACHE_KIB)?;
        schema::migrate(&mut connection, Path::new(":memory:"))?;
        Ok(SqliteStore { connection, path: None })
    }

    /// Another connection to the same database, for reading only. A database in memory has no second connection.
    pub fn reader(&self) -> Result<SqliteStore, StoreError> {
        match &self.path {
            Some(path) => SqliteStore::open_reader(path),
            None => Err(StoreError::Failed("a database in memory has one connection".to_owned())),
        }
    }

    /// A connection for reading only. The database must exist and have the current schema. Its commits fail.
    pub fn open_reader(path: &Path) -> Result<SqliteStore, StoreError> {
        let failed = |error| StoreError::Failed(format!("the database {} cannot be read: {error}", path.display()));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        configure(&connection, limits::STORE_READER_CACHE_KIB).map_err(failed)?;
        schema::check(&connection, path)?;
        Ok(SqliteStore { connection, path: Some(path.to_owned()) })
    }

    /// The secret that signs tokens: taken from the kernel on first use, the same ever after.
    pub fn secret(&mut self) -> Result<[u8; 32], StoreError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let kept: Option<Vec<u8>> =
            change.query_row("SELECT value FROM meta WHERE key = 'secret'", [], |row| row.get(0)).optional()?;
        if let Some(kept) = kept {
            return kept.try_into().map_err(|_| {
                StoreError::Failed("the signing secret in the database does not have 32 bytes".to_owned())
            });
        }
        let mut secret = [0; 32];
        OsRng
            .try_fill_bytes(&mut secret)
            .map_err(|error| StoreError::Failed(format!("the kernel gives no randomness: {error}")))?;
        change.execute("INSERT INTO meta (key, value) VALUES ('secret', ?1)", params![&secret[..]])?;
        change.commit()?;
        Ok(secret)
    }

    /// Adds `count` new users, named `load-000001` and on, as members of a guild: for load tests.
    ///
    /// Names go on where an earlier call ended and step over those in use. One transaction per
    /// [`limits::STORE_FILL_ROWS`]; after a failure the finished ones stay. Refused with [`crate::store::Conflict::Gone`] without the guild.
    pub fn fill_members(
        &mut self,
        guild: GuildId,
        count: u64,
        joined_at_ms: u64,
        mut mint: impl FnMut() -> UserId,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut filled = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut bulk = self.bulk();
        while (filled.len() as u64) < count {
            let rows = (count - filled.len() as u64).min(limits::STORE_FILL_ROWS);
            let batch: Vec<UserId> = (0..rows).map(|_| mint()).collect();
            bulk.create_users("load", 1, &batch)?;
            bulk.add_members(guild, &batch, &[], joined_at_ms)?;
            bulk.commit()?;
            filled.extend(batch);
        }
        Ok(filled)
    }

    /// Copies the write-ahead log back into the database and empties it. Leaves out what another connection still reads;
    /// nothing is lost by that.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.path.is_none() {
            return Ok(());
        }
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn commit_group(&mut self, commits: &[Commit]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut results = Vec::with_capacity(commits.len());
        if commits.is_empty() {
            return Ok(results);
        }
        // Dropped without commit — by an early return or a panic — it rolls back.
        let group = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for commit in commits {
            run(&group, "SAVEPOINT one", [])?;
            let result = commit.iter().try_for_each(|write| write::apply(&group, write));
            if let Err(error) = &result {
                // A full disk and its like end the whole transaction, with all that was in it.
                if group.is_autocommit() {
                    return Err(error.clone());
                }
                run(&group, "ROLLBACK TO one", [])?;
            }
            run(&group, "RELEASE one", [])?;
            results.push(result);
        }
        group.commit()?;
        Ok(results)
    }
}

fn configure(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.busy_timeout(limits::STORE_BUSY_TIME)?;
    // Every statement of this file stays prepared.
    connection.set_prepared_statement_cache_capacity(128);
    // A commit is on the disk before COMMIT returns. NORMAL would only promise that the file stays whole.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // Savepoints keep their undo pages in memory.
    connection.pragma_update(None, "temp_store", "MEMORY")
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Failed(format!("database: {error}"))
    }
}

// ── values ──

/// An id that was minted here. Bit 63 stays clear until the year 2084, so ids order as integers do.
fn key<T>(id: Id<T>) -> i64 {
    i64::try_from(id.get()).expect("a minted id is below 2^63")
}

/// An id that a client may have made up. What cannot exist becomes the largest number, which is never minted.
fn asked<T>(id: Id<T>) -> i64 {
    whole(id.get())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.max(0) as u64)
}

fn id<T>(row: &Row<'_>, at: usize) -> rusqlite::Result<Id<T>> {
    number(row, at).map(Id::new)
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Failed(format!("a record cannot be written as JSON: {error}")))
}

fn record<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(at)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

/// Lower case, character by character: the lower case of a prefix must be a prefix of the lower case, so the rule for a
/// sigma at the end of a word must not apply.
fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

fn role_bytes(roles: &[RoleId]) -> Option<Vec<u8>> {
    (!roles.is_empty()).then(|| roles.iter().flat_map(|role| role.get().to_le_bytes()).collect())
}

fn role_ids(bytes: Option<&[u8]>) -> SmallVec<[RoleId; 2]> {
    let (whole, _) = bytes.unwrap_or_default().as_chunks::<8>();
    whole.iter().map(|bytes| RoleId::new(u64::from_le_bytes(*bytes))).collect()
}

// ── statements ──

fn statement<'a>(connection: &'a Connection, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
    connection.prepare_cached(sql)
}

/// Carries a statement out and says how many rows it changed.
fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    Ok(statement(connection, sql)?.execute(params)?)
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(statement(connection, sql)?.query_row(params, read).optional()?)
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = statement(connection, sql)?;
    let rows = statement.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()?;
    Ok(rows)
}
