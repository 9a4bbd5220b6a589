//! Nanoseconds since 1970: one clock for the poster and for the pool, since both live on one machine.

use rustix::time::{ClockId, clock_gettime};

/// Now.
pub fn now_ns() -> u64 {
    nanoseconds(ClockId::Realtime)
}

/// CPU time that the calling thread has used.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
