//! Requested members: GUILD_MEMBERS_CHUNK, from the store, page by page.
//!
//! Lives on: the session's home. Source: Discord docs, Gateway Events/Request Guild Members and Guild Members Chunk.
//! A client is served as fast as it reads: its next page is looked up when it has nearly taken all that it was sent. A
//! session without a connection is not served; its request goes on when it is resumed.
//! Invariant: of a session at most one page is being looked up, of a core at most [`limits::MEMBERS_PAGES_MAX`].

use std::collections::VecDeque;

use serde_json::json;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::mail::to_guild::ToGuild;
use crate::model::permissions::Permissions;
use crate::session::body::EventBody;
use crate::session::connection::Connection;
use crate::session::member_requests::{Chunk, MembersWanted, RequestStep, Wanted};
use crate::session::{Holds, Session};
use crate::shard::context::Context;
use crate::shard::home::memory_limit::MemoryLimit;
use crate::shard::home::{Home, HomeJob};
use crate::store::{Found, StoreError};
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::presence::PresenceOf;

/// Pages of members, of all sessions of a core.
#[derive(Debug)]
pub(super) struct Pages {
    /// Sessions whose next page is to be looked up, the longest waiting first.
    waiting: VecDeque<Key>,
    /// How many are being looked up.
    asked: usize,
    /// What of them is in memory.
    pub(super) held: MemoryLimit,
}

impl Default for Pages {
    fn default() -> Pages {
        let held = MemoryLimit::new(Holds::PAGES, limits::MEMBERS_BYTES_MAX);
        Pages { waiting: VecDeque::new(), asked: 0, held }
    }
}

