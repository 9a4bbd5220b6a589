//! Listeners: one for each core on the same port, so that the kernel spreads connections.
//!
//! Lives on: made on the main thread, used on each core.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use glommio::io::PollableFd;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};

use crate::base::fatal::Fatal;
use crate::limits;
use crate::mesh::reactor::Rounds;

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
pub struct Listener {
    accepting: PollableFd<OwnedFd>,
    rounds: Rounds,
    /// Connections that may come in before it is the others' turn.
    left: usize,
}

impl Listener {
    /// Takes a listener over. Its connections need not be the executor's: most are the gateway's, which has no use for
    /// that.
    ///
    /// # Panics
    /// If this is not on an executor.
    pub fn adopt(socket: Socket) -> Listener {
        let accepting = PollableFd::new(socket.into()).expect("a core's listener is on its executor");
        Listener { accepting, rounds: Rounds::default(), left: limits::ACCEPT_SLICE }
    }

    /// The next connection.
    pub async fn accept(&mut self) -> io::Result<OwnedFd> {
        self.pace().await;
        loop {
            match self.take() {
                Ok(socket) => return Ok(socket),
                Err(Errno::AGAIN) => self.accepting.readable().await?,
                // The connection closed while it waited in the backlog.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Yields once per slice: while the backlog is not empty no accept waits, and a storm's whole backlog would be
    /// accepted before any socket is read.
    async fn pace(&mut self) {
        if self.left == 0 {
            self.rounds.round().await;
            self.left = limits::ACCEPT_SLICE;
        }
        self.left -= 1;
    }

    /// A connection that waits to be accepted, if there is one now.
    pub async fn take_waiting(&mut self) -> Option<OwnedFd> {
        self.pace().await;
        self.take().ok()
    }

    fn take(&self) -> Result<OwnedFd, Errno> {
        accept_with(self.accepting.get_ref(), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
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
        socket.set_tcp_nodelay(true)?;
        socket.listen(limits::ACCEPT_BACKLOG)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::TcpStream as Client;
    use std::os::fd::AsFd;
    use std::rc::Rc;

    use glommio::{LocalExecutorBuilder, Placement};

    use super::*;

    #[test]
    fn a_full_backlog_comes_in_slices_and_others_have_their_turns_in_between() {
        let (mut sockets, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let socket = sockets.remove(0);
        let storm = 3 * limits::ACCEPT_SLICE;
        // They are in the backlog as soon as they are connected.
        let clients: Vec<Client> = (0..storm).map(|_| Client::connect(address).unwrap()).collect();
        let executor =
            LocalExecutorBuilder::new(Placement::Unbound).preempt_timer(limits::PREEMPT).spawn(move || async move {
                let turns = Rc::new(Cell::new(0));
                let others = Rc::clone(&turns);
                glommio::spawn_local(async move {
                    let mut rounds = Rounds::default();
                    loop {
                        others.set(others.get() + 1);
                        rounds.round().await;
                    }
                })
                .detach();
                let mut listener = Listener::adopt(socket);
                let mut seen = Vec::new();
                for at in 0..storm {
                    let stream = if at % 2 == 0 {
                        listener.accept().await.unwrap()
                    } else {
                        listener.take_waiting().await.expect("it is in the backlog")
                    };
                    assert!(rustix::net::sockopt::tcp_nodelay(stream.as_fd()).unwrap(), "it is the listener's");
                    seen.push(turns.get());
                }
                seen
            });
        let seen = executor.unwrap().join().unwrap();
        let slices: Vec<_> = seen.chunks(limits::ACCEPT_SLICE).collect();
        assert!(slices.windows(2).all(|two| two[0][0] < two[1][0]), "{seen:?}");
        drop(clients);
    }

    #[test]
    fn a_port_in_use_is_one_sentence_that_says_what_to_do() {
        let (first, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 3).unwrap();
        assert_eq!(first.len(), 3);
        let error = listen(address, 1).unwrap_err();
        assert!(error.0.contains("in use") && error.0.contains("--listen"), "{error}");
    }
}
