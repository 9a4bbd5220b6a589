//! An ordered set that knows ranks: how many keys stand before one, and which key stands at a place.
//!
//! Lives on: every core.
//! A B+-tree whose forks count the keys below each branch. All keys are in leaves of up to `NODE`, so an insertion
//! moves half a leaf at most and allocates only when a leaf splits; nothing ever grows by doubling.
//! Invariant: keys ascend, leaves are equally deep, none but the root is empty, and counts are true.

use smallvec::SmallVec;

/// An ordered set that knows ranks.
#[derive(Debug, Clone)]
pub struct Ranked<K, const NODE: usize = 64> {
    root: Node<K>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node<K> {
    Leaf(Vec<K>),
    Fork(Box<Fork<K>>),
}

#[derive(Debug, Clone)]
struct Fork<K> {
    /// What is below branch `n + 1` is not less than bound `n`; what is below branch `n` is less.
    bounds: Vec<K>,
    /// Keys below each branch.
    counts: Vec<u32>,
    branches: Vec<Node<K>>,
}

/// What came of putting a key below a branch.
enum Put<K> {
    Known,
    Done,
    /// The branch has become two: the second with its bound.
    Split(K, Node<K>),
}

impl<K, const NODE: usize> Default for Ranked<K, NODE> {
    fn default() -> Self {
        Ranked { root: Node::Leaf(Vec::new()), len: 0 }
    }
}

impl<K: Ord + Clone, const NODE: usize> Ranked<K, NODE> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a key. Says whether it was not there.
    pub fn insert(&mut self, key: K) -> bool {
        match self.root.insert::<NODE>(key) {
            Put::Known => return false,
            Put::Done => {}
            Put::Split(bound, right) => {
                let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
                let counts = vec![left.count(), right.count()];
                self.root = Node::Fork(Box::new(Fork { bounds: vec![bound], counts, branches: vec![left, right] }));
            }
        }
        self.len += 1;
        true
    }

    /// Takes a key away. Says whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        if !self.root.remove::<NODE>(key) {
            return false;
        }
        self.len -= 1;
        if let Node::Fork(fork) = &mut self.root
            && fork.branches.len() == 1
        {
            let only = fork.branches.pop().expect("there is one");
            self.root = only;
        }
        true
    }

    /// How many keys stand before this one: `Ok` if it is there itself, else `Err`, as with a slice's `binary_search`.
    pub fn rank(&self, key: &K) -> Result<usize, usize> {
        let (mut node, mut before) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(keys) => {
                    return keys.binary_search(key).map(|at| before + at).map_err(|at| before + at);
                }
                Node::Fork(fork) => {
                    let at = fork.branch(key);
                    before += fork.counts[..at].iter().sum::<u32>() as usize;
                    node = &fork.branches[at];
                }
            }
        }
    }

    /// The keys from a place on, in order.
    pub fn from(&self, rank: usize) -> RankedWalk<'_, K> {
        let mut walk = RankedWalk { forks: SmallVec::new(), keys: [].iter() };
        let (mut node, mut left) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(keys) => {
                    walk.keys = keys[left.min(keys.len())..].iter();
                    return walk;
                }
                Node::Fork(fork) => {
                    let mut at = 0;
                    while at + 1 < fork.branches.len() && left >= fork.counts[at] as usize {
                        left -= fork.counts[at] as usize;
                        at += 1;
                    }
                    walk.forks.push(fork.branches[at + 1..].iter());
                    node = &fork.branches[at];
                }
            }
        }
    }

    /// A set of keys that ascend already; much quicker than to insert them, and the leaves are nearly full.
    pub fn from_ascending(keys: impl IntoIterator<Item = K>) -> Self {
        let full = (NODE - NODE / 8).max(2);
        let mut level: Vec<Node<K>> = Vec::new();
        let mut bounds: Vec<K> = Vec::new();
        let mut len = 0;
        let mut leaf = Vec::new();
        for key in keys {
            if leaf.len() == full {
                level.push(Node::Leaf(std::mem::take(&mut leaf)));
            }
            if leaf.is_empty() {
                leaf.reserve_exact(NODE);
                if !level.is_empty() {
                    bounds.push(key.clone());
                }
            }
            debug_assert!(leaf.last().is_none_or(|last| *last < key), "keys ascend");
            leaf.push(key);
            len += 1;
        }
        level.push(Node::Leaf(leaf));
        while level.len() > 1 {
            let parts = level.len().div_ceil(full);
            let (mut above, mut above_bounds) = (Vec::with_capacity(parts), Vec::new());
            let (mut nodes, mut between) = (level.into_iter(), bounds.into_iter());
            let total = nodes.len();
            for part in 0..parts {
                // Spread evenly, so that no fork has a single branch.
                let size = total * (part + 1) / parts - total * part / parts;
                let branches: Vec<Node<K>> = nodes.by_ref().take(size).collect();
                let counts = branches.iter().map(Node::count).collect();
                let bounds = between.by_ref().take(size - 1).collect();
                above.push(Node::Fork(Box::new(Fork { bounds, counts, branches })));
                above_bounds.extend(between.next());
            }
            (level, bounds) = (above, above_bounds);
        }
        Ranked { root: level.pop().expect("there is one"), len }
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        assert_eq!(self.root.check::<NODE>(None, None, true).1 as usize, self.len);
    }
}

