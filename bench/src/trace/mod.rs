//! What a community does, action by action. The format is documented in `docs/TRACE.md`.

use serde::{Deserialize, Serialize};

/// The version that is written, and the highest that is read.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Always `guildhall`.
    pub trace: String,
    /// [`VERSION`].
    pub version: u32,
    /// `synth` or `record`.
    pub by: String,
    /// The scenario's name, or the recording's.
    pub name: String,
    /// What a made-up trace was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How far a scenario was shrunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// When a recording began, in milliseconds since 1970.
    #[serde(default)]
    pub began: u64,
}

/// Every other line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the beginning.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// What a line says. Fields are explained in `docs/TRACE.md`.
#[expect(missing_docs, reason = "the format's document explains them")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Declares a guild.
    Guild(Box<Guild>),
    /// Posts a message.
    Message { guild: u32, channel: u32, who: u32, size: u32 },
    /// Its author changes a message.
    Edit { of: u32, size: u32 },
    /// Its author deletes a message.
    Delete { of: u32 },
    /// Adds a reaction.
    React { of: u32, guild: u32, who: u32, emoji: u32 },
    /// Takes it back.
    Unreact { of: u32, guild: u32, who: u32, emoji: u32 },
    /// Begins to type.
    Typing { guild: u32, channel: u32, who: u32 },
    /// Reads the newest messages.
    History { guild: u32, channel: u32, who: u32, limit: u32 },
    /// Changes status.
    Presence { guild: u32, who: u32, status: Status },
    /// Accepts an invite.
    Join { guild: u32, who: u32 },
    /// Leaves the guild.
    Leave { guild: u32, who: u32 },
    /// The owner makes one more text channel.
    ChannelCreate { guild: u32 },
    /// The owner deletes a channel.
    ChannelDelete { guild: u32, channel: u32 },
    /// Joins, moves to, or leaves voice.
    Voice { guild: u32, who: u32, channel: Option<u32> },
    /// Looks at rows of the member list.
    Scroll { guild: u32, channel: u32, who: u32, first: u32, last: u32 },
    /// Opens its connection.
    Connect { guild: u32, who: u32 },
    /// Closes it, session and all.
    Close { guild: u32, who: u32 },
    /// The connection breaks.
    Cut { guild: u32, who: u32 },
    /// Many break.
    Storm { guild: u32, share: f64, over: u64 },
    /// A recording has a hole.
    Lost { lines: u64 },
}

/// A guild's declaration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guild {
    /// Its number.
    pub guild: u32,
    /// Everybody.
    pub members: u64,
    /// People 0 to `sessions` − 1 are online at some time.
    pub sessions: u32,
    /// Person 0 is this session of the swarm. Absent: sessions of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u32>,
    /// How many are connected when the traffic begins. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<u32>,
    /// How many, the last, are no members yet.
    #[serde(default)]
    pub joining: u32,
    /// The share of the sessions that have the guild open.
    #[serde(default = "whole")]
    pub looking: f64,
    /// Roles, @everyone not counted.
    #[serde(default)]
    pub roles: u32,
    /// Its channels.
    pub channels: Vec<Channel>,
}

/// A guild's channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// What can be done there.
    pub kind: ChannelKind,
    /// Hidden from all but the first so large share of the people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// What can be done in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Write.
    Text,
    /// Talk.
    Voice,
}

/// How somebody appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There.
    Online,
    /// Away.
    Idle,
    /// Do not disturb.
    Dnd,
    /// There, but not shown.
    Invisible,
}

fn whole() -> f64 {
    1.0
}
