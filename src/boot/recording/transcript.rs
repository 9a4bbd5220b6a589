//! The transcript: notes become lines, ids become small numbers.
//!
//! Lives on: the recorder's thread. The format is `docs/TRACE.md`.
//! Guilds, channels, people and messages are counted in the order in which they are first written. Only numbers leave this file;
//! the tables that lead from ids to them are never written.
//! Invariant: `at` never goes back.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, MessageId, UserId};
use crate::limits;
use crate::mail::note::{Declaration, Deed, Note, Place};

/// The version of the format.
const VERSION: u32 = 1;

/// Everything that numbers are made from.
#[derive(Debug)]
pub struct Transcript {
    began: Time,
    /// Microseconds of the last line.
    last: u64,
    lines: u64,
    /// Notes that could not be written, not yet said.
    lost: u64,
    guilds: HashMap<GuildId, u32>,
    /// By the guild's number.
    tallies: Vec<Tally>,
    channels: HashMap<ChannelId, Spot>,
    people: HashMap<(u32, UserId), SmallVec<[Seat; 1]>>,
    /// Where each user was met first.
    firsts: HashMap<UserId, (u32, u32)>,
    seats: usize,
    messages: Messages,
}

/// How far a guild's numbers have come.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    channels: u32,
    people: u32,
}

/// Where a channel is.
#[derive(Debug, Clone, Copy)]
struct Spot {
    guild: u32,
    channel: u32,
}

/// One of the people: a member, or one of its sessions if it has several at once.
#[derive(Debug, Clone, Copy)]
struct Seat {
    who: u32,
    /// The secret part of its id.
    session: Option<u64>,
}

/// The numbers of the messages that were written last.
#[derive(Debug, Default)]
struct Messages {
    numbers: HashMap<MessageId, u32>,
    /// Oldest first; deleted ones are still among them.
    order: VecDeque<MessageId>,
    next: u32,
}

impl Messages {
    fn add(&mut self, message: MessageId) {
        self.numbers.insert(message, self.next);
        self.order.push_back(message);
        self.next = self.next.wrapping_add(1);
        if self.order.len() > limits::RECORD_MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
    }
}

#[derive(Serialize)]
struct Header<'a> {
    trace: &'static str,
    version: u32,
    by: &'static str,
    name: &'a str,
    began: u64,
}

#[derive(Serialize)]
struct Line {
    at: u64,
    #[serde(flatten)]
    action: Action,
}

#[derive(Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Action {
    Guild {
        guild: u32,
        members: u64,
        sessions: u64,
        present: u64,
        roles: u32,
        channels: Vec<Channel>,
    },
    Message {
        guild: u32,
        channel: u32,
        who: u32,
        size: u32,
    },
    Edit {
        of: u32,
        size: u32,
    },
    Delete {
        of: u32,
    },
    Typing {
        guild: u32,
        channel: u32,
        who: u32,
    },
    History {
        guild: u32,
        channel: u32,
        who: u32,
        limit: u32,
    },
    Join {
        guild: u32,
        who: u32,
    },
    Leave {
        guild: u32,
        who: u32,
    },
    ChannelCreate {
        guild: u32,
        #[serde(flatten)]
        channel: Channel,
    },
    ChannelDelete {
        guild: u32,
        channel: u32,
    },
    Connect {
        guild: u32,
        who: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        same: Option<(u32, u32)>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sees: Vec<u32>,
    },
    Close {
        guild: u32,
        who: u32,
    },
    Cut {
        guild: u32,
        who: u32,
    },
    Lost {
        lines: u64,
    },
}

