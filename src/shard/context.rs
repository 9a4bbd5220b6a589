//! What all sides of a shard may use: which core it is, who owns what, randomness, counters.
//!
//! Lives on: its core.
//! Nothing here belongs to a guild, a user or a session.

use std::time::Duration;

use crate::base::id::Mint;
use crate::base::metrics::Metrics;
use crate::base::prng::Prng;
use crate::limits;
use crate::mail::placement::Placement;
use crate::mail::site::Site;

/// Which sessions get no messages until they subscribe, and how often they get unread marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passivity {
    /// Members above which a guild is large for people.
    pub above: u64,
    /// Between two updates of what is unread.
    pub every: Duration,
}

impl Default for Passivity {
    fn default() -> Passivity {
        Passivity { above: limits::PASSIVE_ABOVE, every: limits::PASSIVE_UPDATE_TIME }
    }
}

/// What all sides of a shard may use.
#[derive(Debug)]
pub(super) struct Context {
    /// Which core this is.
    pub(super) me: Site,
    /// All cores.
    pub(super) placement: Placement,
    /// All randomness of the shard.
    pub(super) prng: Prng,
    /// Makes ids.
    pub(super) mint: Mint,
    /// What is a large guild.
    pub(super) passivity: Passivity,
    /// No new session may begin.
    pub(super) draining: bool,
    /// The shard leaves notes for the recorder.
    pub(super) recording: bool,
    /// What this core measured.
    pub(super) metrics: Metrics,
}
