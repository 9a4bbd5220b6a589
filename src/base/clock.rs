//! Time, as an argument of everything below the doors.
//!
//! Lives on: every core.
//! A [`Time`] is nanoseconds since the Unix epoch on a clock that never goes back: the wall clock is read once, when
//! the process starts, and the monotonic clock is added. Only this file reads a clock; everything below the doors is
//! told.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis * 1_000_000)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;
    fn add(self, later: Duration) -> Time {
        Time(self.0.saturating_add(later.as_nanos() as u64))
    }
}

/// The present moment. For the doors, the store's threads and boot only.
pub fn now() -> Time {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (instant, nanos) = START.get_or_init(|| {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), wall.as_nanos() as u64)
    });
    Time(nanos + instant.elapsed().as_nanos() as u64)
}

/// CPU time that the calling thread has used. For measurements of boot's only.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// `2024-01-01T00:00:00.000000+00:00`, the form that every client library parses. `unix_ms` beyond the year 9999 is cut
/// there.
pub fn iso8601(unix_ms: u64) -> String {
    let mut written = Vec::with_capacity(32);
    write_iso8601(unix_ms, &mut written);
    String::from_utf8(written).expect("digits are text")
}

/// [`iso8601`], written where there is room already.
pub fn write_iso8601(unix_ms: u64, out: &mut Vec<u8>) {
    let moment = time::OffsetDateTime::from_unix_timestamp(i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX));
    let (moment, thousandths) = match moment {
        Ok(moment) => (moment, unix_ms % 1_000),
        Err(_) => (time::OffsetDateTime::UNIX_EPOCH, 0),
    };
    let mut form = *b"0000-00-00T00:00:00.000000+00:00";
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let places = [
        (0..4, u64::from(year.unsigned_abs())),
        (5..7, u8::from(month).into()),
        (8..10, day.into()),
        (11..13, hour.into()),
        (14..16, minute.into()),
        (17..19, second.into()),
        (20..23, thousandths),
    ];
    for (places, mut number) in places {
        for place in places.rev() {
            form[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    out.extend_from_slice(&form);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_the_long_form_with_offset() {
        assert_eq!(iso8601(1_700_000_000_123), "2023-11-14T22:13:20.123000+00:00");
        assert_eq!(iso8601(253_402_300_799_999), "9999-12-31T23:59:59.999000+00:00");
        assert_eq!(iso8601(253_402_300_800_000), iso8601(0), "beyond the year 9999");
        assert_eq!(iso8601(u64::MAX), "1970-01-01T00:00:00.000000+00:00");
    }

    #[test]
    fn now_does_not_go_back() {
        let a = now();
        assert!(now() >= a);
        assert!(a.millis() > 1_600_000_000_000);
    }
}
