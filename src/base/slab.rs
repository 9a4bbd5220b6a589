//! A slab whose keys carry a generation, so that a stale key finds nothing instead of somebody else.
//!
//! Lives on: every core.

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
    places: Vec<Place<T>>,
    free: u32,
    len: usize,
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { places: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Takes a value in and says where it is.
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if self.free == NONE {
            let index = u32::try_from(self.places.len()).expect("fewer than 2^32 entries");
            self.places.push(Place::Taken { generation: 0, value });
            return Key { index, generation: 0 };
        }
        let index = self.free;
        let place = &mut self.places[index as usize];
        let Place::Free { next, generation } = *place else { unreachable!("the free list holds free places") };
        self.free = next;
        *place = Place::Taken { generation, value };
        Key { index, generation }
    }

    /// Gives the value back, if the key is still good.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let place = &mut self.places[key.index as usize];
        let freed = Place::Free { next: self.free, generation: key.generation.wrapping_add(1) };
        let Place::Taken { value, .. } = std::mem::replace(place, freed) else { unreachable!("checked by get") };
        self.free = key.index;
        self.len -= 1;
        Some(value)
    }

    /// The value, if the key is still good.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.places.get(key.index as usize) {
            Some(Place::Taken { generation, value }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value for change, if the key is still good.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.places.get_mut(key.index as usize) {
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
        self.places.iter().enumerate().filter_map(|(index, place)| match place {
            Place::Taken { generation, value } => Some((Key { index: index as u32, generation: *generation }, value)),
            Place::Free { .. } => None,
        })
    }

    /// The keys at places `from..from + count`, for sweeps that proceed a little each turn.
    pub fn keys_in(&self, from: u32, count: u32) -> impl Iterator<Item = Key> {
        let end = (from as usize).saturating_add(count as usize).min(self.places.len());
        let start = (from as usize).min(end);
        self.places[start..end].iter().enumerate().filter_map(move |(offset, place)| match place {
            Place::Taken { generation, .. } => Some(Key { index: (start + offset) as u32, generation: *generation }),
            Place::Free { .. } => None,
        })
    }

    /// How many places there are, taken or free.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
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
}
