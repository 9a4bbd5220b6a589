//! What a connection has agreed on, and how its client has behaved: what goes with a socket to another core.
//!
//! Lives on: the core that has the socket.

use crate::base::clock::Time;
use crate::net::compression::Format;

/// How a client has behaved on its connection so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    /// When the client last sent a heartbeat, or was accepted.
    pub beat_at: Time,
    /// Commands in the present window.
    pub commands: u16,
    /// When the window began.
    pub window_began: Time,
}

impl Conduct {
    /// Of a client that was just accepted.
    pub fn fresh(now: Time) -> Conduct {
        Conduct { beat_at: now, commands: 0, window_began: now }
    }
}

/// What a connection has agreed on when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Gateway version, 9 or 10.
    pub version: u8,
    /// `compress`; `None` is not at all.
    pub compression: Option<Format>,
}
