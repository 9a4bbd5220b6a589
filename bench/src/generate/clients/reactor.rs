//! One thread of the swarm: its sockets, its times and its epoll.
//!
//! A session costs its seat and no buffer: bytes are read into the one buffer of the thread and understood at once.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use serde_json::json;

use crate::base::random::Chance;
use crate::base::{clock, limits, random, source_address};
use crate::generate::clients::client::{Client, Desk, Hangup, Stage, Wish};
use crate::generate::clients::progress_board::{Board, Order, Plan};
use crate::generate::clients::task;
use crate::generate::clients::task::Round;
use crate::generate::clients::timer_wheel::Wheel;
use crate::model::script::{Deed, Kind as EventKind, Mark, Named};
use crate::model::trace::Status;
use crate::verify::entitlement::{Ending, Entitlements};
use crate::verify::receipts::Receipt;
use crate::verify::tally::{Fault, FaultKind, Tally, record};
use crate::wire::frames;
use crate::wire::frames::Kind;

/// WebSocket's and Discord's code for a polite end, after which the session is over.
const NORMAL: u16 = 1000;
/// No beat is due before HELLO.
const NEVER: u64 = u64::MAX;

/// A client and its connection.
#[derive(Debug)]
struct Seat {
    client: Client,
    /// What the socket did not take. Boxed, since it nearly always takes everything.
    #[expect(clippy::box_collection, reason = "16 bytes less for each of a million sessions")]
    unsent: Option<Box<Vec<u8>>>,
    /// When the connection began.
    began_ns: u64,
    /// When to connect again if there is no connection, when it must be closed while it parts; else the next beat.
    due_ns: u64,
    socket: Option<OwnedFd>,
    /// Counts connections, so that what was meant for an earlier one is known as such.
    generation: u32,
    interval_ms: u32,
    attempts: u8,
    /// A handshake is under way that the gate has let in, and counts.
    arriving: bool,
    /// It neither reads nor beats.
    frozen: bool,
    /// Whether epoll tells when the socket takes more.
    watched: bool,
}

/// One thread's part of the swarm.
#[derive(Debug)]
pub struct Reactor {
    epoll: OwnedFd,
    seats: Vec<Seat>,
    wheel: Wheel,
    expired: Vec<u32>,
    buffer: Vec<u8>,
    desk: Desk,
    chance: Chance,
    plan: Arc<Plan>,
    board: Arc<Board>,
    /// The thread's number.
    thread: u32,
    /// The number of the first client.
    first: u32,
    /// Who waits at the gate.
    queue: VecDeque<u32>,
    /// Whether the gate still waits for this thread's queue.
    queueing: bool,
    /// What the thread's sessions do: places in the script's list of tasks.
    tasks: Vec<u32>,
    /// The next of them.
    next_task: usize,
    traffic_known: bool,
    latencies_due_ns: u64,
    /// How long it sleeps before it asks what has come.
    doze: Duration,
    /// What the errand has everybody say.
    frame: Vec<u8>,
}

/// What a thread has to do.
#[derive(Debug)]
pub struct Part {
    /// Its number.
    pub thread: u32,
    /// Its sessions.
    pub sessions: Range<u32>,
    /// What they do: places in the script's list of tasks.
    pub tasks: Vec<u32>,
    /// How long it sleeps before it asks what has come; see [`limits::DOZE`].
    pub doze: Duration,
}

/// What a thread leaves behind.
#[derive(Debug)]
pub struct Leavings {
    /// Its counts.
    pub tally: Tally,
    seats: Vec<Seat>,
    entitlements: Entitlements,
}

impl Leavings {
    /// Its sessions.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.seats.iter().map(|seat| &seat.client)
    }

    /// One session's streams and what it received of them.
    pub fn receipts(&self, client: &Client) -> impl Iterator<Item = (u32, &Receipt)> {
        self.entitlements.of(client.index)
    }
}

