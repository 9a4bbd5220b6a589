//! A replay: a trace is played on a server's town by a player and a swarm, watched every second, and judged.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::clock;
use crate::judge::{self, Judgement};
use crate::limits;
use crate::marker::Marker;
use crate::player::cast::{Cast, cast};
use crate::player::{Accepted, Advance, Played, Player};
use crate::probe::{self, Feature};
use crate::proc::{self, Busy, ProcessUse, ThreadUse};
use crate::progress::Line;
use crate::report::folder::Histograms;
use crate::report::machine;
use crate::report::run::{self as report, RunReport, per};
use crate::report::series::{Look, Sampler, Series};
use crate::report::Times;
use crate::script::Kind;
use crate::swarm::tokens::Tokens;
use crate::swarm::{Commands, Settings, Swarm};
use crate::town::Town;
use crate::trace::{Action, Trace};

/// From the announcement to the first action: enough for all threads to see it.
const LEAD: Duration = Duration::from_millis(500);
/// After the last session has arrived: what the server still does for it is not the traffic's cost.
const SETTLE: Duration = Duration::from_secs(1);
/// While waiting.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two points of the course.
const SAMPLE: Duration = Duration::from_secs(1);

/// What is replayed, and how.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is done.
    pub trace: Arc<Trace>,
    /// On which guilds.
    pub town: Arc<Town>,
    /// Where.
    pub server: SocketAddr,
    /// What the server is called in the report.
    pub label: String,
    /// The server's process, to be watched.
    pub server_pid: Option<i32>,
    /// How many times faster than written.
    pub speed: f64,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second.
    pub connect_rate: f64,
    /// Threads of the swarm; 0: as many as the limit of open files asks for.
    pub threads: u32,
    /// What chance depends on that is not in the trace: first heartbeats, pauses before coming back.
    pub seed: u64,
    /// Without a delivery for this long, what is missing counts as lost.
    pub patience: Duration,
    /// Without progress.
    pub quiet: bool,
}

/// What a replay found.
#[derive(Debug)]
pub struct Outcome {
    /// The numbers.
    pub report: RunReport,
    /// The course.
    pub series: Series,
    /// The times in full.
    pub histograms: Histograms,
}

/// What was used when.
struct Moment {
    at: Instant,
    server: Option<ProcessUse>,
    threads: Vec<ThreadUse>,
}

impl Moment {
    fn now(server: Option<i32>, threads: &[i32]) -> Moment {
        let me = std::process::id() as i32;
        Moment {
            at: Instant::now(),
            server: server.and_then(proc::process),
            threads: threads.iter().map(|id| proc::thread(me, *id).unwrap_or_default()).collect(),
        }
    }
}

/// Watches a swarm: the line that is told, and the points of the course.
struct Watch {
    line: Line,
    sampler: Sampler,
    series: Series,
    begun: Instant,
    last: Instant,
    advance: Arc<Advance>,
}

impl Watch {
    fn seconds(&self) -> f64 {
        if self.begun > Instant::now() {
            -(self.begun - Instant::now()).as_secs_f64()
        } else {
            self.begun.elapsed().as_secs_f64()
        }
    }

    /// Looks, if it is time to.
    fn look(&mut self, swarm: &mut Swarm, phase: &str) {
        if self.last.elapsed() < SAMPLE {
            return;
        }
        self.last = Instant::now();
        let look = swarm.look();
        let standing = swarm.standing();
        let latency = look.latencies.all();
        let failed = self.advance.errors.load(Ordering::Relaxed);
        let point = self.sampler.sample(Look {
            seconds: self.seconds(),
            connected: standing.connected,
            live: standing.live,
            delivered: look.counts.delivered,
            latency: &latency,
            posts: u64::from(self.advance.done.load(Ordering::Relaxed) + failed),
            errors: look.counts.faults() + u64::from(failed),
        });
        self.line.tell(&format!("{phase:<8} {point}"));
        self.series.points.push(point);
    }
}

