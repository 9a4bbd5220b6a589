//! Presences on their way: what a session shows its guilds, who may know, and what a guild tells of its members.
//!
//! Lives on: every core.

use bytes::Bytes;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::mail::session_id::SessionId;
use crate::wire::model::presence::Showing;

/// A session on its way into a guild.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Which; its home gets the snapshot.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// Up to how many members the guild comes with all of them; 0: never.
    pub whole: u16,
    /// What it may know of others' presences.
    pub onlooker: Onlooker,
    /// How it shows itself.
    pub showing: Showing,
}

/// What a session may know of the presences of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onlooker {
    /// Nothing: it did not ask for GUILD_PRESENCES.
    Nobody,
    /// A person's: all of them in a small guild, elsewhere those of the members that it follows.
    Person,
    /// A bot's: all of them.
    Bot,
}

/// Presences that a guild tells one core.
#[derive(Debug, Clone)]
pub struct Presences {
    /// Which guild.
    pub guild: GuildId,
    /// Who may know.
    pub reach: Reach,
    /// Whose, each with the `d` of its PRESENCE_UPDATE. Each user once.
    pub of: Vec<(UserId, Bytes)>,
    /// When they were told.
    pub published: Time,
}

/// Which sessions may know presences of a guild, besides intents. A follower of the member always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Who follows the member.
    Followers,
    /// Bots too.
    Bots,
    /// Everybody: the guild is small.
    Everybody,
}
