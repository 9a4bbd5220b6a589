//! One thread of the pool: its sockets and its epoll.
//!
//! A subscriber costs its state and no buffer: bytes are read into the one buffer of the thread and understood at once.
//! Who is cut off stays away: a plain subscriber has no way to ask for what it missed.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::base::times::{microseconds, record};
use crate::base::{clock, limits, source_address};
use crate::runs::peers::message_format::{MessageFormat, Seen};
use crate::runs::peers::messages::{Incoming, Messages};
use crate::runs::peers::peer::Peer;
use crate::verify::receipts::{Receipt, Taken};
use crate::wire::frames::Kind;
use crate::wire::{frames, upgrade};

/// WebSocket's code for a polite end.
const NORMAL: u16 = 1000;
/// Any will do: masks protect proxies, of which there are none here.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// Messages of one format, for a time.
#[derive(Debug)]
pub struct MessageSchedule {
    /// How they are known.
    pub format: MessageFormat,
    /// When the first is meant to be sent, in nanoseconds since 1970.
    pub start_ns: u64,
    /// How long they are sent.
    pub length_ns: u64,
}

/// The commands of a thread.
#[derive(Debug)]
pub enum ThreadCommand {
    /// A schedule begins; what was counted before is forgotten. It is answered when that is done.
    Begin(Arc<MessageSchedule>, Sender<()>),
    /// The schedule is over: what came of it?
    End(Sender<SubscriberResults>),
    /// Say goodbye.
    Part,
}

/// What anyone may look at while a thread runs.
#[derive(Debug, Default)]
pub struct SubscriberCounts {
    /// The thread's id, once it runs.
    pub thread: AtomicI32,
    /// Subscribers that are connected and upgraded.
    pub live: AtomicU32,
    /// Subscribers whose connection failed or ended.
    pub ended: AtomicU32,
    /// Deliveries of this schedule.
    pub delivered: AtomicU64,
}

/// What a thread has counted during one schedule.
#[derive(Debug)]
pub struct SubscriberResults {
    /// What each subscriber received, by number; only those that were ever live.
    pub receipts: Vec<(u32, Receipt)>,
    /// Latencies by the third of the schedule in which the message was meant to be sent.
    pub thirds: [Histogram<u64>; 3],
    /// Messages received for the first time.
    pub delivered: u64,
    /// Bytes of their frames.
    pub delivered_bytes: u64,
    /// Messages received again.
    pub duplicated: u64,
    /// Messages that were not as they had been published.
    pub garbled: u64,
    /// Messages of no interest.
    pub foreign: u64,
    /// When the last came.
    pub last_ns: u64,
    /// What went wrong first.
    pub faults: Vec<String>,
}

impl Default for SubscriberResults {
    fn default() -> Self {
        SubscriberResults {
            receipts: Vec::new(),
            thirds: [microseconds(), microseconds(), microseconds()],
            delivered: 0,
            delivered_bytes: 0,
            duplicated: 0,
            garbled: 0,
            foreign: 0,
            last_ns: 0,
            faults: Vec::new(),
        }
    }
}

impl SubscriberResults {
    fn fault(&mut self, what: impl FnOnce() -> String) {
        if self.faults.len() < limits::FAULTS_TOLD {
            self.faults.push(what());
        }
    }

