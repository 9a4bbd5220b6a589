//! A swarm: thousands of sessions, each a real WebSocket client, on few threads.
//!
//! [`client`] is one session and knows no socket; [`reactor`] is one thread with its epoll; [`board`] is how the threads and
//! the run talk. What went wrong is in the [`tally`].

pub mod board;
pub mod client;
pub mod framing;
pub mod inflate;
pub mod reactor;
pub mod scan;
pub mod tally;
pub mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::limits;
use crate::marker::Marker;
use crate::swarm::board::{Board, Plan};
use crate::swarm::client::Client;
use crate::swarm::reactor::{Leavings, Reactor};
use crate::swarm::tally::{Counts, microseconds};

/// Who is in a swarm, and how it behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the server is.
    pub server: SocketAddr,
    /// User tokens. If there are more sessions, tokens are used again.
    pub tokens: Vec<String>,
    /// How many sessions.
    pub sessions: u32,
    /// Which messages are of this run.
    pub marker: Marker,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// The share of the sessions that is cut.
    pub cut: f64,
    /// New connections per second.
    pub connect_rate: f64,
    /// Threads.
    pub threads: u32,
    /// What chance depends on.
    pub seed: u64,
}

/// A swarm whose threads run.
#[derive(Debug)]
pub struct Swarm {
    plan: Arc<Plan>,
    boards: Vec<Arc<Board>>,
    threads: Vec<JoinHandle<Leavings>>,
    latency: Histogram<u64>,
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

/// What a swarm leaves behind.
#[derive(Debug)]
pub struct Remains {
    /// By thread.
    pub threads: Vec<Leavings>,
    /// All latencies.
    pub latency: Histogram<u64>,
}

impl Swarm {
    /// Starts the threads; the sessions begin to connect.
    pub fn start(settings: &Settings) -> std::io::Result<Swarm> {
        let threads = settings.threads.clamp(1, settings.sessions.max(1));
        let plan = Arc::new(Plan::new(
            settings.server,
            settings.marker.clone(),
            settings.connect_rate / f64::from(threads),
            settings.cut,
            settings.seed,
        ));
        let tokens: Vec<Arc<str>> = settings.tokens.iter().map(|token| Arc::from(token.as_str())).collect();
        let mut swarm = Swarm { plan, boards: Vec::new(), threads: Vec::new(), latency: microseconds() };
        let mut first = 0;
        for thread in 0..threads {
            let end = (u64::from(settings.sessions) * u64::from(thread + 1) / u64::from(threads)) as u32;
            let clients = (first..end)
                .map(|index| Client::new(index, tokens[index as usize % tokens.len()].clone(), settings.zlib))
                .collect();
            let board = Arc::new(Board::default());
            let reactor = Reactor::new(swarm.plan.clone(), board.clone(), first, clients)?;
            swarm.boards.push(board.clone());
            let run = move || {
                board.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
                reactor.run()
            };
            swarm.threads.push(std::thread::Builder::new().name(format!("swarm-{thread}")).spawn(run)?);
            first = end;
        }
        Ok(swarm)
    }

    /// Waits until all sessions are live or given up, or nothing goes on any more. Says how many are live.
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

    /// Messages will be posted between these two times.
    pub fn announce_traffic(&self, start_ns: u64, end_ns: u64) {
        self.plan.announce_traffic(start_ns, end_ns);
    }

    /// The counts so far, and the latencies since the last look.
    pub fn look(&mut self) -> (Counts, Histogram<u64>) {
        let mut latency = microseconds();
        let mut counts = Counts::default();
        for board in &self.boards {
            counts.add(&board.look(&mut latency));
        }
        self.latency.add(&latency).expect("all histograms have the same bounds");
        (counts, latency)
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.boards.iter().map(|board| board.delivered.load(Ordering::Relaxed)).sum()
    }

    /// The ids of the threads.
    pub fn thread_ids(&self) -> Vec<i32> {
        self.boards.iter().map(|board| board.thread.load(Ordering::Relaxed)).collect()
    }

    /// Ends all sessions politely.
    pub fn stop(mut self) -> Remains {
        self.look();
        self.plan.stop();
        let threads: Vec<Leavings> =
            self.threads.into_iter().map(|thread| thread.join().expect("the swarm's thread panicked")).collect();
        let mut latency = self.latency;
        let mut rest = microseconds();
        for board in &self.boards {
            board.look(&mut rest);
        }
        for leavings in &threads {
            latency.add(&leavings.tally.latency).expect("all histograms have the same bounds");
        }
        latency.add(&rest).expect("all histograms have the same bounds");
        Remains { threads, latency }
    }
}
