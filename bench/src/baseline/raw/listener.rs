//! One thread of the raw gateway: its listener, its sockets, and its loop.
//!
//! It has a descriptor table of its own. A connection costs a [`Connection`] and whatever the kernel takes: bytes are
//! read into the one buffer of the thread, and a message is rendered once for all sessions that give it the same
//! number.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::base::{clock, descriptor_table, limits};
use crate::baseline::raw::broadcast::{Broadcast, Message};
use crate::baseline::raw::sender::{How, Piece, Rest, Sender};
use crate::baseline::raw::wire;
use crate::baseline::raw::wire::{ClientFrame, Request, close};
use crate::counts;

/// epoll's word for the listener.
const LISTENER: u64 = u64::MAX;
/// epoll's word for the wakeup.
const BELL: u64 = u64::MAX - 1;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// HTTP: an upgrade, or posts.
    Http,
    /// HELLO is sent, op 2 awaited.
    Greeted,
    /// Gets all messages.
    Session,
}

/// What is known of a descriptor: 12 bytes, so that a million connections are cheap.
#[derive(Debug)]
struct Connection {
    socket: Option<OwnedFd>,
    /// How many messages there were before it identified: its numbers begin there.
    offset: u32,
    stage: Stage,
    /// Its buffer is full; what it should get is kept in [`ListenerThread::unsent`].
    blocked: bool,
}

counts! {
/// What a thread has counted.
Counts {
    /// Connections accepted.
    accepted,
    /// Sessions that identified.
    identified,
    /// Posts accepted.
    posts,
    /// Messages for a session, whether they were sent at once or kept until it takes them.
    deliveries,
    /// Sends of messages, of one or, joined, of several. What was kept and sent later is not among them.
    sends,
    /// CPU time of these, in nanoseconds.
    send_cpu_ns,
    /// Their bytes.
    sent_bytes,
    /// Sends that were not taken whole.
    blocked,
    /// Connections closed because they did not take what was kept for them.
    slow,
    /// Connections that ended otherwise, by whomever.
    ended,
    /// Times that a thread had all the sockets that it may have, and shut its door.
    shut,
}
}

/// A thread's state. It never leaves the thread: its descriptors mean nothing elsewhere.
#[derive(Debug)]
pub struct ListenerThread {
    thread: usize,
    broadcast: Arc<Broadcast>,
    address: SocketAddr,
    coalesce: bool,
    epoll: OwnedFd,
    /// Absent while there is no room.
    listener: Option<Socket>,
    /// By descriptor.
    connections: Vec<Connection>,
    room: usize,
    taken: usize,
    /// Sessions by their offset. Few: those that come while nothing is said share one.
    groups: BTreeMap<u32, u32>,
    /// Messages that all sessions have been sent.
    seen: u32,
    queue: VecDeque<Arc<Message>>,
    fetched: Vec<Arc<Message>>,
    /// Fronts of what clients have not said to the end.
    unread: HashMap<i32, Vec<u8>>,
    /// What sockets have not taken.
    unsent: HashMap<i32, Vec<u8>>,
    unsent_bytes: usize,
    sender: Sender,
    buffer: Vec<u8>,
    out: Vec<u8>,
    counts: Counts,
}

/// Opens a listener that shares its port with those of other threads.
pub fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = reserve(address)?;
    socket.listen(limits::BACKLOG)?;
    Ok(socket)
}

