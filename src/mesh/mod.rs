//! Lanes between cores: lock-free, one for each ordered pair, never losing and never reordering.
//!
//! Lives on: every core. A full lane makes what follows wait in the sender's own queue, in order; nothing is dropped. A
//! lane carries whatever it is given; what it means is not known here. A core that sleeps is woken through its
//! [`wakeup`]; one that is busy reads its lanes anyhow. Open descriptors go to other cores by [`fd_passing`].
//! Invariant: what a sender has posted to a core arrives there once, in order.

pub mod fd_passing;
pub mod reactor;
pub mod wakeup;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::limits;
use crate::mesh::wakeup::{Waker, Wakeup};

/// One core's ends of all lanes, before its executor runs.
#[derive(Debug)]
pub struct LaneEnds<T> {
    /// The outgoing ends.
    pub lanes: Lanes<T>,
    /// The incoming ends.
    pub inbox: IncomingLanes<T>,
    /// Through which other cores wake this one.
    pub wakeup: Wakeup,
}

/// Letters in one lane, with so many cores.
fn lane_letters(cores: usize) -> usize {
    let pairs = (cores * cores.saturating_sub(1)).max(1);
    (limits::LANES_LETTERS / pairs).clamp(limits::LANE_LETTERS_MIN, limits::LANE_LETTERS)
}

/// Lanes from every core to every other; the ends of core `n` at place `n`.
pub fn connect<T>(cores: usize) -> io::Result<Vec<LaneEnds<T>>> {
    let letters = lane_letters(cores);
    let pairs = (0..cores).map(|_| Wakeup::new()).collect::<io::Result<Vec<_>>>()?;
    let (wakeups, wakers): (Vec<Wakeup>, Vec<Arc<Waker>>) = pairs.into_iter().unzip();
    let mut ends: Vec<LaneEnds<T>> = wakeups
        .into_iter()
        .map(|wakeup| LaneEnds {
            lanes: Lanes { lanes: (0..cores).map(|_| None).collect() },
            inbox: IncomingLanes { lanes: Vec::new(), next: 0 },
            wakeup,
        })
        .collect();
    for from in 0..cores {
        for to in (0..cores).filter(|to| *to != from) {
            let (ring, end) = RingBuffer::new(letters);
            let sender_waits = Arc::new(AtomicBool::new(false));
            let receiver = Arc::clone(&wakers[to]);
            let waits = Arc::clone(&sender_waits);
            ends[from].lanes.lanes[to] = Some(Lane { ring, waiting: VecDeque::new(), receiver, sender_waits: waits });
            ends[to].inbox.lanes.push(IncomingLane { ring: end, sender: Arc::clone(&wakers[from]), sender_waits });
        }
    }
    Ok(ends)
}

/// The outgoing half of a core's lanes.
#[derive(Debug)]
pub struct Lanes<T> {
    lanes: Vec<Option<Lane<T>>>,
}

#[derive(Debug)]
struct Lane<T> {
    ring: Producer<T>,
    /// What the ring had no room for, in order.
    waiting: VecDeque<T>,
    receiver: Arc<Waker>,
    /// Set while something waits: the receiver notifies the sender when there is room.
    sender_waits: Arc<AtomicBool>,
}

impl<T> Lanes<T> {
    /// Sends to another core. Says whether the lane was full, in which case it waits here, in order.
    pub fn send(&mut self, to: usize, item: T) -> bool {
        let Some(lane) = &mut self.lanes[to] else { unreachable!("a core has no lane to itself") };
        let full = if lane.waiting.is_empty() {
            match lane.ring.push(item) {
                Ok(()) => false,
                Err(rtrb::PushError::Full(item)) => {
                    lane.waiting.push_back(item);
                    true
                }
            }
        } else {
            lane.waiting.push_back(item);
            true
        };
        if full {
            lane.pump();
        }
        lane.receiver.notify();
        full
    }

    /// Moves what waits into lanes that have room again.
    pub fn pump(&mut self) {
        for lane in self.lanes.iter_mut().flatten().filter(|lane| !lane.waiting.is_empty()) {
            lane.pump();
            lane.receiver.notify();
        }
    }

    /// Whether something waits for which there is room. Ask before sleeping, after [`Wakeup::park`].
    ///
    /// It sets `sender_waits` once more: the receiver may have cleared the flag, and notified while this core was still
    /// awake, after [`Lane::pump`] had filled the ring again.
    pub fn can_go_on(&self) -> bool {
        self.lanes.iter().flatten().filter(|lane| !lane.waiting.is_empty()).any(|lane| {
            lane.sender_waits.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            !lane.ring.is_full()
        })
    }

