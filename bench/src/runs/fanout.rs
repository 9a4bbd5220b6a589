//! One message at a time to all sessions, in turn with plain sends of the same size to as many sockets: how much does
//! the server add to what the kernel costs?
//!
//! The plain sends are another process's to other sockets, or the server's own to the very same sockets (`admin
//! pulse`). In the second case it is also seen how long each takes to reach the last session, by the same client.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::base::http::{HttpConnection, MessageTarget};
use crate::base::times::{Times, median, per};
use crate::base::{clock, limits, proc};
use crate::baseline::pulse::{RawSendCommand, RawSendTiming};
use crate::baseline::raw::{How, RawSenders};
use crate::generate::clients::pool::ClientPool;
use crate::generate::clients::settings::Settings;
use crate::generate::rest_driver::DriverProgress;
use crate::model::script::{Kind, Mark};
use crate::report::run::{Arrival, RunReport};
use crate::runs::arrival;
use crate::runs::watch::Watch;
use crate::verify::verifier;
use crate::verify::verifier::Verification;

/// What the server may cost, as a multiple of what the kernel costs.
const TARGET: f64 = 1.15;
/// How long it may take to reach the last session, as a multiple of what plain sends over the same sockets take.
const TARGET_LAST: f64 = 1.25;
/// Between looks at whether all have received a message.
const PAUSE: Duration = Duration::from_micros(200);
/// After the last receipt of a turn: the server still has to come to rest. Not longer, since it also uses some CPU at
/// rest.
const REST: Duration = Duration::from_millis(20);

/// A run.
#[derive(Debug, Clone)]
pub struct Fanout {
    /// The pool.
    pub pool: Settings,
    /// Where messages go.
    pub target: MessageTarget,
    /// Bytes of a message's content.
    pub size: usize,
    /// Messages per turn.
    pub messages: u32,
    /// Turns of each side.
    pub turns: u32,
    /// The server's process.
    pub server_pid: i32,
    /// Whose plain sends it is compared with.
    pub against: Against,
    /// Without progress.
    pub quiet: bool,
}

/// Whose plain sends the server is compared with.
#[derive(Debug, Clone)]
pub enum Against {
    /// Another process's, to as many sockets of its own.
    Raw,
    /// The server's own, over the same sockets: this program makes its operator's task on this data directory.
    RawSendCommand(RawSendCommand),
}

