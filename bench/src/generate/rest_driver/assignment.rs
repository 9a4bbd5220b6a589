//! Assigns a trace to the client pool: which session does what, and which number each event has in its stream.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::fixture::{Fixture, user_of};
use crate::model::script::{Duty, Kind, Script, SessionAction, Stream, TimedAction, View};
use crate::model::trace;
use crate::model::trace::{Action, Channel, ChannelKind, Guild, Line, Trace};

/// GUILDS and MESSAGE_CONTENT, which every session asks for.
const BASE_INTENTS: u64 = 1 | 1 << 15;
/// Events of which nothing but their user is known before they come.
const NAMED_BY_USER: [Kind; 5] = [Kind::React, Kind::Unreact, Kind::Typing, Kind::Join, Kind::Leave];
/// No event.
pub const NO_MARK: (u32, u32) = (u32::MAX, 0);

/// A trace's message.
#[derive(Debug, Clone, Copy)]
pub struct TraceMessage {
    /// In which guild.
    pub guild: u32,
    /// In which channel.
    pub channel: u32,
    /// By which session.
    pub session: u32,
}

/// A trace, assigned to sessions.
#[derive(Debug)]
pub struct Assignment {
    /// What the client pool plays and judges.
    pub script: Arc<Script>,
    /// By action: stream and number of the event that it makes, or [`NO_MARK`].
    pub marks: Vec<(u32, u32)>,
    /// The trace's messages.
    pub messages: Vec<TraceMessage>,
    /// By guild: its first session.
    pub firsts: Vec<u32>,
    /// How many sessions.
    pub sessions: u32,
    /// What sessions do in channels that are made during the run, whose ids they do not know: it is left out.
    pub left_out: u64,
    /// Some token does not say whose it is: what is known by its user alone is asked for, but cannot be checked.
    pub nameless: bool,
}

/// Assigns a trace to the sessions of a fixture. `supported` says which actions are to be done at all; `passive`, by
/// guild, where sessions that do not look get nothing but what the guild is made of.
pub fn assign(trace: &Trace, fixture: &Fixture, passive: &[bool], supported: impl Fn(&Action) -> bool) -> Assignment {
    let (firsts, sessions) = (trace.firsts(), trace.sessions());
    let mut script = Script { intents: BASE_INTENTS, ..Script::default() };
    let streams = Streams::add(&mut script, trace, fixture, passive, &firsts);
    set_presence(&mut script, sessions, &trace.guilds, &firsts);
    entitle(&mut script, sessions, &streams.viewers);
    let nameless = fixture.tokens.iter().take(sessions as usize).any(|token| user_of(token).is_none());
    if nameless {
        script.duties.extend(NAMED_BY_USER.map(|kind| (kind, Duty::Optional)));
    }
    let mut assigner = Assigner {
        trace,
        fixture,
        firsts: &firsts,
        script,
        streams,
        messages: Vec::new(),
        talking: HashMap::new(),
        left_out: 0,
    };
    let mut marks = Vec::with_capacity(trace.actions.len());
    for Line { at, action } in &trace.actions {
        assigner.script.end_us = assigner.script.end_us.max(*at);
        marks.push(assigner.assign(*at, action, supported(action)).unwrap_or(NO_MARK));
    }
    let Assigner { mut script, messages, left_out, .. } = assigner;
    // A storm's cuts are spread over later times than its own.
    script.actions.sort_by_key(|timed| timed.at_us);
    script.end_us = script.end_us.max(trace.lasts());
    if let Some(last) = script.actions.last() {
        script.end_us = script.end_us.max(last.at_us);
    }
    Assignment { script: Arc::new(script), marks, messages, firsts, sessions, left_out, nameless }
}

