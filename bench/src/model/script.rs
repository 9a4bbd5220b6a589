//! What a pool's sessions may see and have to do: a trace as far as it concerns them, in the form that threads can use.
//!
//! Events that the same people may see are one *stream*, and numbered: what is entitled, lost, doubled or out of order
//! is decided by stream and number. The driver makes a script of a trace; [`crate::generate::clients`] plays and judges
//! it.

use std::collections::HashMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::base::limits;
use crate::model::trace::Status;

/// GUILDS, GUILD_MESSAGES and MESSAGE_CONTENT: what a script of messages alone needs.
pub const MESSAGE_INTENTS: u64 = 1 | 1 << 9 | 1 << 15;

/// What is delivered, as far as latencies are distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// MESSAGE_CREATE.
    Message,
    /// MESSAGE_UPDATE.
    Edit,
    /// MESSAGE_DELETE.
    Delete,
    /// MESSAGE_REACTION_ADD.
    React,
    /// MESSAGE_REACTION_REMOVE.
    Unreact,
    /// TYPING_START.
    Typing,
    /// PRESENCE_UPDATE.
    Presence,
    /// GUILD_MEMBER_ADD.
    Join,
    /// GUILD_MEMBER_REMOVE.
    Leave,
    /// CHANNEL_CREATE.
    ChannelCreate,
    /// CHANNEL_DELETE.
    ChannelDelete,
    /// VOICE_STATE_UPDATE.
    Voice,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = Kind::ALL.len();
    /// All, by number.
    pub const ALL: [Kind; 12] = [
        Kind::Message,
        Kind::Edit,
        Kind::Delete,
        Kind::React,
        Kind::Unreact,
        Kind::Typing,
        Kind::Presence,
        Kind::Join,
        Kind::Leave,
        Kind::ChannelCreate,
        Kind::ChannelDelete,
        Kind::Voice,
    ];
}

/// Who must get the events of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duty {
    /// Every entitled session.
    #[default]
    All,
    /// Optional for every entitled session: presences of users that are not looked at, for example.
    Optional,
}

/// Events that the same people may see, in the order of their intended times.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// What each is.
    pub kinds: Vec<Kind>,
    /// When each is intended, in microseconds since the beginning of the trace.
    pub at_us: Vec<u64>,
}

/// Which event something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// In which stream.
    pub stream: u32,
    /// Its number there, from 0.
    pub index: u32,
    /// When it was meant to be done, in nanoseconds since 1970.
    pub intended_ns: u64,
}

/// Something that a session does itself.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionAction {
    /// Connects.
    Connect,
    /// Closes its connection and ends its session.
    Close,
    /// Its connection breaks.
    Cut,
    /// Op 3. The mark says which event it makes, if others are to see it.
    Presence(Status, Option<(u32, u32)>),
    /// Op 4: the guild's id, and the channel's; `None` leaves.
    Voice(u64, Option<u64>, Option<(u32, u32)>),
    /// Op 14: guild, channel, first and last row.
    Scroll(u64, u64, u32, u32),
}

/// What a session sees that has a guild open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The guild's id.
    pub guild: u64,
    /// The id of a channel whose member list is shown.
    pub channel: u64,
}

/// An action and when.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedAction {
    /// Microseconds since the beginning.
    pub at_us: u64,
    /// Which session.
    pub session: u32,
    /// What.
    pub action: SessionAction,
}

/// The whole.
#[derive(Debug, Default)]
pub struct Script {
    /// All streams.
    pub streams: Vec<Stream>,
    /// The streams that a session may ever see: those of session `i` are `entitled[starts[i]..starts[i + 1]]`.
    pub entitled: Vec<u32>,
    /// One more than there are sessions.
    pub starts: Vec<u32>,
    /// Which guild, by number, a stream belongs to.
    pub guild_of: Vec<u32>,
    /// Whether only those see a stream who look at its guild, and say so; empty: none is such.
    pub looked_at: Vec<bool>,
    /// Kinds of guilds, whose latencies are distinguished; fewer than two: none are.
    pub groups: Vec<String>,
    /// Which of them a stream belongs to.
    pub group_of: Vec<u8>,
    /// Guilds' numbers by their ids: a GUILD_CREATE begins, a GUILD_DELETE ends what a session is entitled to. Empty:
    /// all begins when the session becomes live.
    pub guilds: HashMap<u64, u32>,
    /// Sessions that are not connected before the traffic: they wait for [`SessionAction::Connect`].
    pub absent: Vec<bool>,
    /// Whether each session says that it looks at its guilds: op 14 after it became live. Empty: none does.
    pub looking: Vec<bool>,
    /// By guild's number: what those who look at it say. Guilds that are not here are not looked at.
    pub views: Vec<View>,
    /// Everything that sessions do, by time.
    pub actions: Vec<TimedAction>,
    /// The intents that are needed.
    pub intents: u64,
    /// How long the traffic lasts, in microseconds.
    pub end_us: u64,
    /// By [`Kind`]'s number; kinds that are not there are [`Duty::All`].
    pub duties: HashMap<Kind, Duty>,
    /// Events that carry no marker, by what they name.
    pub ledger: Ledger,
}

