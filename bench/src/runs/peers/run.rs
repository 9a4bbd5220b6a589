//! The run: a pool, messages at a steady rate, and the question whether all sessions got everything once, in one order,
//! and how fast; then, if that is wanted, the highest rate that the server keeps up with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::base::proc::{Busy, ProcessUse, ThreadUse};
use crate::base::times::{Times, microseconds};
use crate::base::{clock, limits, proc};
use crate::report::Bottleneck;
use crate::runs::peers::frames::FramePublisher;
use crate::runs::peers::message_format::MessageFormat;
use crate::runs::peers::peer::{Peer, Way};
use crate::runs::peers::poster::{PostProgress, Posted};
use crate::runs::peers::rate_search::RateSearch;
use crate::runs::peers::report::{Arrival, Limit, Report, Step};
use crate::runs::peers::subscriber_pool::SubscriberPool;
use crate::runs::peers::subscribers::{MessageSchedule, SubscriberResults};
use crate::runs::peers::{frames, poster};
use crate::verify::marker::Marker;
use crate::verify::receipts;

/// From the beginning of a schedule to its first message.
const LEAD: Duration = Duration::from_millis(50);
/// After the last subscriber has arrived: some servers subscribe it only now.
const SETTLE: Duration = Duration::from_secs(1);
/// What is said of messages that are not there.
const NEVER: &str = "messages never came";
/// While waiting.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// With whom.
    pub peer: Arc<Peer>,
    /// Subscribers.
    pub subscribers: u32,
    /// Messages per second.
    pub rate: f64,
    /// For how long; each step of the search takes as long.
    pub seconds: f64,
    /// Bytes of a message.
    pub size: usize,
    /// Threads of the pool.
    pub threads: u32,
    /// New connections per second.
    pub connect_rate: f64,
    /// The server's processes, to be watched.
    pub server_pids: Vec<i32>,
    /// Whether to search for the limit.
    pub saturate: bool,
    /// Without a delivery for this long, what is missing counts as lost.
    pub patience: Duration,
    /// Says nothing between the steps.
    pub quiet: bool,
}

/// What was used when.
struct Moment {
    at: Instant,
    server: Option<Vec<ProcessUse>>,
    threads: Vec<ThreadUse>,
}

impl Moment {
    fn now(settings: &Settings, threads: &[i32]) -> Moment {
        let me = std::process::id() as i32;
        Moment {
            at: Instant::now(),
            server: watch(&settings.server_pids),
            threads: threads.iter().map(|id| proc::thread(me, *id).unwrap_or_default()).collect(),
        }
    }
}

/// What the server's processes have used; `None` if there are none, or one is gone.
fn watch(pids: &[i32]) -> Option<Vec<ProcessUse>> {
    if pids.is_empty() { None } else { pids.iter().map(|pid| proc::process(*pid)).collect() }
}

fn anonymous(server: &[ProcessUse]) -> f64 {
    server.iter().map(|used| used.anonymous as f64).sum()
}

fn cpu_between(before: &[ProcessUse], after: &[ProcessUse]) -> f64 {
    before.iter().zip(after).map(|(before, after)| proc::cpu_between(before, after) as f64).sum()
}

fn busiest(before: &[ProcessUse], after: &[ProcessUse], wall_ns: u64) -> Busy {
    let all = before.iter().zip(after).map(|(before, after)| proc::busiest(before, after, wall_ns));
    all.max_by(|one, other| one.wanted().total_cmp(&other.wanted())).unwrap_or_default()
}

