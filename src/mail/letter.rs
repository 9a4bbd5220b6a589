//! Letters: everything that one core can tell another, or itself. A closed list; each entry says who sends it, to whom, what
//! answers it, and what its loss would mean. Lanes never lose a letter, so a loss is a bug, never a case.
//!
//! Lives on: every core.
//! A letter to oneself takes the same path as one to another core. Letters are plain data.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::mail::ask::{Answer, Ask, Ticket};
use crate::mail::event::Event;
use crate::mail::facts::Facts;
use crate::mail::listing::{Look, Windows};
use crate::mail::presence::{JoinRequest, Presences};
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::net::compression::Format;
use crate::store::{Found, StoreError};
use crate::wire::model::account::Account;
use crate::wire::model::kept::KeptMember;
use crate::wire::model::member::Member;
use crate::wire::model::presence::{PresenceOf, Showing};

/// One letter.
#[derive(Debug)]
pub enum Letter {
    /// Door → owner of a guild or user. Answered by [`Letter::Answer`]. Lost: a REST call hangs until its door gives up.
    Ask(Box<Ask>),
    /// Owner → door. Lost: as above.
    Answer(Ticket, Box<Answer>),

    /// Home → owner of the user: a session wants to start. Answered by `Attached` or `AttachRefused`.
    /// Lost: identify hangs; the client gives up and tries again.
    Attach {
        /// The session.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// When its token was issued, in Unix milliseconds.
        issued_ms: u64,
    },
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
    /// Home → owner of the user: a session is over. Lost: the owner would announce new guilds to nobody; a leak.
    Detach {
        /// The session.
        session: SessionId,
        /// Whose.
        user: UserId,
    },

    /// Home → guild: a session of a member wants to see the guild. Answered by `Snapshot` or `JoinRefused`.
    /// Lost: the session never sees this guild.
    Join {
        /// Which guild.
        guild: GuildId,
        /// Which session, and how it shows itself.
        coming: JoinRequest,
    },
    /// Guild → home: the guild as it is now, on the same lane as its events, so that nothing is missed and nothing comes
    /// twice. Lost: as `Join`, and the relay would not be born.
    Snapshot(Box<Snapshot>),
    /// Guild → home: not a member, no such guild, or it could not be read. Lost: the session shows an unavailable guild for
    /// ever.
    JoinRefused {
        /// Which guild.
        guild: GuildId,
        /// The session.
        session: SessionId,
        /// It could not be read: nothing is known about the membership.
        unavailable: bool,
    },
    /// Home → guild: a session of a member is over or has left the guild. Lost: the member would count as online for ever.
    Leave {
        /// Which guild.
        guild: GuildId,
        /// Whose.
        user: UserId,
        /// The session.
        session: SessionId,
        /// A snapshot was of no use: when its member had joined. Whoever has joined anew since is not meant.
        joined_ms: Option<u64>,
    },
    /// Home → guild: a session that sees it shows itself in another way. Lost: others go on seeing what it was like.
    Show {
        /// Which guild.
        guild: GuildId,
        /// Whose.
        user: UserId,
        /// The session.
        session: SessionId,
        /// What it is like.
        showing: Showing,
    },
    /// Relay → guild: the first session here follows a user, which `Presences` answers, or the last one does no more.
    /// Lost: followers hear nothing, or letters come for nobody.
    Follow {
        /// Which guild.
        guild: GuildId,
        /// The relay's core.
        core: Site,
        /// Who is followed.
        user: UserId,
        /// Or no more.
        follows: bool,
    },
    /// Guild → each core where somebody may know: what presences have become, once a turn, behind what was published in it.
    /// Lost: somebody is seen as he no longer is.
    Presences(Arc<Presences>),
    /// Home → guild: members were found for a session, which may know their presences too. Answered by `PresencesFound`.
    /// Lost: the session's requests for members hang.
    FindPresences {
        /// Which guild.
        guild: GuildId,
        /// The session's home.
        core: Site,
        /// Its job.
        job: u64,
        /// The members.
        found: Box<Found>,
    },
    /// Guild → home: the same, with the presences of those who are to be seen. Lost: as above.
    PresencesFound {
        /// The job.
        job: u64,
        /// The members.
        found: Box<Found>,
        /// The presences.
        presences: Vec<PresenceOf>,
    },
    /// Guild → each core that watches it. Lost: sessions miss an event; so lanes never lose.
    Publish(Arc<Event>),
    /// Relay → guild: somebody looks at windows of a member list, or away. Answered by `Windows`.
    /// Lost: a client waits for its member list for ever, or windows are told of that nobody looks at.
    Look(Box<Look>),
    /// Guild → relay: what has become of windows that are looked at there. Lost: clients would apply what follows to rows that
    /// they do not have.
    Windows(Arc<Windows>),
    /// Relay → guild: nobody is left here. `seen` counts the snapshots that came, so that one on its way is noticed.
    /// Answered by `Unwatched` unless one is. Lost: events go on coming for nobody.
    Unwatch {
        /// Which guild.
        guild: GuildId,
        /// The relay's core.
        core: Site,
        /// Snapshots that this relay has ever seen.
        seen: u64,
    },
    /// Guild → relay: no more events will come. Lost: an empty relay stays in memory.
    Unwatched {
        /// Which guild.
        guild: GuildId,
    },

