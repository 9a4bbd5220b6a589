//! What the pool's threads read, and what they publish while they run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::base::limits;
use crate::generate::clients::list_rows::AnnouncedStatuses;
use crate::generate::clients::settings::Commands;
use crate::generate::clients::task::Task;
use crate::model::script::Script;
use crate::model::tokens::Tokens;
use crate::verify::delivery_table::DeliveryTable;
use crate::verify::marker::Marker;
use crate::verify::tally::{Counts, Latencies, Tally};

/// What the threads are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolPhase {
    /// Nothing until all threads are ready.
    Wait,
    /// Connect, and take what comes.
    Run,
    /// Say goodbye.
    Stop,
}

/// What all threads read.
#[derive(Debug)]
pub struct PoolState {
    /// Where the server is.
    pub server: SocketAddr,
    /// Which events are of this run.
    pub marker: Marker,
    /// The sessions' tokens.
    pub tokens: Arc<Tokens>,
    /// What they may see, and what they do.
    pub script: Arc<Script>,
    /// By event, who has it.
    pub events: Arc<DeliveryTable>,
    /// What the server understands.
    pub commands: Commands,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// What chance depends on.
    pub seed: u64,
    /// Whom it is time to connect.
    pub gate: ConnectGate,
    /// Recorded since the watcher last looked.
    pub latencies: Mutex<Latencies>,
    /// Set before the threads start.
    pub order: AtomicU8,
    /// When the traffic begins; 0 before that is known.
    pub traffic_start_ns: AtomicU64,
    /// How many times as fast as the script it is, as bits.
    pub traffic_speed: AtomicU64,
    /// What all are asked to do, besides the script.
    pub task: Mutex<Task>,
    /// The task's number: 0 before the first.
    pub task_number: AtomicU32,
    /// How sessions have said that they appear, when an task asked them to.
    pub said: Mutex<AnnouncedStatuses>,
}

impl PoolState {
    /// What is to be done now.
    pub fn order(&self) -> PoolPhase {
        match self.order.load(Ordering::Acquire) {
            0 => PoolPhase::Wait,
            1 => PoolPhase::Run,
            _ => PoolPhase::Stop,
        }
    }

    /// Gives an order.
    pub fn give(&self, order: PoolPhase) {
        self.order.store(order as u8, Ordering::Release);
    }

    /// The script begins at this time and goes so many times as fast as it says.
    pub fn announce_traffic(&self, start_ns: u64, speed: f64) {
        self.traffic_speed.store(speed.to_bits(), Ordering::Relaxed);
        self.traffic_start_ns.store(start_ns, Ordering::Release);
    }

    /// When the script begins and how fast it goes, once that is known.
    pub fn traffic(&self) -> Option<(u64, f64)> {
        let start = self.traffic_start_ns.load(Ordering::Acquire);
        (start != 0).then(|| (start, f64::from_bits(self.traffic_speed.load(Ordering::Relaxed))))
    }
}

/// Lets connections through, not more per second and not more at a time than there may be in the whole pool. Those pass
/// it who come for the first time, and whole crowds that come back.
#[derive(Debug)]
pub struct ConnectGate {
    step_ns: u64,
    next_ns: AtomicU64,
    most: u32,
    /// Connections whose handshake is under way.
    handshakes: AtomicU32,
    /// Threads that have no more to connect.
    finished: AtomicU32,
}

impl ConnectGate {
    /// A gate for so many per second, and so many at a time.
    pub fn new(rate: f64, most: u32) -> ConnectGate {
        ConnectGate {
            step_ns: (1e9 / rate) as u64,
            next_ns: AtomicU64::new(0),
            most,
            handshakes: AtomicU32::new(0),
            finished: AtomicU32::new(0),
        }
    }

    /// All threads have something to connect again.
    pub fn open(&self) {
        self.finished.store(0, Ordering::Relaxed);
    }

