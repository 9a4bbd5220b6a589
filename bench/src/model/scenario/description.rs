//! A scenario as its TOML file describes it; `bench/scenarios/README.md` has all its parameters.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::scenario::arrivals::Arrivals;
use crate::model::scenario::spread::Spread;

/// A community and its traffic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name, without its ending.
    #[serde(skip)]
    pub name: String,
    /// One sentence that says what the scenario is for.
    pub about: String,
    /// How the times of a rate are spread.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Groups of guilds that are alike.
    #[serde(rename = "guild")]
    pub groups: Vec<Group>,
    /// What happens, one phase after another.
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
}

/// A number, or a share of something.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number without a point, or a share from 0.0 to 1.0")]
pub enum Amount {
    /// So many: written without a point.
    Number(u64),
    /// Such a share, from 0 to 1: written with a point.
    Share(f64),
}

impl Amount {
    /// How many of so many.
    pub fn of(self, all: f64) -> f64 {
        match self {
            Amount::Number(number) => number as f64,
            Amount::Share(share) => share * all,
        }
    }
}

/// Guilds that are alike.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What the phases call it, and reports.
    pub name: String,
    /// How many guilds.
    #[serde(default = "one")]
    pub count: u32,
    /// Members of each.
    pub members: Spread,
    /// How many of the members are online at some time: a number, or a share of them.
    #[serde(default = "all")]
    pub online: Amount,
    /// The share of those who are online that is connected when the traffic begins.
    #[serde(default = "whole")]
    pub present: f64,
    /// So many more people, or such a share of those who are online, have not joined yet.
    #[serde(default = "none")]
    pub joining: Amount,
    /// The share of those who are online that has the guild open.
    #[serde(default = "whole")]
    pub looking: f64,
    /// In so many guilds of this group each session is, on average.
    #[serde(default = "whole")]
    pub overlap: f64,
    /// Roles, @everyone not counted.
    #[serde(default)]
    pub roles: u32,
    /// Text channels that all sessions see.
    #[serde(default = "one")]
    pub text: u32,
    /// Voice channels that all sessions see.
    #[serde(default)]
    pub voice: u32,
    /// Hidden channels.
    #[serde(default)]
    pub hidden: Vec<Hidden>,
    /// Larger guilds of the group have more messages and reactions than smaller ones, in proportion to their sessions.
    #[serde(default)]
    pub by_size: bool,
    /// What becomes of messages and reactions when the scale makes the guild smaller: they are multiplied by 1 / scale
    /// to the power of this. 0: a session sees the same as before; 1: there are as many deliveries as before.
    #[serde(default)]
    pub busier: f64,
    /// A user that goes into voice leaves it after so many seconds. Absent: only `voice_leaves` makes people leave.
    #[serde(default)]
    pub voice_stay: Option<Spread>,
    /// A user that closes comes back after so many seconds. Absent: only `connects` brings people back.
    #[serde(default)]
    pub offline: Option<Spread>,
    /// What people write. None: one kind, with all defaults.
    #[serde(default)]
    pub talk: Vec<Talk>,
    /// How people react.
    #[serde(default)]
    pub reactions: Reactions,
}

/// Channels that some do not see.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// The share of the sessions that sees them; one session at least.
    pub share: f64,
    /// So many text channels.
    #[serde(default)]
    pub text: u32,
    /// So many voice channels.
    #[serde(default)]
    pub voice: u32,
}

/// One kind of messages.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Talk {
    /// Such a part of the messages: in proportion to the other kinds' shares.
    pub share: f64,
    /// Characters of a message.
    pub size: Spread,
    /// In which channels.
    pub channels: Weights,
    /// How much more the loudest write than others: zipf's exponent, 0 for all alike.
    pub authors: f64,
    /// Only the first so many of those who may write do. 0: all.
    pub speakers: u32,
    /// Such a share of the messages is preceded by typing.
    pub typing: f64,
    /// So many seconds before.
    pub typing_lead: Spread,
    /// Such a share of the messages is edited.
    pub edited: f64,
    /// So many times each.
    pub edits: Spread,
    /// So many seconds after the post, and between edits.
    pub edit_delay: Spread,
    /// Such a share of the messages is deleted by its author.
    pub deleted: f64,
    /// So many seconds after the post.
    pub delete_delay: Spread,
}

impl Default for Talk {
    /// What people write in chats: half of it below 45 characters, rarely more than a few hundred.
    fn default() -> Talk {
        Talk {
            share: 1.0,
            size: Spread::LogNormal { median: 45.0, sigma: 1.0, min: 1.0, max: 2_000.0 },
            channels: Weights::Zipf,
            authors: 1.0,
            speakers: 0,
            typing: 0.0,
            typing_lead: Spread::Uniform(1.0, 6.0),
            edited: 0.0,
            edits: Spread::Fixed(1.0),
            edit_delay: Spread::Uniform(3.0, 20.0),
            deleted: 0.0,
            delete_delay: Spread::Uniform(2.0, 20.0),
        }
    }
}

