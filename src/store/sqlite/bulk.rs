//! Rows by the million: new users and members, straight into their tables, in transactions of the caller's size.
//!
//! Lives on: the operator's commands.
//! Invariant kept here as in `members`: `guilds.member_count` is the number of rows, in every transaction by itself.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::tables::{apply, find};
use super::{accounts, members};
use crate::base::id::{GuildId, RoleId, UserId};
use crate::store::backend::Bulk;
use crate::store::{Found, Query, StoreError, Write};

/// A row of transactions. What is not committed when it is dropped is undone.
#[derive(Debug)]
pub(super) struct SqliteBulk<'a> {
    connection: &'a Connection,
    open: Option<Transaction<'a>>,
    rows: u64,
}

impl<'a> SqliteBulk<'a> {
    pub(super) fn on(connection: &'a mut Connection) -> Self {
        SqliteBulk { connection, open: None, rows: 0 }
    }

    fn transaction(&mut self) -> Result<&Transaction<'a>, StoreError> {
        let step = match self.open.take() {
            Some(step) => step,
            None => Transaction::new_unchecked(self.connection, TransactionBehavior::Immediate)?,
        };
        Ok(self.open.insert(step))
    }
}

impl Bulk for SqliteBulk<'_> {
    fn create_users(&mut self, prefix: &str, first: u64, users: &[UserId]) -> Result<(), StoreError> {
        accounts::create_numbered(self.transaction()?, prefix, first, users)?;
        self.rows += users.len() as u64;
        Ok(())
    }

    fn add_members(
        &mut self,
        guild: GuildId,
        users: &[UserId],
        roles: &[RoleId],
        joined_at_ms: u64,
    ) -> Result<(), StoreError> {
        members::add_many(self.transaction()?, guild, users, roles, joined_at_ms)?;
        self.rows += users.len() as u64;
        Ok(())
    }

    fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let step = self.transaction()?;
        writes.iter().try_for_each(|write| apply(step, write))?;
        self.rows += writes.len() as u64;
        Ok(())
    }

    fn read(&mut self, query: &Query) -> Result<Found, StoreError> {
        find(self.transaction()?, query)
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.rows = 0;
        match self.open.take() {
            Some(step) => Ok(step.commit()?),
            None => Ok(()),
        }
    }
}
