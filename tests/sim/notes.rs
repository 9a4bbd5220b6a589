//! What a recorder would be left: judged for being whole, whatever goes wrong around it.

use std::collections::{BTreeMap, BTreeSet};

use guildhall::mail::record::{TraceEvent, TraceRecord};

/// The notes of all cores since the start.
#[derive(Debug, Default)]
pub struct Notes {
    declared: BTreeSet<u64>,
    /// Sessions that see a guild: whose, by guild and secret.
    seeing: BTreeMap<(u64, u64), u64>,
    messages: BTreeSet<u64>,
}

impl Notes {
    /// Takes what a turn has left. Panics if it cannot be.
    pub fn take(&mut self, notes: Vec<TraceRecord>) {
        for note in notes {
            match note.deed {
                TraceEvent::Guild(guild) => {
                    assert!(self.declared.insert(guild.guild.get()), "judge notes: {} was declared twice", guild.guild);
                }
                TraceEvent::Connect { guild, who, session, .. } => {
                    assert!(self.declared.contains(&guild.get()), "judge notes: {guild} was not declared");
                    let before = self.seeing.insert((guild.get(), session.secret), who.get());
                    assert_eq!(before, None, "judge notes: {session} came to see {guild} twice");
                }
                TraceEvent::Close { guild, who, session } => {
                    let before = self.seeing.remove(&(guild.get(), session.secret));
                    assert_eq!(before, Some(who.get()), "judge notes: {session} did not see {guild}");
                }
                TraceEvent::Message { message, .. } => {
                    assert!(self.messages.insert(message.get()), "judge notes: {message} was written twice");
                }
                TraceEvent::Join { guild, .. }
                | TraceEvent::Leave { guild, .. }
                | TraceEvent::ChannelCreate { guild, .. } => {
                    assert!(self.declared.contains(&guild.get()), "judge notes: {guild} was not declared");
                }
                // Edits and deletions may be of older messages; cuts are noted on another core.
                TraceEvent::Edit { .. }
                | TraceEvent::Delete { .. }
                | TraceEvent::Typing { .. }
                | TraceEvent::History { .. }
                | TraceEvent::ChannelDelete { .. }
                | TraceEvent::Cut { .. } => {}
            }
        }
    }

    /// Messages written.
    pub fn messages(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Sessions that see one of these guilds.
    pub fn seeing(&self, is_there: impl Fn(u64) -> bool) -> Vec<(u64, u64)> {
        self.seeing.keys().copied().filter(|(guild, _)| is_there(*guild)).collect()
    }
}
