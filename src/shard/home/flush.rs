//! Flushing: what sessions have to say goes to their sockets, in slices.
//!
//! Lives on: the sessions' homes.
//! An event costs one journal entry per audience; only here is there work per session, and it is one write for all that
//! a session has. A walk over a large audience proceeds in slices with a cursor, other work gets its turns in between,
//! and events that come meanwhile join the walk or the next one: under load they coalesce. Nothing is delayed on
//! purpose. A slice serves, in this order: sessions with something of their own, walks that have just begun, walks that
//! go on. So a small audience is written to at once; and a part of each slice is for walks that go on.

use std::collections::VecDeque;

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::base::metrics::{Counter, Metric, Metrics};
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::net::socket::Written;
use crate::session::assembly::Assemblies;
use crate::session::packing::Packer;
use crate::shard::context::Context;
use crate::shard::home::Home;

/// What came of a write that was put off.
#[derive(Debug, PartialEq, Eq)]
pub struct StagedWrite {
    /// The connection.
    pub connection: Key,
    /// What came of it.
    pub written: Written,
    /// The bytes that were not taken.
    pub rest: Vec<u8>,
}

/// The sockets of a core, as the shard sees them.
pub trait Sockets {
    /// Writes without waiting, and returns the outcome; or copies the bytes to write them with others, at
    /// [`Sockets::commit`]. A connection with a deferred write gets no other one before.
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Option<Written>;

    /// Does what was put off.
    fn commit(&mut self, results: &mut Vec<StagedWrite>);
}

/// The first event that is ever sent again: the one after READY.
const FIRST_REPLAYED: u64 = 2;

/// Sessions of an audience that are visited between two looks at what is left of the slice.
const HANDFUL: usize = 8;

/// Who has something to say.
#[derive(Debug, Default)]
pub(super) struct FlushQueues {
    /// Connections with a payload or an event of their own.
    pub(super) ready: VecDeque<Key>,
    /// Audiences with new events, one walk each, that have not had a slice.
    pub(super) begun: VecDeque<(GuildId, Key)>,
    /// Walks that go on.
    walks: VecDeque<(GuildId, Key)>,
    finished: VecDeque<Key>,
    /// Who is visited in one go.
    visited: Vec<Key>,
    results: Vec<StagedWrite>,
    deliveries: u64,
    packer: Packer,
    assemblies: Assemblies,
}

/// What is left of a slice.
#[derive(Debug, Clone, Copy)]
struct Slice {
    /// Sockets that may be written to.
    sockets: usize,
    /// Bytes that may be written.
    bytes: usize,
    /// Sessions that may be looked at, whether or not they have something to say.
    visits: usize,
}

impl Slice {
    fn is_over(self) -> bool {
        self.sockets == 0 || self.bytes == 0 || self.visits == 0
    }

    /// So many bytes were written to a socket.
    fn take(&mut self, bytes: usize) {
        self.sockets -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Keeps a part for later.
    fn set_aside(&mut self, part: usize) -> Slice {
        let kept = Slice { sockets: self.sockets / part, bytes: self.bytes / part, visits: self.visits / part };
        self.sockets -= kept.sockets;
        self.bytes -= kept.bytes;
        self.visits -= kept.visits;
        kept
    }

    /// The part is used after all.
    fn add(&mut self, kept: Slice) {
        self.sockets += kept.sockets;
        self.bytes += kept.bytes;
        self.visits += kept.visits;
    }
}

impl FlushQueues {
    pub(super) fn is_busy(&self) -> bool {
        !self.ready.is_empty() || !self.begun.is_empty() || !self.walks.is_empty()
    }

    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }
}

impl Home {
    /// Writes to `budget` sockets at most. Returns whether there is more to write.
    pub(in crate::shard) fn flush(
        &mut self,
        cx: &mut Context,
        now: Time,
        sockets: &mut impl Sockets,
        budget: usize,
        out: &mut Outbox,
    ) -> bool {
        let work = std::mem::take(&mut self.flush.packer.work);
        cx.metrics.count(Counter::TextsCompressed, work.independent + work.chained);
        cx.metrics.count(Counter::TextsCompressedBehind, work.chained);
        self.admit_waiting(cx, now, out);
        let mut slice =
            Slice { sockets: budget.max(1), bytes: limits::FLUSH_SLICE_BYTES, visits: limits::FANOUT_SLICE };
        while self.flush.is_busy() && !slice.is_over() {
            self.serve(cx, now, sockets, &mut slice, out);
            self.commit(cx, now, sockets, out);
        }
        let metrics = &mut cx.metrics;
        self.flush.assemblies.tell(&mut |published, times| tell(metrics, now, published, times));
        cx.metrics.count(Counter::Deliveries, std::mem::take(&mut self.flush.deliveries));
        self.flush.is_busy()
    }

