//! The sessions and connections that live on a core, and the relays through which guilds reach them.
//!
//! Lives on: every core.
//! Knows no guild's state but what its relays hold, and no account; it asks their owners with letters.
//! Read next: `connections` (opened, resumed, ended), `attach` (READY), `seats` (a guild's events), `flush` (writing).

pub mod admission;
mod attach;
pub mod connections;
mod effects;
pub mod flush;
pub mod handshake;
mod list_subscriptions;
mod member_pages;
mod memory_limit;
mod own_events;
mod presence;
mod seats;
mod subscriptions;
mod sweep;
mod unread;

use std::collections::VecDeque;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::idmap::IdMap;
use crate::base::slab::{Key, Slab};
use crate::mail::ask::Ticket;
use crate::mail::outbox::Outbox;
use crate::mail::to_home::ToHome;
use crate::relay::Relay;
use crate::session::connection::Connection;
use crate::session::{Session, Stage};
use crate::shard::context::Context;
use crate::shard::home::admission::{Admission, Pace};
use crate::shard::home::flush::FlushQueues;
use crate::shard::home::list_subscriptions::ListWindows;
use crate::shard::home::member_pages::Pages;
use crate::shard::home::sweep::SweepCursors;
use crate::shard::jobs::{Jobs, Side};
use crate::store::{Found, Query, StoreError};

/// The sessions and connections that live on a core.
#[derive(Debug)]
pub(super) struct Home {
    relays: IdMap<GuildId, Relay>,
    sessions: Slab<Session>,
    connections: Slab<Connection>,
    /// Users with revoked tokens, and from which Unix millisecond on tokens are good.
    revoked: IdMap<UserId, u64>,
    admission: Admission,
    flush: FlushQueues,
    sweep: SweepCursors,
    pages: Pages,
    lists: ListWindows,
    /// Guilds in which something is unread, and when passive sessions are sent the marks.
    unread: VecDeque<(Time, GuildId)>,
    /// Sessions whose READY waits for their first guild, until the next tick.
    held: Vec<Key>,
    jobs: Jobs<HomeJob>,
}

/// What waits for the store.
#[derive(Debug)]
enum HomeJob {
    /// A session that asked for members.
    Members(Key),
    /// Members found for a session, whose presences the guild was asked for.
    Presences(Key, Box<Found>),
    /// A caller at this core's door.
    Door(Ticket),
}

impl Home {
    /// No session so far.
    pub(super) fn new(pace: Pace, revoked: Vec<(UserId, u64)>) -> Home {
        Home {
            relays: IdMap::default(),
            sessions: Slab::default(),
            connections: Slab::default(),
            revoked: revoked.into_iter().collect(),
            admission: Admission::new(pace),
            flush: FlushQueues::default(),
            sweep: SweepCursors::default(),
            pages: Pages::default(),
            lists: ListWindows::default(),
            unread: VecDeque::new(),
            held: Vec::new(),
            jobs: Jobs::new(Side::Home),
        }
    }

    /// Takes a letter.
    pub(super) fn receive(&mut self, cx: &mut Context, now: Time, letter: ToHome, out: &mut Outbox) {
        match letter {
            ToHome::Attached { session, account, guilds } => self.attached(cx, now, session, &account, &guilds, out),
            ToHome::AttachRefused { session, bad_token } => self.attach_refused(cx, now, session, bad_token, out),
            ToHome::JoinNow { session, guild } => self.join_now(cx, session, guild, out),
            ToHome::Revoked { user, valid_from_ms } => self.revoke(cx, now, user, valid_from_ms, out),
            ToHome::Snapshot(snapshot) => self.seat(cx, now, *snapshot, out),
            ToHome::JoinRefused { guild, session, unavailable } => self.join_refused(now, guild, session, unavailable),
            ToHome::Presences(presences) => self.tell_presences(cx, now, &presences, out),
            ToHome::PresencesFound { job, presences } => self.presences_found(cx, now, job, &presences, out),
            ToHome::Dispatch { session, event } => self.dispatch(cx, now, session, event, out),
            ToHome::Publish(event) => self.fan_out(cx, now, &event, out),
            ToHome::Windows(windows) => self.show_windows(cx, now, &windows, out),
            ToHome::Unwatched { guild } => self.unwatched(guild),
        }
    }

    /// Asks the store on behalf of a caller at this core's door; the finding comes with the ticket.
    pub(super) fn read(&mut self, ticket: Ticket, query: Query, out: &mut Outbox) {
        self.jobs.query(query, HomeJob::Door(ticket), out);
    }

    /// The store has answered.
    pub(super) fn stored(
        &mut self,
        cx: &mut Context,
        now: Time,
        job: u64,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        match self.jobs.take(job).expect("the store answers each job once") {
            HomeJob::Members(session) => self.members_found(cx, now, session, result, None, out),
            HomeJob::Presences(..) => unreachable!("the guild answers this, not the store"),
            HomeJob::Door(ticket) => {
                let finding = result.and_then(|found| found.ok_or(StoreError::Failed("no finding".to_owned())));
                out.findings.push((ticket, finding));
            }
        }
    }

    /// Whether any job is with the store.
    pub(super) fn awaits_store(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether tokens of this user issued at `issued_ms` are good, so far as this core knows.
    pub(super) fn accepts_token(&self, user: UserId, issued_ms: u64) -> bool {
        self.revoked.get(&user).is_none_or(|valid_from| issued_ms >= *valid_from)
    }

    /// Sessions and connections that live here.
    pub(super) fn population(&self) -> (usize, usize) {
        (self.sessions.len(), self.connections.len())
    }

    /// Panics if something that must hold does not.
    pub(super) fn invariants(&self) {
        for (key, session) in self.sessions.iter() {
            session.invariants();
            assert_eq!(session.id.key, key);
            if let Some(connection) = session.connection {
                let connection = self.connections.get(connection).expect("a session's connection exists");
                assert_eq!(connection.session(), Some(key), "session and connection name each other");
            }
            for seat in &session.seats {
                assert!(self.relays.contains_key(&seat.guild), "a seat is in a relay");
            }
        }
        let attaching = self.sessions.iter().filter(|(_, session)| session.stage != Stage::Ready).count();
        assert_eq!(attaching, self.admission.underway, "who is not yet ready is counted");
        for (key, connection) in self.connections.iter() {
            assert!(!(connection.waits() && connection.session().is_some()), "who waits carries no session");
            if let Some(session) = connection.session() {
                let session = self.sessions.get(session).expect("a connection's session exists");
                assert_eq!(session.connection, Some(key), "connection and session name each other");
            }
        }
        for relay in self.relays.values() {
            relay.invariants(&self.sessions);
        }
        self.page_invariants();
        self.list_invariants();
    }
}