impl Reactor {
    /// A thread with its part.
    pub fn new(plan: Arc<Plan>, board: Arc<Board>, part: Part) -> std::io::Result<Reactor> {
        let Part { thread, sessions: Range { start: first, end }, tasks, doze } = part;
        let queue = (first..end).filter(|session| !plan.script.is_absent(*session)).map(|session| session - first);
        let mut seats = Vec::with_capacity((end - first) as usize);
        seats.extend((first..end).map(|index| Seat {
            client: Client::new(index),
            unsent: None,
            began_ns: 0,
            due_ns: NEVER,
            socket: None,
            generation: 0,
            interval_ms: 0,
            attempts: 0,
            arriving: false,
            frozen: false,
            watched: false,
        }));
        let mut chance = Chance::new(plan.seed ^ u64::from(first));
        Ok(Reactor {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            wheel: Wheel::new(seats.len(), clock::now_ns()),
            queue: queue.collect(),
            seats,
            expired: Vec::new(),
            buffer: vec![0; limits::READ_BYTES],
            desk: Desk {
                marker: plan.marker.clone(),
                place: 0,
                entitlements: Entitlements::new(plan.script.clone(), plan.events.clone(), first, end),
                tokens: plan.tokens.clone(),
                zlib: plan.zlib,
                commands: plan.commands,
                addresses: Vec::new(),
                tally: Tally::of_groups(plan.script.groups.len()),
                round: Round::new(first),
                request: None,
                out: Vec::new(),
                wishes: Vec::new(),
                now_ns: 0,
                inflated: Vec::new(),
                mask: (chance.bits() as u32).to_le_bytes(),
            },
            chance,
            plan,
            board,
            thread,
            first,
            queueing: true,
            tasks,
            next_task: 0,
            traffic_known: false,
            latencies_due_ns: 0,
            doze,
            frame: Vec::new(),
        })
    }