    /// How many items wait because their lanes are full.
    pub fn waiting(&self) -> usize {
        self.lanes.iter().flatten().map(|lane| lane.waiting.len()).sum()
    }
}

impl<T> Lane<T> {
    fn pump(&mut self) {
        loop {
            while let Some(item) = self.waiting.pop_front() {
                if let Err(rtrb::PushError::Full(item)) = self.ring.push(item) {
                    self.waiting.push_front(item);
                    break;
                }
            }
            if self.waiting.is_empty() {
                return;
            }
            // Set the flag, then check once more: the receiver may have made room in between.
            self.sender_waits.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.ring.is_full() {
                return;
            }
        }
    }
}

/// The incoming half of a core's lanes.
#[derive(Debug)]
pub struct IncomingLanes<T> {
    lanes: Vec<IncomingLane<T>>,
    /// The lane that is read first, so that none is favoured.
    next: usize,
}

#[derive(Debug)]
struct IncomingLane<T> {
    ring: Consumer<T>,
    sender: Arc<Waker>,
    sender_waits: Arc<AtomicBool>,
}

impl<T> IncomingLanes<T> {
    /// Takes out up to `most` items, in order for each sender.
    pub fn take(&mut self, most: usize, mut each: impl FnMut(T)) {
        let (lanes, mut left) = (self.lanes.len(), most);
        for turn in 0..lanes {
            let lane = &mut self.lanes[(self.next + turn) % lanes];
            while left > 0 {
                let Ok(item) = lane.ring.pop() else { break };
                left -= 1;
                each(item);
            }
            fence(Ordering::SeqCst);
            if lane.sender_waits.load(Ordering::Relaxed) && lane.ring.slots() < lane.ring.buffer().capacity() {
                lane.sender_waits.store(false, Ordering::Relaxed);
                lane.sender.notify();
            }
        }
        if lanes > 0 {
            self.next = (self.next + 1) % lanes;
        }
    }

    /// Whether nothing has come.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ring.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_shorter_where_there_are_many() {
        assert_eq!((lane_letters(1), lane_letters(2), lane_letters(32)), (1_024, 1_024, 1_024));
        assert_eq!((lane_letters(52), lane_letters(256)), (395, 64));
    }

    /// The receiver clears the flag and notifies between the sender's last pump and its sleep.
    #[test]
    fn a_sender_that_parks_behind_a_full_lane_is_notified() {
        let mut ends = connect::<usize>(2).unwrap();
        let mut receiver = ends.pop().unwrap();
        let mut sender = ends.pop().unwrap();
        for number in 0..limits::LANE_LETTERS + 2 {
            sender.lanes.send(1, number);
        }
        let lane = sender.lanes.lanes[1].as_ref().unwrap();
        assert!(lane.sender_waits.load(Ordering::Relaxed));
        // What `IncomingLanes::take` does when it has seen room that `pump` then fills.
        lane.sender_waits.store(false, Ordering::Relaxed);
        lane.receiver.notify();
        sender.wakeup.park();
        assert!(!sender.lanes.can_go_on());
        receiver.inbox.take(100, drop);
        sender.wakeup.wait_blocking();
    }

    /// Two threads, a small number of full lanes: everything arrives, in order, and neither is left asleep.
    #[test]
    fn a_full_lane_delays_and_loses_nothing() {
        let total = 20 * limits::LANE_LETTERS as u64;
        let mut ends = connect::<u64>(2).unwrap();
        let mut receiver = ends.pop().unwrap();
        let mut sender = ends.pop().unwrap();
        let sending = std::thread::spawn(move || {
            let mut full = 0_u64;
            for number in 0..total {
                full += u64::from(sender.lanes.send(1, number));
            }
            while sender.lanes.waiting() > 0 {
                sender.wakeup.park();
                if !sender.lanes.can_go_on() {
                    sender.wakeup.wait_blocking();
                }
                sender.wakeup.unpark();
                sender.lanes.pump();
            }
            full
        });
        // However the threads are scheduled, the lane is full once.
        while !receiver.inbox.lanes[0].sender_waits.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let mut expected = 0;
        while expected < total {
            receiver.inbox.take(100, |number| {
                assert_eq!(number, expected);
                expected += 1;
            });
            if expected < total && receiver.inbox.is_empty() {
                receiver.wakeup.park();
                if receiver.inbox.is_empty() {
                    receiver.wakeup.wait_blocking();
                }
                receiver.wakeup.unpark();
            }
        }
        assert!(sending.join().unwrap() > 0, "the lane was full");
    }
}
