//! The table of a core's sockets: through it the shard writes, and from it the door learns who has something to say.
//!
//! Lives on: its core.
//! A write is one non-blocking `send`, without the executor in between: it costs what the kernel costs. What can be read is told
//! by one epoll instance per core, in which a socket is entered once, edge-triggered. So an idle connection has no task, no
//! buffer and no request under way in the executor's ring; it is a place in this table.
//! A socket on which the last word was said leaves its place, since its connection is over, and is listened to for a while, until
//! its peer has read that word and closes too: to close at once would throw away what the peer has not read yet.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use glommio::net::TcpStream;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use rustix::time::Timespec;
use serde::Deserialize;

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::conversation::Conversation;
use crate::limits;
use crate::net::registered_files::Drawers;
use crate::net::ring::Ring;
use crate::shard::home::flush::{Sent, Sockets, Told};

/// One connection's socket and what is said on it.
#[derive(Debug)]
struct Kept {
    socket: Keeping,
    conversation: Conversation,
}

/// Where a socket is.
#[derive(Debug)]
enum Keeping {
    /// In the descriptor table.
    Number(OwnedFd),
    /// In this place of the drawers.
    Drawer(u32),
}

/// A socket that has left, and what was said on it.
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
    places: RefCell<Places>,
    leaving: RefCell<Leaving>,
    readiness: OwnedFd,
    without_numbers: Option<RefCell<Unnumbered>>,
}

/// Sockets by connection. They come in pages, as connections do in the shard's slab.
#[derive(Debug, Default)]
struct Places(Vec<Vec<Option<Kept>>>);

/// Sockets that were shut and wait for their peers to do the same. By what epoll tells of them.
#[derive(Debug, Default)]
struct Leaving {
    sockets: BTreeMap<u64, Parting>,
    /// Until when. Some have gone before.
    until: VecDeque<(Time, u64)>,
}

/// One of them.
#[derive(Debug)]
struct Parting {
    socket: Keeping,
    /// Bytes that the peer may still send.
    left: usize,
}

/// What epoll tells of a connection.
fn token(key: Key) -> u64 {
    u64::from(key.index) << 32 | u64::from(key.generation)
}

/// Where sockets are that have no numbers.
#[derive(Debug)]
struct Unnumbered {
    drawers: Drawers,
    /// The one number under which all of them are entered for epoll and taken out again: epoll knows a file by the number that it
    /// was entered with, also when it has none any more. In between the number leads to the epoll instance itself.
    number: OwnedFd,
}

impl Unnumbered {
    /// Does something while the number leads to the socket.
    fn lend<R>(
        &mut self,
        socket: BorrowedFd<'_>,
        readiness: &OwnedFd,
        act: impl FnOnce(&OwnedFd) -> R,
    ) -> io::Result<R> {
        rustix::io::dup2(socket, &mut self.number)?;
        let result = act(&self.number);
        rustix::io::dup2(readiness, &mut self.number)?;
        Ok(result)
    }
}

const PAGE: usize = 1_024;

impl Places {
    fn get(&mut self, key: Key) -> Option<&mut Option<Kept>> {
        let place = self.0.get_mut(key.index as usize / PAGE)?.get_mut(key.index as usize % PAGE)?;
        place.as_ref().is_some_and(|kept| kept.conversation.key() == key).then_some(place)
    }

    fn make(&mut self, index: u32) -> &mut Option<Kept> {
        let (page, place) = (index as usize / PAGE, index as usize % PAGE);
        while self.0.len() <= page {
            self.0.push(Vec::new());
        }
        let page = &mut self.0[page];
        if page.len() <= place {
            page.resize_with(place + 1, || None);
        }
        &mut page[place]
    }
}

impl SocketTable {
    /// An empty table. It takes one descriptor; sockets have numbers.
    pub fn new() -> io::Result<SocketTable> {
        let readiness = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(SocketTable::over(readiness, None))
    }

