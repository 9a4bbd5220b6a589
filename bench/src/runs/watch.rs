//! Watches a pool: what it tells each second, on the terminal and for the report's course.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::base::progress::ProgressLine;
use crate::generate::clients::pool::ClientPool;
use crate::generate::rest_driver::DriverProgress;
use crate::report::series::{ListSubscription, Sampler, Series};

/// Between two looks.
const SAMPLE: Duration = Duration::from_secs(1);

/// The watcher.
#[derive(Debug)]
pub struct Watch {
    line: ProgressLine,
    sampler: Sampler,
    /// What was seen.
    pub series: Series,
    /// When the traffic began or will begin; before that is known, when watching began.
    zero: Instant,
    last: Instant,
    advance: Arc<DriverProgress>,
}

impl Watch {
    /// Begins now. `server` is the server's process, if it can be watched; `advance` tells how far the driver is.
    pub fn new(quiet: bool, server: Option<i32>, advance: Arc<DriverProgress>) -> Watch {
        let now = Instant::now();
        Watch {
            line: ProgressLine::new(quiet),
            sampler: Sampler::new(server, 0.0),
            series: Series::default(),
            zero: now,
            last: now,
            advance,
        }
    }

    /// The traffic begins then: what was seen before has negative times.
    pub fn begin(&mut self, at: Instant) {
        let shift = at.saturating_duration_since(self.zero).as_secs_f64();
        self.series.points.iter_mut().for_each(|point| point.seconds -= shift);
        self.sampler.shift(-shift);
        self.zero = at;
    }

    /// Looks, if it is time to.
    pub fn look(&mut self, pool: &mut ClientPool, phase: &str) {
        if self.last.elapsed() >= SAMPLE {
            self.look_now(pool, phase);
        }
    }

    /// Looks.
    pub fn look_now(&mut self, pool: &mut ClientPool, phase: &str) {
        self.last = Instant::now();
        let look = pool.look();
        let standing = pool.standing();
        let latency = look.latencies.all();
        let failed = self.advance.errors.load(Ordering::Relaxed);
        let (ahead, since) =
            (self.zero.saturating_duration_since(self.last), self.last.saturating_duration_since(self.zero));
        let point = self.sampler.sample(ListSubscription {
            seconds: since.as_secs_f64() - ahead.as_secs_f64(),
            connected: standing.connected,
            live: standing.live,
            delivered: look.counts.delivered,
            latency: &latency,
            posts: u64::from(self.advance.done.load(Ordering::Relaxed) + failed),
            errors: look.counts.faults() + u64::from(failed),
        });
        self.line.show(&format!("{phase:<8} {point}"));
        self.series.points.push(point);
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.line.finish();
    }
}
