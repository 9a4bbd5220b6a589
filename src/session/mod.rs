//! Sessions: identified clients, what they were sent, and the connections that carry it.
//!
//! Lives on: a session lives on its home core for its whole life; its connection is on the same core.
//! Nothing is queued per session. An event goes once into the *journal* of each audience that may see it; a session is
//! a cursor into the journals it follows, and its *replay* is the list of journal stretches that it was dispatched,
//! each with the sequence number it began at. What is not yet written to the socket is simply the tail of the replay.
//! Read next: `journal`, `replay`, `dispatch`, `packing`, `assembly`.

pub mod assembly;
pub mod body;
pub mod connection;
pub mod dispatch;
pub mod interest;
pub mod journal;
pub mod member_requests;
pub mod packed;
pub mod packing;
pub mod replay;

use std::sync::Arc;

use bitflags::bitflags;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::slab::Key;
use crate::limits;
use crate::mail::event::Event;
use crate::mail::session_id::SessionId;
use crate::session::body::SharedBody;
use crate::session::interest::Interest;
use crate::session::journal::SharedJournal;
use crate::session::member_requests::MemberRequests;
use crate::session::replay::{Lost, Replay};
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::presence::{Activities, Platform, Showing, Status};
use crate::wire::request::presence::PresenceUpdate;
use crate::wire::request::subscription::Subscription;

/// An identified client; outlives its socket.
///
/// Invariant: `replay.first_s() ≤ sent_s ≤ replay.next_s()`.
#[derive(Debug)]
pub struct Session {
    /// Names it, here and on the wire.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Whether the user is a bot.
    pub bot: bool,
    /// How present it says that it is.
    pub status: Status,
    /// With what it is there.
    pub platform: Platform,
    /// What it asked for.
    pub intents: Intents,
    /// Whether it can read PASSIVE_UPDATE_V2.
    pub deltas: bool,
    /// Discord's `[shard_id, shard_count]`, if sent; people's clients do not.
    pub guild_sharding: Option<Box<(u32, u32)>>,
    /// Members up to which a guild is not `large`.
    pub large_threshold: u16,
    /// When its token was issued, in Unix milliseconds.
    pub token_issued_ms: u64,
    /// How far it is.
    pub stage: Stage,
    /// The socket it has, if any.
    pub connection: Option<Key>,
    /// Since when it has none.
    pub disconnected_at: Option<Time>,
    /// What it may hold that its core counts.
    pub holds: Holds,
    /// What it was dispatched.
    pub replay: Replay,
    /// The next sequence number to be written to the connection.
    pub sent_s: u64,
    /// Bytes of the bodies of events dispatched but not yet written.
    pub unsent_bytes: u64,
    /// Events before this number were missed before the client resumed: to have them to catch up with is no fault of
    /// its reading.
    pub replay_until: u64,
    /// The guilds it sees.
    pub seats: SmallVec<[Seat; 1]>,
    /// What few sessions have, or none for long.
    pub rare: Option<Box<RareState>>,
}

bitflags! {
    /// What a core counts of the bodies that only one session, or a few, are sent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Holds: u8 {
        /// Pages of members.
        const PAGES = 1;
        /// Windows of member lists.
        const WINDOWS = 1 << 1;
    }
}

/// What few sessions have, or none for long.
#[derive(Debug, Default)]
pub struct RareState {
    /// Guilds that were in READY and have not come yet; their GUILD_CREATE says `unavailable: false`.
    pub awaited: SmallVec<[GuildId; 1]>,
    /// Guilds of which all members were asked for lately, and when.
    pub members_asked: Vec<(GuildId, Time)>,
    /// What the client asked of guilds that have not come yet; no more than `awaited`.
    pub subscriptions: Vec<(GuildId, Subscription)>,
    /// Requests for members.
    pub member_requests: MemberRequests,
    /// Guilds of whose member lists it is to be shown more when it has taken what it was sent.
    pub pending_lists: SmallVec<[GuildId; 1]>,
    /// What it says that it does.
    pub activities: Activities,
    /// How many updates of its presence came since when.
    pub updates: (u8, Time),
}

/// How far a session is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// The user's owner was asked.
    Attaching(Box<Attaching>),
    /// READY was dispatched.
    Ready,
}