/// Runs it.
pub fn run(settings: &Settings) -> std::io::Result<Report> {
    if let Some(gone) = settings.server_pids.iter().find(|pid| proc::process(**pid).is_none()) {
        return Err(std::io::Error::other(format!("the server's process {gone} is not there")));
    }
    let memory_before = watch(&settings.server_pids);
    let (pool, mut arrival) = connect_subscribers(settings, memory_before.as_deref())?;
    let mut run = Run { settings, pool, wire: None, runs: 0, unfinished: false };
    let at_rate = run.step(settings.rate, Duration::MAX)?;
    let search = if settings.saturate { run.search(at_rate.kept_up)? } else { Vec::new() };
    if let (Some(before), Some(after)) = (&memory_before, watch(&settings.server_pids)) {
        let growth = anonymous(&after) - anonymous(before);
        arrival.server_bytes_at_the_end = Some(growth / f64::from(arrival.live.max(1)));
    }
    let limit = settings.saturate.then(|| Limit::of(&at_rate, &search));
    Ok(Report::new(&settings.peer.name, settings.size, arrival, at_rate, search, limit))
}

/// Starts a pool and waits until it is live.
fn connect_subscribers(
    settings: &Settings,
    before: Option<&[ProcessUse]>,
) -> std::io::Result<(SubscriberPool, Arrival)> {
    let kernel_before = proc::kernel_bytes();
    let start = Instant::now();
    let pool = SubscriberPool::start(&settings.peer, settings.subscribers, settings.threads, settings.connect_rate)?;
    let live = pool.wait_until_live();
    let seconds = start.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let each = |growth: f64| growth / f64::from(live.max(1));
    let mut arrival = Arrival { asked: settings.subscribers, live, seconds, ..Arrival::default() };
    if let (Some(before), Some(after)) = (kernel_before, proc::kernel_bytes()) {
        arrival.kernel_bytes = Some(each(after as f64 - before as f64));
    }
    if let (Some(before), Some(after)) = (before, watch(&settings.server_pids)) {
        arrival.server_cpu_us = Some(each(cpu_between(before, &after) / 1e3));
        arrival.server_bytes = Some(each(anonymous(&after) - anonymous(before)));
    }
    Ok((pool, arrival))
}

struct Run<'a> {
    settings: &'a Settings,
    pool: SubscriberPool,
    wire: Option<FramePublisher>,
    runs: u32,
    /// The last step was not waited for until its end.
    unfinished: bool,
}