/// How messages are distributed over the text channels: first those that all sessions see, then the hidden ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// All alike.
    Even,
    /// The n-th channel has a weight of 1/n.
    Zipf,
    /// One number for each channel.
    List(Vec<f64>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"even\", \"zipf\", or a list of numbers, one for each text channel")]
enum WrittenWeights {
    Name(WeightsName),
    List(Vec<f64>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WeightsName {
    Even,
    Zipf,
}

impl<'de> Deserialize<'de> for Weights {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Weights, D::Error> {
        Ok(match WrittenWeights::deserialize(deserializer)? {
            WrittenWeights::Name(WeightsName::Even) => Weights::Even,
            WrittenWeights::Name(WeightsName::Zipf) => Weights::Zipf,
            WrittenWeights::List(list) => Weights::List(list),
        })
    }
}

/// How people react.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reactions {
    /// So many different emojis, the first ones likelier than others. Discord allows 20 on one message.
    pub emojis: u32,
    /// Such a share is taken back.
    pub taken_back: f64,
    /// So many seconds later.
    pub delay: Spread,
}

impl Default for Reactions {
    fn default() -> Reactions {
        Reactions { emojis: 10, taken_back: 0.05, delay: Spread::Uniform(1.0, 10.0) }
    }
}

/// A time in which rates are steady.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// For those who read the file, and for error messages.
    pub name: String,
    /// How long.
    pub seconds: f64,
    /// In the first so many seconds rates change in a straight line from those of the phase before, or from nothing.
    #[serde(default)]
    pub ramp: f64,
    /// By the groups' names. Who is not named has no traffic.
    #[serde(default)]
    pub rates: BTreeMap<String, Rates>,
    /// Many connections that break at once.
    #[serde(default)]
    pub storm: Vec<Storm>,
}

/// What people do per second: written as a number, it is per 1,000 of the guild's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number, which is per 1,000 sessions, or { per_guild = … }")]
pub enum Pace {
    /// So many per 1,000 sessions.
    PerThousand(f64),
    /// So many in the whole guild, whatever the scale: for what all members get.
    PerGuild {
        /// So many.
        per_guild: f64,
    },
}

impl Pace {
    /// The number as it is written.
    pub fn number(self) -> f64 {
        match self {
            Pace::PerThousand(number) | Pace::PerGuild { per_guild: number } => number,
        }
    }

    /// So many per second, in a guild of so many sessions.
    pub fn of(self, sessions: u32) -> f64 {
        match self {
            Pace::PerThousand(number) => number * f64::from(sessions) / 1_000.0,
            Pace::PerGuild { per_guild } => per_guild,
        }
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::PerThousand(0.0)
    }
}

/// What happens per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Messages per guild.
    pub messages: f64,
    /// Reactions per guild.
    pub reactions: f64,
    /// Channels made per guild.
    pub channel_creates: f64,
    /// Channels deleted per guild: the oldest of those made during the traffic.
    pub channel_deletes: f64,
    /// Changes of status per 1,000 sessions.
    pub presences: Pace,
    /// Reads of a channel's newest messages per 1,000 sessions.
    pub histories: Pace,
    /// Looks at another part of the member list per 1,000 sessions.
    pub scrolls: Pace,
    /// People who accept an invite per 1,000 sessions: first those of `joining`, then those who left.
    pub joins: Pace,
    /// People who leave per 1,000 sessions.
    pub leaves: Pace,
    /// People who connect per 1,000 sessions: those who were not present, or have closed.
    pub connects: Pace,
    /// People who close their client per 1,000 sessions.
    pub closes: Pace,
    /// Connections that break, one by one, per 1,000 sessions.
    pub cuts: Pace,
    /// People who go into a voice channel per 1,000 sessions.
    pub voice_joins: Pace,
    /// People in voice who go to another channel per 1,000 sessions.
    pub voice_moves: Pace,
    /// People in voice who leave it per 1,000 sessions.
    pub voice_leaves: Pace,
}

/// Many connections that break at once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// In all guilds of this group.
    pub group: String,
    /// So many seconds after the phase began.
    pub at: f64,
    /// Such a share of the connected sessions.
    pub share: f64,
    /// At random times within so many seconds.
    pub over: f64,
}

fn one() -> u32 {
    1
}

fn all() -> Amount {
    Amount::Share(1.0)
}

fn none() -> Amount {
    Amount::Number(0)
}

fn whole() -> f64 {
    1.0
}
