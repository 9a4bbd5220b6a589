//! One WebSocket connection, as far as it can be known without touching the socket.
//!
//! Lives on: the core that accepted it or got it handed over; with a session, always the session's home. What the door
//! does with bytes is in `gateway`; a session's events are in its replay; this is what lies between: bytes that are
//! neither, and the state of the connection. Only the home side of the shard changes it, by verb.
//! Invariant: `pending` begins with the rest of a frame only while the socket is blocked, and nothing follows a close
//! frame.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::terms::{Conduct, Terms};
use crate::net::frames;
use crate::session::assembly::{Assemblies, Assembly};
use crate::session::dispatch;
use crate::session::packed::TextId;
use crate::session::packing::Packer;
use crate::session::replay::{Lost, Replay};
use crate::wire::close::CloseCode;

/// A connection. Its state changes through verbs only; the flags decide what the next flush does with it.
#[derive(Debug)]
pub struct Connection {
    /// What was agreed when it was opened.
    terms: Terms,
    /// The session it carries.
    session: Option<Key>,
    /// Bytes to be sent before any event: payloads that are no events, and the rest of a frame that did not fit the
    /// socket.
    pending: Vec<u8>,
    /// What its compressed stream ends with, if that is an event.
    last_text: Option<TextId>,
    /// The socket took less than it was given; the door waits until it can take more.
    blocked: bool,
    /// When the socket, being full, took something last.
    moved_at: Time,
    /// Its identify or resume waits in line.
    waits: bool,
    /// A write was put off to the end of the slice.
    staged: bool,
    /// On the list of connections that have something to send.
    listed: bool,
    /// Nothing more is queued after `pending`; then the socket is shut.
    closing: bool,
    /// No close frame was sent, or the peer cannot read one: the socket is closed without lingering.
    cut: bool,
    /// How the client has behaved.
    conduct: Conduct,
}

/// What goes with a socket that moves to another core.
#[derive(Debug)]
pub struct Released {
    /// What was agreed when it was opened.
    pub terms: Terms,
    /// Bytes that were not sent.
    pub unsent: Vec<u8>,
    /// How the client has behaved.
    pub conduct: Conduct,
}

