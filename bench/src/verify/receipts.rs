//! Did every session get everything once and in order? Three judges that look at different things: [`Sequence`] at the
//! numbers of the dispatches on one session, [`Receipt`] at the events of one stream on one session, and
//! [`Receipt::order`] at whether the sessions saw the same order.

/// Numbers that were left out: sorted ranges, both ends included, none empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Gaps(Vec<(u64, u64)>);

impl Gaps {
    /// These are left out too. They lie above all others.
    pub fn push(&mut self, first: u64, last: u64) {
        match self.0.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => self.0.push((first, last)),
        }
    }

    /// This one has come. Says whether it had been left out.
    pub fn fill(&mut self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        let Some((first, last)) = self.0.get(at).copied().filter(|(first, _)| *first <= number) else { return false };
        // What is left of the range on either side, without its end.
        let halves = [(first, number), (number + 1, last + 1)];
        let left = halves.into_iter().filter(|(start, end)| start < end).map(|(start, end)| (start, end - 1));
        self.0.splice(at..=at, left);
        true
    }

    /// How many are left out.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The ranges, both ends included.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }
}

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
    /// Boxed, since nearly no session has any.
    gaps: Option<Box<Gaps>>,
}

impl Sequence {
    /// The highest number so far, which a resume names.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// How many are still left out.
    pub fn missing(&self) -> u64 {
        self.gaps.as_ref().map_or(0, |gaps| gaps.count())
    }

    /// Takes the number of the next dispatch.
    pub fn take(&mut self, s: u64) -> Step {
        if s == self.last + 1 {
            self.last = s;
            return Step::Next;
        }
        if s > self.last {
            let left_out = (self.last + 1, s - 1);
            self.gaps.get_or_insert_default().push(left_out.0, left_out.1);
            self.last = s;
            return Step::Gap(left_out.1 - left_out.0 + 1);
        }
        let was_missing = self.gaps.as_mut().is_some_and(|gaps| gaps.fill(s));
        if was_missing { Step::Late } else { Step::Duplicate }
    }
}

/// What it means that an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It came for the first time.
    New,
    /// It has been here before.
    Again,
    /// It is of the time before the session was entitled: it may come or not.
    Early,
    /// It is optional, and it is not known whether it has been here.
    Idle,
    /// The session is not entitled to the stream.
    Leaked,
}

/// The number from which on those are entitled who are not.
const NEVER: u32 = u32::MAX;
/// Events that the window shows.
const WINDOW: u32 = u64::BITS;

/// Which events of one stream one session has received, from when on it was entitled to them, and in which order they
/// came.
///
/// 32 bytes as long as events come about in the order of their numbers: a window of 64 events moves up, and only what
/// it leaves behind that should have come is remembered one by one.
#[derive(Debug)]
pub struct Receipt {
    /// Bit `i`: event `base + i` is here.
    window: u64,
    order: u64,
    /// What is rare.
    beyond: Option<Box<Beyond>>,
    /// All events from `from` up to here are here, in the gaps, or of no interest.
    base: u32,
    /// The first event that must come.
    from: u32,
}

#[derive(Debug, Default)]
struct Beyond {
    /// Events below the window that have not come and should.
    gaps: Gaps,
    /// Times that are over.
    past: Vec<Past>,
}

/// A time for which a session was entitled and no longer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The first event that had to come.
    pub from: u32,
    /// The first that had not.
    pub until: u32,
    /// Those between that did not come.
    pub gaps: Gaps,
}

impl Default for Receipt {
    fn default() -> Self {
        Receipt { window: 0, order: 0, beyond: None, base: 0, from: NEVER }
    }
}

impl Receipt {
    /// Of a session that is entitled to the whole stream.
    pub fn from_start() -> Receipt {
        let mut receipt = Receipt::default();
        receipt.begin(0);
        receipt
    }

    /// From this event on, the session is entitled.
    pub fn begin(&mut self, from: u32) {
        (self.window, self.order, self.base, self.from) = (0, 0, from, from);
    }

