//! A core's entrance: accepts connections, reads the head of their first request, and sends each to its door.
//!
//! Lives on: each core.
//! Invariant: with descriptor tables of their own, a core whose table is full closes its listener, so that the kernel
//! sends new connections to other cores. Read next: `listener.rs`, `gateway/handshake.rs`, `rest/mod.rs`.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use glommio::timer::sleep;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tungstenite::handshake::server::Request;

use crate::base::clock;
use crate::boot::listener::{self, Listener};
use crate::boot::tables::Room;
use crate::gateway::door::Door;
use crate::gateway::handshake;
use crate::limits;
use crate::net::socket;
use crate::rest::{self, RestDoor};

/// One core's accept loop.
pub struct Entrance {
    address: SocketAddr,
    room: Room,
    door: Door,
    rest: RestDoor,
    /// The buffer for the first bytes of a connection.
    head: RefCell<[u8; limits::HEAD_READ]>,
}

impl Entrance {
    /// An entrance to the doors of this core. It listens on `address` again after its listener was closed.
    pub fn new(address: SocketAddr, room: Room, door: Door, rest: RestDoor) -> Entrance {
        Entrance { address, room, door, rest, head: RefCell::new([0; limits::HEAD_READ]) }
    }

    /// Accepts connections until the task is cancelled.
    pub async fn accept(self, mut listener: Listener) {
        loop {
            let accepted = listener.accept().await;
            let is_full = match &accepted {
                Ok(stream) => self.room.ends_with(stream),
                Err(_) => true,
            };
            let error = match accepted {
                Ok(stream) => {
                    self.receive(stream);
                    None
                }
                Err(error) => Some(error),
            };
            if is_full {
                self.room.complain(self.door.desk.me().core.into(), error.as_ref());
                listener = self.wait_for_room(listener).await;
            }
        }
    }

    /// Most connections arrive with their request, and most of them upgrade to the gateway. Those need no task.
    fn receive(&self, socket: OwnedFd) {
        let head = &mut *self.head.borrow_mut();
        let head = match recv(&socket, &mut *head, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return,
            Ok((read, _)) => &head[..read],
            Err(Errno::AGAIN | Errno::INTR) => &[],
            Err(_) => return,
        };
        let Some((length, request)) = handshake::head(head).ok().flatten() else {
            // The head is incomplete, or hyper has to answer what is wrong with it.
            glommio::spawn_local(greet(socket, head.to_vec(), self.door.clone(), self.rest.clone())).detach();
            return;
        };
        if !handshake::is_upgrade(request.headers()) {
            return serve(socket, head.to_vec(), self.door.clone(), self.rest.clone());
        }
        if let Some((socket, refusal)) = upgrade(socket, &request, &head[length..], &self.door) {
            glommio::spawn_local(refuse(socket, refusal)).detach();
        }
    }

    /// Waits until connections have closed. With a descriptor table of its own only this core is full: without its
    /// listener the kernel sends new connections to other cores. With a shared table all cores are full and the backlog
    /// holds them.
    async fn wait_for_room(&self, mut listener: Listener) -> Listener {
        if !self.room.is_private() {
            sleep(limits::ACCEPT_PAUSE).await;
            while !self.room.is_there() {
                sleep(limits::ACCEPT_PAUSE).await;
            }
            return listener;
        }
        // Closing the listener resets the connections in its backlog, so they are accepted first.
        while let Some(stream) = listener.take_waiting().await {
            let is_last = self.room.ends_even_with(&stream);
            self.receive(stream);
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

/// Reads the rest of the first request's head, then sends the connection to its door.
async fn greet(socket: OwnedFd, mut head: Vec<u8>, door: Door, rest: RestDoor) {
    let mut stream = socket::to_executor(socket);
    if stream.set_read_timeout(Some(limits::HANDSHAKE_TIME)).is_err() {
        return;
    }
    let deadline = clock::now() + limits::HANDSHAKE_TIME;
    let request = loop {
        match handshake::head(&head) {
            Ok(Some((length, request))) => break Some((length, request)),
            Ok(None) if head.len() < limits::HEAD_MAX && clock::now() < deadline => {}
            // hyper answers what is wrong with it.
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
    let socket = socket::from_executor(stream);
    match request {
        Some((length, request)) if handshake::is_upgrade(request.headers()) => {
            // An accepted gateway connection needs no task; its socket leaves the executor.
            if let Some((socket, refusal)) = upgrade(socket, &request, &head[length..], &door) {
                glommio::spawn_local(refuse(socket, refusal)).detach();
            }
        }
        Some(_) | None => {
            head.shrink_to_fit();
            serve(socket, head, door, rest);
        }
    }
}

/// Serves a connection at the REST door until it ends or upgrades to the gateway. `head` was read from it.
fn serve(socket: OwnedFd, head: Vec<u8>, door: Door, rest: RestDoor) {
    glommio::spawn_local(async move {
        let stream = socket::to_executor(socket);
        if let Some(turned) = rest::serve(stream, head, rest, handshake::is_upgrade).await {
            let socket = socket::from_executor(turned.stream);
            if let Some((socket, refusal)) = upgrade(socket, &turned.request, &turned.behind, &door) {
                refuse(socket, refusal).await;
            }
        }
    })
    .detach();
}

/// Accepts an upgrade, or returns the socket with the response that refuses it.
fn upgrade(socket: OwnedFd, request: &Request, behind: &[u8], door: &Door) -> Option<(OwnedFd, Vec<u8>)> {
    // A refusal costs least before there is a WebSocket.
    let retry_after = door.desk.turns_away();
    if let Some(seconds) = retry_after {
        return Some((socket, handshake::retry_later(seconds)));
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
    let mut stream = socket::to_executor(socket);
    let _ = stream.write_all(&refusal).await;
    let _ = stream.shutdown(std::net::Shutdown::Write).await;
}
