//! The world: some cores, the lanes between them, a store, clients, one clock and one seed that decides everything.
//!
//! A round is a little time, some requests, and then every part doing a random share of what it has to do, cores in
//! random
//! order. A core's turn is the server's own (`turn`); connections are in `network`.

mod network;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use guildhall::base::clock::Time;
use guildhall::base::metrics::Counter;
use guildhall::base::prng::Prng;
use guildhall::base::slab::Key;
use guildhall::desk::settings::Settings;
use guildhall::guild::list::ListSettings;
use guildhall::limits;
use guildhall::mail::ask::{Actor, Ask, Request, Ticket};
use guildhall::mail::letter::Letter;
use guildhall::mail::mailbox::MailboxItem;
use guildhall::mail::outbox::Outbox;
use guildhall::mail::placement::Placement;
use guildhall::mail::site::Site;
use guildhall::session::connection::Connection;
use guildhall::shard::turn::Turn;
use guildhall::shard::{Passivity, Shard, ShardSettings};
use guildhall::store::token::Signer;
use guildhall::store::{Found, Query};

use crate::PASSIVE_EVERY;
use crate::client::Client;
use crate::digest::Digest;
use crate::lanes::Lane;
use crate::ledger::{Asked, Ledger};
use crate::notes::Notes;
use crate::oracle::Oracle;
use crate::plant::Plant;
use crate::report::Report;
use crate::sockets::{ServerEnd, Wire};
use crate::store::SimStore;
use crate::workload::Temper;

/// Bytes that a socket takes when all is well.
const CALM_CAPACITY: usize = 1 << 20;

/// One core: its shard and what its tasks hold.
struct Core {
    shard: Shard,
    out: Outbox,
    mailbox: VecDeque<MailboxItem>,
    turn: Turn,
    table: BTreeMap<Key, usize>,
    next_ticket: u64,
    next_tick: Time,
    /// A `Publish` letter that another one is to overtake; only when planted.
    held: Option<(Site, Letter)>,
}

/// Everything.
pub struct World {
    pub now: Time,
    pub prng: Prng,
    pub temper: Temper,
    pub oracle: Oracle,
    pub ledger: Ledger,
    pub store: SimStore,
    pub clients: Vec<Client>,
    pub report: Report,
    pub digest: Digest,
    pub notes: Notes,
    pub signer: Signer,
    settings: Settings,
    placement: Placement,
    cores: Vec<Core>,
    lanes: Vec<Vec<Lane>>,
    wires: Vec<Wire>,
    plant: Option<Plant>,
    /// Faults are over: the world is to come to rest.
    calm: bool,
    verbose: bool,
    /// Questions about members that were asked so far.
    pub questions: u64,
    /// Windows that sessions were shown, by secret, guild and list; only when planted.
    shown: BTreeMap<(u64, u64), BTreeMap<String, bytes::Bytes>>,
}

impl World {
    pub fn new(mut prng: Prng, temper: Temper, plant: Option<Plant>, verbose: bool) -> World {
        let failing = if plant.is_some() { 0 } else { temper.failing };
        let mut world = World {
            now: Time::from_millis(1_700_000_000_000),
            oracle: Oracle::default(),
            ledger: Ledger::default(),
            store: SimStore::new(failing, plant),
            clients: Vec::new(),
            report: Report::default(),
            digest: Digest::default(),
            notes: Notes::default(),
            signer: Signer::new([7; 32]),
            settings: Settings { public_gateway_url: None, registration: true, rate_limits: false, global_rate: 50 },
            placement: Placement::over(1),
            cores: Vec::new(),
            lanes: Vec::new(),
            wires: Vec::new(),
            plant,
            calm: false,
            verbose,
            questions: 0,
            shown: BTreeMap::new(),
            prng: Prng::new(prng.next_u64()),
            temper,
        };
        world.start();
        world
    }

