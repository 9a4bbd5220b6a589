//! What happens because time has passed: zombies, sessions without a resume, events that no resume can need any more.
//!
//! Lives on: every core.
//! A tick visits a part of all sessions, so that a core with half a million does not stop to visit each of them.

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::base::metrics::Counter;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::session::connection::Connection;
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::wire::close::CloseCode;

/// How far the sweeps are.
#[derive(Debug, Default)]
pub(super) struct SweepCursors {
    connections: u32,
    sessions: u32,
    journals: Vec<GuildId>,
}

impl Home {
    /// Time has passed. To be called about every [`limits::TICK`].
    pub(in crate::shard) fn tick(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        self.admission.review(now);
        self.admit_waiting(cx, now, out);
        self.send_held();
        self.sweep_connections(cx, now, out);
        self.sweep_sessions(cx, now, out);
        self.sweep_journals(now);
        self.tell_unread(cx, now, out);
        self.pages.held.sweep(&mut self.sessions);
        self.ask_pages(out);
        self.open_waiting_windows(cx, now, out);
    }

    /// A READY that still waits for a guild goes out alone.
    fn send_held(&mut self) {
        for key in std::mem::take(&mut self.held) {
            if self.sessions.get(key).is_some_and(|session| session.unsent() > 0) {
                self.list_session(key);
            }
        }
    }

    fn sweep_connections(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        let places = self.connections.places();
        let (from, count) = slice(&mut self.sweep.connections, places);
        let zombies: Vec<Key> = self
            .connections
            .keys_in(from, count)
            .filter(|key| {
                let connection = self.connections.get(*key);
                connection.is_some_and(|connection| connection.is_zombie(now) || connection.is_stalled(now))
            })
            .collect();
        for key in zombies {
            cx.metrics.count(Counter::Zombies, 1);
            let connection = self.connections.get(key).expect("listed just now");
            if connection.is_closing() || connection.is_blocked() {
                // It does not read: no word would reach it.
                let session = self.connections.get_mut(key).and_then(Connection::take_session);
                self.shut(key);
                if let Some(session) = session {
                    self.disconnect(cx, now, session, true, out);
                }
            } else {
                self.close_connection(cx, now, key, CloseCode::SessionTimedOut, None, out);
            }
        }
    }

    fn sweep_sessions(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        let places = self.sessions.places();
        let (from, count) = slice(&mut self.sweep.sessions, places);
        let horizon = horizon(now);
        let keys: Vec<Key> = self.sessions.keys_in(from, count).collect();
        let mut over = Vec::new();
        for key in keys {
            let session = self.sessions.get_mut(key).expect("listed just now");
            session.expire_before(horizon);
            session.tidy(now);
            if let Some(since) = session.disconnected_at {
                // What comes for it alone is not bounded by its reading, since there is none.
                let too_much = session.replay.own_bytes() > limits::REPLAY_OWN_BYTES_MAX + limits::BACKLOG_BYTES_MAX;
                if too_much || now.since(since) > limits::RESUME_WINDOW {
                    over.push(key);
                }
            }
        }
        for key in over {
            self.end_session(cx, now, key, out);
        }
    }

    fn sweep_journals(&mut self, now: Time) {
        if self.sweep.journals.is_empty() {
            self.sweep.journals = self.relays.keys().copied().collect();
        }
        let horizon = horizon(now);
        for _ in 0..limits::SWEEP_RELAYS {
            let Some(guild) = self.sweep.journals.pop() else { break };
            if let Some(relay) = self.relays.get(&guild) {
                for audience in relay.audiences() {
                    audience.journal.borrow_mut().trim(horizon);
                }
            }
        }
    }
}

/// No resume can need events from before this.
fn horizon(now: Time) -> Time {
    Time::from_nanos(now.nanos().saturating_sub(limits::JOURNAL_TIME.as_nanos() as u64))
}

/// The next part of `places` places: all of them are visited in [`limits::SWEEP_TICKS`] ticks.
fn slice(cursor: &mut u32, places: u32) -> (u32, u32) {
    let count = (places / limits::SWEEP_TICKS).max(limits::SWEEP_MIN);
    if *cursor >= places {
        *cursor = 0;
    }
    let from = *cursor;
    *cursor = from.saturating_add(count);
    (from, count)
}