/// What is known of a session only until READY.
#[derive(Debug, Clone, PartialEq)]
pub struct Attaching {
    /// What READY will name as `resume_gateway_url`.
    pub gateway_url: Box<str>,
    /// Intents were left out, or have bits that only people may send: good for people, not for bots.
    pub personal_intents: bool,
    /// How it shows itself.
    pub update: PresenceUpdate,
    /// When identify was read.
    pub identified_at: Time,
    /// When it was its turn.
    pub begun_at: Time,
    /// Events of the session's own that came before READY: they follow it.
    pub early: Vec<Arc<Event>>,
}

/// A session's place in one guild's audience on this core.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The guild.
    pub guild: GuildId,
    /// The audience, by its key in the relay.
    pub audience: Key,
    /// The audience's journal.
    pub journal: SharedJournal,
    /// The first journal entry not yet dispatched.
    pub cursor: u64,
    /// What the session asks of the guild.
    pub interest: Interest,
}

impl Session {
    /// Dispatches what the journal of the seat at `index` has gathered: assigns sequence numbers, copies nothing.
    /// An error means that entries are gone which the session should have seen: it is over.
    pub fn take_from_journal(&mut self, index: usize) -> Result<u64, Lost> {
        let seat = &mut self.seats[index];
        let journal = seat.journal.borrow();
        let end = journal.end();
        if seat.cursor == end {
            return Ok(0);
        }
        if seat.cursor < journal.first() {
            return Err(Lost);
        }
        let count = end - seat.cursor;
        self.unsent_bytes += journal.bytes_between(seat.cursor, end);
        drop(journal);
        self.replay.push_shared(&seat.journal, seat.cursor, count);
        seat.cursor = end;
        Ok(count)
    }

    /// Dispatches what all journals have gathered.
    pub fn take_from_journals(&mut self) -> Result<u64, Lost> {
        (0..self.seats.len()).try_fold(0, |sum, index| Ok(sum + self.take_from_journal(index)?))
    }

    /// Dispatches one event that only this session gets.
    pub fn dispatch(&mut self, body: SharedBody) {
        self.unsent_bytes += body.size() as u64;
        self.replay.push_own(body);
    }

