//! Simulated sockets: a wire with a small buffer in each direction, that takes only a part, stalls, and is cut.

use std::collections::BTreeMap;

use guildhall::base::clock::Time;
use guildhall::base::prng::Prng;
use guildhall::base::slab::Key;
use guildhall::gateway::conversation::Conversation;
use guildhall::limits;
use guildhall::net::socket::Written;
use guildhall::shard::home::flush::{Sockets, StagedWrite};

/// The server's end: the core that has the socket, and the conversation on it.
#[derive(Debug)]
pub struct ServerEnd {
    pub core: usize,
    pub key: Key,
    pub conversation: Conversation,
}

/// One connection, both ends.
#[derive(Debug)]
pub struct Wire {
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
    pub capacity: usize,
    /// `None` while the socket travels between cores, and after the server has closed it.
    pub server: Option<ServerEnd>,
    pub server_closed: bool,
    pub client_closed: bool,
    /// The server hears of the client's end no sooner.
    pub noticed_at: Time,
}

impl Wire {
    pub fn new(capacity: usize) -> Wire {
        Wire {
            to_server: Vec::new(),
            to_client: Vec::new(),
            capacity,
            server: None,
            server_closed: false,
            client_closed: false,
            noticed_at: Time::default(),
        }
    }

    /// How much the socket takes now.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.to_client.len())
    }

    /// Takes bytes towards the client, as many as fit, sometimes fewer.
    pub fn take(&mut self, bytes: &[u8], prng: &mut Prng) -> Written {
        if self.client_closed {
            // Until the reset comes back the kernel takes what it is given.
            return if prng.chance(1, 2) { Written::Gone } else { Written::Bytes(bytes.len()) };
        }
        let fits = bytes.len().min(self.room());
        let taken = if prng.chance(1, 10) { prng.below(fits as u64 + 1) as usize } else { fits };
        self.to_client.extend_from_slice(&bytes[..taken]);
        Written::Bytes(taken)
    }
}

/// The sockets of one core, for the time of one flush.
pub struct CoreSockets<'a> {
    pub table: &'a BTreeMap<Key, usize>,
    pub wires: &'a mut Vec<Wire>,
    pub prng: &'a mut Prng,
    /// Writes that were put off.
    staged: Vec<(Key, Vec<u8>)>,
    /// Writes asked for, and their bytes.
    asked: (usize, usize),
    /// Writes of which the socket took only a part.
    pub blocked: u64,
}

impl<'a> CoreSockets<'a> {
    pub fn new(table: &'a BTreeMap<Key, usize>, wires: &'a mut Vec<Wire>, prng: &'a mut Prng) -> CoreSockets<'a> {
        CoreSockets { table, wires, prng, staged: Vec::new(), asked: (0, 0), blocked: 0 }
    }

    /// Judges a flush that was allowed so many writes: nothing waits that could have been written, and nothing is put
    /// off for ever. (There are too few sessions here for the bound on visits.)
    pub fn judge(self, more: bool, budget: usize) {
        let (writes, bytes) = self.asked;
        assert!(writes <= budget, "{writes} writes where {budget} were allowed");
        let over = writes == budget || bytes >= limits::FLUSH_SLICE_BYTES;
        assert!(!more || over, "something waits after {writes} writes of {budget}");
        assert!(self.staged.is_empty(), "every write that was put off is done");
    }

    fn write(&mut self, connection: Key, bytes: &[u8]) -> Written {
        let Some(wire) = self.table.get(&connection) else { return Written::Gone };
        let written = self.wires[*wire].take(bytes, self.prng);
        self.blocked += u64::from(matches!(written, Written::Bytes(taken) if taken < bytes.len()));
        written
    }
}

impl Sockets for CoreSockets<'_> {
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Option<Written> {
        assert!(
            self.staged.iter().all(|(key, _)| *key != connection),
            "one write of a connection at a time is put off"
        );
        self.asked = (self.asked.0 + 1, self.asked.1 + bytes.len());
        if self.prng.chance(1, 2) {
            return Some(self.write(connection, bytes));
        }
        self.staged.push((connection, bytes.to_vec()));
        None
    }

    fn commit(&mut self, results: &mut Vec<StagedWrite>) {
        for (connection, bytes) in std::mem::take(&mut self.staged) {
            let written = self.write(connection, &bytes);
            results.push(StagedWrite { connection, written, rest: written.rest(&bytes) });
        }
    }
}
