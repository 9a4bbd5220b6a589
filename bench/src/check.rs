//! Did every session get everything once and in order? Three judges that look at different things: [`Sequence`] at the
//! numbers of the dispatches on one session, [`Receipts`] at the messages of the run, and [`Receipts::order`] at whether all
//! sessions saw the same order.

use std::collections::VecDeque;

/// What a dispatch's number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is the next.
    Next,
    /// So many were left out before it. They may still come, out of order.
    Gap(u64),
    /// It was left out before and comes too late.
    Late,
    /// It has been here before.
    Duplicate,
}

/// The numbers of one session's dispatches: each must be one more than the one before.
#[derive(Debug, Default)]
pub struct Sequence {
    last: u64,
    /// Ranges left out, both ends included, none empty. All lie below `last`.
    missing: Vec<(u64, u64)>,
}

impl Sequence {
    /// The highest number so far, which a resume names.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// How many are still left out.
    pub fn missing(&self) -> u64 {
        self.missing.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Takes the number of the next dispatch.
    pub fn take(&mut self, s: u64) -> Step {
        if s == self.last + 1 {
            self.last = s;
            return Step::Next;
        }
        if s > self.last {
            let left_out = (self.last + 1, s - 1);
            self.missing.push(left_out);
            self.last = s;
            return Step::Gap(left_out.1 - left_out.0 + 1);
        }
        let Some(at) = self.missing.iter().position(|(first, last)| (*first..=*last).contains(&s)) else {
            return Step::Duplicate;
        };
        let (first, last) = self.missing.remove(at);
        let halves = [(first, s - 1), (s + 1, last)];
        self.missing.splice(at..at, halves.into_iter().filter(|(first, last)| first <= last));
        Step::Late
    }
}

/// Which messages of the run one session has received.
///
/// A bitmap whose full front is dropped: some ten bytes as long as messages come about in the order of their indexes.
#[derive(Debug, Default)]
pub struct Receipts {
    /// Words that are full and were dropped from the front.
    full: u32,
    words: VecDeque<u64>,
    count: u32,
    order: u64,
    /// The highest index received, plus one.
    reached: u32,
}

impl Receipts {
    /// A message was received. Says whether it is the first time.
    pub fn take(&mut self, index: u32) -> bool {
        let Some(word) = (index / 64).checked_sub(self.full) else { return false };
        let word = word as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        if self.words[word] & bit != 0 {
            return false;
        }
        self.words[word] |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.full += 1;
        }
        self.count += 1;
        self.order = fold(self.order, index);
        self.reached = self.reached.max(index + 1);
        true
    }

    /// Whether a message was received.
    pub fn has(&self, index: u32) -> bool {
        let Some(word) = (index / 64).checked_sub(self.full) else { return true };
        self.words.get(word as usize).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// How many different messages were received.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The highest index received, plus one.
    pub fn reached(&self) -> u32 {
        self.reached
    }

    /// Depends on which messages came and in which order: equal on two sessions if they saw the same.
    pub fn order(&self) -> u64 {
        self.order
    }
}

fn fold(order: u64, index: u32) -> u64 {
    (order ^ (u64::from(index) + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// What most of the complete sessions saw; whoever saw something else saw it out of order.
pub fn common_order(orders: impl Iterator<Item = u64>) -> Option<u64> {
    let mut counted = std::collections::HashMap::<u64, u64>::new();
    for order in orders {
        *counted.entry(order).or_default() += 1;
    }
    counted.into_iter().max_by_key(|(order, count)| (*count, *order)).map(|(order, _)| order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(numbers: &[u64]) -> (Vec<Step>, u64) {
        let mut sequence = Sequence::default();
        let steps = numbers.iter().map(|s| sequence.take(*s)).collect();
        (steps, sequence.missing())
    }

    #[test]
    fn a_loss_a_duplicate_and_a_reorder_are_told_apart() {
        use Step::{Duplicate, Gap, Late, Next};
        assert_eq!(steps(&[1, 2, 3]), (vec![Next, Next, Next], 0));
        assert_eq!(steps(&[1, 3]), (vec![Next, Gap(1)], 1));
        assert_eq!(steps(&[1, 1]), (vec![Next, Duplicate], 0));
        assert_eq!(steps(&[1, 3, 2, 4]), (vec![Next, Gap(1), Late, Next], 0));
        assert_eq!(steps(&[1, 5, 3, 3, 2]), (vec![Next, Gap(3), Late, Duplicate, Late], 1));
    }

    #[test]
    fn receipts_know_what_was_received_however_it_came() {
        let mut receipts = Receipts::default();
        for index in (0..1_000).rev().filter(|index| *index != 321) {
            assert!(receipts.take(index));
            assert!(!receipts.take(index));
        }
        assert_eq!((receipts.count(), receipts.reached()), (999, 1_000));
        assert!((0..1_000).all(|index| receipts.has(index) == (index != 321)));
        assert!(receipts.take(321));
        assert!(receipts.has(321) && !receipts.has(1_000));
        assert!(receipts.words.len() <= 1, "full words are dropped");
    }

    #[test]
    fn receipts_tell_orders_apart() {
        let order = |indexes: [u32; 3]| {
            let mut receipts = Receipts::default();
            indexes.into_iter().for_each(|index| assert!(receipts.take(index)));
            receipts.order()
        };
        assert_ne!(order([0, 1, 2]), order([1, 0, 2]));
        let orders = [order([0, 1, 2]), order([0, 2, 1]), order([0, 1, 2])];
        assert_eq!(common_order(orders.into_iter()), Some(orders[0]));
    }
}
