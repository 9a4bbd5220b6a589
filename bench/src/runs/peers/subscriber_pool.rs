//! The pool: plain WebSocket subscribers on few threads, and the commands that they take.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::limits;
use crate::runs::peers::peer::Peer;
use crate::runs::peers::subscribers::{
    MessageSchedule, SubscriberCounts, SubscriberResults, Subscribers, ThreadCommand,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A pool whose threads run. Dropped, it says goodbye.
#[derive(Debug)]
pub struct SubscriberPool {
    subscribers: u32,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    counts: Arc<SubscriberCounts>,
    orders: Sender<ThreadCommand>,
    thread: Option<JoinHandle<()>>,
}

impl SubscriberPool {
    /// Starts the threads; the subscribers begin to connect, so many per second in all.
    pub fn start(
        peer: &Arc<Peer>,
        subscribers: u32,
        threads: u32,
        connect_rate: f64,
    ) -> std::io::Result<SubscriberPool> {
        let threads = threads.clamp(1, subscribers.max(1));
        let mut pool = SubscriberPool { subscribers, members: Vec::new() };
        let mut first = 0;
        for thread in 0..threads {
            let end = (u64::from(subscribers) * u64::from(thread + 1) / u64::from(threads)) as u32;
            let (counts, (orders, incoming)) = (Arc::<SubscriberCounts>::default(), channel());
            let rate = connect_rate / f64::from(threads);
            let part = Subscribers::new(peer.clone(), first, end - first, rate, counts.clone(), incoming)?;
            let thread = std::thread::Builder::new().name(format!("subscribers-{thread}")).spawn(move || part.run())?;
            pool.members.push(Member { counts, orders, thread: Some(thread) });
            first = end;
        }
        Ok(pool)
    }

    /// Waits until all are connected or have failed, or nothing goes on any more.
    pub fn wait_until_live(&self) -> u32 {
        let (mut best, mut changed) = (0, Instant::now());
        loop {
            let (live, ended) = (self.live(), self.ended());
            if live + ended >= self.subscribers || changed.elapsed() > limits::CONNECT_STALL_TIME {
                return live;
            }
            if live + ended > best {
                (best, changed) = (live + ended, Instant::now());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// A schedule begins. Returns when all threads know.
    pub fn begin(&self, schedule: &Arc<MessageSchedule>) {
        let (done, dones) = channel();
        for member in &self.members {
            member.orders.send(ThreadCommand::Begin(schedule.clone(), done.clone())).expect("the thread runs");
        }
        drop(done);
        assert_eq!(dones.iter().count(), self.members.len(), "a thread of the pool is gone");
    }

    /// The schedule is over: what came of it, by thread.
    pub fn end(&self) -> Vec<SubscriberResults> {
        let (to, results) = channel();
        for member in &self.members {
            member.orders.send(ThreadCommand::End(to.clone())).expect("the thread runs");
        }
        drop(to);
        let results: Vec<SubscriberResults> = results.iter().collect();
        assert_eq!(results.len(), self.members.len(), "a thread of the pool is gone");
        results
    }

    /// Subscribers that are connected.
    pub fn live(&self) -> u32 {
        self.members.iter().map(|member| member.counts.live.load(Ordering::Relaxed)).sum()
    }

    /// Subscribers whose connection failed or ended.
    pub fn ended(&self) -> u32 {
        self.members.iter().map(|member| member.counts.ended.load(Ordering::Relaxed)).sum()
    }

    /// Deliveries of this schedule so far.
    pub fn delivered(&self) -> u64 {
        self.members.iter().map(|member| member.counts.delivered.load(Ordering::Relaxed)).sum()
    }

    /// The ids of the threads.
    pub fn thread_ids(&self) -> Vec<i32> {
        self.members.iter().map(|member| member.counts.thread.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for SubscriberPool {
    fn drop(&mut self) {
        for member in &self.members {
            let _ = member.orders.send(ThreadCommand::Part); // a thread that is gone needs no order
        }
        for member in &mut self.members {
            if let Some(thread) = member.thread.take() {
                let _ = thread.join(); // a panic has been printed already
            }
        }
    }
}
