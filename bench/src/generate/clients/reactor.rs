//! One thread of the pool: its sockets, its times and its epoll.
//!
//! A session costs its connection and no buffer: bytes are read into the one buffer of the thread and understood at
//! once.

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
use crate::base::times::record;
use crate::base::{clock, limits, random, source_address};
use crate::generate::clients::client::{Client, ClientContext, ClientEvent, Disconnect, Stage};
use crate::generate::clients::progress_board::{PoolPhase, PoolState, ThreadStatus};
use crate::generate::clients::task;
use crate::generate::clients::task_run::TaskRun;
use crate::generate::clients::timer_wheel::TimerWheel;
use crate::model::script::{Kind as EventKind, Mark, Named, SessionAction};
use crate::model::trace::Status;
use crate::verify::entitlement::{Ending, Entitlements};
use crate::verify::run_result::ThreadResult;
use crate::verify::tally::{Fault, FaultKind, Tally};
use crate::wire::frames;
use crate::wire::frames::Kind;

/// WebSocket's and Discord's code for a polite end, after which the session is over.
const NORMAL: u16 = 1000;
/// No beat is due before HELLO.
const NEVER: u64 = u64::MAX;

/// A client and its connection.
#[derive(Debug)]
struct Connection {
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

/// One thread's part of the pool.
#[derive(Debug)]
pub struct Reactor {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    timers: TimerWheel,
    expired: Vec<u32>,
    buffer: Vec<u8>,
    context: ClientContext,
    chance: Chance,
    plan: Arc<PoolState>,
    status: Arc<ThreadStatus>,
    /// The thread's number.
    thread: u32,
    /// The number of the first client.
    first: u32,
    /// Who waits at the gate.
    queue: VecDeque<u32>,
    /// Whether the gate still waits for this thread's queue.
    queueing: bool,
    /// What the thread's sessions do: places in the script's list of actions.
    actions: Vec<u32>,
    /// The next of them.
    next_action: usize,
    traffic_known: bool,
    latencies_due_ns: u64,
    /// How long it sleeps before it asks what has come.
    doze: Duration,
    /// What the task has all sessions say.
    frame: Vec<u8>,
}

/// What a thread has to do.
#[derive(Debug)]
pub struct ThreadShare {
    /// Its number.
    pub thread: u32,
    /// Its sessions.
    pub sessions: Range<u32>,
    /// What they do: places in the script's list of actions.
    pub actions: Vec<u32>,
    /// How long it sleeps before it asks what has come; see [`limits::DOZE`].
    pub doze: Duration,
}

impl Reactor {
    /// A thread with its part.
    pub fn new(plan: Arc<PoolState>, status: Arc<ThreadStatus>, part: ThreadShare) -> std::io::Result<Reactor> {
        let ThreadShare { thread, sessions: Range { start: first, end }, actions, doze } = part;
        let queue = (first..end).filter(|session| !plan.script.is_absent(*session)).map(|session| session - first);
        let mut connections = Vec::with_capacity((end - first) as usize);
        connections.extend((first..end).map(|index| Connection {
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
            timers: TimerWheel::new(connections.len(), clock::now_ns()),
            queue: queue.collect(),
            connections,
            expired: Vec::new(),
            buffer: vec![0; limits::READ_BYTES],
            context: ClientContext {
                marker: plan.marker.clone(),
                place: 0,
                entitlements: Entitlements::new(plan.script.clone(), plan.events.clone(), first, end),
                tokens: plan.tokens.clone(),
                zlib: plan.zlib,
                commands: plan.commands,
                addresses: Vec::new(),
                tally: Tally::of_groups(plan.script.groups.len()),
                task_run: TaskRun::new(first),
                request: None,
                out: Vec::new(),
                client_events: Vec::new(),
                now_ns: 0,
                inflated: Vec::new(),
                mask: (chance.bits() as u32).to_le_bytes(),
            },
            chance,
            plan,
            status,
            thread,
            first,
            queueing: true,
            actions,
            next_action: 0,
            traffic_known: false,
            latencies_due_ns: 0,
            doze,
            frame: Vec::new(),
        })
    }

    /// Runs until the order to stop.
    pub fn run(mut self) -> ThreadResult {
        let mut events = vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; limits::EVENTS];
        while self.plan.order() != PoolPhase::Stop {
            self.turn(&mut events);
        }
        self.close_all(&mut events);
        self.finish_task(task::TaskAction::Rest);
        let ended = self.context.task_run.begin(u32::MAX, task::Task::default(), 0);
        self.keep_times(ended);
        self.status.post(&mut self.context.tally, &self.plan);
        let ClientContext { tally, entitlements, .. } = self.context;
        // Collected in place: a million records need no second allocation.
        let sessions = self.connections.into_iter().map(|connection| connection.client.record).collect();
        ThreadResult { tally, sessions, entitlements }
    }

