//! By event: how many sessions are entitled to it, how many have it, and how long the slowest took. One table for all
//! threads.
//!
//! A thread adds up what it receives in [`DeliveryBuffer`] and brings it here some hundred times a second, so that
//! threads do not fight for the same bytes at every delivery.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use crate::model::script::{Duty, Kind, Mark, Script};

/// Slots of a thread's [`DeliveryBuffer`]: a session that lags reads about so many events at once.
const SLOTS: usize = 256;

/// All events of a script.
#[derive(Debug)]
pub struct DeliveryTable {
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    /// By event, how many sessions more than at the event before are entitled to it; one more than there are events.
    entitled: Vec<AtomicI32>,
    arrivals: Vec<Arrivals>,
    /// By event, whether a session has made it itself: then it is as good as accepted.
    sent: Vec<AtomicBool>,
}

#[derive(Debug, Default)]
struct Arrivals {
    sessions: AtomicU32,
    slowest_us: AtomicU32,
}

impl DeliveryTable {
    /// No session is entitled to anything yet.
    pub fn new(script: &Script) -> DeliveryTable {
        let streams = script.streams.iter().map(|stream| Stream {
            entitled: (0..=stream.kinds.len()).map(|_| AtomicI32::new(0)).collect(),
            arrivals: stream.kinds.iter().map(|_| Arrivals::default()).collect(),
            sent: stream.kinds.iter().map(|_| AtomicBool::new(false)).collect(),
        });
        DeliveryTable { streams: streams.collect() }
    }

    /// A session is entitled to a stream from this event on.
    pub fn begin(&self, stream: u32, from: u32) {
        self.step(stream, from, 1);
    }

    /// It no longer is.
    pub fn end(&self, stream: u32, until: u32) {
        self.step(stream, until, -1);
    }

    fn step(&self, stream: u32, at: u32, by: i32) {
        self.streams[stream as usize].entitled[at as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// A session has made this event.
    pub fn mark_sent(&self, stream: u32, index: u32) {
        self.streams[stream as usize].sent[index as usize].store(true, Ordering::Release);
    }

    /// Whether a session has made this event.
    pub fn was_sent(&self, stream: u32, index: u32) -> bool {
        self.streams[stream as usize].sent[index as usize].load(Ordering::Acquire)
    }

    /// By event of a stream: how many sessions are entitled to it.
    pub fn entitled(&self, stream: u32) -> Vec<u32> {
        let mut sum = 0i64;
        let steps = &self.streams[stream as usize].entitled;
        let sums = steps[..steps.len() - 1].iter().map(|step| {
            sum += i64::from(step.load(Ordering::Relaxed));
            sum.max(0) as u32
        });
        sums.collect()
    }

    /// How many entitled sessions have received an event.
    pub fn received(&self, stream: u32, index: u32) -> u32 {
        self.streams[stream as usize].arrivals[index as usize].sessions.load(Ordering::Relaxed)
    }

    /// From when an event was meant to be done until the last receipt so far, in microseconds.
    pub fn slowest_us(&self, stream: u32, index: u32) -> u32 {
        self.streams[stream as usize].arrivals[index as usize].slowest_us.load(Ordering::Relaxed)
    }

    /// Deliveries that have to come and are not here yet; `accepted` says which events the server took. Looks at every
    /// event: with millions of them that takes a while.
    pub fn outstanding(&self, script: &Script, accepted: impl Fn(u32, u32) -> bool) -> u64 {
        let must = Kind::ALL.map(|kind| script.duty(kind) == Duty::All);
        let mut outstanding = 0;
        for (number, (events, stream)) in (0..).zip(self.streams.iter().zip(&script.streams)) {
            let mut entitled = 0i64;
            for (index, (step, arrivals)) in (0..).zip(events.entitled.iter().zip(&events.arrivals)) {
                entitled += i64::from(step.load(Ordering::Relaxed));
                let received = i64::from(arrivals.sessions.load(Ordering::Relaxed));
                if received < entitled
                    && must[stream.kinds[index as usize] as usize]
                    && (accepted(number, index) || self.was_sent(number, index))
                {
                    outstanding += (entitled - received) as u64;
                }
            }
        }
        outstanding
    }
}

/// What one thread has received and not yet told.
#[derive(Debug)]
pub struct DeliveryBuffer {
    slots: Vec<Slot>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    stream: u32,
    index: u32,
    sessions: u32,
    slowest_us: u32,
}

impl Default for DeliveryBuffer {
    fn default() -> Self {
        DeliveryBuffer { slots: vec![Slot::default(); SLOTS] }
    }
}

impl DeliveryBuffer {
    /// An entitled session has received an event.
    pub fn add(&mut self, mark: Mark, took_us: u64, events: &DeliveryTable) {
        let slot = &mut self.slots[(mark.index.wrapping_add(mark.stream.wrapping_mul(37)) as usize) % SLOTS];
        if slot.sessions > 0 && (slot.stream, slot.index) != (mark.stream, mark.index) {
            slot.flush(events);
        }
        slot.stream = mark.stream;
        slot.index = mark.index;
        slot.sessions += 1;
        slot.slowest_us = slot.slowest_us.max(u32::try_from(took_us).unwrap_or(u32::MAX));
    }

    /// Tells everything.
    pub fn flush(&mut self, events: &DeliveryTable) {
        self.slots.iter_mut().filter(|slot| slot.sessions > 0).for_each(|slot| slot.flush(events));
    }
}

impl Slot {
    fn flush(&mut self, events: &DeliveryTable) {
        let arrivals = &events.streams[self.stream as usize].arrivals[self.index as usize];
        arrivals.sessions.fetch_add(self.sessions, Ordering::Relaxed);
        arrivals.slowest_us.fetch_max(self.slowest_us, Ordering::Relaxed);
        *self = Slot::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outstanding_follows_those_who_come_and_go() {
        let mut script = Script::of_channel(3, 4, 1.0);
        let events = DeliveryTable::new(&script);
        let mut receiving = DeliveryBuffer::default();
        events.begin(0, 0);
        events.begin(0, 2);
        assert_eq!(events.entitled(0), [1, 1, 2, 2]);
        assert_eq!(events.outstanding(&script, |_, _| true), 6);
        assert_eq!(events.outstanding(&script, |_, index| index != 3), 4);
        events.mark_sent(0, 3);
        assert_eq!(events.outstanding(&script, |_, index| index != 3), 6);
        for (index, took_us) in [(2, 50), (2, 70), (3, 20)] {
            receiving.add(Mark { stream: 0, index, intended_ns: 0 }, took_us, &events);
        }
        receiving.flush(&events);
        assert_eq!((events.received(0, 2), events.slowest_us(0, 2), events.received(0, 3)), (2, 70, 1));
        assert_eq!(events.outstanding(&script, |_, _| true), 3);
        events.end(0, 3);
        assert_eq!(events.entitled(0), [1, 1, 2, 1]);
        assert_eq!(events.outstanding(&script, |_, _| true), 2);
        script.duties.insert(crate::model::script::Kind::Message, Duty::Optional);
        assert_eq!(events.outstanding(&script, |_, _| true), 0);
    }
}
