//! The client pool: thousands of sessions, each a real WebSocket client, on few threads.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::{descriptor_table, limits};
use crate::generate::clients::list_rows::AnnouncedStatuses;
use crate::generate::clients::progress_board::{ConnectGate, PoolPhase, PoolState, ThreadStatus};
use crate::generate::clients::reactor;
use crate::generate::clients::reactor::Reactor;
use crate::generate::clients::settings::Settings;
use crate::generate::clients::task::{Subset, Task, TaskAction};
use crate::verify::delivery_table::DeliveryTable;
use crate::verify::run_result::{RunResult, ThreadResult};
use crate::verify::tally::{Counts, Latencies};

/// What a look at a running pool shows.
#[derive(Debug)]
pub struct ListSubscription {
    /// Counted since the beginning.
    pub counts: Counts,
    /// Recorded since the last look.
    pub latencies: Latencies,
}

/// A pool whose threads run.
#[derive(Debug)]
pub struct ClientPool {
    plan: Arc<PoolState>,
    statuses: Vec<Arc<ThreadStatus>>,
    threads: Vec<JoinHandle<Option<ThreadResult>>>,
    /// Everything that was looked at.
    latencies: Latencies,
}

/// How many sessions are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCounts {
    /// Open sockets.
    pub connected: u32,
    /// Live sessions.
    pub live: u32,
    /// Sessions given up.
    pub dead: u32,
}

/// How far all threads are with an task.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TaskProgress {
    /// Whether all sessions have been asked who is to do it.
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

impl ClientPool {
    /// Starts the threads; the sessions begin to connect once all are ready.
    ///
    /// A thread has a descriptor table of its own if one table has no room for all sessions.
    pub fn start(settings: &Settings) -> io::Result<ClientPool> {
        let room = descriptor_table::room();
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
        let plan = Arc::new(PoolState {
            server: settings.server,
            marker: settings.marker.clone(),
            tokens: settings.tokens.clone(),
            script: settings.script.clone(),
            events: Arc::new(DeliveryTable::new(&settings.script)),
            commands: settings.commands,
            zlib: settings.zlib,
            seed: settings.seed,
            gate: ConnectGate::new(settings.connect_rate, settings.handshakes),
            latencies: Mutex::default(),
            order: AtomicU8::new(PoolPhase::Wait as u8),
            traffic_start_ns: AtomicU64::new(0),
            traffic_speed: AtomicU64::new(0),
            task: Mutex::default(),
            task_number: AtomicU32::new(0),
            said: Mutex::default(),
        });
        let first_of = |thread: u32| u64::from(settings.sessions) * u64::from(thread) / u64::from(threads);
        let mut actions = vec![Vec::new(); threads as usize];
        for (number, timed) in settings.script.actions.iter().enumerate() {
            // The thread whose part begins at this session or last before it.
            let guess = u64::from(timed.session) * u64::from(threads) / u64::from(settings.sessions.max(1));
            let thread = if first_of(guess as u32 + 1) <= u64::from(timed.session) { guess + 1 } else { guess };
            actions[thread as usize].push(number as u32);
        }
        let mut pool = ClientPool { plan, statuses: Vec::new(), threads: Vec::new(), latencies: Latencies::default() };
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
        let doze = if threads as usize > cpus { limits::DOZE * threads } else { Duration::ZERO };
        let (ready, all_ready) = mpsc::channel();
        for (thread, actions) in (0..threads).zip(actions) {
            let (first, end) = (first_of(thread) as u32, first_of(thread + 1) as u32);
            let status = Arc::new(ThreadStatus::default());
            pool.statuses.push(status.clone());
            let (plan, ready) = (pool.plan.clone(), ready.clone());
            let part = reactor::ThreadShare { thread, sessions: first..end, actions, doze };
            let run = move || run(plan, status, separate, part, &ready);
            let name = format!("clients-{thread}");
            let spawned = std::thread::Builder::new().name(name).stack_size(limits::STACK_BYTES).spawn(run);
            pool.threads.push(spawned.inspect_err(|_| pool.plan.give(PoolPhase::Stop))?);
        }
        drop(ready);
        // No connection before the last thread has its own table, which begins as a copy of the one that all share.
        for _ in 0..threads {
            let started = all_ready.recv().unwrap_or_else(|_| Err(io::Error::other("a thread of the pool ended")));
            started.inspect_err(|_| pool.plan.give(PoolPhase::Stop))?;
        }
        pool.plan.give(PoolPhase::Run);
        Ok(pool)
    }

