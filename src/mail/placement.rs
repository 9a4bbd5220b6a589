//! Who owns an id: the one file that knows.
//!
//! Lives on: every core.
//! Ten bits of every id are the virtual shard of its guild or user. A table maps each virtual shard to the [`Site`]
//! that decides for it: changing the number of cores moves virtual shards, never ids. No caller may assume that an
//! owner is on this node; [`Placement::local_core`] alone turns a site into a core of this process.

use std::sync::Arc;

use crate::base::id::Id;
pub use crate::base::virtual_shard::VirtualShard;
use crate::limits::{CORES_MAX, VIRTUAL_SHARDS};
use crate::mail::site::Site;

const _: () = assert!(VIRTUAL_SHARDS == VirtualShard::COUNT, "an id has ten bits for its owner");

/// The sites of this cluster, and which of them owns each virtual shard.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Cores of this node.
    cores: usize,
    /// This process.
    node: u8,
    /// By number of the virtual shard.
    owners: Arc<[Site; VIRTUAL_SHARDS as usize]>,
}

impl Placement {
    /// One node with `cores` cores, over which virtual shards are spread round-robin.
    pub fn over(cores: usize) -> Self {
        assert!((1..=CORES_MAX).contains(&cores), "a node has 1 to {CORES_MAX} cores");
        let owners = std::array::from_fn(|shard| Site::new(0, (shard % cores) as u8));
        Placement { cores, node: 0, owners: Arc::new(owners) }
    }

    /// All cores of all nodes.
    pub fn all(&self) -> impl Iterator<Item = Site> + use<> {
        let node = self.node;
        (0..self.cores).map(move |core| Site::new(node, core as u8))
    }

    /// Which core of this process a site is; `None` for another node's, or one that does not exist.
    pub fn local_core(&self, site: Site) -> Option<usize> {
        let core = usize::from(site.core);
        (site.node == self.node && core < self.cores).then_some(core)
    }

    /// The core that decides for a virtual shard.
    pub fn owner_of(&self, shard: VirtualShard) -> Site {
        self.owners[usize::from(shard.number())]
    }

    /// The core that decides for the guild or user which minted `id`.
    pub fn owner<T>(&self, id: Id<T>) -> Site {
        self.owner_of(VirtualShard::of(id))
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
            assert!(placement.local_core(placement.owner(guild)).is_some_and(|core| core < cores));
        }
    }
    #[test]
    fn a_site_of_another_node_or_beyond_the_cores_is_no_local_core() {
        let placement = Placement::over(3);
        assert_eq!(
            placement.all().map(|site| placement.local_core(site)).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2)]
        );
        assert_eq!(placement.local_core(Site::new(0, 3)), None);
        assert_eq!(placement.local_core(Site::new(1, 0)), None);
    }
}
