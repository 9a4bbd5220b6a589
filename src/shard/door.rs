//! What the doors of a core call: connections, commands of clients, tokens, counters.
//!
//! Lives on: its core.
//! Each function is the home's of the same name, called with the shard's context.

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, UserId};
use crate::base::metrics::Metrics;
use crate::base::slab::Key;
use crate::mail::ask::Ticket;
use crate::mail::local::HandOver;
use crate::mail::outbox::Outbox;
use crate::mail::record::{TraceEvent, TraceRecord};
use crate::mail::session_id::SessionId;
use crate::mail::terms::Terms;
use crate::net::socket::Written;
use crate::session::connection::{Connection, Released};
use crate::session::member_requests::MembersWanted;
use crate::shard::Shard;
use crate::shard::home::flush::Sockets;
use crate::shard::home::handshake::{Identify, Resume, Resumption};
use crate::store::Query;
use crate::wire::close::CloseCode;
use crate::wire::request::presence::PresenceUpdate;
use crate::wire::request::subscription::Subscription;

/// Connections.
impl Shard {
    /// A socket was upgraded. HELLO is the first thing to be sent.
    pub fn open(&mut self, now: Time, terms: Terms) -> Key {
        self.home.open(&mut self.context, now, terms)
    }

    /// Takes a socket that another core handed over, and resumes its session here. Returns the connection, and the
    /// bytes that the other core has read but not understood.
    pub fn adopt(&mut self, now: Time, hand_over: HandOver, out: &mut Outbox) -> (Key, Vec<u8>) {
        let HandOver { session, socket: _, user, seq, terms, unread, unsent, asked, conduct } = hand_over;
        let key = self.home.adopt(terms, unsent, conduct);
        match self.resume(now, key, Resume { session: Some(session), user, seq, asked }, out) {
            Resumption::FromTheFuture => self.close_connection(now, key, CloseCode::InvalidSeq, None, out),
            Resumption::Resumed | Resumption::Refused | Resumption::Waits | Resumption::Elsewhere => {}
        }
        (key, unread)
    }

    /// Takes a connection out: its socket goes to the home of the session that its client resumes. `unread` are bytes
    /// that were read but not understood. The door adds the socket. `None` if the connection has ended meanwhile.
    pub fn hand_over(
        &mut self,
        now: Time,
        key: Key,
        (session, user, seq): (SessionId, UserId, u64),
        unread: Vec<u8>,
    ) -> Option<Box<HandOver>> {
        let Released { terms, unsent, conduct } = self.home.release(key)?;
        Some(Box::new(HandOver { session, socket: 0, user, seq, terms, unread, unsent, asked: now, conduct }))
    }

    /// A full socket has room again: `write` gets what is pending. False when the peer is gone.
    pub fn write_blocked(&mut self, now: Time, key: Key, write: impl FnOnce(&[u8]) -> Written) -> bool {
        let mut pending = self.home.take_pending(key);
        let Written::Bytes(taken) = write(&pending) else { return false };
        let rest = pending.split_off(taken);
        self.home.pending_written(now, key, taken, rest);
        true
    }

    /// A connection, to look at.
    pub fn connection(&self, key: Key) -> Option<&Connection> {
        self.home.connection(key)
    }

    /// Counts a command; false when the client has sent too many.
    pub fn count_command(&mut self, now: Time, key: Key) -> bool {
        self.home.count_command(now, key)
    }

    /// Queues bytes before all others: the answer to the upgrade.
    pub fn queue_first(&mut self, key: Key, bytes: Vec<u8>) {
        self.home.queue_first(key, bytes)
    }

    /// Queues control frames. None goes behind the server's own close frame; the answer to the client's does.
    pub fn queue_replies(&mut self, key: Key, frames: &mut Vec<u8>, answers_close: bool) {
        self.home.queue_replies(key, frames, answers_close)
    }

    /// Queues op 7.
    pub fn ask_to_reconnect(&mut self, key: Key) {
        self.home.ask_to_reconnect(key)
    }

    /// Closes a connection whose encoding is not supported.
    pub fn close_unsupported(&mut self, key: Key, reason: &str) {
        self.home.close_unsupported(key, reason)
    }

    /// Takes what a connection has pending, to write it without a flush.
    pub fn take_pending(&mut self, key: Key) -> Vec<u8> {
        self.home.take_pending(key)
    }

    /// What [`Shard::take_pending`] gave was written: the socket took `taken` bytes and left `rest`.
    pub fn pending_written(&mut self, now: Time, key: Key, taken: usize, rest: Vec<u8>) {
        self.home.pending_written(now, key, taken, rest)
    }

    /// A heartbeat: answered always; with a number it acknowledges events.
    pub fn beat(&mut self, now: Time, key: Key, seq: Option<u64>) {
        self.home.beat(now, key, seq)
    }

    /// The server closes. Pending bytes are still sent; the session, if any, is kept or ended as the code says.
    pub fn close_connection(&mut self, now: Time, key: Key, code: CloseCode, reason: Option<&str>, out: &mut Outbox) {
        self.home.close_connection(&mut self.context, now, key, code, reason, out)
    }

