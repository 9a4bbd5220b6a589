//! What is kept: the words for it, the backends behind them, and the threads that talk to a backend.
//!
//! Lives on: threads of its own; executors only see the ends of flume channels (`service`).
//! Promise: a commit that was answered [`Ok`] survives the process being killed at any moment.
//! Read next: `write` and `query` for the words, `backend` for what a database must do, `database` for the one that is
//! used, `service` for the threads.

pub mod backend;
pub mod database;
pub mod directory;
pub mod password;
pub mod query;
#[cfg(test)]
pub(crate) mod scratch;
pub mod service;
mod sqlite;
#[cfg(test)]
mod suite;
pub mod token;
pub mod write;

use std::fmt;

use crate::base::fatal::Fatal;

pub use backend::Store;
pub use query::{Anchor, Found, GuildRecord, MembersPage, PinsPage, Query};
pub use write::{Commit, Epoch, Write};

/// Why a commit was not carried out although the store is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The username belongs to another account.
    NameTaken,
    /// What should be changed is not there.
    Gone,
    /// There are as many of them as there may be.
    Full,
}

/// Why the store gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// A refused commit; nothing of it was kept.
    Conflict(Conflict),
    /// The disk, the file, the database: the sentence for the log.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Conflict(conflict) => write!(f, "conflict: {conflict:?}"),
            StoreError::Failed(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Fatal {
    fn from(error: StoreError) -> Self {
        Fatal(error.to_string())
    }
}
