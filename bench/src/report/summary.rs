//! The report of a replay for a terminal: the verdict comes last, where the eye is.

use std::fmt;

use crate::base::machine::Machine;
use crate::base::times::Times;
use crate::report::run::{Baseline, Deliveries, Header, RunReport, name};
use crate::report::units::{Table, bytes, duration, grouped, percent, rounded};
use crate::report::{Bottleneck, CONTENDED};

/// The busiest threads that are named.
const THREADS_TOLD: usize = 4;
/// What a number is called takes so many columns.
const MARGIN: usize = 18;

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "replay", self.header.to_string())?;
        line(f, "machine", self.header.machine.to_string())?;
        line(f, "sessions", self.arrival_line())?;
        for (what, times) in [("identify", &self.arrival.identify_ms), ("resume", &self.arrival.resume_ms)] {
            if times.count > 0 {
                line(f, what, times.to_string())?;
            }
        }
        // Where nothing was to happen and nothing did, there is nothing to report.
        if self.all != Deliveries::default() {
            writeln!(f, "\n{}", self.deliveries())?;
            writeln!(f, "{}", self.latencies())?;
        }
        for (name, times) in &self.groups_ms {
            line(f, &format!("guilds: {name}"), times.to_string())?;
        }
        if !self.rest.routes.is_empty() {
            writeln!(f, "{}", self.routes())?;
        }
        if self.rest.lag_ms.count > 0 {
            line(f, "driver's own lag", self.rest.lag_ms.to_string())?;
        }
        line(f, "rate", self.rate_line())?;
        let (missing, again, late) = (self.sequence.missing, self.sequence.duplicates, self.sequence.late);
        line(f, "sequence numbers", format!("{missing} missing, {again} duplicated, {late} late"))?;
        line(f, "connections", self.connections_line())?;
        line(f, "server", self.server_line())?;
        line(f, "client", self.client_line())?;
        for baseline in &self.baselines {
            line(f, "baseline", baseline.to_string())?;
        }
        if let Some(histograms) = &self.server_histograms {
            line(f, "its histograms", histograms.clone())?;
        }
        self.tell_flaws(f)?;
        let invalid = if self.valid { "" } else { "  INVALID as a measurement: the load generator was the limit" };
        writeln!(f, "bottleneck: {}{invalid}", bottleneck(self.bottleneck))?;
        write!(f, "verdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

/// One line, with what it is about in the margin.
fn line(f: &mut fmt::Formatter<'_>, what: &str, text: String) -> fmt::Result {
    writeln!(f, "{what:<MARGIN$}{text}")
}

/// Who it was, in a word.
pub fn bottleneck(bottleneck: Bottleneck) -> &'static str {
    match bottleneck {
        Bottleneck::Server => "server",
        Bottleneck::Client => "client",
        Bottleneck::Neither => "neither",
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.name.is_empty() { "without a name" } else { &self.name })?;
        write!(f, " · {}", self.how())
    }
}

impl Header {
    /// Everything but the name, in a line: what it was made with, against what, when.
    pub fn how(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.seed.map(|seed| format!("seed {seed}")));
        parts.extend(self.scale.map(|scale| format!("scale {scale}")));
        parts.push(format!("speed {}", self.speed));
        parts.push(format!("against {}", if self.server.is_empty() { "an unnamed server" } else { &self.server }));
        parts.extend(self.commit.as_ref().map(|commit| format!("commit {commit}")));
        parts.push(self.started.clone());
        parts.retain(|part| !part.is_empty());
        parts.join(" · ")
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Baseline { name, what, value, unit, ratio } = self;
        let value = if value.abs() < 1_000.0 { format!("{value:.2}") } else { rounded(*value) };
        write!(f, "{}", format!("{name}, {what}: {value} {unit}").trim_end())?;
        ratio.map_or(Ok(()), |ratio| write!(f, "; the server's by it: {ratio:.2}"))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPUs ({}), {}, {}", self.cpus, self.cpu_model, bytes(self.memory_bytes as f64), self.kernel)
    }
}

impl RunReport {
    fn arrival_line(&self) -> String {
        let arrival = &self.arrival;
        let resumes = arrival.resumes_per_second.map_or(String::new(), |rate| format!(", {} resumes/s", rounded(rate)));
        format!(
            "{} live of {} in {:.2} s: {} connects/s, {} identifies/s{resumes}",
            grouped(arrival.live.into()),
            grouped(arrival.asked.into()),
            arrival.seconds,
            rounded(arrival.connects_per_second),
            rounded(arrival.identifies_per_second)
        )
    }

    fn rate_line(&self) -> String {
        let traffic = &self.traffic;
        format!(
            "{} deliveries/s over {:.2} s, {} in the peak second; {:.1} bytes per delivery; late after {}",
            rounded(traffic.deliveries_per_second),
            traffic.seconds,
            rounded(traffic.peak_deliveries_per_second),
            traffic.bytes_per_delivery,
            duration(traffic.late_after_ms)
        )
    }

