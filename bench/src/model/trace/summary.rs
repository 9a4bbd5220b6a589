//! What is in a trace: how many of what, and how many deliveries that should make.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::model::trace::{Action, Line, Trace, breaks};

/// Counts of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The trace's name.
    pub name: String,
    /// How many guilds.
    pub guilds: u64,
    /// Their members, summed up.
    pub members: u64,
    /// Sessions of the pool.
    pub sessions: u32,
    /// Of the sessions of all guilds, those which have the guild open.
    pub looking: u64,
    /// In seconds.
    pub lasts: f64,
    /// Lines by what they do.
    pub actions: BTreeMap<&'static str, u64>,
    /// What is said: messages, edits, deletes, reactions and typing, times those who are connected and may see it.
    pub said: Deliveries,
    /// What changes: joins, leaves, voice and channels, times those who are connected. Not every server sends these to
    /// all; of presences still fewer are sent, and they are not counted.
    pub changed: Deliveries,
    /// Connections that break, those of storms included.
    pub broken: u64,
}

/// Events times those who are entitled to them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Deliveries {
    /// To every session that is connected.
    pub all: u64,
    /// Of these, to sessions that have the guild open.
    pub looking: f64,
}

/// What is known while a trace is counted.
struct Counting<'a> {
    trace: &'a Trace,
    /// By guild: sessions that are connected.
    connected: Vec<u64>,
    /// By message: guild and channel.
    messages: Vec<(u32, u32)>,
    broken: u64,
}

impl Counting<'_> {
    /// The guild, and the channel if it is one's, in which an action is seen; `None`: it is not seen by others.
    fn place(&mut self, line: &Line) -> Option<(u32, Option<u32>)> {
        let leave = |connected: &mut u64| *connected = connected.saturating_sub(1);
        match &line.action {
            Action::Message { guild, channel, .. } => {
                self.messages.push((*guild, *channel));
                Some((*guild, Some(*channel)))
            }
            Action::Edit { of, .. } | Action::Delete { of } | Action::React { of, .. } | Action::Unreact { of, .. } => {
                self.messages.get(*of as usize).map(|(guild, channel)| (*guild, Some(*channel)))
            }
            Action::Typing { guild, channel, .. } => Some((*guild, Some(*channel))),
            // Leaving concerns the channel that is left; which one it was is not worth a table of all sessions.
            Action::Voice { guild, channel, .. } => Some((*guild, *channel)),
            Action::ChannelDelete { guild, channel } => Some((*guild, Some(*channel))),
            Action::ChannelCreate { guild } => Some((*guild, None)),
            Action::Join { guild, .. } => {
                self.connected[*guild as usize] += 1;
                Some((*guild, None))
            }
            Action::Leave { guild, .. } => {
                leave(&mut self.connected[*guild as usize]);
                Some((*guild, None))
            }
            Action::Connect { guild, who } => {
                let of = &self.trace.guilds[*guild as usize];
                self.connected[*guild as usize] += u64::from(of.sessions - of.joining > *who);
                None
            }
            Action::Close { guild, .. } => {
                leave(&mut self.connected[*guild as usize]);
                None
            }
            Action::Cut { .. } => {
                self.broken += 1;
                None
            }
            Action::Storm { guild, share, over } => {
                let sessions = self.trace.guilds[*guild as usize].sessions;
                let cut = (0..sessions).filter(|who| breaks(line.at, *guild, *who, *share, *over).is_some()).count();
                self.broken += cut as u64;
                None
            }
            Action::Guild(_)
            | Action::History { .. }
            | Action::Presence { .. }
            | Action::Scroll { .. }
            | Action::Lost { .. } => None,
        }
    }
}

/// Counts everything in a trace.
pub fn summary(trace: &Trace) -> Summary {
    let mut actions = BTreeMap::new();
    let connected: Vec<u64> = trace
        .guilds
        .iter()
        .map(|guild| {
            let members = guild.sessions - guild.joining;
            u64::from(guild.present.map_or(members, |present| present.min(members)))
        })
        .collect();
    let mut state = Counting { trace, connected, messages: Vec::new(), broken: 0 };
    let (mut said, mut changed) = (Deliveries::default(), Deliveries::default());
    for line in &trace.actions {
        *actions.entry(line.action.name()).or_default() += 1;
        let Some((number, channel)) = state.place(line) else { continue };
        let guild = &trace.guilds[number as usize];
        let there = state.connected[number as usize];
        let see = channel.map_or(there, |channel| u64::from(guild.viewers(channel)).min(there));
        let is_said =
            line.action.of().is_some() || matches!(line.action, Action::Message { .. } | Action::Typing { .. });
        let deliveries = if is_said { &mut said } else { &mut changed };
        deliveries.all += see;
        deliveries.looking += see as f64 * guild.looking;
    }
    Summary {
        name: trace.header.name.clone(),
        guilds: trace.guilds.len() as u64,
        members: trace.guilds.iter().map(|guild| guild.members).sum(),
        sessions: trace.sessions(),
        looking: trace.guilds.iter().map(|guild| u64::from(guild.lookers(guild.sessions))).sum(),
        lasts: trace.lasts() as f64 / 1e6,
        actions,
        said,
        changed,
        broken: state.broken,
    }
}

impl Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = |count: u64| count as f64 / self.lasts.max(1e-6);
        writeln!(
            out,
            "{}: {} guilds, {} members, {} sessions, {} times a guild is open, {:.1} s",
            self.name, self.guilds, self.members, self.sessions, self.looking, self.lasts
        )?;
        for (name, count) in &self.actions {
            writeln!(out, "  {name:<15} {count:>10}  {:>12.2}/s", per_second(*count))?;
        }
        writeln!(out, "  {:<15} {:>10}  {:>12.2}/s", "broken", self.broken, per_second(self.broken))?;
        write!(out, "deliveries to all who are connected and may see, and of these to those who have the guild open")?;
        for (name, deliveries) in [("what is said", self.said), ("what changes", self.changed)] {
            let (all, looking) = (per_second(deliveries.all), deliveries.looking / self.lasts.max(1e-6));
            write!(out, "\n  {name:<15} {all:>23.0}/s {looking:>12.0}/s")?;
        }
        Ok(())
    }
}
