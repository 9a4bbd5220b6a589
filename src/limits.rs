//! Every bound, with its reason. Relations between bounds are asserted at the end, at compile time.
//!
//! Lives on: every core.

use std::time::Duration;

// ── who owns what ──

/// Guilds and users are hashed to this many virtual shards, which are spread over the cores. Ten bits of every id.
pub const VIRTUAL_SHARDS: u16 = 1024;
/// Cores at most: lanes are one per ordered pair, so this bounds them at 65,536.
pub const CORES_MAX: usize = 256;

/// Letters in one lane at most. A full lane makes the sender keep what follows; this only has to cover the time of one
/// turn.
pub const LANE_LETTERS: usize = 1_024;
/// Letters in one lane at least, however many cores there are: a quarter of what a turn takes in.
pub const LANE_LETTERS_MIN: usize = 64;
/// Letters in all lanes together, unless that would be fewer than [`LANE_LETTERS_MIN`] in each. Each place is memory
/// that is never given back once it was used, and there are as many lanes as pairs of cores.
pub const LANES_LETTERS: usize = 1 << 20;
/// Letters that a shard takes in before it flushes: bounds a turn.
pub const TURN_LETTERS: usize = 256;

/// Letters for which a core's mailbox keeps room when it is empty.
pub const MAILBOX_KEPT: usize = 1_024;

/// Callers that wait at one core's doors; more are refused with a retry time.
pub const WAITING_CALLERS_MAX: usize = 16_384;

// ── store ──

/// Jobs waiting for the store's threads. Past this a core keeps them itself; there are no more of them than callers who
/// wait ([`WAITING_CALLERS_MAX`]) and sessions that attach or join.
pub const STORE_QUEUE: usize = 16_384;
/// Commits put into one transaction. 1,000 a commit reach 78,000 rows/s on one disk; more only adds latency.
pub const STORE_GROUP_MAX: usize = 1_024;
/// Threads that answer reads, besides the one for those that walk through thousands of rows. WAL readers do not block
/// the writer or each other.
pub const STORE_READERS: usize = 2;
/// Quick questions asked of one snapshot. Half a millisecond; more only keeps the other readers from them.
pub const STORE_QUERIES_GROUP: usize = 32;
/// Kibibytes of pages that the writing connection caches: the upper levels of all trees of a guild of 16 million
/// members.
pub const STORE_WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Kibibytes of pages that each reading connection caches: the upper levels of the trees. The leaves are the kernel's
/// to cache; a copy of them here would count as memory of ours that grows with every member who signs in.
pub const STORE_READER_CACHE_KIB: i64 = 256;
/// Pages in the write-ahead log before it is copied back: 16 MiB, a pause of some milliseconds.
pub const STORE_CHECKPOINT_PAGES: i64 = 4_096;
/// How long a connection waits for another process that holds the database.
pub const STORE_BUSY_TIME: Duration = Duration::from_secs(10);
/// Rows that a search by name looks at, in one walk, before it answers with what it has: some 20 ms.
pub const STORE_SEARCH_ROWS_MAX: u32 = 20_000;
/// Rows that are deleted in one transaction of a sweep: some 5 ms that a commit may have to wait.
pub const STORE_SWEEP_ROWS: u32 = 1_000;
/// The writer's pause between two slices of a sweep: half a disk's time at most, and a million rows in half a minute.
pub const STORE_SWEEP_PAUSE: Duration = Duration::from_millis(20);
/// Members in one answer of the store (documented for the member list and search).
pub const MEMBERS_PAGE_MAX: u32 = 1_000;
/// Guilds in one answer of the store (documented).
pub const GUILDS_PAGE_MAX: u32 = 200;
/// Messages in one answer of the store (documented).
pub const MESSAGES_PAGE_MAX: u32 = 100;
/// Pins in one answer of the store (documented).
pub const PINS_PAGE_MAX: u32 = 50;
/// Rows per transaction when members are filled in for load tests.
pub const STORE_FILL_ROWS: u64 = 10_000;
/// Rows after which an import commits: some 15 MiB of changes, of which a crash loses the last.
pub const IMPORT_ROWS: u64 = 100_000;
/// Users that are made, or become members, in one go between two looks at [`IMPORT_ROWS`].
pub const IMPORT_BATCH: usize = 10_000;
/// Bytes of one line of an import: a guild whose members are listed in some 400,000 entries.
pub const IMPORT_LINE_BYTES: usize = 16 * 1024 * 1024;
/// Users of one import: their ids are held in memory, 8 bytes each.
pub const IMPORT_USERS_MAX: u64 = 100_000_000;
/// Characters of a prefix of users' names: leaves room in a username's 32 for a hyphen and eleven digits.
pub const IMPORT_PREFIX_CHARS_MAX: usize = 20;
/// Passwords waiting to be hashed or checked. At some 30 ms each the last one waits two seconds; past this sign-in is
/// refused as overloaded.
pub const PASSWORD_QUEUE: usize = 64;
/// Bytes of a password that are hashed; longer ones are refused, so that a request cannot buy much work.
pub const PASSWORD_BYTES_MAX: usize = 256;

