//! Who owns an id: the one file that knows.
//!
//! Lives on: every core.
//! Ten bits of every id are the virtual shard of the guild or user that it belongs to. Virtual shards are spread over the
//! cores round-robin, so that changing the number of cores moves virtual shards, never ids. Later a virtual shard may map to
//! another host as well; nobody else assumes that an owner is local.

use crate::base::id::Id;
use crate::limits::VIRTUAL_SHARDS;

/// A core, by number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoreId(pub u16);

impl CoreId {
    /// As an index into a table of cores.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One of the [`VIRTUAL_SHARDS`] owners that guilds and users are hashed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualShard(u16);

impl VirtualShard {
    /// The owner of any id that a guild or user minted, itself included.
    pub const fn of<T>(id: Id<T>) -> Self {
        VirtualShard(id.place() % VIRTUAL_SHARDS)
    }

    /// A virtual shard by hash, for something that has no id yet.
    pub const fn hashed(random: u64) -> Self {
        VirtualShard((random % VIRTUAL_SHARDS as u64) as u16)
    }

    /// Its number, for minting.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// How virtual shards are spread over the cores of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    cores: u16,
}

impl Placement {
    /// Over `cores` cores, at least one.
    pub const fn over(cores: u16) -> Self {
        assert!(cores > 0);
        Placement { cores }
    }

    /// How many cores there are.
    pub const fn cores(self) -> u16 {
        self.cores
    }

    /// All cores.
    pub fn all(self) -> impl Iterator<Item = CoreId> {
        (0..self.cores).map(CoreId)
    }

    /// The core that decides for a virtual shard.
    pub const fn core_of(self, shard: VirtualShard) -> CoreId {
        CoreId(shard.0 % self.cores)
    }

    /// The core that decides for the guild or user which minted `id`.
    pub const fn owner<T>(self, id: Id<T>) -> CoreId {
        self.core_of(VirtualShard::of(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{GuildId, Mint};

    #[test]
    fn everything_a_guild_mints_has_the_guilds_owner_whatever_the_number_of_cores() {
        let mut mint = Mint::inside();
        let shard = VirtualShard::hashed(0xdead_beef);
        let guild: GuildId = mint.mint(1_700_000_000_000, shard.number());
        let channel: GuildId = mint.mint(1_700_000_111_000, VirtualShard::of(guild).number());
        for cores in [1, 2, 5, 52] {
            let placement = Placement::over(cores);
            assert_eq!(placement.owner(guild), placement.owner(channel));
            assert!(placement.owner(guild).0 < cores);
        }
    }
}
