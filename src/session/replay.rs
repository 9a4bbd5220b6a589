//! What a session was dispatched, so that it can be sent, and sent again after a resume.
//!
//! Lives on: the session's home core.
//! A list of *runs*: either one body of the session's own, or a stretch of a journal. A session of one guild that
//! nothing special happens to needs one run, however many events it gets. Bodies of journals are shared and bounded
//! there; those of the session's own, and the number of runs, are bounded here, by [`Replay::shed`], and nothing is
//! kept for longer than a journal keeps it ([`Replay::expire`]). So a client that never acknowledges costs no more than
//! one that does.
//!
//! ```text
//! before:  journal A  [..40 41 42]      runs  A 38..40 = s 1..3 | own = s 4          next_s 5
//! take_from_journal(A), two entries:    runs  A 38..40 = s 1..3 | own = s 4 | A 41..42 = s 5..6
//! acknowledge(s 2):                     runs  A 40 = s 3 | own = s 4 | A 41..42 = s 5..6
//! resume(s 3): sends again              own = s 4 | A 41..42 = s 5..6
//! ```
//!
//! Invariant: runs join without gaps from `first_s` to `next_s`.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::clock::Time;
use crate::limits;
use crate::session::body::SharedBody;
use crate::session::journal::SharedJournal;

/// Events are gone that the session has a right to: it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// The dispatched events of a session that the client has not acknowledged.
#[derive(Debug)]
pub struct Replay {
    runs: VecDeque<Run>,
    first_s: u64,
    next_s: u64,
    /// Bytes of the session's own bodies, with what each takes besides.
    own_bytes: u64,
}

#[derive(Debug)]
struct Run {
    /// Sequence number of its first event.
    s: u64,
    events: Events,
}

#[derive(Debug)]
enum Events {
    Own(SharedBody),
    Shared { journal: SharedJournal, from: u64, count: u64 },
}

impl Run {
    fn end(&self) -> u64 {
        match &self.events {
            Events::Own(_) => self.s + 1,
            Events::Shared { count, .. } => self.s + count,
        }
    }
}

/// What an event of the session's own counts for.
fn weight(body: &SharedBody) -> u64 {
    body.size() as u64 + limits::OWN_EVENT_BYTES
}

impl Default for Replay {
    /// Nothing dispatched; the first event will be number 1.
    fn default() -> Self {
        Replay { runs: VecDeque::new(), first_s: 1, next_s: 1, own_bytes: 0 }
    }
}

impl Replay {
    /// The oldest sequence number that can be sent again.
    pub fn first_s(&self) -> u64 {
        self.first_s
    }

    /// The number that the next event will get.
    pub fn next_s(&self) -> u64 {
        self.next_s
    }

    /// Adds an event of the session's own.
    pub fn push_own(&mut self, body: SharedBody) {
        let s = self.next_s;
        self.next_s += 1;
        self.own_bytes += weight(&body);
        self.push(Run { s, events: Events::Own(body) });
    }

    /// Adds `count` entries of a journal from number `start` on.
    pub fn push_shared(&mut self, journal: &SharedJournal, start: u64, count: u64) {
        let s = self.next_s;
        self.next_s += count;
        if let Some(Run { events: Events::Shared { journal: last, from, count: length }, .. }) = self.runs.back_mut()
            && Rc::ptr_eq(last, journal)
            && *from + *length == start
        {
            *length += count;
            return;
        }
        let events = Events::Shared { journal: Rc::clone(journal), from: start, count };
        self.push(Run { s, events });
    }

    fn push(&mut self, run: Run) {
        if self.runs.capacity() == 0 {
            // By itself it would begin with four places, and an idle session has one run.
            self.runs.reserve_exact(1);
        }
        self.runs.push_back(run);
    }

    /// Lets go of everything before `s`: the client has it.
    pub fn trim(&mut self, s: u64) {
        let s = s.min(self.next_s);
        if s <= self.first_s {
            return;
        }
        self.first_s = s;
        while self.runs.front().is_some_and(|run| run.end() <= s) {
            self.release();
        }
        if let Some(Run { s: start, events: Events::Shared { from, count, .. } }) = self.runs.front_mut() {
            let gone = s.saturating_sub(*start);
            *start += gone;
            *from += gone;
            *count -= gone;
        }
        self.give_back();
    }

    /// Lets go of the oldest events of those before `sent` while the session's own bodies are more than `bytes`, or the
    /// runs too many. A client that had not received them cannot resume.
    pub fn shed(&mut self, bytes: u64, sent: u64) {
        self.shed_while(sent, |replay, _| replay.own_bytes > bytes || replay.runs.len() > limits::REPLAY_RUNS_MAX);
    }

