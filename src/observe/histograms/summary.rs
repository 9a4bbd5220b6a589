//! The summary: the numbers that scripts want, as JSON.
//!
//! Lives on: the main thread.
//! Latencies in microseconds; what has no values has a count of 0 and `null` for the rest. Metrics and counters are all
//! there, routes that were called.

use std::io;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use crate::base::clock::iso8601;
use crate::base::metrics::{Counter, Metric, Metrics};
use crate::observe::histograms::Dump;
use crate::observe::histograms::units::micros;

#[derive(Serialize)]
struct Summary<'a> {
    version: &'a str,
    started: String,
    ended: String,
    seconds: f64,
    cores: usize,
    unit: &'static str,
    merged: Part,
    per_core: Vec<Part>,
}

/// What one core measured, or all together.
#[derive(Serialize)]
struct Part {
    metrics: NamedHistogram<Latency>,
    routes: NamedHistogram<Latency>,
    counters: NamedHistogram<u64>,
}

#[derive(Serialize)]
struct Latency {
    count: u64,
    mean: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    #[serde(rename = "p99.9")]
    p99_9: Option<f64>,
    max: Option<f64>,
}

/// A JSON object whose members keep their order.
struct NamedHistogram<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for NamedHistogram<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The file's content.
pub(super) fn json(dump: &Dump<'_>, merged: &Metrics) -> io::Result<Vec<u8>> {
    let summary = Summary {
        version: dump.version,
        started: iso8601(dump.started.millis()),
        ended: iso8601(dump.ended.millis()),
        seconds: dump.ended.since(dump.started).as_secs_f64(),
        cores: dump.cores.len(),
        unit: "us",
        merged: part(merged),
        per_core: dump.cores.iter().map(part).collect(),
    };
    let mut json = serde_json::to_vec_pretty(&summary)?;
    json.push(b'\n');
    Ok(json)
}

fn part(metrics: &Metrics) -> Part {
    Part {
        metrics: NamedHistogram(
            Metric::ALL.iter().map(|metric| (metric.name(), latency(metrics.histogram(*metric)))).collect(),
        ),
        routes: NamedHistogram(metrics.routes().map(|(route, histogram)| (route, latency(histogram))).collect()),
        counters: NamedHistogram(
            Counter::ALL.iter().map(|counter| (counter.name(), metrics.counter(*counter))).collect(),
        ),
    }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let some = |value: f64| (!histogram.is_empty()).then_some(value);
    let at = |quantile| some(micros(histogram.value_at_quantile(quantile)));
    Latency {
        count: histogram.len(),
        // As whole nanoseconds, like the others.
        mean: some(micros(histogram.mean().round() as u64)),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        max: some(micros(histogram.max())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::histograms::{minute, sample};

    #[test]
    fn the_summary_has_all_cores_together_and_each() {
        let cores = sample();
        let dump = minute(&cores);
        let merged = dump.merged();
        let summary: Value = serde_json::from_slice(&json(&dump, &merged).unwrap()).unwrap();

        assert_eq!(summary["version"], "1.2.3");
        assert_eq!(summary["started"], "2026-11-23T21:06:22.500000+00:00");
        assert_eq!(summary["ended"], "2026-11-23T21:07:22.500000+00:00");
        assert_eq!((&summary["seconds"], &summary["cores"]), (&json!(60.0), &json!(2)));
        let hop = &summary["merged"]["metrics"]["lane_hop"];
        let histogram = merged.histogram(Metric::LaneHop);
        assert_eq!(hop["count"], 60_000);
        assert_eq!(hop["p99.9"], json!(micros(histogram.value_at_quantile(0.999))));
        assert_eq!(hop["max"], json!(micros(histogram.max())));
        assert_eq!(summary["per_core"][0]["metrics"]["lane_hop"]["count"], 20_000);
        assert_eq!(summary["per_core"][1]["metrics"]["lane_hop"]["count"], 40_000);
        assert_eq!(summary["merged"]["routes"]["GET /gateway"]["count"], 2);
        assert_eq!(summary["merged"]["counters"]["sends"], 2 * 1_234_567 + 1);
        assert_eq!(summary["per_core"][1]["counters"]["sends"], 1_234_568);
        assert_eq!(summary["merged"]["counters"].as_object().unwrap().len(), Counter::ALL.len());
    }

    #[test]
    fn what_has_no_values_is_there_with_count_0() {
        let dump = minute(&[]);
        let summary: Value = serde_json::from_slice(&json(&dump, &dump.merged()).unwrap()).unwrap();
        let resume = &summary["merged"]["metrics"]["resume"];
        assert_eq!((&resume["count"], &resume["p50"]), (&json!(0), &Value::Null));
        assert_eq!(summary["merged"]["metrics"].as_object().unwrap().len(), Metric::ALL.len());
    }
}
