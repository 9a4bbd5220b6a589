//! The table `users`: people and bots, with what decides their sessions.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.

use std::fmt::Write as _;

use rusqlite::{Connection, ErrorCode, ffi, params};

use super::meta;
use super::statement::{Cells, all, asked, change, exists as any, fold, key, marks, names, one, statement, whole};
use crate::base::id::UserId;
use crate::model::account::Account;
use crate::model::user::User;
use crate::store::{Conflict, StoreError};

pub(super) const TABLE: &str = "
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
";

/// What makes a [`User`] besides its id; other tables join it as `u`. [`user_of`] goes through the id and these, in
/// this order.
macro_rules! user_columns {
    ($form:ident $($table:ident)?) => { $form!($($table)? [username global_name avatar bot]) };
}
pub(super) use user_columns;

/// What makes an [`Account`] of it.
macro_rules! account_columns {
    ($form:ident) => { $form!([owner privileged tokens_valid_from_ms]) };
}

/// What no record has.
macro_rules! own_columns {
    ($form:ident) => { $form!([name_key password]) };
}

macro_rules! account_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, ",
            user_columns!(names),
            ", ",
            account_columns!(names),
            ", password FROM users WHERE ",
            $condition
        )
    };
}

/// The name is NULL when a join found no user.
pub(super) fn user_of(cells: &mut Cells<'_, '_>) -> rusqlite::Result<User> {
    Ok(User {
        id: cells.id()?,
        username: cells.take::<Option<String>>()?.unwrap_or_else(|| "Deleted User".to_owned()),
        global_name: cells.take()?,
        avatar: cells.take()?,
        bot: cells.take::<Option<bool>>()?.unwrap_or(false),
    })
}

fn account_of(cells: &mut Cells<'_, '_>) -> rusqlite::Result<Account> {
    Ok(Account {
        user: user_of(cells)?,
        owner: cells.number_if_any()?.map(UserId::new),
        privileged: cells.take()?,
        tokens_valid_from_ms: cells.number()?,
    })
}

// ── writes ──

pub(super) fn create(connection: &Connection, account: &Account, password: Option<&str>) -> Result<(), StoreError> {
    let user = &account.user;
    let mut insert = statement(
        connection,
        concat!(
            "INSERT INTO users (id, ",
            user_columns!(names),
            ", ",
            account_columns!(names),
            ", ",
            own_columns!(names),
            ") VALUES (?, ",
            user_columns!(marks),
            ", ",
            account_columns!(marks),
            ", ",
            own_columns!(marks),
            ")"
        ),
    )?;
    let inserted = insert.execute(params![
        key(user.id),
        user.username,
        user.global_name,
        user.avatar,
        user.bot,
        account.owner.map(key),
        account.privileged,
        whole(account.tokens_valid_from_ms),
        fold(&user.username),
        password,
    ]);
    match inserted {
        // The only unique index is the one on the name; an id in use has another code.
        Err(rusqlite::Error::SqliteFailure(code, _))
            if code.code == ErrorCode::ConstraintViolation && code.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE =>
        {
            Err(StoreError::Conflict(Conflict::NameTaken))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

pub(super) fn revoke_tokens(connection: &Connection, user: UserId, valid_from_ms: u64) -> Result<(), StoreError> {
    let sql = "UPDATE users SET tokens_valid_from_ms = max(tokens_valid_from_ms, ?2) WHERE id = ?1";
    change(connection, sql, params![asked(user), whole(valid_from_ms)])
}

/// People without passwords: see [`Bulk::create_users`](crate::store::backend::Bulk::create_users).
pub(super) fn create_numbered(
    connection: &Connection,
    prefix: &str,
    first: u64,
    users: &[UserId],
) -> Result<(), StoreError> {
    let folded = fold(prefix);
    let counter = format!("{folded}_users");
    let mut number = meta::counter(connection, &counter)?.unwrap_or_else(|| whole(first));
    let mut insert = statement(
        connection,
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
    meta::set_counter(connection, &counter, number)
}

// ── queries ──

pub(super) fn exists(connection: &Connection, user: UserId) -> Result<bool, StoreError> {
    any(connection, "SELECT 1 FROM users WHERE id = ?1", params![asked(user)])
}

pub(super) fn account(connection: &Connection, user: UserId) -> Result<Option<Account>, StoreError> {
    one(connection, account_where!("id = ?1"), params![asked(user)], |row| account_of(&mut Cells::of(row)))
}

/// A person with its argon2 hash.
pub(super) fn login(connection: &Connection, username: &str) -> Result<Option<(Account, String)>, StoreError> {
    let sql = account_where!("name_key = ?1 AND bot = 0 AND password IS NOT NULL");
    one(connection, sql, params![fold(username)], |row| {
        let mut cells = Cells::of(row);
        Ok((account_of(&mut cells)?, cells.take()?))
    })
}

pub(super) fn revocations(connection: &Connection) -> Result<Vec<(UserId, u64)>, StoreError> {
    let sql = "SELECT id, tokens_valid_from_ms FROM users WHERE tokens_valid_from_ms > 0 AND id > 0 ORDER BY id";
    all(connection, sql, [], |row| {
        let mut cells = Cells::of(row);
        Ok((cells.id()?, cells.number()?))
    })
}

/// In the order of the ids that were given.
pub(super) fn users(connection: &Connection, users: &[UserId]) -> Result<Vec<User>, StoreError> {
    let mut found = Vec::with_capacity(users.len());
    for user in users {
        found.extend(account(connection, *user)?.map(|account| account.user));
    }
    Ok(found)
}
