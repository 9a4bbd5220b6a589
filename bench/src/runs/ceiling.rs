//! How many deliveries a second can one thread of the pool check? Beyond that the load generator would measure itself.
//!
//! The raw gateway makes up messages and joins those that wait to one send, so that the pool's thread never waits.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::proc::Busy;
use crate::base::times::per;
use crate::base::{clock, limits, proc};
use crate::generate::clients::settings::{Commands, Settings};
use crate::generate::rest_driver::DriverProgress;
use crate::model::script::Script;
use crate::model::tokens::Tokens;
use crate::report::run::RunReport;
use crate::runs::arrival;
use crate::runs::watch::Watch;
use crate::verify::marker::Marker;
use crate::verify::tally::Fault;
use crate::verify::verifier;

/// Faults that are reported: they are alike.
const FAULTS_TOLD: usize = 5;
/// While waiting.
const PAUSE: Duration = Duration::from_millis(5);

/// A run.
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// Sessions, all of one thread.
    pub sessions: u32,
    /// Messages per second, more than can be checked.
    pub rate: f64,
    /// Messages in all.
    pub messages: u32,
    /// Bytes of a message's content.
    pub size: usize,
    /// Without progress.
    pub quiet: bool,
}

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Sessions.
    pub sessions: u32,
    /// Deliveries that were checked.
    pub deliveries: u64,
    /// Bytes of a delivery's frame.
    pub bytes_per_delivery: f64,
    /// Deliveries per second, from the first to the last.
    pub deliveries_per_second: f64,
    /// CPU time of the pool's thread for one, in nanoseconds, the kernel's part included.
    pub cpu_ns_per_delivery: f64,
    /// Deliveries that one CPU can check in a second: the ceiling.
    pub deliveries_per_cpu_second: f64,
    /// How busy the pool's thread was.
    pub busy: Busy,
    /// The first of what went wrong. The gateway cuts clients that do not read: a machine that is busy otherwise shows
    /// it here.
    pub faults: Vec<Fault>,
    /// Whether everything was delivered once and in order.
    pub sound: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "checked   {} deliveries of {:.1} bytes on {} sessions, {:.0} per second; the thread was busy {}",
            self.deliveries, self.bytes_per_delivery, self.sessions, self.deliveries_per_second, self.busy
        )?;
        writeln!(
            f,
            "ceiling   {:.0} deliveries per second of one CPU, {:.0} ns each",
            self.deliveries_per_cpu_second, self.cpu_ns_per_delivery
        )?;
        for fault in &self.faults {
            writeln!(f, "fault     {:?} on session {}: {}", fault.kind, fault.session, fault.what)?;
        }
        write!(f, "verdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

/// The raw gateway as a process of its own, which ends with this one.
struct Gateway {
    process: Child,
    address: std::net::SocketAddr,
}

impl Gateway {
    fn start(ceiling: &Ceiling, run: &str) -> io::Result<Gateway> {
        let number = |value: u32| value.to_string();
        let mut process = std::process::Command::new(std::env::current_exe()?)
            .args(["raw-gateway", "--listen", "127.0.0.1:0", "--threads", "1", "--coalesce", "--until-eof"])
            .args(["--run", run, "--generate", &ceiling.rate.to_string(), "--size", &ceiling.size.to_string()])
            .args(["--messages", &number(ceiling.messages), "--after", &number(ceiling.sessions)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        #[derive(Deserialize)]
        struct Listening {
            listening: std::net::SocketAddr,
        }
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let Listening { listening: address } = serde_json::from_str(&line)?;
        Ok(Gateway { process, address })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It ends by itself when its stdin does; a kill only hurries it, and both may come too late.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs it.
pub fn run(ceiling: &Ceiling) -> io::Result<Report> {
    let name = format!("{:x}", clock::now_ns());
    let gateway = Gateway::start(ceiling, &name)?;
    let settings = Settings {
        server: gateway.address,
        tokens: Arc::new(["anybody"].iter().collect::<Tokens>()),
        sessions: ceiling.sessions,
        script: Arc::new(Script::of_channel(ceiling.sessions, ceiling.messages, ceiling.rate)),
        marker: Marker::new(&name),
        commands: Commands::NONE,
        zlib: false,
        connect_rate: 10_000.0,
        handshakes: limits::HANDSHAKES_MAX,
        threads: 1,
        seed: 1,
    };
    let mut watch = Watch::new(ceiling.quiet, Some(gateway.process.id() as i32), Arc::new(DriverProgress::default()));
    let mut found = RunReport::default();
    let mut pool = arrival::connect_all(&settings, None, &mut watch, &mut found)?;
    let me = std::process::id() as i32;
    let thread = pool.thread_ids()[0];
    let used = || proc::thread(me, thread).unwrap_or_default();
    // The generator begins by itself, a second after the last session came.
    let (begin, before) = (Instant::now(), used());
    let first_ns = clock::now_ns();
    let expected = u64::from(ceiling.sessions) * u64::from(ceiling.messages);
    let mut last = (pool.delivered(), Instant::now());
    while last.0 < expected && last.1.elapsed() < limits::STALL_TIME {
        watch.look(&mut pool, "ceiling");
        std::thread::sleep(PAUSE);
        let delivered = pool.delivered();
        if delivered > last.0 {
            last = (delivered, Instant::now());
        }
    }
    let (wall_ns, after) = (begin.elapsed().as_nanos() as u64, used());
    watch.finish();
    let result = pool.stop();
    let verification = verifier::verify(&result, &settings.script, |_, _| true);
    let delivered = verification.counts.delivered;
    let cpu_ns = after.ran_ns.saturating_sub(before.ran_ns) as f64;
    let cpu_ns_per_delivery = per(cpu_ns, delivered as f64);
    Ok(Report {
        sessions: ceiling.sessions,
        deliveries: delivered,
        bytes_per_delivery: per(verification.counts.delivered_bytes as f64, delivered as f64),
        deliveries_per_second: per(delivered as f64 * 1e9, verification.last_ns.saturating_sub(first_ns) as f64),
        cpu_ns_per_delivery,
        deliveries_per_cpu_second: per(1e9, cpu_ns_per_delivery),
        busy: Busy::between(before, after, wall_ns),
        faults: verification.faults.iter().take(FAULTS_TOLD).cloned().collect(),
        sound: verification.is_sound() && found.arrival.live == ceiling.sessions,
    })
}
