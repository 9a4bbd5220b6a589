//! Lanes between simulated cores: first in, first out, small enough to be full often. What does not fit waits with its
//! sender, in order, as in the mesh.

use std::collections::VecDeque;

use guildhall::base::prng::Prng;
use guildhall::mail::letter::Letter;

/// The lane of one ordered pair of cores.
#[derive(Debug)]
pub struct Lane {
    capacity: usize,
    inside: VecDeque<Letter>,
    waiting: VecDeque<Letter>,
}

impl Lane {
    /// An empty lane.
    pub fn new(capacity: usize) -> Lane {
        Lane { capacity, inside: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Sends. Says whether the lane was full.
    pub fn send(&mut self, letter: Letter) -> bool {
        if self.waiting.is_empty() && self.inside.len() < self.capacity {
            self.inside.push_back(letter);
            return false;
        }
        self.waiting.push_back(letter);
        true
    }

    /// Brings some letters to the other end, and moves what waits into the lane.
    pub fn proceed(&mut self, prng: &mut Prng, mailbox: &mut VecDeque<Letter>) {
        if self.inside.is_empty() && self.waiting.is_empty() {
            return;
        }
        for _ in 0..prng.below(self.inside.len() as u64 + 1) {
            mailbox.extend(self.inside.pop_front());
        }
        while self.inside.len() < self.capacity {
            let Some(letter) = self.waiting.pop_front() else { break };
            self.inside.push_back(letter);
        }
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty() && self.waiting.is_empty()
    }
}
