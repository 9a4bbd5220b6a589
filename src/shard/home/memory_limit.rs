//! Bodies that many sessions could each have others of: counted, and bounded for all sessions of a core together.
//!
//! Lives on: the sessions' homes. Pages of members and windows of member lists, each by itself.
//! Unsent bodies are held in any case, so a caller asks for room before it hands out more. Sent ones are held for a
//! resume; where room is short, sessions release those, the least recent first.
//! Invariant: who is on the list says so, and is on it once.

use std::collections::VecDeque;

use crate::base::slab::{Key, Slab};
use crate::limits;
use crate::session::body::ByteBudget;
use crate::session::{Holds, Session};

/// What is held of one kind.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    of: Holds,
    /// What is in memory.
    budget: ByteBudget,
    /// Sessions that may hold some.
    holders: VecDeque<Key>,
    /// Bytes past which there is no room.
    bytes_max: u64,
    /// All have let go of what they could. They are asked again at the next tick.
    exhausted: bool,
}

impl MemoryLimit {
    pub(super) fn new(of: Holds, bytes_max: u64) -> MemoryLimit {
        MemoryLimit { of, budget: ByteBudget::default(), holders: VecDeque::new(), bytes_max, exhausted: false }
    }

    /// Other bounds than the usual, for the simulator.
    pub(super) fn bound(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// What bodies are counted with.
    pub(super) fn budget(&self) -> &ByteBudget {
        &self.budget
    }

    /// A session is given a body that is counted.
    pub(super) fn hold(&mut self, key: Key, session: &mut Session) {
        if !session.holds.contains(self.of) {
            session.holds.insert(self.of);
            self.holders.push_back(key);
        }
    }

    /// Whether more may be held. If there is too much, sessions let go of what they were sent.
    pub(super) fn has_room(&mut self, sessions: &mut Slab<Session>) -> bool {
        if self.budget.bytes() <= self.bytes_max {
            return true;
        }
        let visits = if self.exhausted { 0 } else { self.holders.len() };
        for _ in 0..visits {
            self.visit(sessions, true);
            if self.budget.bytes() <= self.bytes_max {
                return true;
            }
        }
        self.exhausted = true;
        false
    }

    /// Sessions without a connection that may hold some; a part of them.
    pub(super) fn held_by_absent(&self, sessions: &Slab<Session>) -> Vec<Key> {
        let absent = |key: &Key| {
            sessions.get(*key).is_some_and(|session| session.connection.is_none() && session.replay.own_bytes() > 0)
        };
        self.holders.iter().copied().filter(absent).take(limits::SWEEP_HOLDERS).collect()
    }

    /// Takes those off the list who hold nothing any more. A part of the list each time.
    pub(super) fn sweep(&mut self, sessions: &mut Slab<Session>) {
        self.exhausted = false;
        for _ in 0..self.holders.len().min(limits::SWEEP_HOLDERS) {
            self.visit(sessions, false);
        }
    }

    fn visit(&mut self, sessions: &mut Slab<Session>, lets_go: bool) {
        let Some(key) = self.holders.pop_front() else { return };
        // The session has ended, and what it held is freed.
        let Some(session) = sessions.get_mut(key) else { return };
        if lets_go {
            let sent = session.sent_s;
            session.replay.shed(0, sent);
        }
        if session.replay.own_bytes() > 0 {
            self.holders.push_back(key);
        } else {
            session.holds.remove(self.of);
        }
    }

    /// Panics if something that must hold does not.
    pub(super) fn invariants(&self, sessions: &Slab<Session>) {
        for (key, session) in sessions.iter() {
            let listed = self.holders.iter().filter(|other| **other == key).count();
            assert_eq!(listed, usize::from(session.holds.contains(self.of)), "{:?}", session.id);
        }
    }
}
