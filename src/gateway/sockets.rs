//! The table of a core's sockets: through it the shard writes, and from it the door learns who has something to say.
//!
//! Lives on: its core.
//! A write is one non-blocking `send`, without the executor in between: it costs what the kernel costs. What can be read is told
//! by one epoll instance per core, in which a socket is entered once, edge-triggered. So an idle connection has no task, no
//! buffer and no request under way in the executor's ring; it is a place in this table.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use glommio::net::TcpStream;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::time::Timespec;

use crate::base::slab::Key;
use crate::gateway::conversation::Conversation;
use crate::limits;
use crate::shard::flushing::{Sent, Sockets};

#[derive(Debug)]
struct Place {
    generation: u32,
    line: Option<Line>,
}

/// A socket and what is said on it.
#[derive(Debug)]
pub struct Line {
    /// The socket, open.
    pub socket: OwnedFd,
    /// What the client says.
    pub conversation: Conversation,
}

/// What has happened to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stir {
    /// Whose socket.
    pub key: Key,
    /// There is something to read, were it the end.
    pub readable: bool,
    /// The end is among it, or an error: no further stir will tell of it.
    pub ended: bool,
    /// It can take more.
    pub writable: bool,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// This many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The peer is gone.
    Gone,
}

/// The sockets of a core, by connection.
#[derive(Debug, Clone)]
pub struct SocketTable(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    places: RefCell<Vec<Place>>,
    readiness: OwnedFd,
}

impl SocketTable {
    /// An empty table. It takes one descriptor.
    pub fn new() -> io::Result<SocketTable> {
        let readiness = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(SocketTable(Rc::new(Inner { places: RefCell::default(), readiness })))
    }

    /// The descriptor that is readable while sockets have stirred.
    pub fn readiness(&self) -> RawFd {
        self.0.readiness.as_raw_fd()
    }

    /// A connection gets its socket. What is there to be read already will be told.
    pub fn enter(&self, key: Key, line: Line) -> io::Result<()> {
        let told = EventData::new_u64(u64::from(key.index) << 32 | u64::from(key.generation));
        let what = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.0.readiness, &line.socket, told, what)?;
        let mut places = self.0.places.borrow_mut();
        let index = key.index as usize;
        if places.len() <= index {
            places.resize_with(index + 1, || Place { generation: 0, line: None });
        }
        places[index] = Place { generation: key.generation, line: Some(line) };
        Ok(())
    }

    /// A connection gives up its socket, which is not listened to any more.
    pub fn leave(&self, key: Key) -> Option<Line> {
        let mut places = self.0.places.borrow_mut();
        let place = places.get_mut(key.index as usize).filter(|place| place.generation == key.generation)?;
        let line = place.line.take()?;
        // It may be open elsewhere after this, so that closing it here would not be enough.
        let _ = epoll::delete(&self.0.readiness, &line.socket);
        Some(line)
    }

    /// Lists sockets that have stirred since they were last listed, as many as are listened to at once.
    pub fn stirred(&self, stirs: &mut Vec<Stir>) {
        let mut events = Vec::with_capacity(limits::STIRS);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error could only be an interruption; the descriptor stays readable.
        let _ = epoll::wait(&self.0.readiness, spare_capacity(&mut events), Some(&at_once));
        stirs.extend(events.iter().map(|event| {
            let (flags, told) = (event.flags, event.data.u64());
            let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            Stir {
                key: Key { index: (told >> 32) as u32, generation: told as u32 },
                readable: ended || flags.contains(EventFlags::IN),
                ended,
                writable: ended || flags.contains(EventFlags::OUT),
            }
        }));
    }

    /// Reads without waiting.
    pub fn receive(&self, key: Key, bytes: &mut [u8]) -> Received {
        let read = self.at(key, |line| {
            loop {
                match rustix::net::recv(&line.socket, &mut *bytes, RecvFlags::DONTWAIT) {
                    Ok((0, _)) => return Received::Gone,
                    Ok((read, _)) => return Received::Bytes(read),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return Received::Nothing,
                    Err(_) => return Received::Gone,
                }
            }
        });
        read.unwrap_or(Received::Nothing)
    }

    /// The connections at places `from..from + count`.
    pub fn keys_in(&self, from: u32, count: u32) -> Vec<Key> {
        let places = self.0.places.borrow();
        let all = places.iter().enumerate().skip(from as usize).take(count as usize);
        let taken = all.filter(|(_, place)| place.line.is_some());
        taken.map(|(index, place)| Key { index: index as u32, generation: place.generation }).collect()
    }

    /// How many places there are, taken or free.
    pub fn places(&self) -> u32 {
        self.0.places.borrow().len() as u32
    }

    /// Does something with what is said on a socket; nothing if there is no such socket any more.
    pub fn at<R>(&self, key: Key, act: impl FnOnce(&mut Line) -> R) -> Option<R> {
        let mut places = self.0.places.borrow_mut();
        let place = places.get_mut(key.index as usize).filter(|place| place.generation == key.generation)?;
        place.line.as_mut().map(act)
    }
}

