//! Admission: which clients may begin or continue a session now, which wait a moment, and which must come back later.
//!
//! Lives on: every core, for the sessions that begin or go on there.
//! A core takes as many identifies and resumes a second as it manages, by a token bucket for each. The rates fall while
//! READY takes long or the core's ticks come late, and rise while a client had to wait without that. Resumes are cheap
//! and lose much if they wait, so identifies give way first. A client that finds the bucket empty waits in line, for
//! some seconds; when the line is full or the wait was too long, it gets Invalid Session at a random time (resumable,
//! for a resume), since many libraries come back at once. Before that line is endless, the door refuses upgrades.
//! Invariant: a connection that waits here carries no session.
//! Source: Discord docs, Gateway/Invalid Session, Gateway/Rate Limiting.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::clock::Time;
use crate::base::metrics::Counter;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::shard::home::handshake::{Identify, Resume, Resumption};
use crate::wire::close::CloseCode;

/// How many may come, as far as the operator decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Identifies per second and core at most, whatever the core manages.
    pub identifies: u64,
    /// Resumes per second and core at most.
    pub resumes: u64,
    /// How many wait in each line at most.
    pub line: usize,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            identifies: limits::IDENTIFY_RATE_MAX,
            resumes: limits::RESUME_RATE_MAX,
            line: limits::ADMISSION_LINE_MAX,
        }
    }
}

/// Lets through so many a second, and a short burst.
///
/// Invariant: `least ≤ rate ≤ most`; there are never more tokens than a burst has.
#[derive(Debug)]
pub struct Bucket {
    rate: u64,
    least: u64,
    most: u64,
    /// In millionths.
    tokens: u64,
    filled_at: Time,
    /// Tokens taken since the last review.
    taken: u64,
    /// A client found it empty since the last review.
    short: bool,
}

const TOKEN: u64 = 1_000_000;

impl Bucket {
    /// A full bucket.
    pub fn new(start: u64, least: u64, most: u64) -> Bucket {
        let most = most.max(1);
        let least = least.min(most);
        let mut bucket = Bucket {
            rate: start.clamp(least, most),
            least,
            most,
            tokens: 0,
            filled_at: Time::default(),
            taken: 0,
            short: false,
        };
        bucket.tokens = bucket.burst();
        bucket
    }

    /// Tokens per second.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        let passed = now.since(self.filled_at).min(limits::ADMISSION_BURST).as_nanos() as u64;
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + self.rate * passed / 1_000).min(self.burst());
        if self.tokens < TOKEN {
            self.short = true;
            return false;
        }
        self.tokens -= TOKEN;
        self.taken += 1;
        true
    }

    /// Whether anybody came through since the last review.
    fn was_used(&self) -> bool {
        self.taken > 0
    }

    /// Follows what the core manages: a third less under strain, a sixteenth more where the bucket alone made clients
    /// wait.
    fn review(&mut self, strained: bool) {
        if strained {
            self.rate = (self.rate * 2 / 3).max(self.least);
        } else if self.short {
            self.rate = (self.rate + self.rate / 16 + 1).min(self.most);
        }
    }

    fn begin_anew(&mut self) {
        (self.taken, self.short) = (0, false);
    }

    fn burst(&self) -> u64 {
        let burst = u128::from(self.rate) * limits::ADMISSION_BURST.as_micros();
        (burst as u64).max(TOKEN)
    }
}

/// Who waits in line, and with what.
#[derive(Debug)]
struct Queued<T> {
    connection: Key,
    since: Time,
    request: T,
}

/// One core's admission.
#[derive(Debug)]
pub(super) struct Admission {
    identifies: Bucket,
    resumes: Bucket,
    line: usize,
    identifying: VecDeque<Queued<Identify>>,
    resuming: VecDeque<Queued<Resume>>,
    /// Clients that get Invalid Session, by due time; true: resumable.
    deferred: BTreeSet<(Time, Key, bool)>,
    /// Sessions that have identified and are not yet ready.
    pub(super) underway: usize,
    /// The longest time from identify to READY since the last review.
    longest: Duration,
    ticked_at: Option<Time>,
    /// Not before this time is a rate lowered again: what it was lowered for takes a while to pass.
    settled_at: Time,
}

