//! Histograms of times, their percentiles, and other sums over measurements.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::base::limits;

/// Times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Half of them are shorter.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Times {
    /// From a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Times {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        let max = histogram.max() as f64 / 1e3;
        Times { count: histogram.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max }
    }
}

/// The middle one; of an even number the upper of the two.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Times { p50, p90, p99, p999, max, .. } = self;
        write!(f, "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

/// A histogram of microseconds.
pub fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 3).expect("the bounds are sound")
}

/// One of the many that the threads have: exact to a hundredth, and a tenth of the memory.
pub fn coarse() -> Histogram<u64> {
    Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 2).expect("the bounds are sound")
}

/// Records a time; longer than the histogram's longest counts as that.
pub fn record(times: &mut Histogram<u64>, ns: u64) {
    times.saturating_record((ns / 1_000).max(1));
}

/// A quotient that is 0 if there is nothing to divide by: JSON has no other numbers.
pub fn per(part: f64, whole: f64) -> f64 {
    let quotient = part / whole;
    if quotient.is_finite() { quotient } else { 0.0 }
}