impl Home {
    /// A session asks for members. A guild that it does not see is not answered.
    pub(in crate::shard) fn request_members(
        &mut self,
        now: Time,
        connection: Key,
        mut request: MembersWanted,
        out: &mut Outbox,
    ) {
        // The session has ended, or not begun: the command is dropped.
        let Some(key) = self.connections.get(connection).and_then(Connection::session) else { return };
        let Some(session) = self.sessions.get(key) else { return };
        if session.seat_in(request.guild).is_none() {
            return;
        }
        // Without the intent it counts as not asked for. Source: Gateway Events/Request Guild Members.
        request.presences &= session.intents.contains(Intents::GUILD_PRESENCES);
        if request.wanted == Wanted::Everybody {
            let allowed = if session.bot {
                session.intents.contains(Intents::GUILD_MEMBERS)
            } else {
                let some = Permissions::MANAGE_ROLES | Permissions::KICK_MEMBERS | Permissions::BAN_MEMBERS;
                let relay = self.relays.get(&request.guild).expect("a seat is in a relay");
                relay.granted(session.user, &self.sessions).intersects(some)
            };
            if !allowed {
                return;
            }
            // All members of one guild: once in 30 seconds. Source: Gateway Events/Request Guild Members (rate limit).
            let Some(session) = self.sessions.get_mut(key) else { return };
            let asked = &mut session.rare.get_or_insert_default().members_asked;
            let allowed_at =
                asked.iter().find(|(guild, _)| *guild == request.guild).map(|(_, at)| *at + limits::MEMBERS_INTERVAL);
            if let Some(allowed_at) = allowed_at.filter(|allowed_at| *allowed_at > now) {
                refuse(session, now, &request, allowed_at.since(now).as_secs_f64());
                self.list_session(key);
                return;
            }
            asked.retain(|(guild, at)| *guild != request.guild && now.since(*at) < limits::MEMBERS_INTERVAL);
            asked.push((request.guild, now));
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.rare.get_or_insert_default().member_requests.push(request.clone()) {
            self.continue_listing(key, out);
        } else {
            // It reads slower than it asks.
            refuse(session, now, &request, limits::MEMBERS_INTERVAL.as_secs_f64());
            self.list_session(key);
        }
    }

    /// A session has taken what it was sent, or has asked for something: its next page may be due.
    pub(super) fn continue_listing(&mut self, key: Key, out: &mut Outbox) {
        if !self.reads_along(key) {
            return;
        }
        let Some(rare) = self.sessions.get_mut(key).and_then(|session| session.rare.as_mut()) else { return };
        if rare.member_requests.rest() {
            rare.member_requests.step = RequestStep::Waits;
            self.pages.waiting.push_back(key);
            self.ask_pages(out);
        }
    }

    /// Whether the client reads, and has nearly read all that it was sent.
    pub(super) fn reads_along(&self, key: Key) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            let connection = session.connection.and_then(|connection| self.connections.get(connection));
            connection.is_some_and(|connection| {
                session.unsent_bytes + connection.pending().len() as u64 <= limits::MEMBERS_AHEAD_BYTES
            })
        })
    }

    /// Has the next pages looked up, as many as may be at once.
    pub(super) fn ask_pages(&mut self, out: &mut Outbox) {
        while self.pages.asked < limits::MEMBERS_PAGES_MAX
            && !self.pages.waiting.is_empty()
            && self.pages.held.has_room(&mut self.sessions)
        {
            let Some(key) = self.pages.waiting.pop_front() else { return };
            let served = self.reads_along(key);
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let seats = &session.seats;
            let Some(rare) = session.rare.as_mut() else { continue };
            rare.member_requests.step = RequestStep::Rests;
            // The guild may be gone since, or the session not be in it any more.
            let mut query = None;
            while let Some(listing) = rare.member_requests.first() {
                let guild = listing.guild();
                if seats.iter().any(|seat| seat.guild == guild) {
                    query = Some(listing.query());
                    break;
                }
                rare.member_requests.pop();
            }
            if let Some(query) = query.filter(|_| served) {
                rare.member_requests.step = RequestStep::Asks;
                self.pages.asked += 1;
                self.jobs.query(query, HomeJob::Members(key), out);
            } else {
                session.release_rare();
            }
        }
    }

    /// The store has answered about members for a session.
    pub(super) fn members_found(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        result: Result<Option<Found>, StoreError>,
        presences: Option<&[PresenceOf]>,
        out: &mut Outbox,
    ) {
        self.pages.asked -= 1;
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(rare) = session.rare.as_mut()
            && let Some(listing) = rare.member_requests.first()
        {
            let guild = listing.guild();
            // It may have left the guild meanwhile.
            let sees = session.seats.iter().any(|seat| seat.guild == guild);
            let asks = sees && listing.wants_presences() && presences.is_none();
            let result = match result {
                // The guild knows who of them is there.
                Ok(Some(found)) if asks => {
                    let users = listed_users(&found);
                    self.pages.asked += 1;
                    let job = self.jobs.add(HomeJob::Presences(key, Box::new(found)));
                    let core = cx.me;
                    return out.post(cx.placement.owner(guild), ToGuild::FindPresences { guild, core, job, users });
                }
                result => result,
            };
            let chunk = match &result {
                Ok(Some(found)) if sees => listing.chunk(found, presences.unwrap_or_default()),
                Ok(Some(_)) => None,
                Ok(None) => None,
                Err(error) => {
                    tracing::error!(%guild, %error, "members could not be read");
                    None
                }
            };
            rare.member_requests.step = RequestStep::Rests;
            if chunk.as_ref().is_none_or(|chunk| !chunk.more) {
                rare.member_requests.pop();
            }
            if let Some(Chunk { json, .. }) = chunk {
                self.pages.held.hold(key, session);
                let body = EventBody::counted(EventName::GuildMembersChunk, json.into(), now, self.pages.held.budget());
                session.dispatch(body);
            }
            // When it is sent, the next one is due.
            self.list_session(key);
        }
        self.ask_pages(out);
    }

    /// Panics if something that must hold of the pages does not.
    pub(super) fn page_invariants(&self) {
        let asking = |waiting: &HomeJob| match waiting {
            HomeJob::Members(key) | HomeJob::Presences(key, _) => Some(*key),
            HomeJob::Door(_) => None,
        };
        let asked = self.jobs.values().filter_map(asking).count();
        assert_eq!(asked, self.pages.asked);
        assert!(asked <= limits::MEMBERS_PAGES_MAX, "{asked} pages at once");
        let step = |key: Key| {
            let rare = self.sessions.get(key).map(|session| session.rare.as_ref());
            rare.map(|rare| rare.map_or(RequestStep::Rests, |rare| rare.member_requests.step))
        };
        for key in &self.pages.waiting {
            assert!(step(*key).is_none_or(|step| step == RequestStep::Waits), "who is listed waits");
        }
        for (key, session) in self.sessions.iter() {
            let Some(rare) = &session.rare else { continue };
            let waits = self.pages.waiting.iter().filter(|other| **other == key).count();
            let asks = self.jobs.values().filter_map(asking).filter(|other| *other == key).count();
            let expected = match rare.member_requests.step {
                RequestStep::Rests => (0, 0),
                RequestStep::Waits => (1, 0),
                RequestStep::Asks => (0, 1),
            };
            assert_eq!((waits, asks), expected, "{:?}", session.id);
        }
        self.pages.held.invariants(&self.sessions);
    }
}

/// The members that the store has found for a page.
fn listed_users(found: &Found) -> Vec<UserId> {
    match found {
        Found::Members(members) => members.iter().map(|member| member.user.id).collect(),
        Found::Listed(Some(listed)) => listed.users.clone(),
        _ => Vec::new(),
    }
}

/// Source: Discord docs, Gateway Events/Rate Limited.
fn refuse(session: &mut Session, now: Time, request: &MembersWanted, retry_after: f64) {
    let meta = match &request.nonce {
        Some(nonce) => json!({ "guild_id": request.guild, "nonce": nonce }),
        None => json!({ "guild_id": request.guild }),
    };
    let body = json!({ "opcode": 8, "retry_after": retry_after, "meta": meta });
    session.dispatch(EventBody::new(EventName::RateLimited, body.to_string().into(), now));
}
