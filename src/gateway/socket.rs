//! The one task that each connection has: it reads, and writes when the socket was full.
//!
//! Lives on: the core that has the socket.
//! An idle connection holds no buffer: reads go to one scratch buffer of the core, and what they bring is understood before
//! the next await.

use std::cell::RefCell;
use std::future::Future;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use glommio::net::TcpStream;
use glommio::timer::sleep;

use crate::base::clock;
use crate::base::slab::Key;
use crate::desk::Desk;
use crate::gateway::conversation::{Conversation, Gate, Move, Next};
use crate::gateway::handshake::{Objection, Opening};
use crate::gateway::sockets::{Signal, SocketTable};
use crate::limits;
use crate::mail::letter::{HandOver, Letter};
use crate::mesh::courier::{Courier, Unsent};
use crate::net::frames;
use crate::wire::close::CloseCode;

/// What the gateway door of one core shares between its connections.
#[derive(Debug, Clone)]
pub struct Door {
    /// The core's desk.
    pub desk: Desk,
    /// Its sockets.
    pub table: SocketTable,
    lent: Rc<Lent>,
}

/// What connections are lent.
#[derive(Debug)]
struct Lent {
    /// Where all reads go.
    scratch: RefCell<Vec<u8>>,
    /// The host that the last client came by.
    host: RefCell<Rc<str>>,
    /// Brings sockets to other cores.
    courier: Courier,
}

/// Why a task stops.
#[derive(Debug)]
enum End {
    /// The peer is gone.
    Gone,
    /// Everything is said.
    Finished,
    /// The socket moves to another core.
    Moves(Box<Move>),
}

impl Door {
    /// A door without connections.
    pub fn new(desk: Desk, courier: Courier) -> Door {
        let lent = Lent { scratch: RefCell::new(vec![0; limits::READ_BYTES]), host: RefCell::new("".into()), courier };
        Door { desk, table: SocketTable::default(), lent: Rc::new(lent) }
    }

    /// Brings sockets to and from other cores.
    pub fn courier(&self) -> &Courier {
        &self.lent.courier
    }

    /// A host's name, shared with the client before if it came by the same.
    fn host(&self, name: &str) -> Rc<str> {
        let mut last = self.lent.host.borrow_mut();
        if **last != *name {
            *last = name.into();
        }
        Rc::clone(&last)
    }

    /// Serves a connection whose upgrade was answered, in a task of its own. `behind` are bytes that came behind the request.
    pub fn serve(self, stream: TcpStream, opening: &Opening, behind: &[u8]) {
        let now = clock::now();
        let terms = opening.terms.unwrap_or_default();
        let key = self.desk.with(|shard, _| shard.open(now, terms));
        self.table.enter(key, stream.as_raw_fd());
        if let Err(objection) = opening.terms {
            self.desk.with(|shard, out| match objection {
                Objection::Code(code) => shard.close_connection(now, key, code, None, out),
                Objection::Unsupported(reason) => shard.say(key, |connection| {
                    frames::write_close(&mut connection.pending, UNSUPPORTED_DATA, reason);
                    connection.closing = true;
                }),
            });
        }
        let conversation = Conversation::new(key, self.host(&opening.host));
        self.begin(stream, conversation, behind);
    }

    /// Serves a connection that another core has handed over for a resume, in a task of its own.
    pub fn adopt(self, stream: TcpStream, hand_over: HandOver) {
        let now = clock::now();
        let key = self.desk.with(|shard, _| shard.adopt(&hand_over));
        self.table.enter(key, stream.as_raw_fd());
        self.desk.with(|shard, out| {
            let HandOver { session, user, seq, .. } = hand_over;
            match shard.resume(now, key, Some(session), user, seq, out) {
                crate::shard::connecting::Resumption::Resumed => shard.note_resume(now, hand_over.asked),
                crate::shard::connecting::Resumption::FromTheFuture => {
                    shard.close_connection(now, key, CloseCode::InvalidSeq, None, out);
                }
                crate::shard::connecting::Resumption::Refused | crate::shard::connecting::Resumption::Elsewhere => {}
            }
        });
        // If the client identifies anew here, READY names the host that is on its way with the socket: none. It is the one
        // case in which the settings' URL or the bare address must do.
        let host = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let conversation = Conversation::new(key, self.host(&host));
        self.begin(stream, conversation, &hand_over.unread);
    }

    fn begin(self, stream: TcpStream, mut conversation: Conversation, behind: &[u8]) {
        let end = if behind.is_empty() { None } else { self.understand(&mut conversation, behind) };
        match end {
            Some(end) => self.finish(stream, &conversation, end),
            None => {
                glommio::spawn_local(Serving { door: self, stream: Some(stream), conversation }).detach();
            }
        }
    }

    fn finish(&self, stream: TcpStream, conversation: &Conversation, end: End) {
        let (now, key) = (clock::now(), conversation.key());
        match end {
            End::Moves(to) => self.hand_over(stream, key, conversation, *to),
            End::Gone => {
                self.table.forget(key);
                self.desk.with(|shard, out| shard.drop_connection(now, key, out));
            }
            End::Finished => {
                self.table.forget(key);
                self.desk.with(|shard, out| shard.drop_connection(now, key, out));
                glommio::spawn_local(linger(stream)).detach();
            }
        }
    }

