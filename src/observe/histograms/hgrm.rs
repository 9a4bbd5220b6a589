//! A histogram as percentile distribution, the text that the HdrHistogram plotter reads.
//!
//! Lives on: the main thread.
//! The same text as `outputPercentileDistribution` of the Java HdrHistogram, values in microseconds. The levels are
//! walked here, in percent as there, because the crate's quantiles, from 0 to 1, differ from those in the last digits
//! that are printed.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::observe::histograms::units::micros;

/// Lines for each halving of the distance to 100%; the usual number.
const TICKS_PER_HALF_DISTANCE: f64 = 5.0;

/// The distribution, with heading and footer.
pub(super) fn text(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let places = usize::from(histogram.sigfig());
    let total = histogram.len();
    let (mut level, mut so_far) = (0.0_f64, 0);
    for bucket in histogram.iter_recorded() {
        so_far += bucket.count_at_value();
        let value = micros(bucket.value_iterated_to());
        while level < 100.0 && 100.0 * so_far as f64 / total as f64 >= level {
            let quantile = level / 100.0;
            let inverse = 1.0 / (1.0 - quantile);
            let (quantile, inverse) = (fixed(quantile, 12), fixed(inverse, 2));
            put(&mut text, format_args!("{value:12.places$} {quantile} {so_far:10} {inverse:>14}\n"));
            let halvings = (100.0 / (100.0 - level)).log2().floor();
            level += 100.0 / (TICKS_PER_HALF_DISTANCE * (halvings + 1.0).exp2());
            if so_far == total {
                break;
            }
        }
    }
    let max = micros(histogram.max());
    if total > 0 {
        put(&mut text, format_args!("{max:12.places$} {:2.12} {total:10}\n", 1.0));
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    put(&mut text, format_args!("#[Mean    = {mean:12.places$}, StdDeviation   = {deviation:12.places$}]\n"));
    put(&mut text, format_args!("#[Max     = {max:12.places$}, Total count    = {total:12}]\n"));
    let buckets = usize::from(histogram.buckets());
    // The table of counts has half a row for each bucket and one half more for the first.
    let sub_buckets = 2 * histogram.distinct_values() / (buckets + 1);
    put(&mut text, format_args!("#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n"));
    text
}

/// Rounds as Java does: the shortest decimal form, and halves up. Rust rounds the binary value, and halves to even.
fn fixed(value: f64, places: usize) -> String {
    let shortest = value.to_string();
    let is_half = shortest.split_once('.').is_some_and(|(_, fraction)| fraction.get(places..) == Some("5"));
    // One more digit makes it more than half.
    let value = if is_half { (shortest + "1").parse().unwrap_or(value) } else { value };
    format!("{value:.places$}")
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes what it is given");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::metrics::{Metric, Metrics};
    use crate::observe::histograms::{minute, sample};

    /// Value, quantile, count of each line.
    fn read(text: &str) -> Vec<(f64, f64, u64)> {
        text.lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let quantile: f64 = words[1].parse().unwrap();
                match words.get(3) {
                    Some(inverse) => assert!((inverse.parse::<f64>().unwrap() * (1.0 - quantile) - 1.0).abs() < 0.01),
                    None => assert_eq!(quantile, 1.0),
                }
                (words[0].parse().unwrap(), quantile, words[2].parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn lines_say_what_the_histogram_says() {
        let cores = sample();
        let merged = minute(&cores).merged();
        for metric in [Metric::LaneHop, Metric::StoreCommit, Metric::PublishToFlush] {
            let histogram = merged.histogram(metric);
            let lines = read(&text(histogram));
            assert!(lines.len() > 30, "{} lines", lines.len());
            for (value, quantile, count) in &lines {
                // Printed with twelve digits, the level may have moved over the edge of a bucket.
                let around = [quantile - 1e-12, *quantile, quantile + 1e-12];
                let values = around.map(|q| micros(histogram.value_at_quantile(q.clamp(0.0, 1.0))));
                assert!(values.contains(value), "{value} at {quantile}, the histogram has {values:?}");
                assert_eq!(*count, histogram.count_between(0, (value * 1e3).round() as u64));
            }
            assert!(lines.is_sorted_by(|a, b| a.0 <= b.0 && a.1 < b.1 && a.2 <= b.2));
            assert_eq!(*lines.last().unwrap(), (micros(histogram.max()), 1.0, histogram.len()));
            let halfway = lines.iter().filter(|line| line.1 >= 0.5 && line.1 < 0.75).count();
            assert_eq!(halfway, 5);
        }
    }

    #[test]
    fn the_text_is_that_of_the_java_library() {
        let mut metrics = Metrics::default();
        for micros in [1, 10, 10, 2_000] {
            metrics.record(Metric::Resume, std::time::Duration::from_micros(micros));
        }
        assert_eq!(text(metrics.histogram(Metric::Resume)), include_str!("small.hgrm"));
    }

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!(fixed(0.9997802734375, 12), "0.999780273438");
        assert_eq!(fixed(0.9999267578125, 12), "0.999926757813");
        assert_eq!(
            [fixed(0.125, 2), fixed(2.5, 2), fixed(3.0, 2), fixed(1.0 / 3.0, 2)],
            ["0.13", "2.50", "3.00", "0.33"]
        );
    }

    #[test]
    fn a_histogram_without_values_has_only_heading_and_footer() {
        let text = text(Metrics::default().histogram(Metric::Resume));
        assert!(read(&text).is_empty());
        assert!(text.contains("Total count    =            0]"), "{text}");
    }
}
