//! Casts a trace: who of the swarm plays whom, and which number each event has in its stream.

use std::collections::HashMap;
use std::sync::Arc;

use crate::script::{Deed, Duty, Kind, Script, Stream, Task, View};
use crate::town::Town;
use crate::trace::{self, Action, ChannelKind, Guild, Line, Trace};

/// GUILDS and MESSAGE_CONTENT, which every session asks for.
const BASE_INTENTS: u64 = 1 | 1 << 15;
/// No event.
pub const NO_MARK: (u32, u32) = (u32::MAX, 0);

/// A trace's message.
#[derive(Debug, Clone, Copy)]
pub struct Posted {
    /// In which guild.
    pub guild: u32,
    /// In which channel.
    pub channel: u32,
    /// By which session.
    pub session: u32,
}

/// A trace, cast.
#[derive(Debug)]
pub struct Cast {
    /// What the swarm plays and judges.
    pub script: Arc<Script>,
    /// By action: stream and number of the event that it makes, or [`NO_MARK`].
    pub marks: Vec<(u32, u32)>,
    /// The trace's messages.
    pub messages: Vec<Posted>,
    /// By guild: its first session.
    pub firsts: Vec<u32>,
    /// How many sessions.
    pub sessions: u32,
}

/// Casts a trace for a town. `supported` says which actions are to be done at all.
pub fn cast(trace: &Trace, town: &Town, supported: impl Fn(&Action) -> bool) -> Cast {
    let guilds = &trace.guilds;
    let firsts = trace.firsts();
    let sessions = trace.sessions();
    let mut script = Script { intents: BASE_INTENTS, ..Script::default() };
    // By guild: the stream of everybody, and by channel the stream that it belongs to.
    let mut channels: Vec<Vec<u32>> = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    let mut viewers: Vec<(u32, u32, u32)> = Vec::new();
    for (number, (guild, first)) in guilds.iter().zip(&firsts).enumerate() {
        let everybody = script.streams.len() as u32;
        let name = guild.group.as_deref().unwrap_or_default();
        let group = script.groups.iter().position(|group| group == name).unwrap_or_else(|| {
            // More groups than that are told together with the last.
            if script.groups.len() <= usize::from(u8::MAX) {
                script.groups.push(name.to_owned());
            }
            script.groups.len() - 1
        });
        let group = group as u8;
        let mut add = |script: &mut Script, count: u32| {
            let stream = script.streams.len() as u32;
            script.streams.push(Stream::default());
            script.guild_of.push(number as u32);
            script.group_of.push(group);
            viewers.push((stream, *first, count));
            stream
        };
        add(&mut script, guild.sessions);
        open.push(everybody);
        let streams = guild.channels.iter().enumerate().map(|(number, channel)| match channel.share {
            None => everybody,
            Some(_) => add(&mut script, guild.viewers(number as u32)),
        });
        channels.push(streams.collect());
        let place = &town.guilds[number];
        // Without its id nothing can be told of joining and leaving; then all begins when a session is live.
        if place.id != 0 {
            script.guilds.insert(place.id, number as u32);
        }
        // Whoever looks at a guild looks at its first text channel that all see.
        let shown =
            guild.channels.iter().position(|channel| channel.kind == ChannelKind::Text && channel.share.is_none());
        let channel = shown.and_then(|shown| place.channels.get(shown).copied()).unwrap_or_default();
        script.views.push(View { guild: place.id, channel });
    }
    entitle(&mut script, sessions, &viewers);
    seat(&mut script, sessions, guilds, &firsts);

    let several = guilds.iter().any(|guild| guild.first.is_some());
    let mut marks = Vec::with_capacity(trace.actions.len());
    let mut messages: Vec<Posted> = Vec::new();
    // By guild and session: the channel.
    let mut talking: HashMap<(u32, u32), u32> = HashMap::new();
    for Line { at, action } in &trace.actions {
        script.end_us = script.end_us.max(*at);
        let mut mark = NO_MARK;
        let mut event = |script: &mut Script, stream: u32, kind: Kind| {
            let events = &mut script.streams[stream as usize];
            mark = (stream, events.kinds.len() as u32);
            events.kinds.push(kind);
            events.at_us.push(*at);
            script.intents |= intent(kind);
            mark
        };
        let plays = supported(action);
        let session = |guild: u32, who: u32| firsts[guild as usize] + who;
        let of = |messages: &[Posted], of: u32| {
            let posted = messages[of as usize];
            channels[posted.guild as usize][posted.channel as usize]
        };
        match *action {
            // Numbers of messages count whether or not they are posted.
            Action::Message { guild, channel, who, .. } => {
                messages.push(Posted { guild, channel, session: session(guild, who) });
                if plays {
                    event(&mut script, channels[guild as usize][channel as usize], Kind::Message);
                }
            }
            Action::ChannelCreate { guild } => {
                channels[guild as usize].push(open[guild as usize]);
                if plays {
                    event(&mut script, open[guild as usize], Kind::ChannelCreate);
                }
            }
            _ if !plays => {}
            Action::Edit { of: message, .. } => {
                event(&mut script, of(&messages, message), Kind::Edit);
            }
            Action::Delete { of: message } => {
                event(&mut script, of(&messages, message), Kind::Delete);
            }
            Action::React { of: message, .. } => {
                event(&mut script, of(&messages, message), Kind::React);
            }
            Action::Unreact { of: message, .. } => {
                event(&mut script, of(&messages, message), Kind::Unreact);
            }
            Action::Typing { guild, channel, .. } => {
                event(&mut script, channels[guild as usize][channel as usize], Kind::Typing);
            }
            Action::Join { guild, .. } => {
                event(&mut script, open[guild as usize], Kind::Join);
            }
            Action::Leave { guild, .. } => {
                event(&mut script, open[guild as usize], Kind::Leave);
            }
            Action::ChannelDelete { guild, channel } => {
                event(&mut script, channels[guild as usize][channel as usize], Kind::ChannelDelete);
            }
            Action::Presence { guild, who, status } => {
                // One event in each guild that somebody is in: told apart only if that is one guild.
                let mark = (!several).then(|| event(&mut script, open[guild as usize], Kind::Presence));
                script.duties.insert(Kind::Presence, Duty::Optional);
                script.intents |= intent(Kind::Presence);
                push(&mut script, *at, session(guild, who), Deed::Presence(status, mark));
            }
            Action::Voice { guild, who, channel } => {
                let session = session(guild, who);
                let place = &town.guilds[guild as usize];
                // Who leaves is seen to leave by those who saw the channel.
                let stream = match channel.or_else(|| talking.get(&(guild, session)).copied()) {
                    Some(channel) => channels[guild as usize][channel as usize],
                    None => open[guild as usize],
                };
                match channel {
                    Some(channel) => talking.insert((guild, session), channel),
                    None => talking.remove(&(guild, session)),
                };
                let mark = event(&mut script, stream, Kind::Voice);
                let id = channel.and_then(|channel| place.channels.get(channel as usize).copied());
                push(&mut script, *at, session, Deed::Voice(place.id, id, Some(mark)));
            }
            Action::Scroll { guild, channel, who, first, last } => {
                let place = &town.guilds[guild as usize];
                if let Some(id) = place.channels.get(channel as usize) {
                    push(&mut script, *at, session(guild, who), Deed::Scroll(place.id, *id, first, last));
                }
            }
            Action::Connect { guild, who } => push(&mut script, *at, session(guild, who), Deed::Connect),
            Action::Close { guild, who } => push(&mut script, *at, session(guild, who), Deed::Close),
            Action::Cut { guild, who } => push(&mut script, *at, session(guild, who), Deed::Cut),
            Action::Storm { guild, share, over } => {
                for who in 0..guilds[guild as usize].sessions {
                    if let Some(after) = trace::breaks(*at, guild, who, share, over) {
                        push(&mut script, at + after, session(guild, who), Deed::Cut);
                    }
                }
            }
            Action::Guild(_) | Action::History { .. } | Action::Lost { .. } => {}
        }
        marks.push(mark);
    }
    // A storm's cuts are spread over later times than its own.
    script.tasks.sort_by_key(|task| task.at_us);
    script.end_us = script.end_us.max(trace.lasts());
    if let Some(last) = script.tasks.last() {
        script.end_us = script.end_us.max(last.at_us);
    }
    Cast { script: Arc::new(script), marks, messages, firsts, sessions }
}

