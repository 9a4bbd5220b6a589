//! The store on SQLite: one file, a write-ahead log, every group of commits made durable by one `fsync`.
//!
//! Lives on: the store's threads (one connection each), the operator's commands, the simulator (in memory).
//! A table's file has its schema, its columns, its row reader, its writes and its queries; `tables` puts them together.
//! Read next: `connection` for transactions, `statement` for how SQL is made, `sweep` for what deletions leave behind.

mod accounts;
mod bulk;
mod cascade;
mod channels;
mod connection;
mod guilds;
mod invites;
mod members;
mod messages;
mod meta;
mod notes;
mod pins;
mod roles;
mod schema;
mod statement;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;

pub use self::connection::SqliteStore;
