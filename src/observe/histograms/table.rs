//! The table at the end of a run: what was measured, for the terminal.
//!
//! Lives on: the main thread.
//! All cores together: metrics, then the REST routes that were called, then the counters.

use hdrhistogram::Histogram;

use crate::base::metrics::{Counter, Metric};
use crate::observe::histograms::Dump;
use crate::observe::histograms::units::{grouped, human};

/// Blanks between columns.
const GAP: &str = "  ";
/// Counters side by side in one row.
const COUNTERS_ABREAST: usize = 2;

/// The table, without a line break at the end.
pub fn table(dump: &Dump<'_>) -> String {
    let merged = dump.merged();
    let heading = ["metric", "count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned).to_vec();
    let metrics = Metric::ALL.iter().map(|metric| row(metric.name(), merged.histogram(*metric)));
    let routes = merged.routes().map(|(route, histogram)| row(route, histogram));
    let mut lines = aligned(&std::iter::once(heading).chain(metrics).chain(routes).collect::<Vec<_>>());
    // A blank line under the metrics and one under the routes, if there are any.
    if merged.routes().next().is_some() {
        lines.insert(1 + Metric::ALL.len(), String::new());
    }
    lines.push(String::new());

    let counters: Vec<[String; 2]> =
        Counter::ALL.iter().map(|counter| [counter.name().to_owned(), grouped(merged.counter(*counter))]).collect();
    // Filled column by column, so that the order is kept from top to bottom.
    let columns = counters
        .chunks(counters.len().div_ceil(COUNTERS_ABREAST).max(1))
        .map(|column| aligned(&column.iter().map(|counter| counter.to_vec()).collect::<Vec<_>>()));
    let columns: Vec<Vec<String>> = columns.collect();
    for index in 0..columns.first().map_or(0, Vec::len) {
        let side_by_side: Vec<&str> =
            columns.iter().filter_map(|column| column.get(index).map(String::as_str)).collect();
        lines.push(side_by_side.join("    "));
    }
    lines.join("\n")
}

fn row(name: &str, histogram: &Histogram<u64>) -> Vec<String> {
    let mut row = vec![name.to_owned(), grouped(histogram.len())];
    let values = [0.5, 0.9, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile));
    for value in values.into_iter().chain([histogram.max()]) {
        row.push(if histogram.is_empty() { "–".to_owned() } else { human(value) });
    }
    row
}

/// Lines with columns of equal width: the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // In characters: `µ` and `–` are one wide and two or three long.
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join(GAP)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::histograms::{minute, sample};

    #[test]
    fn columns_line_up_and_everything_is_there() {
        let cores = sample();
        let table = table(&minute(&cores));
        let blocks: Vec<Vec<&str>> = table.split("\n\n").map(|block| block.lines().collect()).collect();
        let [metrics, routes, counters] = blocks.as_slice() else { panic!("{} blocks\n{table}", blocks.len()) };
        assert_eq!(metrics.len(), 1 + Metric::ALL.len());
        assert_eq!(routes.len(), 2);
        assert_eq!(counters.len(), Counter::ALL.len().div_ceil(COUNTERS_ABREAST));
        let width = |line: &&str| line.chars().count();
        assert!(metrics.iter().chain(routes).all(|line| width(line) == width(&metrics[0])), "{table}");
        assert!(table.contains("2,469,135"), "{table}");
        assert!(table.contains("µs") && table.contains("ms"), "{table}");
    }

    #[test]
    fn a_server_that_measured_nothing_has_a_table_of_dashes() {
        let table = table(&minute(&[]));
        assert!(table.lines().nth(1).unwrap().ends_with("–"), "{table}");
        assert!(table.lines().all(|line| !line.contains(" ns")), "{table}");
    }
}
