//! What identifies and resumes ask for once their form is checked, and what becomes of a resume.
//!
//! Lives on: the core that has the socket.
//! Read next: `admission` (when it is their turn), `connections` (what is done).

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::mail::session_id::SessionId;
use crate::wire::intents::Intents;
use crate::wire::model::presence::Platform;
use crate::wire::request::presence::PresenceUpdate;

/// What an identify asks for, its form checked and its token verified.
#[derive(Debug, Clone)]
pub struct Identify {
    /// Whose token.
    pub user: UserId,
    /// When the token was issued, in Unix milliseconds.
    pub issued_ms: u64,
    /// Wanted events.
    pub intents: Intents,
    /// Intents were left out, or have bits that only people may send.
    pub personal_intents: bool,
    /// Discord's `[shard_id, shard_count]`, if sent; the id is below the count.
    pub guild_sharding: Option<(u32, u32)>,
    /// Members up to which a guild is not `large`.
    pub large_threshold: u16,
    /// How it shows itself.
    pub update: PresenceUpdate,
    /// With what it is there, if it is a person's.
    pub platform: Platform,
    /// It can read PASSIVE_UPDATE_V2.
    pub deltas: bool,
    /// What READY names as `resume_gateway_url`.
    pub gateway_url: String,
}

/// A resume, its form checked and its token verified.
#[derive(Debug, Clone, Copy)]
pub struct Resume {
    /// Which session.
    pub session: Option<SessionId>,
    /// Whose token.
    pub user: UserId,
    /// The last number that the client saw.
    pub seq: u64,
    /// When the client's words were read.
    pub asked: Time,
}

/// What becomes of a resume.
#[derive(Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The session goes on, on this connection.
    Resumed,
    /// Op 9 was sent; the client may identify on the same connection.
    Refused,
    /// The sequence number lies ahead: close code 4007.
    FromTheFuture,
    /// The session lives on another core: the socket must go there.
    Elsewhere,
    /// It is not its turn yet. The shard goes on with it by itself.
    Waits,
}
