//! What a community does, action by action. The format is documented in `docs/TRACE.md`.
//!
//! [`file`] reads and writes traces, [`recording`] puts recorded ones in order, [`summary`] counts.

pub mod file;
pub mod line;
pub mod recording;
pub mod summary;

use serde::{Deserialize, Serialize};

use crate::base::random;

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
    /// By what the rates of a scenario were multiplied. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// When a recording began, in milliseconds since 1970.
    #[serde(default)]
    pub began: u64,
    /// How long the traffic goes on, in microseconds. Absent: until the last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<u64>,
}

/// A whole trace, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The first line.
    pub header: Header,
    /// All guilds, by number.
    pub guilds: Vec<Guild>,
    /// Everything else, by time. [`Action::Guild`] is not among it.
    pub actions: Vec<Line>,
}

impl Trace {
    /// How long the traffic goes on, in microseconds.
    pub fn lasts(&self) -> u64 {
        self.header.lasts.unwrap_or(0).max(self.actions.last().map_or(0, |line| line.at))
    }

    /// The pool's session that is person 0, of each guild.
    pub fn firsts(&self) -> Vec<u32> {
        let mut free = 0;
        self.guilds
            .iter()
            .map(|guild| {
                let first = guild.first.unwrap_or(free);
                free = free.max(first.saturating_add(guild.sessions));
                first
            })
            .collect()
    }

    /// How many sessions the pool needs.
    pub fn sessions(&self) -> u32 {
        let ends =
            self.firsts().into_iter().zip(&self.guilds).map(|(first, guild)| first.saturating_add(guild.sessions));
        ends.max().unwrap_or(0)
    }
}

/// Every other line. Millions of them are kept, so it has 32 bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Microseconds since the beginning.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// What a line says. Fields are explained in `docs/TRACE.md`.
#[expect(missing_docs, reason = "the format's document explains them")]
#[derive(Debug, Clone, PartialEq, Serialize)]
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

const _: () = assert!(size_of::<Line>() == 32, "ten million lines must fit in 320 MB");

impl Action {
    /// What its line says in `do`.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Guild(_) => "guild",
            Action::Message { .. } => "message",
            Action::Edit { .. } => "edit",
            Action::Delete { .. } => "delete",
            Action::React { .. } => "react",
            Action::Unreact { .. } => "unreact",
            Action::Typing { .. } => "typing",
            Action::History { .. } => "history",
            Action::Presence { .. } => "presence",
            Action::Join { .. } => "join",
            Action::Leave { .. } => "leave",
            Action::ChannelCreate { .. } => "channel_create",
            Action::ChannelDelete { .. } => "channel_delete",
            Action::Voice { .. } => "voice",
            Action::Scroll { .. } => "scroll",
            Action::Connect { .. } => "connect",
            Action::Close { .. } => "close",
            Action::Cut { .. } => "cut",
            Action::Storm { .. } => "storm",
            Action::Lost { .. } => "lost",
        }
    }

    /// The guild and the person that it names.
    pub fn person(&self) -> Option<(u32, u32)> {
        match *self {
            Action::Message { guild, who, .. }
            | Action::React { guild, who, .. }
            | Action::Unreact { guild, who, .. }
            | Action::Typing { guild, who, .. }
            | Action::History { guild, who, .. }
            | Action::Presence { guild, who, .. }
            | Action::Join { guild, who }
            | Action::Leave { guild, who }
            | Action::Voice { guild, who, .. }
            | Action::Scroll { guild, who, .. }
            | Action::Connect { guild, who }
            | Action::Close { guild, who }
            | Action::Cut { guild, who } => Some((guild, who)),
            Action::Guild(_)
            | Action::Edit { .. }
            | Action::Delete { .. }
            | Action::ChannelCreate { .. }
            | Action::ChannelDelete { .. }
            | Action::Storm { .. }
            | Action::Lost { .. } => None,
        }
    }

    /// The guild and the channel that it names.
    pub fn channel(&self) -> Option<(u32, u32)> {
        match *self {
            Action::Message { guild, channel, .. }
            | Action::Typing { guild, channel, .. }
            | Action::History { guild, channel, .. }
            | Action::ChannelDelete { guild, channel }
            | Action::Scroll { guild, channel, .. }
            | Action::Voice { guild, channel: Some(channel), .. } => Some((guild, channel)),
            Action::Guild(_)
            | Action::Edit { .. }
            | Action::Delete { .. }
            | Action::React { .. }
            | Action::Unreact { .. }
            | Action::Presence { .. }
            | Action::Join { .. }
            | Action::Leave { .. }
            | Action::ChannelCreate { .. }
            | Action::Voice { channel: None, .. }
            | Action::Connect { .. }
            | Action::Close { .. }
            | Action::Cut { .. }
            | Action::Storm { .. }
            | Action::Lost { .. } => None,
        }
    }

    /// The guild that it names; edits and deletes name none.
    pub fn guild(&self) -> Option<u32> {
        match *self {
            Action::ChannelCreate { guild } | Action::Storm { guild, .. } => Some(guild),
            _ => self.person().or(self.channel()).map(|(guild, _)| guild),
        }
    }

    /// The message that it names.
    pub fn of(&self) -> Option<u32> {
        match *self {
            Action::Edit { of, .. } | Action::Delete { of } | Action::React { of, .. } | Action::Unreact { of, .. } => {
                Some(of)
            }
            _ => None,
        }
    }
}

