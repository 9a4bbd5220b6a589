//! A run: a trace is played on a server's fixture by a driver and a pool, watched every second, and judged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::proc::{Busy, ProcessUse, ThreadUse};
use crate::base::times::{Times, coarse, per};
use crate::base::{clock, limits, machine, proc};
use crate::generate::clients::pool::ClientPool;
use crate::generate::clients::settings::{Commands, Settings};
use crate::generate::feature_probe;
use crate::generate::feature_probe::Feature;
use crate::generate::rest_driver::assignment::{Assignment, assign};
use crate::generate::rest_driver::{Accepted, DriverProgress, DriverResult, RestDriver, Route};
use crate::model::fixture::Fixture;
use crate::model::script::Kind;
use crate::model::trace::{Action, Trace};
use crate::report::findings::Findings;
use crate::report::run as report;
use crate::report::run::RunReport;
use crate::runs::arrival;
use crate::runs::watch::Watch;
use crate::verify::marker::Marker;
use crate::verify::run_result::RunResult;
use crate::verify::verifier;
use crate::verify::verifier::Verification;

/// From the announcement to the first action: enough for all threads to see it.
const LEAD: Duration = Duration::from_millis(200);
/// While waiting.
const PAUSE: Duration = Duration::from_millis(5);
/// What takes longer is late.
const LATE: Duration = Duration::from_secs(1);

/// What is played, and how.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is done.
    pub trace: Arc<Trace>,
    /// On which guilds.
    pub fixture: Arc<Fixture>,
    /// Where.
    pub server: SocketAddr,
    /// What the server is called in the report.
    pub label: String,
    /// The server's process, to be watched.
    pub server_pid: Option<i32>,
    /// Who posts all messages in place of the trace's people: the `Authorization` header's value.
    pub author: Option<String>,
    /// How many times faster than written.
    pub speed: f64,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second.
    pub connect_rate: f64,
    /// Threads of the pool; 0: as many as the limit of open files asks for.
    pub threads: u32,
    /// What chance depends on that is not in the trace: first heartbeats, pauses before coming back.
    pub seed: u64,
    /// Without a delivery for this long, what is missing counts as lost.
    pub patience: Duration,
    /// Without progress.
    pub quiet: bool,
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

/// Finds out what the server supports, and plays that. An error says why there was no run; what went wrong in a run is
/// in its report.
pub fn run(run: &Run) -> Result<Findings, String> {
    run.fixture.check(&run.trace)?;
    let lacking = feature_probe::lacking(run.server, &run.fixture, &run.trace)?;
    let plays = |action: &Action| Feature::of(action).is_none_or(|feature| !lacking.contains(&feature));
    let passive = feature_probe::passive(run.server, &run.fixture, &run.trace)?;
    let assignment = Arc::new(assign(&run.trace, &run.fixture, &passive, plays));
    let commands = Commands {
        presence: !lacking.contains(&Feature::Presences),
        voice: !lacking.contains(&Feature::Voice),
        look: assignment.script.looking.contains(&true)
            && (passive.contains(&true)
                || feature_probe::has(run.server, &run.fixture, &run.trace, Feature::MemberLists)?),
        scroll: !lacking.contains(&Feature::MemberLists),
    };
    let mut findings = play(run, &assignment, commands, plays)?;
    let warnings = &mut findings.report.warnings;
    if assignment.left_out > 0 {
        warnings.push(format!("{} actions of sessions left out: in channels made during the run", assignment.left_out));
    }
    if assignment.nameless {
        let what = "the tokens do not say whose they are: reactions, typing, joining and leaving were not checked";
        warnings.push(what.into());
    }
    leave_out(&mut findings.report, run, &lacking);
    if !passive.contains(&true)
        && assignment.script.looking.contains(&true)
        && run.trace.guilds.iter().any(|guild| guild.looking < 1.0)
    {
        let what = "no guild is large for this server: everybody gets what those get who look at a guild";
        findings.report.warnings.push(what.into());
    }
    Ok(findings)
}