#[derive(Serialize)]
struct Channel {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

impl Channel {
    fn of(place: &Place, counted: u32) -> Channel {
        let share = |viewers: u32| (f64::from(viewers) / f64::from(counted.max(1)) * 10_000.0).round() / 10_000.0;
        Channel { kind: if place.voice { "voice" } else { "text" }, share: place.viewers.map(share) }
    }
}

impl Transcript {
    /// A transcript that begins now, and its first line.
    pub fn begin(name: &str, now: Time) -> (Transcript, Vec<u8>) {
        let header = Header { trace: "guildhall", version: VERSION, by: "record", name, began: now.millis() };
        let mut line = serde_json::to_vec(&header).expect("numbers and names are JSON");
        line.push(b'\n');
        let transcript = Transcript {
            began: now,
            last: 0,
            lines: 0,
            lost: 0,
            guilds: HashMap::new(),
            tallies: Vec::new(),
            channels: HashMap::new(),
            people: HashMap::new(),
            firsts: HashMap::new(),
            seats: 0,
            messages: Messages::default(),
        };
        (transcript, line)
    }

    /// How many lines there are, the first one not counted.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Writes what a note says, if it can be said.
    pub fn write(&mut self, note: &Note, to: &mut Vec<u8>) {
        let at = (note.at.since(self.began).as_micros() as u64).max(self.last);
        match self.action(&note.deed) {
            Ok(Some(action)) => {
                self.last = at;
                self.say_lost(to);
                self.put(action, to);
            }
            Ok(None) => {}
            Err(Lost) => self.lost += 1,
        }
    }

    /// So many notes never came.
    pub fn lose(&mut self, notes: u64) {
        self.lost += notes;
    }

    /// Nothing more will come.
    pub fn end(&mut self, to: &mut Vec<u8>) {
        self.say_lost(to);
    }

    fn say_lost(&mut self, to: &mut Vec<u8>) {
        let lines = std::mem::take(&mut self.lost);
        if lines > 0 {
            self.put(Action::Lost { lines }, to);
        }
    }

    fn put(&mut self, action: Action, to: &mut Vec<u8>) {
        serde_json::to_writer(&mut *to, &Line { at: self.last, action }).expect("a line is JSON, a vector takes it");
        to.push(b'\n');
        self.lines += 1;
    }

    /// What a deed is in numbers; `None` for what is not in a trace.
    fn action(&mut self, deed: &Deed) -> Result<Option<Action>, Lost> {
        Ok(Some(match deed {
            Deed::Guild(declaration) => return Ok(self.declare(declaration)),
            Deed::Message { channel, message, who, size } => {
                let Spot { guild, channel } = self.spot(*channel)?;
                let who = self.who(guild, *who)?;
                self.messages.add(*message);
                Action::Message { guild, channel, who, size: *size }
            }
            Deed::Edit { message, size } => match self.messages.numbers.get(message) {
                Some(of) => Action::Edit { of: *of, size: *size },
                None => return Ok(None),
            },
            Deed::Delete { message } => match self.messages.numbers.remove(message) {
                Some(of) => Action::Delete { of },
                None => return Ok(None),
            },
            Deed::Typing { channel, who } => {
                let Spot { guild, channel } = self.spot(*channel)?;
                Action::Typing { guild, channel, who: self.who(guild, *who)? }
            }
            Deed::History { channel, who, limit } => {
                let Spot { guild, channel } = self.spot(*channel)?;
                Action::History { guild, channel, who: self.who(guild, *who)?, limit: *limit }
            }
            Deed::Join { guild, who } => {
                let guild = self.guild(*guild)?;
                Action::Join { guild, who: self.who(guild, *who)? }
            }
            Deed::Leave { guild, who } => {
                let guild = self.guild(*guild)?;
                Action::Leave { guild, who: self.who(guild, *who)? }
            }
            Deed::ChannelCreate { guild, place, counted } => {
                let guild = self.guild(*guild)?;
                if self.channels.contains_key(&place.channel) {
                    return Ok(None);
                }
                self.add_channel(guild, place.channel);
                Action::ChannelCreate { guild, channel: Channel::of(place, *counted) }
            }
            Deed::ChannelDelete { channel } => match self.channels.remove(channel) {
                Some(Spot { guild, channel }) => Action::ChannelDelete { guild, channel },
                // A category, for example.
                None => return Ok(None),
            },
            Deed::Connect { guild, who, session, sees } => {
                let guild = self.guild(*guild)?;
                let Some(number) = self.sit(guild, *who, session.secret)? else { return Ok(None) };
                let same = self.firsts.get(who).copied().filter(|first| *first != (guild, number));
                let sees = sees.iter().filter_map(|channel| Some(self.channels.get(channel)?.channel)).collect();
                Action::Connect { guild, who: number, same, sees }
            }
            Deed::Close { guild, who, session } => {
                let guild = self.guild(*guild)?;
                match self.seat(guild, *who, session.secret) {
                    Some(seat) => {
                        seat.session = None;
                        Action::Close { guild, who: seat.who }
                    }
                    None => return Ok(None),
                }
            }
            Deed::Cut { guild, who, session } => {
                let guild = self.guild(*guild)?;
                match self.seat(guild, *who, session.secret) {
                    Some(seat) => Action::Cut { guild, who: seat.who },
                    None => return Ok(None),
                }
            }
        }))
    }

