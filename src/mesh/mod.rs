//! Lanes between cores: lock-free, one for each ordered pair, never losing and never reordering.
//!
//! Lives on: every core.
//! A full lane makes what follows wait in the sender's own queue, in order; nothing is dropped. A lane carries whatever it is
//! given; what it means is not known here.

pub mod reactor;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

use glommio::GlommioError;
use glommio::channels::shared_channel::{self, ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender};

use crate::limits;

/// One core's ends of all lanes, before its executor runs.
#[derive(Debug)]
pub struct LaneEnds<T: Send + 'static> {
    outgoing: Vec<Option<SharedSender<T>>>,
    incoming: Vec<Option<SharedReceiver<T>>>,
}

/// Lanes from every core to every other; the ends of core `n` at place `n`.
pub fn weave<T: Send + 'static>(cores: usize) -> Vec<LaneEnds<T>> {
    let mut ends: Vec<LaneEnds<T>> = (0..cores)
        .map(|_| LaneEnds {
            outgoing: (0..cores).map(|_| None).collect(),
            incoming: (0..cores).map(|_| None).collect(),
        })
        .collect();
    for from in 0..cores {
        for to in (0..cores).filter(|to| *to != from) {
            let (sender, receiver) = shared_channel::new_bounded(limits::LANE_LETTERS);
            ends[from].outgoing[to] = Some(sender);
            ends[to].incoming[from] = Some(receiver);
        }
    }
    ends
}

/// The outgoing half of a core's lanes, on its executor.
#[derive(Debug)]
pub struct Lanes<T: Send + 'static> {
    lanes: Vec<Option<Rc<Lane<T>>>>,
}

#[derive(Debug)]
struct Lane<T: Send + 'static> {
    sender: ConnectedSender<T>,
    waiting: RefCell<VecDeque<T>>,
    pump: RefCell<Option<Waker>>,
    holding: Cell<bool>,
}

impl<T: Send + 'static> LaneEnds<T> {
    /// Connects this core's ends. Every core must do so at about the same time: each end waits for its other one.
    /// Returns what to send with and the receivers by sending core.
    pub async fn connect(self) -> (Lanes<T>, Vec<ConnectedReceiver<T>>) {
        // All at once: two cores that each waited for the other's first end in turn would wait for ever.
        let senders: Vec<_> = self
            .outgoing
            .into_iter()
            .map(|sender| sender.map(|sender| glommio::spawn_local(async move { sender.connect().await })))
            .collect();
        let receivers: Vec<_> = self
            .incoming
            .into_iter()
            .flatten()
            .map(|receiver| glommio::spawn_local(async move { receiver.connect().await }))
            .collect();
        let mut lanes = Vec::new();
        for sender in senders {
            lanes.push(match sender {
                None => None,
                Some(connecting) => {
                    let sender = connecting.await;
                    let lane = Rc::new(Lane {
                        sender,
                        waiting: RefCell::default(),
                        pump: RefCell::new(None),
                        holding: Cell::new(false),
                    });
                    glommio::spawn_local(Rc::clone(&lane).pump()).detach();
                    Some(lane)
                }
            });
        }
        let mut connected = Vec::new();
        for receiver in receivers {
            connected.push(receiver.await);
        }
        (Lanes { lanes }, connected)
    }
}

impl<T: Send + 'static> Lanes<T> {
    /// Sends to another core. Says whether the lane was full, in which case it waits here, in order.
    pub fn send(&self, to: usize, item: T) -> bool {
        let Some(lane) = &self.lanes[to] else { unreachable!("nobody sends to itself over a lane") };
        let mut waiting = lane.waiting.borrow_mut();
        if waiting.is_empty() && !lane.holding.get() {
            match lane.sender.try_send(item) {
                Ok(()) => return false,
                Err(GlommioError::WouldBlock(glommio::ResourceType::Channel(item))) => waiting.push_back(item),
                // The other core has ended: the process is going down.
                Err(_) => return false,
            }
        } else {
            waiting.push_back(item);
        }
        if let Some(pump) = lane.pump.borrow_mut().take() {
            pump.wake();
        }
        true
    }

    /// How many items wait because their lanes are full.
    pub fn waiting(&self) -> usize {
        self.lanes.iter().flatten().map(|lane| lane.waiting.borrow().len()).sum()
    }

    /// Closes all lanes: the other ends see that nothing more comes.
    pub fn close(&self) {
        for lane in self.lanes.iter().flatten() {
            lane.sender.close();
        }
    }
}

impl<T: Send + 'static> Lane<T> {
    /// Moves what waits into the lane as it empties.
    async fn pump(self: Rc<Self>) {
        loop {
            let item = std::future::poll_fn(|context| match self.waiting.borrow_mut().pop_front() {
                Some(item) => Poll::Ready(item),
                None => {
                    *self.pump.borrow_mut() = Some(context.waker().clone());
                    Poll::Pending
                }
            })
            .await;
            // While the front item is held here, newcomers must queue up behind it.
            self.holding.set(true);
            let sent = self.sender.send(item).await;
            self.holding.set(false);
            if sent.is_err() {
                return;
            }
        }
    }
}