impl<K: Ord + Clone> Node<K> {
    /// Branches, or keys.
    fn size(&self) -> usize {
        match self {
            Node::Leaf(keys) => keys.len(),
            Node::Fork(fork) => fork.branches.len(),
        }
    }

    fn count(&self) -> u32 {
        match self {
            Node::Leaf(keys) => keys.len() as u32,
            Node::Fork(fork) => fork.counts.iter().sum(),
        }
    }

    fn insert<const NODE: usize>(&mut self, key: K) -> Put<K> {
        match self {
            Node::Leaf(keys) => {
                let Err(at) = keys.binary_search(&key) else { return Put::Known };
                if keys.len() < NODE {
                    // Small sets stay small; from then on a leaf has its full size at once.
                    if keys.len() == keys.capacity() && keys.len() >= NODE / 4 {
                        keys.reserve_exact(NODE - keys.len());
                    }
                    keys.insert(at, key);
                    return Put::Done;
                }
                let mut right = Vec::with_capacity(NODE);
                right.extend(keys.drain(NODE / 2..));
                if at <= NODE / 2 {
                    keys.insert(at, key);
                } else {
                    right.insert(at - NODE / 2, key);
                }
                Put::Split(right[0].clone(), Node::Leaf(right))
            }
            Node::Fork(fork) => {
                let at = fork.branch(&key);
                match fork.branches[at].insert::<NODE>(key) {
                    Put::Known => Put::Known,
                    Put::Done => {
                        fork.counts[at] += 1;
                        Put::Done
                    }
                    Put::Split(bound, node) => {
                        fork.counts[at] = fork.branches[at].count();
                        fork.counts.insert(at + 1, node.count());
                        fork.bounds.insert(at, bound);
                        fork.branches.insert(at + 1, node);
                        if fork.branches.len() <= NODE {
                            return Put::Done;
                        }
                        let (bound, right) = fork.split();
                        Put::Split(bound, Node::Fork(Box::new(right)))
                    }
                }
            }
        }
    }

    fn remove<const NODE: usize>(&mut self, key: &K) -> bool {
        match self {
            Node::Leaf(keys) => {
                let Ok(at) = keys.binary_search(key) else { return false };
                keys.remove(at);
                true
            }
            Node::Fork(fork) => {
                let at = fork.branch(key);
                if !fork.branches[at].remove::<NODE>(key) {
                    return false;
                }
                fork.counts[at] -= 1;
                if fork.branches[at].size() <= NODE / 4 {
                    fork.mend::<NODE>(at);
                }
                true
            }
        }
    }

    /// How deep the leaves are, and how many keys there are.
    fn check<const NODE: usize>(&self, from: Option<&K>, below: Option<&K>, root: bool) -> (usize, u32) {
        assert!(self.size() <= NODE && (root || self.size() > 0), "a node is not empty, and not too large");
        match self {
            Node::Leaf(keys) => {
                assert!(keys.is_sorted_by(|a, b| a < b), "keys ascend");
                assert!(keys.first().is_none_or(|first| from.is_none_or(|from| from <= first)));
                assert!(keys.last().is_none_or(|last| below.is_none_or(|below| last < below)));
                (0, keys.len() as u32)
            }
            Node::Fork(fork) => {
                let branches = fork.branches.len();
                assert!(branches > 1 && fork.bounds.len() + 1 == branches && fork.counts.len() == branches);
                let mut depths = None;
                for (at, branch) in fork.branches.iter().enumerate() {
                    let from = at.checked_sub(1).map_or(from, |before| Some(&fork.bounds[before]));
                    let (depth, count) = branch.check::<NODE>(from, fork.bounds.get(at).or(below), false);
                    assert_eq!(*depths.get_or_insert(depth), depth, "leaves are equally deep");
                    assert_eq!(count, fork.counts[at], "counts are true");
                }
                (depths.expect("there are branches") + 1, self.count())
            }
        }
    }
}

impl<K: Ord + Clone> Fork<K> {
    /// The branch where a key is, or would be.
    fn branch(&self, key: &K) -> usize {
        self.bounds.partition_point(|bound| bound <= key)
    }

    /// Gives its second half away, with the bound between the halves.
    fn split(&mut self) -> (K, Fork<K>) {
        let half = self.branches.len() / 2;
        let right = Fork {
            bounds: self.bounds.split_off(half),
            counts: self.counts.split_off(half),
            branches: self.branches.split_off(half),
        };
        (self.bounds.pop().expect("there were as many bounds as branches to the right"), right)
    }

