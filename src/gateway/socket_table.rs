//! The table of a core's sockets, by connection: each with what is spoken on it.
//!
//! Lives on: its core. An idle connection has no task, no buffer and no request under way in the executor's ring; it is
//! an entry in this table, and epoll watches its socket. The kinds of socket are in `src/net/socket.rs`; the shard
//! writes through [`super::writer`]; sockets on which a close frame was sent are moved to [`super::lingering`]. Generic
//! over what is spoken, so that every gateway has such a table.
//! Invariant: a socket is in an entry or lingers, never both; an entry's key is its connection's.

use std::cell::RefCell;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::lingering::Lingering;
use crate::net::socket::{Readiness, Received, Socket, SocketIo, SocketKind, Written};

/// The sockets of a core.
#[derive(Debug)]
pub struct SocketTable<C>(Rc<RefCell<Table<C>>>);

/// What is spoken on a socket.
pub trait Spoken {
    /// Its connection.
    fn key(&self) -> Key;
}

/// A socket that has left the table, and what was spoken on it.
#[derive(Debug)]
pub struct Detached<C> {
    /// The socket, open.
    pub socket: OwnedFd,
    /// What was spoken on it.
    pub spoken: C,
}

#[derive(Debug)]
struct Table<C> {
    entries: Entries<C>,
    lingering: Lingering,
    io: SocketIo,
}

/// Entries by the index of their connection. They come in pages, as connections do in the shard's slab.
#[derive(Debug)]
struct Entries<C>(Vec<Vec<Option<SocketEntry<C>>>>);

#[derive(Debug)]
struct SocketEntry<C> {
    socket: Socket,
    spoken: C,
}

const PAGE: usize = 1_024;

impl<C: Spoken> Entries<C> {
    fn slot(&mut self, key: Key) -> Option<&mut Option<SocketEntry<C>>> {
        let slot = self.0.get_mut(key.index as usize / PAGE)?.get_mut(key.index as usize % PAGE)?;
        slot.as_ref().is_some_and(|entry| entry.spoken.key() == key).then_some(slot)
    }

    fn get(&mut self, key: Key) -> Option<&mut SocketEntry<C>> {
        let slot = self.0.get_mut(key.index as usize / PAGE)?.get_mut(key.index as usize % PAGE)?;
        slot.as_mut().filter(|entry| entry.spoken.key() == key)
    }

    fn take(&mut self, key: Key) -> Option<SocketEntry<C>> {
        self.slot(key)?.take()
    }

    fn put(&mut self, key: Key, entry: SocketEntry<C>) {
        let (page, offset) = (key.index as usize / PAGE, key.index as usize % PAGE);
        while self.0.len() <= page {
            self.0.push(Vec::new());
        }
        let page = &mut self.0[page];
        if page.len() <= offset {
            page.resize_with(offset + 1, || None);
        }
        page[offset] = Some(entry);
    }
}

impl<C> Clone for SocketTable<C> {
    fn clone(&self) -> Self {
        SocketTable(Rc::clone(&self.0))
    }
}

impl<C: Spoken> SocketTable<C> {
    /// An empty table for sockets of one kind.
    pub fn new(kind: SocketKind) -> io::Result<SocketTable<C>> {
        let (entries, lingering) = (Entries(Vec::new()), Lingering::default());
        Ok(SocketTable(Rc::new(RefCell::new(Table { entries, lingering, io: SocketIo::new(kind)? }))))
    }

    /// The kind of its sockets.
    pub fn kind(&self) -> SocketKind {
        self.0.borrow().io.kind()
    }

    /// The descriptor that is readable while sockets are ready.
    pub fn epoll(&self) -> RawFd {
        self.0.borrow().io.epoll()
    }

    /// Lists sockets that became ready since they were last listed, at most [`crate::limits::READY_SLICE`].
    pub fn ready(&self, ready: &mut Vec<Readiness>) {
        self.0.borrow().io.ready(ready);
    }

    /// A connection gets its socket. What is there to be read already will be reported.
    pub fn enter(&self, socket: OwnedFd, spoken: C) -> io::Result<()> {
        let Table { entries, io, .. } = &mut *self.0.borrow_mut();
        let key = spoken.key();
        let socket = io.register(socket, key)?;
        entries.put(key, SocketEntry { socket, spoken });
        Ok(())
    }

    /// A connection gives up its socket, which is no longer watched.
    pub fn detach(&self, key: Key) -> Option<Detached<C>> {
        let Table { entries, io, .. } = &mut *self.0.borrow_mut();
        let SocketEntry { socket, spoken } = entries.take(key)?;
        Some(Detached { socket: io.detach(socket)?, spoken })
    }

    /// A connection's socket is closed.
    pub fn close(&self, key: Key) {
        let Table { entries, io, .. } = &mut *self.0.borrow_mut();
        if let Some(entry) = entries.take(key) {
            io.close(entry.socket);
        }
    }

    /// A connection's socket is shut down and lingers. `sink` is for what the peer still sends.
    pub fn linger(&self, now: Time, key: Key, sink: &mut [u8]) {
        let Table { entries, lingering, io } = &mut *self.0.borrow_mut();
        if let Some(entry) = entries.take(key) {
            lingering.begin(now, key, entry.socket, io, sink);
        }
    }

    /// If a connection's socket lingers, what the peer still sends is dropped. Says whether it did.
    pub fn drain_until_close(&self, key: Key, sink: &mut [u8]) -> bool {
        let Table { lingering, io, .. } = &mut *self.0.borrow_mut();
        lingering.drain_until_close(key, io, sink)
    }

    /// Closes some sockets that have lingered long enough. Says whether there may be more.
    pub fn expire(&self, now: Time) -> bool {
        let Table { lingering, io, .. } = &mut *self.0.borrow_mut();
        lingering.expire(now, io)
    }