impl Run<'_> {
    /// Looks for the highest rate that is kept up with, given how it went at the first.
    fn search(&mut self, mut kept_up: bool) -> std::io::Result<Vec<Step>> {
        let (mut search, mut search_state, mut rate) = (Vec::new(), RateSearch::default(), self.settings.rate);
        let began = Instant::now();
        let is_time = || began.elapsed() < limits::PEER_SEARCH_TIME;
        loop {
            // One pause of a busy machine is not the server's limit: it has a second chance.
            if !kept_up && is_time() && self.is_complete()? {
                let again = self.step(rate, limits::PEER_DRAIN_TIME)?;
                kept_up = again.kept_up;
                search.push(again);
            }
            search_state.note(rate, kept_up);
            let Some(next) = search_state.next().filter(|_| is_time()) else { return Ok(search) };
            // With fewer subscribers it would be the limit of a smaller pool.
            if !self.is_complete()? {
                return Ok(search);
            }
            let step = self.step(next, limits::PEER_DRAIN_TIME)?;
            (rate, kept_up) = (next, step.kept_up);
            search.push(step);
        }
    }

    /// Whether the pool is whole. One that was cut off, or has far too much to come, makes way for a new one.
    fn is_complete(&mut self) -> std::io::Result<bool> {
        let Settings { peer, subscribers, threads, connect_rate, .. } = self.settings;
        if self.unfinished || self.pool.live() < *subscribers {
            self.unfinished = false;
            self.wire = None;
            // The old one must be gone first: the server would still work for it. An empty one takes its place
            // meanwhile.
            drop(std::mem::replace(&mut self.pool, SubscriberPool::start(peer, 0, 1, *connect_rate)?));
            self.pool = SubscriberPool::start(peer, *subscribers, *threads, *connect_rate)?;
            self.pool.wait_until_live();
            std::thread::sleep(SETTLE);
        }
        Ok(self.pool.live() == *subscribers)
    }

    /// Messages at a rate, until all are delivered or given up: when nothing comes any more, or after so long.
    fn step(&mut self, rate: f64, wait: Duration) -> std::io::Result<Step> {
        let Settings { peer, seconds, size, patience, quiet, .. } = self.settings;
        let count = ((rate * seconds).round() as u32).clamp(1, limits::PEER_MESSAGES_MAX);
        self.runs += 1;
        // A marker of its own for each step: what is late from the one before is not counted in this.
        let marker = Marker::new(&format!("{:x}n{}", clock::now_ns(), self.runs));
        let format = MessageFormat { marker, size: *size, shape: peer.shape };
        let start_ns = clock::now_ns() + (LEAD + limits::NAP).as_nanos() as u64;
        let length_ns = (f64::from(count) * 1e9 / rate) as u64;
        let schedule = Arc::new(MessageSchedule { format: format.clone(), start_ns, length_ns });
        self.pool.begin(&schedule);
        let live = self.pool.live();
        let ended_before = self.pool.ended();
        let threads = self.pool.thread_ids();
        let begin = Moment::now(self.settings, &threads);
        let advance = Arc::new(PostProgress::default());
        let (posted, publisher) = self.publish(format, start_ns, rate, count, &advance)?;
        // What is not yet there may be on its way. It is lost when nothing has come for a while.
        let expected = u64::from(live) * u64::from(advance.accepted.load(Ordering::Relaxed));
        let (mut last, mut changed) = (self.pool.delivered(), Instant::now());
        let waiting = Instant::now();
        while last < expected && changed.elapsed() < *patience && waiting.elapsed() < wait {
            std::thread::sleep(PAUSE);
            let now = self.pool.delivered();
            if now != last {
                (last, changed) = (now, Instant::now());
            }
        }
        let end = Moment::now(self.settings, &threads);
        std::thread::sleep(limits::AFTERGLOW);
        let results = self.pool.end();
        let ended = self.pool.ended() - ended_before;
        let mut judged = verify(results, &posted, live, ended);
        if waiting.elapsed() >= wait && judged.lost > 0 {
            // It kept coming, so it is not lost, only not awaited.
            (judged.unfinished, judged.lost) = (judged.lost, 0);
            judged.faults.retain(|fault| !fault.contains(NEVER));
            self.unfinished = true;
        }
        let step = measure(judged, rate, &schedule, &posted, publisher, &begin, &end);
        if !quiet {
            eprintln!("{}", step.line());
        }
        Ok(step)
    }

    /// Publishes on a thread of its own; also says how busy that was.
    fn publish(
        &mut self,
        format: MessageFormat,
        start_ns: u64,
        rate: f64,
        count: u32,
        advance: &Arc<PostProgress>,
    ) -> std::io::Result<(Posted, Busy)> {
        let (peer, told) = (self.settings.peer.clone(), advance.clone());
        let mut wire = self.wire.take();
        let post = move || {
            let (begin, begin_cpu) = (Instant::now(), clock::thread_cpu_ns());
            let posted = match peer.way() {
                Way::Request(address) => {
                    let MessageFormat { marker, size, .. } = format;
                    poster::post(&poster::Schedule { peer, address, marker, size, start_ns, rate, count }, &told)
                }
                Way::Frame(address, request) => {
                    if wire.is_none() {
                        wire = Some(FramePublisher::open(address, &request)?);
                    }
                    let schedule = frames::Schedule { format, start_ns, rate, count };
                    let wire = wire.as_mut().expect("it has just been opened");
                    wire.publish(&peer, &schedule, &told)
                }
            };
            let ran = (clock::thread_cpu_ns() - begin_cpu) as f64 / begin.elapsed().as_nanos() as f64;
            posted.map(|posted| (posted, Busy { ran, waited: 0.0 }, wire))
        };
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(post)?;
        let (posted, busy, wire) = thread.join().expect("the publisher panicked")?;
        self.wire = wire;
        Ok((posted, busy))
    }
}

