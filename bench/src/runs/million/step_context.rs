//! What all steps have: the pool, the poster, and the watch over what server and pool use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::base::http::{HttpConnection, MessageTarget};
use crate::base::proc::{Busy, ProcessUse};
use crate::base::times::coarse;
use crate::base::{clock, limits, proc, progress};
use crate::generate::clients::pool::{ClientPool, TaskProgress};
use crate::generate::clients::task::{Subset, Task, TaskAction};
use crate::model::script::{Mark, Script};
use crate::runs::million::figures::{Step, Unit};
use crate::runs::million::settings::Million;
use crate::verify::marker::Marker;
use crate::verify::run_result::RunResult;

/// Between looks at whether something is done.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(1);
/// The server is quiet if it uses no more than at rest, and this share of a CPU.
const QUIET_CPUS: f64 = 0.05;
/// How long it has to be so.
const QUIET_TIME: Duration = Duration::from_millis(500);
/// The machine is the limit if server and pool together used this share of its CPUs.
const FULL: f64 = 0.9;

/// What server and pool take when nothing is asked of them: heartbeats.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rest {
    /// Sessions that were live.
    pub sessions: u32,
    /// How long that was looked at, in seconds.
    pub seconds: f64,
    /// The server's CPUs, if they can be seen.
    pub server: Option<Mean>,
    /// The pool's.
    pub pool: Mean,
}

/// A mean of several times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// How far the true one may be from it, either way: two standard errors.
    pub give: f64,
}

impl Mean {
    /// The mean of values that chance makes differ.
    pub fn of(values: &[f64]) -> Mean {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Mean { mean, give: 2.0 * (squares / (count - 1.0).max(1.0) / count).sqrt() }
    }
}

/// A run under way.
#[derive(Debug)]
pub struct StepContext<'a> {
    /// What is run.
    pub million: &'a Million,
    /// The sessions.
    pub pool: ClientPool,
    /// What they are entitled to.
    pub script: Arc<Script>,
    /// The run's marker.
    pub marker: Marker,
    /// By stream: messages that the server has accepted.
    pub posted: [u32; 2],
    /// The last message's id.
    pub last_message: u64,
    /// Sessions that are live.
    pub live: u32,
    /// What could not be done.
    pub failures: Vec<String>,
    /// The load generator's memory before the pool came up.
    pub bytes_before: u64,
    /// The most memory that it had more after a step.
    pub pool_bytes: u64,
    /// What is taken without anything being asked.
    pub rest: Rest,
    /// How long sessions were live in all: each for itself, in seconds, until it was last looked.
    pub live_seconds: f64,
    /// When that was.
    pub looked: Instant,
    /// Connections that have ended unasked outside of the steps in which they may.
    pub disconnects: u64,
    /// The line that tells progress.
    pub line: progress::ProgressLine,
    /// When that was last told.
    pub told: Instant,
}

/// What server and pool had used at a moment.
#[derive(Debug)]
pub struct Moment {
    at: Instant,
    server: Option<ProcessUse>,
    pool: Option<ProcessUse>,
    live_seconds: f64,
}

/// What they used between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Seconds.
    pub seconds: f64,
    /// The server's CPU time, in seconds, if it can be seen.
    pub server: Option<f64>,
    /// The pool's.
    pub pool: f64,
    /// How long sessions were live in all, in seconds.
    pub live_seconds: f64,
    /// How the server's busiest thread spent the time.
    pub busiest: Busy,
    /// How the pool's did.
    pub pool_busiest: Busy,
}

impl Moment {
    /// Now.
    pub fn now(million: &Million) -> Moment {
        let pool = proc::process(std::process::id() as i32);
        let server = million.server_pid.and_then(proc::process);
        Moment { at: Instant::now(), server, pool, live_seconds: 0.0 }
    }

    /// What was used until now; how long sessions were live is not known here.
    pub fn until_now(&self, million: &Million) -> Used {
        self.until(&Moment::now(million))
    }

