//! The raw gateway: the wire of Discord's gateway with no server behind it, only threads that send the same bytes to
//! all sessions.
//!
//! It upgrades, greets, and acknowledges heartbeats; `POST /api/v10/channels/{id}/messages` on the same port sends a
//! message to all. It has one guild with one channel, knows no users, checks no token and resumes nothing. So it is
//! what the kernel allows, and what a load generator can be tested with at any size.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::proc::ProcessUse;
use crate::base::times::Times;
use crate::base::{descriptor_table, limits, proc};
use crate::baseline::raw::broadcast::{Broadcast, Full};
use crate::baseline::raw::generator::GeneratorPlan;
use crate::baseline::raw::listener::{Counts, ListenerThread};
use crate::baseline::raw::sender::How;
use crate::baseline::raw::{generator, listener};

/// How often it looks whether all threads are well.
const LOOK: Duration = Duration::from_millis(100);

/// How it is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// Threads, each with a descriptor table of its own.
    pub threads: u32,
    /// How messages are handed to the kernel.
    pub how: How,
    /// Whether messages that wait together are joined to one send.
    pub coalesce: bool,
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    settings: Settings,
    broadcast: Arc<Broadcast>,
    threads: Vec<JoinHandle<io::Result<Counts>>>,
    generator: Option<JoinHandle<u32>>,
    began: Instant,
    anonymous_before: u64,
}

/// What it has done.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Threads.
    pub threads: u32,
    /// How messages were handed to the kernel.
    pub how: How,
    /// Whether messages that waited together were joined.
    pub coalesce: bool,
    /// How long it ran.
    pub seconds: f64,
    /// Messages published, by posts and the generator.
    pub messages: u32,
    /// Those of the generator.
    pub generated: u32,
    /// What the threads counted.
    pub counts: Counts,
    /// CPU time of one send, in microseconds, the rendering not counted.
    pub cpu_us_per_send: f64,
    /// The same by delivery.
    pub cpu_us_per_delivery: f64,
    /// By message: from being published to the last send.
    pub last_send_ms: Times,
    /// CPU time of the whole process.
    pub process_cpu_seconds: f64,
    /// Connections at the end.
    pub connected: u32,
    /// Growth of the process's anonymous memory since the beginning, by connections at the end, if there are any.
    pub bytes_per_connection: Option<f64>,
}

impl Gateway {
    /// Opens it; when this returns, it listens.
    pub fn open(settings: &Settings) -> io::Result<Gateway> {
        let anonymous_before = used().anonymous;
        let room = (descriptor_table::room() as usize).min(limits::SOCKETS_PER_TABLE);
        let count = settings.threads.max(1) as usize;
        // It never listens, so that no connection is put into its queue; it only keeps the port until all threads have
        // theirs.
        let reserved = listener::reserve(settings.listen)?;
        let address = reserved.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let broadcast = Arc::new(Broadcast::new(count)?);
        let mut gateway = Gateway {
            address,
            settings: settings.clone(),
            broadcast,
            threads: Vec::new(),
            generator: None,
            began: Instant::now(),
            anonymous_before,
        };
        let (opened, all_opened) = channel();
        for thread in 0..count {
            let (broadcast, opened) = (gateway.broadcast.clone(), opened.clone());
            let (how, coalesce) = (settings.how, settings.coalesce);
            let run = move || match ListenerThread::open(thread, broadcast, address, how, coalesce, room) {
                Ok(door) => {
                    // If the receiver is gone, another thread has failed, and the broadcast is closed.
                    let _ = opened.send(true);
                    drop(opened);
                    door.run()
                }
                Err(error) => {
                    let _ = opened.send(false);
                    Err(error)
                }
            };
            gateway.threads.push(std::thread::Builder::new().name(format!("raw-{thread}")).spawn(run)?);
        }
        drop(opened);
        if all_opened.iter().take(count).filter(|opened| *opened).count() < count {
            gateway.close()?;
            return Err(io::Error::other("not all threads could listen"));
        }
        Ok(gateway)
    }

    /// Sends a message to all sessions. Says its id.
    pub fn publish(&self, content: &str) -> Result<u64, Full> {
        self.broadcast.publish(content)
    }

    /// Starts to make up messages.
    pub fn generate(&mut self, plan: GeneratorPlan) -> io::Result<()> {
        let broadcast = self.broadcast.clone();
        let run = move || generator::run(&plan, &broadcast);
        self.generator = Some(std::thread::Builder::new().name("generator".into()).spawn(run)?);
        Ok(())
    }

    /// Sessions that are here.
    pub fn identified(&self) -> u32 {
        self.broadcast.identified.load(Ordering::Relaxed)
    }

    /// Connections that are here.
    pub fn connected(&self) -> u32 {
        self.broadcast.connected.load(Ordering::Relaxed)
    }

    /// Whether all threads run.
    pub fn is_well(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Ends all connections, and says what it has done. An error is that of a thread.
    pub fn close(mut self) -> io::Result<Report> {
        let (connected, now) = (self.connected(), used());
        let (counts, generated) = self.stop()?;
        let by = |count: u64| counts.send_cpu_ns as f64 / 1e3 / count.max(1) as f64;
        Ok(Report {
            threads: self.settings.threads.max(1),
            how: self.settings.how,
            coalesce: self.settings.coalesce,
            seconds: self.began.elapsed().as_secs_f64(),
            messages: self.broadcast.published(),
            generated,
            counts,
            cpu_us_per_send: by(counts.sends),
            cpu_us_per_delivery: by(counts.deliveries),
            last_send_ms: Times::of(&self.broadcast.times()),
            process_cpu_seconds: now.cpu_ns as f64 / 1e9,
            connected,
            bytes_per_connection: (connected > 0)
                .then(|| now.anonymous.saturating_sub(self.anonymous_before) as f64 / f64::from(connected)),
        })
    }

    fn stop(&mut self) -> io::Result<(Counts, u32)> {
        self.broadcast.stop();
        let mut counts = Counts::default();
        let mut failure = None;
        for thread in self.threads.drain(..) {
            match thread.join().expect("a gateway's thread panicked") {
                Ok(part) => counts.add(&part),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let generated = self.generator.take().map_or(0, |thread| thread.join().expect("the generator panicked"));
        failure.map_or(Ok((counts, generated)), Err)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Who wants to know what became of it has closed it.
        let _ = self.stop();
    }
}

/// Runs a gateway until SIGTERM, SIGINT or, if that is wanted, the end of stdin. Prints where it listens, then the
/// report, as JSON.
pub fn serve(settings: &Settings, plan: Option<GeneratorPlan>, until_eof: bool) -> io::Result<()> {
    let mut gateway = Gateway::open(settings)?;
    let mut out = io::stdout();
    writeln!(out, "{}", json!({"listening": gateway.address}))?;
    out.flush()?;
    if let Some(plan) = plan {
        gateway.generate(plan)?;
    }
    let (ended, end) = channel();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let by_signal = ended.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // After the first signal the receiver is gone.
            let _ = by_signal.send(());
        }
    });
    if until_eof {
        std::thread::spawn(move || {
            // A stdin that cannot be read has ended, too.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = ended.send(());
        });
    }
    while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) && gateway.is_well() {}
    writeln!(out, "{}", serde_json::to_string(&gateway.close()?)?)
}

/// What this process has used.
fn used() -> ProcessUse {
    proc::process(std::process::id() as i32).unwrap_or_default()
}
