//! Flushing: what sessions have to say goes to their sockets, in slices.
//!
//! Lives on: the sessions' homes.
//! An event costs one journal entry per audience; only here is there work per session, and it is one write for everything a
//! session has. A walk over a large audience proceeds in slices with a cursor, other work gets its turns in between, and
//! events that come meanwhile are picked up by the walk or by the next one: under load they coalesce by themselves.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::base::metrics::{Counter, Metric};
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::net::compression::Format;
use crate::session::dispatch;
use crate::session::packing::{Mark, Place};
use crate::shard::Shard;

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// This many bytes were taken; fewer than given means that the socket is full.
    Bytes(usize),
    /// The socket is gone.
    Gone,
}

/// The sockets of a core, as the shard sees them.
pub trait Sockets {
    /// Writes without waiting.
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Sent;
}

/// The first event that is ever sent again: the one after READY.
const FIRST_REPLAYED: u64 = 2;

/// Who has something to say.
#[derive(Debug, Default)]
pub(super) struct Flushing {
    /// Connections with a payload or an event of their own.
    pub(super) ready: VecDeque<Key>,
    /// Audiences with new events, one walk each.
    pub(super) walks: VecDeque<(GuildId, Key)>,
    blocked: Vec<Key>,
    finished: Vec<Key>,
    last: Option<Assembled>,
    /// What a compressed stream ends with after it.
    tail: Option<Mark>,
    published: Vec<Time>,
    /// Bytes of the bodies in it.
    bytes: u64,
}

/// What the last assembled write was made of; sessions with equal stretches and numbers are sent equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Assembled {
    journal: usize,
    from: u64,
    s: u64,
    end: u64,
    format: Option<Format>,
    tail: Option<Mark>,
}

impl Flushing {
    pub(super) fn is_busy(&self) -> bool {
        !self.ready.is_empty() || !self.walks.is_empty()
    }
}

