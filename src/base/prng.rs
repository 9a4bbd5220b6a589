//! A seeded generator of numbers that cannot be guessed from earlier ones.
//!
//! Lives on: every core.
//! Below the doors nothing is random of its own: a shard is given a seed, from the kernel in production and from the
//! test in the simulator, and draws everything from it: session secrets, invite codes, jitter. So it is a stream cipher
//! (ChaCha8), not a statistical generator: a client that sees its session id learns nothing about the next invite code.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// A seeded generator.
#[derive(Debug, Clone)]
pub struct Prng(ChaCha8Rng);

impl Prng {
    /// A generator whose whole future follows from a small number. For tests and the simulator.
    pub fn new(seed: u64) -> Self {
        Prng(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A generator from 256 bits of the kernel's.
    pub fn from_entropy(seed: [u8; 32]) -> Self {
        Prng(ChaCha8Rng::from_seed(seed))
    }

    /// 64 more bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `numerator` of `denominator` cases.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_futures_and_bounds_hold() {
        let (mut a, mut b) = (Prng::new(7), Prng::new(7));
        for _ in 0..1_000 {
            assert_eq!(a.next_u64(), b.next_u64());
            assert!(a.below(10) < 10);
            b.below(10);
        }
        assert_eq!(a.below(0), 0);
    }
}