    /// The session is no longer entitled. Events below `least` must have come, those below `most` if a later one did:
    /// those above may have been on their way when it ended, and overtaken by others. Says where its time ended.
    pub fn end(&mut self, least: u32, most: u32) -> u32 {
        let until = self.reached().min(most).max(least).max(self.from);
        let mut gaps = Gaps::default();
        self.holes(until, |first, end| gaps.push(u64::from(first), u64::from(end) - 1));
        let past = Past { from: self.from, until, gaps };
        let beyond = self.beyond.get_or_insert_default();
        beyond.gaps = Gaps::default();
        beyond.past.push(past);
        self.from = NEVER;
        until
    }

    /// From which event on the session is entitled, if it is.
    pub fn from(&self) -> Option<u32> {
        (self.from != NEVER).then_some(self.from)
    }

    /// The times that are over.
    pub fn past(&self) -> &[Past] {
        self.beyond.as_ref().map_or(&[], |beyond| &beyond.past)
    }

    /// An event came; `must` says of events whether they must.
    pub fn take(&mut self, index: u32, must: impl Fn(u32) -> bool) -> Taken {
        if self.from == NEVER {
            return Taken::Leaked;
        }
        if index < self.from {
            return Taken::Early;
        }
        let again = |must: bool| if must { Taken::Again } else { Taken::Idle };
        let obliged = must(index);
        if index < self.base {
            let was_missing = self.beyond.as_mut().is_some_and(|beyond| beyond.gaps.fill(u64::from(index)));
            if !was_missing {
                return again(obliged);
            }
        } else {
            if index - self.base >= WINDOW {
                self.slide(index - self.base - (WINDOW - 1), must);
            }
            let bit = 1 << (index - self.base);
            if self.window & bit != 0 {
                return again(obliged);
            }
            self.window |= bit;
            let full = self.window.trailing_ones();
            self.window = self.window.checked_shr(full).unwrap_or(0);
            self.base += full;
        }
        if obliged {
            self.order = fold(self.order, index);
        }
        Taken::New
    }

    /// Moves the window up; what has not come until now is remembered.
    fn slide(&mut self, by: u32, must: impl Fn(u32) -> bool) {
        let (window, base) = (self.window, self.base);
        let is_here = |at: u32| at < WINDOW && window & (1 << at) != 0;
        for at in (0..by).filter(|at| !is_here(*at) && must(base + at)) {
            let index = u64::from(base + at);
            self.beyond.get_or_insert_default().gaps.push(index, index);
        }
        self.window = window.checked_shr(by).unwrap_or(0);
        self.base += by;
    }

    /// The highest event received, plus one.
    pub fn reached(&self) -> u32 {
        self.base + (WINDOW - self.window.leading_zeros())
    }

    /// Everything below `until` that has not come, as ranges without their ends, in order. Optional events may
    /// be among them.
    pub fn holes(&self, until: u32, mut each: impl FnMut(u32, u32)) {
        for (first, last) in self.beyond.iter().flat_map(|beyond| beyond.gaps.ranges()) {
            let end = (*last as u32 + 1).min(until);
            if (*first as u32) < end {
                each(*first as u32, end);
            }
        }
        let reached = self.reached().min(until);
        for index in self.base..reached {
            if self.window & (1 << (index - self.base)) == 0 {
                each(index, index + 1);
            }
        }
        if reached < until {
            each(reached, until);
        }
    }

    /// Whether an event is here.
    pub fn has(&self, index: u32) -> bool {
        let mut has = index >= self.from && index < self.reached();
        self.holes(self.reached(), |first, end| has &= !(first..end).contains(&index));
        has
    }

    /// Depends on which events that must come came, and in which order: equal on two sessions if they saw the same.
    pub fn order(&self) -> u64 {
        self.order
    }
}

