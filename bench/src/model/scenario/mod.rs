//! What kind of community it is, and what happens in it per second: the source of made-up traces.
//!
//! A scenario is a TOML file; `bench/scenarios/README.md` has all its parameters. [`load`] finds and checks it, [`synth()`] makes a
//! trace of it.

pub mod arrivals;
pub mod check;
pub mod guild_setup;
pub mod population;
pub mod spread;
pub mod synth;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use arrivals::Arrivals;
use spread::Spread;
pub use synth::{Made, Options, synth};

/// The scenarios that come with the program: name and file.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("launch-day", include_str!("../../../scenarios/launch-day.toml")),
    ("midjourney", include_str!("../../../scenarios/midjourney.toml")),
    ("one-loud-neighbour", include_str!("../../../scenarios/one-loud-neighbour.toml")),
    ("quiet", include_str!("../../../scenarios/quiet.toml")),
    ("reconnect-storm", include_str!("../../../scenarios/reconnect-storm.toml")),
    ("small-guilds", include_str!("../../../scenarios/small-guilds.toml")),
    ("smoke", include_str!("../../../scenarios/smoke.toml")),
    ("voice-party", include_str!("../../../scenarios/voice-party.toml")),
];

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
    /// Text channels that everybody sees.
    #[serde(default = "one")]
    pub text: u32,
    /// Voice channels that everybody sees.
    #[serde(default)]
    pub voice: u32,
    /// Hidden channels.
    #[serde(default)]
    pub hidden: Vec<Hidden>,
    /// Larger guilds of the group have more messages and reactions than smaller ones, in proportion to their sessions.
    #[serde(default)]
    pub by_size: bool,
    /// What becomes of messages and reactions when the scale makes the guild smaller: they are multiplied by 1 / scale to the power of
    /// this. 0: a session sees the same as before; 1: there are as many deliveries as before.
    #[serde(default)]
    pub busier: f64,
    /// Whoever goes into voice leaves it after so many seconds. Absent: only `voice_leaves` makes people leave.
    #[serde(default)]
    pub voice_stay: Option<Spread>,
    /// Whoever closes comes back after so many seconds. Absent: only `connects` brings people back.
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

/// How messages are distributed over the text channels: first those that everybody sees, then the hidden ones.
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
    /// So many in the whole guild, whatever the scale: for what everybody is told.
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

/// The scenario of that name, or in that file.
///
/// # Errors
/// If there is none, or something is wrong with it: names file, key, value, and what is allowed.
pub fn load(name: &str) -> Result<Scenario, String> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return parse(name, &format!("{name}.toml"), text);
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        format!("{name}: {error}; it is no scenario that comes with the program either: {}", known.join(", "))
    })?;
    let stem = path.file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
    parse(&stem, name, &text)
}

/// A scenario from its text.
///
/// # Errors
/// If something is wrong with it; `file` is what the error calls it.
pub fn parse(name: &str, file: &str, text: &str) -> Result<Scenario, String> {
    let mut scenario: Scenario = toml::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    name.clone_into(&mut scenario.name);
    check::check(&scenario).map_err(|what| format!("{file}: {what}"))?;
    Ok(scenario)
}
