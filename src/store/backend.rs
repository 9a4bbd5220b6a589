//! What a database must do to be a backend.
//!
//! Lives on: the store's threads, the operator's commands, the simulator; never an executor.
//! A second database implements [`Backend`] and is opened in `database`; `suite` has the tests that every backend must
//! pass.

use crate::base::id::{GuildId, RoleId, UserId};
use crate::limits;
use crate::store::{Commit, Found, Query, StoreError, Write};

/// A connection that carries out commits and answers questions.
pub trait Store: Send {
    /// Carries out the commits in order, each wholly or not at all, and makes all of them durable together.
    /// Answers one result per commit. If durability itself fails, every commit fails.
    fn commit(&mut self, commits: &[Commit]) -> Vec<Result<(), StoreError>>;

    /// Answers a question from what has been committed.
    fn read(&mut self, query: &Query) -> Result<Found, StoreError>;

    /// Answers questions in order, each as soon as it is answered. An error is about the next one; those behind it are
    /// still to be asked.
    fn read_each(
        &mut self,
        queries: &[Query],
        each: &mut dyn FnMut(Result<Found, StoreError>),
    ) -> Result<(), StoreError> {
        for query in queries {
            each(self.read(query));
        }
        Ok(())
    }
}

/// The writing connection of a database.
pub trait Backend: Store {
    /// Another connection to the same database, for reading only.
    fn reader(&self) -> Result<Box<dyn Store>, StoreError>;

    /// The secret that signs tokens: taken from the kernel on first use, the same ever after.
    fn secret(&mut self) -> Result<[u8; 32], StoreError>;

    /// Deletes up to [`limits::STORE_SWEEP_ROWS`] rows of what was deleted with its guild or channel, and forgets what
    /// is empty. Says whether there is more. No query has found these rows since the commit.
    fn sweep(&mut self) -> Result<bool, StoreError>;

    /// Lets later commits of this connection wait for no disk. A power failure then takes the last of them, whole, one
    /// by one; [`Backend::finish`] makes durable what was committed before it.
    fn relax(&mut self) -> Result<(), StoreError>;

    /// Brings the files in order after the last commit. What another connection still reads is left out.
    fn finish(&mut self) -> Result<(), StoreError>;

    /// Begins to write many rows.
    fn bulk(&mut self) -> Box<dyn Bulk + '_>;
}

/// Rows by the million: new users and members, in transactions of the caller's size. What is not committed when it is
/// dropped is undone. For the operator's commands, which make up users that no session knows yet.
pub trait Bulk {
    /// Creates people without passwords, named by the prefix, a hyphen and six or more digits.
    ///
    /// The numbers go on where the last call with this prefix ended, the first time from `first`, and step over names
    /// in use.
    fn create_users(&mut self, prefix: &str, first: u64, users: &[UserId]) -> Result<(), StoreError>;

    /// Users, who must exist, become members with these roles, ascending. Refused with
    /// [`Conflict::Gone`](crate::store::Conflict::Gone) without the guild; fails if one is a member already.
    fn add_members(
        &mut self,
        guild: GuildId,
        users: &[UserId],
        roles: &[RoleId],
        joined_at_ms: u64,
    ) -> Result<(), StoreError>;

    /// Carries out changes of the ordinary kind within the same transaction.
    fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// Answers a question from what has been written, committed or not.
    fn read(&mut self, query: &Query) -> Result<Found, StoreError>;

    /// Rows written since the last commit.
    fn rows(&self) -> u64;

    /// Commits what has been written since the last time.
    fn commit(&mut self) -> Result<(), StoreError>;
}

/// Adds `count` new users, named `load-000001` and on, as members of a guild: for load tests.
///
/// Names go on where an earlier call ended and step over those in use. One transaction per [`limits::STORE_FILL_ROWS`];
/// after a failure the finished ones stay. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone) without the
/// guild.
pub fn fill_members(
    backend: &mut dyn Backend,
    guild: GuildId,
    count: u64,
    joined_at_ms: u64,
    mut mint: impl FnMut() -> UserId,
) -> Result<Vec<UserId>, StoreError> {
    let mut filled = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut bulk = backend.bulk();
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
