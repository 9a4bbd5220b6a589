//! A slab whose keys carry a generation, so that a stale key finds nothing instead of another value.
//!
//! Lives on: every core.
//! Places come in pages: a slab of a million grows by one page at a time, without a copy and without room for another
//! million.

/// Where something is in a [`Slab`], and which tenant of that place is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The place. Small numbers are reused first.
    pub index: u32,
    /// Counts the tenants of the place.
    pub generation: u32,
}

#[derive(Debug)]
enum Place<T> {
    Free { next: u32, generation: u32 },
    Taken { generation: u32, value: T },
}

/// Values under keys that are never reused. Iteration is in order of places, so it is deterministic.
#[derive(Debug)]
pub struct Slab<T> {
    /// All but the last are full.
    pages: Vec<Vec<Place<T>>>,
    free: u32,
    len: usize,
}

const NONE: u32 = u32::MAX;
/// Places of a page. The first page grows like any list: most slabs are small.
const PAGE: usize = 1_024;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { pages: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Takes a value in and says where it is.
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if self.free == NONE {
            let index = u32::try_from(self.count()).expect("fewer than 2^32 entries");
            if index as usize == self.pages.len() * PAGE {
                let room = if self.pages.is_empty() { 0 } else { PAGE };
                self.pages.push(Vec::with_capacity(room));
            }
            let page = self.pages.last_mut().expect("there is one now");
            page.push(Place::Taken { generation: 0, value });
            return Key { index, generation: 0 };
        }
        let index = self.free;
        let place = self.place_mut(index).expect("the free list holds places");
        let Place::Free { next, generation } = *place else { unreachable!("the free list holds free places") };
        *place = Place::Taken { generation, value };
        self.free = next;
        Key { index, generation }
    }

    /// Gives the value back, if the key is still good.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let freed = Place::Free { next: self.free, generation: key.generation.wrapping_add(1) };
        let place = self.place_mut(key.index)?;
        let Place::Taken { value, .. } = std::mem::replace(place, freed) else { unreachable!("checked by get") };
        self.free = key.index;
        self.len -= 1;
        Some(value)
    }

    /// The value, if the key is still good.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.place(key.index) {
            Some(Place::Taken { generation, value }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value for change, if the key is still good.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.place_mut(key.index) {
            Some(Place::Taken { generation, value }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values with their keys, by place.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.pages.iter().flatten().enumerate().filter_map(|(index, place)| match place {
            Place::Taken { generation, value } => Some((Key { index: index as u32, generation: *generation }, value)),
            Place::Free { .. } => None,
        })
    }

    /// The keys at places `from..from + count`, for sweeps that proceed a little each turn.
    pub fn keys_in(&self, from: u32, count: u32) -> impl Iterator<Item = Key> {
        let end = from.saturating_add(count).min(self.places());
        (from.min(end)..end).filter_map(|index| self.key_at(index))
    }

    /// The key of the value at a place, if the place is taken.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        match self.place(index)? {
            Place::Taken { generation, .. } => Some(Key { index, generation: *generation }),
            Place::Free { .. } => None,
        }
    }

    /// How many places there are, taken or free.
    pub fn places(&self) -> u32 {
        self.count() as u32
    }

    fn count(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    fn place(&self, index: u32) -> Option<&Place<T>> {
        self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)
    }

    fn place_mut(&mut self, index: u32) -> Option<&mut Place<T>> {
        self.pages.get_mut(index as usize / PAGE)?.get_mut(index as usize % PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::default();
        let a = slab.insert("a");
        assert_eq!(slab.remove(a), Some("a"));
        let b = slab.insert("b");
        assert_eq!(b.index, a.index);
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get_mut(b), Some(&mut "b"));
        assert_eq!(slab.len(), 1);
        assert_eq!(slab.keys_in(0, 10).collect::<Vec<_>>(), [b]);
    }

    #[test]
    fn pages_follow_each_other() {
        let mut slab = Slab::default();
        let count = 2 * PAGE as u32 + 3;
        let keys: Vec<Key> = (0..count).map(|value| slab.insert(value)).collect();
        assert!(keys.iter().map(|key| key.index).eq(0..count));
        assert_eq!((slab.places(), slab.len()), (count, count as usize));
        assert!(slab.iter().map(|(key, value)| (key.index, *value)).eq((0..count).map(|value| (value, value))));
        let (from, near) = (PAGE as u32 - 1, 3);
        assert!(slab.keys_in(from, near).map(|key| key.index).eq(from..from + near));
        assert_eq!(slab.keys_in(count - 1, 10).collect::<Vec<_>>(), keys[count as usize - 1..]);
        assert_eq!(slab.keys_in(count, 10).count(), 0);
        assert_eq!(slab.remove(keys[PAGE]), Some(PAGE as u32));
        assert_eq!(slab.insert(7).index, PAGE as u32);
        assert_eq!(slab.get(keys[PAGE]), None);
    }
}
