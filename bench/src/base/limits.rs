//! Every bound of the load generator, with its reason.

use std::time::Duration;

/// Bytes read from a socket at once, into the one buffer of a thread: some hundred deliveries, and it stays in the
/// CPU's cache.
pub const READ_BYTES: usize = 64 * 1024;
/// Bytes of one frame. A GUILD_CREATE of the largest guilds has some megabytes; more is a broken stream.
pub const FRAME_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of an HTTP answer's head.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Events taken from epoll at once.
pub const EVENTS: usize = 1_024;
/// First handshakes under way in the whole pool, from connect to the last guild: fewer than a listener's backlog.
pub const HANDSHAKES_MAX: u32 = 512;
/// Handshakes under way at a time when a million connect: as many as a listener's usual backlog holds, so that the
/// server's threads, be they two or fifty, always find some.
pub const HANDSHAKES_CROWD_MAX: u32 = 4_096;
/// Connections that a thread begins before it reads: a few milliseconds.
pub const CONNECTS_IN_A_ROW: usize = 64;
/// Threads that connect at a time, if all threads have something to connect.
pub const THREADS_CONNECTING: u32 = 4;
/// Sessions that a thread asks to do something before it reads: a millisecond or two.
pub const ASKED_IN_A_ROW: usize = 128;
/// Until a thread asks again whether it may connect; while one waits for another's handshakes nothing wakes it.
pub const GATE_PAUSE: Duration = Duration::from_millis(2);
/// Between two times that a thread brings its latencies to those of all threads: adding up costs more than a turn.
pub const LATENCY_PAUSE: Duration = Duration::from_millis(100);
/// Stack of a pool's thread, of which it touches a small part. JSON of 128 levels, as deep as the parser goes, fits
/// well.
pub const STACK_BYTES: usize = 512 * 1024;
/// From connect to the last guild, when nothing else is going on.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(60);
/// Times that a session tries to connect in a row before it is given up. It waits twice as long each time, some 15 s in
/// all.
pub const ATTEMPTS_MAX: u8 = 5;
/// The longest that a thread sleeps, so that it sees orders. Fifty threads then wake a thousand times a second for
/// nothing.
pub const NAP: Duration = Duration::from_millis(50);
/// If there are more threads than CPUs, each sleeps for so long times their number before it asks what has come: else a
/// message to all would wake a thread for each of its sessions, and the server would pay for that. It is less than a
/// hundredth of what a message to so many takes.
pub const DOZE: Duration = Duration::from_micros(100);
/// The heartbeats of a thread's sessions fall on multiples of this, so that the thread wakes eight times a second for
/// them and not for each of some hundred. Clients on hosts of their own would cost a server's host none of that.
pub const BEAT_GRID: Duration = Duration::from_millis(128);
/// Intervals of fewer multiples than this are kept exactly: else half a multiple would be more than a hundredth of
/// them.
pub const BEAT_GRID_LEAST: u64 = 50;
/// Sessions per source address. The kernel has some 28,000 ports for each and looks for a free one by trying: with few
/// in use it finds one at once, and threads do not meet in the same address.
pub const SESSIONS_PER_ADDRESS: u32 = 512;
/// Descriptors of a table that are not for sessions: one in so many, and a few for the thread itself.
pub const DESCRIPTORS_SPARED: u64 = 20;
/// The few.
pub const DESCRIPTORS_OWN: u64 = 16;
/// Keep-alive connections of the poster.
pub const POSTERS_MAX: usize = 64;
/// How long the poster waits for the last answers.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Without a delivery for this long, what is missing counts as lost.
pub const STALL_TIME: Duration = Duration::from_secs(10);
/// Requests that are made at the same time overtake each other by some milliseconds, on a busy server by more. When a
/// session ends, what was intended within this time before need not have come, even if something later has.
pub const OVERTAKING_TIME: Duration = Duration::from_secs(2);
/// Without a further session for this long, connecting is over.
pub const CONNECT_STALL_TIME: Duration = Duration::from_secs(30);
/// After the last delivery: time for a duplicate to show itself.
pub const AFTERGLOW: Duration = Duration::from_millis(300);
/// How long the server has to close the connections after the run.
pub const PARTING_TIME: Duration = Duration::from_secs(5);
/// Events of one stream: bounds the tables that are kept per event.
pub const EVENTS_MAX: u32 = 10_000_000;
/// Faults that are described; all are counted.
pub const FAULTS_TOLD: usize = 50;
/// Characters of a message's content: Discord's bound.
pub const CONTENT_MAX: usize = 2_000;
/// Busier than this is saturated.
pub const SATURATED: f64 = 0.95;
/// The longest latency that the histograms hold, in microseconds: ten minutes.
pub const LATENCY_US_MAX: u64 = 600_000_000;
/// From the start of a server's process until it serves: it may have a large database to open.
pub const SERVER_START_TIME: Duration = Duration::from_secs(60);
/// From SIGTERM to the end of the server's process: longer than its own bound for a drain.
pub const SERVER_STOP_TIME: Duration = Duration::from_secs(90);
/// How long a server has to show that it supports something.
pub const PROBE_TIME: Duration = Duration::from_secs(2);
/// Members of a guild that a server may count as large at least: Discord's bound is 75,000.
pub const LARGE_MEMBERS_MIN: u64 = 1_000;
/// After a message has come to a session that looks at a guild: until then it has come to all others who get it.
pub const PASSIVE_TIME: Duration = Duration::from_millis(500);
/// Bytes of a trace's line: a guild's declaration with [`TRACE_CHANNELS_MAX`] channels needs a quarter of it.
pub const TRACE_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Actions of a trace, 32 bytes each: 1.6 GB.
pub const TRACE_ACTIONS_MAX: usize = 50_000_000;
/// Guilds of a trace: a declaration has some hundred bytes, and channels.
pub const TRACE_GUILDS_MAX: u32 = 1_000_000;
/// Channels of a guild over the whole trace, deleted ones included. Discord has 500 at a time.
pub const TRACE_CHANNELS_MAX: u32 = 5_000;
/// People who are online at some time, over all guilds of a trace: a million sessions in some tens of guilds each.
pub const TRACE_PEOPLE_MAX: u64 = 1 << 26;
/// zstd's own default: lines of a trace shrink to about a tenth, at a few hundred megabytes per second.
pub const TRACE_ZSTD_LEVEL: i32 = 3;

