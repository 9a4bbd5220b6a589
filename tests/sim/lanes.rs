//! Lanes between simulated cores: first in, first out, small enough to be full often. What does not fit waits with its
//! sender, in order, as in the mesh.

use std::collections::VecDeque;

use guildhall::base::prng::Prng;
use guildhall::mail::mailbox::{Mail, MailboxItem};

/// The lane of one ordered pair of cores.
#[derive(Debug)]
pub struct Lane {
    capacity: usize,
    inside: VecDeque<Mail>,
    waiting: VecDeque<Mail>,
}

impl Lane {
    /// An empty lane.
    pub fn new(capacity: usize) -> Lane {
        Lane { capacity, inside: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Sends. Says whether the lane was full.
    pub fn send(&mut self, mail: Mail) -> bool {
        if self.waiting.is_empty() && self.inside.len() < self.capacity {
            self.inside.push_back(mail);
            return false;
        }
        self.waiting.push_back(mail);
        true
    }

    /// Brings some letters to the other end, and moves what waits into the lane.
    pub fn proceed(&mut self, prng: &mut Prng, mailbox: &mut VecDeque<MailboxItem>) {
        if self.inside.is_empty() && self.waiting.is_empty() {
            return;
        }
        for _ in 0..prng.below(self.inside.len() as u64 + 1) {
            mailbox.extend(self.inside.pop_front().map(MailboxItem::from));
        }
        while self.inside.len() < self.capacity {
            let Some(mail) = self.waiting.pop_front() else { break };
            self.inside.push_back(mail);
        }
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty() && self.waiting.is_empty()
    }
}