    /// Reads without waiting.
    pub fn read(&self, key: Key, bytes: &mut [u8]) -> Received {
        self.on(key, |socket, io| io.read(socket, bytes)).unwrap_or(Received::Nothing)
    }

    /// Writes without waiting.
    pub fn write(&self, key: Key, bytes: &[u8]) -> Written {
        self.on(key, |socket, io| io.write(socket, bytes)).unwrap_or(Written::Gone)
    }

    /// Does something with what is spoken on a socket; nothing if there is no such socket any more.
    pub fn with<R>(&self, key: Key, act: impl FnOnce(&mut C) -> R) -> Option<R> {
        let mut table = self.0.borrow_mut();
        Some(act(&mut table.entries.get(key)?.spoken))
    }

    /// The connections with indices in `from..from + count`.
    pub fn keys_in(&self, from: u32, count: u32) -> Vec<Key> {
        let pages = &self.0.borrow().entries.0;
        let entry = |index: u32| pages.get(index as usize / PAGE)?.get(index as usize % PAGE)?.as_ref();
        (from..from.saturating_add(count)).filter_map(entry).map(|entry| entry.spoken.key()).collect()
    }

    /// How many entries there is room for, taken or free.
    pub fn capacity(&self) -> u32 {
        let pages = &self.0.borrow().entries.0;
        pages.last().map_or(0, |last| (pages.len() - 1) * PAGE + last.len()) as u32
    }

    /// Does something with a socket; nothing if there is no such socket any more.
    pub(super) fn on<R>(&self, key: Key, act: impl FnOnce(&Socket, &mut SocketIo) -> R) -> Option<R> {
        let Table { entries, io, .. } = &mut *self.0.borrow_mut();
        Some(act(&entries.get(key)?.socket, io))
    }

    /// Does something with all sockets' means.
    pub(super) fn with_io<R>(&self, act: impl FnOnce(&mut SocketIo) -> R) -> R {
        act(&mut self.0.borrow_mut().io)
    }

    /// Whether a connection's socket lingers.
    #[cfg(test)]
    pub(super) fn lingers(&self, key: Key) -> bool {
        self.0.borrow().lingering.contains(key)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::gateway::conversation::Conversation;

    pub(in crate::gateway) fn enter(table: &SocketTable<Conversation>, key: Key) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        table.enter(ours.into(), Conversation::new(key, "".into())).unwrap();
        theirs
    }

    /// Of both kinds.
    pub(in crate::gateway) fn tables() -> [SocketTable<Conversation>; 2] {
        [SocketKind::Descriptor, SocketKind::RegisteredFile].map(|kind| SocketTable::new(kind).unwrap())
    }

    pub(in crate::gateway) fn ready(table: &SocketTable<Conversation>) -> Vec<Readiness> {
        let mut ready = Vec::new();
        table.ready(&mut ready);
        ready
    }

    /// A million of them are a million times this.
    #[test]
    fn an_idle_entry_is_small() {
        assert!(
            size_of::<Option<SocketEntry<Conversation>>>() <= 40,
            "{}",
            size_of::<Option<SocketEntry<Conversation>>>()
        );
    }

    #[test]
    fn readiness_is_reported_once_for_each_change() {
        for table in tables() {
            let key = Key { index: 3, generation: 7 };
            let mut peer = enter(&table, key);
            let quiet = Readiness { key, readable: false, ended: false, writable: true };
            assert_eq!(ready(&table), [quiet]);
            assert_eq!(ready(&table), []);
            peer.write_all(b"hello").unwrap();
            assert_eq!(ready(&table), [Readiness { readable: true, ..quiet }]);
            assert_eq!(ready(&table), []);
            let mut bytes = [0; 64];
            assert_eq!(table.read(key, &mut bytes), Received::Bytes(5));
            assert_eq!(table.read(key, &mut bytes), Received::Nothing);
            // The last bytes and the end come as one.
            peer.write_all(b"bye").unwrap();
            drop(peer);
            assert_eq!(ready(&table), [Readiness { readable: true, ended: true, ..quiet }]);
            assert_eq!(table.read(key, &mut bytes), Received::Bytes(3));
            assert_eq!(table.read(key, &mut bytes), Received::Gone);
            assert_eq!(ready(&table), []);
        }
    }

    #[test]
    fn a_full_socket_is_writable_when_it_can_take_more() {
        for table in tables() {
            let key = Key { index: 0, generation: 0 };
            let mut peer = enter(&table, key);
            ready(&table);
            let much = vec![0; 1 << 20];
            let mut taken = 0;
            while let Written::Bytes(written @ 1..) = table.write(key, &much) {
                taken += written;
            }
            assert_eq!(ready(&table), []);
            let mut sink = vec![0; taken];
            peer.read_exact(&mut sink).unwrap();
            assert!(ready(&table).iter().any(|readiness| readiness.key == key && readiness.writable));
            drop(peer);
            assert_eq!(table.write(key, b"x"), Written::Gone);
        }
    }

    #[test]
    fn a_detached_socket_is_not_ready_and_a_stale_key_has_none() {
        for table in tables() {
            let key = Key { index: 0, generation: 1 };
            let mut peer = enter(&table, key);
            let stale = Key { generation: 0, ..key };
            assert!(table.detach(stale).is_none());
            let detached = table.detach(key).unwrap();
            peer.write_all(b"hello").unwrap();
            assert_eq!(ready(&table), []);
            assert_eq!(table.write(key, b"x"), Written::Gone);
            assert_eq!(table.read(key, &mut [0; 8]), Received::Nothing);
            drop(detached);
        }
    }
}
