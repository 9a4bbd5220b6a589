//! What a run against a peer found, for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::base::limits;
use crate::base::proc::Busy;
use crate::base::times::Times;
use crate::report::Bottleneck;
use crate::report::row::Row;

/// How the subscribers came up, and what each costs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Arrival {
    /// Subscribers that were asked for.
    pub asked: u32,
    /// Subscribers that were connected.
    pub live: u32,
    /// How long that took in all.
    pub seconds: f64,
    /// The server's CPU time for each connection, in microseconds.
    pub server_cpu_us: Option<f64>,
    /// Growth of the server's anonymous memory for each, in bytes, before any traffic.
    pub server_bytes: Option<f64>,
    /// The same after all traffic.
    pub server_bytes_at_the_end: Option<f64>,
    /// What the machine's kernel spends for each, both ends of the connection together.
    pub kernel_bytes: Option<f64>,
}

/// Messages at one rate, and what came of them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Step {
    /// Messages per second that were asked for.
    pub rate: f64,
    /// Subscribers that were connected when it began.
    pub subscribers: u32,
    /// Messages that the server accepted.
    pub messages: u64,
    /// Deliveries that there should be.
    pub expected: u64,
    /// Of these, how many there were.
    pub received: u64,
    /// How many there were not.
    pub lost: u64,
    /// Deliveries that were still to come when a step of a search was ended.
    pub unfinished: u64,
    /// Messages that a subscriber received again.
    pub duplicated: u64,
    /// Messages that came otherwise than they were published.
    pub garbled: u64,
    /// Subscribers that received everything, but not in the order in which most did.
    pub out_of_order: u64,
    /// Other messages that came: none of the run's.
    pub foreign: u64,
    /// Connections that ended meanwhile.
    pub ended: u32,
    /// Messages that could not be published.
    pub publish_errors: u32,
    /// The first things that went wrong.
    pub faults: Vec<String>,
    /// From the first intended time to the last delivery.
    pub window_seconds: f64,
    /// Deliveries per second over that.
    pub deliveries_per_second: f64,
    /// Bytes of a delivery's frame.
    pub bytes_per_delivery: f64,
    /// From a message's intended time to each receipt.
    pub latency_ms: Times,
    /// The median of that in each third of the time, by intended time.
    pub third_p50_ms: [f64; 3],
    /// How much the median grew from the second third to the last, in seconds per second.
    pub growth: f64,
    /// Whether all was delivered and latency did not grow.
    pub kept_up: bool,
    /// From a message's intended time to the answer, if there is one.
    pub answer_ms: Times,
    /// From a message's intended time to its being handed to the kernel.
    pub publisher_lag_ms: Times,
    /// The server's CPU time per delivery, publishing included, in microseconds.
    pub server_cpu_us_per_delivery: Option<f64>,
    /// The server's CPUs; 1 is one CPU.
    pub server_cpus: Option<f64>,
    /// How busy the busiest of the server's threads was.
    pub server_busiest: Option<Busy>,
    /// How busy each of the pool's threads was, and then the publisher's.
    pub client_threads: Vec<Busy>,
    /// Who was the limit.
    pub bottleneck: Bottleneck,
    /// When the last delivery came.
    #[serde(skip)]
    pub last_ns: u64,
}

impl Step {
    /// Whether every subscriber received everything once and in order, as far as it was waited for.
    pub fn is_sound(&self) -> bool {
        self.messages > 0
            && self.received + self.unfinished == self.expected
            && self.lost == 0
            && self.duplicated == 0
            && self.garbled == 0
            && self.out_of_order == 0
            && self.ended == 0
            && self.publish_errors == 0
    }

    /// Whether whatever came, came once, in order, and as it was published.
    pub fn is_orderly(&self) -> bool {
        self.duplicated == 0 && self.garbled == 0 && self.out_of_order == 0
    }

    /// All in one line.
    pub fn line(&self) -> String {
        let cpu = self.server_cpu_us_per_delivery.map_or(String::new(), |cpu| format!("  {cpu:.2} µs CPU each"));
        let outcome = if self.kept_up {
            "kept up".to_owned()
        } else if self.is_sound() && self.unfinished > 0 {
            format!("fell far behind: {} deliveries were still to come", self.unfinished)
        } else if self.is_sound() {
            format!("fell behind: latency grew by {:.2} s per s", self.growth)
        } else {
            let twisted = self.duplicated + self.garbled + self.out_of_order;
            let refused = self.publish_errors;
            format!("{} lost, {twisted} wrong, {refused} refused, {} connections ended", self.lost, self.ended)
        };
        format!(
            "{:>8.1} messages/s  {:>9.0} deliveries/s  p50 {:.1} p99 {:.1} ms{cpu}  {outcome}",
            self.rate, self.deliveries_per_second, self.latency_ms.p50, self.latency_ms.p99
        )
    }
}

