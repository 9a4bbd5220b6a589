//! What a run asks of many sessions at one time, outside of any script, and who of a thread's sessions has done it.
//!
//! One errand replaces the other. It takes a byte for each session, for as long as it lasts.

use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use crate::generate::clients::member_lists::Lists;
use crate::generate::clients::progress_board::ErrandBoard;
use crate::model::trace::Status;
use crate::verify::tally::{coarse, record};
use crate::wire::payload;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deed {
    /// Nothing.
    Rest,
    /// Op 37: from now on the session looks at this guild. Done when a heartbeat behind it is acknowledged.
    Subscribe(u64),
    /// Nothing is said; it is awaited that the server tells of a message later than this one as unread. Done at the first such update.
    Hear(u64),
    /// Op 3. Done when it is said. Member lists that are looked at are kept on.
    Appear(Status),
    /// Nothing is said. Everything has come to rest: member lists that are looked at must be as all have said that they appear, with so many
    /// sessions that are live.
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

impl Deed {
    /// Whether sessions go on looking at member lists.
    pub fn keeps_lists(&self) -> bool {
        matches!(self, Deed::Scroll(_) | Deed::Appear(_))
    }

    /// Whether nobody has to be asked.
    pub fn is_silent(&self) -> bool {
        matches!(self, Deed::Rest | Deed::Hear(_) | Deed::Check(_))
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

/// Whom it is asked of: sessions by their number in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// One in so many.
    pub one_in: u32,
    /// Which of them.
    pub which: u32,
    /// All the others instead.
    pub others: bool,
}

impl Part {
    /// Everybody.
    pub const ALL: Part = Part { one_in: 1, which: 0, others: false };

    /// One in so many.
    pub fn one_in(one_in: u32, which: u32) -> Part {
        Part { one_in: one_in.max(1), which, others: false }
    }

    /// All who are not in it.
    pub fn others(self) -> Part {
        Part { others: !self.others, ..self }
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
pub struct Errand {
    /// What.
    pub deed: Deed,
    /// Of whom.
    pub part: Part,
}

impl Default for Errand {
    fn default() -> Self {
        Errand { deed: Deed::Rest, part: Part::ALL }
    }
}

/// How far a thread's sessions are with an errand.
#[derive(Debug)]
pub struct Round {
    /// The errand's number; 0: there has been none.
    pub number: u32,
    /// The errand.
    pub errand: Errand,
    /// The place of the session that is asked next.
    pub next: usize,
    /// The rows of those who look at member lists.
    pub lists: Lists,
    first: u32,
    /// By session: what it still has to do, or how often it has done it. Empty: nobody is asked.
    marks: Vec<u8>,
    asked: u32,
    done: u32,
    again: u32,
    last_ns: u64,
    took: Histogram<u64>,
}

impl Round {
    /// No errand yet. The thread's sessions begin with this one.
    pub fn new(first: u32) -> Round {
        Round {
            number: 0,
            errand: Errand::default(),
            next: usize::MAX,
            lists: Lists::default(),
            first,
            marks: Vec::new(),
            asked: 0,
            done: 0,
            again: 0,
            last_ns: 0,
            took: coarse(),
        }
    }

    /// The next errand begins. Gives back how long those of the last took.
    pub fn begin(&mut self, number: u32, errand: Errand, sessions: usize) -> (u32, Histogram<u64>) {
        let before = (self.number, std::mem::replace(&mut self.took, coarse()));
        (self.number, self.errand, self.next) = (number, errand, 0);
        (self.asked, self.done, self.again, self.last_ns) = (0, 0, 0, 0);
        self.marks = if matches!(errand.deed, Deed::Rest | Deed::Check(_)) { Vec::new() } else { vec![0; sessions] };
        if !errand.deed.keeps_lists() {
            self.lists = Lists::default();
        }
        before
    }

    /// A session was asked; it is done after so many steps.
    pub fn ask(&mut self, session: u32, steps: u8, now_ns: u64) {
        self.asked += 1;
        if steps == 0 {
            return self.finish(now_ns, None);
        }
        let at = self.place(session);
        self.marks[at] = steps;
    }

    /// Whether a session has been asked and is not done.
    pub fn awaits(&self, session: u32) -> bool {
        match self.errand.deed {
            Deed::Subscribe(_) | Deed::Cut | Deed::Freeze | Deed::Thaw | Deed::Scroll(_) => {
                self.marks.get(self.place(session)).is_some_and(|mark| *mark > 0)
            }
            Deed::Rest | Deed::Hear(_) | Deed::Appear(_) | Deed::Check(_) => false,
        }
    }

    /// A session has done a step of what it was asked to do; it took so long, if that is of interest.
    pub fn step(&mut self, session: u32, now_ns: u64, took_ns: Option<u64>) {
        let at = self.place(session);
        if let Some(mark) = self.marks.get_mut(at).filter(|mark| **mark > 0) {
            *mark -= 1;
            if *mark == 0 {
                self.finish(now_ns, took_ns);
            }
        }
    }

    /// A session has done all that it was asked to do.
    pub fn complete(&mut self, session: u32, now_ns: u64, took_ns: Option<u64>) {
        if self.awaits(session) {
            let at = self.place(session);
            self.marks[at] = 0;
            self.finish(now_ns, took_ns);
        }
    }

    /// A heartbeat of a session was acknowledged.
    pub fn acknowledge(&mut self, session: u32, now_ns: u64) {
        if matches!(self.errand.deed, Deed::Subscribe(_) | Deed::Thaw) {
            self.step(session, now_ns, None);
        }
    }

    /// A session was told what is unread.
    pub fn hear(&mut self, session: u32, d: &[u8], now_ns: u64) {
        let Deed::Hear(after) = self.errand.deed else { return };
        if !self.errand.part.has(session) || payload::last_message(d).is_none_or(|last| last <= after) {
            return;
        }
        let at = self.place(session);
        let mark = &mut self.marks[at];
        *mark = mark.saturating_add(1);
        if *mark == 1 {
            self.finish(now_ns, None);
        } else {
            self.again += 1;
        }
    }

    /// Tells how far it is.
    pub fn post(&self, board: &ErrandBoard, sessions: usize) {
        board.asked.store(self.asked, Ordering::Relaxed);
        board.done.store(self.done, Ordering::Relaxed);
        board.again.store(self.again, Ordering::Relaxed);
        board.last_ns.store(self.last_ns, Ordering::Relaxed);
        board.asked_all.store(u8::from(self.next >= sessions), Ordering::Relaxed);
        board.number.store(self.number, Ordering::Release);
    }

    fn place(&self, session: u32) -> usize {
        (session - self.first) as usize
    }

    fn finish(&mut self, now_ns: u64, took_ns: Option<u64>) {
        self.done += 1;
        self.last_ns = now_ns;
        if let Some(took_ns) = took_ns {
            record(&mut self.took, took_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(round: &Round) -> (u32, u32, u32) {
        (round.asked, round.done, round.again)
    }

    #[test]
    fn parts_are_counted_as_they_are_chosen() {
        for sessions in 0..250 {
            for (one_in, which) in [(1, 0), (3, 1), (10, 0), (10, 9), (100, 50)] {
                let part = Part::one_in(one_in, which);
                for part in [part, part.others()] {
                    let count = (0..sessions).filter(|session| part.has(*session)).count();
                    assert_eq!(part.count(sessions) as usize, count, "{part:?} of {sessions}");
                }
            }
        }
        assert_eq!(Part::ALL.count(7), 7);
    }

    #[test]
    fn an_errand_is_done_when_a_heartbeat_behind_it_is_acknowledged() {
        let mut round = Round::new(100);
        round.begin(1, Errand { deed: Deed::Subscribe(5), part: Part::ALL }, 4);
        round.acknowledge(101, 1);
        assert_eq!(standing(&round), (0, 0, 0), "nobody was asked");
        round.ask(101, 1, 2);
        round.ask(102, 2, 2); // a heartbeat was under way already
        assert!(round.awaits(101) && round.awaits(102) && !round.awaits(103));
        round.acknowledge(101, 3);
        round.acknowledge(102, 4);
        assert_eq!(standing(&round), (2, 1, 0));
        round.acknowledge(101, 5);
        round.acknowledge(102, 6);
        assert_eq!((standing(&round), round.last_ns), ((2, 2, 0), 6));
    }

    #[test]
    fn what_is_unread_is_heard_once() {
        let mut round = Round::new(0);
        round.begin(1, Errand { deed: Deed::Hear(76), part: Part::one_in(2, 1) }, 4);
        let update =
            |id: u32| format!(r#"{{"channel_unread_updates":[{{"id":"1","last_message_id":"{id}"}}]}}}}"#).into_bytes();
        round.hear(1, &update(76), 1);
        round.hear(0, &update(77), 1);
        assert_eq!(standing(&round), (0, 0, 0), "another message, or somebody who is not asked");
        round.hear(1, &update(77), 2);
        round.hear(3, &update(77), 3);
        round.hear(1, &update(77), 4);
        assert_eq!((standing(&round), round.last_ns), ((0, 2, 1), 3));
    }
}