    fn turn(&mut self, events: &mut [epoll::Event]) {
        let now = clock::now_ns();
        self.context.now_ns = now;
        if !self.traffic_known
            && let Some((start_ns, speed)) = self.plan.traffic()
        {
            self.traffic_known = true;
            self.context.entitlements.announce_traffic(start_ns, speed);
        }
        let next = now + limits::NAP.as_nanos() as u64;
        let next = next.min(self.run_task(now)).min(self.connect_some(now)).min(self.run_actions(now));
        let nap = self.timers.next_ns(next).saturating_sub(now);
        self.wait(events, Duration::from_nanos(nap));
        // After reading: an acknowledgement that is here already, though we were late, is no missing one.
        self.run_timers(clock::now_ns());
        self.status.post(&mut self.context.tally, &self.plan);
        self.context.task_run.post(&self.status.task, self.connections.len());
        if self.context.now_ns >= self.latencies_due_ns {
            self.latencies_due_ns = self.context.now_ns + limits::LATENCY_PAUSE.as_nanos() as u64;
            self.status.post_latencies(&mut self.context.tally, &self.plan);
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
            if self.connections[at].generation != data.u64() as u32 {
                continue;
            }
            if self.connections[at].frozen {
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
                if self.context.task_run.next >= self.connections.len() {
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
            self.connections[at].arriving = true;
            self.connect(at);
        }
        now
    }

    fn connect(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        connection.generation += 1;
        connection.attempts = connection.attempts.saturating_add(1);
        connection.began_ns = clock::now_ns();
        connection.due_ns = NEVER;
        self.context.tally.counts.connects += 1;
        let address = connection.client.resume_address(&self.context).unwrap_or(self.plan.server);
        connection.client.connect(self.context.zlib);
        let request = self.context.upgrade(address);
        let socket = source_address::connect(address, connection.client.record.index).and_then(|socket| {
            // On loopback a connection is usually there at once.
            let sent = rustix::net::send(&socket, request, SendFlags::NOSIGNAL).unwrap_or(0);
            connection.watched = sent < request.len();
            connection.unsent = connection.watched.then(|| Box::new(request[sent..].to_vec()));
            let data = EventData::new_u64((at as u64) << 32 | u64::from(connection.generation));
            epoll::add(&self.epoll, &socket, data, interest(connection.watched))?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => {
                connection.socket = Some(socket);
                self.status.connected.fetch_add(1, Ordering::Relaxed);
                self.set_timer(at);
            }
            Err(error) => self.hang_up(at, Disconnect::Broken(format!("connect: {error}"))),
        }
    }

    // ── reading and writing ──

    fn read(&mut self, at: usize) {
        loop {
            let connection = &mut self.connections[at];
            let Some(socket) = &connection.socket else { return };
            let kept = connection.client.take_partial(&mut self.buffer);
            let read = match rustix::net::recv(socket, &mut self.buffer[kept..], RecvFlags::empty()) {
                Ok((0, _)) => return self.hang_up(at, Disconnect::Gone),
                Ok((read, _)) => read,
                Err(Errno::AGAIN | Errno::INTR) => return self.put_back(at, kept),
                Err(_) => return self.hang_up(at, Disconnect::Gone),
            };
            self.context.now_ns = clock::now_ns();
            let result = connection.client.read(&self.buffer[..kept + read], &mut self.context);
            if !self.context.out.is_empty() {
                self.flush(at);
            }
            let mut client_events = std::mem::take(&mut self.context.client_events);
            for event in client_events.drain(..) {
                self.handle_event(at, event);
            }
            self.context.client_events = client_events;
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
            self.connections[at].client.keep(&self.buffer[..kept]);
        }
    }

    /// Sends what the client wants to say.
    fn flush(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        match &mut connection.unsent {
            Some(unsent) => unsent.append(&mut self.context.out),
            None => {
                let Some(socket) = &connection.socket else { return self.context.out.clear() };
                // What the socket takes at once needs no place.
                let sent = rustix::net::send(socket, &self.context.out, SendFlags::NOSIGNAL).unwrap_or(0);
                if sent < self.context.out.len() {
                    connection.unsent = Some(Box::new(self.context.out.split_off(sent)));
                }
                self.context.out.clear();
            }
        }
        self.write(at);
    }

    /// Sends what waits, and has epoll tell when there is room for the rest.
    fn write(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(socket) = &connection.socket else { return };
        if let Some(unsent) = &mut connection.unsent {
            match rustix::net::send(socket, unsent, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == unsent.len() => connection.unsent = None,
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return, // the end shows itself when it is read
            }
        }
        if connection.unsent.is_some() == connection.watched {
            return;
        }
        connection.watched = connection.unsent.is_some();
        let data = EventData::new_u64((at as u64) << 32 | u64::from(connection.generation));
        epoll::modify(&self.epoll, socket.as_fd(), data, interest(connection.watched)).expect("the socket was added");
    }

    fn handle_event(&mut self, at: usize, event: ClientEvent) {
        let now = self.context.now_ns;
        let connection = &mut self.connections[at];
        match event {
            ClientEvent::RawSendTiming(interval_ms) => {
                connection.interval_ms = u32::try_from(interval_ms).unwrap_or(u32::MAX);
                // The first beat comes after a random part of the interval, as the documentation asks.
                let first = now + self.chance.between(0, u64::from(connection.interval_ms) * 1_000_000);
                connection.due_ns = on_grid(first, connection.interval_ms, self.thread);
            }
            ClientEvent::Live(resumed) => {
                if std::mem::take(&mut connection.arriving) {
                    self.plan.gate.leave();
                }
                connection.client.record.was_live = true;
                connection.attempts = 0;
                let took = now.saturating_sub(connection.began_ns);
                let tally = &mut self.context.tally;
                if resumed {
                    tally.counts.resumed += 1;
                    tally.resumes_ns = Some((tally.resumes_ns.map_or(now, |(first, _)| first), now));
                    record(&mut tally.resume, took);
                } else {
                    tally.counts.identified += 1;
                    record(&mut tally.identify, took);
                }
                self.context.task_run.complete(connection.client.record.index, now, Some(took));
                self.status.live.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.set_timer(at);
    }

    // ── ends ──

    /// Ends a connection's connection by a reset. Says how far it was.
    fn disconnect(&mut self, at: usize) -> Stage {
        let connection = &mut self.connections[at];
        let stage = connection.client.stage;
        connection.client.disconnect();
        if let Some(socket) = connection.socket.take() {
            self.status.connected.fetch_sub(1, Ordering::Relaxed);
            source_address::cut(socket);
        }
        connection.generation += 1; // what epoll still tells of this connection is void
        connection.unsent = None;
        connection.frozen = false;
        connection.due_ns = NEVER;
        if stage == Stage::Live {
            self.status.live.fetch_sub(1, Ordering::Relaxed);
        }
        self.timers.clear(at);
        stage
    }

    /// A connection is over. Its session is resumed, begins anew, is given up, or wanted to end.
    fn hang_up(&mut self, at: usize, why: Disconnect) {
        let stage = self.disconnect(at);
        if self.plan.order() == PoolPhase::Stop || stage == Stage::Parting {
            return;
        }
        self.context.now_ns = clock::now_ns();
        let (second, now) = (1_000_000_000, self.context.now_ns);
        let connection = &mut self.connections[at];
        // Twice as long after each failure, so that a server may restart meanwhile.
        let mut wait = self.chance.between(second / 10, second) << connection.attempts.min(limits::ATTEMPTS_MAX);
        let had_session = connection.client.has_session();
        match &why {
            Disconnect::Cut => self.context.tally.counts.cuts += 1,
            Disconnect::Asked => {}
            Disconnect::Invalid(true) => wait = self.chance.between(second, 5 * second),
            Disconnect::Invalid(false) => {
                wait = self.chance.between(second, 5 * second);
                connection.client.forget(&mut self.context, Ending::Refused);
            }
            Disconnect::Closed(Some(4004 | 4010..=4014)) => connection.attempts = limits::ATTEMPTS_MAX,
            // After 4009, a missed heartbeat, libraries try to resume, and servers may have kept the session.
            Disconnect::Closed(Some(1000 | 1001 | 4007)) => {
                connection.client.forget(&mut self.context, Ending::Refused)
            }
            Disconnect::Closed(_)
            | Disconnect::Gone
            | Disconnect::Zombie
            | Disconnect::Late
            | Disconnect::Broken(_) => {}
        }
        // A session that never became live has nothing to be resumed.
        if matches!(stage, Stage::Identifying | Stage::Gathering(_)) {
            connection.client.forget(&mut self.context, Ending::Wanted);
        }
        let tally = &mut self.context.tally;
        if !matches!(why, Disconnect::Cut | Disconnect::Asked) {
            let what = format!("{why:?} while {stage:?}");
            tally.fault(Fault::new(FaultKind::Disconnected, &connection.client.record, what));
        }
        if had_session && !connection.client.has_session() {
            tally.fault(Fault::new(
                FaultKind::Invalidated,
                &connection.client.record,
                format!("{why:?} while {stage:?}"),
            ));
        }
        if connection.attempts >= limits::ATTEMPTS_MAX {
            connection.client.stage = Stage::Dead;
            tally.fault(Fault::new(FaultKind::Dead, &connection.client.record, format!("{why:?} while {stage:?}")));
            if std::mem::take(&mut connection.arriving) {
                self.plan.gate.leave();
            }
            self.status.dead.fetch_add(1, Ordering::Relaxed);
            return;
        }
        connection.due_ns = now + wait;
        self.set_timer(at);
    }

    /// Says goodbye to the server, so that it does not keep the sessions, and waits for it to close: the side that
    /// closes first keeps the port for a minute, and the server has only one.
    fn close_all(&mut self, events: &mut [epoll::Event]) {
        let until = clock::now_ns() + limits::PARTING_TIME.as_nanos() as u64;
        for at in 0..self.connections.len() {
            frames::write(&mut self.context.out, Kind::Close, &NORMAL.to_be_bytes(), self.context.mask);
            self.flush(at);
        }
        while self.status.connected.load(Ordering::Relaxed) > 0 && clock::now_ns() < until {
            self.wait(events, limits::NAP);
        }
        self.connections.iter_mut().for_each(|connection| connection.socket = None);
    }

    // ── timers ──

    /// Sets when the connection has something to do next.
    fn set_timer(&mut self, at: usize) {
        let connection = &self.connections[at];
        let late_ns = match connection.client.stage {
            Stage::Down | Stage::Parting | Stage::Live | Stage::Dead => NEVER,
            Stage::Upgrading | Stage::Greeting | Stage::Identifying | Stage::Gathering(_) | Stage::Resuming => {
                connection.began_ns + limits::HANDSHAKE_TIME.as_nanos() as u64
            }
        };
        match connection.due_ns.min(late_ns) {
            NEVER => self.timers.clear(at),
            due => self.timers.set(at, due),
        }
    }

    /// Does what is due.
    fn run_timers(&mut self, now: u64) {
        let mut expired = std::mem::take(&mut self.expired);
        self.timers.expire(now, &mut expired);
        for at in expired.drain(..) {
            let at = at as usize;
            let connection = &self.connections[at];
            let is_late = now >= connection.began_ns + limits::HANDSHAKE_TIME.as_nanos() as u64;
            match connection.client.stage {
                Stage::Down => self.connect(at),
                Stage::Dead => {}
                Stage::Parting => drop(self.disconnect(at)),
                Stage::Live => self.heartbeat(at, now),
                Stage::Upgrading | Stage::Greeting | Stage::Identifying | Stage::Gathering(_) | Stage::Resuming => {
                    if is_late {
                        self.hang_up(at, Disconnect::Late);
                    } else {
                        self.heartbeat(at, now);
                    }
                }
            }
        }
        self.expired = expired;
    }

    fn heartbeat(&mut self, at: usize, now: u64) {
        let connection = &mut self.connections[at];
        if now >= connection.due_ns {
            // What was asked of all may take longer than a beat.
            let asked = self.context.task_run.awaits(connection.client.record.index) || connection.client.is_fenced();
            if !connection.client.acknowledged && !asked {
                return self.hang_up(at, Disconnect::Zombie);
            }
            connection.client.heartbeat(&mut self.context);
            let next = now + u64::from(connection.interval_ms) * 1_000_000;
            connection.due_ns = on_grid(next, connection.interval_ms, self.thread);
            self.flush(at);
        }
        self.set_timer(at);
    }

    // ── tasks ──

    /// Asks some of those who are to be asked; says when to go on.
    fn run_task(&mut self, now: u64) -> u64 {
        if self.plan.task_number.load(Ordering::Acquire) != self.context.task_run.number {
            let (number, task) = {
                let place = self.plan.task.lock().expect("no thread of the pool panics while it holds this");
                (self.plan.task_number.load(Ordering::Acquire), *place)
            };
            if !task.action.keeps_lists() {
                self.finish_task(task.action);
            }
            self.frame = frame_of(task.action, self.context.mask);
            let ended = self.context.task_run.begin(number, task, self.connections.len());
            self.keep_times(ended);
            self.queueing |= task.action == task::TaskAction::Cut;
            if task.action.is_silent() {
                self.context.task_run.next = self.connections.len(); // no session has to be asked
            }
        }
        let next = self.context.task_run.next;
        if next >= self.connections.len() {
            return u64::MAX;
        }
        let end = (next + limits::ASKED_IN_A_ROW).min(self.connections.len());
        self.context.task_run.next = end;
        for at in next..end {
            if self.context.task_run.task.part.has(self.first + at as u32) {
                self.ask(at, now);
            }
        }
        if end < self.connections.len() { now } else { u64::MAX }
    }

    fn ask(&mut self, at: usize, now: u64) {
        use task::TaskAction::{AwaitUnread, Check, Cut, Freeze, Rest, Scroll, SetStatus, Subscribe, Thaw};
        let connection = &mut self.connections[at];
        let (index, is_live) = (connection.client.record.index, connection.client.stage == Stage::Live);
        // A heartbeat behind it shows that it was understood; the answer to one that is under way shows nothing.
        let beats = if connection.client.acknowledged { 1 } else { 2 };
        match self.context.task_run.task.action {
            Thaw if connection.frozen => {
                connection.frozen = false;
                self.context.task_run.ask(index, beats, now);
                self.watch_again(at);
                self.connections[at].due_ns = now + u64::from(self.connections[at].interval_ms) * 1_000_000;
                self.connections[at].client.heartbeat(&mut self.context);
                self.flush(at);
                self.set_timer(at);
            }
            Rest | AwaitUnread(_) | Check(_) | Thaw => {}
            _ if !is_live || connection.frozen => {}
            Subscribe(_) => {
                self.context.task_run.ask(index, beats, now);
                self.context.out.extend_from_slice(&self.frame);
                self.connections[at].client.heartbeat(&mut self.context);
                self.flush(at);
            }
            SetStatus(status) => {
                self.context.task_run.ask(index, 0, now);
                if self.context.task_run.task.part != task::Subset::ALL {
                    self.keep_said(at, status);
                }
                self.context.out.extend_from_slice(&self.frame);
                self.flush(at);
            }
            Cut => {
                self.context.tally.counts.cuts += 1;
                self.context.task_run.ask(index, 1, now);
                self.disconnect(at);
                self.queue.push_back(at as u32);
            }
            Freeze => {
                self.context.task_run.ask(index, 1, now);
                let connection = &mut self.connections[at];
                connection.frozen = true;
                self.timers.clear(at);
                if let Some(socket) = &connection.socket {
                    // Unread bytes must not wake the thread; epoll reports the server's cut all the same.
                    let data = EventData::new_u64((at as u64) << 32 | u64::from(connection.generation));
                    epoll::modify(&self.epoll, socket.as_fd(), data, EventFlags::RDHUP).expect("the socket was added");
                }
            }
            Scroll(scroll) => {
                let (ranges, awaited) = self.context.task_run.lists.ask(index, &scroll, now);
                self.context.task_run.ask(index, awaited.min(1) as u8, now);
                // Some of those who look go and come back, so that there are changes to be seen.
                let part = self.context.task_run.task.part;
                let flapping = scroll.flapping.max(1) * part.one_in;
                // At every second turn: servers may drop what is more than five changes in 20 s, as Discord does.
                if scroll.turn % 2 == 1 && task::Subset::one_in(flapping, part.which).has(index) {
                    // Half of them the other way round.
                    let goes = (scroll.turn / 2 + index / flapping).is_multiple_of(2);
                    let status = if goes { Status::Invisible } else { Status::Online };
                    self.keep_said(at, status);
                    self.context.queue(&json!({"op": 3, "d": appearing(status)}));
                }
                let wants = json!({"channels": {scroll.channel.to_string(): ranges}});
                self.context.queue(&json!({"op": 37, "d": {"subscriptions": {scroll.guild.to_string(): wants}}}));
                self.flush(at);
            }
        }
    }

    /// The server has cut a connection whose session does not read.
    fn cut_while_frozen(&mut self, at: usize) {
        let connection = &self.connections[at];
        self.context.task_run.step(connection.client.record.index, clock::now_ns(), None);
        if let Some(socket) = &connection.socket {
            // It would be told again and again.
            epoll::delete(&self.epoll, socket).expect("the socket was added");
        }
    }

    /// Has epoll tell of everything again.
    fn watch_again(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(socket) = &connection.socket else { return };
        connection.watched = connection.unsent.is_some();
        let data = EventData::new_u64((at as u64) << 32 | u64::from(connection.generation));
        let flags = interest(connection.watched);
        if epoll::modify(&self.epoll, socket.as_fd(), data, flags).is_err() {
            epoll::add(&self.epoll, socket, data, flags).expect("it was taken out when the server cut it");
        }
    }

    /// A session announces a status, and not all others do.
    fn keep_said(&self, at: usize, status: Status) {
        let mut said = self.plan.said.lock().expect("no thread of the pool panics while it holds this");
        said.some.insert(self.connections[at].client.user, status);
    }

    /// The task is over, and another one comes: what does not add up by now is wrong.
    fn finish_task(&mut self, next: task::TaskAction) {
        let said = self.plan.said.lock().expect("no thread of the pool panics while it holds this").clone();
        let known = match next {
            task::TaskAction::Check(live) => Some((&said, live.saturating_sub(said.hidden()))),
            _ => None,
        };
        for (session, wrong) in self.context.task_run.lists.at_rest(known) {
            let record = &self.connections[(session - self.first) as usize].client.record;
            self.context.tally.fault(Fault::new(FaultKind::Inconsistent, record, wrong));
        }
    }

    fn keep_times(&mut self, (number, took): (u32, hdrhistogram::Histogram<u64>)) {
        if !took.is_empty() {
            self.context.tally.tasks.push((number, took));
        }
    }

    // ── deeds ──

    /// Does what the script says that it is time for; says when the next is due.
    fn run_actions(&mut self, now: u64) -> u64 {
        if !self.traffic_known {
            return u64::MAX;
        }
        while let Some(number) = self.actions.get(self.next_action) {
            let script = self.plan.script.clone();
            let timed = &script.actions[*number as usize];
            let due = self.context.entitlements.intended_ns(timed.at_us);
            if due > now {
                return due;
            }
            self.next_action += 1;
            self.perform((timed.session - self.first) as usize, &timed.action, due);
        }
        u64::MAX
    }

    fn perform(&mut self, at: usize, action: &SessionAction, intended_ns: u64) {
        let commands = self.plan.commands;
        let understood = match action {
            SessionAction::Connect | SessionAction::Close | SessionAction::Cut => true,
            SessionAction::Presence(..) => commands.presence,
            SessionAction::Voice(..) => commands.voice,
            SessionAction::Scroll(..) => commands.scroll,
        };
        if !understood {
            self.context.tally.counts.skipped += 1;
            return;
        }
        let stage = self.connections[at].client.stage;
        let possible = match action {
            // A session that waits for its next attempt is about to connect anyway.
            SessionAction::Connect => match stage {
                Stage::Down => self.connections[at].due_ns == NEVER,
                stage => stage == Stage::Parting,
            },
            SessionAction::Close => !matches!(stage, Stage::Dead | Stage::Parting),
            SessionAction::Cut | SessionAction::Presence(..) | SessionAction::Voice(..) | SessionAction::Scroll(..) => {
                stage == Stage::Live
            }
        };
        if !possible {
            self.context.tally.counts.missed += 1;
            return;
        }
        self.context.tally.counts.actions += 1;
        match action {
            SessionAction::Connect => {
                self.disconnect(at);
                self.connect(at);
            }
            SessionAction::Close => {
                self.context.tally.counts.closed += 1;
                self.close(at);
            }
            SessionAction::Cut => self.hang_up(at, Disconnect::Cut),
            SessionAction::Presence(status, mark) => {
                let payload = json!({"op": 3, "d": appearing(*status)});
                self.send_marked(at, EventKind::Presence, *mark, intended_ns, &payload);
            }
            SessionAction::Voice(guild, channel, mark) => {
                let channel = channel.map(|channel| channel.to_string());
                let guild = guild.to_string();
                let d = json!({"guild_id": guild, "channel_id": channel, "self_mute": false, "self_deaf": false});
                self.send_marked(at, EventKind::Voice, *mark, intended_ns, &json!({"op": 4, "d": d}));
            }
            SessionAction::Scroll(guild, channel, first, last) => {
                // Clients keep the top.
                let rows = json!({channel.to_string(): [[0, 99], [first, last]]});
                let subscriptions = json!({guild.to_string(): {"channels": rows}});
                self.context.queue(&json!({"op": 37, "d": {"subscriptions": subscriptions}}));
                self.flush(at);
            }
        }
    }

    /// Says something that others will see as an event; it is expected before anybody can see it.
    fn send_marked(
        &mut self,
        at: usize,
        kind: EventKind,
        mark: Option<(u32, u32)>,
        intended_ns: u64,
        payload: &serde_json::Value,
    ) {
        if let Some((stream, index)) = mark {
            let id = self.connections[at].client.user;
            self.plan.events.mark_sent(stream, index);
            self.plan.script.ledger.expect(Named { kind, id }, Mark { stream, index, intended_ns });
        }
        self.context.queue(payload);
        self.flush(at);
    }

    /// Ends a session politely. The server closes the connection, or we do after a while.
    fn close(&mut self, at: usize) {
        self.context.now_ns = clock::now_ns();
        let connection = &mut self.connections[at];
        let stage = connection.client.stage;
        connection.client.forget(&mut self.context, Ending::Wanted);
        connection.attempts = 0;
        if std::mem::take(&mut connection.arriving) {
            self.plan.gate.leave();
        }
        connection.due_ns = NEVER;
        if matches!(stage, Stage::Down | Stage::Upgrading) {
            self.disconnect(at); // the server does not listen yet
            return;
        }
        if stage == Stage::Live {
            self.status.live.fetch_sub(1, Ordering::Relaxed);
        }
        connection.client.stage = Stage::Parting;
        connection.due_ns = self.context.now_ns + limits::PARTING_TIME.as_nanos() as u64;
        frames::write(&mut self.context.out, Kind::Close, &NORMAL.to_be_bytes(), self.context.mask);
        self.flush(at);
        self.set_timer(at);
    }
}

/// The nearest time at which a thread's sessions beat: each thread has its own, so that threads do not all beat
/// together.
fn on_grid(due_ns: u64, interval_ms: u32, thread: u32) -> u64 {
    let grid = limits::BEAT_GRID.as_nanos() as u64;
    if u64::from(interval_ms) * 1_000_000 < limits::BEAT_GRID_LEAST * grid {
        return due_ns;
    }
    let phase = random::mix(u64::from(thread)) % grid;
    (due_ns.saturating_sub(phase) + grid / 2) / grid * grid + phase
}

/// The frame that all say whom an task asks, if all say the same.
fn frame_of(action: task::TaskAction, mask: [u8; 4]) -> Vec<u8> {
    use task::TaskAction::{AwaitUnread, Check, Cut, Freeze, Rest, Scroll, SetStatus, Subscribe, Thaw};
    let payload = match action {
        Subscribe(guild) => {
            let wants = json!({"typing": true, "activities": true, "threads": true});
            json!({"op": 37, "d": {"subscriptions": {guild.to_string(): wants}}})
        }
        SetStatus(status) => json!({"op": 3, "d": appearing(status)}),
        Rest | AwaitUnread(_) | Check(_) | Cut | Freeze | Thaw | Scroll(_) => return Vec::new(),
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
        // With its token, its place in the timers, and 40 bytes for each stream, this leaves a million sessions room in
        // 400 MB.
        assert!(size_of::<Connection>() <= 160, "{}", size_of::<Connection>());
    }
}