/// The highest rate that a server keeps up with.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limit {
    /// Messages per second.
    pub messages_per_second: f64,
    /// Deliveries per second.
    pub deliveries_per_second: f64,
    /// The server's CPU time per delivery then.
    pub server_cpu_us_per_delivery: Option<f64>,
    /// Most deliveries per second of all steps, however late.
    pub most_deliveries_per_second: f64,
    /// Whether it is the server's limit. Otherwise the load generator was at its own, or the search ended before.
    pub valid: bool,
}

impl Limit {
    /// From all steps.
    pub fn of(at_rate: &Step, search: &[Step]) -> Limit {
        let steps = || std::iter::once(at_rate).chain(search);
        let best = steps().filter(|step| step.kept_up).max_by(|one, other| one.rate.total_cmp(&other.rate));
        // At the best rate and below, what did not keep up was better at its second chance.
        let too_much = steps()
            .filter(|step| !step.kept_up && best.is_none_or(|best| step.rate > best.rate))
            .min_by(|one, other| one.rate.total_cmp(&other.rate));
        Limit {
            messages_per_second: best.map_or(0.0, |step| step.rate),
            deliveries_per_second: best.map_or(0.0, |step| step.deliveries_per_second),
            server_cpu_us_per_delivery: best.and_then(|step| step.server_cpu_us_per_delivery),
            most_deliveries_per_second: steps().map(|step| step.deliveries_per_second).fold(0.0, f64::max),
            valid: best.is_some() && too_much.is_some_and(|step| step.bottleneck != Bottleneck::Client),
        }
    }
}

/// The whole.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The server.
    pub server: String,
    /// Bytes of a message.
    pub size: usize,
    /// How the subscribers came up.
    pub arrival: Arrival,
    /// At the rate that was asked for.
    pub at_rate: Step,
    /// The search for the limit, step by step.
    pub search: Vec<Step>,
    /// What it found.
    pub limit: Option<Limit>,
    /// Whether the run at the rate measures the server.
    pub valid: bool,
    /// Whether everything was delivered once and in order.
    pub sound: bool,
}

impl Report {
    /// Puts it together.
    pub fn new(
        server: &str,
        size: usize,
        arrival: Arrival,
        at_rate: Step,
        search: Vec<Step>,
        limit: Option<Limit>,
    ) -> Report {
        let sound = arrival.live == arrival.asked
            && match &limit {
                None => at_rate.is_sound(),
                // Above what it keeps up with, a server may lose, refuse and cut off; that is what was asked for.
                Some(limit) => {
                    let excused = |step: &Step| step.is_orderly() && step.rate > limit.messages_per_second;
                    limit.messages_per_second > 0.0
                        && std::iter::once(&at_rate).chain(&search).all(|step| step.is_sound() || excused(step))
                }
            };
        Report {
            server: server.to_owned(),
            size,
            valid: at_rate.bottleneck != Bottleneck::Client,
            sound,
            arrival,
            at_rate,
            search,
            limit,
        }
    }