impl Connection {
    /// A connection just opened; HELLO is already on its way.
    pub fn open(terms: Terms, now: Time) -> Connection {
        let mut connection = Connection::adopt(terms, Vec::new(), Conduct::fresh(now));
        let interval = limits::HEARTBEAT_INTERVAL.as_millis();
        let hello =
            format!(r#"{{"t":null,"s":null,"op":10,"d":{{"heartbeat_interval":{interval},"_trace":["guildhall"]}}}}"#);
        dispatch::write_payload(&mut connection.pending, hello.as_bytes(), terms.compression, true);
        connection
    }

    /// A connection that another core has opened, with what it had not yet sent.
    pub fn adopt(terms: Terms, unsent: Vec<u8>, conduct: Conduct) -> Connection {
        Connection {
            terms,
            session: None,
            pending: unsent,
            last_text: None,
            blocked: false,
            moved_at: Time::default(),
            waits: false,
            staged: false,
            listed: false,
            closing: false,
            cut: false,
            conduct,
        }
    }

    /// Ends it here, so that its socket can go to another core.
    pub fn release(self) -> Released {
        Released { terms: self.terms, unsent: self.pending, conduct: self.conduct }
    }

    // ── the session ──

    /// The session it carries.
    pub fn session(&self) -> Option<Key> {
        self.session
    }

    /// It carries a session from now on.
    pub fn carry(&mut self, now: Time, session: Key) {
        self.session = Some(session);
        self.conduct.beat_at = now;
    }

    /// It carries no session any more.
    pub fn take_session(&mut self) -> Option<Key> {
        self.session.take()
    }

    /// Its identify or resume waits in line: the time that the client had for that stops.
    pub fn wait(&mut self, now: Time) {
        self.waits = true;
        self.conduct.beat_at = now;
    }

    /// Its identify or resume is taken out of the line.
    pub fn stop_waiting(&mut self) {
        self.waits = false;
    }

    /// Whether its identify or resume waits in line.
    pub fn waits(&self) -> bool {
        self.waits
    }

    // ── bytes to be sent ──

    /// Queues a payload that is no event.
    fn queue_payload(&mut self, json: &str) {
        if !self.closing {
            self.last_text = None;
            dispatch::write_payload(&mut self.pending, json.as_bytes(), self.terms.compression, false);
        }
    }

    /// Queues whole control frames.
    pub fn queue(&mut self, frames: &mut Vec<u8>) {
        self.pending.append(frames);
    }

    /// Queues bytes before all others: what the socket left of a write, or the answer to the upgrade.
    pub fn queue_first(&mut self, mut bytes: Vec<u8>) {
        if !self.pending.is_empty() {
            bytes.append(&mut self.pending);
        }
        self.pending = bytes;
    }

    /// Op 1: notes the time, if there is a session, and queues op 11. Without one the time to identify is not extended.
    pub fn heartbeat(&mut self, now: Time) {
        if self.session.is_some() {
            self.conduct.beat_at = now;
        }
        self.queue_payload(r#"{"t":null,"s":null,"op":11,"d":null}"#);
    }

    /// Queues op 7.
    pub fn ask_to_reconnect(&mut self) {
        self.queue_payload(r#"{"t":null,"s":null,"op":7,"d":null}"#);
    }

    /// Queues op 9.
    pub fn invalidate_session(&mut self, resumable: bool) {
        self.queue_payload(if resumable {
            r#"{"t":null,"s":null,"op":9,"d":true}"#
        } else {
            r#"{"t":null,"s":null,"op":9,"d":false}"#
        });
    }

    /// Queues op 9 for a client that waited in vain. It has as long again to identify as at first.
    pub fn dismiss(&mut self, now: Time, resumable: bool) {
        self.invalidate_session(resumable);
        self.conduct.beat_at = now;
    }

    // ── writes ──

    /// Bytes to be sent before any event.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Takes the pending bytes, to be written; [`Connection::written`] takes the result.
    pub fn take_pending(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    /// Puts the next write together: the pending bytes, then the events of its session's replay from `s` on.
    pub fn assemble<'a>(
        &mut self,
        assemblies: &'a mut Assemblies,
        replay: &Replay,
        s: u64,
        alone: bool,
        packer: &mut Packer,
        record: &mut impl FnMut(Time, u64),
    ) -> (&'a mut Assembly, Result<(), Lost>) {
        let (front, format) = (&mut self.pending, self.terms.compression);
        let (assembly, result) = assemblies.next(replay, s, alone, front, format, self.last_text, packer, record);
        if self.pending.capacity() > 0 {
            self.pending = Vec::new();
        }
        self.last_text = assembly.last_text;
        (assembly, result)
    }

    /// A write was put off to the end of the slice.
    pub fn stage(&mut self) {
        self.staged = true;
    }

    /// The write that was put off is done.
    pub fn unstage(&mut self) {
        self.staged = false;
    }

    /// Whether a write was put off to the end of the slice.
    pub fn is_staged(&self) -> bool {
        self.staged
    }

    /// The socket took `taken` bytes of a write and left `rest`, which goes before what was queued since. With a rest,
    /// the socket is full.
    pub fn written(&mut self, now: Time, taken: usize, rest: Vec<u8>) {
        if rest.is_empty() {
            return;
        }
        if !self.blocked || taken > 0 {
            self.moved_at = now;
        }
        self.blocked = true;
        self.queue_first(rest);
    }

    /// The socket, which was full, can take more.
    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Whether the socket is full.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Puts it on the list of connections that have something to send. Says whether it was not there.
    pub fn list(&mut self) -> bool {
        let new = !self.listed;
        if new {
            self.listed = true;
        }
        new
    }

    /// It is taken off that list.
    pub fn unlist(&mut self) {
        self.listed = false;
    }

    // ── the end ──

    /// Closes with a code; what is pending is still sent.
    pub fn close(&mut self, code: CloseCode, reason: Option<&str>) {
        if !self.closing {
            frames::write_close(&mut self.pending, code.code(), reason.unwrap_or(code.reason()));
            self.closing = true;
        }
    }

    /// Closes with WebSocket's own code for what an endpoint cannot take. Source: RFC 6455, 7.4.1.
    pub fn close_unsupported(&mut self, reason: &str) {
        const UNSUPPORTED_DATA: u16 = 1003;
        frames::write_close(&mut self.pending, UNSUPPORTED_DATA, reason);
        self.closing = true;
    }

    /// The client has sent a close frame, which is answered with its own code, as RFC 6455 wants.
    pub fn closed_by_client(&mut self) {
        self.closing = true;
    }

    /// Drops what is pending and closes without a close frame.
    pub fn cut(&mut self) {
        self.pending = Vec::new();
        (self.closing, self.cut) = (true, true);
    }

    /// The socket is gone: there is no peer to linger for.
    pub fn lose_peer(&mut self) {
        self.cut = true;
    }

    /// Whether nothing more is queued after what is pending.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the socket is closed without lingering.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    // ── conduct ──

    /// Counts a command; false when the client has sent too many. Source: Discord docs, Gateway/Rate Limiting.
    pub fn count_command(&mut self, now: Time) -> bool {
        if now.since(self.conduct.window_began) >= limits::COMMANDS_WINDOW {
            self.conduct.window_began = now;
            self.conduct.commands = 0;
        }
        self.conduct.commands = self.conduct.commands.saturating_add(1);
        self.conduct.commands <= limits::COMMANDS_MAX
    }

    /// Whether the socket was full for so long that the client will not read any more. Heartbeats are no excuse: their
    /// answers were not read either.
    pub fn is_stalled(&self, now: Time) -> bool {
        self.blocked && now.since(self.moved_at) > limits::HEARTBEAT_INTERVAL + limits::HEARTBEAT_TOLERANCE
    }

    /// Whether heartbeats have stopped, or, without a session, identify is overdue.
    pub fn is_zombie(&self, now: Time) -> bool {
        let patience = if self.session.is_some() {
            limits::HEARTBEAT_INTERVAL + limits::HEARTBEAT_TOLERANCE
        } else {
            limits::IDENTIFY_TIME
        };
        now.since(self.conduct.beat_at) > patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 88, "{}", size_of::<Connection>());
    }

    #[test]
    fn identify_time_stops_while_a_connection_waits() {
        let (began, second) = (Time::from_millis(1_000_000), std::time::Duration::from_secs(1));
        let mut connection = Connection::open(Terms::default(), began);
        let late = began + (limits::IDENTIFY_TIME - second);
        connection.wait(late);
        assert!(!connection.is_zombie(late + limits::ADMISSION_WAIT_MAX + limits::DISMISSAL_MAX));
        assert!(connection.is_zombie(late + limits::IDENTIFY_TIME + second));
    }

    #[test]
    fn rest_of_a_write_goes_before_bytes_queued_since() {
        let (began, second) = (Time::from_millis(1_000_000), std::time::Duration::from_secs(1));
        let mut connection = Connection::adopt(Terms::default(), b"a frame".to_vec(), Conduct::fresh(began));
        let bytes = connection.take_pending();
        connection.queue(&mut b"a pong".to_vec());
        connection.written(began, 2, bytes[2..].to_vec());
        assert_eq!((connection.pending(), connection.is_blocked()), (&b"framea pong"[..], true));
        let patience = limits::HEARTBEAT_INTERVAL + limits::HEARTBEAT_TOLERANCE;
        // It takes nothing, then a part: only that counts as progress.
        let bytes = connection.take_pending();
        connection.written(began + patience, 0, bytes);
        assert!(connection.is_stalled(began + patience + second));
        let bytes = connection.take_pending();
        connection.written(began + patience, 5, bytes[5..].to_vec());
        assert!(!connection.is_stalled(began + patience + second));
        assert_eq!(connection.pending(), b"a pong");
        let bytes = connection.take_pending();
        connection.written(began + patience, bytes.len(), Vec::new());
        assert!(connection.is_blocked(), "the door unblocks it, and lists it anew");
    }
}