// ── guilds (Discord's documented limits) ──

/// Roles of a guild, `@everyone` included.
pub const GUILD_ROLES_MAX: usize = 250;
/// Channels of a guild.
pub const GUILD_CHANNELS_MAX: usize = 500;
/// Overwrites of a channel.
pub const CHANNEL_OVERWRITES_MAX: usize = 1_000;
/// Pins of a channel (documented). The guild keeps 16 bytes of each in memory: at most 2 MB with all channels full.
pub const CHANNEL_PINS_MAX: usize = 250;
/// Notes of a user about others. The clients load them all at once: at most some 500 KB.
pub const USER_NOTES_MAX: u64 = 500;
/// Characters of a note (documented by the clients).
pub const USER_NOTE_CHARS_MAX: usize = 256;
/// Invites of a guild.
pub const GUILD_INVITES_MAX: usize = 1_000;
/// Guilds that a person founds or joins (documented). Bots are added by the operator, without a bound.
pub const USER_GUILDS_MAX: usize = 200;

/// Requests that wait for one guild to be loaded or for a change under way; more callers are refused with a retry time.
pub const GUILD_WAITING_MAX: usize = 4_096;
/// Channels of which a core remembers the guild: 16 bytes each.
pub const CHANNELS_KNOWN_MAX: usize = 1 << 20;
/// Things looked up for one request: a bulk deletion names a hundred messages.
pub const LOOKUPS_MAX: usize = 128;
/// Members in memory who are not online, per guild: users that write over REST, and known non-members.
pub const GUILD_VISITORS_MAX: usize = 4_096;

// ── messages (documented) ──

/// Characters of a message's content.
pub const CONTENT_CHARS_MAX: usize = 2_000;
/// Users, and roles, that one message can mention with effect.
pub const MENTIONS_MAX: usize = 100;
/// Embeds of a message.
pub const EMBEDS_MAX: usize = 10;
/// Characters over all embeds of a message.
pub const EMBED_CHARS_MAX: usize = 6_000;
/// Members above which a guild is large for people: their sessions get messages when they subscribe. Documented of
/// Discord's.
pub const PASSIVE_ABOVE: u64 = 75_000;
/// Between two updates of what is unread. Each is a write to every passive session: for a million of them a fifth of
/// one CPU.
pub const PASSIVE_UPDATE_TIME: Duration = Duration::from_secs(30);
/// Earlier messages remembered for `enforce_nonce`, per guild: a few minutes of one busy channel.
pub const NONCES_MAX: usize = 1_024;

// ── presences ──

/// Members up to which people get the presences of everybody: what costs the square of them stays small, and no client
/// calls such a guild large (`large_threshold` is 250 at most).
pub const PRESENCES_TO_ALL: u64 = 250;
/// Members up to which a guild comes to bots with its presences (documented).
pub const PRESENCES_MEMBERS_MAX: u64 = 75_000;
/// Presence updates that a session may send in [`PRESENCE_WINDOW`]; what is more is dropped without a word
/// (documented).
pub const PRESENCE_UPDATES_MAX: u8 = 5;
/// See [`PRESENCE_UPDATES_MAX`].
pub const PRESENCE_WINDOW: Duration = Duration::from_secs(20);
/// Activities of a session, and of a member. More are left out.
pub const ACTIVITIES_MAX: usize = 5;
/// Characters of each text of an activity; what is longer is cut.
pub const ACTIVITY_CHARS_MAX: usize = 128;
/// Bytes of what an activity has besides its texts (times, images, buttons); if it has more, that is left out.
pub const ACTIVITY_EXTRA_BYTES_MAX: usize = 1_024;
/// Bytes of what is kept of an activity: four texts, each character escaped, and the rest.
pub const ACTIVITY_BYTES_MAX: usize = 4 * 6 * ACTIVITY_CHARS_MAX + ACTIVITY_EXTRA_BYTES_MAX + 256;
/// Members that a session follows in one guild, by op 14 or 37: as many as their payload has room for, roughly.
pub const FOLLOWED_MAX: usize = 500;

// ── member lists ──