impl Shard {
    /// Writes to about `budget` sockets. Says whether there is more to do.
    pub fn flush(&mut self, now: Time, sockets: &mut impl Sockets, budget: usize, out: &mut Outbox) -> bool {
        let work = std::mem::take(&mut self.packer.work);
        self.metrics.count(Counter::TextsCompressed, work.alone + work.behind);
        self.metrics.count(Counter::TextsCompressedBehind, work.behind);
        // Journals may have come and gone since: their addresses mean nothing any more.
        self.flushing.last = None;
        self.let_in(now, out);
        let mut written = 0;
        // Newcomers have much to be told and all at once. While there are walks too they get half, so that nobody waits for them.
        let for_ready = if self.flushing.walks.is_empty() { budget } else { budget.div_ceil(2) };
        while written < budget {
            if (written < for_ready || self.flushing.walks.is_empty())
                && let Some(key) = self.flushing.ready.pop_front()
            {
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.listed = false;
                    written += 1;
                    self.absorb_for(now, key, out);
                    self.write(now, key, sockets, out);
                }
                continue;
            }
            let Some(walk) = self.flushing.walks.pop_front() else { break };
            written += self.walk(now, walk, sockets, budget - written, out);
        }
        self.flushing.is_busy()
    }

    /// Whether [`Shard::flush`] has anything to do.
    pub fn has_to_flush(&self) -> bool {
        self.flushing.is_busy()
    }

    /// Connections whose sockets were full; the door lists them again with [`Shard::writable`] when they can take more.
    pub fn take_blocked(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.flushing.blocked)
    }

    /// Connections that have said their last; the door shuts their sockets.
    pub fn take_finished(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.flushing.finished)
    }

    /// A socket that was full can take more.
    pub fn writable(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.blocked = false;
            self.list_connection(key);
        }
    }

    /// Has the door shut a socket without another word.
    pub(super) fn shut(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.pending = Vec::new();
            connection.closing = true;
            self.flushing.finished.push(key);
        }
    }

    /// Visits some more places of an audience. Says to how many sockets it wrote.
    fn walk(
        &mut self,
        now: Time,
        (guild, audience_key): (GuildId, Key),
        sockets: &mut impl Sockets,
        budget: usize,
        out: &mut Outbox,
    ) -> usize {
        let (mut visited, mut written) = (0, 0);
        while visited < limits::FANOUT_SLICE && written < budget {
            // Looked up anew each time: whoever is found to be lost ends, and that may end the audience.
            let Some(audience) = self.relays.get_mut(&guild).and_then(|relay| relay.audience_mut(audience_key)) else {
                return written;
            };
            let Some(walk) = &mut audience.walk else { return written };
            let Some(session_key) = audience.sessions.get(walk.at).copied() else {
                let metrics = &mut self.metrics;
                let again =
                    audience.finish_walk(|published| metrics.record(Metric::PublishToLastFlush, now.since(published)));
                if again {
                    self.flushing.walks.push_back((guild, audience_key));
                }
                return written;
            };
            walk.at += 1;
            visited += 1;
            let Some(connection) = self.sessions.get(session_key).and_then(|session| session.connection) else {
                continue; // it takes up its events when it resumes
            };
            self.absorb_for(now, connection, out);
            if self.write(now, connection, sockets, out) {
                written += 1;
            }
        }
        self.flushing.walks.push_back((guild, audience_key));
        written
    }

    /// Dispatches to the connection's session what its journals have gathered, within the bounds of its backlog.
    fn absorb_for(&mut self, now: Time, key: Key, out: &mut Outbox) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(session_key) = connection.session else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        if session.absorb_all().is_err() {
            self.end_session(now, session_key, out);
            return;
        }
        if session.is_overdue() {
            // A client that does not read is cut off without a word: there is no room for one. It can resume.
            self.metrics.count(Counter::BacklogDisconnects, 1);
            if let Some(connection) = self.connections.get_mut(key) {
                connection.session = None;
            }
            self.shut(key);
            self.disconnect(now, session_key, true, out);
        }
    }

    /// Writes what a connection has to say. Says whether there was anything.
    fn write(&mut self, now: Time, key: Key, sockets: &mut impl Sockets, out: &mut Outbox) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if connection.blocked {
            return false;
        }
        let (format, tail) = (connection.terms.compression, connection.tail);
        let mut session = connection.session.and_then(|session| self.sessions.get_mut(session));
        let unsent = session.as_ref().map_or(0, |session| session.unsent());
        if connection.pending.is_empty() && unsent == 0 {
            let rests = session.is_some_and(|session| session.wants_members());
            let session_key = connection.session.filter(|_| rests);
            if connection.closing {
                self.flushing.finished.push(key);
            }
            if let Some(session_key) = session_key {
                self.go_on_listing(session_key, out);
            }
            return false;
        }
        let mut lost = false;
        if let Some(session) = &mut session
            && unsent > 0
        {
            let same = session.replay.stretch_from(session.sent_s).filter(|_| connection.pending.is_empty()).map(
                |(journal, from)| {
                    let (s, end) = (session.sent_s, session.replay.next_s());
                    Assembled { journal, from, s, end, format, tail }
                },
            );
            if same.is_none() || same != self.flushing.last {
                self.scratch.clear();
                self.scratch.append(&mut connection.pending);
                self.flushing.published.clear();
                self.flushing.bytes = 0;
                let Flushing { published, bytes, .. } = &mut self.flushing;
                let (scratch, packer) = (&mut self.scratch, &mut self.packer);
                let mut tail = tail;
                let result = session.replay.each_from(session.sent_s, |s, body, before| {
                    match format {
                        None => dispatch::write_dispatch(scratch, body, s),
                        Some(format) => {
                            let place = Place { format, before: before.map(|before| &**before), tail: &mut tail };
                            dispatch::write_packed(scratch, body, s, place, packer);
                        }
                    }
                    published.push(body.published);
                    *bytes += body.size() as u64;
                    if scratch.len() < limits::FLUSH_BYTES_MAX {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                });
                lost = result.is_err();
                self.flushing.last = same;
                self.flushing.tail = tail;
            }
            connection.tail = self.flushing.tail;
            let count = self.flushing.published.len() as u64;
            // What is sent again after a resume was late through the client's absence.
            let again = session.owed_s.saturating_sub(session.sent_s).min(count) as usize;
            session.sent_s += count;
            session.unsent_bytes = session.unsent_bytes.saturating_sub(self.flushing.bytes);
            for published in &self.flushing.published[again..] {
                self.metrics.record(Metric::PublishToFlush, now.since(*published));
            }
            self.metrics.count(Counter::Deliveries, count);
        } else {
            self.flushing.last = None;
            self.scratch.clear();
            self.scratch.append(&mut connection.pending);
        }
        if connection.pending.capacity() > 0 && connection.pending.is_empty() {
            connection.pending = Vec::new();
        }
        let session_key = connection.session;
        let mut rests = false;
        match sockets.send(key, &self.scratch) {
            Sent::Bytes(sent) => {
                self.metrics.count(Counter::Sends, 1);
                self.metrics.count(Counter::BytesSent, sent as u64);
                let more = session.is_some_and(|session| {
                    // Nobody resumes a session whose READY has not arrived: its name is in there. So READY, which is as
                    // large as everything else about an idle session, need not be kept.
                    session.replay.trim(FIRST_REPLAYED.min(session.sent_s));
                    session.replay.shed(limits::REPLAY_OWN_BYTES_MAX, session.sent_s);
                    rests = session.wants_members();
                    session.unsent() > 0
                });
                if sent < self.scratch.len() {
                    connection.pending = self.scratch[sent..].to_vec();
                    connection.block(now);
                    self.flushing.blocked.push(key);
                } else if connection.closing {
                    self.flushing.finished.push(key);
                } else if more {
                    self.list_connection(key);
                }
            }
            Sent::Gone => self.flushing.finished.push(key),
        }
        if let Some(session_key) = session_key {
            if lost {
                self.end_session(now, session_key, out);
            } else if rests {
                self.go_on_listing(session_key, out);
            }
        }
        true
    }
}
