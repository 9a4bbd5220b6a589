//! Statements and values: how SQL is put together from a table's columns, carried out, and read row by row.
//!
//! Lives on: the store's threads.
//! A table spells its columns once, in a macro `columns!`; the forms below make `SELECT`, `INSERT` and `UPDATE` of it.
//! Values are bound and read in the order of the columns. Unit tests look at the plan of every statement: none may walk
//! through a table.

use rusqlite::types::{FromSql, Type, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::id::Id;
use crate::store::{Conflict, StoreError};

/// `a, b`, or `t.a, t.b` for a table that is named so in the statement.
macro_rules! names {
    ([$first:ident $($rest:ident)*]) => {
        concat!(stringify!($first) $(, ", ", stringify!($rest))*)
    };
    ($table:ident [$first:ident $($rest:ident)*]) => {
        concat!(stringify!($table), ".", stringify!($first) $(, ", ", stringify!($table), ".", stringify!($rest))*)
    };
}

/// `?, ?`
macro_rules! marks {
    ([$first:ident $($rest:ident)*]) => { concat!("?" $(, marks!(@ $rest))*) };
    (@ $column:ident) => { ", ?" };
}

/// `a = ?, b = ?`
macro_rules! changes {
    ([$first:ident $($rest:ident)*]) => {
        concat!(stringify!($first), " = ?" $(, ", ", stringify!($rest), " = ?")*)
    };
}

/// `a = excluded.a, b = excluded.b`
macro_rules! replaced {
    ([$first:ident $($rest:ident)*]) => {
        concat!(
            stringify!($first), " = excluded.", stringify!($first)
            $(, ", ", stringify!($rest), " = excluded.", stringify!($rest))*
        )
    };
}

pub(super) use {changes, marks, names, replaced};

// ── values ──

/// An id that was minted here. Bit 63 stays clear until the year 2084, so ids order as integers do.
pub(super) fn key<T>(id: Id<T>) -> i64 {
    i64::try_from(id.get()).expect("a minted id is below 2^63")
}

/// An id that a client may have made up. What cannot exist becomes the largest number, which is never minted.
pub(super) fn asked<T>(id: Id<T>) -> i64 {
    whole(id.get())
}

pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Failed(format!("a record cannot be written as JSON: {error}")))
}

/// Lower case, character by character: the lower case of a prefix must be a prefix of the lower case, so the rule for a
/// sigma at the end of a word must not apply.
pub(super) fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Reads a row's values from left to right.
pub(super) struct Cells<'a, 's> {
    row: &'a Row<'s>,
    next: usize,
}

impl<'a, 's> Cells<'a, 's> {
    pub(super) fn of(row: &'a Row<'s>) -> Self {
        Cells { row, next: 0 }
    }

    fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    pub(super) fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let at = self.step();
        self.row.get(at)
    }

    pub(super) fn number(&mut self) -> rusqlite::Result<u64> {
        Ok(self.take::<i64>()?.max(0) as u64)
    }

    pub(super) fn number_if_any(&mut self) -> rusqlite::Result<Option<u64>> {
        Ok(self.take::<Option<i64>>()?.map(|raw| raw.max(0) as u64))
    }

    pub(super) fn id<T>(&mut self) -> rusqlite::Result<Id<T>> {
        self.number().map(Id::new)
    }

    pub(super) fn raw(&mut self) -> rusqlite::Result<ValueRef<'a>> {
        let at = self.step();
        self.row.get_ref(at)
    }

    /// A record that is kept as JSON; `None` is NULL.
    pub(super) fn record_if_any<T: DeserializeOwned>(&mut self) -> rusqlite::Result<Option<T>> {
        let at = self.step();
        match self.row.get_ref(at)?.as_str_or_null()? {
            None => Ok(None),
            Some(text) => serde_json::from_str(text)
                .map(Some)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))),
        }
    }

    pub(super) fn record<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let at = self.next;
        self.record_if_any()?.ok_or_else(|| rusqlite::Error::InvalidColumnType(at, "data".to_owned(), Type::Null))
    }
}

// ── statements ──

pub(super) fn statement<'a>(connection: &'a Connection, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
    #[cfg(test)]
    plan::assert_searches(connection, sql);
    connection.prepare_cached(sql)
}

/// Carries a statement out and says how many rows it changed.
pub(super) fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    Ok(statement(connection, sql)?.execute(params)?)
}

/// As [`run`], for a statement that must change a row: refused with [`Conflict::Gone`] if it does not.
pub(super) fn change(connection: &Connection, sql: &str, params: impl Params) -> Result<(), StoreError> {
    if run(connection, sql, params)? == 0 { Err(StoreError::Conflict(Conflict::Gone)) } else { Ok(()) }
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(statement(connection, sql)?.query_row(params, read).optional()?)
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = statement(connection, sql)?;
    let rows = statement.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()?;
    Ok(rows)
}

/// Whether there is such a row.
pub(super) fn exists(connection: &Connection, sql: &str, params: impl Params) -> Result<bool, StoreError> {
    Ok(statement(connection, sql)?.exists(params)?)
}

/// What SQLite means to do for a statement.
#[cfg(test)]
pub(super) mod plan {
    use rusqlite::Connection;

    /// # Panics
    /// If the statement would walk through a table or sort in memory.
    pub fn assert_searches(connection: &Connection, sql: &str) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let arguments = vec![1i64; plan.parameter_count()];
        let steps = plan.query_map(rusqlite::params_from_iter(arguments), |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        // A subquery with a limit of its own may be walked through.
        let bounded: Vec<&str> = steps.iter().filter_map(|step| step.strip_prefix("CO-ROUTINE ")).collect();
        for step in &steps {
            let walks = step.strip_prefix("SCAN ").is_some_and(|of| of != "CONSTANT ROW" && !bounded.contains(&of));
            assert!(!walks && !step.contains("TEMP B-TREE"), "{sql}: {steps:?}");
        }
    }

    #[test]
    #[should_panic(expected = "SCAN users")]
    fn a_statement_that_scans_a_table_is_found() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)").unwrap();
        assert_searches(&connection, "SELECT id FROM users WHERE name = ?1");
    }
}
