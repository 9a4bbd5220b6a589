//! What all steps have: the swarm, the poster, and the watch over what server and swarm use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::clock;
use crate::http::{Line, Mailbox};
use crate::limits;
use crate::marker::Marker;
use crate::million::Million;
use crate::million::figures::Step;
use crate::proc::{self, ProcessUse};
use crate::progress;
use crate::script::{Mark, Script};
use crate::swarm::errand::{Deed, Errand, Part};
use crate::swarm::tally::coarse;
use crate::swarm::{Progress, Swarm};
use crate::trace::Status;

/// Between looks at whether something is done.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(1);
/// The server is quiet if it uses no more than at rest, and this share of a CPU.
const QUIET_CPUS: f64 = 0.05;
/// How long it has to be so.
const QUIET_TIME: Duration = Duration::from_millis(500);
/// The machine is the limit if server and swarm together used this share of its CPUs.
const FULL: f64 = 0.9;

/// A run under way.
#[derive(Debug)]
pub struct Stage<'a> {
    /// What is run.
    pub million: &'a Million,
    /// The sessions.
    pub swarm: Swarm,
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
    /// The most memory that the swarm had more than before it came up.
    pub swarm_bytes: u64,
    /// Progress.
    pub line: progress::Line,
    /// When that was last told.
    pub told: Instant,
    /// How all appear, if that is known.
    pub all_appear: Option<Status>,
}

/// What server and swarm had used at a moment.
#[derive(Debug)]
pub struct Moment {
    at: Instant,
    server: Option<ProcessUse>,
    swarm: Option<ProcessUse>,
}

/// What they used between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Seconds.
    pub seconds: f64,
    /// The server's CPU time, in seconds, if it can be seen.
    pub server: Option<f64>,
    /// The swarm's.
    pub swarm: f64,
    /// How much of the time the server's busiest thread ran or wanted to.
    pub busiest: f64,
}

impl Moment {
    /// Now.
    pub fn now(million: &Million) -> Moment {
        let swarm = proc::process(std::process::id() as i32);
        Moment { at: Instant::now(), server: million.server_pid.and_then(proc::process), swarm }
    }

    /// What was used until now.
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
        let busiest = self.server.as_ref().zip(other.server.as_ref());
        Used {
            seconds: wall.as_secs_f64(),
            server: cpu(&self.server, &other.server),
            swarm: cpu(&self.swarm, &other.swarm).unwrap_or(0.0),
            busiest: busiest
                .map_or(0.0, |(before, after)| proc::busiest(before, after, wall.as_nanos() as u64).wanted()),
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
        self.swarm += other.swarm;
        self.busiest = self.busiest.max(other.busiest);
    }

    /// Who was the limit, in words.
    pub fn bottleneck(&self) -> String {
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get()) as f64;
        let Some(server) = self.server else { return "unknown, since the server cannot be seen".into() };
        let seconds = self.seconds.max(1e-9);
        if server + self.swarm >= FULL * cpus * seconds {
            let share = server / (server + self.swarm) * 100.0;
            return format!("the machine's {cpus} CPUs, of which the server took {share:.0}%");
        }
        if self.busiest >= limits::SATURATED {
            return "a thread of the server".into();
        }
        "neither".into()
    }

    /// Tells it of a step.
    pub fn tell(&self, step: &mut Step) {
        let seconds = self.seconds.max(1e-9);
        step.server_cpus = self.server.map(|server| server / seconds);
        step.swarm_cpus = self.swarm / seconds;
        step.bottleneck = self.bottleneck();
    }
}

/// One message on its way to everybody who must get it.
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

