//! Sockets to the server, spread over source addresses.
//!
//! A pair of addresses has some 28,000 ports, and closed connections keep theirs for a minute. On loopback all of
//! 127.0.0.0/8 is ours, so each block of sockets has an address of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::base::limits;

/// Begins to connect, without waiting.
pub fn connect(to: SocketAddr, number: u32) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let IpAddr::V4(address) = to.ip()
        && address.is_loopback()
    {
        socket.bind(&SocketAddr::from((address_of(number), 0)).into())?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => Ok(socket.into()),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Ok(socket.into()),
        Err(error) => Err(error),
    }
}

/// Ends a connection by a reset, without a word: as when a network is gone.
pub fn cut(socket: OwnedFd) {
    // A socket that is gone already needs no reset.
    let _ = SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO));
    drop(socket);
}

fn address_of(number: u32) -> Ipv4Addr {
    let block = number / limits::SESSIONS_PER_ADDRESS + 1;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + block)
}