/// Rows of a window of a member list: what clients ask for at once.
pub const LIST_BLOCK: u32 = 100;
/// The last block whose rows all have numbers. Ranges beyond it are passed over.
pub const LIST_BLOCK_LAST: u32 = u32::MAX / LIST_BLOCK - 1;
/// Windows of a guild's lists that one session looks at: the first, and three where the client has scrolled to, in some
/// channels.
pub const LIST_WINDOWS_MAX: usize = 20;
/// Members up to which lists show who is offline: all of them are held in memory while a list is subscribed.
pub const LIST_OFFLINE_MAX: u64 = 1_000;
/// Members that a new list takes in before others get their turn: about a millisecond.
pub const LIST_SLICE: usize = 1_024;
/// Windows that are rendered before others get their turn: about half a millisecond.
pub const LIST_WINDOWS: usize = 16;
/// As many windows are compared with what they were told in the time in which one is rendered.
pub const LIST_COMPARISONS: usize = 4;
/// Of [`LIST_WINDOWS`] this part is kept for comparisons, so that those who scroll do not hold up what others look at.
pub const LIST_COMPARISONS_PART: usize = 4;
/// For each session that is sent an update, no other round begins for this time: a write takes a tenth of that, so the
/// updates of a guild's lists cost a tenth of a CPU, however many look. Crowds are counted apart ([`LIST_CROWD`]), and
/// cost another tenth.
pub const LIST_LOOKER_TIME: Duration = Duration::from_micros(100);
/// For each window that is compared, so long no other round begins: ten times what it takes.
pub const LIST_COMPARED_TIME: Duration = Duration::from_micros(50);
/// Sessions that look at one window above which it waits for itself, not others for it: to tell them all takes up a
/// tick's share.
pub const LIST_CROWD: u32 = 2_500;
/// Members of whom a list remembers that they have changed since windows were told. Past it windows are sent again.
pub const LIST_CHANGES_MAX: usize = 65_536;
/// Looks that wait for a list for which there is no room. Past it the oldest get nothing, until those clients scroll
/// elsewhere.
pub const LIST_LOOKS_MAX: usize = 65_536;
/// Members in all lists of a guild together, each counted once for each list that has it: some 45 bytes each, 360 MB.
/// One list is built however large it is; subscribers of another one wait until there is room, and lists that no
/// session looks at any more give way.
pub const LISTS_LINES_MAX: usize = 8_000_000;
/// Between two events that only tell how many members there are. In a large guild members always come and go.
pub const LIST_NUMBERS_TIME: Duration = Duration::from_secs(5);
/// Windows that a session waits for at once. What it has asked for besides comes when these have, and are read.
pub const LIST_OPENING_MAX: usize = 4;
/// Sessions of which it is worked out anew what they see of lists before others get their turn: less than half a
/// millisecond.
pub const LIST_LOOKERS: usize = 1_024;
/// Bytes of windows that a core holds, because they are not sent or may be asked for again. Past it sessions let go of
/// what they were sent, one after the other; if that is not enough, new subscriptions wait.
pub const LIST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Sessions that have waited for that memory and are shown what they asked for, in one tick: a few milliseconds.
pub const LIST_WAITING: usize = 1_024;
/// Windows that were rendered lately and are known by their bytes, so that they are compressed once for all who begin
/// to look.
pub const LIST_BODIES: usize = 8;
/// How long a list without subscribers is kept. To build one of a million members takes a second.
pub const LIST_UNSEEN_TIME: Duration = Duration::from_secs(60);

// ── forms (documented: Discord docs, the resources' pages) ──

/// Characters of a message's nonce.
pub const NONCE_CHARS_MAX: usize = 25;
/// Rows of components of a message.
pub const COMPONENT_ROWS_MAX: usize = 5;
/// Characters of an embed's title.
pub const EMBED_TITLE_CHARS_MAX: usize = 256;
/// Characters of an embed's description.
pub const EMBED_DESCRIPTION_CHARS_MAX: usize = 4_096;
/// Characters of an embed's footer.
pub const EMBED_FOOTER_CHARS_MAX: usize = 2_048;
/// Characters of the name of an embed's author.
pub const EMBED_AUTHOR_CHARS_MAX: usize = 256;
/// Fields of an embed.
pub const EMBED_FIELDS_MAX: usize = 25;
/// Characters of the name of an embed's field.
pub const EMBED_FIELD_NAME_CHARS_MAX: usize = 256;
/// Characters of the value of an embed's field.
pub const EMBED_FIELD_VALUE_CHARS_MAX: usize = 1_024;
/// A colour: 24 bits of red, green and blue.
pub const COLOR_MAX: i64 = 0xff_ffff;
/// Characters of a guild's name at least.
pub const GUILD_NAME_CHARS_MIN: usize = 2;
/// Characters of a guild's name.
pub const GUILD_NAME_CHARS_MAX: usize = 100;
/// Characters of a guild's description. Not documented; what clients offer.
pub const GUILD_DESCRIPTION_CHARS_MAX: usize = 300;
/// Characters of a locale: the longest documented ones have five; room for others.
pub const LOCALE_CHARS_MAX: usize = 10;
/// Characters of a channel's name.
pub const CHANNEL_NAME_CHARS_MAX: usize = 100;
/// Characters of a channel's topic.
pub const TOPIC_CHARS_MAX: usize = 1_024;
/// Seconds between two messages of one user in a channel: six hours.
pub const SLOWMODE_SECONDS_MAX: i64 = 21_600;
/// Bits per second of a voice channel at least.
pub const BITRATE_MIN: i64 = 8_000;
/// Bits per second of a voice channel, with all boosts.
pub const BITRATE_MAX: i64 = 384_000;
/// Users in a stage channel; other voice channels take 99.
pub const VOICE_USERS_MAX: i64 = 10_000;
/// Characters of a role's name.
pub const ROLE_NAME_CHARS_MAX: usize = 100;
/// Characters of a role's emoji: one emoji, which may be a sequence of code points.
pub const ROLE_EMOJI_CHARS_MAX: usize = 32;
/// Characters of a nickname.
pub const NICK_CHARS_MAX: usize = 32;
/// Seconds that an invite may be valid: seven days.
pub const INVITE_AGE_SECONDS_MAX: i64 = 604_800;
/// Seconds that an invite is valid unless the client says otherwise: a day.
pub const INVITE_AGE_SECONDS_DEFAULT: i64 = 86_400;
/// Uses of an invite.
pub const INVITE_USES_MAX: i64 = 100;
/// Characters of a username at least.
pub const USERNAME_CHARS_MIN: usize = 2;
/// Characters of a username, and of a display name.
pub const USERNAME_CHARS_MAX: usize = 32;
/// Characters of a login: an e-mail address is accepted by length, whether or not it names a user.
pub const LOGIN_CHARS_MAX: usize = 320;
/// Characters of a date: RFC 3339 with nanoseconds and an offset has 35.
pub const DATE_CHARS_MAX: usize = 64;

