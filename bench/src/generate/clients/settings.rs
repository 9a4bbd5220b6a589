//! Who is in the pool, and how it behaves.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::script::Script;
use crate::model::tokens::Tokens;
use crate::verify::marker::Marker;

/// Who is in a pool, and how it behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server is.
    pub server: SocketAddr,
    /// User tokens. If there are more sessions, tokens are used again.
    pub tokens: Arc<Tokens>,
    /// How many sessions.
    pub sessions: u32,
    /// What they may see, and what they do.
    pub script: Arc<Script>,
    /// Which events are of this run.
    pub marker: Marker,
    /// What the server understands.
    pub commands: Commands,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second, in all.
    pub connect_rate: f64,
    /// Handshakes under way at a time, in all.
    pub handshakes: u32,
    /// Threads. 0: half as many as there are CPUs, or more if the limit of open files asks for them.
    pub threads: u32,
    /// What chance depends on.
    pub seed: u64,
}

/// Which gateway commands the server understands, besides those that every session needs. What it does not understand
/// is not said, and counted as skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commands {
    /// Op 3.
    pub presence: bool,
    /// Op 4.
    pub voice: bool,
    /// Op 37: guild subscriptions.
    pub look: bool,
    /// Op 37: the rows of member lists.
    pub scroll: bool,
}

impl Commands {
    /// Everything.
    pub const ALL: Commands = Commands { presence: true, voice: true, look: true, scroll: true };
    /// None of them.
    pub const NONE: Commands = Commands { presence: false, voice: false, look: false, scroll: false };
}