    /// Waits until so many sessions are live or given up, or nothing goes on any more. Says how many are live.
    pub fn wait_until_live(&mut self, sessions: u32, mut watch: impl FnMut(&mut ClientPool)) -> u32 {
        let mut best = 0;
        let mut changed = Instant::now();
        loop {
            watch(self);
            let SessionCounts { live, dead, .. } = self.standing();
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
    pub fn standing(&self) -> SessionCounts {
        let sum = |count: fn(&ThreadStatus) -> &AtomicU32| {
            self.statuses.iter().map(|status| count(status).load(Ordering::Relaxed)).sum::<u32>()
        };
        SessionCounts {
            connected: sum(|status| &status.connected),
            live: sum(|status| &status.live),
            dead: sum(|status| &status.dead),
        }
    }

    /// The script begins at this time and goes so many times as fast as it says.
    pub fn announce_traffic(&self, start_ns: u64, speed: f64) {
        self.plan.announce_traffic(start_ns, speed);
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for status in &self.statuses {
            counts.add(&status.counts());
        }
        counts
    }

    /// The counts so far, and the latencies since the last look.
    pub fn look(&mut self) -> ListSubscription {
        let counts = self.counts();
        let mut plan = self.plan.latencies.lock().expect("no thread of the pool panics while it holds this");
        let latencies = std::mem::take(&mut *plan);
        drop(plan);
        self.latencies.add(&latencies);
        ListSubscription { counts, latencies }
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.statuses.iter().map(|status| status.delivered.load(Ordering::Acquire)).sum()
    }

    /// When the last of them came, in nanoseconds since 1970; right when all that were expected are here.
    pub fn delivered_ns(&self) -> u64 {
        self.statuses.iter().map(|status| status.delivered_ns.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// Pongs so far, which a server writes when its operator wants to know what one write to all sessions takes, and
    /// when the last of them came, in nanoseconds since 1970.
    pub fn pongs(&self) -> (u64, u64) {
        let count = self.statuses.iter().map(|status| status.pongs.load(Ordering::Acquire)).sum();
        (count, self.statuses.iter().map(|status| status.pong_ns.load(Ordering::Relaxed)).max().unwrap_or(0))
    }

    /// Asks something of sessions, in place of what was asked before. Says its number.
    pub fn ask(&self, task: Task) -> u32 {
        let mut place = self.plan.task.lock().expect("no thread of the pool panics while it holds this");
        *place = task;
        if task.action == TaskAction::Cut {
            self.plan.gate.open();
        }
        if let (TaskAction::SetStatus(status), Subset::ALL) = (task.action, task.part) {
            *self.said() = AnnouncedStatuses { others: status, some: HashMap::new() };
        }
        // The lock keeps task and number together.
        self.plan.task_number.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// How sessions have said that they appear.
    pub fn said(&self) -> MutexGuard<'_, AnnouncedStatuses> {
        self.plan.said.lock().expect("no thread of the pool panics while it holds this")
    }

    /// How far the last task is.
    pub fn task(&self) -> TaskProgress {
        let number = self.plan.task_number.load(Ordering::Acquire);
        let mut progress = TaskProgress { asked_all: true, ..TaskProgress::default() };
        for status in &self.statuses {
            let status = &status.task;
            if status.number.load(Ordering::Acquire) != number {
                progress.asked_all = false;
                continue;
            }
            progress.asked_all &= status.asked_all.load(Ordering::Relaxed) != 0;
            progress.asked += status.asked.load(Ordering::Relaxed);
            progress.done += status.done.load(Ordering::Relaxed);
            progress.again += status.again.load(Ordering::Relaxed);
            progress.last_ns = progress.last_ns.max(status.last_ns.load(Ordering::Relaxed));
        }
        progress
    }

    /// By event, who has it.
    pub fn events(&self) -> &DeliveryTable {
        &self.plan.events
    }

    /// Deliveries that have to come and are not here yet; `accepted` says which events the server took.
    pub fn outstanding(&self, accepted: impl Fn(u32, u32) -> bool) -> u64 {
        self.plan.events.outstanding(&self.plan.script, accepted)
    }

    /// The ids of the threads.
    pub fn thread_ids(&self) -> Vec<i32> {
        self.statuses.iter().map(|status| status.thread.load(Ordering::Relaxed)).collect()
    }

    /// Ends all sessions politely.
    pub fn stop(mut self) -> RunResult {
        self.plan.give(PoolPhase::Stop);
        let threads = std::mem::take(&mut self.threads);
        let threads: Vec<ThreadResult> =
            threads.into_iter().filter_map(|thread| thread.join().expect("the pool's thread panicked")).collect();
        self.look();
        for thread in &threads {
            self.latencies.add(&thread.tally.latencies);
        }
        RunResult { threads, latencies: self.latencies, events: self.plan.events.clone() }
    }
}

/// One thread, from its descriptor table to its end.
fn run(
    plan: Arc<PoolState>,
    status: Arc<ThreadStatus>,
    separate: bool,
    part: reactor::ThreadShare,
    ready: &mpsc::Sender<io::Result<()>>,
) -> Option<ThreadResult> {
    status.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
    let table = if separate { descriptor_table::separate(&[]) } else { Ok(()) };
    let reactor = table.and_then(|()| Reactor::new(plan.clone(), status, part));
    let (reactor, failure) = match reactor {
        Ok(reactor) => (Some(reactor), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // The starter may have given up already.
    let _ = ready.send(failure);
    let reactor = reactor?;
    while plan.order() == PoolPhase::Wait {
        std::thread::sleep(limits::GATE_PAUSE);
    }
    Some(reactor.run())
}