/// The streams of a trace's guilds.
#[derive(Debug, Default)]
struct Streams {
    /// By guild and channel.
    channels: Vec<Vec<u32>>,
    /// By guild: what every session of it sees.
    open: Vec<u32>,
    /// By guild: what every session sees that looks at it. The same, unless the guild is passive.
    talk: Vec<u32>,
    /// Stream, first session, number of sessions.
    viewers: Vec<(u32, u32, u32)>,
}

impl Streams {
    /// Adds the streams of all guilds to a script.
    fn add(script: &mut Script, trace: &Trace, fixture: &Fixture, passive: &[bool], firsts: &[u32]) -> Streams {
        let mut streams = Streams::default();
        for (number, (guild, first)) in trace.guilds.iter().zip(firsts).enumerate() {
            let is_passive = passive.get(number).copied().unwrap_or(false);
            let name = guild.group.as_deref().unwrap_or_default();
            let group = script.groups.iter().position(|group| group == name).unwrap_or_else(|| {
                // More groups than that are reported together with the last.
                if script.groups.len() <= usize::from(u8::MAX) {
                    script.groups.push(name.to_owned());
                }
                script.groups.len() - 1
            });
            let viewers = &mut streams.viewers;
            let mut add = |script: &mut Script, count: u32, looked_at: bool| {
                let stream = script.streams.len() as u32;
                script.streams.push(Stream::default());
                script.guild_of.push(number as u32);
                script.looked_at.push(looked_at);
                script.group_of.push(group as u8);
                viewers.push((stream, *first, count));
                stream
            };
            let open = add(script, guild.sessions, false);
            let talk = if is_passive { add(script, guild.sessions, true) } else { open };
            let channels = guild.channels.iter().enumerate().map(|(number, channel)| match channel.share {
                None => talk,
                Some(_) => add(script, guild.viewers(number as u32), is_passive),
            });
            streams.channels.push(channels.collect());
            streams.open.push(open);
            streams.talk.push(talk);
            let place = &fixture.guilds[number];
            // Without its id, joining and leaving are not known; then all begins when a session is live.
            if place.id != 0 {
                script.guilds.insert(place.id, number as u32);
            }
            // A session that looks at a guild looks at its first text channel that all see.
            let is_shown = |channel: &Channel| channel.kind == ChannelKind::Text && channel.share.is_none();
            let shown = guild.channels.iter().position(is_shown);
            let channel = shown.and_then(|shown| place.channels.get(shown).copied()).unwrap_or_default();
            script.views.push(View { guild: place.id, channel });
        }
        streams
    }
}

/// Goes through a trace's actions.
struct Assigner<'a> {
    trace: &'a Trace,
    fixture: &'a Fixture,
    firsts: &'a [u32],
    script: Script,
    streams: Streams,
    messages: Vec<TraceMessage>,
    /// By guild and session: the voice channel.
    talking: HashMap<(u32, u32), u32>,
    left_out: u64,
}

