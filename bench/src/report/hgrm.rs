//! A histogram as percentile distribution: the text that the HdrHistogram plotter reads.
//!
//! Values are milliseconds, of histograms of microseconds. Read back, the text gives the curve that
//! [`page`](crate::report::page) draws.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100%; the usual number.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Digits after the point: a microsecond.
const PLACES: usize = 3;

/// The distribution, with heading and footer.
pub fn text(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let ms = |us: u64| us as f64 / 1e3;
    let mut so_far = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        so_far += step.count_since_last_iteration();
        // The end of the last bucket may be beyond what was recorded.
        let value = ms(step.value_iterated_to().min(histogram.max()));
        let quantile = step.quantile_iterated_to();
        put(&mut text, format_args!("{value:12.PLACES$} {quantile:.12} {so_far:10}"));
        if quantile < 1.0 {
            put(&mut text, format_args!(" {:14.2}", 1.0 / (1.0 - quantile)));
        }
        text.push('\n');
    }
    let (mean, deviation, max) = (histogram.mean() / 1e3, histogram.stdev() / 1e3, ms(histogram.max()));
    let buckets = usize::from(histogram.buckets());
    // The table of counts has half a row for each bucket and one half more for the first.
    let sub_buckets = 2 * histogram.distinct_values() / (buckets + 1);
    put(&mut text, format_args!("#[Mean    = {mean:12.PLACES$}, StdDeviation   = {deviation:12.PLACES$}]\n"));
    put(&mut text, format_args!("#[Max     = {max:12.PLACES$}, Total count    = {:12}]\n", histogram.len()));
    put(&mut text, format_args!("#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n"));
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes what it is given");
}

/// A line of the distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Milliseconds.
    pub value: f64,
    /// So large a share of all values is no larger.
    pub quantile: f64,
    /// So many.
    pub count: u64,
}

/// Reads a distribution.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut lines = text.lines().enumerate();
    if !lines.next().is_some_and(|(_, line)| line.trim_start().starts_with("Value")) {
        return Err("this is no percentile distribution of a histogram".into());
    }
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        let step = step(line).ok_or_else(|| format!("line {} is not value, percentile and count", index + 1))?;
        if steps.last().is_some_and(|last| last.value > step.value || last.quantile > step.quantile) {
            return Err(format!("line {} is less than the one before", index + 1));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn step(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace();
    let step = Step {
        value: words.next()?.parse().ok()?,
        quantile: words.next()?.parse().ok()?,
        count: words.next()?.parse().ok()?,
    };
    (step.value.is_finite() && (0.0..=1.0).contains(&step.quantile)).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::times::microseconds;

    #[test]
    fn what_is_written_can_be_read_and_says_what_the_histogram_says() {
        let mut histogram = microseconds();
        for index in 0..20_000_u64 {
            histogram.record(1_000 + index * index / 400).expect("it is in the bounds");
        }
        let text = text(&histogram);
        let steps = parse(&text).expect("it is well-formed");
        assert!(steps.len() > 50, "{} steps", steps.len());
        assert!(steps.is_sorted_by(|a, b| a.value <= b.value && a.quantile <= b.quantile && a.count <= b.count));
        for step in &steps {
            // The crate's steps are half a value before or after its own quantiles.
            let around = [step.quantile - 1e-4, step.quantile, step.quantile + 1e-4];
            let at = around.map(|quantile| histogram.value_at_quantile(quantile.clamp(0.0, 1.0)) as f64 / 1e3);
            assert!((at[0]..=at[2] + 1e-9).contains(&step.value), "{step:?}, the histogram has {at:?}");
            assert_eq!(step.count, histogram.count_between(0, (step.value * 1e3).round() as u64), "{step:?}");
        }
        let last = steps.last().expect("there are some");
        assert_eq!((last.quantile, last.count), (1.0, 20_000));
        assert_eq!(last.value, histogram.max() as f64 / 1e3);
        // What the plotter splits by: four columns but in the last line, which has no 1/(1-p).
        for line in text.lines().skip(2).filter(|line| !line.starts_with('#')) {
            let words: Vec<f64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
            assert!(if words[1] < 1.0 { words.len() == 4 } else { words.len() == 3 }, "{line}");
            assert!(words.len() == 3 || (words[3] * (1.0 - words[1]) - 1.0).abs() < 0.01, "{line}");
        }
        assert!(text.contains("Total count    =        20000]"), "{text}");
    }

    #[test]
    fn a_histogram_without_values_has_only_heading_and_footer() {
        let text = text(&microseconds());
        assert_eq!(parse(&text), Ok(Vec::new()));
        assert!(text.contains("Total count    =            0]"), "{text}");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(parse("{}").is_err() && parse("").is_err());
        let head = "Value Percentile TotalCount 1/(1-Percentile)\n\n";
        assert!(parse(&format!("{head}1.0 0.5\n")).unwrap_err().contains("line 3"));
        assert!(parse(&format!("{head}1.0 NaN 1\n")).is_err());
        assert!(parse(&format!("{head}2.0 0.5 1\n1.0 0.6 2\n")).unwrap_err().contains("line 4"));
    }
}
