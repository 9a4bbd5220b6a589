//! Letters to the home of sessions, and to the relays there.
//!
//! Lives on: every core reads them; owners of guilds and users write them.
//! Each variant says its sender, its answer, and what its loss would mean. Lanes never lose a letter: a loss is a bug.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{GuildId, UserId};
use crate::mail::event::Event;
use crate::mail::facts::Facts;
use crate::mail::listing::Windows;
use crate::mail::presence::Presences;
use crate::mail::session_id::SessionId;
use crate::model::account::Account;
use crate::model::kept_member::KeptMember;
use crate::model::member::Member;
use crate::wire::model::presence::{PresenceOf, Showing};

/// Letters to the home of sessions, and to the relays there.
#[derive(Debug)]
pub enum ToHome {
    /// Owner of the user → home: who the user is and where it is a member. Lost: as `Attach`.
    Attached {
        /// The session.
        session: SessionId,
        /// The account.
        account: Arc<Account>,
        /// Guilds, ascending.
        guilds: Arc<[GuildId]>,
    },
    /// Owner of the user → home: no such user, or the token is void. Lost: as `Attach`.
    AttachRefused {
        /// The session.
        session: SessionId,
        /// False when the store could not be asked: the client may try again.
        bad_token: bool,
    },
    /// Owner of the user → home: this running session should join the guild. Lost: as `Gained`.
    JoinNow {
        /// The session.
        session: SessionId,
        /// Which guild.
        guild: GuildId,
    },
    /// Guild → home: the guild as it is now, on the same lane as its events, so that nothing is missed or repeated.
    /// Lost: as `Join`, and the relay would not be created.
    Snapshot(Box<Snapshot>),
    /// Guild → home: not a member, no such guild, or it could not be read. Lost: the session shows an unavailable guild
    /// until it ends.
    JoinRefused {
        /// Which guild.
        guild: GuildId,
        /// The session.
        session: SessionId,
        /// It could not be read: nothing is known about the membership.
        unavailable: bool,
    },
    /// Guild → each core with a session that may know: changed presences, once a turn, behind the turn's events. Lost:
    /// sessions show an outdated presence.
    Presences(Arc<Presences>),
    /// Guild → home: the presences of those who are to be seen. Lost: as `FindPresences`.
    PresencesFound {
        /// The job.
        job: u64,
        /// The presences.
        presences: Vec<PresenceOf>,
    },
    /// Owner of the user (or of anything that names a session) → home: an event for this session alone; for one that is
    /// not ready yet it waits for READY. Lost: the session misses an event.
    Dispatch {
        /// The session.
        session: SessionId,
        /// Of origin `Private` or `User`.
        event: Arc<Event>,
    },
    /// Guild → each core that watches it. Lost: sessions miss an event; so lanes never lose.
    Publish(Arc<Event>),
    /// Guild → relay: changes of windows that are subscribed there. Lost: clients would apply later changes to rows
    /// that they do not have.
    Windows(Arc<Windows>),
    /// Guild → relay: no more events will come. Lost: an empty relay stays in memory.
    Unwatched {
        /// Which guild.
        guild: GuildId,
    },
    /// Owner of the user → every core: tokens issued before this moment are void, and sessions started with them end.
    /// Lost: a revoked token would go on working on that core.
    Revoked {
        /// Whose.
        user: UserId,
        /// Unix milliseconds.
        valid_from_ms: u64,
    },
}

/// A guild as one session first sees it, and what the relay on its core needs to serve it.
#[derive(Debug)]
pub struct Snapshot {
    /// Which guild.
    pub guild: GuildId,
    /// For which session.
    pub session: SessionId,
    /// The member whose session it is.
    pub member: KeptMember,
    /// Present when the core has not watched the guild so far: the state that the coming events change.
    pub facts: Option<Arc<Facts>>,
    /// The part of GUILD_CREATE that is the same for everybody: a JSON object without its closing brace.
    pub common: Bytes,
    /// How many members the guild has.
    pub member_count: u64,
    /// All members, or those who are online, if the session asked for them and they are few enough; else none.
    pub members: Arc<[Arc<Member>]>,
    /// Presences of all others who are online, if the session may know them; else none.
    pub presences: Arc<[PresenceOf]>,
    /// How the guild takes the session to show itself. If that is out of date the home says so.
    pub showing: Showing,
}