    /// A subscriber has received something.
    fn take(
        &mut self,
        schedule: &MessageSchedule,
        number: u32,
        receipts: &mut Receipt,
        payload: &[u8],
        wire: usize,
        now_ns: u64,
    ) {
        match schedule.format.look(payload) {
            Seen::Foreign => self.foreign += 1,
            Seen::Garbled(index) => {
                self.garbled += 1;
                self.fault(|| format!("subscriber {number}: message {index} came otherwise than it was published"));
            }
            Seen::Message(index, _) if receipts.take(index, |_| true) != Taken::New => {
                self.duplicated += 1;
                self.fault(|| format!("subscriber {number}: message {index} came again"));
            }
            Seen::Message(_, intended_ns) => {
                self.delivered += 1;
                self.delivered_bytes += wire as u64;
                self.last_ns = now_ns;
                let third = intended_ns.saturating_sub(schedule.start_ns) * 3 / schedule.length_ns.max(1);
                record(&mut self.thirds[third.min(2) as usize], now_ns.saturating_sub(intended_ns));
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not yet.
    Waiting,
    /// The kernel connects, or the upgrade is not yet answered.
    Upgrading,
    /// All is well.
    Live,
    /// Over.
    Ended,
}

#[derive(Debug)]
struct Subscriber {
    stage: Stage,
    was_live: bool,
    socket: Option<OwnedFd>,
    /// The front of the upgrade's answer, while it is not whole.
    answer: Vec<u8>,
    messages: Messages,
    receipts: Receipt,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

/// One thread's part of the pool.
#[derive(Debug)]
pub struct Subscribers {
    peer: Arc<Peer>,
    epoll: OwnedFd,
    subscribers: Vec<Subscriber>,
    /// The number of the first.
    first: u32,
    /// The next that is to connect.
    next: usize,
    /// Those that have begun to connect, the longest ago first, and when; some may be connected by now.
    arriving: VecDeque<(usize, u64)>,
    /// Those that are connecting.
    upgrading: usize,
    connect_rate: f64,
    began_ns: u64,
    buffer: Vec<u8>,
    schedule: Option<Arc<MessageSchedule>>,
    results: SubscriberResults,
    counts: Arc<SubscriberCounts>,
    orders: Receiver<ThreadCommand>,
}

impl Subscribers {
    /// So many subscribers, the first of which has the number `first`.
    pub fn new(
        peer: Arc<Peer>,
        first: u32,
        count: u32,
        connect_rate: f64,
        counts: Arc<SubscriberCounts>,
        orders: Receiver<ThreadCommand>,
    ) -> std::io::Result<Subscribers> {
        let subscriber = || Subscriber {
            stage: Stage::Waiting,
            was_live: false,
            socket: None,
            answer: Vec::new(),
            messages: Messages::default(),
            receipts: Receipt::from_start(),
            unsent: Vec::new(),
        };
        Ok(Subscribers {
            peer,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            subscribers: (0..count).map(|_| subscriber()).collect(),
            first,
            next: 0,
            arriving: VecDeque::new(),
            upgrading: 0,
            connect_rate,
            began_ns: 0,
            buffer: vec![0; limits::READ_BYTES],
            schedule: None,
            results: SubscriberResults::default(),
            counts,
            orders,
        })
    }

    /// Runs until the command to part, or until the sender of commands is gone.
    pub fn run(mut self) {
        self.counts.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
        self.began_ns = clock::now_ns();
        let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; limits::EVENTS];
        loop {
            match self.orders.try_recv() {
                Ok(ThreadCommand::Begin(schedule, done)) => {
                    self.schedule = Some(schedule);
                    self.results = SubscriberResults::default();
                    self.subscribers.iter_mut().for_each(|subscriber| subscriber.receipts = Receipt::from_start());
                    self.counts.delivered.store(0, Ordering::Relaxed);
                    let _ = done.send(()); // who asked may have given up
                }
                Ok(ThreadCommand::End(to)) => {
                    let _ = to.send(self.end());
                }
                Ok(ThreadCommand::Part) | Err(TryRecvError::Disconnected) => return self.close_all(&mut events),
                Err(TryRecvError::Empty) => {}
            }
            let now = clock::now_ns();
            let next_connect = self.connect_some(now);
            self.wait(&mut events, next_connect.saturating_sub(now).min(limits::NAP.as_nanos() as u64));
            self.counts.delivered.store(self.results.delivered, Ordering::Relaxed);
        }
    }

    fn end(&mut self) -> SubscriberResults {
        self.schedule = None;
        let mut results = std::mem::take(&mut self.results);
        for (at, subscriber) in self.subscribers.iter_mut().enumerate().filter(|(_, subscriber)| subscriber.was_live) {
            results
                .receipts
                .push((self.first + at as u32, std::mem::replace(&mut subscriber.receipts, Receipt::from_start())));
        }
        results
    }

    fn wait(&mut self, events: &mut [epoll::Event], nap_ns: u64) {
        let timeout = rustix::event::Timespec {
            tv_sec: (nap_ns / 1_000_000_000) as i64,
            tv_nsec: (nap_ns % 1_000_000_000) as i64,
        };
        let count = match epoll::wait(&self.epoll, &mut *events, Some(&timeout)) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => panic!("epoll_wait: {error}"),
        };
        for event in &events[..count] {
            // Copied out, since the kernel's structure is packed.
            let (data, flags) = (event.data, event.flags);
            let at = data.u64() as usize;
            if flags.contains(EventFlags::OUT) {
                self.write(at);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP) {
                self.read(at);
            }
        }
    }

    // ── connecting ──

    /// Connects whom it is time to connect; says when the next one is due.
    fn connect_some(&mut self, now: u64) -> u64 {
        while let Some((at, since)) = self.arriving.front().copied() {
            if self.subscribers[at].stage == Stage::Upgrading {
                if now.saturating_sub(since) < limits::HANDSHAKE_TIME.as_nanos() as u64 {
                    break;
                }
                self.hang_up(at, "the upgrade took too long");
            }
            self.arriving.pop_front();
        }
        while self.next < self.subscribers.len() && (self.upgrading as u64) < limits::HANDSHAKES_MAX as u64 {
            let due = self.began_ns + (self.next as f64 * 1e9 / self.connect_rate) as u64;
            if due > now {
                return due;
            }
            self.connect(self.next);
            self.arriving.push_back((self.next, now));
            self.next += 1;
        }
        u64::MAX
    }

    fn connect(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        subscriber.stage = Stage::Upgrading;
        self.upgrading += 1;
        self.peer.subscribe(&mut subscriber.unsent);
        let socket = source_address::connect(self.peer.address(), self.first + at as u32).and_then(|socket| {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP;
            epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), flags)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => subscriber.socket = Some(socket),
            Err(error) => self.hang_up(at, &format!("connect: {error}")),
        }
    }

    // ── reading and writing ──

    fn read(&mut self, at: usize) {
        loop {
            let subscriber = &mut self.subscribers[at];
            let Some(socket) = &subscriber.socket else { return };
            let read = match rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return self.hang_up(at, "the server closed the connection"),
                Ok((read, _)) => read,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(error) => return self.hang_up(at, &error.to_string()),
            };
            if let Err(why) = self.understand(at, read, clock::now_ns()) {
                return self.hang_up(at, &why);
            }
            // Epoll tells again of what is left; only a full buffer says that there surely is more.
            if read < self.buffer.len() {
                return;
            }
        }
    }

