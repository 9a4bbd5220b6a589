//! A list that nearly always has one entry.
//!
//! Lives on: every core.
//! The one is kept in place; more are on the heap, and come back when one is left.

use std::slice;

/// No entry, one, or more.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Few<T> {
    /// No entry.
    #[default]
    None,
    /// One, as nearly always.
    One(T),
    /// Two or more.
    More(Box<Vec<T>>),
}

impl<T> Few<T> {
    /// The entries.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(one) => slice::from_ref(one),
            Few::More(more) => more,
        }
    }

    /// One after the other.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    /// One after the other, for change.
    pub fn iter_mut(&mut self) -> slice::IterMut<'_, T> {
        match self {
            Few::None => [].iter_mut(),
            Few::One(one) => slice::from_mut(one).iter_mut(),
            Few::More(more) => more.iter_mut(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        matches!(self, Few::None)
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, entry: T) {
        self.insert(self.as_slice().len(), entry);
    }

    /// Adds an entry before the one at `place`.
    ///
    /// # Panics
    /// If there are fewer entries than that.
    pub fn insert(&mut self, place: usize, entry: T) {
        *self = match std::mem::take(self) {
            Few::None => {
                assert_eq!(place, 0, "there is no entry yet");
                Few::One(entry)
            }
            Few::One(one) => {
                let mut more = vec![one];
                more.insert(place, entry);
                Few::More(Box::new(more))
            }
            Few::More(mut more) => {
                more.insert(place, entry);
                Few::More(more)
            }
        };
    }

    /// Takes out the entry at `place`.
    ///
    /// # Panics
    /// If there is none.
    pub fn remove_at(&mut self, place: usize) -> T {
        let (removed, rest) = match std::mem::take(self) {
            Few::None => panic!("there is no entry"),
            Few::One(one) => {
                assert_eq!(place, 0, "there is one entry");
                (one, Few::None)
            }
            Few::More(mut more) => {
                let removed = more.remove(place);
                let last = if more.len() == 1 { more.pop() } else { None };
                (removed, last.map_or(Few::More(more), Few::One))
            }
        };
        *self = rest;
        removed
    }
}

impl<T: PartialEq> Few<T> {
    /// Takes an entry out, the first of equal ones. Says whether there was one.
    pub fn remove(&mut self, entry: T) -> bool {
        let place = self.iter().position(|other| *other == entry);
        place.map(|place| self.remove_at(place)).is_some()
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut few = Few::None;
        for entry in entries {
            few.push(entry);
        }
        few
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn few_equal_a_plain_list() {
        for seed in 0..50 {
            let mut prng = Prng::new(seed);
            let (mut few, mut list) = (Few::default(), Vec::new());
            for _ in 0..100 {
                let entry = prng.below(5);
                if prng.chance(1, 2) {
                    let place = prng.below(list.len() as u64 + 1) as usize;
                    few.insert(place, entry);
                    list.insert(place, entry);
                } else {
                    let place = list.iter().position(|other| *other == entry);
                    assert_eq!(few.remove(entry), place.map(|place| list.remove(place)).is_some());
                }
                assert_eq!((few.as_slice(), few.is_empty()), (&list[..], list.is_empty()));
                assert_eq!(matches!(few, Few::More(_)), list.len() > 1, "the heap is for more than one");
            }
            assert_eq!(list.iter().copied().collect::<Few<u64>>(), few);
        }
    }
}