    /// An empty table of sockets that take no descriptors.
    pub fn without_numbers() -> io::Result<SocketTable> {
        let readiness = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let number = rustix::io::fcntl_dupfd_cloexec(&readiness, 0)?;
        let without_numbers = Some(RefCell::new(Unnumbered { drawers: Drawers::new()?, number }));
        Ok(SocketTable::over(readiness, without_numbers))
    }

    fn over(readiness: OwnedFd, without_numbers: Option<RefCell<Unnumbered>>) -> SocketTable {
        let (places, leaving) = (RefCell::default(), RefCell::default());
        SocketTable(Rc::new(Inner { places, leaving, readiness, without_numbers }))
    }

    /// The descriptor that is readable while sockets have stirred.
    pub fn readiness(&self) -> RawFd {
        self.0.readiness.as_raw_fd()
    }

    /// A connection gets its socket. What is there to be read already will be told.
    pub fn enter(&self, socket: OwnedFd, conversation: Conversation) -> io::Result<()> {
        let key = conversation.key();
        let told = EventData::new_u64(token(key));
        let what = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let readiness = &self.0.readiness;
        let socket = match &self.0.without_numbers {
            None => {
                epoll::add(readiness, &socket, told, what)?;
                Keeping::Number(socket)
            }
            Some(unnumbered) => {
                let mut unnumbered = unnumbered.borrow_mut();
                let place = unnumbered.drawers.put(&socket)?;
                let added =
                    unnumbered.lend(socket.as_fd(), readiness, |number| epoll::add(readiness, number, told, what));
                if let Err(error) = added.and_then(|added| added.map_err(io::Error::from)) {
                    unnumbered.drawers.discard(place);
                    return Err(error);
                }
                Keeping::Drawer(place)
            }
        };
        *self.0.places.borrow_mut().make(key.index) = Some(Kept { socket, conversation });
        Ok(())
    }

    /// A connection gives up its socket, which is not listened to any more.
    pub fn leave(&self, key: Key) -> Option<Line> {
        let Kept { socket, conversation } = self.0.places.borrow_mut().get(key)?.take()?;
        let readiness = &self.0.readiness;
        let socket = match socket {
            Keeping::Number(socket) => {
                // It may be open elsewhere after this, so that closing it here would not be enough.
                let _ = epoll::delete(readiness, &socket);
                socket
            }
            Keeping::Drawer(place) => {
                let mut unnumbered = self.0.without_numbers.as_ref()?.borrow_mut();
                // Without a number to be had it is closed.
                let socket = unnumbered.drawers.take(place).ok()?;
                let _ = unnumbered.lend(socket.as_fd(), readiness, |number| epoll::delete(readiness, number));
                socket
            }
        };
        Some(Line { socket, conversation })
    }

    /// A connection's socket is closed.
    pub fn close(&self, key: Key) {
        let kept = self.0.places.borrow_mut().get(key).and_then(Option::take);
        if let Some(kept) = kept {
            self.drop_socket(kept.socket);
        }
    }

    fn drop_socket(&self, socket: Keeping) {
        match (socket, &self.0.without_numbers) {
            // Its last reference goes, and epoll forgets it.
            (Keeping::Drawer(place), Some(unnumbered)) => unnumbered.borrow_mut().drawers.discard(place),
            (Keeping::Drawer(_) | Keeping::Number(_), _) => {}
        }
    }