    /// Starts the cores, some number of them.
    fn start(&mut self) {
        let cores = 1 + self.prng.below(self.temper.cores_max) as usize;
        self.placement = Placement::over(cores);
        let Found::Revocations(revoked) = self.store.look(&Query::Revocations) else { unreachable!("asked for") };
        let capacity = self.temper.lane_capacity;
        self.cores.clear();
        self.notes = Notes::default();
        for core in 0..cores {
            let prng = Prng::new(self.prng.next_u64());
            let settings = ShardSettings {
                me: Site::new(0, core as u8),
                placement: self.placement.clone(),
                prng,
                passivity: Passivity { above: self.temper.passive_above, every: PASSIVE_EVERY },
                pace: self.temper.pace,
                listing: ListSettings {
                    offline_up_to: self.temper.offline_up_to,
                    slice: self.temper.list_slice,
                    ..ListSettings::default()
                },
                revoked: revoked.clone(),
            };
            let mut shard = Shard::new(settings);
            shard.record(true);
            shard.bound_windows(self.temper.window_bytes);
            self.cores.push(Core {
                shard,
                out: Outbox::default(),
                mailbox: VecDeque::new(),
                turn: Turn::default(),
                table: BTreeMap::new(),
                next_ticket: 1,
                next_tick: self.now + limits::TICK,
                held: None,
            });
        }
        self.lanes = (0..cores).map(|_| (0..cores).map(|_| Lane::new(capacity)).collect()).collect();
        self.say(|| format!("{cores} cores start"));
    }

    /// The process is killed and started anew, with another number of cores.
    pub fn crash(&mut self) {
        self.say(|| "crash".to_owned());
        self.report.crashes += 1;
        self.count();
        self.store.crash();
        let made: Vec<_> = self.store.unheard.drain(..).collect();
        self.oracle.crash();
        for made in made {
            self.oracle.committed(&made.commit.writes, &mut self.report);
        }
        self.ledger.crash();
        self.ledger.judge(self.oracle.guilds(), &mut self.store, &mut self.report);
        for wire in &mut self.wires {
            wire.server = None;
            wire.server_closed = true;
            // What was in the socket's buffer may still arrive, or a part of it.
            let arrives = self.prng.below(wire.to_client.len() as u64 + 1) as usize;
            wire.to_client.truncate(arrives);
        }
        for client in &mut self.clients {
            client.crashed();
        }
        let downtime = Duration::from_millis(2_000 + self.prng.below(3_000));
        self.pass(downtime);
        self.start();
    }

    /// One round.
    pub fn round(&mut self) {
        self.report.rounds += 1;
        let step = if self.calm {
            Duration::from_millis(20)
        } else {
            match self.prng.below(100) {
                0..75 => Duration::from_millis(self.prng.below(30)),
                75..97 => Duration::from_millis(30 + self.prng.below(400)),
                _ => Duration::from_millis(1_000 + self.prng.below(self.temper.longest_pause_ms)),
            }
        };
        self.pass(step);
        if !self.calm {
            self.work();
        }
        let cores = self.cores.len();
        let first = self.prng.below(cores as u64) as usize;
        for index in 0..cores {
            let core = (first + index) % cores;
            if self.calm || self.prng.chance(3, 4) {
                self.turn(core);
            }
        }
        for from in 0..cores {
            for to in (0..cores).filter(|to| *to != from) {
                if self.calm || self.prng.chance(2, 3) {
                    self.lanes[from][to].proceed(&mut self.prng, &mut self.cores[to].mailbox);
                }
            }
        }
        let cores = &mut self.cores;
        self.store.proceed(&mut self.prng, &mut self.report, |core, answer| {
            cores[core].mailbox.push_back(MailboxItem::Local(answer))
        });
        for wire in 0..self.wires.len() {
            self.door(wire);
        }
        for client in 0..self.clients.len() {
            self.client(client);
        }
    }