    /// What was used until another moment.
    pub fn until(&self, other: &Moment) -> Used {
        let cpu = |before: &Option<ProcessUse>, after: &Option<ProcessUse>| {
            let (before, after) = before.as_ref().zip(after.as_ref())?;
            Some(proc::cpu_between(before, after) as f64 / 1e9)
        };
        let wall = other.at.saturating_duration_since(self.at);
        let busiest = |before: &Option<ProcessUse>, after: &Option<ProcessUse>| {
            let (before, after) = before.as_ref().zip(after.as_ref())?;
            Some(proc::busiest(before, after, wall.as_nanos() as u64))
        };
        Used {
            seconds: wall.as_secs_f64(),
            server: cpu(&self.server, &other.server),
            pool: cpu(&self.pool, &other.pool).unwrap_or(0.0),
            live_seconds: other.live_seconds - self.live_seconds,
            busiest: busiest(&self.server, &other.server).unwrap_or_default(),
            pool_busiest: busiest(&self.pool, &other.pool).unwrap_or_default(),
        }
    }
}

impl Used {
    /// Adds another time.
    pub fn add(&mut self, other: Used) {
        self.seconds += other.seconds;
        self.server = match (self.server, other.server) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.pool += other.pool;
        self.live_seconds += other.live_seconds;
        let busier = |one: Busy, other: Busy| if other.wanted() > one.wanted() { other } else { one };
        self.busiest = busier(self.busiest, other.busiest);
        self.pool_busiest = busier(self.pool_busiest, other.pool_busiest);
    }

    /// The server's CPU time beyond that at rest, in seconds, and how far the truth may be from it.
    pub fn server_net(&self, rest: &Rest) -> Option<Mean> {
        Some(self.net(self.server?, rest.server?, rest))
    }

    /// The pool's.
    pub fn pool_net(&self, rest: &Rest) -> Mean {
        self.net(self.pool, rest.pool, rest)
    }

    /// Heartbeats are in proportion to the sessions that are live.
    fn net(&self, used: f64, cpus: Mean, rest: &Rest) -> Mean {
        let seconds = self.live_seconds / f64::from(rest.sessions.max(1));
        Mean { mean: used - cpus.mean * seconds, give: cpus.give * seconds }
    }

    /// Tells the CPU time of so many of something: all of it, and what is beyond that at rest.
    pub fn report_each(&self, step: &mut Step, rest: &Rest, what: &str, count: f64) {
        let each = 1e6 / count.max(1.0);
        let mut told = |whose: &str, used: f64, net: Mean| {
            step.add(&format!("{whose} CPU for {what}"), used * each, Unit::Microseconds);
            step.add_about("the same beyond that at rest", net.mean * each, net.give * each, Unit::Microseconds);
        };
        if let Some((server, net)) = self.server.zip(self.server_net(rest)) {
            told("server's", server, net);
        }
        told("client pool's", self.pool, self.pool_net(rest));
    }

    /// Who was the limit, in words.
    pub fn bottleneck(&self) -> String {
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get()) as f64;
        let Some(server) = self.server else { return "unknown, since the server cannot be seen".into() };
        let seconds = self.seconds.max(1e-9);
        if server + self.pool >= FULL * cpus * seconds {
            let share = server / (server + self.pool) * 100.0;
            return format!("the machine's {cpus} CPUs, of which the server took {share:.0}%");
        }
        // One that waits for a CPU holds up others just like one that has it.
        let threads = [("server", self.busiest), ("client pool", self.pool_busiest)];
        let saturated = threads.into_iter().filter(|(_, busy)| busy.wanted() >= limits::SATURATED);
        let busiest = saturated.max_by(|(_, one), (_, other)| one.ran.total_cmp(&other.ran));
        busiest.map_or_else(|| "neither".into(), |(whose, _)| format!("a thread of the {whose}"))
    }

    /// Tells it of a step.
    pub fn report_to(&self, step: &mut Step) {
        let seconds = self.seconds.max(1e-9);
        step.server_cpus = self.server.map(|server| server / seconds);
        step.pool_cpus = self.pool / seconds;
        step.server_busiest = self.server.map(|_| self.busiest);
        step.pool_busiest = self.pool_busiest;
        step.bottleneck = self.bottleneck();
    }
}