    /// A connection has said its last: its socket is shut for writing, and closed when the peer has closed it too, has sent too
    /// much, or takes too long. `sink` is for what it still says.
    pub fn part(&self, now: Time, key: Key, sink: &mut [u8]) {
        let kept = self.0.places.borrow_mut().get(key).and_then(Option::take);
        let Some(Kept { socket, .. }) = kept else { return };
        let shut = match (&socket, &self.0.without_numbers) {
            (Keeping::Number(socket), _) => rustix::net::shutdown(socket, Shutdown::Write),
            (Keeping::Drawer(place), Some(unnumbered)) => unnumbered.borrow_mut().drawers.shut(*place),
            (Keeping::Drawer(_), None) => return,
        };
        if shut.is_err() {
            return self.drop_socket(socket);
        }
        {
            let mut leaving = self.0.leaving.borrow_mut();
            leaving.sockets.insert(token(key), Parting { socket, left: limits::LINGER_BYTES });
            leaving.until.push_back((now + limits::LINGER, token(key)));
        }
        // What came before this has stirred it for the last time.
        self.hear_out(key, sink);
    }

    /// If a connection's socket was shut, what the peer still says is read. Says whether it was.
    pub fn hear_out(&self, key: Key, sink: &mut [u8]) -> bool {
        let mut leaving = self.0.leaving.borrow_mut();
        let Some(parting) = leaving.sockets.get_mut(&token(key)) else { return false };
        let mut unnumbered = self.0.without_numbers.as_ref().map(RefCell::borrow_mut);
        let mut drawers = unnumbered.as_mut().map(|unnumbered| &mut unnumbered.drawers);
        let is_over = loop {
            match receive(&parting.socket, &mut drawers, sink) {
                Received::Bytes(read) if read < parting.left => parting.left -= read,
                Received::Nothing => break false,
                Received::Bytes(_) | Received::Gone => break true,
            }
        };
        drop(unnumbered);
        if is_over && let Some(parting) = leaving.sockets.remove(&token(key)) {
            self.drop_socket(parting.socket);
        }
        true
    }

    /// Closes some sockets whose peers have had their time. Says whether there may be more.
    pub fn expire(&self, now: Time) -> bool {
        let mut leaving = self.0.leaving.borrow_mut();
        for _ in 0..limits::FINISHED_SLICE {
            if leaving.until.front().is_none_or(|(until, _)| *until > now) {
                return false;
            }
            let gone = leaving.until.pop_front().and_then(|(_, token)| leaving.sockets.remove(&token));
            if let Some(parting) = gone {
                self.drop_socket(parting.socket);
            }
        }
        true
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
        self.on(key, |socket, drawers| receive(socket, drawers, bytes)).unwrap_or(Received::Nothing)
    }

    /// The connections at places `from..from + count`.
    pub fn keys_in(&self, from: u32, count: u32) -> Vec<Key> {
        let pages = &self.0.places.borrow().0;
        let kept = |index: u32| pages.get(index as usize / PAGE)?.get(index as usize % PAGE)?.as_ref();
        (from..from.saturating_add(count)).filter_map(kept).map(|kept| kept.conversation.key()).collect()
    }

    /// How many places there are, taken or free.
    pub fn places(&self) -> u32 {
        let pages = &self.0.places.borrow().0;
        pages.last().map_or(0, |last| (pages.len() - 1) * PAGE + last.len()) as u32
    }

    /// Writes without waiting.
    pub fn send(&self, connection: Key, bytes: &[u8]) -> Sent {
        let sent = self.on(connection, |socket, drawers| {
            loop {
                let sent = match (socket, drawers.as_deref_mut()) {
                    (Keeping::Number(socket), _) => {
                        rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
                    }
                    (Keeping::Drawer(place), Some(drawers)) => drawers.send(*place, bytes),
                    (Keeping::Drawer(_), None) => return Sent::Gone,
                };
                match sent {
                    Err(Errno::INTR) => {}
                    result => return told(result),
                }
            }
        });
        sent.unwrap_or(Sent::Gone)
    }

    /// Does something with what is said on a socket; nothing if there is no such socket any more.
    pub fn at<R>(&self, key: Key, act: impl FnOnce(&mut Conversation) -> R) -> Option<R> {
        let mut places = self.0.places.borrow_mut();
        Some(act(&mut places.get(key)?.as_mut()?.conversation))
    }