    /// Writes to sessions that have something to send, up to a slice; a deferred write is not yet written.
    fn serve(&mut self, cx: &mut Context, now: Time, sockets: &mut impl Sockets, slice: &mut Slice, out: &mut Outbox) {
        // New sessions have much to get, all at once. While there are walks they get half, so that walks go on.
        let walks = !self.flush.begun.is_empty() || !self.flush.walks.is_empty();
        let kept = walks.then(|| slice.set_aside(limits::WALKS_PART));
        while !slice.is_over()
            && let Some(key) = self.flush.ready.pop_front()
        {
            slice.visits -= 1;
            if let Some(connection) = self.connections.get_mut(key) {
                connection.unlist();
                self.absorb_for(cx, now, key, None, out);
                if let Some(bytes) = self.write(cx, now, key, sockets, out) {
                    slice.take(bytes);
                }
            }
        }
        if let Some(kept) = kept {
            slice.add(kept);
        }
        let going_on = !self.flush.walks.is_empty();
        let kept = going_on.then(|| slice.set_aside(limits::WALKS_PART));
        while !slice.is_over()
            && let Some(walk) = self.flush.begun.pop_front()
        {
            self.walk(cx, now, walk, sockets, slice, out);
        }
        if let Some(kept) = kept {
            slice.add(kept);
        }
        while !slice.is_over()
            && let Some(walk) = self.flush.walks.pop_front()
        {
            self.walk(cx, now, walk, sockets, slice, out);
        }
    }

    /// Whether [`Shard::flush`] has anything to do.
    pub(in crate::shard) fn has_to_flush(&self) -> bool {
        self.flush.is_busy()
    }

    /// Connections that have said their last, so many at most; the door shuts their sockets.
    pub(in crate::shard) fn take_finished(&mut self, most: usize) -> Vec<Key> {
        let finished = &mut self.flush.finished;
        finished.drain(..most.min(finished.len())).collect()
    }

