//! Hash maps keyed by ids that this server minted.
//!
//! Lives on: every core.
//! The hash is one multiplication with a fixed constant: quick, and the same in every run, so that nothing below the
//! doors depends on hash order chosen at random. Keys come from our own mint or are looked up only, so no client can
//! crowd a bucket.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map with deterministic order for equal histories.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Multiplicative hashing of small integers (Knuth 6.4).
#[derive(Debug, Default, Clone, Copy)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }
}