    fn connections_line(&self) -> String {
        let of = &self.connections;
        let counts = [
            (of.connects, "connects"),
            (of.identified, "identified"),
            (of.cuts, "cut"),
            (of.resumed, "resumed"),
            (of.closed, "closed"),
            (of.invalidated, "invalidated"),
            (of.disconnects, "ended unasked"),
            (of.dead, "sessions given up"),
        ];
        counts.map(|(count, what)| format!("{} {what}", grouped(count))).join(", ")
    }

    /// What was not played, what went wrong, and what a reader of the numbers should know.
    fn tell_flaws(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for left in &self.left_out {
            line(f, "left out", format!("{} × {}: {}", grouped(left.count), left.what, left.why))?;
        }
        for fault in &self.faults {
            let session = fault.session.map_or(String::new(), |session| {
                format!(" on session {session} (id {})", fault.session_id.as_deref().unwrap_or("none"))
            });
            line(f, "fault", format!("{}{session}: {}", fault.kind, fault.what))?;
        }
        if let Some(waited) = self.server.busiest.map(|busy| busy.waited).filter(|waited| *waited > CONTENDED) {
            let text =
                format!("the server waited for a CPU {} of the time: latencies are the machine's", percent(waited));
            line(f, "warning", text)?;
        }
        self.warnings.iter().try_for_each(|warning| line(f, "warning", warning.clone()))
    }

    /// All kinds and their sum, which is left out if there is only one.
    fn rows(&self) -> impl Iterator<Item = (&'static str, &Deliveries)> {
        let kinds = self.kinds.iter().map(|(kind, deliveries)| (name(*kind), deliveries));
        kinds.chain((self.kinds.len() != 1).then_some(("all", &self.all)))
    }

    fn deliveries(&self) -> Table {
        let mut table = Table::new(&[
            "deliveries",
            "events",
            "expected",
            "received",
            "late",
            "lost",
            "not yet",
            "duplicated",
            "out of order",
            "leaked",
            "optional",
        ]);
        for (name, of) in self.rows() {
            let counts = [
                of.events,
                of.expected,
                of.received,
                of.late,
                of.lost,
                of.not_yet,
                of.duplicated,
                of.out_of_order,
                of.leaked,
                of.optional,
            ];
            table.push([name.to_owned()].into_iter().chain(counts.map(grouped)).collect());
        }
        table
    }

    fn latencies(&self) -> Table {
        let mut table = Table::new(&[
            "latency, ms",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "  last session p50",
            "p90",
            "p99",
            "p99.9",
            "max",
        ]);
        for (name, of) in self.rows() {
            let times = [of.latency_ms, of.last_session_ms].into_iter().flat_map(cells);
            table.push([name.to_owned()].into_iter().chain(times).collect());
        }
        table
    }

    fn routes(&self) -> Table {
        let mut table = Table::new(&["requests", "sent", "failed", "answer, ms  p50", "p90", "p99", "p99.9", "max"]);
        for (name, route) in &self.rest.routes {
            let counts = [name.clone(), grouped(route.count), grouped(route.errors)];
            table.push(counts.into_iter().chain(cells(route.answer_ms)).collect());
        }
        table
    }

    fn server_line(&self) -> String {
        let server = &self.server;
        let parts = [
            server.cpu_us_per_delivery.map(|cpu| format!("{cpu:.2} µs CPU per delivery")),
            server.cpu_us_per_identify.map(|cpu| format!("{cpu:.1} µs per identify")),
            server.cpus.map(|cpus| format!("{cpus:.2} CPUs")),
            server.busiest.map(|busy| format!("busiest thread {busy}")),
            server.bytes_per_session.map(|bytes| {
                let around = server.bytes_before.zip(server.bytes_after);
                let around = around.map(|(before, after)| (self::bytes(before as f64), self::bytes(after as f64)));
                let around = around.map_or(String::new(), |(before, after)| format!(" ({before} to {after})"));
                format!("{} bytes per session{around}", rounded(bytes))
            }),
            server.kernel_bytes_per_session.map(|bytes| format!("kernel {} bytes per session", rounded(bytes))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "not watched".into() } else { parts.join(", ") }
    }

    fn client_line(&self) -> String {
        let mut threads: Vec<_> = self.client.threads.iter().collect();
        let others = threads.len().saturating_sub(THREADS_TOLD);
        if others > 0 {
            threads.sort_by(|one, other| other.busy.wanted().total_cmp(&one.busy.wanted()));
            threads.truncate(THREADS_TOLD);
        }
        let threads = threads.into_iter().map(|thread| format!("{} {}", thread.name, thread.busy));
        let others = (others > 0).then(|| format!("{others} others less"));
        let memory = self.client.bytes_per_session.map(|bytes| format!("{} bytes per session", rounded(bytes)));
        let parts: Vec<String> = threads.chain(others).chain(memory).collect();
        if parts.is_empty() { "not watched".into() } else { parts.join(", ") }
    }
}

/// Five percentiles, or five dashes if there was nothing.
fn cells(times: Times) -> [String; 5] {
    let Times { count, p50, p90, p99, p999, max } = times;
    [p50, p90, p99, p999, max].map(|ms| if count == 0 { "-".into() } else { format!("{ms:.2}") })
}
