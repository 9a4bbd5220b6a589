//! Keep-alive connections on which requests are made, each as soon as one is free: an open loop.
//!
//! A closed loop would slow down together with the server and hide its pauses. Here a request that had to wait, be it
//! for a free connection, is late from its intended time on. Source: Gil Tene, "How NOT to measure latency".

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::base::{clock, http, limits, source_address};

/// A request.
#[derive(Debug)]
pub struct HttpRequest {
    /// What its asker calls it.
    pub number: usize,
    /// When it was meant to be sent, in nanoseconds since 1970.
    pub intended_ns: u64,
    /// Head and body.
    pub request: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub struct HttpResult {
    /// What its asker calls it.
    pub number: usize,
    /// When it was meant to be sent.
    pub intended_ns: u64,
    /// When it was handed to the kernel; 0 if it never was.
    pub sent_ns: u64,
    /// When the answer was there.
    pub done_ns: u64,
    /// Status and body, or why there is none. Without an answer it may have been done or not; it is not asked again.
    pub answer: Result<(u16, Vec<u8>), String>,
}

/// The connections.
#[derive(Debug)]
pub struct HttpPool {
    server: SocketAddr,
    epoll: OwnedFd,
    lines: Vec<KeptConnection>,
    /// Lines without a job.
    idle: Vec<usize>,
    busy: usize,
}

#[derive(Debug)]
struct KeptConnection {
    socket: Option<OwnedFd>,
    job: Option<HttpRequest>,
    unsent: usize,
    sent_ns: u64,
    read: Vec<u8>,
}

impl HttpPool {
    /// No connection yet; they are opened as they are needed.
    pub fn new(server: SocketAddr) -> std::io::Result<HttpPool> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(HttpPool { server, epoll, lines: Vec::new(), idle: Vec::new(), busy: 0 })
    }

    /// Requests that are not yet answered.
    pub fn outstanding(&self) -> usize {
        self.busy
    }

    /// Whether a request can be made at once.
    pub fn has_room(&self) -> bool {
        !self.idle.is_empty() || self.lines.len() < limits::POSTERS_MAX
    }

    /// Waits for at most so long, and takes what was answered.
    pub fn turn(&mut self, nap: Duration, done: &mut Vec<HttpResult>) {
        let timeout = Timespec { tv_sec: nap.as_secs() as i64, tv_nsec: i64::from(nap.subsec_nanos()) };
        let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 64];
        let ready = match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok(ready) => ready,
            Err(Errno::INTR) => 0,
            Err(error) => panic!("epoll_wait: {error}"),
        };
        for event in &events[..ready] {
            // Copied out, since the kernel's structure is packed.
            let (data, flags) = (event.data, event.flags);
            let at = data.u64() as usize;
            if flags.contains(EventFlags::OUT) {
                self.write(at);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.read(at, done);
            }
        }
    }

    /// Gives up on what is not yet answered.
    pub fn give_up(&mut self, done: &mut Vec<HttpResult>) {
        for at in 0..self.lines.len() {
            self.end(at, "no answer", done);
        }
    }

    /// Makes a request on a connection that is free.
    ///
    /// # Panics
    ///
    /// If there is none: see [`HttpPool::has_room`].
    pub fn ask(&mut self, job: HttpRequest, done: &mut Vec<HttpResult>) {
        let at = self.idle.pop().unwrap_or_else(|| {
            assert!(self.lines.len() < limits::POSTERS_MAX, "all connections are busy");
            self.lines.push(KeptConnection { socket: None, job: None, unsent: 0, sent_ns: 0, read: Vec::new() });
            self.lines.len() - 1
        });
        self.busy += 1;
        let line = &mut self.lines[at];
        line.unsent = 0;
        line.sent_ns = 0;
        line.read.clear();
        line.job = Some(job);
        if line.socket.is_some() {
            return self.write(at);
        }
        let opened = source_address::connect(self.server, 0).and_then(|socket| {
            epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), EventFlags::IN | EventFlags::OUT)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => line.socket = Some(socket),
            Err(error) => self.end(at, &format!("connect: {error}"), done),
        }
    }

    fn write(&mut self, at: usize) {
        let line = &mut self.lines[at];
        let (Some(socket), Some(job)) = (&line.socket, &line.job) else { return };
        if line.unsent < job.request.len() {
            match rustix::net::send(socket, &job.request[line.unsent..], SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    line.unsent += sent;
                    line.sent_ns = clock::now_ns();
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return, // the end shows itself when it is read
            }
        }
        let more = if line.unsent < job.request.len() { EventFlags::OUT } else { EventFlags::empty() };
        epoll::modify(&self.epoll, socket, EventData::new_u64(at as u64), EventFlags::IN | more)
            .expect("the socket was added");
    }

    fn read(&mut self, at: usize, done: &mut Vec<HttpResult>) {
        let line = &mut self.lines[at];
        let Some(socket) = &line.socket else { return };
        let mut buffer = [0; 16 * 1024];
        match rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return self.end(at, "the server closed the connection", done),
            Ok((read, _)) => line.read.extend_from_slice(&buffer[..read]),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(error) => return self.end(at, &error.to_string(), done),
        }
        let answer = match http::answer(&line.read) {
            Ok(None) => return,
            Ok(Some(answer)) => answer,
            Err(why) => return self.end(at, why, done),
        };
        let body = line.read[answer.body..answer.end].to_vec();
        line.read.clear();
        if answer.closes {
            line.socket = None;
        }
        if let Some(HttpRequest { number, intended_ns, .. }) = line.job.take() {
            let (sent_ns, done_ns) = (line.sent_ns, clock::now_ns());
            done.push(HttpResult { number, intended_ns, sent_ns, done_ns, answer: Ok((answer.status, body)) });
            self.busy -= 1;
            self.idle.push(at);
        }
    }

    /// A connection is over.
    fn end(&mut self, at: usize, why: &str, done: &mut Vec<HttpResult>) {
        let line = &mut self.lines[at];
        line.socket = None;
        line.read.clear();
        if let Some(HttpRequest { number, intended_ns, .. }) = line.job.take() {
            let (sent_ns, done_ns) = (line.sent_ns, clock::now_ns());
            done.push(HttpResult { number, intended_ns, sent_ns, done_ns, answer: Err(why.to_owned()) });
            self.busy -= 1;
            self.idle.push(at);
        }
    }
}
