//! Posts messages at intended times, however late the answers are: an open loop over the driver's [`HttpPool`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::times::{microseconds, record};
use crate::base::{clock, limits};
use crate::generate::rest_driver::connections::{HttpPool, HttpRequest, HttpResult};
use crate::model::script::Mark;
use crate::runs::peers::peer::Peer;
use crate::verify::marker::Marker;

/// What is posted, and when.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// On which server.
    pub peer: Arc<Peer>,
    /// Where it takes requests.
    pub address: SocketAddr,
    /// The run's marker.
    pub marker: Marker,
    /// Bytes of a message's content.
    pub size: usize,
    /// When the first message is meant to be sent, in nanoseconds since 1970.
    pub start_ns: u64,
    /// Messages per second.
    pub rate: f64,
    /// How many.
    pub count: u32,
}

/// How far the poster is.
#[derive(Debug, Default)]
pub struct PostProgress {
    /// Messages accepted.
    pub accepted: AtomicU32,
    /// Messages refused, or without an answer.
    pub errors: AtomicU32,
}

/// What came of posting.
#[derive(Debug)]
pub struct Posted {
    /// By message: whether it was accepted.
    pub accepted: Vec<bool>,
    /// The first errors.
    pub faults: Vec<String>,
    /// How many errors there were.
    pub errors: u32,
    /// From the intended time to the request being handed to the kernel: how late the poster itself was.
    pub lag: Histogram<u64>,
    /// From the intended time to the answer.
    pub answer: Histogram<u64>,
}

/// Posts everything; blocks until all is answered or given up.
pub fn post(schedule: &Schedule, advance: &PostProgress) -> std::io::Result<Posted> {
    let Schedule { peer, address, marker, size, start_ns, rate, count } = schedule;
    let intended = |index: u32| start_ns + (f64::from(index) * 1e9 / rate) as u64;
    let give_up = intended(*count) + limits::ANSWER_TIME.as_nanos() as u64;
    let mut posted = Posted {
        accepted: vec![false; *count as usize],
        faults: Vec::new(),
        errors: 0,
        lag: microseconds(),
        answer: microseconds(),
    };
    let mut pool = HttpPool::new(*address)?;
    let mut done = Vec::new();
    let mut next = 0;
    loop {
        while next < *count && intended(next) <= clock::now_ns() && pool.has_room() {
            let mark = Mark { stream: 0, index: next, intended_ns: intended(next) };
            let mut request = Vec::new();
            peer.publish(&mut request, &marker.content(mark, *size));
            pool.ask(HttpRequest { number: next as usize, intended_ns: mark.intended_ns, request }, &mut done);
            next += 1;
        }
        let late = clock::now_ns() > give_up;
        if late {
            pool.give_up(&mut done);
        }
        done.drain(..).for_each(|one| posted.take(one, advance));
        if late {
            for index in next..*count {
                posted.fault(format!("message {index}: never sent, since all connections were busy"), advance);
            }
        }
        if late || next == *count && pool.outstanding() == 0 {
            return Ok(posted);
        }
        // Without a free connection an answer is what is waited for.
        let due = if next < *count && pool.has_room() { intended(next) } else { give_up };
        pool.turn(Duration::from_nanos(due.saturating_sub(clock::now_ns())), &mut done);
    }
}

impl Posted {
    fn take(&mut self, done: HttpResult, advance: &PostProgress) {
        let HttpResult { number, intended_ns, sent_ns, done_ns, answer } = done;
        if sent_ns > 0 {
            record(&mut self.lag, sent_ns.saturating_sub(intended_ns));
        }
        match answer {
            Ok((status, body)) => {
                record(&mut self.answer, done_ns.saturating_sub(intended_ns));
                if (200..300).contains(&status) {
                    self.accepted[number] = true;
                    advance.accepted.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.fault(format!("message {number}: {status} {}", String::from_utf8_lossy(&body)), advance);
                }
            }
            Err(why) => self.fault(format!("message {number}: {why}"), advance),
        }
    }

    fn fault(&mut self, what: String, advance: &PostProgress) {
        self.errors += 1;
        advance.errors.fetch_add(1, Ordering::Relaxed);
        if self.faults.len() < limits::FAULTS_TOLD {
            self.faults.push(what);
        }
    }
}