/// How long after a storm's line a person's connection breaks, in microseconds; `None`: it does not.
pub fn breaks(at: u64, guild: u32, who: u32, share: f64, over: u64) -> Option<u64> {
    let seed = random::mix(at.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(guild) + 1)));
    let mixed = random::mix(seed.wrapping_add(u64::from(who)));
    let below = (share * 4_294_967_296.0).round() as u64;
    ((mixed >> 32) < below).then(|| ((u128::from(mixed & 0xffff_ffff) * u128::from(over)) >> 32) as u64)
}

/// A guild's declaration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guild {
    /// Its number.
    pub guild: u32,
    /// What kind of guild this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
    /// All sessions.
    pub members: u64,
    /// People 0 to `sessions` − 1 are online at some time.
    pub sessions: u32,
    /// Person 0 is this session of the pool. Absent: sessions of its own.
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

impl Guild {
    /// Who sees a channel: the people below this number, as long as they are members. Channels that were made later are
    /// seen by all.
    pub fn viewers(&self, channel: u32) -> u32 {
        match self.channels.get(channel as usize).and_then(|channel| channel.share) {
            None => self.sessions,
            Some(share) => {
                let below = (share * f64::from(self.sessions)).round() as u32;
                below.min(self.sessions.saturating_sub(self.joining))
            }
        }
    }

    /// How many of the first `people` have the guild open.
    pub fn lookers(&self, people: u32) -> u32 {
        let all = (self.looking * f64::from(self.sessions)).round() as u64;
        (u64::from(people) * all / u64::from(self.sessions.max(1))) as u32
    }

    /// Whether a person has the guild open.
    pub fn looks(&self, who: u32) -> bool {
        self.lookers(who + 1) > self.lookers(who)
    }

    /// The person who is number `rank` of those that have the guild open.
    pub fn looker(&self, rank: u32) -> u32 {
        let all = (self.looking * f64::from(self.sessions)).round() as u64;
        ((u64::from(rank) + 1) * u64::from(self.sessions)).div_ceil(all.max(1)).saturating_sub(1) as u32
    }
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

/// How a user appears.
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

impl Status {
    /// As the gateway calls it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Idle => "idle",
            Status::Dnd => "dnd",
            Status::Invisible => "invisible",
        }
    }
}

fn whole() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guild(sessions: u32, looking: f64) -> Guild {
        Guild {
            guild: 0,
            group: None,
            members: u64::from(sessions),
            sessions,
            first: None,
            present: None,
            joining: 0,
            looking,
            roles: 0,
            channels: Vec::new(),
        }
    }

    #[test]
    fn those_who_look_are_as_many_as_said_and_found_by_rank() {
        for (sessions, looking, all) in [(10, 0.3, 3), (1_000, 0.1, 100), (7, 1.0, 7), (7, 0.0, 0), (3, 0.5, 2)] {
            let guild = guild(sessions, looking);
            let found: Vec<u32> = (0..sessions).filter(|who| guild.looks(*who)).collect();
            assert_eq!(found.len(), all);
            assert_eq!(guild.lookers(sessions) as usize, all);
            assert!((0..all).all(|rank| guild.looker(rank as u32) == found[rank]), "{found:?}");
        }
    }

    #[test]
    fn joiners_do_not_see_what_is_hidden() {
        let mut guild = guild(10, 1.0);
        guild.joining = 4;
        guild.channels = [None, Some(0.25), Some(1.0)].map(|share| Channel { kind: ChannelKind::Text, share }).to_vec();
        assert_eq!([0, 1, 2, 9].map(|channel| guild.viewers(channel)), [10, 3, 6, 10]);
    }

    #[test]
    fn a_storm_cuts_its_share_within_its_time() {
        let cut: Vec<u64> = (0..100_000).filter_map(|who| breaks(5_000_000, 2, who, 0.17, 1_000)).collect();
        assert!((16_500..17_500).contains(&cut.len()), "{}", cut.len());
        assert!(cut.iter().all(|after| *after < 1_000) && cut.iter().any(|after| *after > 900));
        assert!((0..100).all(|who| breaks(1, 0, who, 1.0, 0) == Some(0)));
        assert!((0..100).all(|who| breaks(1, 0, who, 0.0, 9).is_none()));
        // The document's formula, worked out once.
        assert_eq!(breaks(1_000_000, 0, 7, 1.0, 1_000_000), Some(75_785));
    }

    #[test]
    fn guilds_without_a_first_session_come_after_all_others() {
        let header = Header {
            trace: "guildhall".into(),
            version: VERSION,
            by: "synth".into(),
            name: "t".into(),
            seed: None,
            scale: None,
            rate: None,
            began: 0,
            lasts: None,
        };
        let guilds = [None, Some(2), None, Some(0)].map(|first| Guild { first, ..guild(10, 1.0) }).to_vec();
        let trace = Trace { header, guilds, actions: Vec::new() };
        assert_eq!(trace.firsts(), [0, 2, 12, 0]);
        assert_eq!(trace.sessions(), 22);
    }
}
