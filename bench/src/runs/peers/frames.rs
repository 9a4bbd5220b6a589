//! Publishes by text frames on one WebSocket, at intended times: an open loop like the
//! [`poster`](crate::runs::peers::poster), but nothing answers, so what is handed to the kernel counts as accepted.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::base::times::{microseconds, record};
use crate::base::{clock, limits};
use crate::runs::peers::message_format::MessageFormat;
use crate::runs::peers::messages::{Incoming, Messages};
use crate::runs::peers::peer::Peer;
use crate::runs::peers::poster::{PostProgress, Posted};
use crate::wire::frames::Kind;
use crate::wire::{frames, upgrade};

/// Any will do, as for subscribers.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// A WebSocket to publish on. It stays open between courses: closed early, it might take with it what the server has
/// not read.
#[derive(Debug)]
pub struct FramePublisher {
    socket: OwnedFd,
    epoll: OwnedFd,
    messages: Messages,
    unsent: Vec<u8>,
    /// Bytes sent and accepted for sending since the wire was opened.
    sent: u64,
    queued: u64,
    broken: Option<String>,
}

/// What is published, and when.
#[derive(Debug)]
pub struct Schedule {
    /// What messages say.
    pub format: MessageFormat,
    /// When the first is meant to be sent, in nanoseconds since 1970.
    pub start_ns: u64,
    /// Messages per second.
    pub rate: f64,
    /// How many.
    pub count: u32,
}

impl FramePublisher {
    /// Connects and upgrades.
    pub fn open(address: SocketAddr, request: &[u8]) -> std::io::Result<FramePublisher> {
        let mut stream = TcpStream::connect_timeout(&address, limits::HANDSHAKE_TIME)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limits::HANDSHAKE_TIME))?;
        stream.write_all(request)?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        let head = loop {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Err(Error::other("the server closed the connection that is to publish"));
            }
            answer.extend_from_slice(&buffer[..read]);
            if let Some(head) = upgrade::read(&answer).map_err(|broken| Error::other(broken.0))? {
                break head;
            }
        };
        stream.set_nonblocking(true)?;
        let socket = OwnedFd::from(stream);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &socket, EventData::new_u64(0), EventFlags::IN)?;
        let mut wire = FramePublisher {
            socket,
            epoll,
            messages: Messages::default(),
            unsent: Vec::new(),
            sent: 0,
            queued: 0,
            broken: None,
        };
        wire.take(&answer[head..]);
        Ok(wire)
    }

    /// Publishes everything; blocks until all is handed to the kernel, or it takes nothing any more.
    pub fn publish(&mut self, peer: &Peer, schedule: &Schedule, advance: &PostProgress) -> std::io::Result<Posted> {
        let Schedule { format, start_ns, rate, count } = schedule;
        let intended = |index: u32| start_ns + (f64::from(index) * 1e9 / rate) as u64;
        let give_up = intended(*count) + limits::ANSWER_TIME.as_nanos() as u64;
        let mut posted = Posted {
            accepted: vec![false; *count as usize],
            faults: Vec::new(),
            errors: 0,
            lag: microseconds(),
            answer: microseconds(),
        };
        // Where each message ends in the stream: it is accepted when so much is sent.
        let mut ends = std::collections::VecDeque::new();
        let (mut next, mut text) = (0, Vec::new());
        let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 4];
        loop {
            let now = clock::now_ns();
            while next < *count && intended(next) <= now {
                text.clear();
                peer.publish(&mut text, &format.message(next, intended(next)));
                self.queue(Kind::Text, &text);
                ends.push_back((next, self.queued));
                next += 1;
            }
            self.flush();
            let now = clock::now_ns();
            while let Some((index, _)) = ends.front().copied().filter(|(_, end)| *end <= self.sent) {
                ends.pop_front();
                posted.accepted[index as usize] = true;
                record(&mut posted.lag, now.saturating_sub(intended(index)));
                advance.accepted.fetch_add(1, Ordering::Relaxed);
            }
            if next == *count && ends.is_empty() {
                return Ok(posted);
            }
            if self.broken.is_some() || now > give_up {
                let why = self.broken.as_deref().unwrap_or("the server takes nothing any more");
                posted.errors = *count - advance.accepted.load(Ordering::Relaxed);
                posted.faults.push(format!("the connection that publishes: {why}"));
                advance.errors.fetch_add(posted.errors, Ordering::Relaxed);
                return Ok(posted);
            }
            let due = if next < *count { intended(next) } else { give_up };
            self.wait(&mut events, due.saturating_sub(now))?;
        }
    }

    fn wait(&mut self, events: &mut [epoll::Event], nap_ns: u64) -> std::io::Result<()> {
        let timeout = rustix::event::Timespec {
            tv_sec: (nap_ns / 1_000_000_000) as i64,
            tv_nsec: (nap_ns % 1_000_000_000) as i64,
        };
        let mut flags = EventFlags::IN;
        if !self.unsent.is_empty() {
            flags |= EventFlags::OUT;
        }
        epoll::modify(&self.epoll, &self.socket, EventData::new_u64(0), flags)?;
        match epoll::wait(&self.epoll, &mut *events, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        // A server may send to publishers too: unread, that would hold it up.
        let mut buffer = [0; 64 * 1024];
        match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => self.broken = Some("the server closed it".into()),
            Ok((read, _)) => self.take(&buffer[..read]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.broken = Some(error.to_string()),
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut pongs = Vec::new();
        let mut closed = None;
        let result = self.messages.read(bytes, |came| match came {
            Incoming::Message(..) => {}
            Incoming::Ping(payload) => pongs.push(payload.to_vec()),
            Incoming::Close(code) => closed = Some(code),
        });
        for pong in pongs {
            self.queue(Kind::Pong, &pong);
        }
        if let Err(broken) = result {
            self.broken = Some(broken.0.into());
        } else if let Some(code) = closed {
            self.broken = Some(format!("the server closed it with {code:?}"));
        }
    }

    fn queue(&mut self, kind: Kind, payload: &[u8]) {
        let before = self.unsent.len();
        frames::write(&mut self.unsent, kind, payload, MASK);
        self.queued += (self.unsent.len() - before) as u64;
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.unsent.drain(..sent);
                    self.sent += sent as u64;
                }
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(error) => {
                    self.broken.get_or_insert(error.to_string());
                    return;
                }
            }
        }
    }
}
