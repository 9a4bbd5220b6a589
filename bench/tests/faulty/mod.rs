//! A TCP relay before a gateway that does one thing wrong: among all the messages that pass it, it drops, doubles or
//! delays one.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use guildhall_bench::wire::frames;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use serde_json::Value;

/// epoll's word for the listener. Pair `i` has the words `2 * i` for its client and `2 * i + 1` for its gateway.
const LISTENER: u64 = u64::MAX;
/// How often it looks whether it should end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// How a message begins.
const MESSAGE: &[u8] = br#"{"t":"MESSAGE_CREATE""#;

/// What is done to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// It is left out.
    Drop,
    /// It comes twice.
    Duplicate,
    /// It comes after its successor.
    Swap,
}

/// The one fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What is done.
    pub mischief: Mischief,
    /// To which of all the frames with messages, in the order in which they pass; to the next that has a successor.
    pub frame: u64,
    /// Messages that each session gets: the last has no successor.
    pub messages: u32,
}

/// Whom it happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// The session's id, as READY named it.
    pub session_id: String,
    /// The dispatch's number.
    pub s: u64,
}

#[derive(Debug, Default)]
struct Log {
    messages: AtomicU64,
    planted: Mutex<Vec<Planted>>,
    ending: AtomicBool,
}

/// The relay; it ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens a relay to a gateway.
    pub fn open(gateway: SocketAddr, fault: Option<Fault>) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        // The standard library's backlog is short, and a pool comes all at once.
        rustix::net::listen(&listener, 4_096).expect("a longer backlog");
        let address = listener.local_addr().expect("an address");
        let log = Arc::new(Log::default());
        let told = log.clone();
        let thread = std::thread::spawn(move || {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
            listener.set_nonblocking(true).expect("an open socket");
            epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).expect("epoll");
            let buffer = vec![0; READ_BYTES];
            Switch { gateway, fault, log: told, listener, epoll, pairs: Vec::new(), buffer, out: Vec::new() }.run();
        });
        Relay { address, log, thread: Some(thread) }
    }

    /// Frames with messages that came from the gateway.
    pub fn messages(&self) -> u64 {
        self.log.messages.load(Ordering::Relaxed)
    }

    /// What was done, and to whom.
    pub fn planted(&self) -> Vec<Planted> {
        self.log.planted.lock().expect("no panic").clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.log.ending.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("it is joined once").join();
        assert!(ended.is_ok() || std::thread::panicking(), "the relay panicked");
    }
}

#[derive(Debug)]
struct Pair {
    client: TcpStream,
    gateway: TcpStream,
    /// It is a WebSocket, and no plain HTTP.
    upgrades: bool,
    upgraded: bool,
    session_id: String,
    /// Messages that came for it.
    messages: u32,
    /// From the gateway: the front of a frame.
    partial: Vec<u8>,
    /// A message that waits for its successor.
    held: Vec<u8>,
    /// What the client has not taken.
    unsent: Vec<u8>,
    /// The client is waited for, not the gateway.
    stuck: bool,
}