    /// Releases events before `sent` that were published before `horizon` or that their journal released: no resume can
    /// ask for them.
    pub fn expire(&mut self, horizon: Time, sent: u64) {
        self.shed_while(sent, |_, run| match &run.events {
            Events::Own(body) => body.published < horizon,
            Events::Shared { journal, from, count } => {
                journal.borrow().get(from + count - 1).is_none_or(|newest| newest.published < horizon)
            }
        });
        self.give_back();
    }

    fn shed_while(&mut self, sent: u64, too_much: impl Fn(&Replay, &Run) -> bool) {
        while self.runs.front().is_some_and(|run| run.end() <= sent && too_much(self, run)) {
            if let Some(end) = self.release() {
                self.first_s = end;
            }
        }
    }

    /// Gives memory back that many runs have needed.
    fn give_back(&mut self) {
        if self.runs.is_empty() {
            self.runs = VecDeque::new();
        } else if self.runs.capacity() > 2 && self.runs.len() < 2 || self.runs.capacity() > 8 * self.runs.len() + 64 {
            self.runs.shrink_to_fit();
        }
    }

    /// Bytes of the session's own bodies, with what each takes besides.
    pub fn own_bytes(&self) -> u64 {
        self.own_bytes
    }

    /// Runs that are kept.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Lets go of the oldest run, and says where it ended.
    fn release(&mut self) -> Option<u64> {
        let run = self.runs.pop_front()?;
        if let Events::Own(body) = &run.events {
            self.own_bytes -= weight(body);
        }
        Some(run.end())
    }

    /// Whether everything from `s` on can still be sent.
    pub fn reaches_back_to(&self, s: u64) -> bool {
        s >= self.first_s
            && self.runs.iter().all(|run| match &run.events {
                Events::Own(_) => true,
                Events::Shared { journal, from, .. } => {
                    run.end() <= s || from + s.saturating_sub(run.s) >= journal.borrow().first()
                }
            })
    }