/// One turn of both sides.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pair {
    /// The server's CPU time per delivery, in microseconds.
    pub server_us: f64,
    /// The kernel's per send.
    pub raw_us: f64,
    /// The one by the other.
    pub ratio: f64,
    /// From a message's posting to its receipt by the last session, in milliseconds: the mean of the turn's messages.
    pub last_ms: f64,
    /// From a pulse's order to its receipt by the last session; none if the plain sends are another process's.
    pub pulse_last_ms: Option<f64>,
    /// From a pulse's order to the last send of it, as the server says.
    pub pulse_sent_ms: Option<f64>,
}

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How the sessions came up.
    pub arrival: Arrival,
    /// By turn.
    pub pairs: Vec<Pair>,
    /// Bytes of a delivery's frame, and of a raw send.
    pub bytes_per_delivery: f64,
    /// From posting to each receipt.
    pub latency_ms: Times,
    /// The median of the turns' ratios.
    pub ratio: f64,
    /// The ratio of the sums: what one slow turn does to it shows how steady the machine was.
    pub ratio_of_sums: f64,
    /// The median of the turns' times to the last session, a message's by a pulse's.
    pub last_ratio: Option<f64>,
    /// Whether all was delivered.
    pub deliveries: Verification,
    /// The same in a word.
    pub sound: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arrival { live, asked, seconds, .. } = &self.arrival;
        writeln!(f, "sessions            {live} live of {asked} in {seconds:.2} s")?;
        for (turn, pair) in self.pairs.iter().enumerate() {
            let Pair { server_us, raw_us, ratio, last_ms, pulse_last_ms, pulse_sent_ms } = pair;
            writeln!(
                f,
                "turn {turn:<14} server {server_us:.3} µs per delivery, raw {raw_us:.3} µs per send, ratio {ratio:.3}"
            )?;
            if let (Some(pulse), Some(sent)) = (pulse_last_ms, pulse_sent_ms) {
                let ratio = last_ms / pulse;
                writeln!(
                    f,
                    "{:<19} last session {last_ms:.1} ms, of a pulse {pulse:.1} ms (sent in {sent:.1}), ratio {ratio:.3}",
                    ""
                )?;
            }
        }
        writeln!(f, "bytes per delivery  {:.1}", self.bytes_per_delivery)?;
        writeln!(f, "latency             {}", self.latency_ms)?;
        let sum = |count| self.deliveries.sum(count);
        writeln!(
            f,
            "deliveries          {} expected, {} received, {} lost, {} duplicated",
            sum(|verdict| verdict.expected),
            sum(|verdict| verdict.received),
            sum(|verdict| verdict.lost + verdict.not_yet),
            sum(|verdict| verdict.duplicated),
        )?;
        for fault in &self.deliveries.faults {
            let id = fault.session_id.as_deref().unwrap_or("none");
            writeln!(f, "fault               {:?} on session {} (id {id}): {}", fault.kind, fault.session, fault.what)?;
        }
        let met = |ratio: f64, target: f64| if ratio <= target { "met" } else { "missed" };
        writeln!(f, "ratio of the sums    {:.3}", self.ratio_of_sums)?;
        if let Some(ratio) = self.last_ratio {
            writeln!(f, "last session: {ratio:.3} (target ≤ {TARGET_LAST}: {})", met(ratio, TARGET_LAST))?;
        }
        writeln!(f, "ratio: {:.3} (target ≤ {TARGET}: {})", self.ratio, met(self.ratio, TARGET))?;
        write!(f, "verdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

/// What as many rounds of plain sends took.
struct Plain {
    cpu_us_per_send: f64,
    last_ms: Option<f64>,
    sent_ms: Option<f64>,
}

/// Plain sends, wherever they come from.
enum Baseline {
    Raw(RawSenders),
    RawSendCommand(RawSendCommand),
}

impl Baseline {
    fn start(fanout: &Fanout) -> io::Result<Baseline> {
        Ok(match &fanout.against {
            Against::Raw => Baseline::Raw(RawSenders::open(fanout.pool.sessions)?),
            Against::RawSendCommand(pulse) => Baseline::RawSendCommand(pulse.clone()),
        })
    }

    fn turn(&mut self, bytes: usize, rounds: u32, pool: &ClientPool) -> io::Result<Plain> {
        match self {
            Baseline::Raw(senders) => {
                let cpu_us_per_send = senders.turn(How::Send, bytes, rounds)?.cpu_us_per_send();
                Ok(Plain { cpu_us_per_send, last_ms: None, sent_ms: None })
            }
            Baseline::RawSendCommand(pulse) => {
                let timings: Vec<RawSendTiming> = (0..rounds)
                    .map(|_| pulse.run(pool, bytes, limits::STALL_TIME))
                    .collect::<Result<_, String>>()
                    .map_err(io::Error::other)?;
                let mean = |part: fn(&RawSendTiming) -> f64| timings.iter().map(part).sum::<f64>() / f64::from(rounds);
                Ok(Plain {
                    cpu_us_per_send: mean(|beat| beat.cpu_us),
                    last_ms: Some(mean(|beat| beat.seconds * 1e3)),
                    sent_ms: Some(mean(|beat| beat.sent_seconds * 1e3)),
                })
            }
        }
    }
}

/// The server's part of the run.
struct Server<'a> {
    fanout: &'a Fanout,
    pool: &'a mut ClientPool,
    line: HttpConnection,
    live: u32,
    posted: u32,
    /// From each posting to the last receipt, added up.
    last_ns: u64,
}