/// One message on its way to every session that must get it.
#[derive(Debug, Clone)]
pub struct Spread {
    /// From posting to the last receipt.
    pub seconds: f64,
    /// From posting to each receipt.
    pub times: Histogram<u64>,
    /// Bytes of a delivery's frame.
    pub bytes: f64,
    /// What it took.
    pub used: Used,
}

impl StepContext<'_> {
    /// Does a step; what it could not do is a failure of the run.
    pub fn step(
        &mut self,
        name: &str,
        title: &str,
        may_disconnect: bool,
        does: fn(&mut Self, &mut Step) -> Result<(), String>,
    ) -> Step {
        let mut step = Step { step: name.into(), title: title.into(), ..Step::default() };
        let (start, before) = (Instant::now(), self.pool.counts().disconnects);
        self.show_progress(title, true);
        if let Err(failure) = does(self, &mut step) {
            self.failures.push(format!("{name}: {failure}"));
        }
        let disconnects = self.pool.counts().disconnects - before;
        self.end(&mut step, start, disconnects, may_disconnect);
        step
    }

    /// What is reported at the end of every step.
    pub fn end(&mut self, step: &mut Step, start: Instant, disconnects: u64, may_disconnect: bool) {
        step.disconnects = disconnects;
        step.add("connections that ended unasked", disconnects as f64, Unit::Count);
        if disconnects > 0 && !may_disconnect {
            self.disconnects += disconnects;
            self.failures.push(format!("{}: {disconnects} connections ended, and nobody wanted it", step.step));
        }
        let bytes = proc::process(std::process::id() as i32).map_or(0, |used| used.anonymous);
        self.pool_bytes = self.pool_bytes.max(bytes.saturating_sub(self.bytes_before));
        step.seconds = start.elapsed().as_secs_f64();
    }

    /// What server and pool have used until now.
    pub fn moment(&mut self) -> Moment {
        self.look();
        Moment { live_seconds: self.live_seconds, ..Moment::now(self.million) }
    }

    /// What they have used since then.
    pub fn used_since(&mut self, moment: &Moment) -> Used {
        moment.until(&self.moment())
    }

    /// Counts how long sessions are live.
    fn look(&mut self) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.looked).as_secs_f64();
        self.live_seconds += passed * f64::from(self.pool.standing().live);
        self.looked = now;
    }

    /// Asks something of sessions and waits until all whom it concerns are done; says how far they came.
    pub fn ask(&mut self, action: TaskAction, part: Subset) -> Result<TaskProgress, String> {
        self.begin(action, part);
        let (progress, whole) = self.await_task(|progress| progress.asked_all && progress.done >= progress.asked);
        match whole {
            true => Ok(progress),
            false => Err(format!("{action:?}: {} of {} sessions did it", progress.done, progress.asked)),
        }
    }

    /// Asks something of sessions, and waits only until all threads know.
    pub fn begin(&mut self, action: TaskAction, part: Subset) -> u32 {
        self.pool.ask(Task { action, part })
    }

    /// Waits until an task is where it should be, or nothing goes on any more; says which.
    pub fn await_task(&mut self, is_done: impl Fn(&TaskProgress) -> bool) -> (TaskProgress, bool) {
        let (mut last, mut changed) = (self.pool.task(), Instant::now());
        loop {
            let progress = self.pool.task();
            if is_done(&progress) {
                return (progress, true);
            }
            if progress != last {
                (last, changed) = (progress, Instant::now());
            }
            if changed.elapsed() > self.million.patience {
                return (progress, false);
            }
            self.show_progress(&format!("{} of {} are done", progress.done, progress.asked), false);
            std::thread::sleep(PAUSE);
        }
    }

    /// Posts a message; says which it is. An error tells why the server did not take it.
    pub fn post(&mut self, stream: u32) -> Result<u32, String> {
        let index = self.posted[stream as usize];
        if index >= limits::MILLION_MESSAGES_MAX {
            return Err("too many messages".into());
        }
        let author = self.million.author.clone().unwrap_or_else(|| self.million.tokens.get(0).to_owned());
        let target =
            MessageTarget { server: self.million.server, channel: self.million.channel.to_string(), token: author };
        // A connection of its own each time: between two messages the server would have closed it.
        let mut line = HttpConnection::open(target).map_err(|error| format!("posting: {error}"))?;
        let mark = Mark { stream, index, intended_ns: clock::now_ns() };
        let id =
            line.post(&self.marker.content(mark, self.million.size)).map_err(|error| format!("posting: {error}"))?;
        self.posted[stream as usize] += 1;
        self.last_message = id;
        Ok(index)
    }

    /// Waits until a message has reached so many sessions. An error says how many it has not.
    pub fn await_message(&mut self, stream: u32, index: u32, sessions: u32) -> Result<(), String> {
        let (mut last, mut changed) = (0, Instant::now());
        loop {
            let received = self.pool.events().received(stream, index);
            if received >= sessions {
                return Ok(());
            }
            if received != last {
                (last, changed) = (received, Instant::now());
            }
            if changed.elapsed() > self.million.patience {
                return Err(format!("a message has not reached {} of {sessions} sessions", sessions - received));
            }
            self.show_progress(&format!("{received} of {sessions} sessions have the message"), false);
            std::thread::sleep(PAUSE);
        }
    }

    /// Posts a message and waits until it has reached so many sessions.
    pub fn spread(&mut self, stream: u32, sessions: u32) -> Result<Spread, String> {
        let before = self.pool.look().counts;
        let moment = self.moment();
        let index = self.post(stream)?;
        self.await_message(stream, index, sessions)?;
        let used = self.used_since(&moment);
        // Threads tell their latencies a little later.
        std::thread::sleep(2 * limits::LATENCY_PAUSE);
        let look = self.pool.look();
        let delivered = look.counts.delivered - before.delivered;
        let bytes = (look.counts.delivered_bytes - before.delivered_bytes) as f64 / delivered.max(1) as f64;
        let seconds = f64::from(self.pool.events().slowest_us(stream, index)) / 1e6;
        Ok(Spread { seconds, times: look.latencies.all(), bytes, used })
    }

    /// Latencies since the last look.
    pub fn latencies(&mut self) -> Histogram<u64> {
        std::thread::sleep(2 * limits::LATENCY_PAUSE);
        let mut all = coarse();
        all.add(self.pool.look().latencies.all()).expect("all have the same bounds");
        all
    }

    /// Looks at what is taken when nothing is asked, once server and pool have come to rest.
    pub fn look_at_rest(&mut self, step: &mut Step) {
        let part = self.million.rest / limits::MILLION_REST_PARTS;
        let (start, mut last) = (Instant::now(), f64::INFINITY);
        // They have if they take no less than a moment before.
        while start.elapsed() < self.million.patience {
            let used = self.used_while_resting(part);
            let cpus = (used.server.unwrap_or(0.0) + used.pool) / used.seconds;
            if cpus >= 0.9 * last - QUIET_CPUS {
                break;
            }
            last = cpus;
        }
        let begun = Instant::now();
        let parts: Vec<Used> = (0..limits::MILLION_REST_PARTS).map(|_| self.used_while_resting(part)).collect();
        let server: Option<Vec<f64>> = parts.iter().map(|used| Some(used.server? / used.seconds)).collect();
        let pool: Vec<f64> = parts.iter().map(|used| used.pool / used.seconds).collect();
        let rest = Rest {
            sessions: self.live,
            seconds: begun.elapsed().as_secs_f64(),
            server: server.map(|server| Mean::of(&server)),
            pool: Mean::of(&pool),
        };
        if let Some(server) = rest.server {
            step.add_about("server at rest", server.mean, server.give, Unit::Cpus);
        }
        step.add_about("client pool at rest", rest.pool.mean, rest.pool.give, Unit::Cpus);
        step.note(format!("at rest: the mean of {} parts of {:.0?}, ± two standard errors", parts.len(), part));
        self.rest = rest;
    }

    fn used_while_resting(&mut self, time: Duration) -> Used {
        let moment = self.moment();
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.show_progress("at rest", false);
            std::thread::sleep(PAUSE.max(time / 50));
        }
        self.used_since(&moment)
    }

    /// Waits until the server takes no more than at rest; says since when, or nothing if it does not come to rest or
    /// cannot be seen.
    pub fn await_quiet(&mut self) -> Option<Instant> {
        let (rest, start) = (self.rest.server?, Instant::now());
        while start.elapsed() < self.million.patience {
            let (moment, since) = (self.moment(), Instant::now());
            std::thread::sleep(QUIET_TIME);
            self.show_progress("waiting until the server is quiet", false);
            let used = self.used_since(&moment);
            if used.server? / used.seconds <= rest.mean * 1.1 + rest.give + QUIET_CPUS {
                return Some(since);
            }
        }
        None
    }

    /// The server's memory now.
    pub fn server_bytes(&self) -> Option<u64> {
        Some(proc::process(self.million.server_pid?)?.anonymous)
    }

    /// Tells how it goes, once a second at most.
    pub fn show_progress(&mut self, text: &str, now: bool) {
        self.look();
        if now || self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let standing = self.pool.standing();
            self.line.show(&format!("{} live, {} connected: {text}", standing.live, standing.connected));
        }
    }
}

