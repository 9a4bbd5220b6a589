//! Ids of sessions.
//!
//! Lives on: every core.
//! A session id says where the session lives (its home core and its place there) and carries 64 bits that cannot be
//! guessed: resuming needs no table, and a stale or invented id finds nothing. 32 hexadecimal digits on the wire.

use std::fmt;
use std::str::FromStr;

use crate::base::slab::Key;
use crate::mail::site::Site;

/// Names one session for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Where it lives.
    pub home: Site,
    /// Its place there. The generation is cut to 16 bits on the wire; `secret` tells tenants apart.
    pub key: Key,
    /// Unguessable, and different after every restart.
    pub secret: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.key.generation & 0xffff;
        write!(f, "{:04x}{:08x}{generation:04x}{:016x}", self.home.bits(), self.key.index, self.secret)
    }
}

impl FromStr for SessionId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let part = |range: std::ops::Range<usize>| u64::from_str_radix(&text[range], 16).map_err(|_| ());
        Ok(SessionId {
            home: Site::from_bits(part(0..4)? as u16),
            key: Key { index: part(4..12)? as u32, generation: part(12..16)? as u32 },
            secret: part(16..32)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_survives_the_wire_and_garbage_does_not_parse() {
        let id = SessionId { home: Site::new(0, 3), key: Key { index: 77, generation: 9 }, secret: 0xfeed };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
        assert_eq!("".parse::<SessionId>(), Err(()));
        assert_eq!("é".repeat(16).parse::<SessionId>(), Err(()));
    }
}
