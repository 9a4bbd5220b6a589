//! The network of the world: connections opened, read, handed over, cut and closed, at both ends.
//!
//! What a door does with a shard is the server's own code ([`Shard::adopt`](guildhall::shard::Shard::adopt),
//! `hand_over`,
//! `write_blocked`, [`Conversation`]); only epoll and the socket itself are simulated.

use std::time::Duration;

use guildhall::gateway::commands::Gate;
use guildhall::gateway::conversation::{Conversation, Next};
use guildhall::mail::local::HandOver;
use guildhall::mail::terms::Terms;

use crate::client::{Meddling, Wish};
use crate::plant::Plant;
use crate::sockets::{ServerEnd, Wire};
use crate::world::{CALM_CAPACITY, Core, World};

impl World {
    /// The task that a connection has at its core: writes what was blocked, reads, ends.
    pub(super) fn door(&mut self, wire: usize) {
        if self.wires[wire].server.is_none() || !(self.calm || self.prng.chance(3, 4)) {
            return;
        }
        let blocked = self.wires[wire].server.as_ref().is_some_and(|end| self.is_blocked(end));
        if blocked && self.write_blocked(wire) {
            return self.end(wire);
        }
        let waiting = self.wires[wire].to_server.len();
        if waiting > 0 {
            let length = if self.prng.chance(1, 8) { 1 + self.prng.below(waiting as u64) as usize } else { waiting };
            let bytes: Vec<u8> = self.wires[wire].to_server.drain(..length).collect();
            self.understand(wire, &bytes);
        } else if self.wires[wire].client_closed && (self.calm || self.now >= self.wires[wire].noticed_at) {
            self.end(wire);
        }
    }

    /// A full socket has room again. Says whether the peer is gone.
    fn write_blocked(&mut self, wire: usize) -> bool {
        let Some(end) = self.wires[wire].server.as_ref() else { return false };
        let (core, key) = (end.core, end.key);
        if self.wires[wire].room() == 0 && !self.wires[wire].client_closed {
            return false;
        }
        let World { cores, wires, prng, now, .. } = self;
        !cores[core].shard.write_blocked(*now, key, |pending| wires[wire].take(pending, prng))
    }

    fn understand(&mut self, wire: usize, bytes: &[u8]) {
        let Some(end) = self.wires[wire].server.as_mut() else { return };
        let core = &mut self.cores[end.core];
        let gate = Gate { signer: &self.signer, settings: &self.settings };
        let next = end.conversation.read(self.now, bytes, gate, &mut core.shard, &mut core.out);
        let Next::Move(to) = next else { return };
        let Some(end) = self.wires[wire].server.take() else { return };
        let key = end.key;
        core.table.remove(&key);
        let (to, unread) = ((to.session, to.user, to.seq), end.conversation.unread());
        if let Some(mut hand_over) = core.shard.hand_over(self.now, key, to, unread) {
            hand_over.socket = wire as i32;
            core.out.hand_overs.push(hand_over);
        }
        self.report.hand_overs += 1;
    }

    pub(super) fn adopt(&mut self, core: usize, hand_over: HandOver) {
        let wire = hand_over.socket as usize;
        let Core { shard, out, table, .. } = &mut self.cores[core];
        let (key, unread) = shard.adopt(self.now, hand_over, out);
        table.insert(key, wire);
        let conversation = Conversation::new(key, "simulated".into());
        self.wires[wire].server = Some(ServerEnd { core, key, conversation });
        if !unread.is_empty() {
            self.understand(wire, &unread);
        }
    }

    /// The server's end of a wire is over.
    pub(super) fn end(&mut self, wire: usize) {
        let Some(end) = self.wires[wire].server.take() else { return };
        self.say(|| format!("core {} ends wire {wire}", end.core));
        let core = &mut self.cores[end.core];
        core.table.remove(&end.key);
        core.shard.drop_connection(self.now, end.key, &mut core.out);
        self.wires[wire].server_closed = true;
    }

    /// A client connects to some core.
    fn connect(&mut self, client: usize) {
        let core = self.prng.below(self.cores.len() as u64) as usize;
        let compression = self.clients[client].compression;
        let key = self.cores[core].shard.open(self.now, Terms { version: 10, compression });
        let capacity = if self.calm { CALM_CAPACITY } else { 64 << self.prng.below(self.temper.socket_bits) };
        let mut wire = Wire::new(capacity);
        let conversation = Conversation::new(key, "simulated".into());
        wire.server = Some(ServerEnd { core, key, conversation });
        self.cores[core].table.insert(key, self.wires.len());
        self.clients[client].connected(self.wires.len(), self.now);
        self.wires.push(wire);
    }

