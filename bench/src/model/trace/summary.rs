//! What is in a trace: how many of what, and how many deliveries that should make.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::model::trace::{Action, Trace, breaks};

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
    /// What changes: joins, leaves, voice and channels, times those who are connected. Not every server tells everybody of these; of
    /// presences still fewer are told, and they are not counted.
    pub changed: Deliveries,
    /// Connections that break, those of storms included.
    pub broken: u64,
}

/// DeliveryTable times those who are entitled to them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Deliveries {
    /// To everybody who is connected.
    pub all: u64,
    /// Of these, to sessions that have the guild open.
    pub looking: f64,
}

/// Counts everything in a trace.
pub fn summary(trace: &Trace) -> Summary {
    let mut actions = BTreeMap::new();
    let mut connected: Vec<u64> = trace
        .guilds
        .iter()
        .map(|guild| {
            let members = guild.sessions - guild.joining;
            u64::from(guild.present.map_or(members, |present| present.min(members)))
        })
        .collect();
    let mut messages: Vec<(u32, u32)> = Vec::new();
    let (mut said, mut changed) = (Deliveries::default(), Deliveries::default());
    let mut broken = 0;
    for line in &trace.actions {
        *actions.entry(line.action.name()).or_default() += 1;
        let place = match &line.action {
            Action::Message { guild, channel, .. } => {
                messages.push((*guild, *channel));
                Some((*guild, Some(*channel)))
            }
            Action::Edit { of, .. } | Action::Delete { of } | Action::React { of, .. } | Action::Unreact { of, .. } => {
                messages.get(*of as usize).map(|(guild, channel)| (*guild, Some(*channel)))
            }
            Action::Typing { guild, channel, .. } => Some((*guild, Some(*channel))),
            // Leaving concerns the channel that is left; which one it was is not worth a table of everybody.
            Action::Voice { guild, channel, .. } => Some((*guild, *channel)),
            Action::ChannelDelete { guild, channel } => Some((*guild, Some(*channel))),
            Action::ChannelCreate { guild } => Some((*guild, None)),
            Action::Join { guild, .. } => {
                connected[*guild as usize] += 1;
                Some((*guild, None))
            }
            Action::Leave { guild, .. } => {
                connected[*guild as usize] = connected[*guild as usize].saturating_sub(1);
                Some((*guild, None))
            }
            Action::Connect { guild, who } => {
                let joins = trace.guilds[*guild as usize].sessions - trace.guilds[*guild as usize].joining <= *who;
                connected[*guild as usize] += u64::from(!joins);
                None
            }
            Action::Close { guild, .. } => {
                connected[*guild as usize] = connected[*guild as usize].saturating_sub(1);
                None
            }
            Action::Cut { .. } => {
                broken += 1;
                None
            }
            Action::Storm { guild, share, over } => {
                let sessions = trace.guilds[*guild as usize].sessions;
                let cut = (0..sessions).filter(|who| breaks(line.at, *guild, *who, *share, *over).is_some()).count();
                broken += cut as u64;
                None
            }
            Action::Guild(_)
            | Action::History { .. }
            | Action::Presence { .. }
            | Action::Scroll { .. }
            | Action::Lost { .. } => None,
        };
        let Some((number, channel)) = place else { continue };
        let guild = &trace.guilds[number as usize];
        let there = connected[number as usize];
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
        broken,
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
