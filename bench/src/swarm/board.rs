//! What the swarm's threads are told, and what they tell while they run.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::marker::Marker;
use crate::swarm::tally::{Counts, Tally, microseconds};

/// What the threads are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Connect, and take what comes.
    Run,
    /// Say goodbye.
    Stop,
}

/// What all threads are told.
#[derive(Debug)]
pub struct Plan {
    /// Where the server is.
    pub server: SocketAddr,
    /// Which messages are of this run.
    pub marker: Marker,
    /// Connections per second and thread.
    pub connect_rate: f64,
    /// The share of the sessions that is cut.
    pub cut: f64,
    /// What chance depends on.
    pub seed: u64,
    order: AtomicU8,
    traffic_start_ns: AtomicU64,
    traffic_end_ns: AtomicU64,
}

impl Plan {
    /// A plan without traffic yet.
    pub fn new(server: SocketAddr, marker: Marker, connect_rate: f64, cut: f64, seed: u64) -> Plan {
        Plan {
            server,
            marker,
            connect_rate,
            cut,
            seed,
            order: AtomicU8::new(0),
            traffic_start_ns: AtomicU64::new(0),
            traffic_end_ns: AtomicU64::new(0),
        }
    }

    /// What is to be done now.
    pub fn order(&self) -> Order {
        if self.order.load(Ordering::Relaxed) == 0 { Order::Run } else { Order::Stop }
    }

    /// The run is over.
    pub fn stop(&self) {
        self.order.store(1, Ordering::Relaxed);
    }

    /// Messages will be posted between these two times; cuts happen then.
    pub fn announce_traffic(&self, start_ns: u64, end_ns: u64) {
        self.traffic_end_ns.store(end_ns, Ordering::Relaxed);
        self.traffic_start_ns.store(start_ns, Ordering::Release);
    }

    /// When messages are posted, once that is known.
    pub fn traffic(&self) -> Option<(u64, u64)> {
        let start = self.traffic_start_ns.load(Ordering::Acquire);
        (start != 0).then(|| (start, self.traffic_end_ns.load(Ordering::Relaxed)))
    }
}

/// What one thread tells.
#[derive(Debug)]
pub struct Board {
    /// The thread's id, once it runs.
    pub thread: AtomicI32,
    /// Sockets that are open or opening.
    pub connected: AtomicU32,
    /// Sessions that are live now.
    pub live: AtomicU32,
    /// Sessions that were given up.
    pub dead: AtomicU32,
    /// The thread's counts and, since the watcher last took them, its latencies.
    news: Mutex<(Counts, Histogram<u64>)>,
    /// Deliveries so far.
    pub delivered: AtomicU64,
}

impl Default for Board {
    fn default() -> Self {
        Board {
            thread: AtomicI32::new(0),
            connected: AtomicU32::new(0),
            live: AtomicU32::new(0),
            dead: AtomicU32::new(0),
            news: Mutex::new((Counts::default(), microseconds())),
            delivered: AtomicU64::new(0),
        }
    }
}

impl Board {
    /// The thread tells how far it is. Its latencies go over only when the watcher has taken the last ones, since adding up
    /// histograms costs more than a turn does.
    pub fn post(&self, tally: &mut Tally) {
        self.delivered.store(tally.counts.delivered, Ordering::Relaxed);
        // The watcher holds the lock for a moment once a second: it gets the news of the next turn then.
        let Ok(mut news) = self.news.try_lock() else { return };
        news.0 = tally.counts;
        if news.1.is_empty() && !tally.latency.is_empty() {
            std::mem::swap(&mut news.1, &mut tally.latency);
        }
    }

    /// The counts so far; `latency` gets what was posted since the last call.
    pub fn look(&self, latency: &mut Histogram<u64>) -> Counts {
        let mut news = self.news.lock().expect("no thread of the swarm panics while it holds this");
        latency.add(&news.1).expect("all histograms have the same bounds");
        news.1.reset();
        news.0
    }
}
