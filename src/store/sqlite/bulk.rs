//! Rows by the million: new users and members, straight into their tables, in transactions of the caller's size.
//!
//! Lives on: the operator's commands. Whoever uses it has made up users that nobody else knows yet, so there is nothing to
//! look up and nobody to tell.
//! Invariant kept here as in `write`: `guilds.member_count` is the number of rows, in every transaction by itself.

use std::fmt::Write as _;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{SqliteStore, fold, key, read, role_bytes, run, whole, write};
use crate::base::id::{GuildId, RoleId, UserId};
use crate::store::{Conflict, Found, Query, StoreError, Write};

/// A row of transactions. What is not committed when it is dropped is undone.
#[derive(Debug)]
pub struct Bulk<'a> {
    connection: &'a Connection,
    open: Option<Transaction<'a>>,
    rows: u64,
}

impl SqliteStore {
    /// Begins to write many rows.
    pub fn bulk(&mut self) -> Bulk<'_> {
        Bulk { connection: &self.connection, open: None, rows: 0 }
    }

    /// Lets later commits of this connection wait for no disk. A power failure then takes the last of them, whole, one by
    /// one; [`SqliteStore::checkpoint`] makes durable what was committed before it.
    pub fn relax(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.pragma_update(None, "synchronous", "NORMAL")?)
    }
}

impl<'a> Bulk<'a> {
    /// Creates people without passwords, named by the prefix, a hyphen and six or more digits.
    ///
    /// The numbers go on where the last call with this prefix ended, the first time from `first`, and step over names in use.
    pub fn create_users(&mut self, prefix: &str, first: u64, users: &[UserId]) -> Result<(), StoreError> {
        let step = self.transaction()?;
        let folded = fold(prefix);
        let counter = format!("{folded}_users");
        let mut number: i64 = step
            .query_row("SELECT value FROM meta WHERE key = ?1", params![counter], |row| row.get(0))
            .optional()?
            .unwrap_or_else(|| whole(first));
        {
            let mut insert = step.prepare_cached(
                "INSERT INTO users (id, username, name_key, bot, privileged, tokens_valid_from_ms)
                 VALUES (?1, ?2, ?3, 0, 0, 0) ON CONFLICT (name_key) DO NOTHING",
            )?;
            let (mut name, mut name_key) = (String::new(), String::new());
            for user in users {
                loop {
                    name.clear();
                    name_key.clear();
                    let named = write!(name, "{prefix}-{number:06}").and(write!(name_key, "{folded}-{number:06}"));
                    named.expect("a string takes what is written");
                    number += 1;
                    if insert.execute(params![key(*user), name, name_key])? == 1 {
                        break;
                    }
                }
            }
        }
        run(
            step,
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            params![counter, number],
        )?;
        self.rows += users.len() as u64;
        Ok(())
    }

    /// Users, who must exist, become members with these roles, ascending. Refused with [`Conflict::Gone`] without the guild;
    /// fails if one is a member already.
    pub fn add_members(
        &mut self,
        guild: GuildId,
        users: &[UserId],
        roles: &[RoleId],
        joined_at_ms: u64,
    ) -> Result<(), StoreError> {
        let step = self.transaction()?;
        let roles = role_bytes(roles);
        {
            let mut insert = step.prepare_cached(
                "INSERT INTO members (guild_id, user_id, roles, joined_at_ms, deaf, mute, timeout_until_ms)
                 VALUES (?1, ?2, ?3, ?4, 0, 0, 0)",
            )?;
            for user in users {
                insert.execute(params![key(guild), key(*user), roles, whole(joined_at_ms)])?;
            }
        }
        let counted = "UPDATE guilds SET member_count = member_count + ?2 WHERE id = ?1";
        if run(step, counted, params![key(guild), whole(users.len() as u64)])? == 0 {
            return Err(StoreError::Conflict(Conflict::Gone));
        }
        self.rows += users.len() as u64;
        Ok(())
    }