    /// A socket that was full can take more.
    pub(in crate::shard) fn writable(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.unblock();
            self.list_connection(key);
        }
    }

    /// Has the door shut a socket without another word.
    pub(super) fn shut(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.cut();
            self.flush.finished.push_back(key);
        }
    }

    /// Visits some more places of an audience.
    fn walk(
        &mut self,
        cx: &mut Context,
        now: Time,
        (guild, audience_key): (GuildId, Key),
        sockets: &mut impl Sockets,
        slice: &mut Slice,
        out: &mut Outbox,
    ) {
        while !slice.is_over() {
            // Looked up anew after each handful: a lost session ends, and that may end the audience.
            let Some(audience) = self.relays.get_mut(&guild).and_then(|relay| relay.audience_mut(audience_key)) else {
                return;
            };
            let Some(walk) = &mut audience.walk else { return };
            let count = slice.sockets.min(slice.visits).min(HANDFUL);
            let (mut visited, mut seen) = (std::mem::take(&mut self.flush.visited), 0);
            audience.sessions.each_from(walk.at, count, |place| {
                // A session seated before the cursor meanwhile has nothing of what this walk brings.
                (walk.at, seen) = (place + 1, seen + 1);
                visited.extend(self.sessions.key_at(place));
            });
            if seen == 0 {
                self.flush.visited = visited;
                let metrics = &mut cx.metrics;
                let again =
                    audience.finish_walk(|published| metrics.record(Metric::PublishToLastFlush, now.since(published)));
                if again {
                    self.flush.walks.push_back((guild, audience_key));
                }
                return;
            }
            slice.visits -= seen;
            for session in visited.drain(..) {
                let Some(connection) = self.sessions.get(session).and_then(|session| session.connection) else {
                    continue; // it takes up its events when it resumes
                };
                self.absorb_for(cx, now, connection, Some(guild), out);
                if let Some(bytes) = self.write(cx, now, connection, sockets, out) {
                    slice.take(bytes);
                }
            }
            self.flush.visited = visited;
        }
        self.flush.walks.push_back((guild, audience_key));
    }

    /// Dispatches to the connection's session what its journals, or the one of a guild, have gathered, within the
    /// bounds of its backlog.
    fn absorb_for(&mut self, cx: &mut Context, now: Time, key: Key, guild: Option<GuildId>, out: &mut Outbox) {
        // The connection was closed since it was listed.
        let Some(connection) = self.connections.get(key) else { return };
        // It has only control frames to send.
        let Some(session_key) = connection.session() else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let absorbed = match guild {
            None => session.take_from_journals(),
            // A bot in thousands of guilds is visited for one.
            Some(guild) => session.seat_in(guild).map_or(Ok(0), |seat| session.take_from_journal(seat)),
        };
        if absorbed.is_err() {
            self.end_session(cx, now, session_key, out);
            return;
        }
        if session.is_overdue() {
            // A client that does not read is cut off without a word: there is no room for one. It can resume.
            cx.metrics.count(Counter::BacklogDisconnects, 1);
            if let Some(connection) = self.connections.get_mut(key) {
                connection.take_session();
            }
            self.shut(key);
            self.disconnect(cx, now, session_key, true, out);
        }
    }

    /// Writes what a connection has to say. Says how many bytes it was, if there was anything.
    fn write(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        sockets: &mut impl Sockets,
        out: &mut Outbox,
    ) -> Option<usize> {
        if self.connections.get(key)?.is_staged() {
            // What came of the last write decides what the next one begins with.
            self.commit(cx, now, sockets, out);
        }
        let connection = self.connections.get_mut(key)?;
        if connection.is_blocked() {
            return None;
        }
        let session_key = connection.session();
        let session = session_key.and_then(|session| self.sessions.get_mut(session));
        let unsent = session.as_ref().map_or(0, |session| session.unsent());
        if connection.pending().is_empty() && unsent == 0 {
            let rests = session.is_some_and(|session| session.wants_members());
            if connection.is_closing() {
                self.flush.finished.push_back(key);
            }
            if let Some(session_key) = session_key.filter(|_| rests) {
                self.continue_listing(session_key, out);
                self.continue_lists(cx, now, session_key, out);
            }
            return None;
        }
        let Some(session) = session.filter(|_| unsent > 0) else {
            let bytes = connection.take_pending();
            match sockets.send(key, &bytes) {
                Some(written) => self.after_write(cx, now, key, written, written.rest(&bytes), out),
                None => connection.stage(),
            }
            return Some(bytes.len());
        };
        let (assemblies, packer, metrics) = (&mut self.flush.assemblies, &mut self.flush.packer, &mut cx.metrics);
        let mut told = |published, times| tell(metrics, now, published, times);
        // What is sent again after a resume is reckoned otherwise.
        let (s, alone) = (session.sent_s, session.replay_until > session.sent_s);
        let (assembly, result) = connection.assemble(assemblies, &session.replay, s, alone, packer, &mut told);
        let count = assembly.published.len() as u64;
        let length = assembly.bytes.len();
        // What is sent again after a resume was late through the client's absence.
        let again = session.replay_until.saturating_sub(session.sent_s).min(count) as usize;
        session.sent_s += count;
        session.unsent_bytes = session.unsent_bytes.saturating_sub(assembly.bodies);
        assembly.written(again);
        self.flush.deliveries += count;
        match sockets.send(key, &assembly.bytes) {
            Some(written) => {
                let rest = written.rest(&assembly.bytes);
                self.after_write(cx, now, key, written, rest, out);
            }
            None => connection.stage(),
        }
        if result.is_err()
            && let Some(session_key) = session_key
        {
            self.commit(cx, now, sockets, out);
            self.end_session(cx, now, session_key, out);
        }
        Some(length)
    }

    /// Has what was put off written, and sees to what comes of it.
    fn commit(&mut self, cx: &mut Context, now: Time, sockets: &mut impl Sockets, out: &mut Outbox) {
        let mut results = std::mem::take(&mut self.flush.results);
        sockets.commit(&mut results);
        for StagedWrite { connection: key, written, rest } in results.drain(..) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.unstage();
                self.after_write(cx, now, key, written, rest, out);
            }
        }
        self.flush.results = results;
    }

    /// Sees to what came of a write. `rest` are the bytes that were not taken.
    fn after_write(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        written: Written,
        rest: Vec<u8>,
        out: &mut Outbox,
    ) {
        // The connection ended while its write was staged.
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Written::Bytes(taken) = written else {
            connection.lose_peer();
            self.flush.finished.push_back(key);
            return;
        };
        cx.metrics.count(Counter::Sends, 1);
        cx.metrics.count(Counter::BytesSent, taken as u64);
        let session_key = connection.session();
        let session = session_key.and_then(|session| self.sessions.get_mut(session));
        let mut rests = false;
        let more = session.is_some_and(|session| {
            // A session cannot be resumed before its READY arrives: its id is in there. So READY, which is as large as
            // everything else about an idle session, need not be kept.
            session.replay.trim(FIRST_REPLAYED.min(session.sent_s));
            session.replay.shed(limits::REPLAY_OWN_BYTES_MAX, session.sent_s);
            rests = session.wants_members();
            session.unsent() > 0
        });
        if !rest.is_empty() {
            connection.written(now, taken, rest);
        } else if !connection.pending().is_empty() {
            self.list_connection(key);
        } else if connection.is_closing() {
            self.flush.finished.push_back(key);
        } else if more {
            self.list_connection(key);
        }
        if let Some(session_key) = session_key.filter(|_| rests) {
            self.continue_listing(session_key, out);
            self.continue_lists(cx, now, session_key, out);
        }
    }
}

/// Events of that time were written just now, so many times.
fn tell(metrics: &mut Metrics, now: Time, published: Time, times: u64) {
    metrics.record_many(Metric::PublishToFlush, now.since(published), times);
}
