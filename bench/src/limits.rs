//! Every bound of the load generator, with its reason.

use std::time::Duration;

/// Bytes read from a socket at once, into the one buffer of a thread: the backlog of a resumed session comes in few reads.
pub const READ_BYTES: usize = 256 * 1024;
/// Bytes of one frame. A GUILD_CREATE of the largest guilds has some megabytes; more is a broken stream.
pub const FRAME_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of an HTTP answer's head.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Events taken from epoll at once.
pub const EVENTS: usize = 1_024;
/// Handshakes under way per thread, from connect to the last guild.
pub const HANDSHAKES_MAX: usize = 512;
/// From connect to the last guild, when nothing else is going on.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(60);
/// Times that a session tries to connect in a row before it is given up. It waits twice as long each time, some 15 s in all.
pub const ATTEMPTS_MAX: u32 = 5;
/// The longest that a thread sleeps, so that it sees orders.
pub const NAP: Duration = Duration::from_millis(20);
/// Sessions per source address, far below the kernel's range of 28,000 ports.
pub const SESSIONS_PER_ADDRESS: u32 = 10_000;
/// Keep-alive connections of the poster.
pub const POSTERS_MAX: usize = 64;
/// How long the poster waits for the last answers.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Without a delivery for this long, what is missing counts as lost.
pub const STALL_TIME: Duration = Duration::from_secs(10);
/// Without a further session for this long, connecting is over.
pub const CONNECT_STALL_TIME: Duration = Duration::from_secs(30);
/// After the last delivery: time for a duplicate to show itself.
pub const AFTERGLOW: Duration = Duration::from_millis(300);
/// How long the server has to close the connections after the run.
pub const PARTING_TIME: Duration = Duration::from_secs(5);
/// Messages of one run: bounds the tables that are kept per message.
pub const MESSAGES_MAX: u32 = 10_000_000;
/// Faults that are described; all are counted.
pub const FAULTS_TOLD: usize = 50;
/// Characters of a message's content: Discord's bound.
pub const CONTENT_MAX: usize = 2_000;
/// Busier than this is saturated.
pub const SATURATED: f64 = 0.95;
/// The longest latency that the histograms hold, in microseconds: ten minutes.
pub const LATENCY_US_MAX: u64 = 600_000_000;
/// Bytes of a message for a peer, at least: the marker must fit, so that all messages have one length.
pub const PEER_BYTES_MIN: usize = 96;
/// And at most: what peers take in one message by default is less.
pub const PEER_BYTES_MAX: usize = 1024 * 1024;
/// Latency that grows by more than this, in seconds per second, shows a server that falls behind: it delivers 5% less than it
/// is given.
pub const GROWTH_MAX: f64 = 0.05;
/// Messages of one step: bounds what is kept of each.
pub const PEER_MESSAGES_MAX: u32 = 1_000_000;
/// Messages per second that a search for the limit goes up to: the poster itself has one thread.
pub const PEER_RATE_MAX: f64 = 50_000.0;
/// Steps of a search for the limit: 15 doublings and as many halvings as make the answer 5% exact.
pub const PEER_STEPS_MAX: u32 = 20;
/// The distance between what was kept up and what was not at which the search ends.
pub const PEER_STEP_MIN: f64 = 1.05;
/// How long a step of a search waits for what is still on its way: a server that was given far too much may take minutes for it.
pub const PEER_DRAIN_TIME: Duration = Duration::from_secs(20);
/// After this, a search begins no further step and answers with what it knows.
pub const PEER_SEARCH_TIME: Duration = Duration::from_secs(240);