    /// Time passes, and the cores' ticks with it.
    pub fn pass(&mut self, step: Duration) {
        let end = self.now + step;
        while let Some(next) = self.cores.iter().map(|core| core.next_tick).min().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            for core in &mut self.cores {
                if core.next_tick <= self.now {
                    core.next_tick = self.now + limits::TICK;
                    core.shard.tick(self.now, &mut core.out);
                }
            }
        }
        self.now = end;
    }

    /// Time passes while clients go on beating.
    pub fn wait(&mut self, time: Duration) {
        let step = Duration::from_secs(10);
        let mut waited = Duration::ZERO;
        while waited < time {
            self.pass(step);
            waited += step;
            for _ in 0..3 {
                self.round();
                self.report.rounds -= 1;
            }
        }
    }

    /// A door asks an owner.
    pub fn ask(&mut self, actor: Actor, request: Request, asked: Asked) {
        let core = self.prng.below(self.cores.len() as u64) as usize;
        let owner = self.placement.owner_of(request.shard());
        let ticket = self.cores[core].next_ticket;
        self.cores[core].next_ticket += 1;
        self.say(|| format!("ask {core}/{ticket} {actor:?} {request:?}"));
        self.report.asks += 1;
        self.ledger.ask(core, ticket, asked);
        let ask = Ask { from: Site::new(0, core as u8), ticket: Ticket(ticket), actor, reason: None, request };
        self.cores[core].out.post(owner, ask);
    }

    /// No new work and no new faults from here on.
    pub fn calm_down(&mut self) {
        self.calm = true;
        self.store.failing = 0;
        for wire in &mut self.wires {
            wire.capacity = CALM_CAPACITY;
        }
    }

    /// Whether nothing is under way anywhere.
    pub fn is_at_rest(&self) -> bool {
        let cores = self.cores.iter().all(|core| {
            core.mailbox.is_empty()
                && core.out.is_empty()
                && core.turn.is_idle()
                && !core.shard.has_to_flush()
                && !core.shard.has_to_settle()
                && !core.shard.awaits_store()
                && !core.shard.has_waiting_lookers()
        });
        cores
            && self.store.is_idle()
            && self.lanes.iter().flatten().all(Lane::is_empty)
            && self.ledger.waiting.is_empty()
            && self.clients.iter().all(Client::is_live)
            && self.wires.iter().all(|wire| {
                wire.client_closed && wire.server.is_none()
                    || !wire.client_closed
                        && wire.to_client.is_empty()
                        && wire.to_server.is_empty()
                        && wire.server.as_ref().is_some_and(|end| !self.is_blocked(end))
            })
    }

    /// What keeps the world from resting, for the message.
    pub fn unrest(&mut self) -> String {
        for wire in &self.wires {
            if let Some(end) = &wire.server {
                let connection = self.cores[end.core].shard.connection(end.key);
                println!("core {} {connection:?} to client {}", end.core, wire.to_client.len());
            }
        }
        let cores: Vec<String> = self
            .cores
            .iter()
            .map(|core| {
                let (letters, flush, store) =
                    (core.mailbox.len(), core.shard.has_to_flush(), core.shard.awaits_store());
                let settles = core.shard.has_to_settle();
                format!("mailbox {letters}, flushes {flush}, settles {settles}, awaits store {store}")
            })
            .collect();
        let phases: Vec<_> = self.clients.iter().map(|client| client.link.as_ref().map(|link| link.phase)).collect();
        format!(
            "asks {:?}, clients {phases:?}, cores {cores:?}, store idle {}, lanes empty {}",
            self.ledger.waiting,
            self.store.is_idle(),
            self.lanes.iter().flatten().all(Lane::is_empty)
        )
    }

    /// Sessions and connections over all cores.
    pub fn population(&self) -> (usize, usize) {
        let each = self.cores.iter().map(|core| core.shard.population());
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Adds what the cores counted.
    pub fn count(&mut self) {
        let mut messages = 0;
        for core in &mut self.cores {
            self.notes.take(std::mem::take(&mut core.out.notes));
            let metrics = core.shard.metrics();
            messages += metrics.counter(Counter::MessagesCreated);
            self.report.admissions_delayed += metrics.counter(Counter::AdmissionsDelayed);
            self.report.admissions_refused += metrics.counter(Counter::AdmissionsRefused);
            self.report.backlog_disconnects += metrics.counter(Counter::BacklogDisconnects);
            self.report.zombies += metrics.counter(Counter::Zombies);
            let behind = metrics.counter(Counter::TextsCompressedBehind);
            self.report.texts_behind += behind;
            self.report.texts_alone += metrics.counter(Counter::TextsCompressed) - behind;
        }
        assert_eq!(self.notes.messages(), messages, "judge notes: every message is noted once");
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>9} {}", self.now.millis() - 1_700_000_000_000, what());
        }
    }

    /// Whether the shard waits for the socket to take more.
    fn is_blocked(&self, end: &ServerEnd) -> bool {
        self.cores[end.core].shard.connection(end.key).is_some_and(Connection::is_blocked)
    }
}
