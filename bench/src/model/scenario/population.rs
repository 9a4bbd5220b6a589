//! Who is where at a moment of the traffic: connected, a member, in voice. Made-up people do only what they can do
//! then.

use std::collections::VecDeque;

use crate::model::trace;
use crate::model::trace::{Guild, Status};

/// Microseconds for which a user is silent before leaving, closing or being cut: what was asked for is through by then.
pub const SILENCE: u64 = 500_000;
/// Microseconds after which a user that was cut acts again: clients come back within a second or so.
pub const RETURN: u64 = 2_000_000;
/// Microseconds from connecting to the first act.
pub const ARRIVAL: u64 = 3_000_000;
/// Microseconds from joining, or from a channel's making, to the first act there.
pub const SETTLING: u64 = 1_000_000;
/// Microseconds until a user that closed or left can come back.
pub const PAUSE: u64 = 5_000_000;

/// Not before the end of all traffic.
const NEVER: u64 = u64::MAX;

/// One session of the pool.
#[derive(Debug, Clone)]
struct Session {
    /// Acts until [`SILENCE`] before this …
    away: u64,
    /// … and again from this on. [`NEVER`]: is not connected.
    back: u64,
    status: Status,
    /// Guild and channel.
    voice: Option<(u32, u32)>,
}

/// A message that can still be reacted to.
#[derive(Debug, Clone, Copy)]
pub struct Recent {
    /// Its number.
    pub of: u32,
    /// When it was posted.
    pub at: u64,
    /// Where.
    pub channel: u32,
    /// When it will be deleted.
    pub gone: u64,
}

/// A channel that was made during the traffic.
#[derive(Debug, Clone, Copy)]
pub struct Young {
    /// Its number.
    pub channel: u32,
    /// From when on it is used.
    pub open: u64,
}

/// What changes of a guild.
#[derive(Debug, Default)]
pub struct Fixture {
    /// Who is in voice.
    pub voice: Vec<u32>,
    /// The next who joins for the first time.
    pub joiner: u32,
    /// Who left, and when.
    pub left: VecDeque<(u64, u32)>,
    /// Who is a member and not connected.
    pub absent: Vec<u32>,
    /// The newest messages.
    pub recent: VecDeque<Recent>,
    /// Channels that were made and not deleted, the oldest first.
    pub young: VecDeque<Young>,
    /// Channels that were ever there.
    pub channels: u32,
}

/// All sessions.
#[derive(Debug)]
pub struct Population<'a> {
    guilds: &'a [Guild],
    firsts: Vec<u32>,
    /// Where a guild's people begin in `member_from`.
    starts: Vec<usize>,
    sessions: Vec<Session>,
    /// From when on a user acts as a member of a guild.
    member_from: Vec<u64>,
    /// By guild.
    pub fixtures: Vec<Fixture>,
}

