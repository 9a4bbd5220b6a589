//! The writer: notes become lines, ids become small numbers.
//!
//! Lives on: the recorder's thread. The format is `docs/TRACE.md`.
//! Guilds, channels, people and messages are counted in the order in which they are first written. Only numbers leave
//! this file; the tables that lead from ids to them are never written.
//! Invariant: `at` never goes back.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, MessageId, UserId};
use crate::limits;
use crate::mail::record::{ChannelPlace, Declaration, TraceEvent, TraceRecord};

/// The version of the format.
const VERSION: u32 = 1;

/// Everything that numbers are made from.
#[derive(Debug)]
pub struct TraceWriter {
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
    people: HashMap<(u32, UserId), SmallVec<[TraceSeat; 1]>>,
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
struct TraceSeat {
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
        channels: Vec<TracedChannel>,
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
        channel: TracedChannel,
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
struct TracedChannel {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

impl TracedChannel {
    fn of(place: &ChannelPlace, counted: u32) -> TracedChannel {
        let share = |viewers: u32| (f64::from(viewers) / f64::from(counted.max(1)) * 10_000.0).round() / 10_000.0;
        TracedChannel { kind: if place.voice { "voice" } else { "text" }, share: place.viewers.map(share) }
    }
}

impl TraceWriter {
    /// A writer that begins now, and its first line.
    pub fn begin(name: &str, now: Time) -> (TraceWriter, Vec<u8>) {
        let header = Header { trace: "guildhall", version: VERSION, by: "record", name, began: now.millis() };
        let mut line = serde_json::to_vec(&header).expect("numbers and names are JSON");
        line.push(b'\n');
        let writer = TraceWriter {
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
        (writer, line)
    }

    /// How many lines there are, the first one not counted.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Writes what a note says, if it can be said.
    pub fn write(&mut self, note: &TraceRecord, to: &mut Vec<u8>) {
        let at = (note.at.since(self.began).as_micros() as u64).max(self.last);
        match self.action(&note.deed) {
            Ok(Some(action)) => {
                self.last = at;
                self.say_lost(to);
                self.put(action, to);
            }
            Ok(None) => {}
            Err(Unwritable) => self.lost += 1,
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
    fn action(&mut self, deed: &TraceEvent) -> Result<Option<Action>, Unwritable> {
        Ok(Some(match deed {
            TraceEvent::Guild(declaration) => return Ok(self.declare(declaration)),
            TraceEvent::Message { channel, message, who, size } => {
                let Spot { guild, channel } = self.spot(*channel)?;
                let who = self.who(guild, *who)?;
                self.messages.add(*message);
                Action::Message { guild, channel, who, size: *size }
            }
            TraceEvent::Edit { message, size } => match self.messages.numbers.get(message) {
                Some(of) => Action::Edit { of: *of, size: *size },
                None => return Ok(None),
            },
            TraceEvent::Delete { message } => match self.messages.numbers.remove(message) {
                Some(of) => Action::Delete { of },
                None => return Ok(None),
            },
            TraceEvent::Typing { channel, who } => {
                let Spot { guild, channel } = self.spot(*channel)?;
                Action::Typing { guild, channel, who: self.who(guild, *who)? }
            }
            TraceEvent::History { channel, who, limit } => {
                let Spot { guild, channel } = self.spot(*channel)?;
                Action::History { guild, channel, who: self.who(guild, *who)?, limit: *limit }
            }
            TraceEvent::Join { guild, who } => {
                let guild = self.guild(*guild)?;
                Action::Join { guild, who: self.who(guild, *who)? }
            }
            TraceEvent::Leave { guild, who } => {
                let guild = self.guild(*guild)?;
                Action::Leave { guild, who: self.who(guild, *who)? }
            }
            TraceEvent::ChannelCreate { guild, place, counted } => {
                let guild = self.guild(*guild)?;
                if self.channels.contains_key(&place.channel) {
                    return Ok(None);
                }
                self.add_channel(guild, place.channel);
                Action::ChannelCreate { guild, channel: TracedChannel::of(place, *counted) }
            }
            TraceEvent::ChannelDelete { channel } => match self.channels.remove(channel) {
                Some(Spot { guild, channel }) => Action::ChannelDelete { guild, channel },
                // A category, for example.
                None => return Ok(None),
            },
            TraceEvent::Connect { guild, who, session, sees } => {
                let guild = self.guild(*guild)?;
                let Some(number) = self.sit(guild, *who, session.secret)? else { return Ok(None) };
                let same = self.firsts.get(who).copied().filter(|first| *first != (guild, number));
                let sees = sees.iter().filter_map(|channel| Some(self.channels.get(channel)?.channel)).collect();
                Action::Connect { guild, who: number, same, sees }
            }
            TraceEvent::Close { guild, who, session } => {
                let guild = self.guild(*guild)?;
                match self.seat(guild, *who, session.secret) {
                    Some(seat) => {
                        seat.session = None;
                        Action::Close { guild, who: seat.who }
                    }
                    None => return Ok(None),
                }
            }
            TraceEvent::Cut { guild, who, session } => {
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
            channels: declaration.channels.iter().map(|place| TracedChannel::of(place, declaration.counted)).collect(),
        })
    }

    fn add_channel(&mut self, guild: u32, channel: ChannelId) {
        let tally = &mut self.tallies[guild as usize];
        self.channels.insert(channel, Spot { guild, channel: tally.channels });
        tally.channels += 1;
    }

    fn guild(&self, guild: GuildId) -> Result<u32, Unwritable> {
        self.guilds.get(&guild).copied().ok_or(Unwritable)
    }

    fn spot(&self, channel: ChannelId) -> Result<Spot, Unwritable> {
        self.channels.get(&channel).copied().ok_or(Unwritable)
    }

    /// The number of a member.
    fn who(&mut self, guild: u32, user: UserId) -> Result<u32, Unwritable> {
        match self.people.get(&(guild, user)).and_then(|seats| seats.first()) {
            Some(seat) => Ok(seat.who),
            None => self.add_seat(guild, user, None),
        }
    }

    /// The number of a member's session: a place of the member's that has none, or a new one. `None` if it sits
    /// already.
    fn sit(&mut self, guild: u32, user: UserId, session: u64) -> Result<Option<u32>, Unwritable> {
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

    fn seat(&mut self, guild: u32, user: UserId, session: u64) -> Option<&mut TraceSeat> {
        self.people.get_mut(&(guild, user))?.iter_mut().find(|seat| seat.session == Some(session))
    }

    fn add_seat(&mut self, guild: u32, user: UserId, session: Option<u64>) -> Result<u32, Unwritable> {
        if self.seats >= limits::RECORD_PEOPLE_MAX {
            return Err(Unwritable);
        }
        self.seats += 1;
        let tally = &mut self.tallies[guild as usize];
        let who = tally.people;
        tally.people += 1;
        self.people.entry((guild, user)).or_default().push(TraceSeat { who, session });
        self.firsts.entry(user).or_insert((guild, who));
        Ok(who)
    }
}

/// A note that cannot be written: what it is about is not known, or there is no room to know it.
struct Unwritable;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slab::Key;
    use crate::mail::session_id::SessionId;
    use crate::mail::site::Site;
    use serde_json::{Value, json};

    const GUILD: GuildId = GuildId::new(1_111_111_111_111_111_111);
    const OPEN: ChannelId = ChannelId::new(2_222_222_222_222_222_221);
    const HIDDEN: ChannelId = ChannelId::new(2_222_222_222_222_222_222);
    const ANN: UserId = UserId::new(3_333_333_333_333_333_331);
    const BOB: UserId = UserId::new(3_333_333_333_333_333_332);

    struct Desk {
        writer: TraceWriter,
        lines: Vec<u8>,
    }

    impl Desk {
        fn open() -> Desk {
            let (writer, lines) = TraceWriter::begin("test", Time::from_millis(1_700_000_000_000));
            Desk { writer, lines }
        }

        fn note(&mut self, millis: u64, deed: TraceEvent) {
            let note = TraceRecord { at: Time::from_millis(1_700_000_000_000 + millis), deed };
            self.writer.write(&note, &mut self.lines);
        }

        fn declare(&mut self, guild: GuildId, channels: &[(ChannelId, Option<u32>)]) {
            let channels = channels.iter().map(|(channel, viewers)| ChannelPlace {
                channel: *channel,
                voice: false,
                viewers: *viewers,
            });
            let (members, online, roles, counted) = (10, 0, 2, 3);
            let channels = channels.collect();
            self.note(0, TraceEvent::Guild(Box::new(Declaration { guild, members, online, roles, counted, channels })));
        }

        fn said(&mut self) -> Vec<Value> {
            let lines = std::mem::take(&mut self.lines);
            lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(read).collect()
        }
    }

    fn read(line: &[u8]) -> Value {
        serde_json::from_slice(line).unwrap()
    }

    fn session(secret: u64) -> SessionId {
        SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret }
    }

    fn message(number: u64, who: UserId) -> TraceEvent {
        TraceEvent::Message { channel: OPEN, message: MessageId::new(4_444_444_444_444_444_440 + number), who, size: 5 }
    }

    #[test]
    fn ids_become_numbers_in_the_order_in_which_they_are_met() {
        let mut desk = Desk::open();
        desk.declare(GUILD, &[(OPEN, None), (HIDDEN, Some(1))]);
        desk.note(1, message(0, BOB));
        desk.note(2, TraceEvent::Typing { channel: HIDDEN, who: ANN });
        desk.note(3, message(1, ANN));
        desk.note(4, TraceEvent::Edit { message: MessageId::new(4_444_444_444_444_444_441), size: 9 });
        desk.note(5, TraceEvent::Delete { message: MessageId::new(4_444_444_444_444_444_440) });
        desk.note(6, TraceEvent::Delete { message: MessageId::new(4_444_444_444_444_444_440) });
        desk.note(7, TraceEvent::Edit { message: MessageId::new(5), size: 9 });
        let new = ChannelPlace { channel: ChannelId::new(9), voice: true, viewers: None };
        desk.note(8, TraceEvent::ChannelCreate { guild: GUILD, place: new, counted: 3 });
        desk.note(9, TraceEvent::ChannelDelete { channel: ChannelId::new(9) });
        let said = desk.said();
        let channels = json!([{ "kind": "text" }, { "kind": "text", "share": 0.3333 }]);
        assert_eq!(
            said,
            [
                json!({ "trace": "guildhall", "version": 1, "by": "record", "name": "test", "began": 1_700_000_000_000_u64 }),
                json!({ "at": 0, "do": "guild", "guild": 0, "members": 10, "sessions": 0, "present": 0, "roles": 2, "channels": channels }),
                json!({ "at": 1_000, "do": "message", "guild": 0, "channel": 0, "who": 0, "size": 5 }),
                json!({ "at": 2_000, "do": "typing", "guild": 0, "channel": 1, "who": 1 }),
                json!({ "at": 3_000, "do": "message", "guild": 0, "channel": 0, "who": 1, "size": 5 }),
                json!({ "at": 4_000, "do": "edit", "of": 1, "size": 9 }),
                json!({ "at": 5_000, "do": "delete", "of": 0 }),
                json!({ "at": 8_000, "do": "channel_create", "guild": 0, "kind": "voice" }),
                json!({ "at": 9_000, "do": "channel_delete", "guild": 0, "channel": 2 }),
            ]
        );
        assert_eq!(desk.writer.lines(), 8);
    }

    #[test]
    fn sessions_keep_their_persons_and_a_second_one_at_once_is_somebody_else() {
        let mut desk = Desk::open();
        desk.declare(GUILD, &[(OPEN, None), (HIDDEN, Some(1))]);
        let other = GuildId::new(7);
        desk.declare(other, &[]);
        let connect = |guild, secret, sees: &[ChannelId]| TraceEvent::Connect {
            guild,
            who: ANN,
            session: session(secret),
            sees: sees.into(),
        };
        desk.note(1, connect(GUILD, 1, &[HIDDEN]));
        desk.note(1, connect(other, 1, &[]));
        desk.note(2, connect(GUILD, 2, &[HIDDEN]));
        desk.note(3, TraceEvent::Cut { guild: GUILD, who: ANN, session: session(2) });
        desk.note(4, TraceEvent::Close { guild: GUILD, who: ANN, session: session(1) });
        desk.note(5, TraceEvent::Close { guild: GUILD, who: ANN, session: session(1) });
        desk.note(6, message(0, ANN));
        desk.note(7, connect(GUILD, 3, &[]));
        let said = desk.said();
        assert_eq!(
            said[3..],
            [
                json!({ "at": 1_000, "do": "connect", "guild": 0, "who": 0, "sees": [1] }),
                json!({ "at": 1_000, "do": "connect", "guild": 1, "who": 0, "same": [0, 0] }),
                json!({ "at": 2_000, "do": "connect", "guild": 0, "who": 1, "same": [0, 0], "sees": [1] }),
                json!({ "at": 3_000, "do": "cut", "guild": 0, "who": 1 }),
                json!({ "at": 4_000, "do": "close", "guild": 0, "who": 0 }),
                json!({ "at": 6_000, "do": "message", "guild": 0, "channel": 0, "who": 0, "size": 5 }),
                json!({ "at": 7_000, "do": "connect", "guild": 0, "who": 0 }),
            ]
        );
    }

    #[test]
    fn what_cannot_be_said_is_counted_and_time_never_goes_back() {
        let mut desk = Desk::open();
        desk.note(1, message(0, ANN));
        desk.note(2, TraceEvent::Join { guild: GUILD, who: ANN });
        desk.declare(GUILD, &[(OPEN, None)]);
        desk.note(9, TraceEvent::Join { guild: GUILD, who: ANN });
        desk.note(3, message(1, ANN));
        desk.writer.lose(4);
        desk.writer.end(&mut desk.lines);
        let said: Vec<Value> = desk.said().into_iter().skip(1).collect();
        assert_eq!(said[0], json!({ "at": 0, "do": "lost", "lines": 2 }));
        assert_eq!(said[1]["do"], "guild");
        assert_eq!(said[2], json!({ "at": 9_000, "do": "join", "guild": 0, "who": 0 }));
        assert_eq!(said[3]["at"], 9_000);
        assert_eq!(said[3]["do"], "message");
        assert_eq!(said[4], json!({ "at": 9_000, "do": "lost", "lines": 4 }));
        assert_eq!(said.len(), 5);
    }

    #[test]
    fn the_oldest_messages_are_forgotten_first() {
        let mut messages = Messages::default();
        for number in 0..limits::RECORD_MESSAGES_MAX as u64 + 3 {
            messages.add(MessageId::new(1 + number));
        }
        assert_eq!(messages.numbers.len(), limits::RECORD_MESSAGES_MAX);
        assert_eq!(messages.numbers.get(&MessageId::new(3)), None);
        assert_eq!(messages.numbers.get(&MessageId::new(4)), Some(&3));
    }

    #[test]
    fn no_id_gets_into_a_line() {
        let mut desk = Desk::open();
        desk.declare(GUILD, &[(OPEN, None), (HIDDEN, Some(2))]);
        desk.note(1, message(0, ANN));
        let deed = TraceEvent::Connect { guild: GUILD, who: BOB, session: session(u64::MAX), sees: [HIDDEN].into() };
        desk.note(2, deed);
        desk.note(3, TraceEvent::History { channel: HIDDEN, who: BOB, limit: 50 });
        desk.note(4, TraceEvent::Cut { guild: GUILD, who: BOB, session: session(u64::MAX) });
        desk.note(5, TraceEvent::Leave { guild: GUILD, who: BOB });
        let text = String::from_utf8(desk.lines.clone()).unwrap();
        // `began` has 13 digits; ids have 17 and more.
        let longest = text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max();
        assert_eq!(longest, Some(13), "{text}");
        assert_eq!(text.lines().count(), 7);
    }
}