    fn declare(&mut self, declaration: &Declaration) -> Option<Action> {
        if self.guilds.contains_key(&declaration.guild) {
            return None;
        }
        let guild = self.tallies.len() as u32;
        self.guilds.insert(declaration.guild, guild);
        self.tallies.push(Tally::default());
        for place in &declaration.channels {
            self.add_channel(guild, place.channel);
        }
        Some(Action::Guild {
            guild,
            members: declaration.members,
            sessions: declaration.online,
            present: declaration.online,
            roles: declaration.roles,
            channels: declaration.channels.iter().map(|place| Channel::of(place, declaration.counted)).collect(),
        })
    }

    fn add_channel(&mut self, guild: u32, channel: ChannelId) {
        let tally = &mut self.tallies[guild as usize];
        self.channels.insert(channel, Spot { guild, channel: tally.channels });
        tally.channels += 1;
    }

    fn guild(&self, guild: GuildId) -> Result<u32, Lost> {
        self.guilds.get(&guild).copied().ok_or(Lost)
    }

    fn spot(&self, channel: ChannelId) -> Result<Spot, Lost> {
        self.channels.get(&channel).copied().ok_or(Lost)
    }

    /// The number of a member.
    fn who(&mut self, guild: u32, user: UserId) -> Result<u32, Lost> {
        match self.people.get(&(guild, user)).and_then(|seats| seats.first()) {
            Some(seat) => Ok(seat.who),
            None => self.add_seat(guild, user, None),
        }
    }

    /// The number of a member's session: a place of the member's that has none, or a new one. `None` if it sits already.
    fn sit(&mut self, guild: u32, user: UserId, session: u64) -> Result<Option<u32>, Lost> {
        if let Some(seats) = self.people.get_mut(&(guild, user)) {
            if seats.iter().any(|seat| seat.session == Some(session)) {
                return Ok(None);
            }
            if let Some(seat) = seats.iter_mut().find(|seat| seat.session.is_none()) {
                seat.session = Some(session);
                return Ok(Some(seat.who));
            }
        }
        self.add_seat(guild, user, Some(session)).map(Some)
    }

    fn seat(&mut self, guild: u32, user: UserId, session: u64) -> Option<&mut Seat> {
        self.people.get_mut(&(guild, user))?.iter_mut().find(|seat| seat.session == Some(session))
    }

    fn add_seat(&mut self, guild: u32, user: UserId, session: Option<u64>) -> Result<u32, Lost> {
        if self.seats >= limits::RECORD_PEOPLE_MAX {
            return Err(Lost);
        }
        self.seats += 1;
        let tally = &mut self.tallies[guild as usize];
        let who = tally.people;
        tally.people += 1;
        self.people.entry((guild, user)).or_default().push(Seat { who, session });
        self.firsts.entry(user).or_insert((guild, who));
        Ok(who)
    }
}

/// A note that cannot be written: what it is about is not known, or there is no room to know it.
struct Lost;
