//! What is SQLite's own: full disks, panics, crashes, versions, rows that no query finds. The rest is in
//! `store::suite`.
//!
//! Lives on: tests alone.

use rusqlite::Connection;

use super::{SqliteStore, schema};
use crate::base::id::MessageId;
use crate::base::virtual_shard::VirtualShard;
use crate::limits;
use crate::model::message::Message;
use crate::model::pin::Pin;
use crate::store::backend::Backend;
use crate::store::scratch::Scratch;
use crate::store::suite::{self, ANN, CHANNEL, GUILD, account, ask, commit, count, ids, message, post, small_world};
use crate::store::{Anchor, Commit, Found, Query, Store, StoreError, Write};

suite::instantiate!(|path| match path {
    Some(path) => Box::new(SqliteStore::open(path).unwrap()),
    None => Box::new(SqliteStore::in_memory().unwrap()),
});

fn of_guild(writes: Vec<Write>) -> Commit {
    Commit::of(VirtualShard::of(GUILD), writes)
}

fn rows(store: &SqliteStore, table: &str) -> u32 {
    store.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_sweep_deletes_a_bounded_number_of_rows_in_each_slice() {
    let mut store = SqliteStore::in_memory().unwrap();
    commit(&mut store, small_world());
    let slice = limits::STORE_SWEEP_ROWS;
    commit(&mut store, (1..=u64::from(slice) + 10).map(post).collect());
    let pin = Pin { channel_id: CHANNEL, message_id: MessageId::new(1), pinned_at_ms: 5 };
    commit(&mut store, vec![Write::Pin(pin), Write::DeleteGuild(GUILD)]);
    let left = |store: &SqliteStore| (rows(store, "members"), rows(store, "messages"), rows(store, "sweeps"));
    assert_eq!(left(&store), (4, slice + 10, 3));
    assert_eq!(rows(&store, "pins"), 1);
    for table in ["channels", "roles", "invites"] {
        assert_eq!(rows(&store, table), 0, "{table}");
    }
    assert!(store.sweep().unwrap());
    assert_eq!(left(&store), (2, 12, 2));
    assert!(!store.sweep().unwrap());
    assert_eq!((left(&store), rows(&store, "pins")), ((2, 0, 0), 0));
    assert_eq!(rows(&store, "guilds"), 1);
}

#[test]
fn authors_are_shown_as_they_are_now() {
    let mut store = SqliteStore::in_memory().unwrap();
    commit(&mut store, small_world());
    let orphan = Message { author: account(404, "gone", false).user, ..message(2) };
    commit(&mut store, vec![post(1), Write::CreateMessage(Box::new(orphan))]);
    store.connection.execute("UPDATE users SET username = 'Anna' WHERE id = ?1", [ANN as i64]).unwrap();
    let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 2 };
    let names: Vec<String> = ask!(store, page => Messages).into_iter().map(|m| m.author.username).collect();
    assert_eq!(names, ["Deleted User", "Anna"]);
}

#[test]
fn a_full_disk_fails_the_whole_group_and_the_store_goes_on() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::open(&scratch.join("db")).unwrap();
    commit(&mut store, small_world());
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |store: &SqliteStore, pages: i64| {
        let _: i64 =
            store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
    };
    limit(&store, pages + 2);
    let long = |id| Write::CreateMessage(Box::new(Message { content: "x".repeat(60_000), ..message(id) }));
    let results = store.commit(&[vec![post(1)], vec![long(2)], vec![post(3)]].map(of_guild));
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Failed(_)))), "{results:?}");
    limit(&store, pages + 1_000);
    let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 };
    assert_eq!(ask!(store, page => Messages), []);
    commit(&mut store, vec![post(4), long(5)]);
    assert_eq!(ids(&ask!(store, page => Messages)), [5, 4]);
}

#[test]
fn a_panic_within_a_group_leaves_nothing_of_it() {
    let mut store = SqliteStore::in_memory().unwrap();
    commit(&mut store, small_world());
    let group = [vec![post(1)], vec![post(u64::MAX)]].map(of_guild);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.commit(&group)));
    assert!(panic.is_err());
    commit(&mut store, vec![post(2)]);
    let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 };
    assert_eq!(ids(&ask!(store, page => Messages)), [2]);
}

#[test]
fn what_was_committed_is_there_after_a_crash() {
    let scratch = Scratch::new();
    let mut store = SqliteStore::open(&scratch.join("db")).unwrap();
    commit(&mut store, small_world());
    let secret = store.secret().unwrap();
    assert_eq!(store.secret().unwrap(), secret);
    assert_ne!(secret, [0; 32]);
    for id in 1..=50 {
        commit(&mut store, vec![post(id)]);
    }
    // The files as a crash would leave them: the database was not closed.
    for file in ["db", "db-wal"] {
        std::fs::copy(scratch.join(file), scratch.join(file.replace("db", "copy"))).unwrap();
    }
    std::mem::forget(store);
    let page = Query::Messages { channel: CHANNEL, anchor: Anchor::Newest, limit: 100 };
    for file in ["copy", "db"] {
        let mut store = SqliteStore::open(&scratch.join(file)).unwrap();
        assert_eq!(ask!(store, page => Messages).len(), 50, "{file}");
        assert_eq!(count(&mut store, GUILD), 2);
        assert_eq!(store.secret().unwrap(), secret);
    }
    assert_ne!(SqliteStore::in_memory().unwrap().secret().unwrap(), secret);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.join("db");
    drop(SqliteStore::open(&path).unwrap());
    let set = |version: u32| Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
    set(schema::VERSION + 1);
    for error in [SqliteStore::open(&path).unwrap_err(), SqliteStore::open_reader(&path).unwrap_err()] {
        let sentence = error.to_string();
        assert!(sentence.contains("newer Guildhall"), "{sentence}");
        assert!(sentence.contains(&format!("version {}", schema::VERSION + 1)), "{sentence}");
    }
    set(schema::VERSION);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_database_from_before_pins_gets_their_table() {
    let scratch = Scratch::new();
    let path = scratch.join("db");
    let mut store = SqliteStore::open(&path).unwrap();
    commit(&mut store, small_world());
    commit(&mut store, vec![post(1)]);
    drop(store);
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE pins; DROP TABLE notes; PRAGMA user_version = 4;").unwrap();
    drop(old);
    let mut store = SqliteStore::open(&path).unwrap();
    let pin = Pin { channel_id: CHANNEL, message_id: MessageId::new(1), pinned_at_ms: 5 };
    commit(&mut store, vec![Write::Pin(pin)]);
    assert_eq!(ask!(store, Query::Guild(GUILD) => Guild).unwrap().pins, [pin]);
}