// ── gateway (documented unless said) ──

/// What the server asks clients to keep.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(41_250);
/// A connection without a heartbeat for this long is a zombie: one missed beat and some delay on the way.
pub const HEARTBEAT_TOLERANCE: Duration = Duration::from_millis(20_625);
/// From the first byte to a finished upgrade, or to the end of an HTTP request's head. Frees what slow-loris peers
/// hold.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// From HELLO to identify or resume.
pub const IDENTIFY_TIME: Duration = Duration::from_secs(60);
/// Commands a client may send in [`COMMANDS_WINDOW`]: 120 and the slack that libraries reserve.
pub const COMMANDS_MAX: u16 = 125;
/// See [`COMMANDS_MAX`].
pub const COMMANDS_WINDOW: Duration = Duration::from_secs(60);
/// Bytes of one client payload. Documented as 4,096; the official client uses 15 KiB, libraries rely on it.
pub const PAYLOAD_BYTES_MAX: usize = 15 * 1024;
/// Bytes that the kernel takes for a connection and has not sent, because the peer has no room: twice what a flush
/// writes. By itself it would take megabytes for a client that does not read; here that client's events stay in the
/// journals, which it shares with others. What is on its way is not counted, so a fast connection is as fast.
pub const SOCKET_UNSENT_BYTES: u32 = 128 * 1024;
/// Connections that the kernel keeps until they are accepted. It cuts this to net.core.somaxconn; a storm needs all of
/// it.
pub const ACCEPT_BACKLOG: i32 = 65_535;
/// Connections accepted before other tasks and the reactor get their turn: some hundreds of microseconds. While
/// a connection waits in the backlog accepting never waits by itself.
pub const ACCEPT_SLICE: usize = 64;
/// After a failed accept, and between two looks for room when descriptors have run out.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// One descriptor in so many is kept from accepting, for what must not fail: sockets that are handed over, the
/// database, errands.
pub const DESCRIPTORS_KEPT_PART: u64 = 64;
/// And this many at least.
pub const DESCRIPTORS_KEPT_MIN: u64 = 16;
/// Connections for which there must be room before accepting goes on, so that it does not stop again at once.
pub const ROOM_ASKED: usize = 16;
/// Between two warnings that there is no room.
pub const FULL_TOLD: Duration = Duration::from_secs(60);
/// Before a socket is handed over again whose way was full.
pub const HAND_OVER_PAUSE: Duration = Duration::from_millis(5);
/// Bits of an fd ticket that count what one core has handed over; those above them are the core's number. The kernel
/// keeps a few hundred on their way, so they may come round.
pub const FD_TICKET_BITS: u32 = 23;
/// Bytes of a request's head; hyper has a like bound.
pub const HEAD_MAX: usize = 16 * 1024;
/// Characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// See [`PASSWORD_CHARS_MIN`].
pub const PASSWORD_CHARS_MAX: usize = 128;
/// How far ahead a timeout may end (documented).
pub const TIMEOUT_MAX: Duration = Duration::from_secs(28 * 24 * 3_600);
/// Guilds per shard that GET /gateway/bot recommends (documented).
pub const GUILDS_PER_RECOMMENDED_SHARD: usize = 1_000;
/// Bytes of an HTTP request's body without its files. Discord documents 25 MiB with them; a route says what it takes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a refused body that are read and dropped, so that the client reads the refusal: what clients are documented
/// to send.
pub const BODY_DISCARDED_MAX: usize = 26 * 1024 * 1024;
/// From a request's head to the end of a body with files: 25 MiB at 1 Mbit/s, and some.
pub const UPLOAD_TIME: Duration = Duration::from_secs(300);
/// Parts of a multipart body: ten files, `payload_json`, and room for forms.
pub const PARTS_MAX: usize = 64;
/// Bytes that the parser of a multipart body holds: what hyper hands over at once, and heads of parts.
pub const MULTIPART_HELD_MAX: usize = 256 * 1024;
/// Bytes of a file that are read or written at once: a request and a response hold that much of it.
pub const FILE_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of one core's files of requests under way. More uploads are refused with a retry time.
pub const SPOOL_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Characters of an audit log reason (documented).
pub const AUDIT_REASON_CHARS_MAX: usize = 512;
/// From a request's head to the end of its body. Frees what peers hold that send a byte now and then.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// How long an HTTP connection may be silent between requests, how long a head may
/// take, and how long a peer may take nothing of its answer.
pub const KEEP_ALIVE_TIME: Duration = Duration::from_secs(60);
/// Rate-limit buckets of one core; idle ones are let go first.
pub const BUCKETS_MAX: usize = 65_536;
/// Bytes of a host that a client may name: a name of 255, a colon and a port. Each connection keeps it, shared or not.
pub const HOST_BYTES_MAX: usize = 261;
/// Hosts of which a core remembers that clients came by them, so that all who come by one share its name.
pub const HOSTS_KNOWN: usize = 16;
/// Bytes of a head read at once; a WebSocket upgrade has about 300.
pub const HEAD_READ: usize = 1_024;
/// Between two batches of a drain.
pub const DRAIN_PAUSE: Duration = Duration::from_millis(50);
/// Connections sent away in one batch at least.
pub const DRAIN_BATCH_MIN: usize = 64;
/// Bytes of one admin command on the control socket.
pub const ADMIN_COMMAND_BYTES: u64 = 64 * 1024;
/// Bytes of a raw send test, each sent in one write: as many as an event may have.
pub const RAW_SEND_BYTES_MAX: usize = FLUSH_BYTES_MAX;
/// Rounds of one raw send test: with a million connections about two minutes, during which no other admin command runs.
pub const RAW_SEND_ROUNDS_MAX: u32 = 16;
/// Connections that a raw send test writes to between two turns of other work: about ten milliseconds, so that the
/// pauses between slices do not matter.
pub const RAW_SEND_SLICE: u32 = 1_024;
/// How long a core may take for one round of a raw send test.
pub const RAW_SEND_TIME: Duration = Duration::from_secs(60);
/// Commands that wait for one core.
pub const CORE_COMMANDS: usize = 1_024;
/// Entries of a core's submission queue; glommio's 128 is too small for thousands of sockets.
pub const RING_DEPTH: usize = 4_096;
/// Bytes that a core registers for disk I/O, of which it does none.
pub const RING_IO_MEMORY: usize = 128 * 1024;
/// glommio's preemption timer: too long to fire (`mesh/reactor.rs` says why). Busy tasks let the reactor work by
/// themselves.
pub const PREEMPT: Duration = Duration::from_secs(10);
/// A core sleeps no longer than this: bounds the delay when its executor oversleeps (`mesh/reactor.rs`). 100 wake-ups a
/// second are a thousandth of a CPU.
pub const SLEEP_MAX: Duration = Duration::from_millis(10);
/// The same where cores crowd, more than [`CROWD`] on a CPU: they would spend a third of a CPU on waking up. Half a
/// tick.
pub const SLEEP_MAX_CROWDED: Duration = Duration::from_millis(125);
/// Cores on one CPU that are no crowd yet.
pub const CROWD: usize = 4;
/// Registered files of one ring at most, where the limit of open files allows so many: 8 bytes of the kernel's memory
/// each, taken when the ring is opened.
pub const RING_FILES: u32 = 65_536;
/// Rings with registered files of one core at most. A ring is one descriptor, and with the smallest usual limit of
/// 1,024 this is room for a quarter of a million sockets.
pub const FILE_RINGS_MAX: usize = 256;
/// Entries of such a ring: all writes of a batch may be to its files.
pub const FILE_RING_DEPTH: u32 = BATCH as u32;
/// Bytes read from a socket at once, into the one scratch buffer of a core.
pub const READ_BYTES: usize = 64 * 1024;
/// Sockets that are read from before other tasks get their turn: about a millisecond of identifies.
pub const READY_SLICE: usize = 64;
/// Before a ring is tried again for which the kernel has no memory just now.
pub const SHORTAGE_PAUSE: Duration = Duration::from_millis(1);
/// How often it is tried: a second. A kernel that has had no hundred bytes for so long has none for the rest of the
/// server either.
pub const SHORTAGE_TRIES: u32 = 1_000;
/// Connections whose sockets are shut in one turn: some hundreds of microseconds, however many end at once.
pub const FINISHED_SLICE: usize = 64;
/// How long a socket that was shut waits for its peer to do the same.
pub const LINGER: Duration = Duration::from_secs(3);
/// Bytes that such a peer may still send.
pub const LINGER_BYTES: usize = 64 * 1024;
/// Guilds of one of a bot's shards (Discord's documented bound; close code 4011).
pub const GUILDS_PER_GUILD_SHARD: usize = 2_500;
/// Members in one GUILD_MEMBERS_CHUNK (documented).
pub const MEMBERS_CHUNK: u32 = 1_000;
/// Members found by name or by id in one request (documented).
pub const MEMBERS_NAMED_MAX: u32 = 100;
/// Requests for members of one session that wait while one is answered. Past it they are answered with RATE_LIMITED.
pub const MEMBERS_WAITING_MAX: usize = 32;
/// Bytes that may wait for a client before the next page of members is looked up for it: one write. So it has a page,
/// some half a megabyte, and no more, however slowly it reads.
pub const MEMBERS_AHEAD_BYTES: u64 = FLUSH_BYTES_MAX as u64;
/// Pages of members that a core has looked up at once: one is read while the other is sent on. The next request waits
/// its turn, and between the pages the store answers others.
pub const MEMBERS_PAGES_MAX: usize = 2;
/// Bytes of members that a core holds, because they are not sent or may be asked for again. Past it sessions let go of
/// what they were sent, one after the other; if that is not enough, requests wait.
pub const MEMBERS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Between two requests for all members of one guild (documented).
pub const MEMBERS_INTERVAL: Duration = Duration::from_secs(30);
/// Between two ticks of a shard.
pub const TICK: Duration = Duration::from_millis(250);
/// Identifies per second that a core admits when it starts, before anything was measured.
pub const IDENTIFY_RATE_START: u64 = 10_000;
/// The least that strain makes of it: a core that cannot do that does nothing else either.
pub const IDENTIFY_RATE_MIN: u64 = 50;
/// The most that it may rise to, and the operator's bound unless another is set: more than any core manages.
pub const IDENTIFY_RATE_MAX: u64 = 100_000;
/// The same for resumes. One takes as much of a CPU as an identify (68 and 75 µs were measured), but nothing of the
/// store.
pub const RESUME_RATE_START: u64 = 30_000;
/// See [`IDENTIFY_RATE_MIN`].
pub const RESUME_RATE_MIN: u64 = 200;
/// See [`IDENTIFY_RATE_MAX`].
pub const RESUME_RATE_MAX: u64 = 300_000;
/// What a bucket holds after a quiet period, as time: what a core does at once is late for no more than
/// this.
pub const ADMISSION_BURST: Duration = Duration::from_millis(250);
/// Sessions of one core that have identified and are not yet ready: what the store and the guilds' cores may have
/// before them.
pub const IDENTIFIES_UNDERWAY_MAX: usize = 4_096;
/// Clients that wait in one line for their turn to identify, or to resume: some 200 bytes each, and what they say that
/// they do.
pub const ADMISSION_LINE_MAX: usize = 16_384;
/// How long a client waits in the queue. With what comes after it, a client that waits 15 s for READY has had an
/// answer.
pub const ADMISSION_WAIT_MAX: Duration = Duration::from_secs(5);
/// Clients that are let in, or sent away, in one turn: two milliseconds, and then it is the turn of those who are here.
pub const ADMISSION_SLICE: usize = 32;
/// Clients of one core that wait or are to be sent away; past it upgrades are refused.
pub const ADMISSION_CROWD_MAX: usize = 65_536;
/// A refusal is sent not before this time: many libraries reconnect immediately.
pub const DISMISSAL_MIN: Duration = Duration::from_secs(1);
/// And not after this one, however many are sent away.
pub const DISMISSAL_MAX: Duration = Duration::from_secs(10);
/// Time from identify to READY above which a core takes fewer.
pub const ADMISSION_READY_MAX: Duration = Duration::from_secs(1);
/// How late a tick may come before a core takes fewer: others' events are as late.
pub const ADMISSION_LAG_MAX: Duration = Duration::from_millis(250);
/// After a rate was lowered, until it may be lowered again.
pub const ADMISSION_SETTLING: Duration = Duration::from_secs(1);
/// `Retry-After` of a refused upgrade, at least.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(5);
/// See [`RETRY_AFTER_MIN`].
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Identifies in 5 seconds that bots may make at most (`max_concurrency`), as Discord's documents have it for
/// large bots.
pub const CONCURRENCY_MAX: u64 = 16;
/// Ticks in which every connection and session is looked at once: four seconds, small against the heartbeat's
/// tolerance.
pub const SWEEP_TICKS: u32 = 16;
/// Connections, and sessions, looked at in one tick at least.
pub const SWEEP_MIN: u32 = 256;
/// Relays whose journals are trimmed in one tick.
pub const SWEEP_RELAYS: usize = 64;
/// Sessions in one tick of which it is seen whether they still hold anything that is counted.
pub const SWEEP_HOLDERS: usize = 256;
/// How long a session without a socket stays resumable.
pub const RESUME_WINDOW: Duration = Duration::from_secs(180);

