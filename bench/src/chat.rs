//! The run with traffic: a swarm in one channel, messages at a steady rate, and the question whether everybody got
//! everything once, in order, and how fast.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::clock;
use crate::http::Mailbox;
use crate::judge;
use crate::limits;
use crate::poster::{self, Advance, Posted, Schedule};
use crate::proc::{self, Busy, ProcessUse, ThreadUse};
use crate::progress::Progress;
use crate::report::{Arrival, Bottleneck, Report, Times};
use crate::swarm::tally::{microseconds, record};
use crate::swarm::{Settings, Swarm};

/// From the announcement to the first message: enough for all threads to see it.
const LEAD: Duration = Duration::from_millis(200);
/// After the last session has arrived: what the server still does for it is not the messages' cost.
const SETTLE: Duration = Duration::from_secs(1);
/// While waiting.
const PAUSE: Duration = Duration::from_millis(5);

/// A run with traffic.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The swarm.
    pub swarm: Settings,
    /// Where messages go.
    pub mailbox: Mailbox,
    /// Messages per second.
    pub rate: f64,
    /// For how long.
    pub seconds: f64,
    /// Bytes of a message's content.
    pub size: usize,
    /// The server's process, to be watched.
    pub server_pid: Option<i32>,
    /// Without a delivery for this long, what is missing counts as lost.
    pub patience: Duration,
    /// Without progress.
    pub quiet: bool,
}

/// Starts a swarm and waits until it is live.
pub fn gather(
    settings: &Settings,
    server_pid: Option<i32>,
    progress: &mut Progress,
) -> std::io::Result<(Swarm, Arrival)> {
    let before = server_pid.and_then(proc::process);
    let kernel_before = proc::kernel_bytes();
    let start = Instant::now();
    let mut swarm = Swarm::start(settings)?;
    let live = swarm.wait_until_live(settings.sessions, |swarm| progress.tell(swarm, "connect", 0));
    let seconds = start.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let after = server_pid.and_then(proc::process);
    let per_session = |growth: f64| growth / f64::from(live.max(1));
    let mut arrival = Arrival {
        asked: settings.sessions,
        live,
        seconds,
        rate: f64::from(live) / seconds,
        kernel_bytes_per_session: kernel_before
            .zip(proc::kernel_bytes())
            .map(|(before, after)| per_session(after as f64 - before as f64)),
        ..Arrival::default()
    };
    if let (Some(before), Some(after)) = (before, after) {
        arrival.server_cpu_us = Some(per_session(proc::cpu_between(&before, &after) as f64 / 1e3));
        arrival.server_bytes_before = Some(before.anonymous);
        arrival.server_bytes_after = Some(after.anonymous);
        arrival.server_bytes_per_session = Some(per_session(after.anonymous as f64 - before.anonymous as f64));
    }
    Ok((swarm, arrival))
}

/// What was used when.
struct Moment {
    at: Instant,
    server: Option<ProcessUse>,
    threads: Vec<ThreadUse>,
}

impl Moment {
    fn now(chat: &Chat, threads: &[i32]) -> Moment {
        let me = std::process::id() as i32;
        Moment {
            at: Instant::now(),
            server: chat.server_pid.and_then(proc::process),
            threads: threads.iter().map(|id| proc::thread(me, *id).unwrap_or_default()).collect(),
        }
    }
}