impl Cast {
    /// How many sessions are connected when everything is played.
    pub fn present_at_the_end(&self) -> u32 {
        let mut here: Vec<bool> = (0..self.sessions).map(|session| !self.script.is_absent(session)).collect();
        for task in &self.script.tasks {
            match task.deed {
                Deed::Connect => here[task.session as usize] = true,
                Deed::Close => here[task.session as usize] = false,
                _ => {}
            }
        }
        here.into_iter().filter(|here| *here).count() as u32
    }
}

fn push(script: &mut Script, at_us: u64, session: u32, deed: Deed) {
    script.tasks.push(Task { at_us, session, deed });
}

/// Fills in which streams each session may see.
fn entitle(script: &mut Script, sessions: u32, viewers: &[(u32, u32, u32)]) {
    let mut starts = vec![0u32; sessions as usize + 1];
    for (_, first, count) in viewers {
        for session in *first..first + count {
            starts[session as usize + 1] += 1;
        }
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut entitled = vec![0; starts.last().copied().unwrap_or(0) as usize];
    for (stream, first, count) in viewers {
        for session in *first..first + count {
            let at = &mut next[session as usize];
            entitled[*at as usize] = *stream;
            *at += 1;
        }
    }
    (script.starts, script.entitled) = (starts, entitled);
}

/// Who is there before the traffic, and who looks at a guild.
fn seat(script: &mut Script, sessions: u32, guilds: &[Guild], firsts: &[u32]) {
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
