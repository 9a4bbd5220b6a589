//! The gateway door's sockets: accepted, read, written when they were full, handed over, closed.
//!
//! Lives on: the core that has the socket. An idle connection holds no buffer and no task: reads go to one scratch
//! buffer of the core, and are understood before the next one. The table of sockets is in
//! `src/gateway/socket_table.rs`.
//! Invariant: each connection of the shard has its socket in the table, or it is about to be dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::Rc;

use glommio::io::PollableFd;
use glommio::timer::sleep;

use crate::base::clock::{self, Time};
use crate::base::metrics::Counter;
use crate::base::slab::Key;
use crate::desk::Desk;
use crate::gateway::commands::{Gate, Move};
use crate::gateway::conversation::{Conversation, Next};
use crate::gateway::handshake::{Objection, Opening};
use crate::gateway::socket_table::{Detached, SocketTable, Spoken};
use crate::limits;
use crate::mail::local::HandOver;
use crate::mesh::fd_passing::{FdPassing, Unsent};
use crate::net::socket::{Readiness, Received, Written};
use crate::session::connection::Connection;

/// What the gateway door of one core shares between its connections.
#[derive(Debug, Clone)]
pub struct Door {
    /// The core's desk.
    pub desk: Desk,
    /// Its sockets.
    pub table: SocketTable<Conversation>,
    state: Rc<DoorState>,
}

/// What all connections of a core use.
#[derive(Debug)]
struct DoorState {
    /// Where all reads go.
    scratch: RefCell<Vec<u8>>,
    /// The hosts that clients have lately connected to.
    hosts: RefCell<VecDeque<Rc<str>>>,
    /// When a socket that cannot be watched was last logged, and how often that has happened since.
    last_warning: Cell<(Time, u64)>,
    fd_passing: FdPassing,
}

/// How a raw send went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawSendOutcome {
    /// Connections whose sockets took all of it.
    pub written: u64,
    /// Connections whose sockets took a part; the rest is pending.
    pub cut_short: u64,
    /// Connections that were skipped: the socket is full, or they are about to end.
    pub skipped: u64,
}

impl RawSendOutcome {
    /// Adds another core's, or slice's.
    pub fn add(&mut self, other: RawSendOutcome) {
        self.written += other.written;
        self.cut_short += other.cut_short;
        self.skipped += other.skipped;
    }
}

/// Why a connection stops.
#[derive(Debug)]
enum End {
    /// The peer is gone.
    Gone,
    /// The socket moves to another core.
    Moves(Move),
}

impl Door {
    /// A door without connections.
    pub fn new(desk: Desk, table: SocketTable<Conversation>, fd_passing: FdPassing) -> Door {
        let scratch = RefCell::new(vec![0; limits::READ_BYTES]);
        let (hosts, last_warning) = (RefCell::default(), Cell::default());
        let state = DoorState { scratch, hosts, last_warning, fd_passing };
        Door { desk, table, state: Rc::new(state) }
    }

    /// Passes sockets to and from other cores.
    pub fn fd_passing(&self) -> &FdPassing {
        &self.state.fd_passing
    }

    /// A host's name, shared by all connections to it.
    fn host(&self, name: &str) -> Rc<str> {
        let mut hosts = self.state.hosts.borrow_mut();
        if let Some(known) = hosts.iter().find(|known| ***known == *name) {
            return Rc::clone(known);
        }
        if hosts.len() == limits::HOSTS_KNOWN {
            hosts.pop_front();
        }
        let host: Rc<str> = name.into();
        hosts.push_back(Rc::clone(&host));
        host
    }

    /// Serves sockets as they become ready. Never returns.
    ///
    /// # Panics
    /// If the executor cannot wait: nothing would be read on this core any more.
    pub async fn listen(self) {
        let epoll = PollableFd::new(self.table.epoll()).expect("this runs on an executor");
        let mut ready = Vec::new();
        loop {
            // Between two batches the reactor and the other tasks have their turn.
            epoll.readable().await.expect("the executor can wait for sockets");
            self.table.ready(&mut ready);
            for readiness in ready.drain(..) {
                if let Some(end) = self.on_ready(readiness) {
                    self.end(readiness.key, end);
                }
            }
        }
    }

    /// Serves a connection whose upgrade is good. `behind` are bytes that came behind the request. The answer to the
    /// request goes out with HELLO.
    pub fn serve(&self, socket: OwnedFd, opening: Opening, behind: &[u8]) {
        let now = clock::now();
        let terms = opening.terms.unwrap_or_default();
        let key = self.desk.with(|shard, _| {
            let key = shard.open(now, terms);
            shard.queue_first(key, opening.response);
            key
        });
        if let Err(objection) = opening.terms {
            self.desk.with(|shard, out| match objection {
                Objection::Code(code) => shard.close_connection(now, key, code, None, out),
                Objection::Unsupported(reason) => shard.close_unsupported(key, reason),
            });
        }
        let conversation = Conversation::new(key, self.host(&opening.host));
        self.begin(socket, conversation, behind);
    }