impl Server<'_> {
    /// Posts so many messages, each when the one before has reached all sessions. Says how many did.
    fn turn(&mut self, messages: u32, watch: &mut Watch) -> io::Result<u32> {
        self.last_ns = 0;
        for done in 0..messages {
            let mark = Mark { stream: 0, index: self.posted, intended_ns: clock::now_ns() };
            self.line.post(&self.fanout.pool.marker.content(mark, self.fanout.size))?;
            self.posted += 1;
            let expected = u64::from(self.posted) * u64::from(self.live);
            let start = Instant::now();
            while self.pool.delivered() < expected {
                if start.elapsed() > limits::STALL_TIME {
                    return Ok(done);
                }
                std::thread::sleep(PAUSE);
            }
            self.last_ns += self.pool.delivered_ns().saturating_sub(mark.intended_ns);
            watch.look(self.pool, "fanout");
        }
        Ok(messages)
    }
}

/// Runs it.
pub fn run(fanout: &Fanout) -> io::Result<Report> {
    let mut watch = Watch::new(fanout.quiet, Some(fanout.server_pid), Arc::new(DriverProgress::default()));
    let mut found = RunReport::default();
    let mut pool = arrival::connect_all(&fanout.pool, Some(fanout.server_pid), &mut watch, &mut found)?;
    let arrival = found.arrival;
    let mut baseline = Baseline::start(fanout)?;
    let line = HttpConnection::open(fanout.target.clone())?;
    let mut server = Server { fanout, pool: &mut pool, line, live: arrival.live, posted: 0, last_ns: 0 };

    // The first round of both pays for what is allocated, and tells the size of a frame.
    let mut whole = server.turn(1, &mut watch)? == 1;
    let counts = server.pool.look().counts;
    let bytes = (counts.delivered_bytes / counts.delivered.max(1)) as usize;
    baseline.turn(bytes.max(2), 1, server.pool)?;
    let mut pairs = Vec::new();
    for _ in 0..fanout.turns {
        if !whole {
            break;
        }
        let gone = || io::Error::other("the server's process is gone");
        let before = proc::process(fanout.server_pid).ok_or_else(gone)?;
        whole = server.turn(fanout.messages, &mut watch)? == fanout.messages;
        std::thread::sleep(REST);
        let after = proc::process(fanout.server_pid).ok_or_else(gone)?;
        let deliveries = f64::from(fanout.messages) * f64::from(arrival.live.max(1));
        let server_us = proc::cpu_between(&before, &after) as f64 / 1e3 / deliveries;
        let last_ms = server.last_ns as f64 / 1e6 / f64::from(fanout.messages.max(1));
        let plain = baseline.turn(bytes.max(2), fanout.messages, server.pool)?;
        let raw_us = plain.cpu_us_per_send;
        let (pulse_last_ms, pulse_sent_ms) = (plain.last_ms, plain.sent_ms);
        pairs.push(Pair { server_us, raw_us, ratio: server_us / raw_us, last_ms, pulse_last_ms, pulse_sent_ms });
    }
    let posted = server.posted;
    std::thread::sleep(limits::AFTERGLOW);
    watch.finish();
    let result = pool.stop();
    let deliveries = verifier::verify(&result, &fanout.pool.script, |_, index| index < posted);
    let sum = |part: fn(&Pair) -> f64| pairs.iter().map(part).sum::<f64>();
    Ok(Report {
        bytes_per_delivery: per(deliveries.counts.delivered_bytes as f64, deliveries.counts.delivered as f64),
        latency_ms: result.latencies.of(Kind::Message).map(Times::of).unwrap_or_default(),
        ratio: median(pairs.iter().map(|pair| pair.ratio)).unwrap_or(f64::NAN),
        last_ratio: median(pairs.iter().filter_map(|pair| Some(pair.last_ms / pair.pulse_last_ms?))),
        ratio_of_sums: sum(|pair| pair.server_us) / sum(|pair| pair.raw_us),
        sound: whole && deliveries.is_sound() && arrival.live == arrival.asked,
        deliveries,
        arrival,
        pairs,
    })
}
