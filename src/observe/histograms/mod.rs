//! Latency histograms as files: what a run measured, for people and for the usual readers.
//!
//! Lives on: the main thread, on SIGUSR1 and after the cores have ended.
//! Everything is rendered in memory from a [`Dump`], a copy of what the cores measured; `folder.rs` then puts it on the
//! disk. Nothing here can stop the server: what fails is an `io::Error`. Read next: `folder.rs`, then one file for each
//! format.

mod folder;
mod hgrm;
mod hlog;
mod plot;
mod summary;
mod table;
mod units;

use std::io;

use crate::base::clock::Time;
use crate::base::metrics::{Metric, Metrics};

pub use folder::Folder;
pub use table::table;

/// The file that is put in place last: where it is, everything is.
const SUMMARY: &str = "summary.json";

/// What is written out.
#[derive(Debug, Clone, Copy)]
pub struct Dump<'a> {
    /// When the server started; the directory is named after it.
    pub started: Time,
    /// When the measurements were taken.
    pub ended: Time,
    /// The server's version.
    pub version: &'a str,
    /// What the cores measured, by their number. A core that did not answer has an empty place.
    pub cores: &'a [Metrics],
}

impl Dump<'_> {
    /// All cores together.
    fn merged(&self) -> Metrics {
        self.cores.iter().fold(Metrics::default(), |mut sum, core| {
            sum.merge(core);
            sum
        })
    }
}

/// One file: name and content.
type Rendered = (String, Vec<u8>);

/// All files of a dump, the summary at the end.
fn render(dump: &Dump<'_>) -> io::Result<Vec<Rendered>> {
    let merged = dump.merged();
    let mut files = vec![("guildhall.hlog".to_owned(), hlog::log(dump, &merged)?)];
    for metric in Metric::ALL {
        let histogram = merged.histogram(*metric);
        if !histogram.is_empty() {
            files.push((format!("{}.hgrm", metric.name()), hgrm::text(histogram).into_bytes()));
        }
    }
    files.push(("histograms.svg".to_owned(), plot::svg(dump, &merged)?.into_bytes()));
    files.push((SUMMARY.to_owned(), summary::json(dump, &merged)?));
    Ok(files)
}

/// Two cores with some tens of thousands of values each, the same ones every time.
#[cfg(test)]
fn sample() -> Vec<Metrics> {
    use std::time::Duration;

    use crate::base::metrics::Counter;

    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut core = |number: u64| {
        let mut metrics = Metrics::default();
        let metrics_and_medians = [
            (Metric::PublishToLastFlush, 900_000.0, 2_000),
            (Metric::PublishToFlush, 210_000.0, 40_000),
            (Metric::LaneHop, 9_000.0, 20_000),
            (Metric::TurnLength, 40_000.0, 30_000),
            (Metric::StoreCommit, 1_500_000.0, 900),
        ];
        for (metric, median, count) in metrics_and_medians {
            for _ in 0..count * (number + 1) {
                // The sum of four is nearly normal; its exponential has the long tail that latencies have.
                let normal = (0..4).map(|_| random()).sum::<f64>() - 2.0;
                let tail = if random() > 0.999 { 8.0 } else { 1.0 };
                metrics.record(metric, Duration::from_nanos((median * (1.6 * normal).exp() * tail) as u64));
            }
        }
        metrics.record_route("GET /gateway", Duration::from_micros(150 + number));
        metrics.record_route("POST /channels/{channel}/messages", Duration::from_micros(2_400 + number));
        metrics.count(Counter::Sends, 1_234_567 + number);
        metrics
    };
    vec![core(0), core(1)]
}

/// A minute measured by the cores given.
#[cfg(test)]
fn minute(cores: &[Metrics]) -> Dump<'_> {
    // 2026-11-23T21:06:22.500Z
    let started = Time::from_millis(1_795_467_982_500);
    Dump { started, ended: started + std::time::Duration::from_secs(60), version: "1.2.3", cores }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_there_for_what_has_values_and_the_summary_comes_last() {
        let cores = sample();
        let names: Vec<String> = render(&minute(&cores)).unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"lane_hop.hgrm".to_owned()));
        assert!(!names.contains(&"resume.hgrm".to_owned()));
        assert_eq!(names.last().map(String::as_str), Some(SUMMARY));
    }

    #[test]
    fn a_server_that_measured_nothing_still_writes() {
        let cores = [Metrics::default()];
        let names: Vec<String> = render(&minute(&cores)).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["guildhall.hlog", "histograms.svg", SUMMARY]);
        assert_eq!(render(&minute(&[])).unwrap().len(), 3);
    }
}