impl Assigner<'_> {
    /// Takes the next action, which is played or not. Says which event it makes.
    fn assign(&mut self, at: u64, action: &Action, plays: bool) -> Option<(u32, u32)> {
        let (stream, kind) = match *action {
            // Numbers of messages and channels count whether or not they are made.
            Action::Message { guild, channel, who, .. } => {
                self.messages.push(TraceMessage { guild, channel, session: self.session(guild, who) });
                (self.streams.channels[guild as usize][channel as usize], Kind::Message)
            }
            Action::ChannelCreate { guild } => {
                self.streams.channels[guild as usize].push(self.streams.talk[guild as usize]);
                (self.streams.open[guild as usize], Kind::ChannelCreate)
            }
            _ if !plays => return None,
            Action::Edit { of, .. } => (self.stream_of(of), Kind::Edit),
            Action::Delete { of } => (self.stream_of(of), Kind::Delete),
            Action::React { of, .. } => (self.stream_of(of), Kind::React),
            Action::Unreact { of, .. } => (self.stream_of(of), Kind::Unreact),
            Action::Typing { guild, channel, .. } => {
                (self.streams.channels[guild as usize][channel as usize], Kind::Typing)
            }
            Action::Join { guild, .. } => (self.streams.talk[guild as usize], Kind::Join),
            Action::Leave { guild, .. } => (self.streams.talk[guild as usize], Kind::Leave),
            Action::ChannelDelete { guild, channel } => {
                // All sessions see an open channel go, also those that do not look. Traces delete no hidden ones.
                let (stream, talk) =
                    (self.streams.channels[guild as usize][channel as usize], self.streams.talk[guild as usize]);
                (if stream == talk { self.streams.open[guild as usize] } else { stream }, Kind::ChannelDelete)
            }
            _ => return self.assign_to_session(at, action),
        };
        plays.then(|| self.event(at, stream, kind))
    }

    /// Takes an action that a session does itself.
    fn assign_to_session(&mut self, at: u64, action: &Action) -> Option<(u32, u32)> {
        match *action {
            Action::Presence { guild, who, status } => {
                // One event in each guild that a user is in: distinguished only if that is one guild.
                let several = self.trace.guilds.iter().any(|guild| guild.first.is_some());
                let mark = (!several).then(|| self.event(at, self.streams.talk[guild as usize], Kind::Presence));
                self.script.duties.insert(Kind::Presence, Duty::Optional);
                self.script.intents |= intent(Kind::Presence);
                self.push(at, guild, who, SessionAction::Presence(status, mark));
                return mark;
            }
            Action::Voice { guild, who, channel } => return self.assign_voice(at, guild, who, channel),
            Action::Scroll { guild, channel, who, first, last } => {
                let place = &self.fixture.guilds[guild as usize];
                match place.channels.get(channel as usize) {
                    Some(id) => self.push(at, guild, who, SessionAction::Scroll(place.id, *id, first, last)),
                    None => self.left_out += 1,
                }
            }
            Action::Connect { guild, who } => self.push(at, guild, who, SessionAction::Connect),
            Action::Close { guild, who } => self.push(at, guild, who, SessionAction::Close),
            Action::Cut { guild, who } => self.push(at, guild, who, SessionAction::Cut),
            Action::Storm { guild, share, over } => {
                for who in 0..self.trace.guilds[guild as usize].sessions {
                    if let Some(after) = trace::breaks(at, guild, who, share, over) {
                        self.push(at + after, guild, who, SessionAction::Cut);
                    }
                }
            }
            // The driver's requests that make no event, and lines that are no actions.
            _ => {}
        }
        None
    }

    fn assign_voice(&mut self, at: u64, guild: u32, who: u32, channel: Option<u32>) -> Option<(u32, u32)> {
        let session = self.session(guild, who);
        let place = &self.fixture.guilds[guild as usize];
        let id = channel.and_then(|channel| place.channels.get(channel as usize).copied());
        if channel.is_some() && id.is_none() {
            self.left_out += 1;
            return None;
        }
        // A session that leaves is seen to leave by those that saw the channel.
        let stream = match channel.or_else(|| self.talking.get(&(guild, session)).copied()) {
            Some(channel) => self.streams.channels[guild as usize][channel as usize],
            None => self.streams.talk[guild as usize],
        };
        match channel {
            Some(channel) => self.talking.insert((guild, session), channel),
            None => self.talking.remove(&(guild, session)),
        };
        let mark = self.event(at, stream, Kind::Voice);
        self.push(at, guild, who, SessionAction::Voice(place.id, id, Some(mark)));
        Some(mark)
    }

    /// Adds an event to a stream.
    fn event(&mut self, at_us: u64, stream: u32, kind: Kind) -> (u32, u32) {
        let events = &mut self.script.streams[stream as usize];
        let mark = (stream, events.kinds.len() as u32);
        events.kinds.push(kind);
        events.at_us.push(at_us);
        self.script.intents |= intent(kind);
        mark
    }

    fn push(&mut self, at_us: u64, guild: u32, who: u32, action: SessionAction) {
        let session = self.session(guild, who);
        self.script.actions.push(TimedAction { at_us, session, action });
    }

    fn session(&self, guild: u32, who: u32) -> u32 {
        self.firsts[guild as usize] + who
    }

    /// The stream of a message.
    fn stream_of(&self, message: u32) -> u32 {
        let posted = self.messages[message as usize];
        self.streams.channels[posted.guild as usize][posted.channel as usize]
    }
}