    /// Does something with a socket; nothing if there is no such socket any more.
    fn on<R>(&self, key: Key, act: impl FnOnce(&Keeping, &mut Option<&mut Drawers>) -> R) -> Option<R> {
        let mut places = self.0.places.borrow_mut();
        let kept = places.get(key)?.as_ref()?;
        let mut unnumbered = self.0.without_numbers.as_ref().map(RefCell::borrow_mut);
        let mut drawers = unnumbered.as_mut().map(|unnumbered| &mut unnumbered.drawers);
        Some(act(&kept.socket, &mut drawers))
    }
}

fn receive(socket: &Keeping, drawers: &mut Option<&mut Drawers>, bytes: &mut [u8]) -> Received {
    loop {
        let read = match (socket, drawers.as_deref_mut()) {
            (Keeping::Number(socket), _) => {
                rustix::net::recv(socket, &mut *bytes, RecvFlags::DONTWAIT).map(|(read, _)| read)
            }
            (Keeping::Drawer(place), Some(drawers)) => drawers.receive(*place, bytes),
            (Keeping::Drawer(_), None) => return Received::Gone,
        };
        match read {
            Ok(0) => return Received::Gone,
            Ok(read) => return Received::Bytes(read),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Received::Nothing,
            Err(_) => return Received::Gone,
        }
    }
}

/// What the result of a write means.
fn told(result: Result<usize, Errno>) -> Sent {
    match result {
        Ok(taken) => Sent::Bytes(taken),
        Err(Errno::AGAIN | Errno::INTR) => Sent::Bytes(0),
        Err(_) => Sent::Gone,
    }
}

/// How a core's shard writes to its sockets.
#[derive(Debug)]
pub struct Sending {
    table: SocketTable,
    batches: Batches,
    staged: Vec<Key>,
}

/// Where writes are staged.
#[derive(Debug)]
enum Batches {
    /// Nowhere: each goes to the kernel at once.
    Off,
    /// In a ring for sockets that have numbers.
    Ring(Box<Ring>),
    /// In the drawers of the table.
    Drawers,
}

/// How writes are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// One by one.
    Plain,
    /// Those of a slice together, through an io_uring of the core's own, or through those that the sockets are in.
    Batched,
}

impl Sending {
    /// Writes to the sockets of a table. Unless it is said how, in batches if the sockets have no numbers: each write goes through a ring
    /// in any case.
    pub fn new(table: SocketTable, way: Option<Way>) -> io::Result<Sending> {
        let batches = match (way, table.0.without_numbers.is_some()) {
            (Some(Way::Plain), _) | (None, false) => Batches::Off,
            (Some(Way::Batched) | None, true) => Batches::Drawers,
            (Some(Way::Batched), false) => Batches::Ring(Box::new(Ring::new()?)),
        };
        Ok(Sending { table, batches, staged: Vec::new() })
    }
}

impl Sockets for Sending {
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Option<Sent> {
        // To copy more than that costs as much as a system call saves.
        if bytes.len() > limits::BATCHED_BYTES_MAX || matches!(self.batches, Batches::Off) {
            return Some(self.table.send(connection, bytes));
        }
        let batches = &mut self.batches;
        let staged = self.table.on(connection, |socket, drawers| match (batches, socket, drawers) {
            (Batches::Ring(ring), Keeping::Number(socket), _) if !ring.is_full() => {
                ring.stage(socket.as_fd(), bytes);
                true
            }
            (Batches::Drawers, Keeping::Drawer(place), Some(drawers)) if !drawers.is_full() => {
                drawers.stage(*place, bytes);
                true
            }
            (Batches::Off | Batches::Ring(_) | Batches::Drawers, _, _) => false,
        });
        match staged {
            Some(true) => {
                self.staged.push(connection);
                None
            }
            Some(false) => Some(self.table.send(connection, bytes)),
            None => Some(Sent::Gone),
        }
    }

