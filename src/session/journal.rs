//! A journal: the events of one audience, in order, each body once.
//!
//! Lives on: the core of the relay whose audience it belongs to.
//! Invariant: entries are numbered without gaps; `first ≤ end`; what is before `first` was let go, oldest first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::clock::Time;
use crate::limits;
use crate::session::body::SharedBody;

/// A journal that an audience writes and its sessions read, on one core.
pub type SharedJournal = Rc<RefCell<Journal>>;

/// Events of one audience.
#[derive(Debug, Default)]
pub struct Journal {
    /// Number of the oldest entry kept.
    first: u64,
    /// Each body with the bytes of all entries before it.
    entries: VecDeque<(u64, SharedBody)>,
    /// Bytes of all entries ever.
    total: u64,
}

impl Journal {
    /// The number of the oldest entry kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next entry will get.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Adds an event and lets go of the oldest ones if there are too many.
    pub fn push(&mut self, body: SharedBody) {
        let length = body.size() as u64;
        self.entries.push_back((self.total, body));
        self.total += length;
        while self.entries.len() > limits::JOURNAL_EVENTS_MAX || self.bytes() > limits::JOURNAL_BYTES_MAX {
            self.release();
        }
    }

    /// Releases entries published before `horizon`: no session can resume from there.
    pub fn trim(&mut self, horizon: Time) {
        while self.entries.front().is_some_and(|(_, body)| body.published < horizon) {
            self.release();
        }
        if self.entries.capacity() > 4 * self.entries.len() + 16 {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// An entry, if it is still there.
    pub fn get(&self, number: u64) -> Option<&SharedBody> {
        let index = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?).map(|(_, body)| body)
    }

    /// Bytes of the entries `from..to`, both still numbered by this journal and kept.
    pub fn bytes_between(&self, from: u64, to: u64) -> u64 {
        self.before(to) - self.before(from)
    }

    /// Bytes of all entries kept.
    pub fn bytes(&self) -> u64 {
        self.total - self.before(self.first)
    }

    fn before(&self, number: u64) -> u64 {
        let index = number.saturating_sub(self.first) as usize;
        self.entries.get(index).map_or(self.total, |(before, _)| *before)
    }

    fn release(&mut self) {
        if self.entries.pop_front().is_some() {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::body::EventBody;
    use crate::wire::event::EventName;
    use bytes::Bytes;

    fn body(length: usize, at: u64) -> SharedBody {
        EventBody::new(EventName::MessageCreate, Bytes::from(vec![b'x'; length]), Time::from_millis(at))
    }

    #[test]
    fn entries_keep_their_numbers_when_old_ones_go() {
        let mut journal = Journal::default();
        for n in 0..10 {
            journal.push(body(10 + n, n as u64));
        }
        assert_eq!(journal.bytes_between(2, 5), 12 + 13 + 14);
        journal.trim(Time::from_millis(4));
        assert_eq!((journal.first(), journal.end()), (4, 10));
        assert!(journal.get(3).is_none());
        assert_eq!(journal.get(4).unwrap().size(), 14);
        assert_eq!(journal.bytes(), (14..20).sum::<u64>());
        journal.trim(Time::from_millis(1_000));
        assert_eq!((journal.first(), journal.end(), journal.bytes()), (10, 10, 0));
    }

    #[test]
    fn a_journal_is_bounded() {
        let mut journal = Journal::default();
        for n in 0..limits::JOURNAL_EVENTS_MAX as u64 + 5 {
            journal.push(body(1, n));
        }
        assert_eq!(journal.first(), 5);
        journal.push(body(limits::JOURNAL_BYTES_MAX as usize, 0));
        assert_eq!(journal.end() - journal.first(), 1);
    }
}
