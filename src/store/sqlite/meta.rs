//! The table `meta`: what the database remembers of itself, the secret of all tokens and counters.
//!
//! Lives on: the store's threads, the operator's commands.

use rand_core::{OsRng, TryRngCore};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::statement::{one, run};
use crate::store::StoreError;

/// What brings a database from one version to the next: batches of SQL, carried out in one transaction.
pub(super) type Migration = &'static [&'static str];

pub(super) const TABLE: &str = "
    CREATE TABLE meta (
        key   TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;
";

/// The secret that signs tokens: taken from the kernel on first use, the same ever after.
pub fn secret(connection: &mut Connection) -> Result<[u8; 32], StoreError> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let kept: Option<Vec<u8>> =
        change.query_row("SELECT value FROM meta WHERE key = 'secret'", [], |row| row.get(0)).optional()?;
    if let Some(kept) = kept {
        return kept
            .try_into()
            .map_err(|_| StoreError::Failed("the signing secret in the database does not have 32 bytes".to_owned()));
    }
    let mut secret = [0; 32];
    OsRng
        .try_fill_bytes(&mut secret)
        .map_err(|error| StoreError::Failed(format!("the kernel gives no randomness: {error}")))?;
    change.execute("INSERT INTO meta (key, value) VALUES ('secret', ?1)", params![&secret[..]])?;
    change.commit()?;
    Ok(secret)
}

/// A number that is remembered under a name.
pub fn counter(connection: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    one(connection, "SELECT value FROM meta WHERE key = ?1", params![name], |row| row.get(0))
}

/// Remembers a number under a name.
pub fn set_counter(connection: &Connection, name: &str, number: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    run(connection, sql, params![name, number]).map(drop)
}
