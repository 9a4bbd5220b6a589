//! One thread of the swarm: its sockets, its timers and its epoll.
//!
//! A session costs its state and no buffer: bytes are read into the one buffer of the thread and understood at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::chance::Chance;
use crate::clock;
use crate::limits;
use crate::source;
use crate::swarm::board::{Board, Order, Plan};
use crate::swarm::client::{Client, Desk, Hangup, Stage, Wish};
use crate::swarm::framing::{self, Kind};
use crate::swarm::tally::{Fault, FaultKind, Tally, record};

/// WebSocket's and Discord's code for a polite end, after which the session is over.
const NORMAL: u16 = 1000;

/// What is due for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// Connect again.
    Connect,
    /// A heartbeat.
    Beat,
    /// The handshake should be over.
    Handshake,
    /// The run cuts the connection.
    Cut,
}

/// When, whose, which, and for which of its connections.
type Timer = Reverse<(u64, u32, Due, u32)>;

/// A client and its connection.
#[derive(Debug)]
struct Seat {
    client: Client,
    socket: Option<OwnedFd>,
    /// Counts connections, so that what was meant for an earlier one is known as such.
    generation: u32,
    /// What the socket did not take.
    unsent: Vec<u8>,
    began_ns: u64,
    interval_ns: u64,
    attempts: u32,
    /// Its first handshake is under way, and counted.
    arriving: bool,
}

/// One thread's part of the swarm.
#[derive(Debug)]
pub struct Reactor {
    epoll: OwnedFd,
    seats: Vec<Seat>,
    timers: BinaryHeap<Timer>,
    buffer: Vec<u8>,
    desk: Desk,
    chance: Chance,
    plan: Arc<Plan>,
    board: Arc<Board>,
    /// The number of the first client.
    first: u32,
    /// The next client that has never been connected.
    next: usize,
    /// First connections whose handshake is under way.
    handshakes: usize,
    began_ns: u64,
    cuts_planned: bool,
}

/// What a thread leaves behind.
#[derive(Debug)]
pub struct Leavings {
    /// Its sessions.
    pub clients: Vec<Client>,
    /// Its counts.
    pub tally: Tally,
}

impl Reactor {
    /// A thread's part: the clients, the first of which has the number `first`.
    pub fn new(plan: Arc<Plan>, board: Arc<Board>, first: u32, clients: Vec<Client>) -> std::io::Result<Reactor> {
        let seats = clients
            .into_iter()
            .map(|client| Seat {
                client,
                socket: None,
                generation: 0,
                unsent: Vec::new(),
                began_ns: 0,
                interval_ns: 0,
                attempts: 0,
                arriving: false,
            })
            .collect();
        let mut chance = Chance::new(plan.seed ^ u64::from(first));
        Ok(Reactor {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            seats,
            timers: BinaryHeap::new(),
            buffer: vec![0; limits::READ_BYTES],
            desk: Desk {
                marker: plan.marker.clone(),
                tally: Tally::default(),
                out: Vec::new(),
                wishes: Vec::new(),
                now_ns: 0,
                inflated: Vec::new(),
                mask: (chance.bits() as u32).to_le_bytes(),
            },
            chance,
            plan,
            board,
            first,
            next: 0,
            handshakes: 0,
            began_ns: 0,
            cuts_planned: false,
        })
    }