    /// As a line of the table of all servers.
    pub fn row(&self) -> Row {
        let Report { server, size, arrival, at_rate, limit, .. } = self;
        Row {
            server: server.clone(),
            subscribers: u64::from(arrival.live),
            message_bytes: *size as u64,
            messages_per_second: at_rate.rate,
            deliveries_per_second: at_rate.deliveries_per_second,
            p50_ms: at_rate.latency_ms.p50,
            p99_ms: at_rate.latency_ms.p99,
            cpu_us_per_delivery: at_rate.server_cpu_us_per_delivery,
            user_bytes_per_connection: arrival.server_bytes,
            kernel_bytes_per_connection: arrival.kernel_bytes,
            max_deliveries_per_second: limit.map(|limit| limit.deliveries_per_second),
            max_cpu_us_per_delivery: limit.and_then(|limit| limit.server_cpu_us_per_delivery),
            max_valid: limit.map(|limit| limit.valid),
            valid: self.valid,
            sound: self.sound,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { arrival, at_rate: step, .. } = self;
        writeln!(f, "server              {}, messages of {} bytes", self.server, self.size)?;
        writeln!(f, "subscribers         {} live of {} in {:.2} s", arrival.live, arrival.asked, arrival.seconds)?;
        if let (Some(cpu), Some(bytes)) = (arrival.server_cpu_us, arrival.server_bytes) {
            writeln!(f, "server per connect  {cpu:.1} µs CPU, {bytes:.0} bytes of anonymous memory")?;
        }
        if let Some(bytes) = arrival.server_bytes_at_the_end {
            writeln!(f, "  after all traffic {bytes:.0} bytes of anonymous memory")?;
        }
        if let Some(bytes) = arrival.kernel_bytes {
            writeln!(f, "kernel per connect  {bytes:.0} bytes, both ends and the whole machine's noise")?;
        }
        writeln!(
            f,
            "deliveries          {} expected ({} messages × {} subscribers), {} received, {} lost, {} duplicated, {} \
             garbled, {} subscribers out of order",
            step.expected,
            step.messages,
            step.subscribers,
            step.received,
            step.lost,
            step.duplicated,
            step.garbled,
            step.out_of_order
        )?;
        writeln!(f, "connections         {} ended; {} other messages came", step.ended, step.foreign)?;
        write!(f, "published           {} failed", step.publish_errors)?;
        if step.answer_ms.count > 0 {
            write!(f, "; answer {}", step.answer_ms)?;
        }
        writeln!(f, "\npublisher's own lag {}", step.publisher_lag_ms)?;
        writeln!(
            f,
            "rate                {:.0} deliveries/s over {:.2} s, {:.1} bytes per delivery",
            step.deliveries_per_second, step.window_seconds, step.bytes_per_delivery
        )?;
        writeln!(f, "latency             {}", step.latency_ms)?;
        let [first, second, third] = step.third_p50_ms;
        let kept_up = if step.kept_up { "kept up" } else { "did not keep up" };
        writeln!(f, "  p50 by thirds     {first:.2}  {second:.2}  {third:.2} ms: {kept_up}")?;
        if let (Some(cpu), Some(cpus)) = (step.server_cpu_us_per_delivery, step.server_cpus) {
            writeln!(f, "server per delivery {cpu:.2} µs CPU ({cpus:.2} CPUs)")?;
        }
        let threads: Vec<String> = step.client_threads.iter().map(Busy::to_string).collect();
        let server = step.server_busiest.map_or("unknown".into(), |busy| busy.to_string());
        writeln!(f, "busiest threads     server {server}, client {} (pool's, then publisher)", threads.join(", "))?;
        for fault in std::iter::once(step).chain(&self.search).flat_map(|step| &step.faults).take(limits::FAULTS_TOLD) {
            writeln!(f, "fault               {fault}")?;
        }
        for step in &self.search {
            writeln!(f, "step        {}", step.line())?;
        }
        if let Some(limit) = self.limit {
            let validity =
                if limit.valid { "" } else { "  INVALID: at least this; the server's limit was not reached" };
            writeln!(
                f,
                "kept up to          {:.0} deliveries/s ({:.1} messages/s); most {:.0} however late{validity}",
                limit.deliveries_per_second, limit.messages_per_second, limit.most_deliveries_per_second
            )?;
        }
        let bottleneck = match step.bottleneck {
            Bottleneck::Server => "server",
            Bottleneck::Client => "client",
            Bottleneck::Neither => "neither",
        };
        let validity = if self.valid { "" } else { "  INVALID as a measurement: the load generator was the limit" };
        writeln!(f, "bottleneck: {bottleneck}{validity}")?;
        write!(f, "verdict: {}", if self.sound { "sound" } else { "FAULTY" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: f64, lost: u64, unfinished: u64, duplicated: u64) -> Step {
        let received = 100 - lost - unfinished;
        let mut step =
            Step { rate, messages: 10, expected: 100, received, lost, unfinished, duplicated, ..Step::default() };
        step.kept_up = step.is_sound() && unfinished == 0;
        step
    }

    fn is_sound(at_rate: Step, search: Vec<Step>) -> bool {
        let limit = Some(Limit::of(&at_rate, &search));
        let arrival = Arrival { asked: 10, live: 10, ..Arrival::default() };
        Report::new("a", 300, arrival, at_rate, search, limit).sound
    }

    #[test]
    fn too_much_excuses_losses_but_no_disorder() {
        let (fine, good) = (|| step(50.0, 0, 0, 0), || step(100.0, 0, 0, 0));
        assert!(is_sound(fine(), vec![good(), step(200.0, 7, 0, 0)]), "lost above the limit");
        assert!(is_sound(fine(), vec![step(100.0, 0, 7, 0), good()]), "late, and not at its second chance");
        assert!(!is_sound(fine(), vec![step(100.0, 7, 0, 0), good()]), "lost where it can keep up");
        assert!(!is_sound(step(50.0, 7, 0, 0), vec![good()]), "lost below that");
        assert!(!is_sound(fine(), vec![good(), step(200.0, 0, 0, 1)]), "twice, above the limit");
        assert!(!is_sound(step(50.0, 7, 0, 0), vec![step(25.0, 7, 0, 0)]), "never all");
    }

    #[test]
    fn a_limit_that_the_load_generator_has_is_not_the_servers() {
        let too_much = |bottleneck| Step { bottleneck, ..step(200.0, 7, 0, 0) };
        let fine = step(100.0, 0, 0, 0);
        assert!(Limit::of(&fine, &[too_much(Bottleneck::Server)]).valid);
        assert!(!Limit::of(&fine, &[too_much(Bottleneck::Client)]).valid);
        assert!(!Limit::of(&fine, &[]).valid, "the search never got there");
        assert_eq!(Limit::of(&fine, &[too_much(Bottleneck::Server)]).messages_per_second, 100.0);
    }
}
