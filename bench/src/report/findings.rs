//! Everything that a run found: the report, its course, and the histograms.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::base::times::Times;
use crate::model::script::Kind;
use crate::report::run::RunReport;
use crate::report::series::Series;

/// Histograms of microseconds, by kind.
pub type Histograms = BTreeMap<Kind, Histogram<u64>>;

/// Everything that a run found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The numbers.
    pub report: RunReport,
    /// Its course.
    pub series: Series,
    /// From an event's intended time to each receipt, in microseconds.
    pub latency: Histograms,
    /// From an event's intended time to its last receipt, in microseconds.
    pub last_session: Histograms,
}

impl Findings {
    /// Fills in the report what follows from the rest: all percentiles of deliveries, the sums, the peak, the verdict.
    pub fn conclude(&mut self) {
        for (kind, histogram) in &self.latency {
            self.report.kinds.entry(*kind).or_default().latency_ms = Times::of(histogram);
        }
        for (kind, histogram) in &self.last_session {
            self.report.kinds.entry(*kind).or_default().last_session_ms = Times::of(histogram);
        }
        self.report.all.latency_ms = merged(&self.latency).as_ref().map(Times::of).unwrap_or_default();
        self.report.all.last_session_ms = merged(&self.last_session).as_ref().map(Times::of).unwrap_or_default();
        let rates = self.series.points.iter().map(|point| point.deliveries_per_second);
        self.report.traffic.peak_deliveries_per_second = rates.fold(0.0, f64::max);
        self.report.conclude();
    }
}

/// All kinds in one; `None` if nothing was recorded.
pub fn merged(histograms: &Histograms) -> Option<Histogram<u64>> {
    let mut all: Option<Histogram<u64>> = None;
    for histogram in histograms.values().filter(|histogram| !histogram.is_empty()) {
        match &mut all {
            Some(all) => all.add(histogram).expect("all histograms have the same bounds"),
            None => all = Some(histogram.clone()),
        }
    }
    all
}
