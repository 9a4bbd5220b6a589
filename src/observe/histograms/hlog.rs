//! The interval log: every histogram with all its buckets, to be merged and compared later.
//!
//! Lives on: the main thread.
//! HdrHistogram's log format 1.3 with histograms in the compressed encoding V2. One interval, the whole run, for each
//! tag: `NAME` for all cores together, `NAME.coreN` for one; REST routes as `rest.GET_/gateway`. Values are
//! nanoseconds; the column with the maximum is in milliseconds, as its readers expect. Histograms without values are
//! left out.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};

use crate::base::metrics::{Metric, Metrics};
use crate::observe::histograms::Dump;

/// Nanoseconds in the unit of the maximum column.
const MILLISECOND: f64 = 1e6;

/// The log, as text.
pub(super) fn log(dump: &Dump<'_>, merged: &Metrics) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let started = UNIX_EPOCH + Duration::from_nanos(dump.started.nanos());
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&format!("[Logged with guildhall {}: nanoseconds, maxima in milliseconds]", dump.version))
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(MILLISECOND)
        .begin_log_with(&mut log, &mut serializer)?;
    let ran = dump.ended.since(dump.started);
    let everybody = std::iter::once((String::new(), merged));
    let each = dump.cores.iter().enumerate().map(|(number, core)| (format!(".core{number}"), core));
    for (suffix, metrics) in everybody.chain(each) {
        for (name, histogram) in named(metrics) {
            let name = name + &suffix;
            let tag = Tag::new(&name).ok_or_else(|| io::Error::other(format!("{name:?} is no tag")))?;
            writer.write_histogram(histogram, Duration::ZERO, ran, Some(tag)).map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })?;
        }
    }
    Ok(log)
}

/// The histograms with values and their names as tags, in which blanks and commas are not allowed.
fn named(metrics: &Metrics) -> impl Iterator<Item = (String, &Histogram<u64>)> {
    let timed = Metric::ALL.iter().map(|metric| (metric.name().to_owned(), metrics.histogram(*metric)));
    let routes = metrics
        .routes()
        .map(|(route, histogram)| (format!("rest.{}", route.replace([' ', ',', '\r', '\n'], "_")), histogram));
    timed.chain(routes).filter(|(_, histogram)| !histogram.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::observe::histograms::{minute, sample};

    fn read(log: &[u8]) -> BTreeMap<String, Histogram<u64>> {
        let mut found = BTreeMap::new();
        for entry in IntervalLogIterator::new(log) {
            match entry.unwrap() {
                LogEntry::StartTime(time) | LogEntry::BaseTime(time) => {
                    assert_eq!(time, Duration::from_millis(1_795_467_982_500));
                }
                LogEntry::Interval(interval) => {
                    let tag = interval.tag().unwrap().as_str().to_owned();
                    let bytes = BASE64_STANDARD.decode(interval.encoded_histogram()).unwrap();
                    let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                    assert_eq!(
                        (interval.start_timestamp(), interval.duration()),
                        (Duration::ZERO, Duration::from_secs(60))
                    );
                    assert!((interval.max() - histogram.max() as f64 / MILLISECOND).abs() <= 0.0005);
                    assert!(found.insert(tag, histogram).is_none());
                }
            }
        }
        found
    }

    #[test]
    fn what_is_read_back_is_what_was_measured() {
        let cores = sample();
        let dump = minute(&cores);
        let merged = dump.merged();
        let found = read(&log(&dump, &merged).unwrap());

        for (suffix, metrics) in [("", &merged), (".core0", &cores[0]), (".core1", &cores[1])] {
            for metric in Metric::ALL {
                let histogram = metrics.histogram(*metric);
                match found.get(&format!("{}{suffix}", metric.name())) {
                    Some(read) => assert_eq!(read, histogram),
                    None => assert!(histogram.is_empty(), "{} is missing", metric.name()),
                }
            }
        }
        assert_eq!(found["rest.GET_/gateway"].len(), 2);
        assert_eq!(found["rest.POST_/channels/{channel}/messages.core1"].len(), 1);
        assert_eq!(found.len(), 3 * (5 + 2));
    }

    #[test]
    fn a_server_that_measured_nothing_has_a_log_without_intervals() {
        let dump = minute(&[]);
        assert!(read(&log(&dump, &dump.merged()).unwrap()).is_empty());
    }
}