/// What an event without a marker names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Named {
    /// Its kind.
    pub kind: Kind,
    /// A message's id for deletes, a channel's for channels, a user's for all others; [`Named::pair`] of message and
    /// user for reactions, of channel and user for typing.
    pub id: u64,
}

impl Named {
    /// The ids of a message or channel and of a user, as one number.
    pub fn pair(place: u64, user: u64) -> u64 {
        place.rotate_left(32) ^ user
    }
}

/// Events without a marker: the driver writes, the pool reads.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The latest marks of each name, the oldest first.
    entries: RwLock<HashMap<Named, Vec<Mark>>>,
    /// Whether anything was ever written: if not, no lookup is needed.
    used: AtomicBool,
}

impl Ledger {
    /// From now on, events of this name may be that one.
    pub fn expect(&self, named: Named, mark: Mark) {
        let mut entries = self.entries.write().expect("no thread panics while it holds this");
        // Most names stand for one event, and there may be millions.
        let marks = entries.entry(named).or_insert_with(|| Vec::with_capacity(1));
        let oldest_ns = mark.intended_ns.saturating_sub(limits::LEDGER_TIME.as_nanos() as u64);
        marks.retain(|other| other.intended_ns >= oldest_ns);
        if marks.len() >= limits::LEDGER_MARKS_MAX {
            marks.remove(0);
        }
        marks.push(mark);
        self.used.store(true, Ordering::Release);
    }

    /// It will not come: the server has refused it.
    pub fn forget(&self, named: Named, mark: Mark) {
        let mut entries = self.entries.write().expect("no thread panics while it holds this");
        if let Some(marks) = entries.get_mut(&named) {
            marks.retain(|other| *other != mark);
        }
    }

    /// Whether nothing is expected by name.
    pub fn is_empty(&self) -> bool {
        !self.used.load(Ordering::Acquire)
    }

    /// Which event a name stands for, of those that it `may`: the oldest that `fits`, or the latest if none does.
    pub fn find(&self, named: Named, may: impl Fn(&Mark) -> bool, fits: impl Fn(&Mark) -> bool) -> Option<Mark> {
        let entries = self.entries.read().expect("no thread panics while it holds this");
        let marks = || entries.get(&named).into_iter().flatten().filter(|mark| may(mark));
        marks().find(|mark| fits(mark)).or(marks().last()).copied()
    }
}

impl Script {
    /// One channel that all sessions see, and so many messages at a steady rate.
    pub fn of_channel(sessions: u32, messages: u32, rate: f64) -> Script {
        let at_us = (0..messages).map(|index| (f64::from(index) * 1e6 / rate) as u64).collect();
        Script {
            streams: vec![Stream { kinds: vec![Kind::Message; messages as usize], at_us }],
            entitled: vec![0; sessions as usize],
            starts: (0..=sessions).collect(),
            guild_of: vec![0],
            intents: MESSAGE_INTENTS,
            end_us: (f64::from(messages) * 1e6 / rate) as u64,
            ..Script::default()
        }
    }

    /// Who must get the events of a kind.
    pub fn duty(&self, kind: Kind) -> Duty {
        self.duties.get(&kind).copied().unwrap_or_default()
    }

    /// Whether a session is not connected before the traffic.
    pub fn is_absent(&self, session: u32) -> bool {
        self.absent.get(session as usize).copied().unwrap_or(false)
    }

    /// Whether a session looks at its guilds.
    pub fn is_looking(&self, session: u32) -> bool {
        self.looking.get(session as usize).copied().unwrap_or(false)
    }

    /// Whether only those see a stream who look at its guild.
    pub fn is_looked_at(&self, stream: u32) -> bool {
        self.looked_at.get(stream as usize).copied().unwrap_or(false)
    }

    /// The streams that a session may ever see.
    pub fn streams_of(&self, session: u32) -> &[u32] {
        let at = session as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(start), Some(end)) => &self.entitled[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// The first event of a stream that is intended at this time or later.
    pub fn first_from(&self, stream: u32, at_us: u64) -> u32 {
        self.streams[stream as usize].at_us.partition_point(|at| *at < at_us) as u32
    }
}