    /// Hands over the events from `s` on, in order, until `each` says that it has enough; each with the one before it
    /// in its journal, if it has one that is still there.
    pub fn each_from(
        &self,
        s: u64,
        mut each: impl FnMut(u64, &SharedBody, Option<&SharedBody>) -> std::ops::ControlFlow<()>,
    ) -> Result<(), Lost> {
        if s < self.first_s {
            return Err(Lost);
        }
        // What is not yet sent is nearly always in the last run or two.
        let start = self.runs.iter().rposition(|run| run.s <= s).unwrap_or(0);
        for run in self.runs.range(start..) {
            match &run.events {
                Events::Own(body) => {
                    if run.s >= s && each(run.s, body, None).is_break() {
                        return Ok(());
                    }
                }
                Events::Shared { journal, from, count } => {
                    let journal = journal.borrow();
                    for offset in s.saturating_sub(run.s)..*count {
                        let body = journal.get(from + offset).ok_or(Lost)?;
                        let before = (from + offset).checked_sub(1).and_then(|before| journal.get(before));
                        if each(run.s + offset, body, before).is_break() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the events from `s` on come from, when all of them are one stretch of one journal: the journal and the
    /// number of the first. Sessions with equal stretches are sent equal bytes but for the numbers.
    pub fn stretch_from(&self, s: u64) -> Option<(&SharedJournal, u64)> {
        let run = self.runs.back()?;
        match &run.events {
            Events::Shared { journal, from, .. } if run.s <= s => Some((journal, from + (s - run.s))),
            Events::Shared { .. } | Events::Own(_) => None,
        }
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        let mut s = self.first_s;
        for run in &self.runs {
            assert_eq!(run.s, s, "runs join without gaps");
            assert!(run.end() > run.s, "no run is empty");
            s = run.end();
        }
        assert_eq!(s, self.next_s);
        let own = self.runs.iter().map(|run| if let Events::Own(body) = &run.events { weight(body) } else { 0 });
        assert_eq!(own.sum::<u64>(), self.own_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use crate::session::body::EventBody;
    use crate::session::journal::Journal;
    use crate::wire::event::EventName;
    use bytes::Bytes;
    use std::cell::RefCell;
    use std::ops::ControlFlow;

    fn body(text: String) -> SharedBody {
        EventBody::new(EventName::MessageCreate, Bytes::from(text), Time::default())
    }

    /// Against a naive model: a list of all texts ever dispatched.
    #[test]
    fn a_replay_equals_the_naive_list_of_events() {
        for seed in 0..200 {
            let mut prng = Prng::new(seed);
            let journals: Vec<SharedJournal> = (0..3).map(|_| Rc::new(RefCell::new(Journal::default()))).collect();
            let mut cursors = [0u64; 3];
            let mut replay = Replay::default();
            let mut model: Vec<String> = Vec::new();
            let mut acknowledged = 0;
            for step in 0..200 {
                match prng.below(4) {
                    0 => {
                        model.push(format!("own {step}"));
                        replay.push_own(body(format!("own {step}")));
                    }
                    1 | 2 => {
                        let which = prng.below(3) as usize;
                        for n in 0..1 + prng.below(3) {
                            journals[which].borrow_mut().push(body(format!("{which} {step} {n}")));
                        }
                        let end = journals[which].borrow().end();
                        if prng.chance(1, 2) {
                            for number in cursors[which]..end {
                                let text = journals[which].borrow().get(number).unwrap().json().0.to_vec();
                                model.push(String::from_utf8(text).unwrap());
                            }
                            replay.push_shared(&journals[which], cursors[which], end - cursors[which]);
                        }
                        cursors[which] = end;
                    }
                    _ => {
                        acknowledged = acknowledged.max(prng.below(model.len() as u64 + 1));
                        replay.trim(acknowledged + 1);
                    }
                }
                // An empty stretch may have been pushed only if the journal had nothing new; it never has.
                replay.invariants();
                let from = acknowledged + prng.below(model.len() as u64 - acknowledged + 1);
                let mut seen = Vec::new();
                assert!(replay.reaches_back_to(from + 1));
                replay
                    .each_from(from + 1, |s, body, _| {
                        assert_eq!(s, from + 1 + seen.len() as u64);
                        seen.push(String::from_utf8(body.json().0.to_vec()).unwrap());
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                assert_eq!(seen, model[from as usize..], "seed {seed} step {step}");
            }
        }
    }

    #[test]
    fn own_bodies_are_let_go_of_when_they_are_too_many_but_not_before_they_are_sent() {
        let mut replay = Replay::default();
        for number in 0..10 {
            replay.push_own(body(format!("{number:0100}")));
        }
        let each = 100 + limits::OWN_EVENT_BYTES;
        replay.shed(3 * each + 50, 5);
        assert_eq!((replay.own_bytes(), replay.first_s()), (6 * each, 5), "what is not sent stays");
        replay.shed(3 * each + 50, 11);
        replay.invariants();
        assert_eq!((replay.own_bytes(), replay.first_s(), replay.next_s()), (3 * each, 8, 11));
        assert!(!replay.reaches_back_to(7) && replay.reaches_back_to(8));
    }

    /// A session of two guilds that speak by turns has a run for each event.
    #[test]
    fn whoever_never_acknowledges_keeps_a_bounded_number_of_runs_and_nothing_old() {
        let journals: Vec<SharedJournal> = (0..2).map(|_| Rc::new(RefCell::new(Journal::default()))).collect();
        let mut replay = Replay::default();
        let count = limits::REPLAY_RUNS_MAX as u64 + 10;
        for number in 0..count {
            let text = EventBody::new(EventName::MessageCreate, Bytes::from("x"), Time::from_millis(number));
            let journal = &journals[number as usize % 2];
            journal.borrow_mut().push(text);
            let end = journal.borrow().end();
            replay.push_shared(journal, end - 1, 1);
        }
        replay.shed(u64::MAX, 5);
        assert_eq!((replay.first_s(), replay.runs() as u64), (5, count - 4), "what is not sent stays");
        replay.shed(u64::MAX, count + 1);
        assert_eq!((replay.first_s(), replay.runs()), (11, limits::REPLAY_RUNS_MAX));
        replay.invariants();
        replay.push_own(EventBody::new(EventName::Resumed, Bytes::from("{}"), Time::from_millis(count)));
        journals[0].borrow_mut().trim(Time::from_millis(count));
        replay.expire(Time::from_millis(5_000), count + 2);
        assert_eq!(replay.first_s(), 5_002, "up to the first that is young enough and still there");
        replay.expire(Time::from_millis(count), count + 1);
        assert_eq!((replay.first_s(), replay.next_s(), replay.runs()), (count + 1, count + 2, 1));
        replay.invariants();
    }

    #[test]
    fn what_the_journal_let_go_is_lost() {
        let journal: SharedJournal = Rc::new(RefCell::new(Journal::default()));
        for n in 0..10 {
            journal.borrow_mut().push(EventBody::new(EventName::MessageCreate, Bytes::from("x"), Time::from_millis(n)));
        }
        let mut replay = Replay::default();
        replay.push_shared(&journal, 0, 10);
        journal.borrow_mut().trim(Time::from_millis(5));
        assert!(!replay.reaches_back_to(5));
        assert!(replay.reaches_back_to(6));
        assert_eq!(replay.each_from(5, |_, _, _| ControlFlow::Continue(())), Err(Lost));
        assert_eq!(replay.each_from(6, |_, _, _| ControlFlow::Continue(())), Ok(()));
    }
}