/// How long those took whom an task asked, if that is of interest.
pub fn times_of(result: &RunResult, tasks: &[u32]) -> Histogram<u64> {
    let mut all = coarse();
    for (number, times) in result.threads.iter().flat_map(|thread| &thread.tally.tasks) {
        if tasks.contains(number) {
            all.add(times).expect("all have the same bounds");
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_taken_off_in_proportion_to_the_sessions_that_were_live() {
        let rest = Rest { sessions: 100, server: Some(Mean { mean: 0.5, give: 0.1 }), ..Rest::default() };
        // Ten seconds, in which half were live on average.
        let used = Used { seconds: 10.0, server: Some(4.0), live_seconds: 500.0, ..Used::default() };
        let net = used.server_net(&rest).expect("the server is seen");
        assert!((net.mean - 1.5).abs() < 1e-9 && (net.give - 0.5).abs() < 1e-9, "{net:?}");
        // Less than at rest is reported as it is.
        let used = Used { server: Some(2.0), ..used };
        assert!(used.server_net(&rest).is_some_and(|net| net.mean < 0.0));
        assert_eq!(Used { server: None, ..used }.server_net(&rest), None);
    }

    #[test]
    fn a_mean_says_how_exact_it_is() {
        assert_eq!(Mean::of(&[2.0, 2.0, 2.0]), Mean { mean: 2.0, give: 0.0 });
        let about = Mean::of(&[1.0, 3.0, 1.0, 3.0]);
        assert!((about.mean - 2.0).abs() < 1e-9 && (about.give - 2.0 * (4.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn the_bottleneck_may_be_a_thread_of_either_side() {
        let busy = |ran: f64, waited: f64| Busy { ran, waited };
        let of = |busiest: Busy, pool_busiest: Busy| {
            Used { seconds: 1e3, server: Some(1.0), busiest, pool_busiest, ..Used::default() }.bottleneck()
        };
        assert_eq!(of(busy(0.6, 0.1), busy(0.9, 0.0)), "neither");
        assert_eq!(of(busy(0.9, 0.1), busy(0.5, 0.0)), "a thread of the server");
        assert_eq!(of(busy(0.5, 0.1), busy(0.6, 0.38)), "a thread of the client pool");
        assert_eq!(of(busy(0.5, 0.5), busy(0.9, 0.1)), "a thread of the client pool");
    }
}