/// Plays an assigned trace, as far as `plays` says.
pub fn play(
    run: &Run,
    assignment: &Arc<Assignment>,
    commands: Commands,
    plays: impl Fn(&Action) -> bool + Sync,
) -> Result<Findings, String> {
    if let Some(most) = assignment.script.streams.iter().map(|stream| stream.kinds.len()).max()
        && most > limits::EVENTS_MAX as usize
    {
        return Err(format!("one channel or guild has {most} events, more than {}", limits::EVENTS_MAX));
    }
    let marker = Marker::new(&format!("{:x}", clock::now_ns()));
    let settings = Settings {
        server: run.server,
        tokens: run.fixture.tokens.clone(),
        sessions: assignment.sessions,
        script: assignment.script.clone(),
        marker: marker.clone(),
        commands,
        zlib: run.zlib,
        connect_rate: run.connect_rate,
        handshakes: limits::HANDSHAKES_MAX,
        threads: run.threads,
        seed: run.seed,
    };
    let advance = Arc::new(DriverProgress::default());
    let mut found = RunReport::default();
    let mut watch = Watch::new(run.quiet, run.server_pid, advance.clone());
    let mut pool = arrival::connect_all(&settings, run.server_pid, &mut watch, &mut found)
        .map_err(|error| format!("the pool: {error}"))?;

    let start_ns = clock::now_ns() + LEAD.as_nanos() as u64;
    watch.begin(Instant::now() + LEAD);
    found.header = header(run);
    pool.announce_traffic(start_ns, run.speed);
    let threads = pool.thread_ids();
    let begin = Moment::now(run.server_pid, &threads);
    let accepted = Arc::new(Accepted::new(&assignment.script));
    let driver = RestDriver {
        server: run.server,
        trace: run.trace.clone(),
        assignment: assignment.clone(),
        fixture: run.fixture.clone(),
        author: run.author.clone(),
        accepted: accepted.clone(),
        marker,
        start_ns,
        speed: run.speed,
    };
    let end_ns = start_ns + (assignment.script.end_us as f64 * 1e3 / run.speed) as u64;
    let (played, driver_ns) = drive(&driver, &plays, &advance, end_ns, || watch.look(&mut pool, "traffic"))
        .map_err(|error| format!("the driver: {error}"))?;

    let has = |stream: u32, index: u32| accepted.has(stream, index);
    // Who did not come up in time before the traffic is not waited for again.
    let never_came = found.arrival.asked - found.arrival.live.min(found.arrival.asked);
    let wanted = assignment.present_at_the_end().saturating_sub(never_came);
    await_deliveries(&mut pool, &mut watch, wanted, run.patience, has);
    let end = Moment::now(run.server_pid, &threads);
    // A duplicate takes a moment to show itself.
    std::thread::sleep(limits::AFTERGLOW);
    watch.look_now(&mut pool, "end");
    watch.finish();

    let result = pool.stop();
    let verification = verifier::verify(&result, &assignment.script, has);
    let traffic = verification.last_ns.saturating_sub(start_ns) as f64 / 1e9;
    let mut findings = Findings { series: watch.series, ..Findings::default() };
    deliveries(&mut found, &mut findings, &result, &verification);
    found.traffic.seconds = traffic;
    found.traffic.deliveries_per_second = per(verification.counts.delivered as f64, traffic);
    use_of(&mut found, &begin, &end, driver_ns, verification.counts.delivered);
    requests(&mut found, &played);
    findings.report = found;
    findings.conclude();
    Ok(findings)
}

/// Has the driver play on a thread of its own, and calls `look` until it has ended and this time has come. Says what
/// came of it, and the thread's CPU time.
fn drive(
    driver: &RestDriver,
    plays: impl Fn(&Action) -> bool + Sync,
    advance: &DriverProgress,
    end_ns: u64,
    mut look: impl FnMut(),
) -> std::io::Result<(DriverResult, u64)> {
    std::thread::scope(|scope| {
        let play = || {
            let played = driver.play(&plays, advance);
            (played, clock::thread_cpu_ns())
        };
        let thread = std::thread::Builder::new().name("driver".into()).spawn_scoped(scope, play)?;
        while !thread.is_finished() || clock::now_ns() < end_ns {
            look();
            std::thread::sleep(PAUSE);
        }
        let (played, used) = thread.join().expect("the driver does not panic");
        played.map(|played| (played, used))
    })
}