impl Admission {
    pub(super) fn new(pace: Pace) -> Admission {
        let Pace { identifies, resumes, line } = pace;
        Admission {
            identifies: Bucket::new(limits::IDENTIFY_RATE_START, limits::IDENTIFY_RATE_MIN, identifies),
            resumes: Bucket::new(limits::RESUME_RATE_START, limits::RESUME_RATE_MIN, resumes),
            line,
            identifying: VecDeque::new(),
            resuming: VecDeque::new(),
            deferred: BTreeSet::new(),
            underway: 0,
            longest: Duration::ZERO,
            ticked_at: None,
            settled_at: Time::default(),
        }
    }

    /// READY was dispatched so long after its identify.
    pub(super) fn ready_after(&mut self, took: Duration) {
        self.longest = self.longest.max(took);
    }

    fn admits_identify(&mut self, now: Time) -> bool {
        self.underway < limits::IDENTIFIES_UNDERWAY_MAX && self.identifies.take(now)
    }

    /// A tick: the rates follow what was measured since the last one.
    pub(super) fn review(&mut self, now: Time) {
        let lag = self.ticked_at.map_or(Duration::ZERO, |last| now.since(last).saturating_sub(limits::TICK));
        self.ticked_at = Some(now);
        let late = lag > limits::ADMISSION_LAG_MAX;
        let strained = late || self.longest > limits::ADMISSION_READY_MAX;
        if !strained {
            self.identifies.review(false);
            self.resumes.review(false);
        } else if now >= self.settled_at {
            // Identifies give way first. Without any, resumes are what makes the core late.
            if self.identifies.was_used() {
                self.identifies.review(true);
                self.settled_at = now + limits::ADMISSION_SETTLING;
            } else if late && self.resumes.was_used() {
                self.resumes.review(true);
                self.settled_at = now + limits::ADMISSION_SETTLING;
            }
        }
        self.identifies.begin_anew();
        self.resumes.begin_anew();
        self.longest = Duration::ZERO;
    }

    fn waiting(&self) -> usize {
        self.identifying.len() + self.resuming.len() + self.deferred.len()
    }
}

impl Home {
    /// A client identifies on a connection without a session: one begins, now or when it is its turn.
    pub(in crate::shard) fn identify(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        identify: Identify,
        out: &mut Outbox,
    ) {
        cx.metrics.count(Counter::Identifies, 1);
        if self.admission.identifying.is_empty() && self.admission.admits_identify(now) {
            return self.begin(cx, now, now, key, identify, out);
        }
        // The connection is gone: nothing waits.
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.wait(now);
        if self.admission.identifying.len() < self.admission.line {
            cx.metrics.count(Counter::AdmissionsDelayed, 1);
            self.admission.identifying.push_back(Queued { connection: key, since: now, request: identify });
        } else {
            self.defer(cx, now, key, false);
        }
    }

    /// A client wants to continue a session on a connection without one: it does, now or when it is its turn.
    pub(in crate::shard) fn resume(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        resume: Resume,
        out: &mut Outbox,
    ) -> Resumption {
        let lives_here = resume.session.is_some_and(|session| session.home == cx.me);
        if !lives_here || (self.admission.resuming.is_empty() && self.admission.resumes.take(now)) {
            return self.resume_session(cx, now, key, resume, out);
        }
        let Some(connection) = self.connections.get_mut(key) else { return Resumption::Waits };
        connection.wait(now);
        if self.admission.resuming.len() < self.admission.line {
            cx.metrics.count(Counter::AdmissionsDelayed, 1);
            self.admission.resuming.push_back(Queued { connection: key, since: now, request: resume });
        } else {
            self.defer(cx, now, key, true);
        }
        Resumption::Waits
    }

