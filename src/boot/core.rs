//! One core: its executor's tasks from the first to the last.
//!
//! Lives on: each core.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flume::{Receiver, Sender};
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use glommio::timer::sleep;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::Socket;
use tungstenite::handshake::server::Request;

use crate::base::clock;
use crate::base::metrics::{Metric, Metrics};
use crate::boot::listener::{self, Listener};
use crate::boot::pulse::{self, Beat};
use crate::boot::recording::Recorder;
use crate::boot::signals::Wish;
use crate::boot::tables::{Room, Split};
use crate::boot::turn::{Posted, Turns};
use crate::desk::Desk;
use crate::desk::settings::Settings;
use crate::gateway::door::Door;
use crate::gateway::handshake;
use crate::gateway::socket_table::{self as sockets, Sending, SocketTable, Way};
use crate::limits;
use crate::mail::ask::{Actor, Answer, Request as Asked};
use crate::mail::placement::Placement;
use crate::mesh::fd_passing::FdPassing;
use crate::mesh::{LaneEnds, reactor};
use crate::rest;
use crate::rest::ratelimit::RateLimits;
use crate::shard::{Shard, ShardSettings};
use crate::store::service::StoreEnd;
use crate::store::token::Signer;

/// Tells the process when a core panics: all that the core owned is lost, and everybody else would wait for it for ever.
#[derive(Debug)]
pub struct Lifeline(pub Sender<Wish>);

impl Drop for Lifeline {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Wish::CoreLost);
        }
    }
}

/// What a core is started with.
pub struct CoreParts {
    /// What the shard is told.
    pub shard: ShardSettings,
    /// What the doors are told.
    pub settings: Settings,
    /// Checks and issues tokens.
    pub signer: Signer,
    /// The way to the store.
    pub store: StoreEnd,
    /// The lanes' ends.
    pub lanes: LaneEnds<Posted>,
    /// Passes sockets to other cores.
    pub fd_passing: FdPassing,
    /// The listener.
    pub listener: Socket,
    /// Where it listens.
    pub address: SocketAddr,
    /// Room for connections.
    pub room: Room,
    /// How long its executor sleeps at most.
    pub longest_sleep: Duration,
    /// How writes are handed to the kernel, if it is said.
    pub flush: Option<Way>,
    /// The way to a descriptor table of its own, if it is to have one.
    pub split: Option<Arc<Split>>,
    /// Takes notes, if the process records.
    pub recorder: Option<Recorder>,
    /// The process's orders.
    pub orders: Receiver<Order>,
    /// Told once the core serves, or why it cannot.
    pub ready: Sender<io::Result<()>>,
    /// Held while the core lives.
    pub lifeline: Lifeline,
}

/// What the process tells a core.
#[derive(Debug)]
pub enum Order {
    /// Copy what was measured.
    Measure(Sender<Metrics>),
    /// Ask an owner on behalf of the operator.
    Ask(Box<Asked>, Sender<Answer>),
    /// Write these frames once to every open connection, to so many between two turns of other work.
    Pulse(Bytes, u32, Sender<Beat>),
    /// Accept nobody any more and send everybody away within the time; tell when done.
    Drain(Duration, Sender<()>),
    /// End.
    Stop,
}

/// Runs a core until it is told to stop. Returns what it measured.
pub async fn run(parts: CoreParts) -> Metrics {
    let CoreParts { shard, settings, signer, store, lanes, fd_passing, listener, address, room, split, .. } = parts;
    let CoreParts { recorder, orders, ready, lifeline, longest_sleep, flush, .. } = parts;
    if let Some(split) = split
        && let Err(error) = split.separate(shard.me.index())
    {
        let _ = ready.send(Err(error));
        return Metrics::default();
    }
    let (me, placement): (_, Placement) = (shard.me, shard.placement);
    let desk = Desk::new(me, placement, settings, signer, store.clone(), Shard::new(shard));
    let sockets = if room.is_direct() { SocketTable::without_numbers() } else { SocketTable::new() };
    let sockets = match sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            let _ = ready.send(Err(error));
            return Metrics::default();
        }
    };
    let door = Door::new(desk.clone(), sockets, fd_passing);
    let sending = match Sending::new(door.table.clone(), flush) {
        Ok(sending) => sending,
        Err(error) => {
            let _ = ready.send(Err(io::Error::new(error.kind(), format!("no io_uring for batched writes: {error}"))));
            return Metrics::default();
        }
    };
    glommio::spawn_local(reactor::bound_sleep(longest_sleep)).detach();
    glommio::spawn_local(collect(desk.clone(), store)).detach();
    glommio::spawn_local(tick(desk.clone())).detach();
    glommio::spawn_local(door.clone().listen()).detach();
    let stop = Rc::new(Cell::new(false));
    let head = RefCell::new([0; limits::HEAD_READ]);
    let entrance = Entrance { address, room, door: door.clone(), rates: RateLimits::default(), head };
    let listening = glommio::spawn_local(entrance.accept(Listener::adopt(listener)));
    glommio::spawn_local(obey(orders, door.clone(), listening, Rc::clone(&stop))).detach();
    let _ = ready.send(Ok(()));
    Turns::new(desk.clone(), door, sending, lanes, recorder, stop).run().await;
    drop(lifeline);
    desk.shard().metrics.clone()
}

