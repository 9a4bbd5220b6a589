//! What is told while a run goes on: a line that changes on a terminal, a line a second elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::proc::{self, ProcessUse};
use crate::swarm::{Standing, Swarm};

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// The teller.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    server: Option<i32>,
    last: Instant,
    delivered: u64,
    server_use: Option<ProcessUse>,
    client_use: Option<ProcessUse>,
}

impl Progress {
    /// A teller that knows the server's process, if there is one to be watched.
    pub fn new(quiet: bool, server: Option<i32>) -> Progress {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{elapsed} {msg}").expect("the template is sound");
            ProgressBar::new_spinner().with_style(style)
        });
        Progress {
            bar,
            quiet,
            server,
            last: Instant::now(),
            delivered: 0,
            server_use: server.and_then(proc::process),
            client_use: proc::process(std::process::id() as i32),
        }
    }

    /// Tells how far the swarm is, if it is time to. `errors` are those that the swarm does not know.
    pub fn tell(&mut self, swarm: &mut Swarm, phase: &str, errors: u32) {
        let wall = self.last.elapsed();
        if self.quiet || wall < INTERVAL {
            return;
        }
        self.last = Instant::now();
        let (counts, latency) = swarm.look();
        let Standing { connected, live, .. } = swarm.standing();
        let rate = (counts.delivered - self.delivered) as f64 / wall.as_secs_f64();
        self.delivered = counts.delivered;
        let server = share(&mut self.server_use, self.server.and_then(proc::process), wall);
        let client = share(&mut self.client_use, proc::process(std::process::id() as i32), wall);
        let line = format!(
            "{phase:<8} connected {connected} live {live}  {rate:.0} deliveries/s  p50 {:.1} ms p99 {:.1} ms  \
             errors {}  server {server} client {client}",
            latency.value_at_quantile(0.5) as f64 / 1e3,
            latency.value_at_quantile(0.99) as f64 / 1e3,
            counts.faults() + u64::from(errors),
        );
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// CPUs used since the last time, in percent of one.
fn share(last: &mut Option<ProcessUse>, now: Option<ProcessUse>, wall: Duration) -> String {
    let text = match (&last, &now) {
        (Some(last), Some(now)) => {
            let cpu = proc::cpu_between(last, now) as f64 / wall.as_nanos() as f64;
            format!("{:.0}%", cpu * 100.0)
        }
        _ => "-".into(),
    };
    *last = now;
    text
}
