//! A core's sockets below what is spoken on them: the kinds that there are, and the one epoll instance that watches
//! them.
//!
//! Lives on: its core.
//! Only this file distinguishes the kinds; the tables above hold a [`Socket`] and call [`SocketIo`].
//!
//! | kind | where it is open | a single write | a staged write |
//! |---|---|---|---|
//! | descriptor | the descriptor table | `send` | one ring of the core's own (`src/net/ring.rs`) |
//! | registered file | a ring's table, without a descriptor | by that ring | by it (`src/net/registered_files.rs`) |
//!
//! TLS is to be the third kind. What a kind provides:
//! - *register*: takes an open descriptor over, and has epoll watch it, edge-triggered, under its connection's key;
//! - *read* into a buffer without waiting; 0 bytes are the end;
//! - *write* one slice without waiting, and return how much was taken; or *stage* several and write them in one
//!   *commit*, with one result for each in the order of staging. A taken byte is never asked for again, so ciphertext
//!   that the kernel has not taken is the kind's own: its *pending bytes*, written first, and nothing more is taken
//!   while there are any;
//! - *shut down* the outgoing half behind what was written (TLS: behind `close_notify`), and *close*;
//! - *detach* for a hand-over: the descriptor, no longer watched (TLS: with its keys and its pending bytes, or not at
//!   all).
//!
//! Invariant: a socket is used only with the [`SocketIo`] that registered it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use glommio::net::TcpStream;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use rustix::time::Timespec;

use crate::base::slab::Key;
use crate::limits;
use crate::net::registered_files::FixedFiles;
use crate::net::ring::WriteRing;

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    /// In the descriptor table.
    Descriptor,
    /// A file that is registered with an io_uring instance, without a descriptor.
    RegisteredFile,
}

/// An open socket. Dropping it closes a descriptor; [`SocketIo::close`] closes every kind.
#[derive(Debug)]
pub struct Socket(Handle);

/// By kind, what names it to the kernel.
#[derive(Debug)]
enum Handle {
    Descriptor(OwnedFd),
    Registered(u32),
}

/// What a core needs to use its sockets.
#[derive(Debug)]
pub struct SocketIo {
    epoll: OwnedFd,
    /// Where writes to descriptors are staged, if they are.
    ring: Option<Box<WriteRing>>,
    /// For registered files.
    fixed: Option<FixedSockets>,
}

/// Where sockets are that have no descriptors.
#[derive(Debug)]
struct FixedSockets {
    files: FixedFiles,
    /// The one descriptor under which all of them are added to epoll and deleted: epoll knows a file by the descriptor
    /// that it was added with, also when that is closed. In between it leads to the epoll instance itself.
    alias: OwnedFd,
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

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// This many bytes were taken; fewer than given means that the socket is full.
    Bytes(usize),
    /// The socket is gone.
    Gone,
}

/// What a socket is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Its connection.
    pub key: Key,
    /// There is something to read, or the end.
    pub readable: bool,
    /// The end is among it, or an error: no later readiness reports it.
    pub ended: bool,
    /// It can take more.
    pub writable: bool,
}

impl Received {
    fn of(read: Result<usize, Errno>) -> Received {
        match read {
            Ok(0) => Received::Gone,
            Ok(read) => Received::Bytes(read),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(_) => Received::Gone,
        }
    }
}

impl Written {
    fn of(written: Result<usize, Errno>) -> Written {
        match written {
            Ok(taken) => Written::Bytes(taken),
            Err(Errno::AGAIN | Errno::INTR) => Written::Bytes(0),
            Err(_) => Written::Gone,
        }
    }

    /// What was not taken of these bytes. As a rule nothing, and then nothing is allocated.
    pub fn rest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Written::Bytes(taken) => bytes[taken..].to_vec(),
            Written::Gone => Vec::new(),
        }
    }
}

impl FixedSockets {
    fn new(epoll: &OwnedFd) -> io::Result<FixedSockets> {
        let alias = rustix::io::fcntl_dupfd_cloexec(epoll, 0)?;
        Ok(FixedSockets { files: FixedFiles::new()?, alias })
    }