    fn commit(&mut self, told: &mut Vec<Told>) {
        let mut staged = self.staged.drain(..);
        let each = |bytes: &[u8], result| {
            let connection = staged.next().expect("each was staged under its connection");
            let sent = self::told(result);
            told.push(Told { connection, sent, rest: sent.rest(bytes) });
        };
        match (&mut self.batches, &self.table.0.without_numbers) {
            (Batches::Ring(ring), _) => ring.commit(each),
            (Batches::Drawers, Some(unnumbered)) => unnumbered.borrow_mut().drawers.commit(each),
            (Batches::Off | Batches::Drawers, _) => {}
        }
    }
}

/// Gives a socket to the executor.
pub fn to_executor(socket: OwnedFd) -> TcpStream {
    // SAFETY: the socket gives its descriptor up, so nobody else owns it.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Takes a socket from the executor.
pub fn from_executor(stream: TcpStream) -> OwnedFd {
    // SAFETY: the stream gives its descriptor up, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Option<Kept>>() <= 40, "{}", size_of::<Option<Kept>>());
    }

    fn enter(table: &SocketTable, key: Key) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        table.enter(ours.into(), Conversation::new(key, "".into())).unwrap();
        theirs
    }

    /// Both kinds.
    fn tables() -> [SocketTable; 2] {
        [SocketTable::new().unwrap(), SocketTable::without_numbers().unwrap()]
    }

    fn stirs(table: &SocketTable) -> Vec<Stir> {
        let mut stirs = Vec::new();
        table.stirred(&mut stirs);
        stirs
    }

    #[test]
    fn a_socket_stirs_once_for_each_thing_that_happens_to_it() {
        for table in tables() {
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
    }

    #[test]
    fn a_full_socket_stirs_when_it_can_take_more() {
        for table in tables() {
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
    }

    #[test]
    fn who_has_left_is_not_heard_of() {
        for table in tables() {
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

    #[test]
    fn who_says_the_last_word_waits_for_the_other_to_close() {
        let mut sink = [0; 64];
        let begun = Time::from_millis(1_000);
        for table in tables() {
            let keys: Vec<Key> = (0..4).map(|index| Key { index, generation: 9 }).collect();
            let mut peers: Vec<UnixStream> = keys.iter().map(|key| enter(&table, *key)).collect();
            // It has said something that nobody has read: to close now would throw the last word away.
            peers[0].write_all(b"hello").unwrap();
            for key in &keys {
                assert_eq!(table.send(*key, b"the last word"), Sent::Bytes(13));
                table.part(begun, *key, &mut sink);
                assert_eq!(table.send(*key, b"x"), Sent::Gone, "its place is free");
            }
            let has_number = |parting: &Parting| matches!(parting.socket, Keeping::Number(_));
            let numbers = table.0.leaving.borrow().sockets.values().filter(|parting| has_number(parting)).count();
            assert_eq!(numbers, if table.0.without_numbers.is_some() { 0 } else { keys.len() });
            stirs(&table);
            for peer in &mut peers {
                let mut read = Vec::new();
                peer.read_to_end(&mut read).unwrap();
                assert_eq!(read, b"the last word");
            }
            let is_leaving = |key: &Key| table.0.leaving.borrow().sockets.contains_key(&token(*key));
            assert!(keys.iter().all(is_leaving));
            // One closes too, one talks on and on, one says little, one nothing.
            drop(peers.remove(0));
            peers[0].set_nonblocking(true).unwrap();
            let mut said = 0;
            while said < limits::LINGER_BYTES && is_leaving(&keys[1]) {
                said += peers[0].write(&[0; 1_024]).unwrap();
                for stir in stirs(&table) {
                    assert!(table.hear_out(stir.key, &mut sink), "{stir:?}");
                }
            }
            assert_eq!(said, limits::LINGER_BYTES);
            peers[1].write_all(b"well").unwrap();
            for stir in stirs(&table) {
                assert!(table.hear_out(stir.key, &mut sink), "{stir:?}");
            }
            assert_eq!(keys.iter().map(is_leaving).collect::<Vec<_>>(), [false, false, true, true]);
            let _ = table.expire(begun + (limits::LINGER - std::time::Duration::from_millis(1)));
            assert!(is_leaving(&keys[2]) && is_leaving(&keys[3]));
            assert!(!table.expire(begun + limits::LINGER), "there are no more");
            assert!(!keys.iter().any(is_leaving));
            assert!(peers[1].write_all(b"x").is_err(), "it is closed");
            assert!(!table.hear_out(keys[2], &mut sink));
        }
    }

    /// What came of a write, now or when it is done.
    fn outcome(sending: &mut Sending, connection: Key, bytes: &[u8]) -> (Sent, Vec<u8>) {
        if let Some(sent) = sending.send(connection, bytes) {
            return (sent, sent.rest(bytes));
        }
        let mut told = Vec::new();
        sending.commit(&mut told);
        assert_eq!((told.len(), told[0].connection), (1, connection));
        let Told { sent, rest, .. } = told.remove(0);
        (sent, rest)
    }

    #[test]
    fn unless_it_is_said_sockets_without_numbers_are_written_to_in_batches() {
        for table in tables() {
            let without = table.0.without_numbers.is_some();
            let peer = enter(&table, Key { index: 0, generation: 1 });
            let mut sending = Sending::new(table, None).unwrap();
            let sent = sending.send(Key { index: 0, generation: 1 }, b"hello");
            assert_eq!(sent, if without { None } else { Some(Sent::Bytes(5)) });
            drop(peer);
        }
    }

    #[test]
    fn both_ways_write_the_same_and_tell_the_same() {
        for way in [Way::Plain, Way::Batched] {
            for table in tables() {
                let mut sending = Sending::new(table.clone(), Some(way)).unwrap();
                let keys: Vec<Key> =
                    (0..limits::FLUSH_SLICE as u32 * 3).map(|index| Key { index, generation: 1 }).collect();
                let mut peers: Vec<UnixStream> = keys.iter().map(|key| enter(&table, *key)).collect();
                for round in 0..3 {
                    let mut told = Vec::new();
                    for key in &keys {
                        let text = format!("{round} to {}", key.index);
                        match sending.send(*key, text.as_bytes()) {
                            Some(sent) => assert_eq!(sent, Sent::Bytes(text.len())),
                            None => assert_eq!(way, Way::Batched),
                        }
                    }
                    assert_eq!(sending.staged.is_empty(), way == Way::Plain);
                    sending.commit(&mut told);
                    let whole = |told: &Told| told.rest.is_empty() && matches!(told.sent, Sent::Bytes(6..));
                    assert!(told.iter().all(whole), "{told:?}");
                    for (key, peer) in keys.iter().zip(&mut peers) {
                        let mut read = vec![0; format!("{round} to {}", key.index).len()];
                        peer.read_exact(&mut read).unwrap();
                        assert_eq!(read, format!("{round} to {}", key.index).into_bytes());
                    }
                }
                // A socket that is full takes a part, then nothing; one that is gone takes nothing any more.
                let piece = [b'x'; 3_000];
                let last = loop {
                    match outcome(&mut sending, keys[0], &piece) {
                        (Sent::Bytes(3_000), rest) => assert!(rest.is_empty()),
                        other => break other,
                    }
                };
                let (Sent::Bytes(taken), rest) = last else { panic!("{last:?}") };
                assert_eq!(rest, piece[taken..]);
                assert_eq!(outcome(&mut sending, keys[0], b"more"), (Sent::Bytes(0), b"more".to_vec()));
                peers.remove(1);
                assert_eq!(outcome(&mut sending, keys[1], b"x").0, Sent::Gone);
                let stranger = Key { index: 5, generation: 0 };
                assert_eq!(outcome(&mut sending, stranger, b"x").0, Sent::Gone);
            }
        }
    }
}
