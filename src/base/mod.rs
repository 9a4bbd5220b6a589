//! The ground floor: ids, the clock, seeded randomness, slabs with generations, measurements. Knows nothing above it.
//!
//! Lives on: every core.

pub mod clock;
pub mod few;
pub mod id;
pub mod idmap;
pub mod metrics;
pub mod prng;
pub mod slab;
