//! The course of a run, second by second.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::base::proc;
use crate::base::proc::ProcessUse;

/// All points, by time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// One per second, more or less.
    pub points: Vec<Point>,
}

impl Series {
    /// As a table with a heading, for spreadsheets. What is not known is empty.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "seconds,connected,live,deliveries_per_second,p50_ms,p99_ms,max_ms,posts_per_second,errors,server_cpus,\
             server_bytes,client_cpus,kernel_bytes\n",
        );
        for point in &self.points {
            // Named one by one, so that a new number cannot be forgotten.
            let Point {
                seconds,
                connected,
                live,
                deliveries_per_second,
                p50_ms,
                p99_ms,
                max_ms,
                posts_per_second,
                errors,
                server_cpus,
                server_bytes,
                client_cpus,
                kernel_bytes,
            } = point;
            let number = |value: &Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
            let whole = |value: &Option<u64>| value.map_or(String::new(), |value| value.to_string());
            let row = [
                format!("{seconds:.3}"),
                connected.to_string(),
                live.to_string(),
                format!("{deliveries_per_second:.1}"),
                number(p50_ms),
                number(p99_ms),
                number(max_ms),
                format!("{posts_per_second:.1}"),
                errors.to_string(),
                number(server_cpus),
                whole(server_bytes),
                number(client_cpus),
                whole(kernel_bytes),
            ];
            text += &row.join(",");
            text.push('\n');
        }
        text
    }
}

/// A second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Since the traffic began, in seconds; below 0 while sessions come up.
    pub seconds: f64,
    /// Open connections at the end of the second.
    pub connected: u32,
    /// Live sessions at the end of the second.
    pub live: u32,
    /// Deliveries per second since the point before.
    pub deliveries_per_second: f64,
    /// Half of the deliveries took no longer. Absent: there were none.
    pub p50_ms: Option<f64>,
    /// 99 of 100 deliveries took no longer.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// Requests per second.
    pub posts_per_second: f64,
    /// Faults and failed requests since the point before.
    pub errors: u64,
    /// CPUs that the server used; 1 is one CPU. Absent: its process is not known.
    pub server_cpus: Option<f64>,
    /// The server's anonymous memory, in bytes.
    pub server_bytes: Option<u64>,
    /// CPUs that the load generator used.
    pub client_cpus: Option<f64>,
    /// Memory of the machine's kernel: slab and TCP, in bytes.
    pub kernel_bytes: Option<u64>,
}

/// What a run knows about itself at a moment.
#[derive(Debug, Clone, Copy)]
pub struct ListSubscription<'a> {
    /// Since the traffic began, in seconds; below 0 before.
    pub seconds: f64,
    /// Open connections.
    pub connected: u32,
    /// Live sessions.
    pub live: u32,
    /// Deliveries until now.
    pub delivered: u64,
    /// Latencies since the last look, in microseconds.
    pub latency: &'a Histogram<u64>,
    /// Requests until now.
    pub posts: u64,
    /// Faults and failed requests until now.
    pub errors: u64,
}

/// Makes points out of looks: it keeps what there was at the last one.
#[derive(Debug)]
pub struct Sampler {
    server: Option<i32>,
    seconds: f64,
    delivered: u64,
    posts: u64,
    errors: u64,
    server_use: Option<ProcessUse>,
    client_use: Option<ProcessUse>,
}

impl Sampler {
    /// Begins now, at so many seconds from the traffic's begin. `server` is the server's process, if it can be watched.
    pub fn new(server: Option<i32>, seconds: f64) -> Sampler {
        Sampler {
            server,
            seconds,
            delivered: 0,
            posts: 0,
            errors: 0,
            server_use: server.and_then(proc::process),
            client_use: proc::process(std::process::id() as i32),
        }
    }

