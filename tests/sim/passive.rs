//! The judge of sessions in guilds that are large for them: passive at first, perhaps active later.
//!
//! While it is passive a session gets what the guild is made of, messages that concern it, and marks of what is unread;
//! from some moment on, which only its home knows, it gets everything. What must hold whenever that was: nothing that
//! comes to passive sessions is missing; once something came that only active ones get, nothing is missing any more;
//! and at that moment, as at rest, each message that was skipped had been told by a mark.

use std::collections::{BTreeMap, BTreeSet};

/// Something that happened in the guild, as one session should see it.
#[derive(Debug, Default)]
pub struct Item {
    /// What it looks like; empty if the session's intents do not ask for it.
    pub line: String,
    /// The session had to subscribe for it, unless `comes`.
    pub limited: bool,
    /// It comes to passive sessions as well.
    pub comes: bool,
    /// The session begins anew.
    pub enters: bool,
    /// A message: its channel, and its id.
    pub mark: Option<(u64, u64)>,
    /// A channel goes out of sight, or is told anew.
    pub hides: Option<u64>,
    /// It happened when every subscription was in force.
    pub last: bool,
}

/// What is known of the session besides.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// Nothing may be missing.
    pub complete: bool,
    /// It can read PASSIVE_UPDATE_V2.
    pub deltas: bool,
    /// It has ever asked for messages.
    pub asked: bool,
    /// Its subscription was in force before the last items.
    pub subscribed: bool,
    /// What its user sees at the end.
    pub viewed: &'a BTreeSet<u64>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Messages that were not sent.
    pub skipped: u64,
    /// Marks that told of them.
    pub marks: u64,
    /// Sessions that became active.
    pub activated: u64,
}

#[derive(Debug, Default)]
struct State {
    active: bool,
    /// Messages skipped and not told of, by channel.
    pending: BTreeMap<u64, u64>,
    told: BTreeMap<u64, u64>,
    /// Messages that have happened.
    past: BTreeSet<u64>,
    outcome: Outcome,
}

/// Compares what came with what should have. An error is the judge's sentence.
pub fn compare(items: &[Item], got: &[&str], at: &Circumstances<'_>) -> Result<Outcome, String> {
    let mut state = State::default();
    let mut rest = items.iter();
    for (number, line) in got.iter().enumerate() {
        if let Some(update) = marks(line, at.deltas) {
            let update = update.map_err(|error| format!("{error}: event {number}, {line}"))?;
            let newest = update.values().max().copied().unwrap_or(0);
            let known = items.iter().any(|item| item.mark.is_some_and(|(_, message)| message == newest));
            while known && !state.knows(newest) {
                let item = rest.next().ok_or_else(|| format!("event {number} marks an old message: {line}"))?;
                state.skip(item).map_err(|error| format!("{error}, when event {number} came: {line}"))?;
            }
            if state.active {
                return Err(format!("event {number} marks something unread for an active session: {line}"));
            }
            for (channel, message) in update {
                let pending = state.pending.remove(&channel);
                // Whoever joined a group of sessions may be told once more what the group had not been told.
                if pending.is_some_and(|pending| pending != message) {
                    return Err(format!("event {number}, {line}, is not the newest: {pending:?}"));
                }
                state.told.insert(channel, message);
                state.outcome.marks += 1;
            }
            continue;
        }
        if line.starts_with("TYPING") {
            // Lines that repeat themselves cannot be told apart.
            if !at.asked && items.iter().all(|item| item.limited) {
                return Err(format!("event {number} is for active sessions: {line}"));
            }
            continue;
        }
        loop {
            let item = rest.next().ok_or_else(|| format!("event {number} is one too many: {line}"))?;
            if item.line == *line {
                state.take(item, at).map_err(|error| format!("{error}: event {number}, {line}"))?;
                break;
            }
            state.skip(item).map_err(|error| format!("{error}, when event {number} came: {line}"))?;
        }
    }
    if at.complete {
        for item in rest {
            if item.last && at.subscribed && item.limited && !item.line.is_empty() {
                return Err(format!("a subscription had no effect: {}", item.line));
            }
            state.skip(item)?;
        }
        state.all_told(at.viewed)?;
    }
    Ok(state.outcome)
}

impl State {
    fn knows(&self, message: u64) -> bool {
        self.past.contains(&message)
    }

    /// An item came.
    fn take(&mut self, item: &Item, at: &Circumstances<'_>) -> Result<(), String> {
        self.enter(item);
        if item.limited && !item.comes && !self.active {
            if !at.asked {
                return Err("it is for active sessions".to_owned());
            }
            self.active = true;
            self.outcome.activated += 1;
            // Channels that have gone out of sight since are no longer told of.
            self.all_told(at.viewed)?;
        }
        // The client knows by the message itself what is newest; to be told of it as well does no harm.
        if let Some((channel, _)) = item.mark {
            self.pending.remove(&channel);
        }
        self.forget(item);
        Ok(())
    }

    /// An item did not come.
    fn skip(&mut self, item: &Item) -> Result<(), String> {
        let typing = item.line.starts_with("TYPING");
        if !item.line.is_empty() && !typing && (!item.limited || item.comes || self.active) {
            return Err(format!("missing: {}", item.line));
        }
        self.enter(item);
        if let Some((channel, message)) = item.mark
            && !item.line.is_empty()
        {
            self.pending.insert(channel, message);
            self.outcome.skipped += 1;
        }
        self.forget(item);
        Ok(())
    }

    fn enter(&mut self, item: &Item) {
        if item.enters {
            self.active = false;
            self.pending.clear();
            self.told.clear();
        }
    }

    fn forget(&mut self, item: &Item) {
        self.past.extend(item.mark.map(|(_, message)| message));
        if let Some(channel) = item.hides {
            self.pending.remove(&channel);
        }
    }

    fn all_told(&mut self, viewed: &BTreeSet<u64>) -> Result<(), String> {
        let pending = std::mem::take(&mut self.pending);
        match pending.iter().find(|(channel, _)| viewed.contains(channel)) {
            Some((channel, message)) => Err(format!("message {message} in {channel} was neither sent nor told of")),
            None => Ok(()),
        }
    }
}

/// The marks of an update, by channel; `None` if the line is none.
fn marks(line: &str, deltas: bool) -> Option<Result<BTreeMap<u64, u64>, String>> {
    let (form, rest) = line.strip_prefix("UNREAD ")?.split_once(' ')?;
    if (form == "DELTA") != deltas {
        return Some(Err("an update that the client cannot read".to_owned()));
    }
    let pair = |text: &str| {
        let (channel, message) = text.split_once(':')?;
        Some((channel.parse().ok()?, message.parse().ok()?))
    };
    let marks: Option<BTreeMap<u64, u64>> = rest.split(' ').map(pair).collect();
    Some(marks.filter(|marks| !marks.is_empty()).ok_or_else(|| "an update that tells nothing".to_owned()))
}