    /// Admits clients whose turn it is, resumes first, and sends the due Invalid Sessions. A part of a turn, and
    /// bounded.
    pub(super) fn admit_waiting(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        for _ in 0..limits::ADMISSION_SLICE {
            let Some(first) = self.admission.resuming.front() else { break };
            let (key, since, resume) = (first.connection, first.since, first.request);
            let late = now.since(since) > limits::ADMISSION_WAIT_MAX;
            if self.still_waits(key) && !late && !self.admission.resumes.take(now) {
                break;
            }
            self.admission.resuming.pop_front();
            if !self.still_waits(key) {
                continue;
            }
            if late {
                self.defer(cx, now, key, true);
                continue;
            }
            self.stop_waiting(key);
            if self.resume_session(cx, now, key, resume, out) == Resumption::FromTheFuture {
                self.close_connection(cx, now, key, CloseCode::InvalidSeq, None, out);
            }
        }
        for _ in 0..limits::ADMISSION_SLICE {
            let Some(first) = self.admission.identifying.front() else { break };
            let (key, since) = (first.connection, first.since);
            let late = now.since(since) > limits::ADMISSION_WAIT_MAX;
            if self.still_waits(key) && !late && !self.admission.admits_identify(now) {
                break;
            }
            let Some(first) = self.admission.identifying.pop_front() else { break };
            if !self.still_waits(key) {
                continue;
            }
            if late {
                self.defer(cx, now, key, false);
                continue;
            }
            self.stop_waiting(key);
            self.begin(cx, now, since, key, first.request, out);
        }
        for _ in 0..limits::ADMISSION_SLICE {
            let Some((_, key, resumable)) = self.admission.deferred.first().copied().filter(|(due, ..)| *due <= now)
            else {
                break;
            };
            self.admission.deferred.pop_first();
            if self.still_waits(key) {
                self.stop_waiting(key);
                self.queue_on(key, |connection| connection.dismiss(now, resumable));
            }
        }
    }

    /// For how many seconds a client that wants to connect should stay away, if there are too many here already.
    pub(in crate::shard) fn retry_after(&mut self, cx: &mut Context) -> Option<u64> {
        (self.admission.waiting() >= limits::ADMISSION_CROWD_MAX).then(|| {
            cx.metrics.count(Counter::UpgradesRefused, 1);
            let spread = limits::RETRY_AFTER_MAX.as_secs() - limits::RETRY_AFTER_MIN.as_secs() + 1;
            limits::RETRY_AFTER_MIN.as_secs() + cx.prng.below(spread)
        })
    }

    /// Identifies per second that this core admits at present.
    pub(in crate::shard) fn identify_rate(&self) -> u64 {
        self.admission.identifies.rate()
    }

    /// Has a connection told to come back, at a time drawn at random: the more there are, the later.
    fn defer(&mut self, cx: &mut Context, now: Time, key: Key, resumable: bool) {
        cx.metrics.count(Counter::AdmissionsRefused, 1);
        let bucket = if resumable { &self.admission.resumes } else { &self.admission.identifies };
        let backlog = Duration::from_millis(self.admission.deferred.len() as u64 * 1_000 / bucket.rate().max(1));
        let most = (limits::DISMISSAL_MIN * 4 + backlog).min(limits::DISMISSAL_MAX);
        let spread = most - limits::DISMISSAL_MIN;
        let due = now + limits::DISMISSAL_MIN + Duration::from_nanos(cx.prng.below(spread.as_nanos() as u64));
        self.admission.deferred.insert((due, key, resumable));
    }

    fn still_waits(&self, key: Key) -> bool {
        self.connections.get(key).is_some_and(|connection| connection.waits() && !connection.is_closing())
    }

