//! A swarm: thousands of sessions, each a real WebSocket client, on few threads.
//!
//! [`client`] is one session and knows no socket; [`reactor`] is one thread with its epoll; [`board`] is how the threads and
//! the run talk. What went wrong is in the [`tally`].

pub mod client;
pub mod list_rows;
pub mod member_lists;
pub mod progress_board;
pub mod reactor;
pub mod task;
pub mod timer_wheel;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::limits;
use crate::generate::clients::member_lists::Said;
use crate::generate::clients::progress_board::{Board, Gate, Order, Plan};
use crate::generate::clients::reactor::{Leavings, Reactor};
use crate::generate::clients::task::{Deed, Errand, Part};
use crate::model::script::Script;
use crate::model::tokens::Tokens;
use crate::verify::delivery_table::Events;
use crate::verify::marker::Marker;
use crate::verify::tally::{Counts, Latencies};

/// Who is in a swarm, and how it behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server is.
    pub server: SocketAddr,
    /// User tokens. If there are more sessions, tokens are used again.
    pub tokens: Arc<Tokens>,
    /// How many sessions.
    pub sessions: u32,
    /// What they may see, and what they do.
    pub script: Arc<Script>,
    /// Which events are of this run.
    pub marker: Marker,
    /// What the server understands.
    pub commands: Commands,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second, in all.
    pub connect_rate: f64,
    /// Handshakes under way at a time, in all.
    pub handshakes: u32,
    /// Threads. 0: half as many as there are CPUs, or more if the limit of open files asks for them.
    pub threads: u32,
    /// What chance depends on.
    pub seed: u64,
}

/// Which gateway commands the server understands, besides those that every session needs. What it does not understand is not
/// said, and counted as skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commands {
    /// Op 3.
    pub presence: bool,
    /// Op 4.
    pub voice: bool,
    /// Op 37: guild subscriptions.
    pub look: bool,
    /// Op 37: the rows of member lists.
    pub scroll: bool,
}

impl Commands {
    /// Everything.
    pub const ALL: Commands = Commands { presence: true, voice: true, look: true, scroll: true };
    /// None of them.
    pub const NONE: Commands = Commands { presence: false, voice: false, look: false, scroll: false };
}

/// What a look at a running swarm shows.
#[derive(Debug)]
pub struct Look {
    /// Counted since the beginning.
    pub counts: Counts,
    /// Recorded since the last look.
    pub latencies: Latencies,
}

/// A swarm whose threads run.
#[derive(Debug)]
pub struct Swarm {
    plan: Arc<Plan>,
    boards: Vec<Arc<Board>>,
    threads: Vec<JoinHandle<Option<Leavings>>>,
    /// Everything that was looked at.
    latencies: Latencies,
}

/// How many sessions are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Open sockets.
    pub connected: u32,
    /// Live sessions.
    pub live: u32,
    /// Sessions given up.
    pub dead: u32,
}

/// How far all threads are with an errand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether everybody has been asked who is to do it.
    pub asked_all: bool,
    /// Sessions that were asked.
    pub asked: u32,
    /// Sessions that are done.
    pub done: u32,
    /// Times that a session was done that had been done before.
    pub again: u32,
    /// When the last was done, in nanoseconds since 1970.
    pub last_ns: u64,
}

/// What a swarm leaves behind.
#[derive(Debug)]
pub struct Remains {
    /// By thread.
    pub threads: Vec<Leavings>,
    /// All latencies.
    pub latencies: Latencies,
    /// By event, who had to get it and who did.
    pub events: Arc<Events>,
}

