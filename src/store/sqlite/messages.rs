//! The table `messages`: the messages of channels.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.
//! Invariant: a message is found and changed only while its channel's row is there.

use rusqlite::{Connection, Row, params};

use super::accounts::{user_columns, user_of};
use super::channels;
use super::statement::{Cells, all, asked, change, changes, json, key, marks, names, one as first, run, whole};
use super::sweep::Sweep;
use crate::base::id::{ChannelId, MessageId};
use crate::limits;
use crate::model::message::{Extra, Message};
use crate::store::{Anchor, Conflict, StoreError};

pub(super) const TABLE: &str = "
    CREATE TABLE messages (
        channel_id   INTEGER NOT NULL,
        id           INTEGER NOT NULL,
        guild_id     INTEGER NOT NULL,
        author_id    INTEGER NOT NULL,
        content      TEXT NOT NULL,
        edited_at_ms INTEGER,
        -- JSON; NULL is all defaults, which most are.
        extra        TEXT,
        PRIMARY KEY (channel_id, id)
    ) WITHOUT ROWID;
";

pub(super) const SWEEP: Sweep = Sweep {
    name: "messages",
    delete: "DELETE FROM messages WHERE channel_id = ?1
             AND id IN (SELECT id FROM messages WHERE channel_id = ?1 ORDER BY id LIMIT ?2)",
};

macro_rules! keys {
    ($form:ident $($table:ident)?) => { $form!($($table)? [id channel_id guild_id]) };
}

/// What an edit changes.
macro_rules! text_columns {
    ($form:ident $($table:ident)?) => { $form!($($table)? [content edited_at_ms extra]) };
}

macro_rules! messages_where {
    ($condition:literal) => {
        concat!(
            // The author's id is there also when the user is not.
            "SELECT m.author_id, ", user_columns!(names u), ", ",
            keys!(names m), ", ", text_columns!(names m),
            " FROM messages m LEFT JOIN users u ON u.id = m.author_id WHERE ", $condition
        )
    };
}

fn message_of(row: &Row<'_>) -> rusqlite::Result<Message> {
    let mut cells = Cells::of(row);
    let author = user_of(&mut cells)?;
    Ok(Message {
        id: cells.id()?,
        channel_id: cells.id()?,
        guild_id: cells.id()?,
        author,
        content: cells.take()?,
        edited_at_ms: cells.number_if_any()?,
        extra: cells.record_if_any()?.unwrap_or_default(),
    })
}

fn extra_json(extra: &Extra) -> Result<Option<String>, StoreError> {
    if *extra == Extra::default() { Ok(None) } else { json(extra).map(Some) }
}

// ── writes ──

fn in_channel(connection: &Connection, channel: ChannelId) -> Result<(), StoreError> {
    if channels::exists(connection, channel)? { Ok(()) } else { Err(StoreError::Conflict(Conflict::Gone)) }
}

pub(super) fn create(connection: &Connection, message: &Message) -> Result<(), StoreError> {
    in_channel(connection, message.channel_id)?;
    let sql = concat!(
        "INSERT INTO messages (",
        keys!(names),
        ", author_id, ",
        text_columns!(names),
        ") VALUES (",
        keys!(marks),
        ", ?, ",
        text_columns!(marks),
        ")"
    );
    let values = params![
        key(message.id),
        key(message.channel_id),
        key(message.guild_id),
        key(message.author.id),
        message.content,
        message.edited_at_ms.map(whole),
        extra_json(&message.extra)?,
    ];
    run(connection, sql, values).map(drop)
}

pub(super) fn edit(connection: &Connection, message: &Message) -> Result<(), StoreError> {
    in_channel(connection, message.channel_id)?;
    let sql = concat!("UPDATE messages SET ", text_columns!(changes), " WHERE channel_id = ? AND id = ?");
    let values = params![
        message.content,
        message.edited_at_ms.map(whole),
        extra_json(&message.extra)?,
        asked(message.channel_id),
        asked(message.id),
    ];
    change(connection, sql, values)
}

pub(super) fn delete(connection: &Connection, channel: ChannelId, message: MessageId) -> Result<(), StoreError> {
    in_channel(connection, channel)?;
    let sql = "DELETE FROM messages WHERE channel_id = ?1 AND id = ?2";
    change(connection, sql, params![asked(channel), asked(message)])
}

// ── queries ──

pub(super) fn one(
    connection: &Connection,
    channel: ChannelId,
    message: MessageId,
) -> Result<Option<Message>, StoreError> {
    if !channels::exists(connection, channel)? {
        return Ok(None);
    }
    let sql = messages_where!("m.channel_id = ?1 AND m.id = ?2");
    first(connection, sql, params![asked(channel), asked(message)], message_of)
}

/// Newest first.
pub(super) fn page(
    connection: &Connection,
    channel: ChannelId,
    anchor: Anchor,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    if !channels::exists(connection, channel)? {
        return Ok(Vec::new());
    }
    let limit = limit.clamp(1, limits::MESSAGES_PAGE_MAX);
    let up_to = |last: i64, limit: u32| {
        let sql = messages_where!("m.channel_id = ?1 AND m.id <= ?2 ORDER BY m.id DESC LIMIT ?3");
        all(connection, sql, params![asked(channel), last, limit], message_of)
    };
    let newer_than = |message: MessageId, limit: u32| {
        let sql = messages_where!("m.channel_id = ?1 AND m.id > ?2 ORDER BY m.id LIMIT ?3");
        let mut newer = all(connection, sql, params![asked(channel), asked(message), limit], message_of)?;
        newer.reverse();
        Ok::<_, StoreError>(newer)
    };
    match anchor {
        Anchor::Newest => up_to(i64::MAX, limit),
        Anchor::Before(message) => up_to(asked(message).saturating_sub(1), limit),
        Anchor::After(message) => newer_than(message, limit),
        Anchor::Around(message) => {
            let mut around = newer_than(message, limit / 2)?;
            around.extend(up_to(asked(message), limit - limit / 2)?);
            Ok(around)
        }
    }
}
