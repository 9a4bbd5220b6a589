//! The table of a core's sockets, through which the shard writes and by which tasks are woken.
//!
//! Lives on: its core.
//! A write is one non-blocking `send`, without the executor in between: it costs what the kernel costs.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::base::slab::Key;
use crate::shard::flushing::{Sent, Sockets};

/// What a socket's task is to do next besides reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signal {
    /// Nothing.
    #[default]
    None,
    /// The socket was full: write what is pending when it can take more.
    Blocked,
    /// Everything is said: shut the socket.
    Finish,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    socket: Option<RawFd>,
    signal: Signal,
    waker: Option<Waker>,
}

/// The sockets of a core, by connection.
#[derive(Debug, Clone, Default)]
pub struct SocketTable(Rc<RefCell<Vec<Place>>>);

impl SocketTable {
    /// A connection's socket. Its owner keeps it open until [`SocketTable::forget`].
    pub fn enter(&self, key: Key, socket: RawFd) {
        let mut places = self.0.borrow_mut();
        let index = key.index as usize;
        if places.len() <= index {
            places.resize_with(index + 1, Place::default);
        }
        places[index] = Place { generation: key.generation, socket: Some(socket), ..Place::default() };
    }

    /// The socket is about to be closed or moved.
    pub fn forget(&self, key: Key) {
        self.at(key, |place| *place = Place { generation: place.generation, ..Place::default() });
    }

    /// Tells a socket's task to do something.
    pub fn signal(&self, key: Key, signal: Signal) {
        let waker = self.at(key, |place| {
            if place.signal != Signal::Finish {
                place.signal = signal;
            }
            place.waker.take()
        });
        if let Some(waker) = waker.flatten() {
            waker.wake();
        }
    }

    /// What the task is told; leaves its waker for the next time.
    pub fn listen(&self, key: Key, waker: &Waker) -> Signal {
        self.at(key, |place| {
            if place.waker.as_ref().is_none_or(|old| !old.will_wake(waker)) {
                place.waker = Some(waker.clone());
            }
            place.signal
        })
        .unwrap_or(Signal::Finish)
    }

    /// What was blocked has been written.
    pub fn clear(&self, key: Key) {
        self.at(key, |place| {
            if place.signal == Signal::Blocked {
                place.signal = Signal::None;
            }
        });
    }

    fn at<R>(&self, key: Key, act: impl FnOnce(&mut Place) -> R) -> Option<R> {
        let mut places = self.0.borrow_mut();
        let place = places.get_mut(key.index as usize)?;
        (place.generation == key.generation && place.socket.is_some()).then(|| act(place))
    }
}

impl Sockets for SocketTable {
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Sent {
        let Some(Some(socket)) = self.at(connection, |place| place.socket) else { return Sent::Gone };
        // SAFETY: the descriptor was entered by the task that owns the socket, which forgets it here before closing it, and
        // both run on this core; so it is open and is this connection's. (A borrowed handle, since the table must not close
        // it: one clone of the handle per connection would cost a descriptor each.)
        let socket = unsafe { BorrowedFd::borrow_raw(socket) };
        match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => Sent::Bytes(sent),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Sent::Bytes(0),
            Err(_) => Sent::Gone,
        }
    }
}
