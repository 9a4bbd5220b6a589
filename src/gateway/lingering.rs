//! Sockets on which a close frame was sent: shut down for writing, and open until the peer has closed too.
//!
//! Lives on: their core. Their connections are over, so they have left the table. To close at once would make the
//! kernel reset the connection if the peer has sent something that was not read, and the peer would lose the close
//! frame.
//! Invariant: each socket has a deadline, and is closed by it at the latest; a deadline may outlive its socket.

use std::collections::{BTreeMap, VecDeque};

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::limits;
use crate::net::socket::{Received, Socket, SocketIo};

/// The sockets of a core that linger.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    /// By the key of the connection, under which epoll still reports them.
    sockets: BTreeMap<Key, LingeringSocket>,
    /// In the order of time.
    deadlines: VecDeque<(Time, Key)>,
}

#[derive(Debug)]
struct LingeringSocket {
    socket: Socket,
    /// Bytes that the peer may still send.
    left: usize,
}

impl Lingering {
    /// Shuts a socket down. It is closed when the peer has closed it too, has sent too much, or takes too long.
    pub(super) fn begin(&mut self, now: Time, key: Key, socket: Socket, io: &mut SocketIo, sink: &mut [u8]) {
        if io.shut_down(&socket).is_err() {
            return io.close(socket);
        }
        self.sockets.insert(key, LingeringSocket { socket, left: limits::LINGER_BYTES });
        self.deadlines.push_back((now + limits::LINGER, key));
        // What came before this was reported already.
        self.drain_until_close(key, io, sink);
    }

    /// If a connection's socket lingers, what the peer still sends is read into `sink`. Says whether it did.
    pub(super) fn drain_until_close(&mut self, key: Key, io: &mut SocketIo, sink: &mut [u8]) -> bool {
        let Some(lingering) = self.sockets.get_mut(&key) else { return false };
        loop {
            match io.read(&lingering.socket, sink) {
                Received::Bytes(read) if read < lingering.left => lingering.left -= read,
                Received::Nothing => return true,
                Received::Bytes(_) | Received::Gone => break,
            }
        }
        self.close(key, io);
        true
    }

    /// Closes some sockets whose deadlines have passed. Says whether there may be more.
    pub(super) fn expire(&mut self, now: Time, io: &mut SocketIo) -> bool {
        for _ in 0..limits::FINISHED_SLICE {
            match self.deadlines.front() {
                Some((deadline, key)) if *deadline <= now => {
                    let key = *key;
                    self.deadlines.pop_front();
                    self.close(key, io);
                }
                Some(_) | None => return false,
            }
        }
        true
    }

    fn close(&mut self, key: Key, io: &mut SocketIo) {
        if let Some(lingering) = self.sockets.remove(&key) {
            io.close(lingering.socket);
        }
    }

    #[cfg(test)]
    pub(super) fn contains(&self, key: Key) -> bool {
        self.sockets.contains_key(&key)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::gateway::socket_table::tests::{enter, ready, tables};
    use crate::net::socket::Written;

    #[test]
    fn closed_socket_lingers_until_peer_closes() {
        let mut sink = [0; 64];
        let begun = Time::from_millis(1_000);
        for table in tables() {
            let keys: Vec<Key> = (0..4).map(|index| Key { index, generation: 9 }).collect();
            let mut peers: Vec<UnixStream> = keys.iter().map(|key| enter(&table, *key)).collect();
            // It has sent something that was not read: to close now would throw the close frame away.
            peers[0].write_all(b"hello").unwrap();
            for key in &keys {
                assert_eq!(table.write(*key, b"the close frame"), Written::Bytes(15));
                table.linger(begun, *key, &mut sink);
                assert_eq!(table.write(*key, b"x"), Written::Gone, "its entry is free");
            }
            ready(&table);
            for peer in &mut peers {
                let mut read = Vec::new();
                peer.read_to_end(&mut read).unwrap();
                assert_eq!(read, b"the close frame");
            }
            assert!(keys.iter().all(|key| table.lingers(*key)));
            // One peer closes too, one sends without end, one sends little, one nothing.
            drop(peers.remove(0));
            peers[0].set_nonblocking(true).unwrap();
            let mut sent = 0;
            while sent < limits::LINGER_BYTES && table.lingers(keys[1]) {
                sent += peers[0].write(&[0; 1_024]).unwrap();
                for readiness in ready(&table) {
                    assert!(table.drain_until_close(readiness.key, &mut sink), "{readiness:?}");
                }
            }
            assert_eq!(sent, limits::LINGER_BYTES);
            peers[1].write_all(b"well").unwrap();
            for readiness in ready(&table) {
                assert!(table.drain_until_close(readiness.key, &mut sink), "{readiness:?}");
            }
            let lingers: Vec<bool> = keys.iter().map(|key| table.lingers(*key)).collect();
            assert_eq!(lingers, [false, false, true, true]);
            let _ = table.expire(begun + (limits::LINGER - Duration::from_millis(1)));
            assert!(table.lingers(keys[2]) && table.lingers(keys[3]));
            assert!(!table.expire(begun + limits::LINGER), "there are no more");
            assert!(!keys.iter().any(|key| table.lingers(*key)));
            assert!(peers[1].write_all(b"x").is_err(), "it is closed");
            assert!(!table.drain_until_close(keys[2], &mut sink));
        }
    }
}
