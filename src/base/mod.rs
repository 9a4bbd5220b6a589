//! The ground floor: ids, the clock, seeded randomness, slabs with generations, sets of their places, sets with ranks,
//! measurements. Knows nothing above it.
//!
//! Lives on: every core.

pub mod clock;
pub mod fatal;
pub mod few;
pub mod id;
pub mod idmap;
pub mod metrics;
pub mod murmur;
pub mod places;
pub mod prng;
pub mod ranked;
pub mod slab;
pub mod virtual_shard;
