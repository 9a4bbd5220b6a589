//! Records: what a recording is made of. Who did what, where and when; never what was said.
//!
//! Lives on: made on the core that decides, left in the outbox; the turn gives them to the recorder.
//! A record holds ids and lengths only, so no text can get into a recording. Records are made only while the shard
//! records ([`crate::shard::Shard::record`]); nothing waits for one, and a lost one changes nothing but the
//! recording.

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, MessageId, UserId};
use crate::mail::session_id::SessionId;

/// Something to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRecord {
    /// When.
    pub at: Time,
    /// What.
    pub deed: TraceEvent,
}

/// What happened. Channels say in which guild it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceEvent {
    /// A guild as it is when it is first met, before all other notes about it. No user's act.
    Guild(Box<Declaration>),
    /// Wrote a message.
    Message {
        /// Where.
        channel: ChannelId,
        /// Its id.
        message: MessageId,
        /// Its author.
        who: UserId,
        /// Characters of its content.
        size: u32,
    },
    /// Changed a message.
    Edit {
        /// Which.
        message: MessageId,
        /// Characters of its content now.
        size: u32,
    },
    /// Deleted a message.
    Delete {
        /// Which.
        message: MessageId,
    },
    /// Began to type.
    Typing {
        /// Where.
        channel: ChannelId,
        /// Who.
        who: UserId,
    },
    /// Read the newest messages.
    History {
        /// Where.
        channel: ChannelId,
        /// Who.
        who: UserId,
        /// How many were asked for.
        limit: u32,
    },
    /// Became a member.
    Join {
        /// Of which guild.
        guild: GuildId,
        /// Who.
        who: UserId,
    },
    /// Is no member any more.
    Leave {
        /// Of which guild.
        guild: GuildId,
        /// Who.
        who: UserId,
    },
    /// Made a channel.
    ChannelCreate {
        /// In which guild.
        guild: GuildId,
        /// The channel.
        place: ChannelPlace,
        /// Of so many members it was counted who may view it.
        counted: u32,
    },
    /// Deleted a channel.
    ChannelDelete {
        /// Which.
        channel: ChannelId,
    },
    /// A session began to see a guild: it identified, or its user joined.
    Connect {
        /// Which guild.
        guild: GuildId,
        /// Whose session.
        who: UserId,
        /// Which session.
        session: SessionId,
        /// The channels that it may view and not everybody may.
        sees: Box<[ChannelId]>,
    },
    /// A session sees a guild no more: it is over, or its user is no member any more.
    Close {
        /// Which guild.
        guild: GuildId,
        /// Whose session.
        who: UserId,
        /// Which session.
        session: SessionId,
    },
    /// A session that sees a guild lost its connection, and may resume.
    Cut {
        /// Which guild.
        guild: GuildId,
        /// Whose session.
        who: UserId,
        /// Which session.
        session: SessionId,
    },
}

/// A guild as it is when it is first met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Which.
    pub guild: GuildId,
    /// How many members it has.
    pub members: u64,
    /// How many of them have sessions.
    pub online: u64,
    /// How many roles, `@everyone` not counted.
    pub roles: u32,
    /// Of so many members it was counted who may view what.
    pub counted: u32,
    /// Its channels, without categories, by id.
    pub channels: Vec<ChannelPlace>,
}

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelPlace {
    /// Which.
    pub channel: ChannelId,
    /// Whether one talks in it.
    pub voice: bool,
    /// How many of those counted may view it; `None` if everybody may.
    pub viewers: Option<u32>,
}