/// Replays. An error says why there was no run; what went wrong in a run is in its report.
pub fn run(run: &Run) -> Result<Outcome, String> {
    run.town.check(&run.trace)?;
    let lacking = probe::lacking(run.server, &run.town, &run.trace)?;
    let plays = |action: &Action| Feature::of(action).is_none_or(|feature| !lacking.contains(&feature));
    let cast = Arc::new(cast(&run.trace, &run.town, plays));
    let marker = Marker::new(&format!("{:x}", clock::now_ns()));
    let settings = Settings {
        server: run.server,
        tokens: Arc::new(run.town.tokens.iter().take(cast.sessions as usize).collect::<Tokens>()),
        sessions: cast.sessions,
        script: cast.script.clone(),
        marker: marker.clone(),
        commands: Commands {
            presence: !lacking.contains(&Feature::Presences),
            voice: !lacking.contains(&Feature::Voice),
            look: probe::looks(run.server, &run.town, &run.trace, &lacking)?,
        },
        zlib: run.zlib,
        connect_rate: run.connect_rate,
        threads: run.threads,
        seed: run.seed,
    };
    let asked = (0..cast.sessions).filter(|session| !cast.script.is_absent(*session)).count() as u32;

    let advance = Arc::new(Advance::default());
    let mut watch = Watch {
        line: Line::new(run.quiet),
        sampler: Sampler::new(run.server_pid, 0.0),
        series: Series::default(),
        begun: Instant::now(),
        last: Instant::now(),
        advance: advance.clone(),
    };
    let mut found = RunReport::default();
    let me = std::process::id() as i32;
    let before = (run.server_pid.and_then(proc::process), proc::process(me), proc::kernel_bytes());
    let start = Instant::now();
    let mut swarm = Swarm::start(&settings).map_err(|error| format!("the swarm: {error}"))?;
    let live = swarm.wait_until_live(asked, |swarm| watch.look(swarm, "connect"));
    let arrived = start.elapsed();
    std::thread::sleep(SETTLE);
    let after = (run.server_pid.and_then(proc::process), proc::process(me), proc::kernel_bytes());
    arrival(&mut found, asked, live, arrived, &swarm.look().counts.connects, &before, &after);

    // What came before the traffic is told with negative times.
    let start_ns = clock::now_ns() + LEAD.as_nanos() as u64;
    watch.begun = Instant::now() + LEAD;
    watch.sampler.shift(watch.seconds());
    let arriving = start.elapsed().as_secs_f64() + LEAD.as_secs_f64();
    watch.series.points.iter_mut().for_each(|point| point.seconds -= arriving);
    found.header.started = machine::now();
    swarm.announce_traffic(start_ns, run.speed);
    let threads = swarm.thread_ids();
    let begin = Moment::now(run.server_pid, &threads);

    let accepted = Arc::new(Accepted::new(&cast.script));
    let player = Player {
        server: run.server,
        trace: run.trace.clone(),
        cast: cast.clone(),
        town: run.town.clone(),
        accepted: accepted.clone(),
        marker,
        start_ns,
        speed: run.speed,
    };
    let end_ns = start_ns + (cast.script.end_us as f64 * 1e3 / run.speed) as u64;
    let (played, player_used) = std::thread::scope(|scope| -> Result<(Played, Busy), String> {
        let play = || {
            let start = Instant::now();
            let played = player.play(plays, &advance);
            let ran = clock::thread_cpu_ns() as f64 / start.elapsed().as_nanos() as f64;
            (played, Busy { ran, waited: 0.0 })
        };
        let thread = std::thread::Builder::new()
            .name("player".into())
            .spawn_scoped(scope, play)
            .map_err(|error| format!("the player: {error}"))?;
        while !thread.is_finished() || clock::now_ns() < end_ns {
            watch.look(&mut swarm, "traffic");
            std::thread::sleep(PAUSE);
        }
        let (played, busy) = thread.join().expect("the player does not panic");
        Ok((played.map_err(|error| format!("the player: {error}"))?, busy))
    })?;

    // What is not yet there may be on its way. It is lost when nothing has come for a while.
    let mut last = (swarm.delivered(), swarm.standing());
    let mut changed = Instant::now();
    loop {
        let standing = swarm.standing();
        let back = standing.live + standing.dead >= swarm.wanted();
        if back && swarm.outstanding(|stream, index| accepted.has(stream, index)) == 0 {
            break;
        }
        if changed.elapsed() >= run.patience {
            break;
        }
        watch.look(&mut swarm, "drain");
        std::thread::sleep(PAUSE);
        let now = (swarm.delivered(), swarm.standing());
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    let end = Moment::now(run.server_pid, &threads);
    std::thread::sleep(limits::AFTERGLOW);
    watch.last -= SAMPLE;
    watch.look(&mut swarm, "end");
    watch.line.finish();

    let remains = swarm.stop();
    let judgement = judge::judge(&remains, &cast.script, |stream, index| accepted.has(stream, index));
    let histograms = deliveries(&mut found, &judgement);
    used(&mut found, &begin, &end, player_used);
    asked_of(&mut found, &played);
    left_out(&mut found, run, &cast, &lacking, &played, &judgement);
    head(&mut found, run);
    let traffic = (judgement.last_ns.max(start_ns) - start_ns) as f64 / 1e9;
    found.traffic.seconds = traffic;
    found.traffic.deliveries_per_second = per(judgement.counts.delivered as f64, traffic);
    let peak = watch.series.points.iter().map(|point| point.deliveries_per_second).fold(0.0, f64::max);
    found.traffic.peak_deliveries_per_second = peak;
    found.conclude();
    Ok(Outcome { report: found, series: watch.series, histograms })
}