    /// Serves a connection that another core has handed over for a resume.
    pub fn adopt(&self, socket: OwnedFd, hand_over: HandOver) {
        let now = clock::now();
        let (key, unread) = self.desk.with(|shard, out| shard.adopt(now, hand_over, out));
        // If the client identifies anew here, READY names the host that is on its way with the socket: none. It is the
        // one case in which the settings' URL or the bare address must do.
        let host = match self.desk.settings().public_gateway_url {
            Some(_) => String::new(),
            None => address(&socket).map(|address| address.to_string()).unwrap_or_default(),
        };
        let conversation = Conversation::new(key, self.host(&host));
        self.begin(socket, conversation, &unread);
    }

    /// A connection is over: its socket lingers if a close frame was sent, and else is closed.
    pub fn finish(&self, key: Key) {
        let now = clock::now();
        if self.desk.connection(key, Connection::is_cut) == Some(false) {
            self.table.linger(now, key, &mut self.state.scratch.borrow_mut());
        } else {
            self.table.close(key);
        }
        self.desk.with(|shard, out| shard.drop_connection(now, key, out));
    }

    /// Writes whole frames to the connections with indices in `from..from + count`, each behind what is pending there.
    /// Returns the index to continue at.
    pub fn raw_send(&self, from: u32, count: u32, frames: &[u8], outcome: &mut RawSendOutcome) -> Option<u32> {
        let table = &self.table;
        let mut shard = self.desk.shard();
        let (now, before) = (clock::now(), *outcome);
        let (mut bytes, mut joined) = (0, Vec::new());
        for key in table.keys_in(from, count) {
            let Some(connection) = shard.connection(key) else { continue };
            let Some(all) = behind_pending(connection, frames, &mut joined) else {
                outcome.skipped += 1;
                continue;
            };
            match table.write(key, all) {
                Written::Bytes(taken) if taken == all.len() => {
                    outcome.written += 1;
                    bytes += taken as u64;
                    if !connection.pending().is_empty() {
                        shard.take_pending(key);
                    }
                }
                Written::Bytes(taken @ 1..) => {
                    outcome.cut_short += 1;
                    bytes += taken as u64;
                    shard.take_pending(key);
                    shard.pending_written(now, key, taken, all[taken..].to_vec());
                }
                // A socket that is gone becomes ready.
                Written::Bytes(0..) | Written::Gone => outcome.skipped += 1,
            }
        }
        shard.metrics().count(Counter::Sends, outcome.written + outcome.cut_short - before.written - before.cut_short);
        shard.metrics().count(Counter::BytesSent, bytes);
        let next = from + count;
        (next < table.capacity()).then_some(next)
    }

    fn begin(&self, socket: OwnedFd, conversation: Conversation, behind: &[u8]) {
        let key = conversation.key();
        let end = match self.table.enter(socket, conversation) {
            Ok(()) if behind.is_empty() => None,
            Ok(()) => self.understand(key, behind),
            Err(error) => {
                self.warn_throttled(&error);
                Some(End::Gone)
            }
        };
        if let Some(end) = end {
            self.end(key, end);
        }
    }

    /// Logs that a socket cannot be watched, once in a while: with no room in epoll that is every new one.
    fn warn_throttled(&self, error: &std::io::Error) {
        let (now, (last, count)) = (clock::now(), self.state.last_warning.get());
        if count > 0 && now.since(last) < limits::FULL_TOLD {
            return self.state.last_warning.set((last, count + 1));
        }
        self.state.last_warning.set((now, 1));
        let core = self.desk.me().core;
        tracing::warn!(core, before = count.saturating_sub(1), %error, "a socket cannot be waited for, and is closed");
    }

    fn end(&self, key: Key, end: End) {
        match end {
            End::Moves(to) => self.hand_over(key, to),
            End::Gone => {
                self.table.close(key);
                self.desk.with(|shard, out| shard.drop_connection(clock::now(), key, out));
            }
        }
    }

    /// Writes what was blocked and reads what there is.
    fn on_ready(&self, readiness: Readiness) -> Option<End> {
        let Readiness { key, readable, ended, writable } = readiness;
        if self.table.drain_until_close(key, &mut self.state.scratch.borrow_mut()) {
            return None;
        }
        if writable && self.desk.connection(key, Connection::is_blocked) == Some(true) {
            let end = self.write_blocked(key);
            if end.is_some() {
                return end;
            }
        }
        let mut more = readable;
        while more {
            // A connection that is being closed is not read any more: a peer that sends without end would keep its core
            // from all other work. The turn that has written the close frame finishes it.
            if self.desk.connection(key, Connection::is_closing) != Some(false) {
                return None;
            }
            let mut scratch = self.state.scratch.borrow_mut();
            let read = match self.table.read(key, &mut scratch) {
                Received::Nothing => return None,
                Received::Gone => return Some(End::Gone),
                Received::Bytes(read) => read,
            };
            let end = self.understand(key, &scratch[..read]);
            if end.is_some() {
                return end;
            }
            // A socket that gave less than there was room for has no more; what comes later makes it ready again.
            more = ended || read == scratch.len();
        }
        None
    }