/// Binds a socket, so that the port is known before the threads listen.
pub fn reserve(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Connections have it from their listener.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl ListenerThread {
    /// Opens the door, in a descriptor table of the calling thread's own.
    pub fn open(
        thread: usize,
        broadcast: Arc<Broadcast>,
        address: SocketAddr,
        how: How,
        coalesce: bool,
        room: usize,
    ) -> io::Result<ListenerThread> {
        descriptor_table::separate(&broadcast.wakeups())?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, broadcast.wakeup(thread), EventData::new_u64(BELL), EventFlags::IN)?;
        let mut door = ListenerThread {
            thread,
            broadcast,
            address,
            coalesce,
            epoll,
            listener: None,
            connections: Vec::new(),
            room,
            taken: 0,
            groups: BTreeMap::new(),
            seen: 0,
            queue: VecDeque::new(),
            fetched: Vec::new(),
            unread: HashMap::new(),
            unsent: HashMap::new(),
            unsent_bytes: 0,
            sender: Sender::new(how)?,
            buffer: vec![0; limits::COALESCED_BYTES_MAX],
            out: Vec::new(),
            counts: Counts::default(),
        };
        door.listen()?;
        Ok(door)
    }

    fn listen(&mut self) -> io::Result<()> {
        let listener = listen(self.address)?;
        epoll::add(&self.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Runs until the broadcast is closed.
    pub fn run(mut self) -> io::Result<Counts> {
        let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; limits::EVENTS];
        while !self.broadcast.is_stopping() {
            self.turn(&mut events)?;
        }
        Ok(self.counts)
    }

    fn turn(&mut self, events: &mut [epoll::Event]) -> io::Result<()> {
        let nap = self.may_send().then_some(Timespec { tv_sec: 0, tv_nsec: 0 });
        let count = match epoll::wait(&self.epoll, &mut *events, nap.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            // Copied out, since the kernel's structure is packed.
            let (data, flags) = (event.data, event.flags);
            match data.u64() {
                LISTENER => self.accept()?,
                BELL => self.fetch(),
                socket => {
                    let at = socket as usize;
                    if flags.contains(EventFlags::OUT) {
                        self.flush(at);
                    }
                    if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP) {
                        self.read(at);
                    }
                }
            }
        }
        if self.may_send() {
            self.broadcast()?;
        }
        if self.listener.is_none() && self.taken < self.room {
            self.listen()?;
        }
        Ok(())
    }

    fn may_send(&self) -> bool {
        !self.queue.is_empty() && self.unsent_bytes < limits::UNSENT_BYTES_IN_ALL_MAX
    }

    // ── connections ──

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..limits::ACCEPTS {
            let Some(listener) = &self.listener else { return Ok(()) };
            if self.taken >= self.room {
                // With its listener gone, new connections go to other threads.
                self.listener = None;
                self.counts.shut += 1;
                return Ok(());
            }
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = match rustix::net::accept_with(listener, flags) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::MFILE | Errno::NFILE) => {
                    self.room = self.taken;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let at = socket.as_raw_fd() as usize;
            epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), EventFlags::IN | EventFlags::RDHUP)?;
            while self.connections.len() <= at {
                self.connections.push(Connection { socket: None, offset: 0, stage: Stage::Http, blocked: false });
            }
            self.connections[at] = Connection { socket: Some(socket), offset: 0, stage: Stage::Http, blocked: false };
            self.taken += 1;
            self.counts.accepted += 1;
            self.broadcast.connected.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn close(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(socket) = connection.socket.take() else { return };
        if connection.stage == Stage::Session {
            self.broadcast.identified.fetch_sub(1, Ordering::Relaxed);
            if let Some(sessions) = self.groups.get_mut(&connection.offset) {
                *sessions -= 1;
                if *sessions == 0 {
                    self.groups.remove(&connection.offset);
                }
            }
        }
        (connection.stage, connection.blocked) = (Stage::Http, false);
        let number = socket.as_raw_fd();
        self.unread.remove(&number);
        self.unsent_bytes -= self.unsent.remove(&number).map_or(0, |bytes| bytes.len());
        self.taken -= 1;
        self.counts.ended += 1;
        self.broadcast.connected.fetch_sub(1, Ordering::Relaxed);
    }

    // ── what clients say ──

    fn read(&mut self, at: usize) {
        let Some(socket) = &self.connections[at].socket else { return };
        let number = socket.as_raw_fd();
        let read = match rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((read @ 1.., _)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok((0, _)) | Err(_) => return self.close(at),
        };
        let buffer = std::mem::take(&mut self.buffer);
        let (used, stays) = match self.unread.remove(&number) {
            None => self.understand(at, &buffer[..read]),
            Some(mut whole) => {
                whole.extend_from_slice(&buffer[..read]);
                let (used, stays) = self.understand(at, &whole);
                if used < whole.len() {
                    whole.drain(..used);
                    self.unread.insert(number, whole);
                }
                (read, stays)
            }
        };
        if used < read {
            self.unread.insert(number, buffer[used..read].to_vec());
        }
        self.buffer = buffer;
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            self.send_to(at, &out);
            self.out = out;
            self.out.clear();
        }
        if !stays {
            self.close(at);
        }
    }

    /// Takes all that is whole at the front. Says how much that was, and whether the connection stays. The answer is in
    /// `out`.
    fn understand(&mut self, at: usize, bytes: &[u8]) -> (usize, bool) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let (length, stays) = if self.connections[at].stage == Stage::Http {
                if rest.is_empty() {
                    return (used, true);
                }
                match wire::request(rest) {
                    Ok(None) => return (used, true),
                    Ok(Some((request, length))) => (length, self.serve(at, request)),
                    Err(why) => {
                        wire::refused(&mut self.out, 400, why);
                        return (bytes.len(), false);
                    }
                }
            } else {
                match wire::frame(rest) {
                    Ok(None) => return (used, true),
                    Ok(Some((said, length))) => (length, self.handle_frame(at, said)),
                    Err(code) => {
                        wire::closing(&mut self.out, code);
                        return (bytes.len(), false);
                    }
                }
            };
            used += length;
            if !stays {
                return (bytes.len(), false);
            }
        }
    }

    fn serve(&mut self, at: usize, request: Request) -> bool {
        match request {
            Request::Upgrade(accept) => {
                wire::upgraded(&mut self.out, &accept);
                wire::hello(&mut self.out);
                self.connections[at].stage = Stage::Greeted;
            }
            Request::Post(content) => match self.broadcast.publish(&content) {
                Ok(id) => {
                    self.counts.posts += 1;
                    wire::accepted(&mut self.out, id);
                }
                Err(_) => wire::refused(&mut self.out, 503, "too many messages are waiting to be sent"),
            },
            Request::Refused(status, why) => wire::refused(&mut self.out, status, why),
        }
        true
    }

    fn handle_frame(&mut self, at: usize, said: ClientFrame) -> bool {
        let command = match said {
            ClientFrame::Command(command) => command,
            ClientFrame::Ping(payload) => {
                wire::pong(&mut self.out, &payload);
                return true;
            }
            ClientFrame::Pong => return true,
            ClientFrame::Close(payload) => {
                wire::closed(&mut self.out, &payload);
                return false;
            }
        };
        let greeted = self.connections[at].stage == Stage::Greeted;
        let refusal = match wire::opcode(&command) {
            Ok(1) => {
                wire::acknowledgement(&mut self.out);
                return true;
            }
            Ok(2) if greeted => {
                self.identify(at);
                return true;
            }
            Ok(6) if greeted => {
                wire::invalid(&mut self.out);
                return true;
            }
            Ok(2 | 6) => close::AGAIN,
            // What these change is visible to no other session, as there are no members.
            Ok(3 | 4 | 8 | 14 | 31) if !greeted => return true,
            Ok(3 | 4 | 8 | 14 | 31) => close::STRANGER,
            Ok(_) => close::OPCODE,
            Err(code) => code,
        };
        wire::closing(&mut self.out, refusal);
        false
    }

    fn identify(&mut self, at: usize) {
        let id = format!("raw-{}-{}", self.thread, self.counts.identified);
        wire::ready(&mut self.out, &id);
        let connection = &mut self.connections[at];
        connection.stage = Stage::Session;
        connection.offset = self.seen;
        *self.groups.entry(self.seen).or_default() += 1;
        self.counts.identified += 1;
        self.broadcast.identified.fetch_add(1, Ordering::Relaxed);
    }

    // ── what they are sent ──

    /// Sends to one, behind what is kept for it.
    fn send_to(&mut self, at: usize, bytes: &[u8]) {
        let connection = &self.connections[at];
        let Some(socket) = &connection.socket else { return };
        let number = socket.as_raw_fd();
        let taken = if connection.blocked {
            Ok(0)
        } else {
            match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN | Errno::INTR) => Ok(0),
                taken => taken,
            }
        };
        match taken {
            Ok(taken) if taken == bytes.len() => {}
            Ok(taken) => self.keep(number, &bytes[taken..]),
            Err(_) => self.close(at),
        }
    }

    /// Keeps what a socket did not take, until it does.
    fn keep(&mut self, number: i32, bytes: &[u8]) {
        let at = number as usize;
        let kept = self.unsent.entry(number).or_default();
        kept.extend_from_slice(bytes);
        self.unsent_bytes += bytes.len();
        if kept.len() > limits::UNSENT_BYTES_MAX {
            self.counts.slow += 1;
            return self.close(at);
        }
        let connection = &mut self.connections[at];
        if !std::mem::replace(&mut connection.blocked, true) {
            self.watch(at, EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT);
        }
    }

    /// Sends what was kept for a socket, now that it takes some.
    fn flush(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(socket) = &connection.socket else { return };
        let Some(kept) = self.unsent.get_mut(&socket.as_raw_fd()) else { return };
        match rustix::net::send(socket, kept, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(taken) => {
                kept.drain(..taken);
                self.unsent_bytes -= taken;
                if kept.is_empty() {
                    self.unsent.remove(&socket.as_raw_fd());
                    connection.blocked = false;
                    self.watch(at, EventFlags::IN | EventFlags::RDHUP);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.close(at),
        }
    }

    fn watch(&mut self, at: usize, flags: EventFlags) {
        let Some(socket) = &self.connections[at].socket else { return };
        if epoll::modify(&self.epoll, socket, EventData::new_u64(at as u64), flags).is_err() {
            self.close(at);
        }
    }

    fn fetch(&mut self) {
        let mut count = [0; 8];
        // It is rung again for whatever comes after the fetching.
        let _ = rustix::io::read(self.broadcast.wakeup(self.thread), &mut count);
        self.broadcast.fetch(self.thread, &mut self.fetched);
        self.queue.extend(self.fetched.drain(..));
    }

    /// Sends the next message to all sessions; or, joined, as many as make one send.
    fn broadcast(&mut self) -> io::Result<()> {
        let unit = self.next_unit();
        let renderings: BTreeMap<u32, Vec<u8>> =
            self.groups.keys().map(|offset| (*offset, render(&unit, *offset))).collect();
        let rendering = |offset: u32| renderings.get(&offset).map_or(&[][..], Vec::as_slice);
        let blocked: Vec<i32> = self.unsent.keys().copied().collect();
        let mut rests: Vec<Rest> = Vec::new();
        let mut last = (0, rendering(0));
        let mut bytes = 0;
        let open =
            self.connections.iter().filter(|connection| connection.stage == Stage::Session && !connection.blocked);
        let pieces = open.filter_map(|connection| {
            let socket = connection.socket.as_ref()?.as_fd();
            if connection.offset != last.0 {
                last = (connection.offset, rendering(connection.offset));
            }
            bytes += last.1.len() as u64;
            Some(Piece { socket, bytes: last.1 })
        });
        let before = clock::thread_cpu_ns();
        let sends = self.sender.send(pieces, &mut rests)?;
        self.counts.send_cpu_ns += clock::thread_cpu_ns() - before;
        self.counts.sends += sends;
        self.counts.sent_bytes += bytes;
        self.counts.deliveries +=
            self.groups.values().map(|sessions| u64::from(*sessions)).sum::<u64>() * unit.len() as u64;
        self.counts.blocked += rests.len() as u64;
        for Rest { socket, taken } in rests {
            let at = socket as usize;
            match taken {
                Ok(taken) => self.keep(socket, &rendering(self.connections[at].offset)[taken..]),
                Err(_) => self.close(at),
            }
        }
        for socket in blocked {
            let connection = &self.connections[socket as usize];
            if connection.stage == Stage::Session {
                self.keep(socket, rendering(connection.offset));
            }
        }
        self.seen += unit.len() as u32;
        self.broadcast.sent(&unit);
        Ok(())
    }

    fn next_unit(&mut self) -> Vec<Arc<Message>> {
        let (mut count, mut bytes) = (0, 0);
        let per_group = limits::COALESCED_BYTES_MAX.min(limits::RENDERED_BYTES_MAX / self.groups.len().max(1));
        for message in &self.queue {
            bytes += message.body.len() + 64;
            if count > 0 && (!self.coalesce || bytes > per_group) {
                break;
            }
            count += 1;
        }
        self.queue.drain(..count).collect()
    }
}

fn render(unit: &[Arc<Message>], offset: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for message in unit {
        wire::message_create(&mut out, &message.body, message.number, offset);
    }
    out
}
