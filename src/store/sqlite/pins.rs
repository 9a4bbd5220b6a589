//! The table `pins`: which messages of a channel are pinned, and since when.
//!
//! Lives on: the store's threads, the operator's commands, the simulator.
//! Invariant: a pin's message is in `messages` and has its flag; a pin is found only while its channel's row is there.

use rusqlite::{Connection, Row, params};

use super::statement::{Cells, all, asked, change, key, run, whole};
use super::sweep::Sweep;
use super::{channels, messages};
use crate::base::id::{ChannelId, GuildId, MessageId};
use crate::limits;
use crate::model::pin::Pin;
use crate::store::{Conflict, PinsPage, StoreError};

pub(super) const TABLE: &str = "
    CREATE TABLE pins (
        channel_id   INTEGER NOT NULL,
        pinned_at_ms INTEGER NOT NULL,
        message_id   INTEGER NOT NULL,
        PRIMARY KEY (channel_id, pinned_at_ms)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX pins_by_message ON pins (channel_id, message_id);
";

pub(super) const SWEEP: Sweep = Sweep {
    name: "pins",
    delete: "DELETE FROM pins WHERE channel_id = ?1 AND pinned_at_ms IN
             (SELECT pinned_at_ms FROM pins WHERE channel_id = ?1 ORDER BY pinned_at_ms LIMIT ?2)",
};

fn pin_of(row: &Row<'_>) -> rusqlite::Result<Pin> {
    let mut cells = Cells::of(row);
    Ok(Pin { channel_id: cells.id()?, message_id: cells.id()?, pinned_at_ms: cells.number()? })
}

// ── writes ──

pub(super) fn put(connection: &Connection, pin: &Pin) -> Result<(), StoreError> {
    if !channels::exists(connection, pin.channel_id)? {
        return Err(StoreError::Conflict(Conflict::Gone));
    }
    let sql = "INSERT INTO pins (channel_id, message_id, pinned_at_ms) VALUES (?1, ?2, ?3)";
    run(connection, sql, params![key(pin.channel_id), key(pin.message_id), whole(pin.pinned_at_ms)]).map(drop)
}

const DELETE: &str = "DELETE FROM pins WHERE channel_id = ?1 AND message_id = ?2";

pub(super) fn remove(connection: &Connection, channel: ChannelId, message: MessageId) -> Result<(), StoreError> {
    change(connection, DELETE, params![asked(channel), asked(message)])
}

/// As [`remove`], for a message that is deleted, pinned or not.
pub(super) fn remove_if_any(connection: &Connection, channel: ChannelId, message: MessageId) -> Result<(), StoreError> {
    run(connection, DELETE, params![asked(channel), asked(message)]).map(drop)
}

// ── queries ──

/// By channel, oldest first.
pub(super) fn of_guild(connection: &Connection, guild: GuildId) -> Result<Vec<Pin>, StoreError> {
    let sql =
        "SELECT p.channel_id, p.message_id, p.pinned_at_ms FROM channels c CROSS JOIN pins p ON p.channel_id = c.id
               WHERE c.guild_id = ?1 ORDER BY c.id, p.pinned_at_ms";
    all(connection, sql, params![asked(guild)], pin_of)
}

/// Newest first, with their messages.
pub(super) fn page(
    connection: &Connection,
    channel: ChannelId,
    before_ms: Option<u64>,
    limit: u32,
) -> Result<PinsPage, StoreError> {
    let limit = limit.clamp(1, limits::PINS_PAGE_MAX);
    let sql = "SELECT channel_id, message_id, pinned_at_ms FROM pins
               WHERE channel_id = ?1 AND pinned_at_ms < ?2 ORDER BY pinned_at_ms DESC LIMIT ?3";
    let pins = all(connection, sql, params![asked(channel), whole(before_ms.unwrap_or(u64::MAX)), limit + 1], pin_of)?;
    let has_more = pins.len() > limit as usize;
    let mut items = Vec::new();
    for pin in pins.into_iter().take(limit as usize) {
        // Without its channel no message is found.
        if let Some(message) = messages::one(connection, channel, pin.message_id)? {
            items.push((pin.pinned_at_ms, message));
        }
    }
    Ok(PinsPage { has_more: has_more && !items.is_empty(), items })
}