/// Brings the store's answers to the desk.
async fn collect(desk: Desk, store: StoreEnd) {
    while let Ok(answer) = store.answers.recv_async().await {
        if answer.result == Ok(crate::store::service::Outcome::Committed) {
            let mut shard = desk.shard();
            shard.metrics.record(Metric::StoreCommit, answer.committed_in);
            shard.metrics.count(crate::base::metrics::Counter::StoreCommits, 1);
        }
        desk.store_answered(answer.id, answer.result);
    }
}

async fn tick(desk: Desk) {
    loop {
        sleep(limits::TICK).await;
        desk.with(|shard, out| shard.tick(clock::now(), out));
    }
}

/// Obeys the process.
async fn obey(orders: Receiver<Order>, door: Door, listening: glommio::Task<()>, stop: Rc<Cell<bool>>) {
    let desk = door.desk.clone();
    let mut listening = Some(listening);
    while let Ok(order) = orders.recv_async().await {
        match order {
            Order::Measure(reply) => {
                let _ = reply.send(desk.shard().metrics.clone());
            }
            Order::Ask(request, reply) => {
                let desk = desk.clone();
                glommio::spawn_local(async move {
                    let answer = desk.ask(Actor::Operator, *request).await;
                    let _ = reply.send(answer);
                })
                .detach();
            }
            Order::Pulse(frames, slice, reply) => {
                let door = door.clone();
                glommio::spawn_local(async move {
                    let _ = reply.send(pulse::beat(&door, &frames, slice).await);
                })
                .detach();
            }
            Order::Drain(time, done) => {
                if let Some(listening) = listening.take() {
                    listening.cancel().await;
                }
                drain(&desk, time).await;
                let _ = done.send(());
            }
            Order::Stop => {
                stop.set(true);
                desk.request_turn();
                return;
            }
        }
    }
}

/// Sends everybody away in paced batches, and waits for what is under way.
async fn drain(desk: &Desk, time: Duration) {
    let deadline = clock::now() + time;
    let (_, connections) = desk.shard().population();
    // Spread over half of the time: the other half is for the last ones to go.
    let rounds = (time.as_millis() / 2 / limits::DRAIN_PAUSE.as_millis()).max(1) as usize;
    let batch = connections.div_ceil(rounds).max(limits::DRAIN_BATCH_MIN);
    while clock::now() < deadline {
        let more = desk.with(|shard, out| shard.drain(clock::now(), batch, out));
        let awaits = desk.shard().awaits_store();
        if !more && !awaits {
            break;
        }
        sleep(limits::DRAIN_PAUSE).await;
    }
}

/// Where connections come in.
struct Entrance {
    address: SocketAddr,
    room: Room,
    door: Door,
    rates: RateLimits,
    /// Where the first bytes of each are read.
    head: RefCell<[u8; limits::HEAD_READ]>,
}

impl Entrance {
    /// Accepts connections for ever.
    async fn accept(self, mut listener: Listener) {
        loop {
            let accepted = listener.accept().await;
            let is_full = match &accepted {
                Ok(stream) => self.room.ends_with(stream),
                Err(_) => true,
            };
            let error = match accepted {
                Ok(stream) => {
                    self.let_in(stream);
                    None
                }
                Err(error) => Some(error),
            };
            if is_full {
                self.room.complain(self.door.desk.me().index(), error.as_ref());
                listener = self.wait_for_room(listener).await;
            }
        }
    }

    /// Most connections bring along what they want, and most of them want the gateway. They need no task.
    fn let_in(&self, socket: OwnedFd) {
        let head = &mut *self.head.borrow_mut();
        let head = match recv(&socket, &mut *head, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return,
            Ok((read, _)) => &head[..read],
            Err(Errno::AGAIN | Errno::INTR) => &[],
            Err(_) => return,
        };
        let Some((length, request)) = handshake::head(head).ok().flatten() else {
            // Read on, or let hyper say what is wrong with it.
            glommio::spawn_local(greet(socket, head.to_vec(), self.door.clone(), self.rates.clone())).detach();
            return;
        };
        if !handshake::is_upgrade(request.headers()) {
            return serve(socket, head.to_vec(), self.door.clone(), self.rates.clone());
        }
        if let Some((socket, refusal)) = upgrade(socket, &request, &head[length..], &self.door) {
            glommio::spawn_local(refuse(socket, refusal)).detach();
        }
    }

