//! What the raw gateway's threads share: the messages that are to be sent, in one order for all, and how far that has
//! come.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use rustix::event::{EventfdFlags, eventfd};

use crate::base::times::{microseconds, record};
use crate::base::{clock, limits};
use crate::baseline::raw::wire;

/// A message on its way to all sessions.
#[derive(Debug)]
pub struct Message {
    /// Its number in the gateway's life, from 0.
    pub number: u32,
    /// Its JSON.
    pub body: Vec<u8>,
    /// When it was published, in nanoseconds since 1970.
    published_ns: u64,
    /// Threads that have not sent it yet.
    remaining: AtomicU32,
}

/// Messages, and who has not fetched them.
#[derive(Debug)]
struct Queues {
    next: u32,
    by_thread: Vec<Vec<Arc<Message>>>,
}

/// What the threads share.
#[derive(Debug)]
pub struct Broadcast {
    queues: Mutex<Queues>,
    /// By thread. They are opened before any thread has a table of its own, so that each has all of them.
    wakeups: Vec<OwnedFd>,
    /// Sockets that are open.
    pub connected: AtomicU32,
    /// Sessions that have identified and are here.
    pub identified: AtomicU32,
    stopping: AtomicBool,
    last: Mutex<Histogram<u64>>,
}

/// There is no place for more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

const LOCKED: &str = "no thread panics while it holds this";

impl Broadcast {
    /// A broadcast for so many threads.
    pub fn new(threads: usize) -> io::Result<Broadcast> {
        let wakeups = (0..threads).map(|_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC));
        Ok(Broadcast {
            queues: Mutex::new(Queues { next: 0, by_thread: vec![Vec::new(); threads] }),
            wakeups: wakeups.collect::<Result<_, _>>()?,
            connected: AtomicU32::new(0),
            identified: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            last: Mutex::new(microseconds()),
        })
    }

    /// Publishes a message to every session that has identified by then. Says its id.
    pub fn publish(&self, content: &str) -> Result<u64, Full> {
        let now_ns = clock::now_ns();
        let mut to_wake = Vec::new();
        let id = {
            let mut queues = self.queues.lock().expect(LOCKED);
            if queues.by_thread.iter().any(|queue| queue.len() >= limits::GATEWAY_QUEUE_MAX) {
                return Err(Full);
            }
            let number = queues.next;
            queues.next += 1;
            let id = wire::message_id(number, now_ns);
            let message = Arc::new(Message {
                number,
                body: wire::message(id, content, now_ns),
                published_ns: now_ns,
                remaining: AtomicU32::new(queues.by_thread.len() as u32),
            });
            for (thread, queue) in queues.by_thread.iter_mut().enumerate() {
                if queue.is_empty() {
                    to_wake.push(thread);
                }
                queue.push(message.clone());
            }
            id
        };
        to_wake.into_iter().for_each(|thread| self.wake(thread));
        Ok(id)
    }

    /// Messages published so far.
    pub fn published(&self) -> u32 {
        self.queues.lock().expect(LOCKED).next
    }

    /// Moves what a thread has not fetched yet to `to`, which is empty.
    pub fn fetch(&self, thread: usize, to: &mut Vec<Arc<Message>>) {
        std::mem::swap(&mut self.queues.lock().expect(LOCKED).by_thread[thread], to);
    }

    /// A thread has sent these messages to all its sessions.
    pub fn sent(&self, messages: &[Arc<Message>]) {
        let now_ns = clock::now_ns();
        for message in messages {
            if message.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
                record(&mut self.last.lock().expect(LOCKED), now_ns.saturating_sub(message.published_ns));
            }
        }
    }

    /// By message: from being published to the last thread's last send.
    pub fn times(&self) -> Histogram<u64> {
        self.last.lock().expect(LOCKED).clone()
    }

    /// All wakeups.
    pub fn wakeups(&self) -> Vec<RawFd> {
        self.wakeups.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// A thread's wakeup.
    pub fn wakeup(&self, thread: usize) -> &OwnedFd {
        &self.wakeups[thread]
    }

    fn wake(&self, thread: usize) {
        // A wakeup that rings so hard that it is full rings all the same.
        let _ = rustix::io::write(&self.wakeups[thread], &1u64.to_ne_bytes());
    }

    /// Asks all threads to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        (0..self.wakeups.len()).for_each(|thread| self.wake(thread));
    }

    /// Whether they are asked to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