/// Waits until so many sessions are live and nothing is outstanding, or nothing has come for a while: then it is lost.
fn await_deliveries(
    pool: &mut ClientPool,
    watch: &mut Watch,
    wanted: u32,
    patience: Duration,
    has: impl Fn(u32, u32) -> bool + Copy,
) {
    let (mut last, mut changed) = ((pool.delivered(), pool.standing()), Instant::now());
    while changed.elapsed() < patience {
        let standing = pool.standing();
        // A session that was cut at the very end is still on the way back.
        let look = Instant::now();
        if standing.live + standing.dead >= wanted && pool.outstanding(has) == 0 {
            break;
        }
        // Looking at millions of events must not take the CPU that their deliveries need.
        let pause = PAUSE.max(look.elapsed() * 20);
        watch.look(pool, "drain");
        std::thread::sleep(pause);
        let now = (pool.delivered(), pool.standing());
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
}

fn header(run: &Run) -> report::Header {
    let trace = &run.trace.header;
    report::Header {
        name: trace.name.clone(),
        seed: trace.seed,
        scale: trace.scale,
        speed: run.speed,
        server: run.label.clone(),
        commit: machine::commit(),
        started: machine::date(clock::now_ns() / 1_000_000),
        machine: machine::describe(),
    }
}

/// What was delivered, and how the connections fared.
fn deliveries(found: &mut RunReport, findings: &mut Findings, result: &RunResult, verification: &Verification) {
    for (kind, verdict) in &verification.kinds {
        let latency = result.latencies.of(*kind);
        let late = |times: &hdrhistogram::Histogram<u64>| times.count_between(LATE.as_micros() as u64, u64::MAX);
        let deliveries = report::Deliveries {
            events: verdict.events,
            expected: verdict.expected,
            received: verdict.received,
            late: latency.map_or(0, late),
            lost: verdict.lost,
            not_yet: verdict.not_yet,
            duplicated: verdict.duplicated,
            leaked: verdict.leaked,
            optional: verdict.optional,
            ..report::Deliveries::default()
        };
        found.kinds.insert(*kind, deliveries);
        if let Some(latency) = latency {
            findings.latency.insert(*kind, latency.clone());
        }
        if let Some(times) = &verdict.last_session {
            findings.last_session.insert(*kind, (**times).clone());
        }
    }
    // A stream has events of several kinds: its order is reported with those of the first.
    if verification.out_of_order > 0 {
        let first = found.kinds.keys().next().copied().unwrap_or(Kind::Message);
        found.kinds.entry(first).or_default().out_of_order = verification.out_of_order;
    }
    found.groups_ms = verification.groups.iter().map(|(name, times)| (name.clone(), Times::of(times))).collect();
    let counts = &verification.counts;
    found.traffic.late_after_ms = LATE.as_secs_f64() * 1e3;
    found.traffic.bytes_per_delivery = per(counts.delivered_bytes as f64, counts.delivered as f64);
    found.sequence = report::Sequence {
        missing: verification.sequence_missing,
        duplicates: verification.sequence_duplicates,
        late: verification.sequence_late,
    };
    found.connections = report::Connections {
        connects: counts.connects,
        identified: counts.identified,
        cuts: counts.cuts,
        resumed: counts.resumed,
        closed: counts.closed,
        disconnects: counts.disconnects,
        invalidated: counts.invalidated,
        dead: counts.dead,
    };
    if counts.missed > 0 {
        let what = format!("{} actions of sessions were not possible: the session was not live then", counts.missed);
        found.warnings.push(what);
    }
    found.faults = verification.faults.iter().map(report::Fault::from).collect();
    let (mut identify, mut resume) = (coarse(), coarse());
    for thread in &result.threads {
        identify.add(&thread.tally.identify).expect("all histograms have the same bounds");
        resume.add(&thread.tally.resume).expect("all histograms have the same bounds");
    }
    found.arrival.identify_ms = Times::of(&identify);
    found.arrival.resume_ms = Times::of(&resume);
    found.arrival.resumes_per_second = verification.resumes_per_second;
}

/// What server and load generator used during the traffic.
fn use_of(found: &mut RunReport, begin: &Moment, end: &Moment, driver_ns: u64, delivered: u64) {
    let wall_ns = (end.at - begin.at).as_nanos() as u64;
    if let Some((before, after)) = begin.server.as_ref().zip(end.server.as_ref()) {
        let cpu_ns = proc::cpu_between(before, after) as f64;
        found.server.cpu_us_per_delivery = (delivered > 0).then(|| cpu_ns / 1e3 / delivered as f64);
        found.server.cpus = Some(cpu_ns / wall_ns as f64);
        found.server.busiest = Some(proc::busiest(before, after, wall_ns));
    }
    let pairs = begin.threads.iter().zip(&end.threads).enumerate();
    let threads = pairs.map(|(number, (before, after))| report::Thread {
        name: format!("clients-{number}"),
        busy: Busy::between(*before, *after, wall_ns),
    });
    found.client.threads = threads.collect();
    let driver = Busy { ran: driver_ns as f64 / wall_ns as f64, waited: 0.0 };
    found.client.threads.push(report::Thread { name: "driver".into(), busy: driver });
}

/// What was asked over HTTP.
fn requests(found: &mut RunReport, played: &DriverResult) {
    for route in Route::ALL {
        if let Some(tally) = played.routes.get(&route) {
            let answer_ms = Times::of(&tally.answer);
            let of = report::Route { count: tally.done + tally.errors, errors: tally.errors, answer_ms };
            found.rest.routes.insert(route.name().into(), of);
        }
    }
    found.rest.lag_ms = Times::of(&played.lag);
    for what in &played.faults {
        found.faults.push(report::Fault { kind: "rest".into(), what: what.clone(), ..report::Fault::default() });
    }
    found.faults.truncate(limits::FAULTS_TOLD);
    if played.skipped > 0 {
        let what = format!("{} actions were not possible: what they are about was refused", played.skipped);
        found.warnings.push(what);
    }
}

/// Tells what the server lacks.
fn leave_out(found: &mut RunReport, run: &Run, lacking: &[Feature]) {
    let mut counts: BTreeMap<&str, (u64, Feature)> = BTreeMap::new();
    for line in &run.trace.actions {
        if let Some(feature) = Feature::of(&line.action).filter(|feature| lacking.contains(feature)) {
            counts.entry(line.action.name()).or_insert((0, feature)).0 += 1;
        }
    }
    for (what, (count, feature)) in counts {
        let why = format!("the server knows no {}", feature.name());
        found.left_out.push(report::LeftOut { what: what.into(), count, why });
    }
}