impl Sockets for SocketTable {
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Sent {
        let sent = self.at(connection, |line| {
            loop {
                match rustix::net::send(&line.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Ok(sent) => return Sent::Bytes(sent),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return Sent::Bytes(0),
                    Err(_) => return Sent::Gone,
                }
            }
        });
        sent.unwrap_or(Sent::Gone)
    }
}

/// Takes a socket from the executor.
pub fn from_executor(stream: TcpStream) -> OwnedFd {
    // SAFETY: the stream gives its descriptor up, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) }
}

/// Gives a socket to the executor.
pub fn to_executor(socket: OwnedFd) -> TcpStream {
    // SAFETY: the descriptor is given up, so nobody else owns it.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Place>() <= 72, "{}", size_of::<Place>());
    }

    fn enter(table: &SocketTable, key: Key) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let conversation = Conversation::new(key, "".into());
        table.enter(key, Line { socket: ours.into(), conversation }).unwrap();
        theirs
    }

    fn stirs(table: &SocketTable) -> Vec<Stir> {
        let mut stirs = Vec::new();
        table.stirred(&mut stirs);
        stirs
    }

    #[test]
    fn a_socket_stirs_once_for_each_thing_that_happens_to_it() {
        let table = SocketTable::new().unwrap();
        let key = Key { index: 3, generation: 7 };
        let mut peer = enter(&table, key);
        let quiet = Stir { key, readable: false, ended: false, writable: true };
        assert_eq!(stirs(&table), [quiet]);
        assert_eq!(stirs(&table), []);
        peer.write_all(b"hello").unwrap();
        assert_eq!(stirs(&table), [Stir { readable: true, ..quiet }]);
        assert_eq!(stirs(&table), []);
        let mut bytes = [0; 64];
        assert_eq!(table.receive(key, &mut bytes), Received::Bytes(5));
        assert_eq!(table.receive(key, &mut bytes), Received::Nothing);
        // The last word and the end come as one.
        peer.write_all(b"bye").unwrap();
        drop(peer);
        assert_eq!(stirs(&table), [Stir { readable: true, ended: true, ..quiet }]);
        assert_eq!(table.receive(key, &mut bytes), Received::Bytes(3));
        assert_eq!(table.receive(key, &mut bytes), Received::Gone);
        assert_eq!(stirs(&table), []);
    }

    #[test]
    fn a_full_socket_stirs_when_it_can_take_more() {
        let mut table = SocketTable::new().unwrap();
        let key = Key { index: 0, generation: 0 };
        let mut peer = enter(&table, key);
        stirs(&table);
        let much = vec![0; 1 << 20];
        let mut taken = 0;
        while let Sent::Bytes(sent @ 1..) = table.send(key, &much) {
            taken += sent;
        }
        assert_eq!(stirs(&table), []);
        let mut sink = vec![0; taken];
        peer.read_exact(&mut sink).unwrap();
        assert!(stirs(&table).iter().any(|stir| stir.key == key && stir.writable));
        drop(peer);
        assert_eq!(table.send(key, b"x"), Sent::Gone);
    }

    #[test]
    fn who_has_left_is_not_heard_of() {
        let mut table = SocketTable::new().unwrap();
        let key = Key { index: 0, generation: 1 };
        let mut peer = enter(&table, key);
        let stale = Key { generation: 0, ..key };
        assert!(table.leave(stale).is_none());
        let line = table.leave(key).unwrap();
        peer.write_all(b"hello").unwrap();
        assert_eq!(stirs(&table), []);
        assert_eq!(table.send(key, b"x"), Sent::Gone);
        assert_eq!(table.receive(key, &mut [0; 8]), Received::Nothing);
        drop(line);
    }
}
