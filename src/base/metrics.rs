//! What one core measures: latency histograms and counters.
//!
//! Lives on: one for each core; copied to the thread that writes them out.
//! Recording takes `&mut self`, no lock and no allocation. All histograms are in nanoseconds, three significant digits,
//! up to a minute; what is longer counts as a minute. A histogram takes about 180 KiB once it has seen long values.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest duration told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// REST routes with a histogram of their own.
pub const ROUTES_MAX: usize = 256;

macro_rules! list {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum { $($(#[$doc])* $variant,)* }

        impl $enum {
            /// All of them, in order.
            pub const ALL: &'static [$enum] = &[$($enum::$variant,)*];

            /// The name in files and tables.
            pub const fn name(self) -> &'static str {
                match self { $($enum::$variant => $name,)* }
            }
        }
    };
}

list! {
    /// What is timed.
    Metric {
        /// From an event's publishing to the write to the last socket of an audience, per audience.
        PublishToLastFlush = "publish_to_last_flush",
        /// From an event's publishing to the write to each socket.
        PublishToFlush = "publish_to_flush",
        /// From a letter's posting to its receipt on the other core.
        LaneHop = "lane_hop",
        /// One round of a shard: letters received, posts made, a slice flushed.
        TurnLength = "turn_length",
        /// From a commit's submission to its being durable.
        StoreCommit = "store_commit",
        /// From identify being read to READY being dispatched.
        IdentifyToReady = "identify_to_ready",
        /// From resume being read to RESUMED being dispatched.
        Resume = "resume",
    }
}

list! {
    /// What is counted.
    Counter {
        /// WebSocket connections accepted.
        ConnectionsAccepted = "connections_accepted",
        /// Identify commands taken.
        Identifies = "identifies",
        /// Sessions resumed.
        Resumes = "resumes",
        /// Resumes answered with Invalid Session.
        ResumesRefused = "resumes_refused",
        /// Identifies and resumes that had to wait in line.
        AdmissionsDelayed = "admissions_delayed",
        /// Identifies and resumes that were told to come back.
        AdmissionsRefused = "admissions_refused",
        /// Upgrades answered with 503 because of the crowd.
        UpgradesRefused = "upgrades_refused",
        /// Sockets of resumes lost on their way to another core, whose descriptor table was full.
        HandOversLost = "hand_overs_lost",
        /// Sessions over.
        SessionsEnded = "sessions_ended",
        /// Messages written.
        MessagesCreated = "messages_created",
        /// Events published by guilds.
        EventsPublished = "events_published",
        /// Events written to sockets, replays included.
        Deliveries = "deliveries",
        /// Bytes taken by sockets.
        BytesSent = "bytes_sent",
        /// Texts compressed, each for all who get it in that form.
        TextsCompressed = "texts_compressed",
        /// Those compressed behind the event before them.
        TextsCompressedBehind = "texts_compressed_behind",
        /// Writes to sockets.
        Sends = "sends",
        /// Clients cut off because they did not read.
        BacklogDisconnects = "backlog_disconnects",
        /// Connections cut off because they sent no heartbeats.
        Zombies = "zombies",
        /// Letters sent to other cores.
        LettersSent = "letters_sent",
        /// Times that a lane was full and letters had to wait.
        LanesFull = "lanes_full",
        /// REST requests answered.
        RestRequests = "rest_requests",
        /// REST requests answered with 5xx.
        RestErrors = "rest_errors",
        /// Commits made durable.
        StoreCommits = "store_commits",
        /// Connections closed because of what the client sent.
        ProtocolErrors = "protocol_errors",
    }
}

/// One core's measurements.
#[derive(Debug, Clone)]
pub struct Metrics {
    metrics: Vec<Histogram<u64>>,
    routes: BTreeMap<&'static str, Histogram<u64>>,
    counters: Vec<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            metrics: Metric::ALL.iter().map(|_| histogram()).collect(),
            routes: BTreeMap::new(),
            counters: vec![0; Counter::ALL.len()],
        }
    }
}

impl Metrics {
    /// Records one duration.
    pub fn record(&mut self, metric: Metric, took: Duration) {
        self.metrics[metric as usize].saturating_record(nanos(took));
    }

    /// Records the same duration so many times.
    pub fn record_many(&mut self, metric: Metric, took: Duration, times: u64) {
        self.metrics[metric as usize].saturating_record_n(nanos(took), times);
    }

    /// Records one call of a REST route.
    pub fn record_route(&mut self, route: &'static str, took: Duration) {
        if self.routes.len() < ROUTES_MAX || self.routes.contains_key(route) {
            self.routes.entry(route).or_insert_with(histogram).saturating_record(nanos(took));
        }
    }

    /// Counts.
    pub fn count(&mut self, counter: Counter, by: u64) {
        self.counters[counter as usize] += by;
    }

    /// The histogram of a metric.
    pub fn histogram(&self, metric: Metric) -> &Histogram<u64> {
        &self.metrics[metric as usize]
    }

    /// The histograms of the routes that were called, by name.
    pub fn routes(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        self.routes.iter().map(|(route, histogram)| (*route, histogram))
    }

    /// A count.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Adds what another core measured.
    pub fn merge(&mut self, other: &Metrics) {
        for (mine, theirs) in self.metrics.iter_mut().zip(&other.metrics) {
            mine.add(theirs).expect("all histograms have one shape");
        }
        for (route, theirs) in &other.routes {
            self.routes.entry(route).or_insert_with(histogram).add(theirs).expect("all histograms have one shape");
        }
        for (mine, theirs) in self.counters.iter_mut().zip(&other.counters) {
            *mine += theirs;
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_add_up_and_long_durations_are_cut() {
        let (mut a, mut b) = (Metrics::default(), Metrics::default());
        a.record(Metric::LaneHop, Duration::from_micros(5));
        b.record(Metric::LaneHop, Duration::from_secs(3_600));
        b.record_route("GET /gateway", Duration::from_millis(1));
        b.count(Counter::Sends, 3);
        a.merge(&b);
        assert_eq!(a.histogram(Metric::LaneHop).len(), 2);
        assert!(a.histogram(Metric::LaneHop).max() >= LONGEST && a.histogram(Metric::LaneHop).max() < 2 * LONGEST);
        assert_eq!(a.routes().count(), 1);
        assert_eq!(a.counter(Counter::Sends), 3);
    }
}