    /// Carries out changes of the ordinary kind within the same transaction.
    pub fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let step = self.transaction()?;
        writes.iter().try_for_each(|write| write::apply(step, write))?;
        self.rows += writes.len() as u64;
        Ok(())
    }

    /// Answers a question from what has been written, committed or not.
    pub fn read(&mut self, query: &Query) -> Result<Found, StoreError> {
        read::find(self.transaction()?, query)
    }

    /// Rows written since the last commit.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Commits what has been written since the last time.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.rows = 0;
        match self.open.take() {
            Some(step) => Ok(step.commit()?),
            None => Ok(()),
        }
    }

    fn transaction(&mut self) -> Result<&Transaction<'a>, StoreError> {
        let step = match self.open.take() {
            Some(step) => step,
            None => Transaction::new_unchecked(self.connection, TransactionBehavior::Immediate)?,
        };
        Ok(self.open.insert(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::model::guild::Guild;
    use crate::wire::model::role::Role;

    const GUILD: GuildId = GuildId::new(1_000);
    const MODS: RoleId = RoleId::new(1_001);

    fn ids(range: std::ops::Range<u64>) -> Vec<UserId> {
        range.map(UserId::new).collect()
    }

    fn world() -> SqliteStore {
        let mut store = SqliteStore::in_memory().unwrap();
        let guild = Guild::new(GUILD, "guild".into(), UserId::new(1));
        let mut bulk = store.bulk();
        bulk.create_users("Ann", 0, &ids(1..4)).unwrap();
        let role = Role { id: MODS, ..Role::everyone(GUILD) };
        bulk.apply(&[Write::PutGuild(Box::new(guild)), Write::PutRole(GUILD, Box::new(role))]).unwrap();
        bulk.add_members(GUILD, &ids(1..2), &[MODS], 5).unwrap();
        assert_eq!(bulk.rows(), 6);
        bulk.commit().unwrap();
        drop(bulk);
        store
    }

    fn members(bulk: &mut Bulk<'_>) -> (u64, Vec<(u64, String, usize)>) {
        let Found::Guild(Some(record)) = bulk.read(&Query::Guild(GUILD)).unwrap() else { panic!("the guild is there") };
        let page = Query::Members { guild: GUILD, after: UserId::new(0), limit: 1_000 };
        let Found::Members(members) = bulk.read(&page).unwrap() else { panic!("members were asked for") };
        let short = members.into_iter().map(|member| (member.user.id.get(), member.user.username, member.roles.len()));
        (record.member_count, short.collect())
    }

    #[test]
    fn users_and_members_are_there_with_names_and_roles() {
        let mut store = world();
        let mut bulk = store.bulk();
        assert_eq!(members(&mut bulk), (1, vec![(1, "Ann-000000".into(), 1)]));
        bulk.create_users("aNN", 0, &ids(4..5)).unwrap();
        bulk.add_members(GUILD, &ids(4..5), &[], 5).unwrap();
        let both = vec![(1, "Ann-000000".into(), 1), (4, "aNN-000003".into(), 0)];
        assert_eq!(members(&mut bulk), (2, both));
    }

    #[test]
    fn what_was_not_committed_is_undone_with_its_count() {
        let mut store = world();
        let mut bulk = store.bulk();
        bulk.create_users("bob", 0, &ids(10..20)).unwrap();
        bulk.add_members(GUILD, &ids(10..15), &[], 5).unwrap();
        bulk.commit().unwrap();
        bulk.add_members(GUILD, &ids(15..20), &[], 5).unwrap();
        assert_eq!(members(&mut bulk).0, 11);
        drop(bulk);
        let (counted, rows) = members(&mut store.bulk());
        assert_eq!((counted, rows.len()), (6, 6));
    }

    #[test]
    fn a_member_is_not_added_twice_and_no_guild_takes_none() {
        let mut store = world();
        let twice = store.bulk().add_members(GUILD, &ids(1..3), &[], 5);
        assert!(matches!(twice, Err(StoreError::Failed(_))), "{twice:?}");
        let gone = store.bulk().add_members(GuildId::new(7), &ids(2..3), &[], 5);
        assert_eq!(gone, Err(StoreError::Conflict(Conflict::Gone)));
        assert_eq!(members(&mut store.bulk()).0, 1);
    }
}