// ── recording ──

/// Members of a guild of whom it is counted, when the guild is declared, who may view hidden channels.
pub const RECORD_COUNTED: usize = 1_024;
/// Notes of one core that wait for the recorder: at [`RECORD_PAUSE`] room for 300,000 a second. Past it notes are lost,
/// and counted.
pub const RECORD_QUEUE: usize = 16_384;
/// Between two looks of the recorder into the cores' rings. 20 a second cost nothing, and a core is never woken for a
/// note.
pub const RECORD_PAUSE: Duration = Duration::from_millis(50);
/// How long notes are held so that those of all cores come in the order of their times. A core hands on what it has at
/// its next turn, and a tick is a turn.
pub const RECORD_WINDOW: Duration = Duration::from_millis(1_000);
/// Between two frames of a trace. What was noted longer ago than this and [`RECORD_WINDOW`] survives any end of the
/// process.
pub const RECORD_FRAME_TIME: Duration = Duration::from_millis(1_000);
/// Bytes of lines in one frame of a trace: bounds what is held in memory.
pub const RECORD_FRAME_BYTES: usize = 1024 * 1024;
/// Messages whose numbers are known, so that edits and deletions can name them: some 60 bytes each. The oldest go
/// first.
pub const RECORD_MESSAGES_MAX: usize = 1 << 20;
/// People whose numbers are known: some 100 bytes each. Users beyond that are left out, and counted.
pub const RECORD_PEOPLE_MAX: usize = 1 << 24;