// The million.

/// Messages of each of the two streams: one every second for half an hour.
pub const MILLION_MESSAGES_MAX: u32 = 2_000;
/// Without a further session for this long, a step is given up: more than one look of a busy server at all its
/// sessions.
pub const MILLION_PATIENCE: Duration = Duration::from_secs(60);
/// The server is watched at rest in so many parts: how much they differ shows how exact their mean is.
pub const MILLION_REST_PARTS: u32 = 15;
/// After the last change of a member list: longer than servers wait until they have told it to all. Guildhall tells
/// numbers alone once in 5 s, and rests for ten times as long as a round took: 3.5 s if it told 30,000 windows'
/// lookers.
pub const MILLION_LISTS_REST: Duration = Duration::from_secs(20);

// The raw gateway.

/// Sockets of one descriptor table: below the 20,000 that some machines do not let anybody raise, less [`TABLE_SPARE`].
pub const SOCKETS_PER_TABLE: usize = 19_000;
/// Descriptors of a table that are no sockets: standard streams, epoll, a ring, and an eventfd for each of the threads.
pub const TABLE_SPARE: usize = 500;
/// Sockets per thread that threads are counted out for: the kernel spreads connections by chance, and some threads get
/// more.
pub const SOCKETS_PER_TABLE_PLANNED: u32 = 18_300;
/// Threads, each with an eventfd in each table: a million sockets take 55.
pub const GATEWAY_THREADS_MAX: u32 = 256;
/// Connections that wait to be accepted, per thread; the kernel's own default bound.
pub const BACKLOG: i32 = 4_096;
/// Connections accepted in a row before those that are here get their turn.
pub const ACCEPTS: usize = 256;
/// Bytes of what a client says at once: Discord's bound of a gateway command.
pub const COMMAND_BYTES_MAX: usize = 4_096;
/// Bytes of a posted message: content of the longest kind with every character escaped, and as much again around it.
pub const BODY_BYTES_MAX: usize = 32 * 1024;
/// Messages that a thread has not begun to send. More are refused, or wait in the generator.
pub const GATEWAY_QUEUE_MAX: usize = 4_096;
/// Bytes that are joined to one send: a socket's buffer takes them at once when it is empty.
pub const COALESCED_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all renderings of one send to all sessions: sessions that came at different times need different ones.
pub const RENDERED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes kept for one socket that does not take them. Beyond that it is closed.
pub const UNSENT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes kept for all sockets of a thread. Beyond that no further message is begun until there are fewer.
pub const UNSENT_BYTES_IN_ALL_MAX: usize = 64 * 1024 * 1024;
/// Sends in one call of io_uring: more gained nothing.
pub const URING_BATCH: usize = 256;
/// Seconds of a scenario's traffic: a day.
pub const SCENARIO_SECONDS_MAX: f64 = 86_400.0;
/// Members of one guild: the largest that there are have some ten million.
pub const SCENARIO_MEMBERS_MAX: f64 = 1e9;
/// A rate of a scenario, per second: far above what any server reaches, so that a slip of the pen is noticed.
pub const SCENARIO_RATE_MAX: f64 = 1e6;
/// Channels of a guild at a time: Discord's bound.
pub const SCENARIO_CHANNELS_MAX: u32 = 500;
/// Up to this many guilds of a group are made smaller by a scale; of more, there are fewer. Twenty guilds are still a
/// few large ones, of which each matters; hundreds are a crowd, of which a part behaves as the whole.
pub const SCENARIO_GUILDS_KEPT: u32 = 20;
/// Sessions of a guild that was made smaller: enough for some to be cut, to leave, or to be hidden from, while others
/// talk.
pub const SCENARIO_SESSIONS_MIN: u32 = 5;
/// How far a scenario can be enlarged.
pub const SCENARIO_SCALE_MAX: f64 = 100.0;
/// Bytes of a message for a peer, at least: the marker must fit, so that all messages have one length.
pub const PEER_BYTES_MIN: usize = 96;
/// And at most: what peers take in one message by default is less.
pub const PEER_BYTES_MAX: usize = 1024 * 1024;
/// Latency that grows by more than this, in seconds per second, shows a server that falls behind: it delivers 5% less
/// than it is given.
pub const GROWTH_MAX: f64 = 0.05;
/// Messages of one step: bounds what is kept of each.
pub const PEER_MESSAGES_MAX: u32 = 1_000_000;
/// Messages per second that a search for the limit goes up to: the poster itself has one thread.
pub const PEER_RATE_MAX: f64 = 50_000.0;
/// Steps of a search for the limit: 15 doublings and as many halvings as make the answer 5% exact.
pub const PEER_STEPS_MAX: u32 = 20;
/// The distance between what was kept up and what was not at which the search ends.
pub const PEER_STEP_MIN: f64 = 1.05;
/// Events of one name that are distinguished: a user types, joins or leaves again before the last time has reached all
/// sessions. Users do not do so four times a second; if one does, and events are late, some are taken for others.
pub const LEDGER_MARKS_MAX: usize = 256;
/// How long an event is distinguished from later ones of its name: longer than any that is received at all takes.
pub const LEDGER_TIME: Duration = Duration::from_secs(60);
/// How long a step of a search waits for what is still on its way: a server that was given far too much may take
/// minutes for it.
pub const PEER_DRAIN_TIME: Duration = Duration::from_secs(20);
/// After this, a search begins no further step and answers with what it knows.
pub const PEER_SEARCH_TIME: Duration = Duration::from_secs(240);