fn fold(order: u64, index: u32) -> u64 {
    (order ^ (u64::from(index) + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// The order that most of the complete sessions saw; any other is out of order.
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
    use crate::base::random::Chance;

    fn steps(numbers: &[u64]) -> (Vec<Step>, u64) {
        let mut sequence = Sequence::default();
        let steps = numbers.iter().map(|s| sequence.take(*s)).collect();
        (steps, sequence.missing())
    }

    fn holes(receipt: &Receipt, until: u32) -> Vec<u32> {
        let mut all = Vec::new();
        receipt.holes(until, |first, end| all.extend(first..end));
        all
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
    fn gaps_are_filled_one_by_one() {
        let mut gaps = Gaps::default();
        gaps.push(0, 2);
        gaps.push(3, 4);
        gaps.push(9, 9);
        assert_eq!((gaps.ranges(), gaps.count()), (&[(0, 4), (9, 9)][..], 6));
        assert!(gaps.fill(0) && gaps.fill(3) && gaps.fill(9) && !gaps.fill(9) && !gaps.fill(5));
        assert_eq!(gaps.ranges(), [(1, 2), (4, 4)]);
    }

    #[test]
    fn receipts_know_what_was_received_however_it_came() {
        // Against a naive model: events in a window of disorder, some lost, some twice, one in five optional.
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            let (from, count) = (chance.between(0, 50) as u32, 600u32);
            let reach = [3, 60, 70, 400][seed as usize % 4];
            let mut events: Vec<(u64, u32)> =
                (0..count).map(|index| (u64::from(index) + chance.between(0, reach), index)).collect();
            events.sort_unstable();
            let must = |index: u32| !index.is_multiple_of(5);
            let mut receipt = Receipt::default();
            receipt.begin(from);
            let mut model = std::collections::BTreeSet::new();
            for (_, index) in events {
                if chance.share() < 0.1 {
                    continue;
                }
                for _ in 0..=u32::from(chance.share() < 0.1) {
                    let expected = match (index < from, model.insert(index)) {
                        (true, _) => Taken::Early,
                        (false, true) => Taken::New,
                        (false, false) => Taken::Again,
                    };
                    let taken = receipt.take(index, must);
                    // What need not come is not remembered for long.
                    assert!(taken == expected || !must(index) && taken == Taken::Idle, "seed {seed}, event {index}");
                }
            }
            let lost: Vec<u32> = (from..count).filter(|index| must(*index) && !model.contains(index)).collect();
            let found: Vec<u32> = holes(&receipt, count).into_iter().filter(|index| must(*index)).collect();
            assert_eq!(found, lost, "seed {seed}");
            assert_eq!(receipt.reached(), model.last().map_or(from, |last| last + 1).max(from));
            assert!((from..count).all(|index| !must(index) || receipt.has(index) == model.contains(&index)));
        }
    }

    #[test]
    fn a_receipt_is_small_and_needs_nothing_else_as_long_as_all_goes_well() {
        assert_eq!(size_of::<Receipt>(), 32);
        let mut receipt = Receipt::default();
        receipt.begin(0);
        assert!((0..10_000u32).all(|index| receipt.take(index ^ 1, |_| true) == Taken::New));
        assert!(receipt.beyond.is_none());
        assert_eq!((receipt.reached(), holes(&receipt, 10_000)), (10_000, vec![]));
    }

    #[test]
    fn a_time_that_is_over_is_kept_with_what_it_missed() {
        let all = |_| true;
        let mut receipt = Receipt::default();
        assert_eq!(receipt.take(4, all), Taken::Leaked);
        receipt.begin(2);
        assert_eq!([1, 2, 4].map(|index| receipt.take(index, all)), [Taken::Early, Taken::New, Taken::New]);
        assert_eq!(receipt.end(3, 9), 5);
        assert_eq!(receipt.take(5, all), Taken::Leaked);
        receipt.begin(8);
        assert_eq!((receipt.from(), receipt.take(8, all), receipt.end(20, 20)), (Some(8), Taken::New, 20));
        // What a later one has overtaken shortly before the end is not missing.
        receipt.begin(30);
        assert!([30, 32, 99].into_iter().all(|index| receipt.take(index, all) == Taken::New));
        assert_eq!(receipt.end(30, 33), 33);
        let past = |from, until, first, last| Past { from, until, gaps: Gaps(vec![(first, last)]) };
        let pasts = [past(2, 5, 3, 3), past(8, 20, 9, 19), past(30, 33, 31, 31)];
        assert_eq!((receipt.past(), receipt.from()), (&pasts[..], None));
    }

    #[test]
    fn receipts_tell_orders_apart() {
        let order = |indexes: [u32; 3]| {
            let mut receipt = Receipt::default();
            receipt.begin(0);
            indexes.into_iter().for_each(|index| assert_eq!(receipt.take(index, |_| true), Taken::New));
            receipt.order()
        };
        assert_ne!(order([0, 1, 2]), order([1, 0, 2]));
        let orders = [order([0, 1, 2]), order([0, 2, 1]), order([0, 1, 2])];
        assert_eq!(common_order(orders.into_iter()), Some(orders[0]));
    }
}
