//! How a core's shard writes to its sockets: one by one, or those of a slice together.
//!
//! Lives on: its core. A staged write is copied, so the shard goes on with its buffers; its result comes with the
//! commit at the end of the slice. What the socket did not take goes back to the connection
//! ([`crate::session::connection::Connection::written`]). In between:
//!
//! ```text
//!                 pending bytes of the connection      batch of the slice (copies)          journal
//! before write   [pong]                               [A…]                                 [e7 e8 e9]
//! staged         []                                   [A…][pong e7 e8 e9]                   cursor behind e9
//! op 1 arrives   [ack]                                [A…][pong e7 e8 e9]
//! commit                            the socket takes:      pong e7 e
//! after          [8 e9 ack]  blocked                  []
//! writable       a single write of [8 e9 ack]; when all of it is taken, the next flush goes on behind e9
//! ```
//!
//! Invariant: a connection has at most one staged write, and results come in the order of staging.

use std::io;

use serde::Deserialize;

use crate::base::slab::Key;
use crate::gateway::socket_table::{SocketTable, Spoken};
use crate::limits;
use crate::net::socket::{SocketKind, Written};
use crate::shard::home::flush::{Sockets, StagedWrite};

/// Writes to the sockets of a table.
#[derive(Debug)]
pub struct SocketWriter<C> {
    table: SocketTable<C>,
    mode: WriteMode,
    /// The connections of the writes that are staged.
    staged: Vec<Key>,
}

/// How writes are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// One by one.
    Plain,
    /// Those of a slice together, through an io_uring of the core's own, or through those that the sockets are in.
    Batched,
}

impl<C: Spoken> SocketWriter<C> {
    /// Writes to the sockets of a table. By default in batches if they are registered files: each write goes through a
    /// ring in any case.
    pub fn new(table: SocketTable<C>, mode: Option<WriteMode>) -> io::Result<SocketWriter<C>> {
        let mode = mode.unwrap_or(match table.kind() {
            SocketKind::Descriptor => WriteMode::Plain,
            SocketKind::RegisteredFile => WriteMode::Batched,
        });
        if mode == WriteMode::Batched {
            table.with_io(|io| io.batch_writes())?;
        }
        Ok(SocketWriter { table, mode, staged: Vec::new() })
    }
}

impl<C: Spoken> Sockets for SocketWriter<C> {
    fn send(&mut self, connection: Key, bytes: &[u8]) -> Option<Written> {
        // To copy more than that costs as much as a system call saves.
        if bytes.len() > limits::BATCHED_BYTES_MAX || self.mode == WriteMode::Plain {
            return Some(self.table.write(connection, bytes));
        }
        let written = self
            .table
            .on(connection, |socket, io| if io.stage(socket, bytes) { None } else { Some(io.write(socket, bytes)) });
        match written {
            Some(None) => {
                self.staged.push(connection);
                None
            }
            Some(Some(written)) => Some(written),
            None => Some(Written::Gone),
        }
    }

    fn commit(&mut self, results: &mut Vec<StagedWrite>) {
        if self.staged.is_empty() {
            return;
        }
        let mut staged = self.staged.drain(..);
        self.table.with_io(|io| {
            io.commit(|bytes, written| {
                let connection = staged.next().expect("each was staged under its connection");
                results.push(StagedWrite { connection, written, rest: written.rest(bytes) });
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::gateway::conversation::Conversation;
    use crate::gateway::socket_table::tests::{enter, tables};

    /// The result of a write, immediate or of its commit.
    fn outcome(writer: &mut SocketWriter<Conversation>, connection: Key, bytes: &[u8]) -> (Written, Vec<u8>) {
        if let Some(written) = writer.send(connection, bytes) {
            return (written, written.rest(bytes));
        }
        let mut results = Vec::new();
        writer.commit(&mut results);
        assert_eq!((results.len(), results[0].connection), (1, connection));
        let StagedWrite { written, rest, .. } = results.remove(0);
        (written, rest)
    }

    #[test]
    fn writes_to_registered_files_are_batched_by_default() {
        for table in tables() {
            let kind = table.kind();
            let peer = enter(&table, Key { index: 0, generation: 1 });
            let mut writer = SocketWriter::new(table, None).unwrap();
            let written = writer.send(Key { index: 0, generation: 1 }, b"hello");
            let at_once = kind == SocketKind::Descriptor;
            assert_eq!(written, at_once.then_some(Written::Bytes(5)));
            drop(peer);
        }
    }

    #[test]
    fn plain_and_batched_writes_agree() {
        for mode in [WriteMode::Plain, WriteMode::Batched] {
            for table in tables() {
                let mut writer = SocketWriter::new(table.clone(), Some(mode)).unwrap();
                let keys: Vec<Key> =
                    (0..limits::FLUSH_SLICE as u32 * 3).map(|index| Key { index, generation: 1 }).collect();
                let mut peers: Vec<UnixStream> = keys.iter().map(|key| enter(&table, *key)).collect();
                for round in 0..3 {
                    let mut results = Vec::new();
                    for key in &keys {
                        let text = format!("{round} to {}", key.index);
                        match writer.send(*key, text.as_bytes()) {
                            Some(written) => assert_eq!(written, Written::Bytes(text.len())),
                            None => assert_eq!(mode, WriteMode::Batched),
                        }
                    }
                    assert_eq!(writer.staged.is_empty(), mode == WriteMode::Plain);
                    writer.commit(&mut results);
                    let whole =
                        |result: &StagedWrite| result.rest.is_empty() && matches!(result.written, Written::Bytes(6..));
                    assert!(results.iter().all(whole), "{results:?}");
                    for (key, peer) in keys.iter().zip(&mut peers) {
                        let mut read = vec![0; format!("{round} to {}", key.index).len()];
                        peer.read_exact(&mut read).unwrap();
                        assert_eq!(read, format!("{round} to {}", key.index).into_bytes());
                    }
                }
                // A socket that is full takes a part, then nothing; one that is gone takes nothing any more.
                let piece = [b'x'; 3_000];
                let last = loop {
                    match outcome(&mut writer, keys[0], &piece) {
                        (Written::Bytes(3_000), rest) => assert!(rest.is_empty()),
                        other => break other,
                    }
                };
                let (Written::Bytes(taken), rest) = last else { panic!("{last:?}") };
                assert_eq!(rest, piece[taken..]);
                assert_eq!(outcome(&mut writer, keys[0], b"more"), (Written::Bytes(0), b"more".to_vec()));
                peers.remove(1);
                assert_eq!(outcome(&mut writer, keys[1], b"x").0, Written::Gone);
                let stranger = Key { index: 5, generation: 0 };
                assert_eq!(outcome(&mut writer, stranger, b"x").0, Written::Gone);
            }
        }
    }
}
