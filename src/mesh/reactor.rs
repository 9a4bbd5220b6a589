//! Reactor rounds: a busy task lets its executor look for I/O, letters and timers, then goes on.
//!
//! Lives on: each core. glommio looks for I/O when its queues are empty or when its preemption timer fires. A task that
//! yields while it has work keeps the queue filled, so it would depend on that timer; it waits for a round instead. A
//! round is made of a channel that is never connected: the reactor wakes tasks that wait for a connection once a round,
//! and does not sleep while there is one.
//!
//! glommio 0.12 has one fault that matters: if anything completes on its latency ring between its look at the rings and
//! the first task (the preemption timer, the cancellation of an older timer, another core's wake-up), it takes its
//! queues for empty and sleeps with tasks in them until the next event. With more threads than CPUs that happens within
//! seconds. So the preemption timer is set too long to fire, and [`bound_sleep`] bounds how long such a sleep lasts.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use glommio::channels::shared_channel::{self, SharedReceiver};

/// The rounds of one executor.
pub struct Rounds {
    connecting: Pin<Box<dyn Future<Output = ()>>>,
    _other_end: SharedReceiver<()>,
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rounds")
    }
}

impl Default for Rounds {
    fn default() -> Self {
        let (sender, other_end) = shared_channel::new_bounded::<()>(1);
        Rounds { connecting: Box::pin(async move { drop(sender.connect().await) }), _other_end: other_end }
    }
}

impl Rounds {
    /// Lets other tasks run until nothing is left to do, then the reactor once.
    pub async fn round(&mut self) {
        let mut waited = false;
        poll_fn(|context| {
            if waited {
                return Poll::Ready(());
            }
            waited = true;
            assert!(self.connecting.as_mut().poll(context).is_pending(), "the other end is never connected");
            Poll::Pending
        })
        .await;
    }
}

/// Never returns: keeps the executor from sleeping longer than this.
pub async fn bound_sleep(longest: Duration) {
    loop {
        glommio::timer::sleep(longest).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use glommio::{LocalExecutorBuilder, Placement};

    use super::*;

    #[test]
    fn rounds_of_a_busy_task_let_timers_fire() {
        let builder = LocalExecutorBuilder::new(Placement::Unbound).preempt_timer(crate::limits::PREEMPT);
        let executor = builder.spawn(|| async {
            let fired = Rc::new(Cell::new(false));
            let other = Rc::clone(&fired);
            glommio::spawn_local(async move {
                glommio::timer::sleep(Duration::from_millis(5)).await;
                other.set(true);
            })
            .detach();
            let mut rounds = Rounds::default();
            let mut turns = 0_u64;
            while !fired.get() {
                rounds.round().await;
                turns += 1;
            }
            turns
        });
        let turns = executor.expect("an executor starts").join().expect("it ends");
        assert!(turns > 1, "it went on while the timer ran");
    }
}