impl Stage<'_> {
    /// Does a step; what it could not do is a failure of the run.
    pub fn step(&mut self, name: &str, title: &str, does: fn(&mut Self, &mut Step) -> Result<(), String>) -> Step {
        let mut step = Step { step: name.into(), title: title.into(), ..Step::default() };
        let start = Instant::now();
        self.tell(title, true);
        if let Err(failure) = does(self, &mut step) {
            self.failures.push(format!("{name}: {failure}"));
        }
        step.seconds = start.elapsed().as_secs_f64();
        step
    }

    /// Asks something of sessions and waits until all whom it concerns are done; says how far they came.
    pub fn ask(&mut self, deed: Deed, part: Part) -> Result<Progress, String> {
        self.begin(deed, part)?;
        let (progress, whole) = self.await_errand(|progress| progress.asked_all && progress.done >= progress.asked);
        match whole {
            true => Ok(progress),
            false => Err(format!("{deed:?}: {} of {} sessions did it", progress.done, progress.asked)),
        }
    }

    /// Asks something of sessions, and waits only until all threads know.
    pub fn begin(&mut self, deed: Deed, part: Part) -> Result<u32, String> {
        let number = self.swarm.ask(Errand { deed, part });
        Ok(number)
    }

    /// Waits until an errand is where it should be, or nothing goes on any more; says which.
    pub fn await_errand(&mut self, is_done: impl Fn(&Progress) -> bool) -> (Progress, bool) {
        let (mut last, mut changed) = (self.swarm.errand(), Instant::now());
        loop {
            let progress = self.swarm.errand();
            if is_done(&progress) {
                return (progress, true);
            }
            if progress != last {
                (last, changed) = (progress, Instant::now());
            }
            if changed.elapsed() > self.million.patience {
                return (progress, false);
            }
            self.tell(&format!("{} of {} are done", progress.done, progress.asked), false);
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
        let mailbox = Mailbox { server: self.million.server, channel: self.million.channel.to_string(), token: author };
        // A connection of its own each time: between two messages the server would have closed it.
        let mut line = Line::open(mailbox).map_err(|error| format!("posting: {error}"))?;
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
            let received = self.swarm.events().received(stream, index);
            if received >= sessions {
                return Ok(());
            }
            if received != last {
                (last, changed) = (received, Instant::now());
            }
            if changed.elapsed() > self.million.patience {
                return Err(format!("a message has not reached {} of {sessions} sessions", sessions - received));
            }
            self.tell(&format!("{received} of {sessions} sessions have the message"), false);
            std::thread::sleep(PAUSE);
        }
    }

    /// Posts a message and waits until it has reached so many sessions.
    pub fn spread(&mut self, stream: u32, sessions: u32) -> Result<Spread, String> {
        let before = self.swarm.look().counts;
        let moment = Moment::now(self.million);
        let index = self.post(stream)?;
        self.await_message(stream, index, sessions)?;
        let used = moment.until_now(self.million);
        // Threads tell their latencies a little later.
        std::thread::sleep(2 * limits::LATENCY_PAUSE);
        let look = self.swarm.look();
        let delivered = look.counts.delivered - before.delivered;
        let bytes = (look.counts.delivered_bytes - before.delivered_bytes) as f64 / delivered.max(1) as f64;
        let seconds = f64::from(self.swarm.events().slowest_us(stream, index)) / 1e6;
        Ok(Spread { seconds, times: look.latencies.all(), bytes, used })
    }

    /// Latencies since the last look.
    pub fn latencies(&mut self) -> Histogram<u64> {
        std::thread::sleep(2 * limits::LATENCY_PAUSE);
        let mut all = coarse();
        all.add(self.swarm.look().latencies.all()).expect("all have the same bounds");
        all
    }

    /// CPUs that the server takes when nothing is asked of it; heartbeats go on.
    pub fn at_rest(&mut self) -> Option<f64> {
        let moment = Moment::now(self.million);
        let until = Instant::now() + limits::MILLION_REST;
        while Instant::now() < until {
            self.tell("at rest", false);
            std::thread::sleep(PAUSE);
        }
        let used = moment.until_now(self.million);
        used.server.map(|server| server / used.seconds)
    }

    /// Waits until the server takes no more than at rest; says how long that took, in seconds, or that it does not come to rest.
    pub fn await_quiet(&mut self, rest: Option<f64>) -> Option<f64> {
        let (rest, start) = (rest?, Instant::now());
        while start.elapsed() < self.million.patience {
            let (moment, since) = (Moment::now(self.million), start.elapsed());
            std::thread::sleep(QUIET_TIME);
            self.tell("waiting until the server is quiet", false);
            let used = moment.until_now(self.million);
            if used.server? / used.seconds <= rest * 1.1 + QUIET_CPUS {
                return Some(since.as_secs_f64());
            }
        }
        None
    }

    /// The server's memory now.
    pub fn server_bytes(&self) -> Option<u64> {
        Some(proc::process(self.million.server_pid?)?.anonymous)
    }

    /// Tells how it goes, once a second at most.
    pub fn tell(&mut self, text: &str, now: bool) {
        if now || self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let standing = self.swarm.standing();
            self.line.tell(&format!("{} live, {} connected: {text}", standing.live, standing.connected));
        }
    }
}