    /// A branch has become small: joins it with a neighbour, or has the two share.
    fn mend<const NODE: usize>(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        if left + 1 >= self.branches.len() {
            return;
        }
        let right = self.branches.remove(left + 1);
        let bound = self.bounds.remove(left);
        self.counts.remove(left + 1);
        let fits = self.branches[left].size() + right.size() <= NODE - NODE / 4;
        let rest = match (&mut self.branches[left], right) {
            (Node::Leaf(keys), Node::Leaf(mut more)) => {
                if fits {
                    keys.append(&mut more);
                    None
                } else {
                    let half = (keys.len() + more.len()) / 2;
                    if keys.len() < half {
                        keys.extend(more.drain(..half - keys.len()));
                    } else {
                        more.splice(..0, keys.drain(half..));
                    }
                    Some((more[0].clone(), Node::Leaf(more)))
                }
            }
            (Node::Fork(fork), Node::Fork(more)) => {
                fork.bounds.push(bound);
                fork.bounds.extend(more.bounds);
                fork.counts.extend(more.counts);
                fork.branches.extend(more.branches);
                (!fits).then(|| {
                    let (bound, right) = fork.split();
                    (bound, Node::Fork(Box::new(right)))
                })
            }
            (Node::Leaf(_), Node::Fork(_)) | (Node::Fork(_), Node::Leaf(_)) => {
                unreachable!("leaves are equally deep")
            }
        };
        self.counts[left] = self.branches[left].count();
        if let Some((bound, right)) = rest {
            self.bounds.insert(left, bound);
            self.counts.insert(left + 1, right.count());
            self.branches.insert(left + 1, right);
        }
    }
}

/// Keys from a place on.
#[derive(Debug, Clone)]
pub struct RankedWalk<'a, K> {
    /// What is still to come of each fork above.
    forks: SmallVec<[std::slice::Iter<'a, Node<K>>; 6]>,
    keys: std::slice::Iter<'a, K>,
}

impl<'a, K> Iterator for RankedWalk<'a, K> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        loop {
            if let Some(key) = self.keys.next() {
                return Some(key);
            }
            match self.forks.last_mut()?.next() {
                None => drop(self.forks.pop()),
                Some(Node::Leaf(keys)) => self.keys = keys.iter(),
                Some(Node::Fork(fork)) => self.forks.push(fork.branches.iter()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    /// Against a naive model: a sorted vector. Small nodes, so that the tree is deep.
    #[test]
    fn a_ranked_set_equals_a_sorted_vector() {
        for seed in 0..60 {
            let mut prng = Prng::new(seed);
            let span = [20, 300, 3_000][seed as usize % 3];
            let mut model: Vec<u64> = (0..span).filter(|_| prng.chance(seed % 4, 4)).collect();
            let mut set: Ranked<u64, 4> = Ranked::from_ascending(model.iter().copied());
            set.invariants();
            for step in 0..1_500 {
                let key = prng.below(span);
                let place = model.binary_search(&key);
                // It grows and shrinks by turns.
                if prng.chance(if step / 300 % 2 == 0 { 3 } else { 1 }, 4) {
                    if let Err(at) = place {
                        model.insert(at, key);
                    }
                    assert_eq!(set.insert(key), place.is_err());
                } else {
                    if let Ok(at) = place {
                        model.remove(at);
                    }
                    assert_eq!(set.remove(&key), place.is_ok());
                }
                let key = prng.below(span + 1);
                assert_eq!(set.rank(&key), model.binary_search(&key), "seed {seed} step {step}");
                let from = prng.below(model.len() as u64 + 2) as usize;
                let some: Vec<u64> = set.from(from).take(10).copied().collect();
                assert_eq!(some, model[from.min(model.len())..(from + 10).min(model.len())]);
                if step % 50 == 0 {
                    set.invariants();
                }
            }
            set.invariants();
            assert!(set.from(0).eq(model.iter()) && set.len() == model.len());
            for key in &model {
                assert!(set.remove(key));
            }
            set.invariants();
            assert!(set.is_empty() && set.from(0).next().is_none());
        }
    }

    #[test]
    fn what_ascends_is_taken_over_at_once_and_can_be_changed_then() {
        for count in [0, 1, 55, 56, 57, 112, 3_136, 3_137, 10_000] {
            let mut set: Ranked<u64> = Ranked::from_ascending((0..count).map(|n| 2 * n));
            set.invariants();
            assert_eq!(set.len() as u64, count);
            for n in 0..count {
                assert_eq!(set.rank(&(2 * n)), Ok(2 * n as usize));
                assert!(set.insert(2 * n + 1));
            }
            set.invariants();
            assert!(set.from(0).copied().eq(0..2 * count));
        }
    }
}