    pub(super) fn client(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.needs_token {
            client.needs_token = false;
            client.revocations = client.revocations.saturating_sub(1);
            client.token = self.signer.issue(guildhall::base::id::UserId::new(client.user), self.now.millis() + 5);
        }
        let Some(link) = &client.link else {
            if self.calm || self.now >= client.reconnect_at {
                self.connect(number);
            }
            return;
        };
        let wire_number = link.wire;
        let reads = self.calm || self.now >= link.stalled_until && self.prng.chance(3, 4);
        let wire = &mut self.wires[wire_number];
        let mut wish = Wish::default();
        if reads && !wire.to_client.is_empty() {
            let all = wire.to_client.len();
            let length = if self.prng.chance(1, 6) { 1 + self.prng.below(all as u64) as usize } else { all };
            let mut bytes: Vec<u8> = wire.to_client.drain(..length).collect();
            self.digest.add(&[number as u8]);
            self.digest.add(&bytes);
            if self.plant == Some(Plant::SkipBytes) && self.prng.chance(1, 50) {
                bytes.truncate(bytes.len() / 2);
            }
            let meddling = match self.plant {
                Some(Plant::ShortResume) => Meddling::SkipsOne,
                _ if self.calm || !self.prng.chance(1, 4) => Meddling::None,
                _ => match self.prng.below(8) {
                    0..4 => Meddling::Less,
                    4 => Meddling::More,
                    5 => Meddling::Stranger,
                    _ => Meddling::None,
                },
            };
            wish = client.read(self.now, &bytes, meddling, &mut self.prng, &mut self.report);
        }
        client.beat(self.now, &mut wish);
        if self.verbose && !wish.send.is_empty() {
            println!("client {number} on wire {wire_number} says {}", crate::stream::unmasked(&wish.send));
        }
        let wire = &mut self.wires[wire_number];
        wire.to_server.extend(wish.send);
        let over = wire.server_closed && wire.to_client.is_empty() && reads;
        if wish.leave || over {
            self.hang_up(number, Duration::ZERO);
        }
    }

    /// A client's end of its connection is closed; what was not read is lost. The server notices after a while.
    pub fn hang_up(&mut self, client: usize, notice: Duration) {
        let Some(link) = &self.clients[client].link else { return };
        let number = link.wire;
        self.say(|| format!("client {client} hangs up wire {number}"));
        let wire = &mut self.wires[number];
        wire.client_closed = true;
        wire.noticed_at = self.now + notice;
        wire.to_client.clear();
        let pause = match self.prng.below(20) {
            0..12 => self.prng.below(400),
            12..19 => self.prng.below(8_000),
            _ => self.prng.below(self.temper.longest_absence_ms),
        };
        self.clients[client].disconnected(self.now, Duration::from_millis(pause), &mut self.report);
    }

    /// The network cuts a connection: a part of what is on its way still arrives, perhaps half a frame.
    pub fn cut(&mut self, client: usize) {
        let Some(link) = &self.clients[client].link else { return };
        self.report.cuts += 1;
        let wire = &mut self.wires[link.wire];
        let waiting = wire.to_client.len() as u64;
        let arrives = self.prng.below(waiting + 1) as usize;
        let bytes: Vec<u8> = wire.to_client.drain(..arrives).collect();
        self.report.cuts_amid_frames += u64::from(arrives > 0 && (arrives as u64) < waiting);
        self.digest.add(&bytes);
        // What it would answer is lost with the connection.
        let meddling = Meddling::None;
        let _ = self.clients[client].read(self.now, &bytes, meddling, &mut self.prng, &mut self.report);
        let notice = Duration::from_millis(if self.prng.chance(1, 2) { 0 } else { self.prng.below(20_000) });
        self.hang_up(client, notice);
    }

    /// A client writes to its connection.
    pub fn write(&mut self, client: usize, bytes: &[u8]) {
        if let Some(link) = &self.clients[client].link {
            self.wires[link.wire].to_server.extend_from_slice(bytes);
        }
    }
}
