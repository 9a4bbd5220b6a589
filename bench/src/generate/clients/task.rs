//! What a run asks of many sessions at one time, outside of any script.

use crate::model::trace::Status;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TaskAction {
    /// Nothing.
    Rest,
    /// Op 37: from now on the session looks at this guild. Done when a heartbeat behind it is acknowledged.
    Subscribe(u64),
    /// Nothing is said; it is awaited that the server tells of a message later than this one as unread. Done at the
    /// first such update.
    AwaitUnread(u64),
    /// Op 3. Done when it is said. Member lists that are looked at are kept on.
    SetStatus(Status),
    /// Nothing is said. Everything has come to rest: member lists that are looked at must be as all have said that they
    /// appear, with so many sessions that are live.
    Check(u32),
    /// The connections break; the sessions come back through the gate. Done when a session is live again.
    Cut,
    /// Neither read nor say anything any more. Done when the server has cut the connection.
    Freeze,
    /// Those who are frozen go on. Done when the server answers, on this connection or on the next.
    Thaw,
    /// Op 37: other rows of a guild's member list. Done when they have all come.
    Scroll(Scroll),
}

impl TaskAction {
    /// Whether sessions go on looking at member lists.
    pub fn keeps_lists(&self) -> bool {
        matches!(self, TaskAction::Scroll(_) | TaskAction::SetStatus(_))
    }

    /// Whether no session has to be asked.
    pub fn is_silent(&self) -> bool {
        matches!(self, TaskAction::Rest | TaskAction::AwaitUnread(_) | TaskAction::Check(_))
    }
}

/// A look at the member list of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scroll {
    /// The guild's id.
    pub guild: u64,
    /// The channel's.
    pub channel: u64,
    /// Which rows are looked at: each session moves on by two pages with each turn.
    pub turn: u32,
    /// How many rows there are, about.
    pub rows: u32,
    /// Whose lists are kept and checked row by row: one in so many of those who look.
    pub checked: u32,
    /// Of those who look, one in so many goes or comes at each second turn.
    pub flapping: u32,
}

/// Whom it is asked of: sessions by their number in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subset {
    /// One in so many.
    pub one_in: u32,
    /// Which of them.
    pub which: u32,
    /// All the others instead.
    pub others: bool,
}

impl Subset {
    /// All sessions.
    pub const ALL: Subset = Subset { one_in: 1, which: 0, others: false };

    /// One in so many.
    pub fn one_in(one_in: u32, which: u32) -> Subset {
        Subset { one_in: one_in.max(1), which, others: false }
    }

    /// All who are not in it.
    pub fn others(self) -> Subset {
        Subset { others: !self.others, ..self }
    }

    /// Whether a session is in it.
    pub fn has(&self, session: u32) -> bool {
        (session % self.one_in == self.which) != self.others
    }

    /// How many of so many sessions are in it.
    pub fn count(&self, sessions: u32) -> u32 {
        let inside = sessions / self.one_in + u32::from(sessions % self.one_in > self.which);
        if self.others { sessions - inside } else { inside }
    }
}

/// What is asked of whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// What.
    pub action: TaskAction,
    /// Of whom.
    pub part: Subset,
}

impl Default for Task {
    fn default() -> Self {
        Task { action: TaskAction::Rest, part: Subset::ALL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_they_are_chosen() {
        for sessions in 0..250 {
            for (one_in, which) in [(1, 0), (3, 1), (10, 0), (10, 9), (100, 50)] {
                let part = Subset::one_in(one_in, which);
                for part in [part, part.others()] {
                    let count = (0..sessions).filter(|session| part.has(*session)).count();
                    assert_eq!(part.count(sessions) as usize, count, "{part:?} of {sessions}");
                }
            }
        }
        assert_eq!(Subset::ALL.count(7), 7);
    }
}
