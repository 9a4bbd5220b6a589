//! The run without traffic: what an identify costs the server, and what an idle session holds.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::chat;
use crate::proc;
use crate::progress::Progress;
use crate::report::{Arrival, Times};
use crate::swarm::Settings;
use crate::swarm::tally::{Counts, microseconds};

/// What an idle run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How the sessions came up.
    pub arrival: Arrival,
    /// From connect to the last guild.
    pub identify_ms: Times,
    /// How long the sessions stayed.
    pub seconds: f64,
    /// The server's anonymous memory at the end, per session and above what it had before, in bytes.
    pub server_bytes_per_session: Option<f64>,
    /// The server's CPUs while nothing happened; 1 is one CPU.
    pub server_cpus: Option<f64>,
    /// What the threads counted.
    pub counts: Counts,
    /// Whether all sessions came and stayed.
    pub sound: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.arrival)?;
        writeln!(f, "identify            {}", self.identify_ms)?;
        if let (Some(bytes), Some(cpus)) = (self.server_bytes_per_session, self.server_cpus) {
            let after = self.seconds;
            writeln!(
                f,
                "idle per session    {bytes:.0} bytes of anonymous memory after {after:.1} s, {cpus:.3} CPUs in all"
            )?;
        }
        let Counts { disconnects, invalidated, dead, .. } = self.counts;
        writeln!(f, "connections         {disconnects} ended unasked, {invalidated} invalidated, {dead} given up")?;
        write!(f, "verdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

/// Runs it.
pub fn run(settings: &Settings, seconds: f64, server_pid: Option<i32>, quiet: bool) -> std::io::Result<Report> {
    let mut progress = Progress::new(quiet, server_pid);
    let (mut swarm, arrival) = chat::gather(settings, server_pid, &mut progress)?;
    let begin = (Instant::now(), server_pid.and_then(proc::process));
    while begin.0.elapsed().as_secs_f64() < seconds {
        progress.tell(&mut swarm, "idle", 0);
        std::thread::sleep(Duration::from_millis(50));
    }
    let wall_ns = begin.0.elapsed().as_nanos() as f64;
    let used = begin.1.zip(server_pid.and_then(proc::process));
    progress.finish();
    let live = swarm.standing().live;
    let remains = swarm.stop();
    let (mut identify, mut counts) = (microseconds(), Counts::default());
    for leavings in &remains.threads {
        identify.add(&leavings.tally.identify).expect("all histograms have the same bounds");
        counts.add(&leavings.tally.counts);
    }
    let growth = used.as_ref().zip(arrival.server_bytes_before);
    Ok(Report {
        identify_ms: Times::of(&identify),
        seconds,
        server_bytes_per_session: growth
            .map(|((_, after), before)| (after.anonymous as f64 - before as f64) / f64::from(live.max(1))),
        server_cpus: used.as_ref().map(|(before, after)| proc::cpu_between(before, after) as f64 / wall_ns),
        sound: live == settings.sessions && counts.disconnects + counts.invalidated + counts.dead == 0,
        counts,
        arrival,
    })
}