// ── journals, replay, backlog ──

/// Events of one user that a session keeps until its READY. READY follows within seconds, and a user changes few things
/// in that time; past this the session does not begin and the client identifies again.
pub const EARLY_EVENTS_MAX: usize = 1_024;

/// Events that one audience's journal keeps for those who resume or read slowly. At 200 messages/s it is a good five
/// minutes.
pub const JOURNAL_EVENTS_MAX: usize = 65_536;
/// Bytes that one audience's journal keeps. Bodies are shared between the journals of a relay.
pub const JOURNAL_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How long a journal keeps an event: a client acknowledges with every heartbeat, then may be gone for the resume
/// window.
pub const JOURNAL_TIME: Duration = Duration::from_secs(245);
/// Bytes of bodies that only one session gets, of those that were sent and may be asked for again. It covers what two
/// kernels have on its way between them, at most 4 and 6 MiB unless configured otherwise; a client that goes
/// back further than that without having acknowledged identifies anew.
pub const REPLAY_OWN_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Bytes that an event of a session's own takes besides its text.
pub const OWN_EVENT_BYTES: u64 = 256;
/// Stretches of events, of one journal each, that a session may ask for again; 40 bytes each. It needs one for each
/// change from one guild's events to another's. Past it the oldest go.
pub const REPLAY_RUNS_MAX: usize = 16_384;
/// Events that may wait for one client which does not read. Past it the session is disconnected, resumably.
pub const BACKLOG_EVENTS_MAX: u64 = 16_384;
/// Bytes that may wait for one client which does not read. They are shared, so this bounds delay, not memory.
pub const BACKLOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes gathered for one write to one socket. More than a socket's buffer takes at once is only copied in vain.
pub const FLUSH_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a session's own part of an event from which on it is compressed. Below, the some ten microseconds are
/// better spent otherwise.
pub const COMPRESSED_BYTES_MIN: usize = 512;
/// Bytes of a text that another is compressed behind, and of that other. Messages are shorter; for what is longer the
/// past is no great help.
pub const PAST_BYTES_MAX: usize = 16 * 1024;
/// Forms of one body, each compressed behind another past. Nearly all sessions have the same; audiences that see
/// different channels have others.
pub const PASTS_MAX: usize = 4;
/// Writes that are kept as they were put together, for the next session with the same events: three forms, of sessions
/// whose numbers have two neighbouring lengths.
pub const ASSEMBLIES: usize = 8;
/// Bytes of memory that one such write keeps for the next. A GUILD_CREATE with all members takes megabytes, once.
pub const ASSEMBLY_BYTES_KEPT: usize = 4 * FLUSH_BYTES_MAX;
/// Sockets written to before other work gets its turn: about a third of a millisecond.
pub const FLUSH_SLICE: usize = 32;
/// Bytes written before other work gets its turn, when many events have gathered: about as long.
pub const FLUSH_SLICE_BYTES: usize = 1024 * 1024;
/// Of a slice one in so many parts is kept for walks while sessions have something of their own, and of what is then
/// left for the walks that have already had a slice while others begin.
pub const WALKS_PART: usize = 2;
/// Writes that go to the kernel together at most, where they are batched: those of a slice.
pub const BATCH: usize = FLUSH_SLICE;
/// Bytes of a write that is batched. They are copied, and to copy more takes as long as a system call.
pub const BATCHED_BYTES_MAX: usize = 4_096;
/// Seats of an audience looked at in one go while listing who has something to say.
pub const FANOUT_SLICE: usize = 1_024;

