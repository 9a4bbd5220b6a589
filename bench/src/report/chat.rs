//! What `chat` found: how the sessions came up, and whether one channel's messages were delivered.

use std::fmt;

use serde::Serialize;

use crate::judge::Judgement;
use crate::proc::Busy;
use crate::report::{Bottleneck, CONTENDED, Times};

/// How the sessions came up, and what they cost.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Arrival {
    /// Sessions that were asked for.
    pub asked: u32,
    /// Sessions that became live.
    pub live: u32,
    /// How long that took in all.
    pub seconds: f64,
    /// Sessions per second.
    pub rate: f64,
    /// The server's CPU time per session, from connect to the last guild, in microseconds.
    pub server_cpu_us: Option<f64>,
    /// The server's anonymous memory before, in bytes.
    pub server_bytes_before: Option<u64>,
    /// And after.
    pub server_bytes_after: Option<u64>,
    /// The growth per session.
    pub server_bytes_per_session: Option<f64>,
    /// What the machine's kernel spends per session, both ends of the connection together.
    pub kernel_bytes_per_session: Option<f64>,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sessions            {} live of {} in {:.2} s, {:.0} identifies/s",
            self.live, self.asked, self.seconds, self.rate
        )?;
        if let Some(cpu) = self.server_cpu_us {
            writeln!(f, "server per identify {cpu:.1} µs CPU")?;
        }
        if let Some(bytes) = self.server_bytes_per_session {
            writeln!(f, "server per session  {bytes:.0} bytes of anonymous memory")?;
        }
        if let Some(bytes) = self.kernel_bytes_per_session {
            writeln!(f, "kernel per session  {bytes:.0} bytes, both ends and the whole machine's noise")?;
        }
        Ok(())
    }
}

/// What a run of traffic found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How the sessions came up.
    pub arrival: Arrival,
    /// Whether all was delivered.
    pub deliveries: Judgement,
    /// Posts that failed.
    pub rest_errors: u32,
    /// The first of them.
    pub rest_faults: Vec<String>,
    /// From the first intended time to the last delivery.
    pub window_seconds: f64,
    /// Deliveries per second over the window.
    pub deliveries_per_second: f64,
    /// Bytes of a delivery's frame.
    pub bytes_per_delivery: f64,
    /// From a message's intended time to each receipt.
    pub latency_ms: Times,
    /// From a message's intended time to its last receipt.
    pub last_session_ms: Times,
    /// From a message's intended time to the answer to the post.
    pub answer_ms: Times,
    /// From a message's intended time to its being handed to the kernel.
    pub poster_lag_ms: Times,
    /// From connect to the last guild.
    pub identify_ms: Times,
    /// From connect to RESUMED.
    pub resume_ms: Times,
    /// The server's CPU time over the window per delivery, in microseconds.
    pub server_cpu_us_per_delivery: Option<f64>,
    /// The server's CPUs over the window; 1 is one CPU.
    pub server_cpus: Option<f64>,
    /// How busy the busiest of the server's threads was.
    pub server_busiest: Option<Busy>,
    /// How busy each of the swarm's threads was, and then the poster's.
    pub client_threads: Vec<Busy>,
    /// Who limited the run.
    pub bottleneck: Bottleneck,
    /// Whether the run measures the server.
    pub valid: bool,
    /// Whether everything was delivered once and in order, and nothing was refused.
    pub sound: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judgement { counts, .. } = &self.deliveries;
        let deliveries = &self.deliveries;
        write!(f, "{}", self.arrival)?;
        writeln!(f, "identify            {}", self.identify_ms)?;
        writeln!(
            f,
            "deliveries          {} expected ({} messages × {} sessions), {} received, {} lost ({} at the end), \
             {} duplicated, {} sessions out of order",
            deliveries.expected,
            deliveries.messages,
            deliveries.sessions,
            deliveries.received,
            deliveries.lost,
            deliveries.lost_at_the_end,
            deliveries.duplicated,
            deliveries.out_of_order
        )?;
        writeln!(
            f,
            "sequence numbers    {} missing, {} duplicated, {} late",
            deliveries.sequence_missing, deliveries.sequence_duplicates, deliveries.sequence_late
        )?;
        writeln!(
            f,
            "connections         {} cut, {} resumed, {} invalidated, {} ended unasked, {} sessions given up",
            counts.cuts, counts.resumed, counts.invalidated, counts.disconnects, counts.dead
        )?;
        if self.resume_ms.count > 0 {
            writeln!(f, "resume              {}", self.resume_ms)?;
        }
        writeln!(f, "posts               {} failed; answer {}", self.rest_errors, self.answer_ms)?;
        writeln!(f, "poster's own lag    {}", self.poster_lag_ms)?;
        writeln!(
            f,
            "rate                {:.0} deliveries/s over {:.2} s, {:.1} bytes per delivery",
            self.deliveries_per_second, self.window_seconds, self.bytes_per_delivery
        )?;
        writeln!(f, "latency             {}", self.latency_ms)?;
        writeln!(f, "to the last session {}", self.last_session_ms)?;
        if let (Some(cpu), Some(cpus)) = (self.server_cpu_us_per_delivery, self.server_cpus) {
            writeln!(f, "server per delivery {cpu:.2} µs CPU ({cpus:.2} CPUs)")?;
        }
        let threads: Vec<String> = self.client_threads.iter().map(Busy::to_string).collect();
        let server = self.server_busiest.map_or("unknown".into(), |busy| busy.to_string());
        writeln!(f, "busiest threads     server {server}, client {} (swarm's, then the poster)", threads.join(", "))?;
        if let Some(waited) = self.server_busiest.map(|busy| busy.waited).filter(|waited| *waited > CONTENDED) {
            let waited = waited * 100.0;
            writeln!(
                f,
                "shared CPUs         the server waited for a CPU {waited:.0}% of the time: latencies are the machine's"
            )?;
        }
        for fault in &deliveries.faults {
            let id = fault.session_id.as_deref().unwrap_or("none");
            writeln!(f, "fault               {:?} on session {} (id {id}): {}", fault.kind, fault.session, fault.what)?;
        }
        for fault in &self.rest_faults {
            writeln!(f, "fault               {fault}")?;
        }
        let bottleneck = match self.bottleneck {
            Bottleneck::Server => "server",
            Bottleneck::Client => "client",
            Bottleneck::Neither => "neither",
        };
        let validity = if self.valid { "" } else { "  INVALID as a measurement: the load generator was the limit" };
        writeln!(f, "bottleneck: {bottleneck}{validity}")?;
        write!(f, "verdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}