    /// Guild → owner of the user: the user has become a member. Lost: running sessions do not see the guild until they start anew.
    Gained {
        /// Whose.
        user: UserId,
        /// Which guild.
        guild: GuildId,
    },
    /// Guild → owner of the user: the user is no member any more. Lost: a later READY lists the guild, which then refuses.
    Parted {
        /// Whose.
        user: UserId,
        /// Which guild.
        guild: GuildId,
    },
    /// Owner of the user → home: this running session should join the guild. Lost: as `Gained`.
    JoinNow {
        /// The session.
        session: SessionId,
        /// Which guild.
        guild: GuildId,
    },

    /// A door on another core → home: a socket whose client resumes a session that lives there.
    /// Lost: the socket would leak open; the client times out.
    HandOver(Box<HandOver>),
    /// Owner of the user → every core: tokens issued before this moment are void, and sessions started with them end.
    /// Lost: a revoked token would go on working on that core.
    Revoked {
        /// Whose.
        user: UserId,
        /// Unix milliseconds.
        valid_from_ms: u64,
    },

    /// The store → the core that gave it the job. Lost: whoever waits, waits for ever.
    Stored {
        /// The job.
        job: u64,
        /// What came of it. A commit finds nothing.
        result: Result<Option<Found>, StoreError>,
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

/// A socket on its way to the core where its session lives.
#[derive(Debug)]
pub struct HandOver {
    /// Which session.
    pub session: SessionId,
    /// The fd ticket of the socket, which was sent before the letter. Its holder owns the socket.
    pub socket: i32,
    /// Whose token came with the resume, already verified.
    pub user: UserId,
    /// The last sequence number that the client saw.
    pub seq: u64,
    /// What the connection has agreed on.
    pub terms: Terms,
    /// Bytes that were read but not yet understood.
    pub unread: Vec<u8>,
    /// Bytes that were not yet sent.
    pub unsent: Vec<u8>,
    /// When the resume was read.
    pub asked: Time,
    /// How the client has behaved: who resumes here and there by turns is limited all the same.
    pub conduct: Conduct,
}

/// How a client has behaved on its connection so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    /// When the client last sent a heartbeat, or was accepted.
    pub beat_at: Time,
    /// Commands in the present window.
    pub commands: u16,
    /// When the window began.
    pub window_began: Time,
}

impl Conduct {
    /// Of a client that was just accepted.
    pub fn fresh(now: Time) -> Conduct {
        Conduct { beat_at: now, commands: 0, window_began: now }
    }
}

/// What a connection has agreed on when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Gateway version, 9 or 10.
    pub version: u8,
    /// `compress`; `None` is not at all.
    pub compression: Option<Format>,
}