/// The relay's thread.
#[derive(Debug)]
struct Switch {
    gateway: SocketAddr,
    fault: Option<Fault>,
    log: Arc<Log>,
    listener: TcpListener,
    epoll: OwnedFd,
    pairs: Vec<Option<Pair>>,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

impl Switch {
    fn run(&mut self) {
        let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 1_024];
        while !self.log.ending.load(Ordering::Relaxed) {
            let count = match epoll::wait(&self.epoll, &mut events[..], Some(&LOOK)) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => panic!("epoll_wait: {error}"),
            };
            for event in &events[..count] {
                let (data, flags) = (event.data.u64(), event.flags);
                if data == LISTENER {
                    self.accept();
                    continue;
                }
                let at = (data / 2) as usize;
                let goes_on = match (data % 2, flags.contains(EventFlags::OUT)) {
                    (0, true) => self.flush(at),
                    (0, false) => self.hear_client(at),
                    _ => self.hear_gateway(at),
                };
                if goes_on.is_none() {
                    self.pairs[at] = None;
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((client, _)) = self.listener.accept() {
            let gateway = TcpStream::connect(self.gateway).expect("the gateway listens");
            let at = self.pairs.len() as u64;
            for (side, socket) in [&client, &gateway].into_iter().enumerate() {
                socket.set_nonblocking(true).expect("an open socket");
                socket.set_nodelay(true).expect("an open socket");
                let data = EventData::new_u64(at * 2 + side as u64);
                epoll::add(&self.epoll, socket, data, EventFlags::IN).expect("epoll");
            }
            self.pairs.push(Some(Pair {
                client,
                gateway,
                upgrades: false,
                upgraded: false,
                session_id: String::new(),
                messages: 0,
                partial: Vec::new(),
                held: Vec::new(),
                unsent: Vec::new(),
                stuck: false,
            }));
        }
    }

    /// `None` ends the pair.
    fn hear_client(&mut self, at: usize) -> Option<()> {
        let pair = self.pairs[at].as_mut()?;
        let read = take(&mut pair.client, &mut self.buffer)?;
        pair.upgrades |= self.buffer[..read].starts_with(b"GET /?");
        // Commands are short, and the gateway reads them; if its buffer is full all the same, that is no use to
        // anybody.
        pair.gateway.write_all(&self.buffer[..read]).ok()
    }

    fn hear_gateway(&mut self, at: usize) -> Option<()> {
        let pair = self.pairs[at].as_mut()?;
        let read = take(&mut pair.gateway, &mut self.buffer)?;
        pair.partial.extend_from_slice(&self.buffer[..read]);
        self.out.clear();
        if !pair.upgrades {
            pair.unsent.append(&mut pair.partial);
            return self.flush(at);
        }
        let mut used = 0;
        if !pair.upgraded {
            let Some(end) = pair.partial.windows(4).position(|window| window == b"\r\n\r\n") else { return Some(()) };
            used = end + 4;
            self.out.extend_from_slice(&pair.partial[..used]);
            pair.upgraded = true;
        }
        while let Some(frame) = frames::next(&pair.partial[used..]).expect("the gateway's frames are sound") {
            let bytes = &pair.partial[used..used + frame.length];
            used += frame.length;
            if !frame.payload.starts_with(MESSAGE) {
                if frame.payload.starts_with(br#"{"t":"READY""#) {
                    let ready: Value = serde_json::from_slice(frame.payload).expect("JSON");
                    pair.session_id = ready["d"]["session_id"].as_str().expect("an id").to_owned();
                }
                self.out.extend_from_slice(bytes);
                continue;
            }
            let number = self.log.messages.fetch_add(1, Ordering::Relaxed);
            pair.messages += 1;
            let due = self.fault.filter(|fault| number >= fault.frame && pair.messages < fault.messages);
            let Some(fault) = due else {
                self.out.extend_from_slice(bytes);
                self.out.append(&mut pair.held);
                continue;
            };
            match fault.mischief {
                Mischief::Drop => {}
                Mischief::Duplicate => (0..2).for_each(|_| self.out.extend_from_slice(bytes)),
                Mischief::Swap => pair.held.extend_from_slice(bytes),
            }
            let event: Value = serde_json::from_slice(frame.payload).expect("JSON");
            let s = event["s"].as_u64().expect("a number");
            let planted = Planted { session_id: pair.session_id.clone(), s };
            self.log.planted.lock().expect("no panic").push(planted);
            self.fault = None;
        }
        pair.partial.drain(..used);
        pair.unsent.append(&mut self.out);
        self.flush(at)
    }

    /// Gives a client what it takes. The gateway is not read as long as something is left.
    fn flush(&mut self, at: usize) -> Option<()> {
        let pair = self.pairs[at].as_mut()?;
        let taken = match pair.client.write(&pair.unsent) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return None,
        };
        pair.unsent.drain(..taken);
        let stuck = !pair.unsent.is_empty();
        if std::mem::replace(&mut pair.stuck, stuck) == stuck {
            return Some(());
        }
        let (client, gateway) = if stuck {
            (EventFlags::IN | EventFlags::OUT, EventFlags::empty())
        } else {
            (EventFlags::IN, EventFlags::IN)
        };
        epoll::modify(&self.epoll, &pair.client, EventData::new_u64(at as u64 * 2), client).expect("epoll");
        epoll::modify(&self.epoll, &pair.gateway, EventData::new_u64(at as u64 * 2 + 1), gateway).expect("epoll");
        Some(())
    }
}

/// Reads what is there; `None` at the end.
fn take(socket: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    match socket.read(buffer) {
        Ok(0) => None,
        Ok(read) => Some(read),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
        Err(_) => None,
    }
}