    /// A thread has nothing more to connect.
    pub fn finish(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is a thread's turn: a few threads that each have much to do take less CPU than many that each have
    /// little.
    pub fn is_turn_of(&self, thread: u32) -> bool {
        thread < self.finished.load(Ordering::Relaxed) + limits::THREADS_CONNECTING
    }

    /// Asks to begin a handshake. If that is not yet possible, says when to ask again.
    pub fn enter(&self, now_ns: u64) -> Result<(), u64> {
        if self.handshakes.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.leave();
            return Err(now_ns + limits::GATE_PAUSE.as_nanos() as u64);
        }
        // A thread that comes late, since all slept, may catch up for as long as a pause takes.
        let pause = limits::GATE_PAUSE.as_nanos() as u64;
        let step = |next: u64| (next <= now_ns).then(|| next.max(now_ns.saturating_sub(pause)) + self.step_ns);
        self.next_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).map(|_| ()).map_err(|next| {
            self.leave();
            next.max(now_ns + pause / 2)
        })
    }

    /// A handshake is over, one way or the other.
    pub fn leave(&self) {
        self.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one thread tells.
#[derive(Debug, Default)]
pub struct ThreadStatus {
    /// The thread's id, once it runs.
    pub thread: AtomicI32,
    /// Sockets that are open or opening.
    pub connected: AtomicU32,
    /// Sessions that are live now.
    pub live: AtomicU32,
    /// Sessions that were given up.
    pub dead: AtomicU32,
    /// Deliveries so far.
    pub delivered: AtomicU64,
    /// When the last of them came, in nanoseconds since 1970.
    pub delivered_ns: AtomicU64,
    /// Pongs so far.
    pub pongs: AtomicU64,
    /// When the last of them came.
    pub pong_ns: AtomicU64,
    /// How far the thread is with the task.
    pub task: TaskStatus,
    counts: Mutex<Counts>,
}

/// How far a thread is with an task.
#[derive(Debug, Default)]
pub struct TaskStatus {
    /// Which task the rest is about.
    pub number: AtomicU32,
    /// Whether all who are to do it have been asked.
    pub asked_all: AtomicU8,
    /// Sessions that were asked.
    pub asked: AtomicU32,
    /// Sessions that are done.
    pub done: AtomicU32,
    /// Times that a session was done that had been done before.
    pub again: AtomicU32,
    /// When the last session was done, in nanoseconds since 1970.
    pub last_ns: AtomicU64,
}

impl ThreadStatus {
    /// The thread tells how far it is.
    pub fn post(&self, tally: &mut Tally, plan: &PoolState) {
        tally.receiving.flush(&plan.events);
        let (pongs, pong_ns) = tally.pongs;
        self.delivered_ns.store(tally.last_ns, Ordering::Relaxed);
        self.pong_ns.store(pong_ns, Ordering::Relaxed);
        self.pongs.store(pongs, Ordering::Release);
        self.delivered.store(tally.counts.delivered, Ordering::Release);
        // Another holder keeps the lock for a moment: there is a next turn.
        if let Ok(mut counts) = self.counts.try_lock() {
            *counts = tally.counts;
        }
    }

    /// The thread brings its latencies to those of all threads.
    pub fn post_latencies(&self, tally: &mut Tally, plan: &PoolState) {
        if !tally.latencies.is_empty()
            && let Ok(mut latencies) = plan.latencies.try_lock()
        {
            latencies.add(&tally.latencies);
            tally.latencies.reset();
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().expect("no thread of the pool panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_keeps_the_rate_and_the_bound() {
        let gate = ConnectGate::new(1_000.0, limits::HANDSHAKES_MAX);
        let second = 1_000_000_000;
        let mut entered = 0;
        // A look every 100 µs for a second; all handshakes take no time.
        for look in 0..10_000u64 {
            if gate.enter(second + look * 100_000).is_ok() {
                entered += 1;
                gate.leave();
            }
        }
        assert!((990..=1_010).contains(&entered), "{entered}");
        let gate = ConnectGate::new(1e9, limits::HANDSHAKES_MAX);
        let entered = (0..10_000u64).filter(|look| gate.enter(second + look * 1_000_000).is_ok()).count();
        assert_eq!(entered, limits::HANDSHAKES_MAX as usize);
        gate.leave();
        assert_eq!(gate.enter(100 * second), Ok(()));
        assert!(gate.enter(100 * second + 5).is_err());
    }
}
