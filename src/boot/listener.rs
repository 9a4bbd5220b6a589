//! Listeners: one for each core on the same port, so that the kernel spreads connections.
//!
//! Lives on: made on the main thread, used on each core.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, RawFd};

use glommio::net::{TcpListener, TcpStream};
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};

use crate::boot::Fatal;
use crate::limits;

/// A listener for each of `cores` cores on one address, and the address (with port 0, the port that was found).
pub fn listen(address: SocketAddr, cores: usize) -> Result<(Vec<Socket>, SocketAddr), Fatal> {
    // With SO_REUSEPORT a second server would be let in silently; a plain bind finds out whether the port is free.
    let explain = |error: io::Error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            Fatal(format!("{address} is in use: stop the other server or choose another port with --listen"))
        } else {
            Fatal(format!("cannot listen on {address}: {error}"))
        }
    };
    let probe = socket(address, false).and_then(|socket| socket.local_addr()).map_err(explain)?;
    let found = probe.as_socket().unwrap_or(address);
    let listeners = (0..cores).map(|_| open(found)).collect::<io::Result<Vec<_>>>().map_err(explain)?;
    Ok((listeners, found))
}

/// One more listener on an address that others listen on.
pub fn open(address: SocketAddr) -> io::Result<Socket> {
    socket(address, true)
}

/// A listener on the executor of the core that made this of it.
#[derive(Debug)]
pub struct Listener {
    accepting: TcpListener,
    descriptor: RawFd,
}

impl Listener {
    /// Takes a listener over.
    pub fn adopt(socket: Socket) -> Listener {
        let descriptor = socket.into_raw_fd();
        // SAFETY: the descriptor comes straight out of the socket, which gives up its ownership. (glommio's own bind has a fixed
        // backlog of 1,024, too small for a reconnect storm.)
        Listener { accepting: unsafe { TcpListener::from_raw_fd(descriptor) }, descriptor }
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        self.accepting.accept().await.map_err(io::Error::from)
    }

    /// A connection that waits to be accepted, if there is one now.
    pub fn take_waiting(&self) -> Option<TcpStream> {
        // SAFETY: our listener keeps its descriptor open while it is lent.
        let listener = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        let socket = accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC).ok()?;
        // SAFETY: the descriptor comes straight out of its owner, which gives it up.
        Some(unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) })
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if shared {
        // Accepted sockets have it too.
        socket.set_tcp_notsent_lowat(limits::SOCKET_UNSENT_BYTES)?;
        socket.listen(limits::ACCEPT_BACKLOG)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_one_sentence_that_says_what_to_do() {
        let (first, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 3).unwrap();
        assert_eq!(first.len(), 3);
        let error = listen(address, 1).unwrap_err();
        assert!(error.0.contains("in use") && error.0.contains("--listen"), "{error}");
    }
}