    fn stop_waiting(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.stop_waiting();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of a crowd that knocks all the time come through within a second.
    fn second(bucket: &mut Bucket, from: Time) -> u64 {
        (0..10_000).filter(|step| bucket.take(from + SECOND * *step / 10_000)).count() as u64
    }

    #[test]
    fn a_bucket_lets_its_rate_through_and_a_burst_once() {
        let mut bucket = Bucket::new(1_000, 10, 5_000);
        let burst = 1_000 * limits::ADMISSION_BURST.as_millis() as u64 / 1_000;
        let now = Time::from_millis(1_000_000);
        assert!((1_000 + burst - 1..=1_000 + burst).contains(&second(&mut bucket, now)));
        assert!((999..=1_001).contains(&second(&mut bucket, now + SECOND)));
        // An hour of silence is no credit for more than a burst.
        assert!((1_000 + burst - 1..=1_000 + burst).contains(&second(&mut bucket, now + SECOND * 3_600)));
        // A clock that seems to stand still gives nothing.
        assert!((0..100).filter(|_| bucket.take(now)).count() <= 1);
    }

    #[test]
    fn the_slowest_bucket_lets_somebody_through_in_the_end() {
        let mut bucket = Bucket::new(1, 1, 1);
        let now = Time::from_millis(5_000);
        assert!(bucket.take(now) && !bucket.take(now));
        let through = (1..=400).filter(|step| bucket.take(now + SECOND * *step / 10)).count();
        assert!((39..=40).contains(&through), "{through}");
    }

    fn admission() -> Admission {
        Admission::new(Pace::default())
    }

    /// A tick after as much as a bucket holds was asked for, with so long a READY and so late a tick.
    fn tick(
        admission: &mut Admission,
        now: &mut Time,
        (identifies, resumes): (u64, u64),
        ready: Duration,
        lag: Duration,
    ) {
        for _ in 0..identifies {
            admission.identifies.take(*now);
        }
        for _ in 0..resumes {
            admission.resumes.take(*now);
        }
        admission.ready_after(ready);
        *now = *now + limits::TICK + lag;
        admission.review(*now);
    }

    #[test]
    fn rates_follow_what_the_core_manages() {
        let (mut admission, mut now) = (admission(), Time::from_millis(1_000_000));
        let (start, resumes) = (admission.identifies.rate(), admission.resumes.rate());
        let quick = Duration::from_millis(5);
        for _ in 0..10 {
            tick(&mut admission, &mut now, (10, 10), quick, Duration::ZERO);
        }
        assert_eq!(admission.identifies.rate(), start, "whom nothing holds back needs no higher rate");
        for _ in 0..10 {
            tick(&mut admission, &mut now, (100_000, 0), quick, Duration::ZERO);
        }
        let risen = admission.identifies.rate();
        assert!(risen > start * 3 / 2, "{risen}");
        tick(&mut admission, &mut now, (1_000, 1_000), limits::ADMISSION_READY_MAX * 2, Duration::ZERO);
        assert!(admission.identifies.rate() < risen);
        let fallen = admission.identifies.rate();
        tick(&mut admission, &mut now, (1_000, 1_000), limits::ADMISSION_READY_MAX * 2, Duration::ZERO);
        assert_eq!(admission.identifies.rate(), fallen, "it is given time to settle");
        for _ in 0..400 {
            tick(&mut admission, &mut now, (1_000, 1_000), quick, limits::ADMISSION_LAG_MAX * 2);
        }
        assert_eq!(admission.identifies.rate(), limits::IDENTIFY_RATE_MIN);
        assert_eq!(admission.resumes.rate(), resumes, "identifies give way first");
        for _ in 0..10 {
            tick(&mut admission, &mut now, (0, 1_000), Duration::ZERO, limits::ADMISSION_LAG_MAX * 2);
        }
        assert!(admission.resumes.rate() < resumes, "and resumes where there is nobody else");
    }

    #[test]
    fn the_operators_bound_is_kept() {
        let mut admission = Admission::new(Pace { identifies: 20, resumes: 0, line: 4 });
        let mut now = Time::from_millis(1_000);
        for _ in 0..100 {
            tick(&mut admission, &mut now, (1_000, 1_000), Duration::ZERO, Duration::ZERO);
        }
        assert_eq!((admission.identifies.rate(), admission.resumes.rate()), (20, 1));
    }
}