    /// Takes the first so many bytes of the buffer.
    fn understand(&mut self, at: usize, read: usize, now_ns: u64) -> Result<(), String> {
        let subscriber = &mut self.subscribers[at];
        let mut bytes = &self.buffer[..read];
        let whole;
        if subscriber.stage == Stage::Upgrading {
            subscriber.answer.extend_from_slice(bytes);
            let Some(head) = upgrade::read(&subscriber.answer).map_err(|broken| broken.0.to_owned())? else {
                return Ok(());
            };
            whole = std::mem::take(&mut subscriber.answer);
            bytes = &whole[head..];
            (subscriber.stage, subscriber.was_live) = (Stage::Live, true);
            self.upgrading -= 1;
            self.counts.live.fetch_add(1, Ordering::Relaxed);
            if let Some(text) = self.peer.first_frame.as_deref() {
                frames::write(&mut subscriber.unsent, Kind::Text, text.as_bytes(), MASK);
            }
        }
        let Subscriber { messages, receipts, unsent, .. } = subscriber;
        let (results, number, schedule) = (&mut self.results, self.first + at as u32, self.schedule.as_deref());
        let mut closed = None;
        let result = messages.read(bytes, |came| match came {
            Incoming::Message(payload, wire) => {
                if let Some(schedule) = schedule {
                    results.take(schedule, number, receipts, payload, wire, now_ns);
                }
            }
            Incoming::Ping(payload) => frames::write(unsent, Kind::Pong, payload, MASK),
            Incoming::Close(code) => closed = Some(code),
        });
        if !unsent.is_empty() {
            self.write(at);
        }
        result.map_err(|broken| broken.0.to_owned())?;
        closed.map_or(Ok(()), |code| Err(format!("the server closed with {code:?}")))
    }

    fn write(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        let Some(socket) = &subscriber.socket else { return };
        if !subscriber.unsent.is_empty() {
            match rustix::net::send(socket, &subscriber.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(subscriber.unsent.drain(..sent)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return, // the end shows itself when it is read
            }
        }
        let mut flags = EventFlags::IN | EventFlags::RDHUP;
        if subscriber.unsent.is_empty() {
            subscriber.unsent = Vec::new();
        } else {
            flags |= EventFlags::OUT;
        }
        epoll::modify(&self.epoll, socket, EventData::new_u64(at as u64), flags).expect("the socket was added");
    }

    // ── ends ──

    fn hang_up(&mut self, at: usize, why: &str) {
        let subscriber = &mut self.subscribers[at];
        let stage = std::mem::replace(&mut subscriber.stage, Stage::Ended);
        if let Some(socket) = subscriber.socket.take() {
            source_address::cut(socket);
        }
        (subscriber.unsent, subscriber.answer, subscriber.messages) = (Vec::new(), Vec::new(), Messages::default());
        match stage {
            Stage::Upgrading => self.upgrading -= 1,
            Stage::Live => drop(self.counts.live.fetch_sub(1, Ordering::Relaxed)),
            Stage::Waiting | Stage::Ended => {}
        }
        if stage != Stage::Ended {
            self.counts.ended.fetch_add(1, Ordering::Relaxed);
            let number = self.first + at as u32;
            self.results.fault(|| format!("subscriber {number}: {why}"));
        }
    }

    /// Says goodbye and waits for the server to close: the side that closes first keeps the port for a minute, and the
    /// server has only one.
    fn close_all(&mut self, events: &mut [epoll::Event]) {
        for at in 0..self.subscribers.len() {
            frames::write(&mut self.subscribers[at].unsent, Kind::Close, &NORMAL.to_be_bytes(), MASK);
            self.write(at);
        }
        let until = clock::now_ns() + limits::PARTING_TIME.as_nanos() as u64;
        while self.subscribers.iter().any(|subscriber| subscriber.socket.is_some()) && clock::now_ns() < until {
            self.wait(events, Duration::as_nanos(&limits::NAP) as u64);
        }
    }
}