impl Swarm {
    /// Starts the threads; the sessions begin to connect once all are ready.
    ///
    /// A thread has a descriptor table of its own if one table has no room for all sessions.
    pub fn start(settings: &Settings) -> io::Result<Swarm> {
        let room = crate::base::descriptor_table::room();
        let needed = settings.sessions.div_ceil(room).max(1);
        let separate = settings.sessions > room;
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get()) as u32;
        let threads = if settings.threads == 0 { needed.max(cpus / 2) } else { settings.threads };
        let threads = threads.min(settings.sessions.max(1));
        if separate && threads < needed {
            let sessions = settings.sessions;
            return Err(io::Error::other(format!(
                "{sessions} sessions need {needed} threads: the limit of open files allows {room} for each"
            )));
        }
        let plan = Arc::new(Plan {
            server: settings.server,
            marker: settings.marker.clone(),
            tokens: settings.tokens.clone(),
            script: settings.script.clone(),
            events: Arc::new(Events::new(&settings.script)),
            commands: settings.commands,
            zlib: settings.zlib,
            seed: settings.seed,
            gate: Gate::new(settings.connect_rate, settings.handshakes),
            latencies: Mutex::default(),
            order: AtomicU8::new(Order::Wait as u8),
            traffic_start_ns: AtomicU64::new(0),
            traffic_speed: AtomicU64::new(0),
            errand: Mutex::default(),
            errand_number: AtomicU32::new(0),
            said: Mutex::default(),
        });
        let first_of = |thread: u32| u64::from(settings.sessions) * u64::from(thread) / u64::from(threads);
        let mut tasks = vec![Vec::new(); threads as usize];
        for (number, task) in settings.script.tasks.iter().enumerate() {
            // The thread whose part begins at this session or last before it.
            let guess = u64::from(task.session) * u64::from(threads) / u64::from(settings.sessions.max(1));
            let thread = if first_of(guess as u32 + 1) <= u64::from(task.session) { guess + 1 } else { guess };
            tasks[thread as usize].push(number as u32);
        }
        let mut swarm = Swarm { plan, boards: Vec::new(), threads: Vec::new(), latencies: Latencies::default() };
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
        let doze = if threads as usize > cpus { limits::DOZE * threads } else { Duration::ZERO };
        let (ready, all_ready) = mpsc::channel();
        for (thread, tasks) in (0..threads).zip(tasks) {
            let (first, end) = (first_of(thread) as u32, first_of(thread + 1) as u32);
            let board = Arc::new(Board::default());
            swarm.boards.push(board.clone());
            let (plan, ready) = (swarm.plan.clone(), ready.clone());
            let part = reactor::Part { thread, sessions: first..end, tasks, doze };
            let run = move || run(plan, board, separate, part, &ready);
            let name = format!("swarm-{thread}");
            let spawned = std::thread::Builder::new().name(name).stack_size(limits::STACK_BYTES).spawn(run);
            swarm.threads.push(spawned.inspect_err(|_| swarm.plan.give(Order::Stop))?);
        }
        drop(ready);
        // No connection before the last thread has its own table, which begins as a copy of the one that all share.
        for _ in 0..threads {
            let started = all_ready.recv().unwrap_or_else(|_| Err(io::Error::other("a thread of the swarm ended")));
            started.inspect_err(|_| swarm.plan.give(Order::Stop))?;
        }
        swarm.plan.give(Order::Run);
        Ok(swarm)
    }

    /// Waits until so many sessions are live or given up, or nothing goes on any more. Says how many are live.
    pub fn wait_until_live(&mut self, sessions: u32, mut watch: impl FnMut(&mut Swarm)) -> u32 {
        let mut best = 0;
        let mut changed = Instant::now();
        loop {
            watch(self);
            let Standing { live, dead, .. } = self.standing();
            if live + dead >= sessions || changed.elapsed() > limits::CONNECT_STALL_TIME {
                return live;
            }
            if live + dead > best {
                best = live + dead;
                changed = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many sessions are in which state.
    pub fn standing(&self) -> Standing {
        let sum = |count: fn(&Board) -> &AtomicU32| {
            self.boards.iter().map(|board| count(board).load(Ordering::Relaxed)).sum::<u32>()
        };
        Standing {
            connected: sum(|board| &board.connected),
            live: sum(|board| &board.live),
            dead: sum(|board| &board.dead),
        }
    }

    /// The script begins at this time and goes so many times as fast as it says.
    pub fn announce_traffic(&self, start_ns: u64, speed: f64) {
        self.plan.announce_traffic(start_ns, speed);
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for board in &self.boards {
            counts.add(&board.counts());
        }
        counts
    }

    /// The counts so far, and the latencies since the last look.
    pub fn look(&mut self) -> Look {
        let counts = self.counts();
        let mut plan = self.plan.latencies.lock().expect("no thread of the swarm panics while it holds this");
        let latencies = std::mem::take(&mut *plan);
        drop(plan);
        self.latencies.add(&latencies);
        Look { counts, latencies }
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.boards.iter().map(|board| board.delivered.load(Ordering::Acquire)).sum()
    }

    /// When the last of them came, in nanoseconds since 1970; right when all that were expected are here.
    pub fn delivered_ns(&self) -> u64 {
        self.boards.iter().map(|board| board.delivered_ns.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// Pongs so far, which a server writes when its operator wants to know what one write to everybody takes, and when the last
    /// of them came, in nanoseconds since 1970.
    pub fn pongs(&self) -> (u64, u64) {
        let count = self.boards.iter().map(|board| board.pongs.load(Ordering::Acquire)).sum();
        (count, self.boards.iter().map(|board| board.pong_ns.load(Ordering::Relaxed)).max().unwrap_or(0))
    }

    /// Asks something of sessions, in place of what was asked before. Says its number.
    pub fn ask(&self, errand: Errand) -> u32 {
        let mut place = self.plan.errand.lock().expect("no thread of the swarm panics while it holds this");
        *place = errand;
        if errand.deed == Deed::Cut {
            self.plan.gate.open();
        }
        if let (Deed::Appear(status), Part::ALL) = (errand.deed, errand.part) {
            *self.said() = Said { others: status, some: HashMap::new() };
        }
        // While nobody can read the one without the other.
        self.plan.errand_number.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// How sessions have said that they appear.
    pub fn said(&self) -> MutexGuard<'_, Said> {
        self.plan.said.lock().expect("no thread of the swarm panics while it holds this")
    }

    /// How far the last errand is.
    pub fn errand(&self) -> Progress {
        let number = self.plan.errand_number.load(Ordering::Acquire);
        let mut progress = Progress { asked_all: true, ..Progress::default() };
        for board in &self.boards {
            let board = &board.errand;
            if board.number.load(Ordering::Acquire) != number {
                progress.asked_all = false;
                continue;
            }
            progress.asked_all &= board.asked_all.load(Ordering::Relaxed) != 0;
            progress.asked += board.asked.load(Ordering::Relaxed);
            progress.done += board.done.load(Ordering::Relaxed);
            progress.again += board.again.load(Ordering::Relaxed);
            progress.last_ns = progress.last_ns.max(board.last_ns.load(Ordering::Relaxed));
        }
        progress
    }

    /// By event, who has it.
    pub fn events(&self) -> &Events {
        &self.plan.events
    }

    /// Deliveries that have to come and are not here yet; `accepted` says which events the server took.
    pub fn outstanding(&self, accepted: impl Fn(u32, u32) -> bool) -> u64 {
        self.plan.events.outstanding(&self.plan.script, accepted)
    }

    /// The ids of the threads.
    pub fn thread_ids(&self) -> Vec<i32> {
        self.boards.iter().map(|board| board.thread.load(Ordering::Relaxed)).collect()
    }

    /// Ends all sessions politely.
    pub fn stop(mut self) -> Remains {
        self.plan.give(Order::Stop);
        let threads = std::mem::take(&mut self.threads);
        let threads: Vec<Leavings> =
            threads.into_iter().filter_map(|thread| thread.join().expect("the swarm's thread panicked")).collect();
        self.look();
        for leavings in &threads {
            self.latencies.add(&leavings.tally.latencies);
        }
        Remains { threads, latencies: self.latencies, events: self.plan.events.clone() }
    }
}

/// One thread, from its descriptor table to its end.
fn run(
    plan: Arc<Plan>,
    board: Arc<Board>,
    separate: bool,
    part: reactor::Part,
    ready: &mpsc::Sender<io::Result<()>>,
) -> Option<Leavings> {
    board.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
    let table = if separate { crate::base::descriptor_table::separate() } else { Ok(()) };
    let reactor = table.and_then(|()| Reactor::new(plan.clone(), board, part));
    let (reactor, failure) = match reactor {
        Ok(reactor) => (Some(reactor), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // Whoever started us may have given up already.
    let _ = ready.send(failure);
    let reactor = reactor?;
    while plan.order() == Order::Wait {
        std::thread::sleep(limits::GATE_PAUSE);
    }
    Some(reactor.run())
}