    /// The client has sent a close frame: it is answered, and the session ends or waits as its code says.
    pub fn closed_by_client(&mut self, now: Time, key: Key, code: Option<u16>, out: &mut Outbox) {
        self.home.closed_by_client(&mut self.context, now, key, code, out)
    }

    /// The socket is gone. Its session, if it still had one, waits to be resumed.
    pub fn drop_connection(&mut self, now: Time, key: Key, out: &mut Outbox) {
        self.home.drop_connection(&mut self.context, now, key, out)
    }

    /// Asks `count` clients to connect elsewhere and closes their connections. Says whether any are left.
    /// Source: Discord docs, Gateway/Reconnect.
    pub fn drain(&mut self, now: Time, count: usize, out: &mut Outbox) -> bool {
        self.home.drain(&mut self.context, now, count, out)
    }

    /// Writes to `budget` sockets at most. Returns whether there is more to write.
    pub fn flush(&mut self, now: Time, sockets: &mut impl Sockets, budget: usize, out: &mut Outbox) -> bool {
        self.home.flush(&mut self.context, now, sockets, budget, out)
    }

    /// Whether [`Shard::flush`] has anything to do.
    pub fn has_to_flush(&self) -> bool {
        self.home.has_to_flush()
    }

    /// Connections that have said their last, so many at most; the door shuts their sockets.
    pub fn take_finished(&mut self, most: usize) -> Vec<Key> {
        self.home.take_finished(most)
    }
}

/// What clients ask for.
impl Shard {
    /// A client identifies on a connection without a session: one begins, now or when it is its turn.
    pub fn identify(&mut self, now: Time, key: Key, identify: Identify, out: &mut Outbox) {
        self.home.identify(&mut self.context, now, key, identify, out)
    }

    /// A client wants to continue a session on a connection without one: it does, now or when it is its turn.
    pub fn resume(&mut self, now: Time, key: Key, resume: Resume, out: &mut Outbox) -> Resumption {
        self.home.resume(&mut self.context, now, key, resume, out)
    }

    /// For how many seconds a client that wants to connect should stay away, if there are too many here already.
    pub fn retry_after(&mut self) -> Option<u64> {
        self.home.retry_after(&mut self.context)
    }

    /// Identifies per second that this core admits at present.
    pub fn identify_rate(&self) -> u64 {
        self.home.identify_rate()
    }

    /// A session asks for members. A guild that it does not see is not answered.
    pub fn request_members(&mut self, now: Time, connection: Key, request: MembersWanted, out: &mut Outbox) {
        self.home.request_members(now, connection, request, out)
    }

    /// A client shows itself in another way (op 3). Too many updates are dropped without a word.
    pub fn present(&mut self, now: Time, connection: Key, update: &PresenceUpdate, out: &mut Outbox) {
        self.home.present(&mut self.context, now, connection, update, out)
    }

    /// A client wants something of a guild. Of a guild that its session does not see it gets nothing, without a word.
    pub fn subscribe(
        &mut self,
        now: Time,
        connection: Key,
        guild: GuildId,
        subscription: Subscription,
        out: &mut Outbox,
    ) {
        self.home.subscribe(&mut self.context, now, connection, guild, subscription, out)
    }

    /// Has windows take up so many bytes on this core at most, for the simulator.
    pub fn bound_windows(&mut self, bytes: u64) {
        self.home.bound_windows(bytes)
    }

    /// Whether a session waits for memory to be shown its list windows.
    pub fn has_waiting_lookers(&self) -> bool {
        self.home.has_waiting_lookers()
    }
}

/// The core's own.
impl Shard {
    /// Whether this is the session that a connection carries.
    pub fn carries(&self, connection: Key, session: SessionId) -> bool {
        self.home.carries(connection, session)
    }

    /// Asks the store on behalf of a caller at this core's door; the finding comes with the ticket.
    pub fn read(&mut self, ticket: Ticket, query: Query, out: &mut Outbox) {
        self.home.read(ticket, query, out);
    }

    /// Whether tokens of this user issued at `issued_ms` are good, so far as this core knows.
    pub fn accepts_token(&self, user: UserId, issued_ms: u64) -> bool {
        self.home.accepts_token(user, issued_ms)
    }

    /// 64 bits from the shard's own generator; for ids that need not be secret.
    pub fn random(&mut self) -> u64 {
        self.context.prng.next_u64()
    }

    /// Sessions and connections that live here.
    pub fn population(&self) -> (usize, usize) {
        self.home.population()
    }

    /// Whether no new session may begin.
    pub fn is_draining(&self) -> bool {
        self.context.draining
    }

    /// What this core measured.
    pub fn metrics(&mut self) -> &mut Metrics {
        &mut self.context.metrics
    }

    /// Begins or ends to leave notes for the recorder in the outbox.
    pub fn record(&mut self, on: bool) {
        self.context.recording = on;
    }

    /// Whether notes are wanted.
    pub fn is_recording(&self) -> bool {
        self.context.recording
    }

    /// A door has answered a user with a channel's newest messages.
    pub fn note_history(&self, now: Time, channel: ChannelId, who: UserId, limit: u32, out: &mut Outbox) {
        if self.context.recording {
            out.notes.push(TraceRecord { at: now, deed: TraceEvent::History { channel, who, limit } });
        }
    }
}
