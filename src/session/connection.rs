//! One WebSocket connection, as far as it can be known without touching the socket.
//!
//! Lives on: the core that accepted it or got it handed over; with a session, always the session's home.
//! What the door does with bytes is in `gateway`; what a session has to say is in the replay; this is what lies between:
//! bytes that are neither, and the state of the conversation.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::letter::{Conduct, Terms};
use crate::net::frames;
use crate::session::dispatch;
use crate::session::packing::Mark;
use crate::wire::close::CloseCode;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// What was agreed when it was opened.
    pub terms: Terms,
    /// The session it carries.
    pub session: Option<Key>,
    /// Bytes to be sent before any event: payloads that are no events, and the rest of a frame that did not fit the socket.
    pub pending: Vec<u8>,
    /// What its compressed stream ends with, if that is an event.
    pub tail: Option<Mark>,
    /// The socket took less than it was given; the door waits until it can take more.
    pub blocked: bool,
    /// When the socket, being full, took something last.
    pub moved_at: Time,
    /// Its identify or resume waits in line.
    pub waits: bool,
    /// A write was put off to the end of the slice.
    pub staged: bool,
    /// On the list of connections that have something to say.
    pub listed: bool,
    /// Nothing more will be said after `pending`; then the socket is shut.
    pub closing: bool,
    /// Nobody is there to hear a last word, and none was said: the socket is closed at once.
    pub cut: bool,
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
            tail: None,
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

    /// Wants a payload sent that is no event.
    pub fn say(&mut self, json: &str) {
        if !self.closing {
            self.tail = None;
            dispatch::write_payload(&mut self.pending, json.as_bytes(), self.terms.compression, false);
        }
    }

    /// Op 11.
    pub fn acknowledge_heartbeat(&mut self) {
        self.say(r#"{"t":null,"s":null,"op":11,"d":null}"#);
    }

    /// Op 7.
    pub fn ask_to_reconnect(&mut self) {
        self.say(r#"{"t":null,"s":null,"op":7,"d":null}"#);
    }

    /// Op 9.
    pub fn invalidate_session(&mut self, resumable: bool) {
        self.say(if resumable {
            r#"{"t":null,"s":null,"op":9,"d":true}"#
        } else {
            r#"{"t":null,"s":null,"op":9,"d":false}"#
        });
    }

    /// Closes with a code; what is pending is still sent.
    pub fn close(&mut self, code: CloseCode, reason: Option<&str>) {
        if !self.closing {
            frames::write_close(&mut self.pending, code.code(), reason.unwrap_or(code.reason()));
            self.closing = true;
        }
    }

    /// Answers the client's close frame with its own code, as RFC 6455 wants.
    pub fn echo_close(&mut self) {
        self.closing = true;
    }

    /// Counts a command; false when the client has sent too many. Source: Discord docs, Gateway/Rate Limiting.
    pub fn count_command(&mut self, now: Time) -> bool {
        if now.since(self.conduct.window_began) >= limits::COMMANDS_WINDOW {
            self.conduct.window_began = now;
            self.conduct.commands = 0;
        }
        self.conduct.commands = self.conduct.commands.saturating_add(1);
        self.conduct.commands <= limits::COMMANDS_MAX
    }

    /// The client has said what it wants, and waits for its turn: what time it had for that runs no more.
    pub fn wait(&mut self, now: Time) {
        self.waits = true;
        self.conduct.beat_at = now;
    }

    /// The socket is full.
    pub fn block(&mut self, now: Time) {
        self.blocked = true;
        self.moved_at = now;
    }

    /// The socket, which was full, has taken a part of what was pending: this is the rest.
    pub fn put_back(&mut self, now: Time, pending: &[u8], taken: usize) {
        if taken > 0 {
            self.moved_at = now;
        }
        // Whatever was said meanwhile stands behind it.
        self.pending.splice(0..0, pending[taken..].iter().copied());
    }

    /// Whether the client has read nothing for so long that it will not read any more, although there is something to be read.
    /// Heartbeats are no excuse: it has not read their answers either.
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
    fn the_time_to_identify_does_not_run_while_a_client_waits_for_its_turn() {
        let (began, second) = (Time::from_millis(1_000_000), std::time::Duration::from_secs(1));
        let mut connection = Connection::open(Terms::default(), began);
        let late = began + (limits::IDENTIFY_TIME - second);
        connection.wait(late);
        assert!(!connection.is_zombie(late + limits::ADMISSION_WAIT_MAX + limits::DISMISSAL_MAX));
        assert!(connection.is_zombie(late + limits::IDENTIFY_TIME + second));
    }
}