    /// Whether a request for members, or a look at them, waits for the client's reading.
    pub fn wants_members(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.member_requests.rest() || !rare.pending_lists.is_empty())
    }

    /// Takes a guild that READY listed off the list of those that have not come. Says whether it was there.
    pub fn came(&mut self, guild: GuildId) -> bool {
        let Some(rare) = &mut self.rare else { return false };
        let Some(index) = rare.awaited.iter().position(|other| *other == guild) else { return false };
        rare.awaited.swap_remove(index);
        self.release_rare();
        true
    }

    /// Notes what the client asks of a guild that has not come yet. Says whether one is awaited.
    pub fn ask_ahead(&mut self, guild: GuildId, subscription: Subscription) -> bool {
        let Some(rare) = self.rare.as_mut().filter(|rare| rare.awaited.contains(&guild)) else { return false };
        match rare.subscriptions.iter_mut().find(|(other, _)| *other == guild) {
            Some((_, asked)) => asked.merge(subscription),
            None => rare.subscriptions.push((guild, subscription)),
        }
        true
    }

    /// What the client asked of a guild before it came.
    pub fn asked_ahead(&mut self, guild: GuildId) -> Option<Subscription> {
        let rare = self.rare.as_mut()?;
        let index = rare.subscriptions.iter().position(|(other, _)| *other == guild)?;
        let (_, subscription) = rare.subscriptions.swap_remove(index);
        self.release_rare();
        Some(subscription)
    }

    /// How the session shows itself.
    pub fn showing(&self) -> Showing {
        let activities = self.rare.as_ref().map(|rare| rare.activities.clone()).unwrap_or_default();
        Showing { status: self.status, platform: self.platform, activities }
    }

    /// Shows itself in another way. Says whether it is another.
    pub fn show(&mut self, status: Status, activities: Activities) -> bool {
        let known = self.rare.as_ref().is_some_and(|rare| !rare.activities.is_empty());
        let same = status == self.status && !known && activities.is_empty();
        self.status = status;
        if known || !activities.is_empty() {
            self.rare.get_or_insert_default().activities = activities;
            self.release_rare();
        }
        !same
    }

    /// Counts an update of its presence; false when there were too many. Source: Discord docs, Gateway Events/Update
    /// Presence.
    pub fn count_update(&mut self, now: Time) -> bool {
        let (count, since) = &mut self.rare.get_or_insert_default().updates;
        if *count == 0 || now.since(*since) >= limits::PRESENCE_WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        *count <= limits::PRESENCE_UPDATES_MAX
    }

    /// Time has passed: what was kept for a while only is let go.
    pub fn tidy(&mut self, now: Time) {
        let Some(rare) = &mut self.rare else { return };
        rare.members_asked.retain(|(_, at)| now.since(*at) < limits::MEMBERS_INTERVAL);
        if rare.members_asked.is_empty() {
            rare.members_asked = Vec::new();
        }
        if now.since(rare.updates.1) >= limits::PRESENCE_WINDOW {
            rare.updates = (0, now);
        }
        self.release_rare();
    }

    /// Gives the memory back if nothing is rare.
    pub fn release_rare(&mut self) {
        if let Some(RareState {
            awaited,
            members_asked,
            subscriptions,
            member_requests,
            pending_lists,
            activities,
            updates: (updates, _),
        }) = self.rare.as_deref()
            && awaited.is_empty()
            && members_asked.is_empty()
            && subscriptions.is_empty()
            && member_requests.is_idle()
            && pending_lists.is_empty()
            && activities.is_empty()
            && *updates == 0
        {
            self.rare = None;
        }
    }

    /// The seat in a guild, if it has one.
    pub fn seat_in(&self, guild: GuildId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.guild == guild)
    }

    /// Events dispatched and not yet written.
    pub fn unsent(&self) -> u64 {
        self.replay.next_s() - self.sent_s
    }

    /// Whether more waits for the client than may wait for one that reads.
    pub fn is_overdue(&self) -> bool {
        let waiting = self.replay.next_s() - self.sent_s.max(self.replay_until);
        let caught_up = self.sent_s >= self.replay_until;
        waiting > limits::BACKLOG_EVENTS_MAX || (caught_up && self.unsent_bytes > limits::BACKLOG_BYTES_MAX)
    }

    /// Takes an acknowledgement: the client has seen everything up to `seq`. Numbers from the future are ignored here.
    pub fn acknowledge(&mut self, seq: u64) {
        self.replay.trim(seq.saturating_add(1).min(self.sent_s));
    }

    /// Releases events that no resume can ask for. One run of shared events costs nothing, so sessions with a single
    /// run are skipped.
    pub fn expire_before(&mut self, horizon: Time) {
        if self.replay.runs() > 1 || self.seats.is_empty() {
            self.replay.expire(horizon, self.sent_s);
        }
    }

    /// Whether this guild belongs to the session's part, if the client splits its guilds.
    /// Source: Discord docs, Gateway/Sharding.
    pub fn covers(&self, guild: GuildId) -> bool {
        let covered = |(id, count): (u32, u32)| (guild.get() >> 22) % u64::from(count) == u64::from(id);
        self.guild_sharding.as_deref().is_none_or(|sharding| covered(*sharding))
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        self.replay.invariants();
        assert!(self.replay.first_s() <= self.sent_s && self.sent_s <= self.replay.next_s(), "{:?}", self.id);
        assert_eq!(self.connection.is_none(), self.disconnected_at.is_some(), "{:?}", self.id);
        let mut unsent = Vec::new();
        let lost = self.replay.each_from(self.sent_s, |s, body, _| {
            unsent.push((s, body.name, body.size() as u64));
            std::ops::ControlFlow::Continue(())
        });
        if lost.is_ok() {
            assert_eq!(unsent.iter().map(|(_, _, size)| size).sum::<u64>(), self.unsent_bytes, "{:?}", self.id);
        }
        // A client gets members as it reads them, however many it asked for.
        let ahead =
            unsent.iter().filter(|(s, name, _)| *s >= self.replay_until && *name == EventName::GuildMembersChunk);
        let ahead: u64 = ahead.map(|(_, _, size)| size).rev().skip(1).sum();
        assert!(ahead <= limits::MEMBERS_AHEAD_BYTES, "{:?}: {ahead} bytes ahead", self.id);
        for seat in &self.seats {
            assert!(seat.cursor <= seat.journal.borrow().end(), "{:?} is ahead of its journal", self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Session>() <= 232, "{}", size_of::<Session>());
        assert!(size_of::<Seat>() <= 40, "{}", size_of::<Seat>());
    }
}
