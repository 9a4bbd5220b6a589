//! A window of a member list: the rows that its subscribers were last sent, and the changes from there to the present
//! rows.
//!
//! Lives on: the guild's core. A window is a block of rows, the same for everybody who looks at it, so a change is
//! rendered once. Clients keep one array for a list and apply what they are sent to it. So rows are inserted and
//! deleted only in equal numbers, or where the whole list is in the first window: nothing that stands elsewhere is
//! moved, whatever else a client looks at. A window remembers which rows it was told, not what they looked like: that
//! would be a hundred members for each window. Which members have changed since is remembered once for the whole list.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::guild::list::order::{RowKey, Rows};
use crate::limits;
use crate::mail::site::Site;

/// A window with subscribers.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Cores with subscribers, and the highest number since the last of them subscribed.
    pub cores: SmallVec<[(Site, u32); 2]>,
    /// What they were last sent; `None` before the first answer.
    pub last_sent: Option<LastSent>,
}

/// What those who look at a window were last sent.
#[derive(Debug)]
pub(super) struct LastSent {
    pub rows: Rows,
    /// The numbers that came with it.
    pub head: Bytes,
    /// When.
    pub at: Time,
    /// The list's count of changes up to which members look as they were sent.
    pub seen: u64,
    /// All of it, rendered, if many look; and whether anybody has begun to since the last round.
    pub whole: Option<(Bytes, bool)>,
}

impl LastSent {
    /// Whether numbers alone are worth an event again.
    pub fn numbers_are_due(&self, now: Time) -> bool {
        now.since(self.at) >= limits::LIST_NUMBERS_TIME
    }
}

impl Window {
    /// How many look at it.
    pub fn lookers(&self) -> u32 {
        self.cores.iter().map(|(_, lookers)| lookers).sum()
    }

    /// Whether so many look that to tell them takes up a tick's share.
    pub fn is_crowded(&self) -> bool {
        self.lookers() > limits::LIST_CROWD
    }
}

/// A change of rows, by places in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowChange {
    /// The row there goes.
    Delete(usize),
    /// What then is there comes in.
    Insert(usize),
    /// What then is there looks different.
    Update(usize),
}

/// The way from rows to other rows; `None` if it is simpler to send all of them. `whole`: no other window of the list
/// was sent. `changed`: who looks different.
pub(super) fn steps(
    before: &Rows,
    after: &Rows,
    whole: bool,
    changed: impl Fn(UserId) -> bool,
) -> Option<Vec<RowChange>> {
    let full = limits::LIST_BLOCK as usize;
    let whole = whole && before.keys.len() < full && after.keys.len() < full;
    if before.keys.len() != after.keys.len() && !whole {
        return None;
    }
    let origins = origins(&before.keys, &after.keys);
    let mut steps = Vec::new();
    // From behind, so that no deletion moves what another one names.
    let mut staying = origins.iter().rev().flatten().peekable();
    for place in (0..before.keys.len()).rev() {
        if staying.next_if(|origin| **origin == place).is_none() {
            steps.push(RowChange::Delete(place));
        }
    }
    let deleted = steps.len();
    for (place, key) in after.keys.iter().enumerate() {
        let looks_different = || match *key {
            RowKey::Group(id) => before.group(id) != after.group(id),
            RowKey::Member(user) => changed(user),
        };
        match origins[place] {
            None => steps.push(RowChange::Insert(place)),
            Some(_) if looks_different() => steps.push(RowChange::Update(place)),
            Some(_) => {}
        }
    }
    let written = steps.len() - deleted;
    (4 * written <= 3 * after.keys.len().max(8)).then_some(steps)
}

/// For each row where it was, if it stays; those places ascend. Rows of both sides are walked together; where they
/// differ, the nearer of the two is looked for. Nearly always a few rows have come or gone at the ends, and it is one
/// walk.
fn origins(before: &[RowKey], after: &[RowKey]) -> Vec<Option<usize>> {
    let mut origins = vec![None; after.len()];
    let (mut from, mut to) = (0, 0);
    while from < before.len() && to < after.len() {
        if before[from] == after[to] {
            origins[to] = Some(from);
            (from, to) = (from + 1, to + 1);
            continue;
        }
        let came = before[from..].iter().position(|key| *key == after[to]);
        let went = after[to..].iter().position(|key| *key == before[from]);
        match (came, went) {
            (None, _) => to += 1,
            (Some(_), None) => from += 1,
            (Some(behind), Some(ahead)) if behind <= ahead => from += behind,
            (Some(_), Some(ahead)) => to += ahead,
        }
    }
    origins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    fn rows(of: impl IntoIterator<Item = u64>) -> Rows {
        let keys = of.into_iter().map(|id| RowKey::Member(UserId::new(id))).collect();
        Rows { keys, groups: SmallVec::new(), first: None }
    }

    #[test]
    fn a_row_that_comes_above_is_one_that_comes_and_one_that_goes() {
        let (before, after) = (rows(1..=100), rows([7_000].into_iter().chain(1..=99)));
        assert_eq!(
            steps(&before, &after, false, |_| false),
            Some(vec![RowChange::Delete(99), RowChange::Insert(0)]),
            "in every window behind it"
        );
        assert_eq!(
            steps(&after, &before, false, |user| user == UserId::new(50)),
            Some(vec![RowChange::Delete(0), RowChange::Update(49), RowChange::Insert(99)])
        );
        let moved = rows((2..=100).chain([1]));
        assert_eq!(steps(&before, &moved, false, |_| false), Some(vec![RowChange::Delete(0), RowChange::Insert(99)]));
        assert_eq!(steps(&moved, &before, false, |_| false), Some(vec![RowChange::Delete(99), RowChange::Insert(0)]));
    }

    #[test]
    fn steps_lead_from_any_rows_to_any_others() {
        let mut prng = Prng::new(3);
        for _ in 0..5_000 {
            let (span, count) = (1 + prng.below(120), prng.below(100));
            let mut any = |count: u64| {
                let mut all: Vec<u64> = (0..span).collect();
                for at in (1..all.len()).rev() {
                    if prng.chance(1, 3) {
                        all.swap(at, prng.below(at as u64 + 1) as usize);
                    }
                }
                all.truncate(count as usize);
                rows(all)
            };
            let (before, after) = (any(count), any(count));
            let Some(steps) = steps(&before, &after, true, |_| false) else { continue };
            let mut keys = before.keys.clone();
            for step in steps {
                match step {
                    RowChange::Delete(place) => drop(keys.remove(place)),
                    RowChange::Insert(place) => keys.insert(place, after.keys[place]),
                    RowChange::Update(_) => unreachable!("nobody has changed"),
                }
            }
            assert_eq!(keys, after.keys);
        }
    }

    /// Ten thousand of them are ten thousand times this.
    #[test]
    fn a_row_that_was_told_takes_two_words() {
        assert_eq!(size_of::<RowKey>(), 16);
    }
}