    /// Waits until others have closed. In a table of its own this core alone is full: without its listener the kernel sends
    /// new connections to other cores. Where all share one table they are all full, and new connections wait in the backlog.
    async fn wait_for_room(&self, mut listener: Listener) -> Listener {
        if !self.room.is_private() {
            sleep(limits::ACCEPT_PAUSE).await;
            while !self.room.is_there() {
                sleep(limits::ACCEPT_PAUSE).await;
            }
            return listener;
        }
        // Closing resets those who wait in the backlog, so they come in first.
        while let Some(stream) = listener.take_waiting().await {
            let is_last = self.room.ends_even_with(&stream);
            self.let_in(stream);
            if is_last {
                break;
            }
        }
        drop(listener);
        loop {
            sleep(limits::ACCEPT_PAUSE).await;
            if self.room.is_there()
                && let Ok(socket) = listener::open(self.address)
            {
                return Listener::adopt(socket);
            }
        }
    }
}

/// Reads the head of the first request, as far as it has not come yet, and sends the connection to the door that it is for.
async fn greet(socket: OwnedFd, mut head: Vec<u8>, door: Door, rates: RateLimits) {
    let mut stream = sockets::to_executor(socket);
    if stream.set_read_timeout(Some(limits::HANDSHAKE_TIME)).is_err() {
        return;
    }
    let deadline = clock::now() + limits::HANDSHAKE_TIME;
    let request = loop {
        match handshake::head(&head) {
            Ok(Some((length, request))) => break Some((length, request)),
            Ok(None) if head.len() < limits::HEAD_MAX && clock::now() < deadline => {}
            // hyper has the words for what is wrong with it.
            Ok(None) | Err(_) => break None,
        }
        let start = head.len();
        head.resize(start + limits::HEAD_READ, 0);
        let read = match stream.read(&mut head[start..]).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        head.truncate(start + read);
    };
    let _ = stream.set_read_timeout(None);
    let socket = sockets::from_executor(stream);
    match request {
        Some((length, request)) if handshake::is_upgrade(request.headers()) => {
            // Whoever is let in needs no other task; its socket leaves the executor.
            if let Some((socket, refusal)) = upgrade(socket, &request, &head[length..], &door) {
                glommio::spawn_local(refuse(socket, refusal)).detach();
            }
        }
        Some(_) | None => {
            head.shrink_to_fit();
            serve(socket, head, door, rates);
        }
    }
}

/// Has a connection served by the REST door, until it ends or turns to the gateway. `head` was read from it.
fn serve(socket: OwnedFd, head: Vec<u8>, door: Door, rates: RateLimits) {
    glommio::spawn_local(async move {
        let (stream, desk) = (sockets::to_executor(socket), door.desk.clone());
        if let Some(turned) = rest::serve(stream, head, desk, rates, handshake::is_upgrade).await {
            let socket = sockets::from_executor(turned.stream);
            if let Some((socket, refusal)) = upgrade(socket, &turned.request, &turned.behind, &door) {
                refuse(socket, refusal).await;
            }
        }
    })
    .detach();
}

/// Takes a connection in, or gives it back with the answer that refuses it.
fn upgrade(socket: OwnedFd, request: &Request, behind: &[u8], door: &Door) -> Option<(OwnedFd, Vec<u8>)> {
    // Before there is a WebSocket a refusal costs least.
    let stay_away = door.desk.shard().turns_away();
    if let Some(seconds) = stay_away {
        return Some((socket, handshake::come_back(seconds)));
    }
    match handshake::open(request) {
        Ok(opening) => {
            door.serve(socket, opening, behind);
            None
        }
        Err(refusal) => Some((socket, refusal)),
    }
}

async fn refuse(socket: OwnedFd, refusal: Vec<u8>) {
    let mut stream = sockets::to_executor(socket);
    let _ = stream.write_all(&refusal).await;
    let _ = stream.shutdown(std::net::Shutdown::Write).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_panics_tells_the_process_and_one_that_ends_does_not() {
        let (wisher, wishes) = flume::bounded(2);
        let ends = Lifeline(wisher.clone());
        std::thread::spawn(move || drop(ends)).join().unwrap();
        assert!(wishes.try_recv().is_err());
        let panics = Lifeline(wisher);
        let panicked = std::thread::spawn(move || {
            let _held = panics;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(wishes.try_recv(), Ok(Wish::CoreLost));
    }
}