    /// The socket was full: what is pending is written as far as it goes.
    fn write_blocked(&self, key: Key) -> Option<End> {
        let write = |pending: &[u8]| self.table.write(key, pending);
        let open = self.desk.with(|shard, _| shard.write_blocked(clock::now(), key, write));
        (!open).then_some(End::Gone)
    }

    fn understand(&self, key: Key, bytes: &[u8]) -> Option<End> {
        let gate = Gate { signer: self.desk.signer(), settings: self.desk.settings() };
        let next = self.table.with(key, |conversation| {
            self.desk.with(|shard, out| conversation.read(clock::now(), bytes, gate, shard, out))
        });
        match next? {
            Next::Read => None,
            Next::Move(to) => Some(End::Moves(to)),
        }
    }

    /// Sends the socket to the core where the session lives.
    fn hand_over(&self, key: Key, to: Move) {
        let asked = clock::now();
        let Some(Detached { socket, spoken }) = self.table.detach(key) else {
            // There is no descriptor left to move it with, and it is closed. Its session waits for the client.
            return self.desk.with(|shard, out| {
                shard.metrics().count(Counter::HandOversLost, 1);
                shard.drop_connection(asked, key, out);
            });
        };
        let (to, unread) = ((to.session, to.user, to.seq), spoken.unread());
        let Some(hand_over) = self.desk.with(|shard, _| shard.hand_over(asked, key, to, unread)) else { return };
        if let Some((socket, hand_over)) = self.send(socket, hand_over) {
            glommio::spawn_local(send_later(self.clone(), socket, hand_over)).detach();
        }
    }

    /// Sends a socket, and the letter behind it. Returns both if the way is full.
    fn send(&self, socket: impl IntoRawFd, mut hand_over: Box<HandOver>) -> Option<(OwnedFd, Box<HandOver>)> {
        let home = hand_over.session.home;
        let core = self.desk.placement().local_core(home).expect("a resume of another node's session was refused");
        match self.fd_passing().send(core, socket) {
            Ok(ticket) => {
                hand_over.socket = ticket;
                self.desk.with(|_, out| out.hand_overs.push(hand_over));
                None
            }
            Err(Unsent::Later(socket)) => Some((socket, hand_over)),
            Err(Unsent::Never) => None,
        }
    }
}

/// What a raw send writes to a connection: its frames behind what is pending, such as an answer to a heartbeat. Unless
/// the socket is full, pending bytes end with a whole frame. `None`: this connection is skipped.
fn behind_pending<'a>(connection: &Connection, frames: &'a [u8], joined: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if connection.is_blocked() || connection.is_closing() {
        return None;
    }
    if connection.pending().is_empty() {
        return Some(frames);
    }
    joined.clear();
    joined.extend_from_slice(connection.pending());
    joined.extend_from_slice(frames);
    Some(joined)
}

/// Sends a socket when the receiver has taken others. There are no more of these than connections.
async fn send_later(door: Door, socket: OwnedFd, hand_over: Box<HandOver>) {
    let mut left = Some((socket, hand_over));
    while let Some((socket, hand_over)) = left {
        sleep(limits::HAND_OVER_PAUSE).await;
        left = door.send(socket, hand_over);
    }
}

/// Where the client has come to.
fn address(socket: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(rustix::net::getsockname(socket).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Time;
    use crate::mail::terms::Terms;

    #[test]
    fn a_raw_send_goes_behind_pending_bytes_and_skips_blocked_and_closing_connections() {
        let mut connection = Connection::open(Terms::default(), Time::default());
        let hello = connection.pending().to_vec();
        let mut joined = b"of another".to_vec();
        assert_eq!(behind_pending(&connection, b"pong", &mut joined), Some(&[&hello[..], b"pong"].concat()[..]));
        connection.take_pending();
        assert_eq!(behind_pending(&connection, b"pong", &mut joined), Some(&b"pong"[..]));
        connection.written(Time::default(), 1, b"half a frame".to_vec());
        assert_eq!(behind_pending(&connection, b"pong", &mut joined), None, "half a frame may be pending");
        connection.unblock();
        connection.take_pending();
        connection.closed_by_client();
        assert_eq!(behind_pending(&connection, b"pong", &mut joined), None, "nothing follows a close frame");
    }
}
