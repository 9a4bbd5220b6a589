//! Posts messages at intended times, however late the answers are: an open loop.
//!
//! A closed loop would slow down together with the server and hide its pauses. Here a message that had to wait, be it for a
//! free connection, is late from its intended time on. Source: Gil Tene, "How NOT to measure latency".

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::clock;
use crate::http::{self, Letterbox};
use crate::limits;
use crate::marker::Marker;
use crate::script::Mark;
use crate::source;
use crate::swarm::tally::{microseconds, record};

/// What is posted, and when.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Where.
    pub mailbox: Arc<dyn Letterbox>,
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
pub struct Advance {
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

#[derive(Debug)]
struct Connection {
    socket: Option<OwnedFd>,
    /// The message whose answer is awaited.
    busy: Option<Mark>,
    unsent: Vec<u8>,
    read: Vec<u8>,
}

/// The poster's state; it lives on a thread of its own.
#[derive(Debug)]
struct Poster {
    schedule: Schedule,
    advance: Arc<Advance>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    waiting: VecDeque<Mark>,
    posted: Posted,
    answered: u32,
}

/// Posts everything; blocks until all is answered or given up.
pub fn post(schedule: Schedule, advance: Arc<Advance>) -> std::io::Result<Posted> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let posted = Posted {
        accepted: vec![false; schedule.count as usize],
        faults: Vec::new(),
        errors: 0,
        lag: microseconds(),
        answer: microseconds(),
    };
    let connections = Vec::new();
    let mut poster = Poster { schedule, advance, epoll, connections, waiting: VecDeque::new(), posted, answered: 0 };
    poster.run();
    Ok(poster.posted)
}

impl Poster {
    fn run(&mut self) {
        let Schedule { start_ns, rate, count, .. } = self.schedule;
        let intended = |index: u32| start_ns + (f64::from(index) * 1e9 / rate) as u64;
        let give_up = intended(count) + limits::ANSWER_TIME.as_nanos() as u64;
        let mut next = 0;
        let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 64];
        while self.answered < count {
            let now = clock::now_ns();
            while next < count && intended(next) <= now {
                self.waiting.push_back(Mark { stream: 0, index: next, intended_ns: intended(next) });
                next += 1;
            }
            self.send_waiting();
            if now > give_up {
                return self.give_up();
            }
            let due = if next < count { intended(next) } else { give_up };
            let nap = due.saturating_sub(clock::now_ns());
            let timeout =
                rustix::event::Timespec { tv_sec: (nap / 1_000_000_000) as i64, tv_nsec: (nap % 1_000_000_000) as i64 };
            let ready = match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
                Ok(ready) => ready,
                Err(Errno::INTR) => 0,
                Err(error) => panic!("epoll_wait: {error}"),
            };
            for event in &events[..ready] {
                let (data, flags) = (event.data, event.flags);
                let at = data.u64() as usize;
                if flags.contains(EventFlags::OUT) {
                    self.write(at);
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(at);
                }
            }
        }
    }

    fn send_waiting(&mut self) {
        while let Some(marked) = self.waiting.front().copied() {
            let idle = self.connections.iter().position(|connection| connection.busy.is_none());
            let at = match idle {
                Some(at) => at,
                None if self.connections.len() < limits::POSTERS_MAX => {
                    self.connections.push(Connection {
                        socket: None,
                        busy: None,
                        unsent: Vec::new(),
                        read: Vec::new(),
                    });
                    self.connections.len() - 1
                }
                None => return,
            };
            self.waiting.pop_front();
            let Schedule { mailbox, marker, size, .. } = &self.schedule;
            let connection = &mut self.connections[at];
            connection.busy = Some(marked);
            connection.unsent.clear();
            mailbox.write(&mut connection.unsent, &marker.content(marked, *size));
            if connection.socket.is_none() {
                let opened = source::connect(mailbox.server(), 0).and_then(|socket| {
                    let flags = EventFlags::IN | EventFlags::OUT;
                    epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), flags)?;
                    Ok(socket)
                });
                match opened {
                    Ok(socket) => connection.socket = Some(socket),
                    Err(error) => self.end(at, &format!("connect: {error}")),
                }
            } else {
                self.write(at);
            }
        }
    }

    fn write(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(socket) = &connection.socket else { return };
        if !connection.unsent.is_empty() {
            match rustix::net::send(socket, &connection.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    connection.unsent.drain(..sent);
                    if let Some(marked) = connection.busy {
                        record(&mut self.posted.lag, clock::now_ns().saturating_sub(marked.intended_ns));
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return, // the end shows itself when it is read
            }
        }
        let mut flags = EventFlags::IN;
        if !connection.unsent.is_empty() {
            flags |= EventFlags::OUT;
        }
        epoll::modify(&self.epoll, socket, EventData::new_u64(at as u64), flags).expect("the socket was added");
    }

    fn read(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(socket) = &connection.socket else { return };
        let mut buffer = [0; 16 * 1024];
        match rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return self.end(at, "the server closed the connection"),
            Ok((read, _)) => connection.read.extend_from_slice(&buffer[..read]),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(error) => return self.end(at, &error.to_string()),
        }
        let answer = match http::answer(&connection.read) {
            Ok(None) => return,
            Ok(Some(answer)) => answer,
            Err(why) => return self.end(at, why),
        };
        let words = String::from_utf8_lossy(&connection.read[answer.body..answer.end]).into_owned();
        connection.read.clear();
        if let Some(marked) = connection.busy.take() {
            self.answered += 1;
            record(&mut self.posted.answer, clock::now_ns().saturating_sub(marked.intended_ns));
            if answer.is_ok() {
                self.posted.accepted[marked.index as usize] = true;
                self.advance.accepted.fetch_add(1, Ordering::Relaxed);
            } else {
                self.fault(format!("message {}: {} {words}", marked.index, answer.status));
            }
        }
        if answer.closes {
            self.connections[at].socket = None;
        }
    }

    /// A connection is over. A message on it may have been accepted or not; it is not posted again.
    fn end(&mut self, at: usize, why: &str) {
        let connection = &mut self.connections[at];
        connection.socket = None;
        connection.unsent.clear();
        connection.read.clear();
        if let Some(marked) = connection.busy.take() {
            self.answered += 1;
            self.fault(format!("message {}: {why}", marked.index));
        }
    }

    fn give_up(&mut self) {
        for at in 0..self.connections.len() {
            self.end(at, "no answer");
        }
        for marked in std::mem::take(&mut self.waiting) {
            self.fault(format!("message {}: never sent, since all connections were busy", marked.index));
        }
    }

    fn fault(&mut self, what: String) {
        self.posted.errors += 1;
        self.advance.errors.fetch_add(1, Ordering::Relaxed);
        if self.posted.faults.len() < limits::FAULTS_TOLD {
            self.posted.faults.push(what);
        }
    }
}