    /// Runs until the order to stop.
    pub fn run(mut self) -> Leavings {
        let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; limits::EVENTS];
        while self.plan.order() != Order::Stop {
            self.turn(&mut events);
        }
        self.part(&mut events);
        self.end_errand(task::Deed::Rest);
        let ended = self.desk.round.begin(u32::MAX, task::Errand::default(), 0);
        self.keep_times(ended);
        self.board.post(&mut self.desk.tally, &self.plan);
        let Desk { tally, entitlements, .. } = self.desk;
        Leavings { tally, seats: self.seats, entitlements }
    }

    fn turn(&mut self, events: &mut [epoll::Event]) {
        let now = clock::now_ns();
        self.desk.now_ns = now;
        if !self.traffic_known
            && let Some((start_ns, speed)) = self.plan.traffic()
        {
            self.traffic_known = true;
            self.desk.entitlements.announce_traffic(start_ns, speed);
        }
        let next = now + limits::NAP.as_nanos() as u64;
        let next = next.min(self.run_errand(now)).min(self.connect_some(now)).min(self.do_tasks(now));
        let nap = self.wheel.next_ns(next).saturating_sub(now);
        self.wait(events, Duration::from_nanos(nap));
        // After reading: an acknowledgement that is here already, though we were late, is no missing one.
        self.run_timers(clock::now_ns());
        self.board.post(&mut self.desk.tally, &self.plan);
        self.desk.round.post(&self.board.errand, self.seats.len());
        if self.desk.now_ns >= self.latencies_due_ns {
            self.latencies_due_ns = self.desk.now_ns + limits::LATENCY_PAUSE.as_nanos() as u64;
            self.board.post_latencies(&mut self.desk.tally, &self.plan);
        }
    }

    fn wait(&mut self, events: &mut [epoll::Event], nap: Duration) {
        let connects = self.queueing && self.plan.gate.is_turn_of(self.thread);
        let doze = if connects { Duration::ZERO } else { self.doze.min(nap) };
        if !doze.is_zero() {
            std::thread::sleep(doze);
        }
        let nap = nap - doze;
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
            if self.seats[at].frozen {
                self.cut_while_frozen(at);
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

    /// Connects whom it is time to connect; says when to ask again.
    fn connect_some(&mut self, now: u64) -> u64 {
        if !self.queueing || !self.plan.gate.is_turn_of(self.thread) {
            return u64::MAX;
        }
        for _ in 0..limits::CONNECTS_IN_A_ROW {
            let Some(at) = self.queue.front() else {
                // Unless there are some who have not been sent to the queue yet.
                if self.desk.round.next >= self.seats.len() {
                    self.queueing = false;
                    self.queue = VecDeque::new();
                    self.plan.gate.finish();
                }
                return u64::MAX;
            };
            let at = *at as usize;
            if let Err(again) = self.plan.gate.enter(now) {
                return again;
            }
            self.queue.pop_front();
            self.seats[at].arriving = true;
            self.connect(at);
        }
        now
    }

    fn connect(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        seat.generation += 1;
        seat.attempts = seat.attempts.saturating_add(1);
        seat.began_ns = clock::now_ns();
        seat.due_ns = NEVER;
        self.desk.tally.counts.connects += 1;
        let address = seat.client.resume_address(&self.desk).unwrap_or(self.plan.server);
        seat.client.connect(self.desk.zlib);
        let request = self.desk.upgrade(address);
        let socket = source_address::connect(address, seat.client.index).and_then(|socket| {
            // On loopback a connection is usually there at once.
            let sent = rustix::net::send(&socket, request, SendFlags::NOSIGNAL).unwrap_or(0);
            seat.watched = sent < request.len();
            seat.unsent = seat.watched.then(|| Box::new(request[sent..].to_vec()));
            let data = EventData::new_u64((at as u64) << 32 | u64::from(seat.generation));
            epoll::add(&self.epoll, &socket, data, interest(seat.watched))?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => {
                seat.socket = Some(socket);
                self.board.connected.fetch_add(1, Ordering::Relaxed);
                self.set_timer(at);
            }
            Err(error) => self.hang_up(at, Hangup::Broken(format!("connect: {error}"))),
        }
    }

    // ── reading and writing ──

    fn read(&mut self, at: usize) {
        loop {
            let seat = &mut self.seats[at];
            let Some(socket) = &seat.socket else { return };
            let kept = seat.client.take_partial(&mut self.buffer);
            let read = match rustix::net::recv(socket, &mut self.buffer[kept..], RecvFlags::empty()) {
                Ok((0, _)) => return self.hang_up(at, Hangup::Gone),
                Ok((read, _)) => read,
                Err(Errno::AGAIN | Errno::INTR) => return self.put_back(at, kept),
                Err(_) => return self.hang_up(at, Hangup::Gone),
            };
            self.desk.now_ns = clock::now_ns();
            let result = seat.client.read(&self.buffer[..kept + read], &mut self.desk);
            if !self.desk.out.is_empty() {
                self.flush(at);
            }
            let mut wishes = std::mem::take(&mut self.desk.wishes);
            for wish in wishes.drain(..) {
                self.grant(at, wish);
            }
            self.desk.wishes = wishes;
            if let Err(hangup) = result {
                return self.hang_up(at, hangup);
            }
            // Epoll tells again of what is left; only a full buffer says that there surely is more.
            if kept + read < self.buffer.len() {
                return;
            }
        }
    }

    /// There was nothing to be read after all: what was kept is kept on.
    fn put_back(&mut self, at: usize, kept: usize) {
        if kept > 0 {
            self.seats[at].client.keep(&self.buffer[..kept]);
        }
    }

    /// Sends what the client wants to say.
    fn flush(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        match &mut seat.unsent {
            Some(unsent) => unsent.append(&mut self.desk.out),
            None => {
                let Some(socket) = &seat.socket else { return self.desk.out.clear() };
                // What the socket takes at once needs no place.
                let sent = rustix::net::send(socket, &self.desk.out, SendFlags::NOSIGNAL).unwrap_or(0);
                if sent < self.desk.out.len() {
                    seat.unsent = Some(Box::new(self.desk.out.split_off(sent)));
                }
                self.desk.out.clear();
            }
        }
        self.write(at);
    }

    /// Sends what waits, and has epoll tell when there is room for the rest.
    fn write(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let Some(socket) = &seat.socket else { return };
        if let Some(unsent) = &mut seat.unsent {
            match rustix::net::send(socket, unsent, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == unsent.len() => seat.unsent = None,
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return, // the end shows itself when it is read
            }
        }
        if seat.unsent.is_some() == seat.watched {
            return;
        }
        seat.watched = seat.unsent.is_some();
        let data = EventData::new_u64((at as u64) << 32 | u64::from(seat.generation));
        epoll::modify(&self.epoll, socket.as_fd(), data, interest(seat.watched)).expect("the socket was added");
    }

    fn grant(&mut self, at: usize, wish: Wish) {
        let now = self.desk.now_ns;
        let seat = &mut self.seats[at];
        match wish {
            Wish::Beat(interval_ms) => {
                seat.interval_ms = u32::try_from(interval_ms).unwrap_or(u32::MAX);
                // The first beat comes after a random part of the interval, as the documentation asks.
                let first = now + self.chance.between(0, u64::from(seat.interval_ms) * 1_000_000);
                seat.due_ns = on_grid(first, seat.interval_ms, self.thread);
            }
            Wish::Live(resumed) => {
                if std::mem::take(&mut seat.arriving) {
                    self.plan.gate.leave();
                }
                seat.client.was_live = true;
                seat.attempts = 0;
                let took = now.saturating_sub(seat.began_ns);
                let tally = &mut self.desk.tally;
                if resumed {
                    tally.counts.resumed += 1;
                    tally.resumes_ns = Some((tally.resumes_ns.map_or(now, |(first, _)| first), now));
                    record(&mut tally.resume, took);
                } else {
                    tally.counts.identified += 1;
                    record(&mut tally.identify, took);
                }
                self.desk.round.complete(seat.client.index, now, Some(took));
                self.board.live.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.set_timer(at);
    }

    // ── ends ──

    /// Ends a seat's connection by a reset. Says how far it was.
    fn disconnect(&mut self, at: usize) -> Stage {
        let seat = &mut self.seats[at];
        let stage = seat.client.stage;
        seat.client.disconnect();
        if let Some(socket) = seat.socket.take() {
            self.board.connected.fetch_sub(1, Ordering::Relaxed);
            source_address::cut(socket);
        }
        seat.generation += 1; // what epoll still tells of this connection is void
        seat.unsent = None;
        seat.frozen = false;
        seat.due_ns = NEVER;
        if stage == Stage::Live {
            self.board.live.fetch_sub(1, Ordering::Relaxed);
        }
        self.wheel.clear(at);
        stage
    }

    /// A connection is over. Its session is resumed, begins anew, is given up, or wanted to end.
    fn hang_up(&mut self, at: usize, why: Hangup) {
        let stage = self.disconnect(at);
        if self.plan.order() == Order::Stop || stage == Stage::Parting {
            return;
        }
        self.desk.now_ns = clock::now_ns();
        let (second, now) = (1_000_000_000, self.desk.now_ns);
        let seat = &mut self.seats[at];
        // Twice as long after each failure, so that a server may restart meanwhile.
        let mut wait = self.chance.between(second / 10, second) << seat.attempts.min(limits::ATTEMPTS_MAX);
        let had_session = seat.client.has_session();
        match &why {
            Hangup::Cut => self.desk.tally.counts.cuts += 1,
            Hangup::Asked => {}
            Hangup::Invalid(true) => wait = self.chance.between(second, 5 * second),
            Hangup::Invalid(false) => {
                wait = self.chance.between(second, 5 * second);
                seat.client.forget(&mut self.desk, Ending::Refused);
            }
            Hangup::Closed(Some(4004 | 4010..=4014)) => seat.attempts = limits::ATTEMPTS_MAX,
            // After 4009, a missed heartbeat, libraries try to resume, and servers may have kept the session.
            Hangup::Closed(Some(1000 | 1001 | 4007)) => seat.client.forget(&mut self.desk, Ending::Refused),
            Hangup::Closed(_) | Hangup::Gone | Hangup::Zombie | Hangup::Late | Hangup::Broken(_) => {}
        }
        // A session that never became live has nothing to be resumed.
        if matches!(stage, Stage::Identifying | Stage::Gathering(_)) {
            seat.client.forget(&mut self.desk, Ending::Wanted);
        }
        let tally = &mut self.desk.tally;
        if !matches!(why, Hangup::Cut | Hangup::Asked) {
            let what = format!("{why:?} while {stage:?}");
            tally.fault(Fault::new(FaultKind::Disconnected, &seat.client, what));
        }
        if had_session && !seat.client.has_session() {
            tally.fault(Fault::new(FaultKind::Invalidated, &seat.client, format!("{why:?} while {stage:?}")));
        }
        if seat.attempts >= limits::ATTEMPTS_MAX {
            seat.client.stage = Stage::Dead;
            tally.fault(Fault::new(FaultKind::Dead, &seat.client, format!("{why:?} while {stage:?}")));
            if std::mem::take(&mut seat.arriving) {
                self.plan.gate.leave();
            }
            self.board.dead.fetch_add(1, Ordering::Relaxed);
            return;
        }
        seat.due_ns = now + wait;
        self.set_timer(at);
    }

    /// Says goodbye to the server, so that it does not keep the sessions, and waits for it to close: whoever closes first
    /// keeps the port for a minute, and the server has only one.
    fn part(&mut self, events: &mut [epoll::Event]) {
        let until = clock::now_ns() + limits::PARTING_TIME.as_nanos() as u64;
        for at in 0..self.seats.len() {
            frames::write(&mut self.desk.out, Kind::Close, &NORMAL.to_be_bytes(), self.desk.mask);
            self.flush(at);
        }
        while self.board.connected.load(Ordering::Relaxed) > 0 && clock::now_ns() < until {
            self.wait(events, limits::NAP);
        }
        self.seats.iter_mut().for_each(|seat| seat.socket = None);
    }

    // ── timers ──

    /// Sets when the seat has something to do next.
    fn set_timer(&mut self, at: usize) {
        let seat = &self.seats[at];
        let late_ns = match seat.client.stage {
            Stage::Down | Stage::Parting | Stage::Live | Stage::Dead => NEVER,
            Stage::Upgrading | Stage::Greeting | Stage::Identifying | Stage::Gathering(_) | Stage::Resuming => {
                seat.began_ns + limits::HANDSHAKE_TIME.as_nanos() as u64
            }
        };
        match seat.due_ns.min(late_ns) {
            NEVER => self.wheel.clear(at),
            due => self.wheel.set(at, due),
        }
    }

    /// Does what is due.
    fn run_timers(&mut self, now: u64) {
        let mut expired = std::mem::take(&mut self.expired);
        self.wheel.expire(now, &mut expired);
        for at in expired.drain(..) {
            let at = at as usize;
            let seat = &self.seats[at];
            let is_late = now >= seat.began_ns + limits::HANDSHAKE_TIME.as_nanos() as u64;
            match seat.client.stage {
                Stage::Down => self.connect(at),
                Stage::Dead => {}
                Stage::Parting => drop(self.disconnect(at)),
                Stage::Live => self.beat(at, now),
                Stage::Upgrading | Stage::Greeting | Stage::Identifying | Stage::Gathering(_) | Stage::Resuming => {
                    if is_late {
                        self.hang_up(at, Hangup::Late);
                    } else {
                        self.beat(at, now);
                    }
                }
            }
        }
        self.expired = expired;
    }

    fn beat(&mut self, at: usize, now: u64) {
        let seat = &mut self.seats[at];
        if now >= seat.due_ns {
            // What was asked of all may take longer than a beat.
            let asked = self.desk.round.awaits(seat.client.index) || seat.client.is_fenced();
            if !seat.client.acknowledged && !asked {
                return self.hang_up(at, Hangup::Zombie);
            }
            seat.client.beat(&mut self.desk);
            let next = now + u64::from(seat.interval_ms) * 1_000_000;
            seat.due_ns = on_grid(next, seat.interval_ms, self.thread);
            self.flush(at);
        }
        self.set_timer(at);
    }

    // ── errands ──

    /// Asks some of those who are to be asked; says when to go on.
    fn run_errand(&mut self, now: u64) -> u64 {
        if self.plan.errand_number.load(Ordering::Acquire) != self.desk.round.number {
            let (number, errand) = {
                let place = self.plan.errand.lock().expect("no thread of the swarm panics while it holds this");
                (self.plan.errand_number.load(Ordering::Acquire), *place)
            };
            if !errand.deed.keeps_lists() {
                self.end_errand(errand.deed);
            }
            self.frame = frame_of(errand.deed, self.desk.mask);
            let ended = self.desk.round.begin(number, errand, self.seats.len());
            self.keep_times(ended);
            self.queueing |= errand.deed == task::Deed::Cut;
            if errand.deed.is_silent() {
                self.desk.round.next = self.seats.len(); // nobody has to be asked
            }
        }
        let next = self.desk.round.next;
        if next >= self.seats.len() {
            return u64::MAX;
        }
        let end = (next + limits::ASKED_IN_A_ROW).min(self.seats.len());
        self.desk.round.next = end;
        for at in next..end {
            if self.desk.round.errand.part.has(self.first + at as u32) {
                self.ask(at, now);
            }
        }
        if end < self.seats.len() { now } else { u64::MAX }
    }

    fn ask(&mut self, at: usize, now: u64) {
        use task::Deed::{Appear, Check, Cut, Freeze, Hear, Rest, Scroll, Subscribe, Thaw};
        let seat = &mut self.seats[at];
        let (index, is_live) = (seat.client.index, seat.client.stage == Stage::Live);
        // A heartbeat behind it shows that it was understood; the answer to one that is under way shows nothing.
        let beats = if seat.client.acknowledged { 1 } else { 2 };
        match self.desk.round.errand.deed {
            Thaw if seat.frozen => {
                seat.frozen = false;
                self.desk.round.ask(index, beats, now);
                self.watch_again(at);
                self.seats[at].due_ns = now + u64::from(self.seats[at].interval_ms) * 1_000_000;
                self.seats[at].client.beat(&mut self.desk);
                self.flush(at);
                self.set_timer(at);
            }
            Rest | Hear(_) | Check(_) | Thaw => {}
            _ if !is_live || seat.frozen => {}
            Subscribe(_) => {
                self.desk.round.ask(index, beats, now);
                self.desk.out.extend_from_slice(&self.frame);
                self.seats[at].client.beat(&mut self.desk);
                self.flush(at);
            }
            Appear(status) => {
                self.desk.round.ask(index, 0, now);
                if self.desk.round.errand.part != task::Part::ALL {
                    self.keep_said(at, status);
                }
                self.desk.out.extend_from_slice(&self.frame);
                self.flush(at);
            }
            Cut => {
                self.desk.tally.counts.cuts += 1;
                self.desk.round.ask(index, 1, now);
                self.disconnect(at);
                self.queue.push_back(at as u32);
            }
            Freeze => {
                self.desk.round.ask(index, 1, now);
                let seat = &mut self.seats[at];
                seat.frozen = true;
                self.wheel.clear(at);
                if let Some(socket) = &seat.socket {
                    // What it does not read must not wake anybody; that the server has cut it is told all the same.
                    let data = EventData::new_u64((at as u64) << 32 | u64::from(seat.generation));
                    epoll::modify(&self.epoll, socket.as_fd(), data, EventFlags::RDHUP).expect("the socket was added");
                }
            }
            Scroll(scroll) => {
                let (ranges, awaited) = self.desk.round.lists.ask(index, &scroll, now);
                self.desk.round.ask(index, awaited.min(1) as u8, now);
                // Some of those who look go and come back, so that there are changes to be seen.
                let part = self.desk.round.errand.part;
                let flapping = scroll.flapping.max(1) * part.one_in;
                // At every second turn: servers may drop what is more than five changes in 20 s, as Discord does.
                if scroll.turn % 2 == 1 && task::Part::one_in(flapping, part.which).has(index) {
                    // Half of them the other way round.
                    let goes = (scroll.turn / 2 + index / flapping).is_multiple_of(2);
                    let status = if goes { Status::Invisible } else { Status::Online };
                    self.keep_said(at, status);
                    self.desk.say(&json!({"op": 3, "d": appearing(status)}));
                }
                let wants = json!({"channels": {scroll.channel.to_string(): ranges}});
                self.desk.say(&json!({"op": 37, "d": {"subscriptions": {scroll.guild.to_string(): wants}}}));
                self.flush(at);
            }
        }
    }

    /// The server has cut a connection whose session does not read.
    fn cut_while_frozen(&mut self, at: usize) {
        let seat = &self.seats[at];
        self.desk.round.step(seat.client.index, clock::now_ns(), None);
        if let Some(socket) = &seat.socket {
            // It would be told again and again.
            epoll::delete(&self.epoll, socket).expect("the socket was added");
        }
    }

    /// Has epoll tell of everything again.
    fn watch_again(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let Some(socket) = &seat.socket else { return };
        seat.watched = seat.unsent.is_some();
        let data = EventData::new_u64((at as u64) << 32 | u64::from(seat.generation));
        let flags = interest(seat.watched);
        if epoll::modify(&self.epoll, socket.as_fd(), data, flags).is_err() {
            epoll::add(&self.epoll, socket, data, flags).expect("it was taken out when the server cut it");
        }
    }

    /// Somebody says how he appears, and not all others do.
    fn keep_said(&self, at: usize, status: Status) {
        let mut said = self.plan.said.lock().expect("no thread of the swarm panics while it holds this");
        said.some.insert(self.seats[at].client.user, status);
    }

    /// The errand is over, and another one comes: what does not add up by now is wrong.
    fn end_errand(&mut self, next: task::Deed) {
        let said = self.plan.said.lock().expect("no thread of the swarm panics while it holds this").clone();
        let known = match next {
            task::Deed::Check(live) => Some((&said, live.saturating_sub(said.hidden()))),
            _ => None,
        };
        for (session, wrong) in self.desk.round.lists.at_rest(known) {
            let client = &self.seats[(session - self.first) as usize].client;
            self.desk.tally.fault(Fault::new(FaultKind::Inconsistent, client, wrong));
        }
    }

    fn keep_times(&mut self, (number, took): (u32, hdrhistogram::Histogram<u64>)) {
        if !took.is_empty() {
            self.desk.tally.errands.push((number, took));
        }
    }

    // ── deeds ──

    /// Does what the script says that it is time for; says when the next is due.
    fn do_tasks(&mut self, now: u64) -> u64 {
        if !self.traffic_known {
            return u64::MAX;
        }
        while let Some(task) = self.tasks.get(self.next_task) {
            let script = self.plan.script.clone();
            let task = &script.tasks[*task as usize];
            let due = self.desk.entitlements.intended_ns(task.at_us);
            if due > now {
                return due;
            }
            self.next_task += 1;
            self.perform((task.session - self.first) as usize, &task.deed, due);
        }
        u64::MAX
    }

    fn perform(&mut self, at: usize, deed: &Deed, intended_ns: u64) {
        let commands = self.plan.commands;
        let understood = match deed {
            Deed::Connect | Deed::Close | Deed::Cut => true,
            Deed::Presence(..) => commands.presence,
            Deed::Voice(..) => commands.voice,
            Deed::Scroll(..) => commands.scroll,
        };
        if !understood {
            self.desk.tally.counts.skipped += 1;
            return;
        }
        let stage = self.seats[at].client.stage;
        let possible = match deed {
            // A session that waits for its next attempt is about to connect anyway.
            Deed::Connect => match stage {
                Stage::Down => self.seats[at].due_ns == NEVER,
                stage => stage == Stage::Parting,
            },
            Deed::Close => !matches!(stage, Stage::Dead | Stage::Parting),
            Deed::Cut | Deed::Presence(..) | Deed::Voice(..) | Deed::Scroll(..) => stage == Stage::Live,
        };
        if !possible {
            self.desk.tally.counts.missed += 1;
            return;
        }
        self.desk.tally.counts.deeds += 1;
        match deed {
            Deed::Connect => {
                self.disconnect(at);
                self.connect(at);
            }
            Deed::Close => {
                self.desk.tally.counts.closed += 1;
                self.close(at);
            }
            Deed::Cut => self.hang_up(at, Hangup::Cut),
            Deed::Presence(status, mark) => {
                let payload = json!({"op": 3, "d": appearing(*status)});
                self.say_marked(at, EventKind::Presence, *mark, intended_ns, &payload);
            }
            Deed::Voice(guild, channel, mark) => {
                let channel = channel.map(|channel| channel.to_string());
                let guild = guild.to_string();
                let d = json!({"guild_id": guild, "channel_id": channel, "self_mute": false, "self_deaf": false});
                self.say_marked(at, EventKind::Voice, *mark, intended_ns, &json!({"op": 4, "d": d}));
            }
            Deed::Scroll(guild, channel, first, last) => {
                // Clients keep the top.
                let rows = json!({channel.to_string(): [[0, 99], [first, last]]});
                let subscriptions = json!({guild.to_string(): {"channels": rows}});
                self.desk.say(&json!({"op": 37, "d": {"subscriptions": subscriptions}}));
                self.flush(at);
            }
        }
    }

    /// Says something that others will see as an event; it is expected before anybody can see it.
    fn say_marked(
        &mut self,
        at: usize,
        kind: EventKind,
        mark: Option<(u32, u32)>,
        intended_ns: u64,
        payload: &serde_json::Value,
    ) {
        if let Some((stream, index)) = mark {
            let id = self.seats[at].client.user;
            self.plan.events.say(stream, index);
            self.plan.script.ledger.expect(Named { kind, id }, Mark { stream, index, intended_ns });
        }
        self.desk.say(payload);
        self.flush(at);
    }

    /// Ends a session politely. The server closes the connection, or we do after a while.
    fn close(&mut self, at: usize) {
        self.desk.now_ns = clock::now_ns();
        let seat = &mut self.seats[at];
        let stage = seat.client.stage;
        seat.client.forget(&mut self.desk, Ending::Wanted);
        seat.attempts = 0;
        if std::mem::take(&mut seat.arriving) {
            self.plan.gate.leave();
        }
        seat.due_ns = NEVER;
        if matches!(stage, Stage::Down | Stage::Upgrading) {
            self.disconnect(at); // nobody to talk to
            return;
        }
        if stage == Stage::Live {
            self.board.live.fetch_sub(1, Ordering::Relaxed);
        }
        seat.client.stage = Stage::Parting;
        seat.due_ns = self.desk.now_ns + limits::PARTING_TIME.as_nanos() as u64;
        frames::write(&mut self.desk.out, Kind::Close, &NORMAL.to_be_bytes(), self.desk.mask);
        self.flush(at);
        self.set_timer(at);
    }
}

/// The nearest time at which a thread's sessions beat: each thread has its own, so that threads do not all beat together.
fn on_grid(due_ns: u64, interval_ms: u32, thread: u32) -> u64 {
    let grid = limits::BEAT_GRID.as_nanos() as u64;
    if u64::from(interval_ms) * 1_000_000 < limits::BEAT_GRID_LEAST * grid {
        return due_ns;
    }
    let phase = random::mix(u64::from(thread)) % grid;
    (due_ns.saturating_sub(phase) + grid / 2) / grid * grid + phase
}

/// The frame that all say whom an errand asks, if all say the same.
fn frame_of(deed: task::Deed, mask: [u8; 4]) -> Vec<u8> {
    use task::Deed::{Appear, Check, Cut, Freeze, Hear, Rest, Scroll, Subscribe, Thaw};
    let payload = match deed {
        Subscribe(guild) => {
            let wants = json!({"typing": true, "activities": true, "threads": true});
            json!({"op": 37, "d": {"subscriptions": {guild.to_string(): wants}}})
        }
        Appear(status) => json!({"op": 3, "d": appearing(status)}),
        Rest | Hear(_) | Check(_) | Cut | Freeze | Thaw | Scroll(_) => return Vec::new(),
    };
    let mut frame = Vec::new();
    frames::write(&mut frame, Kind::Text, payload.to_string().as_bytes(), mask);
    frame
}

/// What op 3 says of a status.
fn appearing(status: Status) -> serde_json::Value {
    json!({"since": null, "activities": [], "status": status, "afk": false})
}

/// What epoll is to tell of a socket; `waiting`: there is something to be sent.
fn interest(waiting: bool) -> EventFlags {
    let flags = EventFlags::IN | EventFlags::RDHUP;
    if waiting { flags | EventFlags::OUT } else { flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_fall_on_the_threads_grid_and_short_intervals_are_kept() {
        let (second, grid) = (1_000_000_000, limits::BEAT_GRID.as_nanos() as u64);
        let times: Vec<u64> = (0..1_000).map(|number| 70 * second + number * 3_141_592).collect();
        let phases: Vec<u64> = (0..3).map(|thread| on_grid(times[0], 41_250, thread) % grid).collect();
        assert!(phases[0] != phases[1] && phases[1] != phases[2], "{phases:?}");
        for due in times {
            for (thread, phase) in (0..3).zip(&phases) {
                let on = on_grid(due, 41_250, thread);
                assert!(on % grid == *phase && on.abs_diff(due) <= grid / 2, "{due} {on}");
            }
            assert_eq!(on_grid(due, 1_000, 1), due);
        }
    }

    #[test]
    fn a_session_without_streams_costs_little_more_than_its_seat() {
        // With its token, its place in the wheel, and 40 bytes for each stream, this leaves a million sessions room in 400 MB.
        assert!(size_of::<Seat>() <= 160, "{}", size_of::<Seat>());
    }
}
