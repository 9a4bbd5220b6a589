//! Where something lives: a node and one of its cores.
//!
//! Lives on: every core.
//! 16 bits, so that a session id carries its home in four hexadecimal digits. A node is one process; the only one is 0.
//! Read next: `placement`, which maps owners to sites.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

const _: () = assert!(limits::CORES_MAX <= 1 << u8::BITS, "a core's number fits its half of a site");

/// One core of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The process.
    pub node: u8,
    /// Its core, by number from 0.
    pub core: u8,
}

impl Site {
    /// A core of a node.
    pub const fn new(node: u8, core: u8) -> Site {
        Site { node, core }
    }

    /// Both numbers in one, the node's in the upper half.
    pub const fn bits(self) -> u16 {
        (self.node as u16) << 8 | self.core as u16
    }

    /// The reverse of [`Site::bits`].
    pub const fn from_bits(bits: u16) -> Site {
        Site { node: (bits >> 8) as u8, core: bits as u8 }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.core)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_sixteen_bits_and_node_zero_keeps_the_numbers_of_its_cores() {
        assert_eq!(size_of::<Site>(), 2);
        assert_eq!(Site::new(0, 255).bits(), 255);
        for bits in [0, 1, 0x00ff, 0x0100, 0xffff] {
            assert_eq!(Site::from_bits(bits).bits(), bits);
        }
        assert!(Site::new(0, 255) < Site::new(1, 0));
    }
}