impl<'a> Population<'a> {
    /// As it is when the traffic begins. `firsts` as [`trace::Trace::firsts`] has it.
    pub fn new(guilds: &'a [Guild], firsts: Vec<u32>) -> Population<'a> {
        let ends = firsts.iter().zip(guilds).map(|(first, guild)| first + guild.sessions);
        let here = Session { away: 0, back: 0, status: Status::Online, voice: None };
        let mut sessions = vec![here; ends.max().unwrap_or(0) as usize];
        let mut starts = Vec::with_capacity(guilds.len());
        let mut member_from = Vec::new();
        let mut fixtures = Vec::with_capacity(guilds.len());
        for (guild, first) in guilds.iter().zip(&firsts) {
            let present = guild.present.unwrap_or(guild.sessions);
            let members = guild.sessions - guild.joining;
            starts.push(member_from.len());
            member_from.resize(member_from.len() + members as usize, 0);
            member_from.resize(member_from.len() + guild.joining as usize, NEVER);
            for who in present..guild.sessions {
                sessions[(first + who) as usize].back = NEVER;
            }
            fixtures.push(Fixture {
                joiner: members,
                absent: (present.min(members)..members).collect(),
                channels: guild.channels.len() as u32,
                ..Fixture::default()
            });
        }
        Population { guilds, firsts, starts, sessions, member_from, fixtures }
    }

    fn session(&self, guild: u32, who: u32) -> &Session {
        &self.sessions[(self.firsts[guild as usize] + who) as usize]
    }

    fn session_mut(&mut self, guild: u32, who: u32) -> &mut Session {
        &mut self.sessions[(self.firsts[guild as usize] + who) as usize]
    }

    fn member_mut(&mut self, guild: u32, who: u32) -> &mut u64 {
        &mut self.member_from[self.starts[guild as usize] + who as usize]
    }

    fn is_member(&self, guild: u32, who: u32, now: u64) -> bool {
        self.member_from[self.starts[guild as usize] + who as usize] <= now
    }

    /// Connected, and not about to be cut or just back.
    pub fn awake(&self, guild: u32, who: u32, now: u64) -> bool {
        let session = self.session(guild, who);
        now >= session.back || (session.back != NEVER && now + SILENCE < session.away)
    }

    /// Awake, and a member.
    pub fn acts(&self, guild: u32, who: u32, now: u64) -> bool {
        self.is_member(guild, who, now) && self.awake(guild, who, now)
    }

    /// Acts, and nothing is planned for that session: so something can be.
    pub fn is_free(&self, guild: u32, who: u32, now: u64) -> bool {
        self.is_member(guild, who, now) && now >= self.session(guild, who).back
    }

    /// Has a connection, perhaps a broken one.
    pub fn is_connected(&self, guild: u32, who: u32) -> bool {
        self.session(guild, who).back != NEVER
    }

    /// May connect again.
    pub fn may_connect(&self, guild: u32, who: u32, now: u64) -> bool {
        let session = self.session(guild, who);
        session.back == NEVER && (session.away == 0 || session.away + PAUSE <= now)
    }

    /// Whether a channel is there, and will be for some time.
    pub fn is_open(&self, guild: u32, channel: u32, now: u64) -> bool {
        (channel as usize) < self.guilds[guild as usize].channels.len()
            || self.fixtures[guild as usize].young.iter().any(|young| young.channel == channel && young.open <= now)
    }

    /// Connects: acts some time later.
    pub fn connect(&mut self, guild: u32, who: u32, now: u64) {
        let session = self.session_mut(guild, who);
        session.back = now + ARRIVAL;
        session.away = 0;
        session.status = Status::Online;
    }

    /// Will close, after [`SILENCE`].
    pub fn close(&mut self, guild: u32, who: u32, now: u64) {
        self.hang_up(guild, who);
        let session = self.session_mut(guild, who);
        session.away = now + SILENCE;
        session.back = NEVER;
    }

    /// Will be cut, after [`SILENCE`].
    pub fn cut(&mut self, guild: u32, who: u32, now: u64) {
        let session = self.session_mut(guild, who);
        session.away = now + SILENCE;
        session.back = session.away + RETURN;
    }

    /// A storm is coming at that time.
    pub fn storm(&mut self, guild: u32, at: u64, share: f64, over: u64) {
        for who in 0..self.guilds[guild as usize].sessions {
            let Some(after) = trace::breaks(at, guild, who, share, over) else { continue };
            let session = self.session_mut(guild, who);
            if session.back != NEVER {
                // A session that was to be cut anyway is silent from the earlier cut to the end of the later one.
                let pending = at.saturating_sub(SILENCE) < session.back;
                session.away = if pending { session.away.min(at + after) } else { at + after };
                session.back = session.back.max(at + after + RETURN);
            }
        }
    }

    /// Has joined: acts some time later.
    pub fn join(&mut self, guild: u32, who: u32, now: u64) {
        *self.member_mut(guild, who) = now + SETTLING;
    }

    /// Will leave, after [`SILENCE`].
    pub fn leave(&mut self, guild: u32, who: u32) {
        *self.member_mut(guild, who) = NEVER;
        if self.voice(guild, who).is_some_and(|(place, _)| place == guild) {
            self.hang_up(guild, who);
        }
    }

    /// The status of a user.
    pub fn status(&self, guild: u32, who: u32) -> Status {
        self.session(guild, who).status
    }

    /// Changes a status.
    pub fn set_status(&mut self, guild: u32, who: u32, status: Status) {
        self.session_mut(guild, who).status = status;
    }

    /// Where a user is in voice: guild and channel.
    pub fn voice(&self, guild: u32, who: u32) -> Option<(u32, u32)> {
        self.session(guild, who).voice
    }

    /// Goes to a voice channel.
    pub fn talk(&mut self, guild: u32, who: u32, channel: u32) {
        if self.session(guild, who).voice.is_none() {
            self.fixtures[guild as usize].voice.push(who);
        }
        self.session_mut(guild, who).voice = Some((guild, channel));
    }

    /// Leaves voice, in whichever guild it is.
    pub fn hang_up(&mut self, guild: u32, who: u32) {
        let number = self.firsts[guild as usize] + who;
        if let Some((place, _)) = self.session_mut(guild, who).voice.take() {
            let there = number - self.firsts[place as usize];
            let voice = &mut self.fixtures[place as usize].voice;
            if let Some(at) = voice.iter().position(|other| *other == there) {
                voice.swap_remove(at);
            }
        }
    }
}
