//! Virtual shards: the owners that guilds and users are hashed to.
//!
//! Lives on: every core and the store's threads.
//! Ten bits of every id name the virtual shard of the guild or user that minted it, so the owner of anything is a pure
//! function of its id. Which core decides for a virtual shard says `mail::placement`.

use serde::{Deserialize, Serialize};

use crate::base::id::Id;

/// One of the [`VirtualShard::COUNT`] owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VirtualShard(u16);

impl VirtualShard {
    /// How many there are: ten bits.
    pub const COUNT: u16 = 1 << 10;

    /// The owner of any id that a guild or user minted, itself included.
    pub const fn of<T>(id: Id<T>) -> Self {
        VirtualShard(id.place())
    }

    /// A virtual shard by hash, for something that has no id yet.
    pub const fn hashed(random: u64) -> Self {
        VirtualShard((random % Self::COUNT as u64) as u16)
    }

    /// Its number, for minting.
    pub const fn number(self) -> u16 {
        self.0
    }
}