/// Runs it.
pub fn run(chat: &Chat) -> std::io::Result<Report> {
    let mut progress = Progress::new(chat.quiet, chat.server_pid);
    let (mut swarm, arrival) = gather(&chat.swarm, chat.server_pid, &mut progress)?;
    let live = u64::from(arrival.live);
    let count = ((chat.rate * chat.seconds).round() as u32).clamp(1, limits::MESSAGES_MAX);

    let start_ns = clock::now_ns() + LEAD.as_nanos() as u64;
    swarm.announce_traffic(start_ns, start_ns + (chat.seconds * 1e9) as u64);
    let schedule = Schedule {
        mailbox: Arc::new(chat.mailbox.clone()),
        marker: chat.swarm.marker.clone(),
        size: chat.size,
        start_ns,
        rate: chat.rate,
        count,
    };
    let advance = Arc::new(Advance::default());
    let threads = swarm.thread_ids();
    let begin = Moment::now(chat, &threads);
    let (posting, poster_used) = {
        let told = advance.clone();
        let post = move || {
            let start = Instant::now();
            let posted = poster::post(schedule, told);
            let ran = clock::thread_cpu_ns() as f64 / start.elapsed().as_nanos() as f64;
            (posted, Busy { ran, waited: 0.0 })
        };
        let thread = std::thread::Builder::new().name("poster".into()).spawn(post)?;
        while !thread.is_finished() {
            progress.tell(&mut swarm, "traffic", advance.errors.load(Ordering::Relaxed));
            std::thread::sleep(PAUSE);
        }
        thread.join().expect("the poster panicked")
    };
    let posted = posting?;
    // What is not yet there may be on its way. It is lost when nothing has come for a while.
    let expected = live * u64::from(advance.accepted.load(Ordering::Relaxed));
    let mut last = (swarm.delivered(), swarm.standing());
    let mut changed = Instant::now();
    // Who was cut at the very end is still on the way back.
    while (last.0 < expected || last.1.live + last.1.dead < arrival.live) && changed.elapsed() < chat.patience {
        progress.tell(&mut swarm, "drain", posted.errors);
        std::thread::sleep(PAUSE);
        let now = (swarm.delivered(), swarm.standing());
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    let end = Moment::now(chat, &threads);
    std::thread::sleep(limits::AFTERGLOW);
    progress.finish();
    Ok(report(swarm, arrival, posted, start_ns, poster_used, &begin, &end))
}

fn report(
    swarm: Swarm,
    arrival: Arrival,
    posted: Posted,
    start_ns: u64,
    poster_used: Busy,
    begin: &Moment,
    end: &Moment,
) -> Report {
    let remains = swarm.stop();
    let deliveries = judge::judge(&remains, &posted.accepted);
    let (mut identify, mut resume, mut last_session) = (microseconds(), microseconds(), microseconds());
    for leavings in &remains.threads {
        identify.add(&leavings.tally.identify).expect("all histograms have the same bounds");
        resume.add(&leavings.tally.resume).expect("all histograms have the same bounds");
    }
    let mut last_ns = start_ns;
    for spread in judge::spread(&remains) {
        last_ns = last_ns.max(spread.last_ns);
        // Only of a message that has reached everybody it is known how long that took.
        if u64::from(spread.sessions) >= deliveries.sessions {
            record(&mut last_session, spread.last_ns.saturating_sub(spread.intended_ns));
        }
    }
    let window_seconds = (last_ns - start_ns) as f64 / 1e9;
    let delivered = deliveries.counts.delivered;
    let wall_ns = (end.at - begin.at).as_nanos() as u64;
    let used = begin.server.as_ref().zip(end.server.as_ref());
    let server_cpu = used.map(|(before, after)| proc::cpu_between(before, after) as f64);
    let server_busiest = used.map(|(before, after)| proc::busiest(before, after, wall_ns));
    let pairs = begin.threads.iter().zip(&end.threads);
    let mut client_threads: Vec<Busy> = pairs.map(|(before, after)| Busy::between(*before, *after, wall_ns)).collect();
    client_threads.push(poster_used);
    let client = client_threads.iter().map(|busy| busy.wanted()).fold(0.0, f64::max);
    let bottleneck = Bottleneck::of(server_busiest.map(Busy::wanted), client);
    let sound = deliveries.is_sound() && posted.errors == 0 && arrival.live == arrival.asked;
    Report {
        rest_errors: posted.errors,
        rest_faults: posted.faults,
        window_seconds,
        deliveries_per_second: delivered as f64 / window_seconds.max(1e-9),
        bytes_per_delivery: deliveries.counts.delivered_bytes as f64 / delivered.max(1) as f64,
        latency_ms: Times::of(&remains.latency),
        last_session_ms: Times::of(&last_session),
        answer_ms: Times::of(&posted.answer),
        poster_lag_ms: Times::of(&posted.lag),
        identify_ms: Times::of(&identify),
        resume_ms: Times::of(&resume),
        server_cpu_us_per_delivery: server_cpu.map(|cpu| cpu / 1e3 / delivered.max(1) as f64),
        server_cpus: server_cpu.map(|cpu| cpu / wall_ns as f64),
        server_busiest,
        client_threads,
        bottleneck,
        valid: bottleneck != Bottleneck::Client,
        sound,
        deliveries,
        arrival,
    }
}
