//! Messages made up in the raw gateway itself, so that posting is not the limit: an open loop, with markers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::clock;
use crate::baseline::raw::broadcast::Broadcast;
use crate::model::script::Mark;
use crate::verify::marker::Marker;

/// From the last session's arrival to the first message: time to notice that all sessions are there.
const LEAD: Duration = Duration::from_secs(1);
/// While waiting for sessions, or for a place in the queue.
const PAUSE: Duration = Duration::from_millis(1);

/// What is made up.
#[derive(Debug, Clone)]
pub struct GeneratorPlan {
    /// Messages per second.
    pub rate: f64,
    /// Bytes of a message's content, or as many as the marker has.
    pub size: usize,
    /// The run's name in the markers.
    pub run: String,
    /// How many messages.
    pub messages: u32,
    /// Begins when so many sessions have identified.
    pub sessions: u32,
}

/// Runs until all is published or the broadcast is closed. Says how many messages were published.
pub fn run(plan: &GeneratorPlan, broadcast: &Broadcast) -> u32 {
    while broadcast.identified.load(Ordering::Relaxed) < plan.sessions {
        if broadcast.is_stopping() {
            return 0;
        }
        std::thread::sleep(PAUSE);
    }
    let marker = Marker::new(&plan.run);
    let start_ns = clock::now_ns() + LEAD.as_nanos() as u64;
    for index in 0..plan.messages {
        let intended_ns = start_ns + (f64::from(index) * 1e9 / plan.rate) as u64;
        let content = marker.content(Mark { stream: 0, index, intended_ns }, plan.size);
        loop {
            if broadcast.is_stopping() {
                return index;
            }
            let early = intended_ns.saturating_sub(clock::now_ns());
            if early > 0 {
                std::thread::sleep(Duration::from_nanos(early).min(Duration::from_millis(20)));
            } else if broadcast.publish(&content).is_ok() {
                break;
            } else {
                // Late from its intended time on, as everything that waits in an open loop.
                std::thread::sleep(PAUSE);
            }
        }
    }
    plan.messages
}