const _: () = {
    assert!(BACKLOG_BYTES_MAX < JOURNAL_BYTES_MAX, "a slow client is cut before its events are gone, so it can resume");
    assert!((BACKLOG_EVENTS_MAX as usize) < JOURNAL_EVENTS_MAX);
    assert!(FLUSH_BYTES_MAX as u64 * 4 < BACKLOG_BYTES_MAX);
    assert!(BACKLOG_EVENTS_MAX as usize <= REPLAY_RUNS_MAX, "what is not sent is never let go of");
    assert!(MEMBERS_AHEAD_BYTES * 8 < BACKLOG_BYTES_MAX, "a listing by itself cuts nobody");
    assert!(REPLAY_OWN_BYTES_MAX * 4 <= MEMBERS_BYTES_MAX, "some listings go on at once without touching each other");
    assert!(
        FLUSH_BYTES_MAX * WALKS_PART <= FLUSH_SLICE_BYTES && WALKS_PART * WALKS_PART <= FLUSH_SLICE,
        "every kind of walk proceeds"
    );
    assert!(
        JOURNAL_TIME.as_millis()
            > RESUME_WINDOW.as_millis() + HEARTBEAT_INTERVAL.as_millis() + HEARTBEAT_TOLERANCE.as_millis(),
        "whoever is still resumable finds its events"
    );
    assert!(SOCKET_UNSENT_BYTES as usize >= FLUSH_BYTES_MAX);
    assert!(PAYLOAD_BYTES_MAX > 4096);
    assert!(VIRTUAL_SHARDS as usize >= CORES_MAX * 4, "virtual shards must spread evenly over the most cores");
    assert!(STORE_GROUP_MAX <= STORE_QUEUE);
    assert!(MEMBERS_PAGE_MAX <= STORE_SEARCH_ROWS_MAX, "one page of hits must fit in one walk");
    assert!(LIST_CROWD as u128 * LIST_LOOKER_TIME.as_micros() == TICK.as_micros(), "a crowd takes up a tick's share");
    assert!(LIST_WINDOWS / LIST_COMPARISONS_PART > 0, "windows are compared however many scroll");
    assert!(LIST_OPENING_MAX <= LIST_WINDOWS_MAX);
    assert!(LIST_BYTES_MAX >= 4 * REPLAY_OWN_BYTES_MAX, "one who looks at much does not stand in the others' way");
    assert!(LIST_OFFLINE_MAX <= MEMBERS_PAGE_MAX as u64, "all members of a small guild are one answer of the store");
    assert!(IMPORT_BATCH as u64 <= IMPORT_ROWS);
    assert!(IMPORT_PREFIX_CHARS_MAX + 1 + IMPORT_USERS_MAX.ilog10() as usize + 2 <= 32, "names stay usernames");
    assert!(
        RECORD_WINDOW.as_millis() >= 2 * TICK.as_millis() + RECORD_PAUSE.as_millis(),
        "notes come before their time"
    );
    assert!(EMBED_CHARS_MAX > CONTENT_CHARS_MAX);
    assert!(
        ADMISSION_WAIT_MAX.as_millis() + DISMISSAL_MAX.as_millis() < IDENTIFY_TIME.as_millis(),
        "who waits in line is not taken for somebody who says nothing"
    );
    assert!(DISMISSAL_MIN.as_millis() * 4 <= DISMISSAL_MAX.as_millis());
    assert!(RETRY_AFTER_MIN.as_secs() <= RETRY_AFTER_MAX.as_secs());
    assert!(IDENTIFIES_UNDERWAY_MAX < STORE_QUEUE, "one core's newcomers do not fill the store's queue");
    assert!(SLEEP_MAX_CROWDED.as_millis() * 2 <= TICK.as_millis());
    assert!(CORES_MAX <= 1 << (31 - FD_TICKET_BITS), "a ticket with its core's number is no negative number");
    assert!(32 * 32 * LANE_LETTERS <= LANES_LETTERS, "lanes only shrink on large machines");
    assert!(CORES_MAX * CORES_MAX * LANE_LETTERS_MIN <= 4 * LANES_LETTERS, "with the most cores the minimum rules");
};
