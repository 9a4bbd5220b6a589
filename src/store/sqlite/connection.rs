//! A connection to the database: opening it, transactions, snapshots.
//!
//! Lives on: the store's threads (one connection each), the operator's commands, the simulator (in memory).
//! Truth it holds: everything that survives a restart. Read next: `schema` for the tables' versions.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::bulk::SqliteBulk;
use super::statement::run;
use super::tables::{SWEEPS, apply, find};
use super::{meta, schema, sweep};
use crate::limits;
use crate::store::backend::{Backend, Bulk, Store};
use crate::store::{Commit, Found, Query, StoreError};

/// A connection to the database.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) connection: Connection,
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
        let snapshot = ReadTransaction::of(&self.connection)?;
        find(snapshot.0, query)
    }

    fn read_each(
        &mut self,
        queries: &[Query],
        each: &mut dyn FnMut(Result<Found, StoreError>),
    ) -> Result<(), StoreError> {
        // One snapshot for all: to begin and to end one costs as much as a question.
        let snapshot = ReadTransaction::of(&self.connection)?;
        for query in queries {
            each(find(snapshot.0, query));
        }
        Ok(())
    }
}

impl Backend for SqliteStore {
    fn reader(&self) -> Result<Box<dyn Store>, StoreError> {
        match &self.path {
            Some(path) => Ok(Box::new(SqliteStore::open_reader(path)?)),
            None => Err(StoreError::Failed("a database in memory has one connection".to_owned())),
        }
    }

    fn secret(&mut self) -> Result<[u8; 32], StoreError> {
        meta::secret(&mut self.connection)
    }

    fn sweep(&mut self) -> Result<bool, StoreError> {
        let slice = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let more = sweep::slice(&slice, SWEEPS, limits::STORE_SWEEP_ROWS)?;
        slice.commit()?;
        Ok(more)
    }

    fn relax(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.pragma_update(None, "synchronous", "NORMAL")?)
    }

    /// Copies the write-ahead log back into the database and empties it.
    fn finish(&mut self) -> Result<(), StoreError> {
        if self.path.is_none() {
            return Ok(());
        }
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn bulk(&mut self) -> Box<dyn Bulk + '_> {
        Box::new(SqliteBulk::on(&mut self.connection))
    }
}

/// What was committed when the first statement of the answer looked, for all of them. Begun and ended by statements
/// that are kept: to compile them takes as long as a quick question.
struct ReadTransaction<'a>(&'a Connection);

impl ReadTransaction<'_> {
    fn of(connection: &Connection) -> Result<ReadTransaction<'_>, StoreError> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(ReadTransaction(connection))
    }
}

impl Drop for ReadTransaction<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]));
        if let Err(error) = ended {
            // The next BEGIN fails, and its caller gets that error.
            tracing::error!(%error, "a snapshot could not be ended");
        }
    }
}

/// Creates the file if it is missing, for its owner alone: it has password hashes and the secret of all tokens. SQLite
/// gives the files beside it the same mode.
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

    /// A connection for reading only. The database must exist and have the current schema. Its commits fail.
    pub fn open_reader(path: &Path) -> Result<SqliteStore, StoreError> {
        let failed = |error| StoreError::Failed(format!("the database {} cannot be read: {error}", path.display()));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        configure(&connection, limits::STORE_READER_CACHE_KIB).map_err(failed)?;
        schema::check(&connection, path)?;
        Ok(SqliteStore { connection, path: Some(path.to_owned()) })
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
            let result = commit.writes.iter().try_for_each(|write| apply(&group, write));
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
    // Every statement of the tables stays prepared.
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