/// What should have come against what did; times and costs are still missing.
fn verify(results: Vec<SubscriberResults>, posted: &Posted, live: u32, ended: u32) -> Step {
    let messages = posted.accepted.iter().filter(|accepted| **accepted).count() as u64;
    let mut step = Step {
        subscribers: live,
        messages,
        expected: u64::from(live) * messages,
        ended,
        publish_errors: posted.errors,
        faults: posted.faults.clone(),
        ..Step::default()
    };
    let (mut thirds, mut last_ns, mut bytes) = ([microseconds(), microseconds(), microseconds()], 0, 0);
    let mut complete = Vec::new();
    for taking in results {
        step.duplicated += taking.duplicated;
        step.garbled += taking.garbled;
        step.foreign += taking.foreign;
        step.faults.extend(taking.faults);
        bytes += taking.delivered_bytes;
        last_ns = last_ns.max(taking.last_ns);
        for (all, part) in thirds.iter_mut().zip(&taking.thirds) {
            all.add(part).expect("all histograms have the same bounds");
        }
        for (number, received) in taking.receipts {
            let accepted = (0..).zip(&posted.accepted).filter(|(_, accepted)| **accepted).map(|(index, _)| index);
            let missing: Vec<u32> = accepted.filter(|index| !received.has(*index)).collect();
            step.received += messages - missing.len() as u64;
            match missing.first() {
                None => complete.push((number, received.order())),
                Some(first) => {
                    step.faults.push(format!("subscriber {number}: {} {NEVER}, the first is {first}", missing.len()))
                }
            }
        }
    }
    step.lost = step.expected.saturating_sub(step.received);
    let common = receipts::common_order(complete.iter().map(|(_, order)| *order));
    for (number, _) in complete.iter().filter(|(_, order)| Some(*order) != common) {
        step.out_of_order += 1;
        step.faults.push(format!("subscriber {number}: the messages came in another order than to most"));
    }
    step.faults.truncate(limits::FAULTS_TOLD);
    step.third_p50_ms = thirds.each_ref().map(|third| third.value_at_quantile(0.5) as f64 / 1e3);
    let [mut all, second, third] = thirds;
    all.add(second).and_then(|()| all.add(third)).expect("all histograms have the same bounds");
    step.bytes_per_delivery = bytes as f64 / (all.len().max(1)) as f64;
    step.latency_ms = Times::of(&all);
    step.last_ns = last_ns;
    step
}

/// Adds times and costs.
fn measure(
    mut step: Step,
    rate: f64,
    schedule: &MessageSchedule,
    posted: &Posted,
    publisher: Busy,
    begin: &Moment,
    end: &Moment,
) -> Step {
    let delivered = step.latency_ms.count;
    let wall_ns = (end.at - begin.at).as_nanos() as u64;
    // A window shorter than the time in which the messages were meant to be sent would promise more than was asked for.
    let window_ns = step.last_ns.saturating_sub(schedule.start_ns).max(schedule.length_ns);
    step.rate = rate;
    step.window_seconds = window_ns as f64 / 1e9;
    step.deliveries_per_second = delivered as f64 / step.window_seconds;
    let [_, second, third] = step.third_p50_ms;
    step.growth = (third - second) / 1e3 / (schedule.length_ns as f64 / 3e9);
    step.kept_up = step.is_sound() && step.unfinished == 0 && step.growth <= limits::GROWTH_MAX;
    step.answer_ms = Times::of(&posted.answer);
    step.publisher_lag_ms = Times::of(&posted.lag);
    if let (Some(before), Some(after)) = (&begin.server, &end.server) {
        let cpu = cpu_between(before, after);
        step.server_cpu_us_per_delivery = (delivered > 0).then(|| cpu / 1e3 / delivered as f64);
        step.server_cpus = Some(cpu / wall_ns as f64);
        step.server_busiest = Some(busiest(before, after, wall_ns));
    }
    let pairs = begin.threads.iter().zip(&end.threads);
    step.client_threads = pairs.map(|(before, after)| Busy::between(*before, *after, wall_ns)).collect();
    step.client_threads.push(publisher);
    let client = step.client_threads.iter().map(|busy| busy.wanted()).fold(0.0, f64::max);
    step.bottleneck = Bottleneck::of(step.server_busiest.map(Busy::wanted), client);
    step
}