impl Assignment {
    /// How many sessions are connected when everything is played.
    pub fn present_at_the_end(&self) -> u32 {
        let mut here: Vec<bool> = (0..self.sessions).map(|session| !self.script.is_absent(session)).collect();
        for timed in &self.script.actions {
            match timed.action {
                SessionAction::Connect => here[timed.session as usize] = true,
                SessionAction::Close => here[timed.session as usize] = false,
                _ => {}
            }
        }
        here.into_iter().filter(|here| *here).count() as u32
    }
}

/// Fills in which streams each session may see.
fn entitle(script: &mut Script, sessions: u32, viewers: &[(u32, u32, u32)]) {
    let mut starts = vec![0u32; sessions as usize + 1];
    let sees = |stream: u32, session: u32| !script.is_looked_at(stream) || script.is_looking(session);
    for (stream, first, count) in viewers {
        for session in (*first..first + count).filter(|session| sees(*stream, *session)) {
            starts[session as usize + 1] += 1;
        }
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut entitled = vec![0; starts.last().copied().unwrap_or(0) as usize];
    for (stream, first, count) in viewers {
        for session in (*first..first + count).filter(|session| sees(*stream, *session)) {
            let at = &mut next[session as usize];
            entitled[*at as usize] = *stream;
            *at += 1;
        }
    }
    (script.starts, script.entitled) = (starts, entitled);
}

/// Who is there before the traffic, and who looks at a guild.
fn set_presence(script: &mut Script, sessions: u32, guilds: &[Guild], firsts: &[u32]) {
    script.absent = vec![true; sessions as usize];
    script.looking = vec![false; sessions as usize];
    for (guild, first) in guilds.iter().zip(firsts) {
        let present = guild.present.unwrap_or(guild.sessions).min(guild.sessions);
        script.absent[*first as usize..(first + present) as usize].fill(false);
        for who in 0..guild.sessions {
            script.looking[(first + who) as usize] |= guild.looks(who);
        }
    }
}

/// The intent that asks for a kind. Source: Discord docs, Gateway/Intents.
fn intent(kind: Kind) -> u64 {
    match kind {
        Kind::Message | Kind::Edit | Kind::Delete => 1 << 9,
        Kind::React | Kind::Unreact => 1 << 10,
        Kind::Typing => 1 << 11,
        Kind::Presence => 1 << 8,
        Kind::Join | Kind::Leave => 1 << 1,
        Kind::Voice => 1 << 7,
        Kind::ChannelCreate | Kind::ChannelDelete => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture::FixtureGuild;
    use crate::model::trace::file;

    fn trace(lines: &[&str]) -> Trace {
        let head = r#"{"trace":"guildhall","version":1,"by":"synth","name":"t"}"#;
        let text: String = [head].iter().chain(lines).map(|line| format!("{line}\n")).collect();
        file::read_from(text.as_bytes()).expect("sound").trace
    }

    fn fixture(guilds: u64, channels: u64, token: &str) -> Fixture {
        let place = |guild: u64| FixtureGuild {
            id: guild,
            channels: (guild * 10..guild * 10 + channels).collect(),
            invite: None,
        };
        Fixture {
            guilds: (1..=guilds).map(place).collect(),
            owner: "o".into(),
            tokens: Arc::new([token; 4].iter().collect()),
        }
    }

    /// The token of user 123456.
    const TOKEN: &str = "MTIzNDU2.x.y";
    const GUILD: &str = r#"{"at":0,"do":"guild","guild":0,"members":4,"sessions":4,"channels":[{"kind":"voice"},{"kind":"text","share":0.5}]}"#;

    #[test]
    fn each_hidden_channel_is_a_stream_of_those_who_see_it() {
        let assigned = assign(&trace(&[GUILD]), &fixture(1, 2, TOKEN), &[], |_| true);
        let streams = (0..4).map(|session| assigned.script.streams_of(session).to_vec());
        assert_eq!(streams.collect::<Vec<_>>(), [vec![0, 1], vec![0, 1], vec![0], vec![0]]);
        assert_eq!((assigned.script.guild_of.clone(), assigned.present_at_the_end()), (vec![0, 0], 4));
    }

    #[test]
    fn where_only_those_get_messages_who_look_they_are_a_stream() {
        let guild = GUILD.replace(r#""sessions":4,"#, r#""sessions":4,"looking":0.5,"#);
        let lines = [
            &*guild,
            r#"{"at":1,"do":"channel_create","guild":0}"#,
            r#"{"at":2,"do":"message","guild":0,"channel":0,"who":1,"size":9}"#,
            r#"{"at":3,"do":"message","guild":0,"channel":1,"who":1,"size":9}"#,
            r#"{"at":4,"do":"channel_delete","guild":0,"channel":2}"#,
        ];
        let assigned = assign(&trace(&lines), &fixture(1, 2, TOKEN), &[true], |_| true);
        // Two of four look: 1 and 3. Two of four see the hidden channel: 0 and 1.
        let streams = (0..4).map(|session| assigned.script.streams_of(session).to_vec());
        assert_eq!(streams.collect::<Vec<_>>(), [vec![0], vec![0, 1, 2], vec![0], vec![0, 1]]);
        assert_eq!(assigned.marks, [(0, 0), (1, 0), (2, 0), (0, 1)]);
    }

    #[test]
    fn what_cannot_be_done_in_a_channel_that_is_not_there_yet_is_left_out() {
        let lines = [
            GUILD,
            r#"{"at":1,"do":"channel_create","guild":0}"#,
            r#"{"at":2,"do":"voice","guild":0,"who":1,"channel":2}"#,
            r#"{"at":3,"do":"scroll","guild":0,"who":1,"channel":2,"first":0,"last":9}"#,
            r#"{"at":4,"do":"voice","guild":0,"who":1,"channel":0}"#,
        ];
        let assigned = assign(&trace(&lines), &fixture(1, 2, TOKEN), &[], |_| true);
        assert_eq!((assigned.left_out, assigned.script.actions.len(), assigned.nameless), (2, 1, false));
        assert_eq!(assigned.marks, [(0, 0), NO_MARK, NO_MARK, (0, 1)]);
        assert_eq!(assigned.script.streams[0].kinds, [Kind::ChannelCreate, Kind::Voice]);
    }

    #[test]
    fn who_talks_in_one_guild_may_leave_voice_in_another() {
        let other = r#"{"at":0,"do":"guild","guild":1,"first":0,"members":4,"sessions":4,"channels":[]}"#;
        let lines = [
            GUILD,
            other,
            r#"{"at":2,"do":"voice","guild":0,"who":1,"channel":0}"#,
            r#"{"at":3,"do":"voice","guild":1,"who":1,"channel":null}"#,
        ];
        let assigned = assign(&trace(&lines), &fixture(2, 2, TOKEN), &[], |_| true);
        assert_eq!(assigned.marks, [(0, 0), (2, 0)]);
    }

    #[test]
    fn what_is_known_by_its_user_is_not_owed_if_tokens_do_not_say_whose_they_are() {
        let assigned = assign(&trace(&[GUILD]), &fixture(1, 2, "token"), &[], |_| true);
        assert!(assigned.nameless);
        assert_eq!([Kind::Typing, Kind::Message].map(|kind| assigned.script.duty(kind)), [Duty::Optional, Duty::All]);
    }
}