    /// Does something while the alias leads to the socket.
    fn aliased<R>(
        &mut self,
        socket: BorrowedFd<'_>,
        epoll: &OwnedFd,
        act: impl FnOnce(&OwnedFd) -> R,
    ) -> io::Result<R> {
        rustix::io::dup2(socket, &mut self.alias)?;
        let result = act(&self.alias);
        rustix::io::dup2(epoll, &mut self.alias)?;
        Ok(result)
    }

    fn register(&mut self, socket: &OwnedFd, epoll: &OwnedFd, data: EventData, what: EventFlags) -> io::Result<u32> {
        let index = self.files.register(socket)?;
        let added = self.aliased(socket.as_fd(), epoll, |alias| epoll::add(epoll, alias, data, what));
        if let Err(error) = added.and_then(|added| added.map_err(io::Error::from)) {
            self.files.close(index);
            return Err(error);
        }
        Ok(index)
    }
}

impl SocketIo {
    /// For sockets of one kind. It takes one descriptor, for registered files two and those of their rings.
    pub fn new(kind: SocketKind) -> io::Result<SocketIo> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let fixed = match kind {
            SocketKind::Descriptor => None,
            SocketKind::RegisteredFile => Some(FixedSockets::new(&epoll)?),
        };
        Ok(SocketIo { epoll, ring: None, fixed })
    }

    /// The kind of its sockets.
    pub fn kind(&self) -> SocketKind {
        if self.fixed.is_some() { SocketKind::RegisteredFile } else { SocketKind::Descriptor }
    }

    /// Lets writes be staged. Those to registered files can be in any case.
    pub fn batch_writes(&mut self) -> io::Result<()> {
        if self.kind() == SocketKind::Descriptor && self.ring.is_none() {
            self.ring = Some(Box::new(WriteRing::new()?));
        }
        Ok(())
    }

    /// The descriptor that is readable while sockets are ready.
    pub fn epoll(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Takes a socket over and watches it. What is there to be read already will be reported.
    pub fn register(&mut self, socket: OwnedFd, key: Key) -> io::Result<Socket> {
        let data = EventData::new_u64(u64::from(key.index) << 32 | u64::from(key.generation));
        let what = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(Socket(match &mut self.fixed {
            None => {
                epoll::add(&self.epoll, &socket, data, what)?;
                Handle::Descriptor(socket)
            }
            Some(fixed) => Handle::Registered(fixed.register(&socket, &self.epoll, data, what)?),
        }))
    }

    /// Gives a socket back, no longer watched. Without a free descriptor it is closed.
    pub fn detach(&mut self, socket: Socket) -> Option<OwnedFd> {
        match socket.0 {
            Handle::Descriptor(socket) => {
                // It may be open elsewhere after this, so that closing it here would not be enough.
                let _ = epoll::delete(&self.epoll, &socket);
                Some(socket)
            }
            Handle::Registered(index) => {
                let fixed = fixed(&mut self.fixed);
                let socket = fixed.files.detach(index).ok()?;
                let _ = fixed.aliased(socket.as_fd(), &self.epoll, |alias| epoll::delete(&self.epoll, alias));
                Some(socket)
            }
        }
    }

    /// Closes a socket. Its last reference goes, and epoll forgets it.
    pub fn close(&mut self, socket: Socket) {
        match socket.0 {
            Handle::Descriptor(socket) => drop(socket),
            Handle::Registered(index) => fixed(&mut self.fixed).files.close(index),
        }
    }

    /// Ends the outgoing half of a socket: its peer reads what was written, then the end.
    pub fn shut_down(&mut self, socket: &Socket) -> Result<(), Errno> {
        match &socket.0 {
            Handle::Descriptor(socket) => rustix::net::shutdown(socket, Shutdown::Write),
            Handle::Registered(index) => fixed(&mut self.fixed).files.shut_down(*index),
        }
    }

    /// Reads without waiting.
    pub fn read(&mut self, socket: &Socket, bytes: &mut [u8]) -> Received {
        loop {
            let read = match &socket.0 {
                Handle::Descriptor(socket) => {
                    rustix::net::recv(socket, &mut *bytes, RecvFlags::DONTWAIT).map(|(read, _)| read)
                }
                Handle::Registered(index) => fixed(&mut self.fixed).files.receive(*index, bytes),
            };
            if read != Err(Errno::INTR) {
                return Received::of(read);
            }
        }
    }

    /// Writes without waiting.
    pub fn write(&mut self, socket: &Socket, bytes: &[u8]) -> Written {
        loop {
            let written = match &socket.0 {
                Handle::Descriptor(socket) => {
                    rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
                }
                Handle::Registered(index) => fixed(&mut self.fixed).files.send(*index, bytes),
            };
            if written != Err(Errno::INTR) {
                return Written::of(written);
            }
        }
    }

    /// Copies bytes to be written by the next commit, until which the socket stays open. Says whether there was room.
    pub fn stage(&mut self, socket: &Socket, bytes: &[u8]) -> bool {
        match &socket.0 {
            Handle::Descriptor(socket) => match &mut self.ring {
                Some(ring) if !ring.is_full() => ring.stage(socket.as_fd(), bytes),
                Some(_) | None => return false,
            },
            Handle::Registered(index) => {
                let files = &mut fixed(&mut self.fixed).files;
                if files.is_full() {
                    return false;
                }
                files.stage(*index, bytes);
            }
        }
        true
    }

    /// Writes what is staged. Hands each write's bytes to `each`, in the order of staging, with what came of it.
    pub fn commit(&mut self, mut each: impl FnMut(&[u8], Written)) {
        let each = |bytes: &[u8], written| each(bytes, Written::of(written));
        match (&mut self.fixed, &mut self.ring) {
            (Some(fixed), _) => fixed.files.commit(each),
            (None, Some(ring)) => ring.commit(each),
            // Then nothing can be staged.
            (None, None) => {}
        }
    }

    /// Lists sockets that became ready since they were last listed, at most [`limits::READY_SLICE`].
    pub fn ready(&self, ready: &mut Vec<Readiness>) {
        let mut events = Vec::with_capacity(limits::READY_SLICE);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error could only be an interruption; the descriptor stays readable.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once));
        ready.extend(events.iter().map(|event| {
            let (flags, data) = (event.flags, event.data.u64());
            let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            Readiness {
                key: Key { index: (data >> 32) as u32, generation: data as u32 },
                readable: ended || flags.contains(EventFlags::IN),
                ended,
                writable: ended || flags.contains(EventFlags::OUT),
            }
        }));
    }
}

