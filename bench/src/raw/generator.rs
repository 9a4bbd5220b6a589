//! Messages made up in the raw gateway itself, so that posting is not the limit: an open loop, with markers.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::raw::hall::Hall;

/// From the last session's arrival to the first message: time to notice that everybody is there.
const LEAD: Duration = Duration::from_secs(1);
/// While waiting for sessions, or for a place in the queue.
const PAUSE: Duration = Duration::from_millis(1);

/// What is made up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Messages per second.
    pub rate: f64,
    /// Bytes of a message's content.
    pub size: usize,
    /// The run's name in the markers.
    pub run: String,
    /// How many messages.
    pub messages: u32,
    /// Begins when so many sessions have identified.
    pub sessions: u32,
}

/// Runs until all is published or the hall is closed. Says how many messages were published.
pub fn run(plan: &Plan, hall: &Hall) -> u32 {
    while hall.identified.load(Ordering::Relaxed) < plan.sessions {
        if hall.is_stopping() {
            return 0;
        }
        std::thread::sleep(PAUSE);
    }
    let start_ns = clock::now_ns() + LEAD.as_nanos() as u64;
    for index in 0..plan.messages {
        let intended_ns = start_ns + (f64::from(index) * 1e9 / plan.rate) as u64;
        let content = content(&plan.run, index, intended_ns, plan.size);
        loop {
            if hall.is_stopping() {
                return index;
            }
            let early = intended_ns.saturating_sub(clock::now_ns());
            if early > 0 {
                std::thread::sleep(Duration::from_nanos(early).min(Duration::from_millis(20)));
            } else if hall.publish(&content).is_ok() {
                break;
            } else {
                // Late from its intended time on, as everything that waits in an open loop.
                std::thread::sleep(PAUSE);
            }
        }
    }
    plan.messages
}

/// A message's content, as the swarm's marker wants it: all are of stream 0.
fn content(run: &str, index: u32, intended_ns: u64, size: usize) -> String {
    let mut content = String::with_capacity(size.max(64));
    // Writing to a string cannot fail.
    let _ = write!(content, "gh {run} 0 {index} {intended_ns} ");
    while content.len() < size {
        content.push('x');
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_marker_and_the_size() {
        assert_eq!(content("r1", 7, 12, 20), "gh r1 0 7 12 xxxxxxx");
        assert_eq!(content("r1", 7, 12, 0), "gh r1 0 7 12 ");
    }
}
