//! A set of places in a slab, walked through in their order.
//!
//! Lives on: every core.
//! What lies side by side in memory is visited side by side. A few places are a sorted list; more are a bitmap, an
//! eighth of a byte for each where they lie close together.

use roaring::RoaringBitmap;
use smallvec::SmallVec;

/// Places, ascending.
#[derive(Debug)]
pub enum Places {
    /// A few.
    Few(SmallVec<[u32; 4]>),
    /// More.
    Many(Box<RoaringBitmap>),
}

/// So many are kept as a list: to insert in the middle moves a cache line or two.
const FEW: usize = 64;

impl Default for Places {
    fn default() -> Self {
        Places::Few(SmallVec::new())
    }
}

impl Places {
    /// Adds a place. Says whether it was not there.
    pub fn insert(&mut self, place: u32) -> bool {
        match self {
            Places::Many(many) => many.insert(place),
            Places::Few(few) => match few.binary_search(&place) {
                Ok(_) => false,
                Err(at) if few.len() < FEW => {
                    few.insert(at, place);
                    true
                }
                Err(_) => {
                    let mut many: RoaringBitmap = few.iter().copied().collect();
                    many.insert(place);
                    *self = Places::Many(Box::new(many));
                    true
                }
            },
        }
    }

    /// Takes a place out. Says whether it was there.
    pub fn remove(&mut self, place: u32) -> bool {
        match self {
            Places::Few(few) => few.binary_search(&place).map(|at| few.remove(at)).is_ok(),
            Places::Many(many) => {
                let was_there = many.remove(place);
                // Not at once when one has come too many: a set that stays at the border would be made anew each time.
                if was_there && many.len() as usize <= FEW / 2 {
                    *self = Places::Few(many.iter().collect());
                }
                was_there
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        match self {
            Places::Few(few) => few.is_empty(),
            Places::Many(many) => many.is_empty(),
        }
    }

    /// Hands the first `count` places from `from` on to `each`. To find the first takes as long as a look at each
    /// sixty-four thousand places of the slab.
    pub fn each_from(&self, from: u32, count: usize, each: impl FnMut(u32)) {
        match self {
            Places::Few(few) => {
                let first = few.partition_point(|place| *place < from);
                few[first..].iter().copied().take(count).for_each(each);
            }
            Places::Many(many) => many.range(from..).take(count).for_each(each),
        }
    }

    /// All places.
    pub fn all(&self) -> Vec<u32> {
        let mut all = Vec::new();
        self.each_from(0, usize::MAX, |place| all.push(place));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn places_equal_a_tree_of_them() {
        for seed in 0..40 {
            let mut prng = Prng::new(seed);
            // From sets that stay a list to sets of several containers.
            let most = [20, 100, 300, 200_000][seed as usize % 4];
            let (mut places, mut tree) = (Places::default(), BTreeSet::new());
            let mut turned = (false, false);
            for round in 0..1_200 {
                let place = prng.below(most) as u32;
                let growing = round / 300 % 2 == 0;
                if prng.chance(if growing { 9 } else { 1 }, 10) {
                    assert_eq!(places.insert(place), tree.insert(place));
                } else {
                    let place = tree.range(place..).next().copied().unwrap_or(place);
                    assert_eq!(places.remove(place), tree.remove(&place));
                }
                match &places {
                    Places::Many(_) => turned.0 = true,
                    Places::Few(_) => turned.1 |= turned.0,
                }
                let (from, count) = (prng.below(most + 2) as u32, prng.below(10) as usize);
                let mut some = Vec::new();
                places.each_from(from, count, |place| some.push(place));
                assert!(some.iter().eq(tree.range(from..).take(count)), "{from} {count}");
                assert_eq!(places.is_empty(), tree.is_empty());
            }
            assert!(places.all().iter().eq(&tree));
            assert_eq!(turned, (most > 20, most > 20 && tree.len() < FEW), "{most} {}", tree.len());
        }
    }
}