/// # Panics
/// If a registered file is used where there are none: it belongs to another [`SocketIo`].
fn fixed(fixed: &mut Option<FixedSockets>) -> &mut FixedSockets {
    fixed.as_mut().expect("a registered file belongs to the SocketIo that registered it")
}

/// Gives a socket to the executor.
pub fn to_executor(socket: OwnedFd) -> TcpStream {
    // SAFETY: the descriptor comes straight out of its owner, which has given it up.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Takes a socket from the executor.
pub fn from_executor(stream: TcpStream) -> OwnedFd {
    // SAFETY: the descriptor comes straight out of its owner, which has given it up.
    unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    const KEY: Key = Key { index: 3, generation: 7 };

    fn open(kind: SocketKind) -> (SocketIo, Socket, UnixStream) {
        let mut io = SocketIo::new(kind).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = io.register(ours.into(), KEY).unwrap();
        (io, socket, theirs)
    }

    fn ready(io: &SocketIo) -> Vec<Readiness> {
        let mut ready = Vec::new();
        io.ready(&mut ready);
        ready
    }

    #[test]
    fn a_detached_socket_is_open_and_no_longer_watched() {
        for kind in [SocketKind::Descriptor, SocketKind::RegisteredFile] {
            let (mut io, socket, mut peer) = open(kind);
            assert_eq!(ready(&io).len(), 1);
            let mut detached = UnixStream::from(io.detach(socket).unwrap());
            peer.write_all(b"hello").unwrap();
            assert_eq!(ready(&io), []);
            let mut bytes = [0; 5];
            detached.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
        }
    }

    #[test]
    fn descriptors_are_staged_only_where_writes_are_batched() {
        let (mut io, socket, mut peer) = open(SocketKind::Descriptor);
        assert!(!io.stage(&socket, b"x"));
        io.commit(|_, _| panic!("nothing is staged"));
        io.batch_writes().unwrap();
        for _ in 0..limits::BATCH {
            assert!(io.stage(&socket, b"x"));
        }
        assert!(!io.stage(&socket, b"x"), "a full batch is committed first");
        io.commit(|bytes, written| assert_eq!((bytes, written), (&b"x"[..], Written::Bytes(1))));
        io.close(socket);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), limits::BATCH);
    }
}
