//! What requests claim, so that changes do not overtake each other.
//!
//! Lives on: made by requests, held on the owner's core while a commit is under way.

use smallvec::SmallVec;

use crate::base::id::{ChannelId, MessageId, UserId};

/// Changes that must not overtake each other: while one is being committed, others with the same claim wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Settings, channels, roles.
    Structure,
    /// One member.
    Member(UserId),
    /// One message.
    Message(MessageId),
    /// The pins of a channel, of which there may be only so many.
    Pins(ChannelId),
    /// One `enforce_nonce`, hashed: a repeat waits for the first. Another nonce of the same hash waits too, briefly.
    Nonce(u64),
    /// One account.
    Account(UserId),
}

impl Claim {
    /// Whether the claimed thing is in the store alone: a look-up from before its change is then stale.
    pub fn is_of_stored(self) -> bool {
        match self {
            Claim::Message(_) => true,
            Claim::Structure | Claim::Member(_) | Claim::Pins(_) | Claim::Nonce(_) | Claim::Account(_) => false,
        }
    }
}

/// All claims of one request.
pub type Claims = SmallVec<[Claim; 2]>;