    /// Reads what there is and writes what was blocked.
    fn poll(&self, context: &mut Context<'_>, stream: &mut TcpStream, conversation: &mut Conversation) -> Poll<End> {
        let key = conversation.key();
        match self.table.listen(key, context.waker()) {
            Signal::Finish => return Poll::Ready(End::Finished),
            Signal::None => {}
            Signal::Blocked => match self.poll_blocked(context, stream, key) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) | Poll::Pending => {}
            },
        }
        loop {
            // A connection that is being closed is not read from any more: a peer that sends without end would be listened to
            // without end, and its core would do nothing else. The turn that has written the last word calls back.
            if self.desk.shard().connection(key).is_some_and(|connection| connection.closing) {
                return Poll::Pending;
            }
            let read = {
                let mut scratch = self.lent.scratch.borrow_mut();
                match Pin::new(&mut *stream).poll_read(context, &mut scratch) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(End::Gone),
                    Poll::Ready(Ok(read)) => read,
                }
            };
            // Understanding does not read, so the scratch buffer is free to be lent.
            let scratch = self.lent.scratch.borrow();
            if let Some(end) = self.understand(conversation, &scratch[..read]) {
                return Poll::Ready(end);
            }
        }
    }

    /// The socket was full: what is pending is written as far as it goes.
    fn poll_blocked(&self, context: &mut Context<'_>, stream: &mut TcpStream, key: Key) -> Poll<Option<End>> {
        loop {
            let pending = self.desk.with(|shard, _| {
                shard.connection(key).map(|connection| std::mem::take(&mut connection.pending)).unwrap_or_default()
            });
            if pending.is_empty() {
                self.table.clear(key);
                self.desk.with(|shard, _| shard.writable(key));
                return Poll::Ready(None);
            }
            let written = Pin::new(&mut *stream).poll_write(context, &pending);
            let taken = match &written {
                Poll::Ready(Ok(taken)) => *taken,
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            self.desk.with(|shard, _| {
                if let Some(connection) = shard.connection(key) {
                    // Whatever was said meanwhile stands behind the rest.
                    connection.pending.splice(0..0, pending[taken..].iter().copied());
                }
            });
            match written {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Some(End::Gone)),
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    fn understand(&self, conversation: &mut Conversation, bytes: &[u8]) -> Option<End> {
        let gate = Gate { signer: self.desk.signer(), settings: self.desk.settings() };
        let next = self.desk.with(|shard, out| conversation.read(clock::now(), bytes, gate, shard, out));
        match next {
            Next::Read => None,
            Next::Move(to) => Some(End::Moves(Box::new(to))),
        }
    }

    /// Sends the socket to the core where the session lives.
    fn hand_over(&self, stream: TcpStream, key: Key, conversation: &Conversation, to: Move) {
        self.table.forget(key);
        let asked = clock::now();
        let Some(connection) = self.desk.with(|shard, _| shard.release(key)) else { return };
        let Move { session, user, seq } = to;
        let hand_over = Box::new(HandOver {
            session,
            socket: 0,
            user,
            seq,
            terms: connection.terms,
            unread: conversation.unread(),
            unsent: connection.pending,
            asked,
            conduct: connection.conduct,
        });
        if let Some((socket, hand_over)) = self.send(stream, hand_over) {
            glommio::spawn_local(send_later(self.clone(), socket, hand_over)).detach();
        }
    }

    /// Sends a socket, and the letter behind it. Returns both if the way is full.
    fn send(&self, socket: impl IntoRawFd, mut hand_over: Box<HandOver>) -> Option<(OwnedFd, Box<HandOver>)> {
        let home = hand_over.session.home;
        match self.courier().send(home.index(), socket) {
            Ok(ticket) => {
                hand_over.socket = ticket;
                self.desk.with(|_, out| out.post(home, Letter::HandOver(hand_over)));
                None
            }
            Err(Unsent::Later(socket)) => Some((socket, hand_over)),
            Err(Unsent::Never) => None,
        }
    }
}

/// Sends a socket when the receiver has taken others. There are no more of these than connections.
async fn send_later(door: Door, socket: OwnedFd, hand_over: Box<HandOver>) {
    let mut left = Some((socket, hand_over));
    while let Some((socket, hand_over)) = left {
        sleep(limits::HAND_OVER_PAUSE).await;
        left = door.send(socket, hand_over);
    }
}

/// The task of a connection being served, until its peer is gone, everything is said, or its socket moves. Written by hand, since there is
/// one for each idle session: an `async fn` keeps its arguments twice.
#[derive(Debug)]
struct Serving {
    door: Door,
    stream: Option<TcpStream>,
    conversation: Conversation,
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Serving { door, stream, conversation } = &mut *self;
        let Some(mut socket) = stream.take() else { return Poll::Ready(()) };
        match door.poll(context, &mut socket, conversation) {
            Poll::Ready(end) => {
                door.finish(socket, conversation, end);
                Poll::Ready(())
            }
            Poll::Pending => {
                *stream = Some(socket);
                Poll::Pending
            }
        }
    }
}

/// WebSocket's own code for what an endpoint cannot take. Source: RFC 6455, 7.4.1.
const UNSUPPORTED_DATA: u16 = 1003;

/// Shuts the outgoing half and waits a while for the peer to do the same: closing at once would throw away what the peer has
/// not read yet, the close frame included.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown(Shutdown::Write).await.is_err() || stream.set_read_timeout(Some(limits::LINGER)).is_err() {
        return;
    }
    let mut sink = [0; 512];
    let mut left = limits::LINGER_BYTES;
    let deadline = clock::now() + limits::LINGER;
    while let Ok(read @ 1..) = stream.read(&mut sink).await {
        left = left.saturating_sub(read);
        // The timeout above is for one read: without the deadline a byte now and then would do.
        if left == 0 || clock::now() >= deadline {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Serving>() <= 224, "{}", size_of::<Serving>());
    }
}