    /// What was 0 is now so many seconds.
    pub fn shift(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    /// The point between the last look and this one.
    pub fn sample(&mut self, look: ListSubscription<'_>) -> Point {
        let wall = look.seconds - self.seconds;
        let server = self.server.and_then(proc::process);
        let client = proc::process(std::process::id() as i32);
        let rate = |before: u64, now: u64| crate::base::times::per(now.saturating_sub(before) as f64, wall);
        let cpus = |before: &Option<ProcessUse>, now: &Option<ProcessUse>| {
            let (before, now) = before.as_ref().zip(now.as_ref())?;
            Some(crate::base::times::per(proc::cpu_between(before, now) as f64 / 1e9, wall))
        };
        let at = |quantile| (!look.latency.is_empty()).then(|| look.latency.value_at_quantile(quantile) as f64 / 1e3);
        let point = Point {
            seconds: look.seconds,
            connected: look.connected,
            live: look.live,
            deliveries_per_second: rate(self.delivered, look.delivered),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            posts_per_second: rate(self.posts, look.posts),
            errors: look.errors.saturating_sub(self.errors),
            server_cpus: cpus(&self.server_use, &server),
            server_bytes: server.as_ref().map(|server| server.anonymous),
            client_cpus: cpus(&self.client_use, &client),
            kernel_bytes: proc::kernel_bytes(),
        };
        (self.seconds, self.delivered, self.posts, self.errors) =
            (look.seconds, look.delivered, look.posts, look.errors);
        (self.server_use, self.client_use) = (server, client);
        point
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Option<f64>| time.map_or("-".into(), |time| format!("{time:.1} ms"));
        let percent = |cpus: Option<f64>| cpus.map_or("-".into(), |cpus| format!("{:.0}%", cpus * 100.0));
        write!(
            f,
            "connected {} live {}  {:.0} deliveries/s  p50 {} p99 {}  {:.0} posts/s  errors {}  server {} client {}",
            self.connected,
            self.live,
            self.deliveries_per_second,
            ms(self.p50_ms),
            ms(self.p99_ms),
            self.posts_per_second,
            self.errors,
            percent(self.server_cpus),
            percent(self.client_cpus),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::times::microseconds;

    #[test]
    fn a_sample_is_what_was_added_since_the_last_one() {
        let mut sampler = Sampler::new(None, -1.0);
        let mut latency = microseconds();
        let look = ListSubscription {
            seconds: 0.0,
            connected: 5,
            live: 4,
            delivered: 0,
            latency: &latency,
            posts: 0,
            errors: 1,
        };
        let first = sampler.sample(look);
        assert_eq!((first.p50_ms, first.errors, first.deliveries_per_second), (None, 1, 0.0));
        assert_eq!((first.server_cpus, first.server_bytes), (None, None));
        latency.record(2_000).expect("it is in the bounds");
        let look = ListSubscription {
            seconds: 2.0,
            connected: 5,
            live: 5,
            delivered: 100,
            latency: &latency,
            posts: 10,
            errors: 1,
        };
        let second = sampler.sample(look);
        assert_eq!((second.deliveries_per_second, second.posts_per_second, second.errors), (50.0, 5.0, 0));
        assert_eq!((second.p50_ms, second.max_ms), (Some(2.0), Some(2.0)));
        assert!(second.client_cpus.is_some_and(f64::is_finite) && second.kernel_bytes.is_some_and(|bytes| bytes > 0));
        assert!(
            second.to_string().starts_with("connected 5 live 5  50 deliveries/s  p50 2.0 ms p99 2.0 ms  5 posts/s")
        );
        // Twice at the same moment: no rate, and not an infinite one.
        let third = sampler.sample(ListSubscription { delivered: 200, ..look });
        assert_eq!(third.deliveries_per_second, 0.0);
    }

    #[test]
    fn the_server_is_watched_if_it_is_known() {
        let me = std::process::id() as i32;
        let mut sampler = Sampler::new(Some(me), 0.0);
        let latency = microseconds();
        let look = ListSubscription {
            seconds: 1.0,
            connected: 0,
            live: 0,
            delivered: 0,
            latency: &latency,
            posts: 0,
            errors: 0,
        };
        let point = sampler.sample(look);
        assert!(point.server_cpus.is_some() && point.server_bytes.is_some_and(|bytes| bytes > 0));
        let csv = Series { points: vec![point] }.csv();
        assert!(csv.lines().nth(1).is_some_and(|line| line.starts_with("1.000,0,0,0.0,,,,0.0,0,")), "{csv}");
    }
}