    /// Runs until the order to stop.
    pub fn run(mut self) -> Leavings {
        self.began_ns = clock::now_ns();
        let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; limits::EVENTS];
        while self.plan.order() != Order::Stop {
            self.turn(&mut events);
        }
        self.part(&mut events);
        Leavings { clients: self.seats.into_iter().map(|seat| seat.client).collect(), tally: self.desk.tally }
    }

    fn turn(&mut self, events: &mut [epoll::Event]) {
        let now = clock::now_ns();
        if !self.cuts_planned
            && let Some((start, end)) = self.plan.traffic()
        {
            self.plan_cuts(start, end);
        }
        let next_connect = self.connect_some(now);
        let next_timer = self.timers.peek().map_or(u64::MAX, |Reverse((due, ..))| *due);
        let nap = next_connect.min(next_timer).saturating_sub(now).min(limits::NAP.as_nanos() as u64);
        self.wait(events, Duration::from_nanos(nap));
        // After reading: an acknowledgement that is here already, though we were late, is no missing one.
        self.run_timers(clock::now_ns());
        self.board.post(&mut self.desk.tally);
    }

    fn wait(&mut self, events: &mut [epoll::Event], nap: Duration) {
        let timeout = rustix::event::Timespec { tv_sec: nap.as_secs() as i64, tv_nsec: i64::from(nap.subsec_nanos()) };
        let count = match epoll::wait(&self.epoll, &mut *events, Some(&timeout)) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => panic!("epoll_wait: {error}"),
        };
        for event in &events[..count] {
            // Copied out, since the kernel's structure is packed.
            let (data, flags) = (event.data, event.flags);
            let at = (data.u64() >> 32) as usize;
            if self.seats[at].generation != data.u64() as u32 {
                continue;
            }
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
        while self.next < self.seats.len() {
            let due = self.began_ns + (self.next as f64 * 1e9 / self.plan.connect_rate) as u64;
            if due > now {
                return due;
            }
            if self.handshakes >= limits::HANDSHAKES_MAX {
                break; // one that ends wakes us
            }
            let at = self.next;
            self.next += 1;
            self.handshakes += 1;
            self.seats[at].arriving = true;
            self.connect(at);
        }
        u64::MAX
    }

    fn connect(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        seat.generation += 1;
        seat.attempts += 1;
        seat.unsent = Vec::new();
        seat.began_ns = clock::now_ns();
        self.desk.tally.counts.connects += 1;
        let resumed_at = seat.client.identity.as_ref().and_then(|identity| identity.address);
        let address = resumed_at.unwrap_or(self.plan.server);
        seat.client.connect(address, &mut seat.unsent);
        let socket = source::connect(address, seat.client.index).and_then(|socket| {
            let data = EventData::new_u64((at as u64) << 32 | u64::from(seat.generation));
            epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => {
                let (due, generation) = (seat.began_ns + limits::HANDSHAKE_TIME.as_nanos() as u64, seat.generation);
                seat.socket = Some(socket);
                self.remind(due, at, Due::Handshake, generation);
                self.board.connected.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.hang_up(at, Hangup::Broken(format!("connect: {error}"))),
        }
    }

    // ── reading and writing ──

    fn read(&mut self, at: usize) {
        loop {
            let seat = &mut self.seats[at];
            let Some(socket) = &seat.socket else { return };
            let read = match rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return self.hang_up(at, Hangup::Gone),
                Ok((read, _)) => read,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => return self.hang_up(at, Hangup::Gone),
            };
            self.desk.now_ns = clock::now_ns();
            let result = seat.client.read(&self.buffer[..read], &mut self.desk);
            if !self.desk.out.is_empty() {
                seat.unsent.append(&mut self.desk.out);
                self.write(at);
            }
            for wish in std::mem::take(&mut self.desk.wishes) {
                self.grant(at, wish);
            }
            if let Err(hangup) = result {
                return self.hang_up(at, hangup);
            }
            // Epoll tells again of what is left; only a full buffer says that there surely is more.
            if read < self.buffer.len() {
                return;
            }
        }
    }

    fn write(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let Some(socket) = &seat.socket else { return };
        if !seat.unsent.is_empty() {
            match rustix::net::send(socket, &seat.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    seat.unsent.drain(..sent);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return, // the end shows itself when it is read
            }
        }
        let mut flags = EventFlags::IN | EventFlags::RDHUP;
        if seat.unsent.is_empty() {
            seat.unsent = Vec::new();
        } else {
            flags |= EventFlags::OUT;
        }
        let data = EventData::new_u64((at as u64) << 32 | u64::from(seat.generation));
        epoll::modify(&self.epoll, socket.as_fd(), data, flags).expect("the socket was added");
    }

    fn say(&mut self, at: usize, kind: Kind, payload: &[u8]) {
        framing::write(&mut self.seats[at].unsent, kind, payload, self.desk.mask);
        self.write(at);
    }

    fn grant(&mut self, at: usize, wish: Wish) {
        let now = self.desk.now_ns;
        let seat = &mut self.seats[at];
        match wish {
            Wish::Beat(interval_ms) => {
                seat.interval_ns = interval_ms * 1_000_000;
                // The first beat comes after a random part of the interval, as the documentation asks.
                let due = now + self.chance.between(0, seat.interval_ns);
                let generation = seat.generation;
                self.remind(due, at, Due::Beat, generation);
            }
            Wish::Live(resumed) => {
                if std::mem::take(&mut seat.arriving) {
                    self.handshakes -= 1;
                }
                seat.client.was_live = true;
                seat.attempts = 0;
                let took = now.saturating_sub(seat.began_ns);
                let tally = &mut self.desk.tally;
                if resumed {
                    tally.counts.resumed += 1;
                    record(&mut tally.resume, took);
                } else {
                    tally.counts.identified += 1;
                    record(&mut tally.identify, took);
                }
                self.board.live.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    // ── ends ──

    /// A connection is over. Its session is resumed, begins anew or is given up.
    fn hang_up(&mut self, at: usize, why: Hangup) {
        let seat = &mut self.seats[at];
        let stage = std::mem::replace(&mut seat.client.stage, Stage::Down);
        if let Some(socket) = seat.socket.take() {
            self.board.connected.fetch_sub(1, Ordering::Relaxed);
            source::cut(socket);
        }
        seat.generation += 1; // what is still due for this connection is void
        seat.unsent = Vec::new();
        if stage == Stage::Live {
            self.board.live.fetch_sub(1, Ordering::Relaxed);
        }
        if self.plan.order() == Order::Stop {
            return;
        }
        let (second, now) = (1_000_000_000, clock::now_ns());
        // Twice as long after each failure, so that a server may restart meanwhile.
        let mut wait = self.chance.between(second / 10, second) << seat.attempts.min(limits::ATTEMPTS_MAX);
        let tally = &mut self.desk.tally;
        let had_session = seat.client.identity.is_some();
        match &why {
            Hangup::Cut => tally.counts.cuts += 1,
            Hangup::Asked => {}
            Hangup::Invalid(true) => wait = self.chance.between(second, 5 * second),
            Hangup::Invalid(false) => {
                wait = self.chance.between(second, 5 * second);
                seat.client.forget();
            }
            Hangup::Closed(Some(4004 | 4010..=4014)) => seat.attempts = limits::ATTEMPTS_MAX,
            Hangup::Closed(Some(1000 | 1001 | 4007 | 4009)) => seat.client.forget(),
            Hangup::Closed(_) | Hangup::Gone | Hangup::Zombie | Hangup::Late | Hangup::Broken(_) => {}
        }
        // A session that never became live has nothing to be resumed.
        if matches!(stage, Stage::Identifying | Stage::Gathering(_)) {
            seat.client.forget();
        }
        if !matches!(why, Hangup::Cut | Hangup::Asked) {
            let what = format!("{why:?} while {stage:?}");
            tally.fault(Fault::new(FaultKind::Disconnected, &seat.client, what));
        }
        if had_session && seat.client.identity.is_none() {
            tally.fault(Fault::new(FaultKind::Invalidated, &seat.client, format!("{why:?} while {stage:?}")));
        }
        if seat.attempts >= limits::ATTEMPTS_MAX {
            seat.client.stage = Stage::Dead;
            tally.fault(Fault::new(FaultKind::Dead, &seat.client, format!("{why:?} while {stage:?}")));
            if std::mem::take(&mut seat.arriving) {
                self.handshakes -= 1;
            }
            self.board.dead.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let generation = seat.generation;
        self.remind(now + wait, at, Due::Connect, generation);
    }

    /// Says goodbye to the server, so that it does not keep the sessions, and waits for it to close: whoever closes first
    /// keeps the port for a minute, and the server has only one.
    fn part(&mut self, events: &mut [epoll::Event]) {
        for at in 0..self.seats.len() {
            self.say(at, Kind::Close, &NORMAL.to_be_bytes());
        }
        let until = clock::now_ns() + limits::PARTING_TIME.as_nanos() as u64;
        while self.seats.iter().any(|seat| seat.socket.is_some()) && clock::now_ns() < until {
            self.wait(events, limits::NAP);
        }
    }

    // ── timers ──

    fn remind(&mut self, due_ns: u64, at: usize, what: Due, generation: u32) {
        self.timers.push(Reverse((due_ns, at as u32, what, generation)));
    }

    /// Does what is due.
    fn run_timers(&mut self, now: u64) {
        while let Some(Reverse((due, at, what, generation))) = self.timers.peek().copied() {
            if due > now {
                return;
            }
            self.timers.pop();
            let at = at as usize;
            let seat = &mut self.seats[at];
            // A cut is meant for the session, whichever its connection.
            if what != Due::Cut && seat.generation != generation {
                continue;
            }
            match what {
                Due::Connect => self.connect(at),
                Due::Beat => self.beat(at, now),
                Due::Handshake => {
                    if seat.client.stage != Stage::Live {
                        self.hang_up(at, Hangup::Late);
                    }
                }
                Due::Cut => {
                    if seat.client.stage == Stage::Live {
                        self.hang_up(at, Hangup::Cut);
                    }
                }
            }
        }
    }

    fn beat(&mut self, at: usize, now: u64) {
        let seat = &mut self.seats[at];
        if !seat.client.acknowledged {
            return self.hang_up(at, Hangup::Zombie);
        }
        seat.client.beat(&mut self.desk);
        seat.unsent.append(&mut self.desk.out);
        let (next, generation) = (now + seat.interval_ns, seat.generation);
        self.write(at);
        self.remind(next, at, Due::Beat, generation);
    }

    fn plan_cuts(&mut self, start: u64, end: u64) {
        self.cuts_planned = true;
        for at in 0..self.seats.len() {
            // Each session has its own chance, so that a run's cuts do not depend on the number of threads.
            let mut chance = Chance::new(self.plan.seed.rotate_left(17) ^ (u64::from(self.first) + at as u64));
            if chance.share() < self.plan.cut {
                let due = chance.between(start, end);
                self.remind(due, at, Due::Cut, 0);
            }
        }
    }
}
