//! The world: some cores, the lanes between them, a store, clients, one clock and one seed that decides everything.
//!
//! A round is a little time, some requests, and then every part doing a random share of what it has to do, cores in
//! random order. A core's turn is what `boot::turn` makes it: letters in, letters out, a slice flushed.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use guildhall::base::clock::Time;
use guildhall::base::metrics::Counter;
use guildhall::base::prng::Prng;
use guildhall::base::slab::Key;
use guildhall::desk::settings::Settings;
use guildhall::gateway::commands::Gate;
use guildhall::gateway::conversation::{Conversation, Next};
use guildhall::guild::list::ListSettings;
use guildhall::limits;
use guildhall::mail::ask::{Actor, Ask, Request, Ticket};
use guildhall::mail::event::{Change, Event};
use guildhall::mail::letter::Letter;
use guildhall::mail::listing::{Addressee, Windows};
use guildhall::mail::local::{HandOver, Local};
use guildhall::mail::outbox::Outbox;
use guildhall::mail::placement::Placement;
use guildhall::mail::presence::{JoinRequest, Presences, Reach};
use guildhall::mail::site::Site;
use guildhall::mail::terms::Terms;
use guildhall::mail::to_guild::ToGuild;
use guildhall::mail::to_home::ToHome;
use guildhall::mail::to_user::ToUser;
use guildhall::model::channel::Channel;
use guildhall::net::socket::Written;
use guildhall::shard::Passivity;
use guildhall::shard::home::admission::Resume;
use guildhall::shard::home::connections::Resumption;
use guildhall::shard::{Shard, ShardSettings};
use guildhall::store::token::Signer;
use guildhall::store::{Found, Query};
use guildhall::wire::close::CloseCode;
use guildhall::wire::event::EventName;
use guildhall::wire::model::presence::Status;

use crate::PASSIVE_EVERY;
use crate::client::{Client, Meddling, Wish};
use crate::digest::Digest;
use crate::lanes::Lane;
use crate::ledger::{Asked, Ledger};
use crate::notes::Notes;
use crate::oracle::Oracle;
use crate::plant::Plant;
use crate::report::Report;
use crate::sockets::{CoreSockets, ServerEnd, Signal, Wire};
use crate::store::SimStore;
use crate::workload::Temper;

/// Bytes that a socket takes when all is well.
const CALM_CAPACITY: usize = 1 << 20;

/// One core: its shard and what its tasks hold.
struct Core {
    shard: Shard,
    out: Outbox,
    mailbox: VecDeque<Letter>,
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
        self.store.proceed(&mut self.prng, &mut self.report, |core, letter| cores[core].mailbox.push_back(letter));
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

    fn turn(&mut self, core: usize) {
        let letters = if self.calm { limits::TURN_LETTERS as u64 } else { 1 + self.prng.below(12) };
        for _ in 0..letters {
            let Some(letter) = self.cores[core].mailbox.pop_front() else { break };
            self.receive(core, letter);
        }
        let Core { shard, out, .. } = &mut self.cores[core];
        shard.settle(self.now, out);
        shard.attend_lists(self.now, out);
        self.send(core);
        let budget = if self.calm { limits::FLUSH_SLICE } else { 1 + self.prng.below(8) as usize };
        let Core { shard, out, table, .. } = &mut self.cores[core];
        let mut sockets = CoreSockets::new(table, &mut self.wires, &mut self.prng);
        let more = shard.flush(self.now, &mut sockets, budget, out);
        sockets.judge(more, budget);
        for (keys, signal) in
            [(shard.take_blocked(), Signal::Blocked), (shard.take_finished(usize::MAX), Signal::Finish)]
        {
            for key in keys {
                self.report.blocked += u64::from(signal == Signal::Blocked);
                let end = table.get(&key).and_then(|wire| self.wires[*wire].server.as_mut());
                if let Some(end) = end.filter(|end| end.signal != Signal::Finish) {
                    end.signal = signal;
                }
            }
        }
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| shard.invariants())) {
            let text = cause.downcast_ref::<String>().map_or("a panic without words", String::as_str);
            panic!("judge invariants: core {core}: {text}");
        }
    }

    fn receive(&mut self, core: usize, letter: Letter) {
        if let Letter::Local(Local::Stored { job, result: Ok(_) }) = &letter
            && let Some(commit) = self.store.heard(core, *job)
        {
            self.say(|| format!("core {core} hears of {commit:?}"));
            self.oracle.committed(&commit, &mut self.report);
        }
        if let Letter::Local(Local::Stored { result: Ok(Some(Found::Guild(Some(record)))), .. }) = &letter
            && !self.oracle.guilds().contains_key(&record.guild.id.get())
            && let Some(commit) = self.store.loaded(record.guild.id)
        {
            self.oracle.committed(&commit, &mut self.report);
        }
        let Core { shard, out, .. } = &mut self.cores[core];
        let from = out.letters.len();
        shard.receive(self.now, letter, out);
        let mut typed: Option<*const Event> = None;
        for (to, letter) in &self.cores[core].out.letters[from..] {
            match letter {
                Letter::ToHome(ToHome::Snapshot(snapshot)) => {
                    let (guild, user) = (snapshot.guild.get(), snapshot.member.user().get());
                    if self.verbose {
                        println!("snapshot of {guild} for {:016x} at {to:?}", snapshot.session.secret);
                    }
                    self.oracle.snapshot(guild, snapshot.session.secret, user, &mut self.report);
                }
                Letter::ToHome(ToHome::JoinRefused { guild, session, .. }) => {
                    if self.verbose {
                        println!("join of {guild} refused to {:016x}", session.secret);
                    }
                    self.oracle.join_refused(guild.get(), session.secret, &mut self.report);
                }
                // One letter per core: they share the event.
                Letter::ToHome(ToHome::Publish(event)) if event.name == EventName::TypingStart => {
                    if typed.replace(Arc::as_ptr(event)) == Some(Arc::as_ptr(event)) {
                        continue;
                    }
                    let d: serde_json::Value = serde_json::from_slice(&event.body).expect("judge wire: JSON");
                    let number = |key: &str| crate::essence::id(&d[key]).unwrap_or(0);
                    let (guild, channel, user) =
                        (event.guild().expect("only guilds publish").get(), number("channel_id"), number("user_id"));
                    self.oracle.typing(guild, channel, user, &mut self.report);
                }
                _ => {}
            }
        }
    }

    /// What a turn left goes where it belongs.
    fn send(&mut self, core: usize) {
        let out = std::mem::take(&mut self.cores[core].out);
        for (to, letter) in out.letters {
            self.post(core, to, letter);
        }
        if let Some((to, letter)) = self.cores[core].held.take() {
            self.deliver(core, to, letter);
        }
        self.notes.take(out.notes);
        for job in out.jobs {
            self.store.submit(core, job);
        }
        for (ticket, answer) in out.answers {
            if self.verbose {
                println!("answer {core}/{} {:?}", ticket.0, answer.as_ref().map(|_| ()));
            }
            self.ledger.answer(core, ticket.0, &answer, &mut self.report);
        }
        assert!(out.findings.is_empty(), "judge wire: nobody asked the store at a door");
        for hand_over in out.arrivals {
            self.adopt(core, hand_over);
        }
    }

    /// A letter is posted; here the planted bugs are.
    fn post(&mut self, core: usize, to: Site, mut letter: Letter) {
        let publishes = matches!(&letter, Letter::ToHome(ToHome::Publish(_)));
        match self.plant {
            Some(Plant::DropLetter) if publishes && self.prng.chance(1, 20) => return,
            Some(Plant::DropWindows)
                if matches!(letter, Letter::ToHome(ToHome::Windows(_))) && self.prng.chance(1, 8) =>
            {
                return;
            }
            Some(Plant::DropGained)
                if matches!(letter, Letter::ToUser(ToUser::Gained { .. })) && self.prng.chance(1, 2) =>
            {
                return;
            }
            Some(Plant::DropAnswer) if matches!(letter, Letter::Answer(..)) && self.prng.chance(1, 20) => return,
            Some(Plant::DuplicateLetter) if self.prng.chance(1, 20) => {
                if let Letter::ToHome(ToHome::Publish(event)) = &letter {
                    self.deliver(core, to, ToHome::Publish(Arc::clone(event)).into());
                }
            }
            Some(Plant::Reorder) if publishes => match self.cores[core].held.take() {
                Some((held_to, held)) if held_to == to => {
                    self.deliver(core, to, letter);
                    self.deliver(core, held_to, held);
                    return;
                }
                Some((held_to, held)) => self.deliver(core, held_to, held),
                None if self.prng.chance(1, 3) => {
                    self.cores[core].held = Some((to, letter));
                    return;
                }
                None => {}
            },
            Some(Plant::DropPresences)
                if matches!(letter, Letter::ToHome(ToHome::Presences(_))) && self.prng.chance(1, 4) =>
            {
                return;
            }
            Some(Plant::ShowHidden) => {
                if let Letter::ToGuild(
                    ToGuild::Show { showing, .. } | ToGuild::Join { coming: JoinRequest { showing, .. }, .. },
                ) = &mut letter
                    && showing.status == Status::Offline
                {
                    showing.status = Status::Online;
                }
            }
            Some(Plant::TellEverybody) => {
                if let Letter::ToHome(ToHome::Presences(presences)) = &letter {
                    let leaking = Presences { reach: Reach::Everybody, ..Presences::clone(presences) };
                    letter = ToHome::Presences(Arc::new(leaking)).into();
                }
            }
            Some(Plant::LeakList) => {
                if let Letter::ToHome(ToHome::Windows(windows)) = &letter
                    && let Addressee::Opener(session, ..) = windows.to
                {
                    self.leak_list(core, to, windows, session.secret);
                }
            }
            Some(Plant::LeakHidden) => {
                if let Letter::ToHome(ToHome::Publish(event)) = &letter
                    && let Some(Change::Channel(channel)) = &event.change
                    && !channel.overwrites.is_empty()
                {
                    let open = Channel { overwrites: Vec::new(), ..Channel::clone(channel) };
                    let leaking = Event::clone(event).changing(Change::Channel(Arc::new(open)));
                    self.deliver(core, to, ToHome::Publish(Arc::new(leaking)).into());
                    return;
                }
            }
            _ => {}
        }
        self.deliver(core, to, letter);
    }

    /// A session is shown a window: a window of another list that it was shown before and has lost sight of comes
    /// first.
    fn leak_list(&mut self, core: usize, to: Site, windows: &Arc<Windows>, secret: u64) {
        let guild = windows.guild.get();
        let id = |body: &[u8]| {
            let d: serde_json::Value = serde_json::from_slice(body).expect("judge wire: JSON");
            d["id"].as_str().unwrap_or_default().to_owned()
        };
        let shown = self.shown.entry((secret, guild)).or_default();
        shown.insert(id(&windows.body), windows.body.clone());
        let Some(user) = self.oracle.user_of(guild, secret) else { return };
        let sight = self.oracle.sight(guild, user);
        if let Some((_, body)) = shown.iter().find(|(id, _)| !sight.contains(*id)) {
            let (guild, viewers, to_whom) = (windows.guild, windows.viewers.clone(), windows.to);
            let leak = Windows { guild, viewers, to: to_whom, body: body.clone(), published: windows.published };
            self.deliver(core, to, ToHome::Windows(Arc::new(leak)).into());
        }
    }

    fn deliver(&mut self, core: usize, to: Site, letter: Letter) {
        let to = self.placement.local_core(to).expect("the world is one node");
        if to == core {
            self.cores[core].mailbox.push_back(letter);
        } else if self.lanes[core][to].send(letter) {
            self.report.lanes_full += 1;
        }
    }

    /// The task that a connection has at its core: writes what was blocked, reads, ends.
    fn door(&mut self, wire: usize) {
        if self.wires[wire].server.is_none() || !(self.calm || self.prng.chance(3, 4)) {
            return;
        }
        let signal = self.wires[wire].server.as_ref().map(|end| end.signal);
        if signal == Some(Signal::Finish) {
            return self.end(wire);
        }
        if signal == Some(Signal::Blocked) && self.write_blocked(wire) {
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

    /// What is pending is written as far as it goes. Says whether the peer is gone.
    fn write_blocked(&mut self, wire: usize) -> bool {
        let Some(end) = self.wires[wire].server.as_ref() else { return false };
        let (core, key) = (end.core, end.key);
        loop {
            let shard = &mut self.cores[core].shard;
            if shard.connection(key).is_none() {
                return false;
            }
            let mut pending = shard.take_pending(key);
            if pending.is_empty() {
                if let Some(end) = self.wires[wire].server.as_mut() {
                    end.signal = Signal::None;
                }
                shard.writable(key);
                return false;
            }
            let (taken, gone) = if self.wires[wire].room() == 0 && !self.wires[wire].client_closed {
                (0, false)
            } else {
                match self.wires[wire].take(&pending, &mut self.prng) {
                    Written::Bytes(taken) => (taken, false),
                    Written::Gone => (0, true),
                }
            };
            let rest = pending.split_off(taken);
            if !rest.is_empty() {
                self.cores[core].shard.pending_written(self.now, key, taken, rest);
            }
            if gone || taken == 0 {
                return gone;
            }
        }
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
        if let Some(released) = core.shard.release(key) {
            let hand_over = HandOver {
                session: to.session,
                socket: wire as i32,
                user: to.user,
                seq: to.seq,
                terms: released.terms,
                unread: end.conversation.unread(),
                unsent: released.unsent,
                asked: self.now,
                conduct: released.conduct,
            };
            core.out.post(to.session.home, Local::HandOver(Box::new(hand_over)));
        }
        self.report.hand_overs += 1;
    }

    fn adopt(&mut self, core: usize, hand_over: HandOver) {
        let wire = hand_over.socket as usize;
        let Core { shard, out, table, .. } = &mut self.cores[core];
        let HandOver { session, user, seq, terms, unread, unsent, asked, conduct, .. } = hand_over;
        let key = shard.adopt(terms, unsent, conduct);
        table.insert(key, wire);
        match shard.resume(self.now, key, Resume { session: Some(session), user, seq, asked }, out) {
            Resumption::FromTheFuture => shard.close_connection(self.now, key, CloseCode::InvalidSeq, None, out),
            Resumption::Resumed | Resumption::Refused | Resumption::Waits | Resumption::Elsewhere => {}
        }
        let conversation = Conversation::new(key, "simulated".into());
        self.wires[wire].server = Some(ServerEnd { core, key, conversation, signal: Signal::None });
        if !unread.is_empty() {
            self.understand(wire, &unread);
        }
    }

    /// The server's end of a wire is over.
    fn end(&mut self, wire: usize) {
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
        wire.server = Some(ServerEnd { core, key, conversation, signal: Signal::None });
        self.cores[core].table.insert(key, self.wires.len());
        self.clients[client].connected(self.wires.len(), self.now);
        self.wires.push(wire);
    }

    fn client(&mut self, number: usize) {
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
            let out = &core.out;
            core.mailbox.is_empty()
                && out.letters.is_empty()
                && out.jobs.is_empty()
                && out.answers.is_empty()
                && out.arrivals.is_empty()
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
                        && wire.server.as_ref().is_some_and(|end| end.signal == Signal::None)
            })
    }

    /// What keeps the world from resting, for the message.
    pub fn unrest(&mut self) -> String {
        for wire in &self.wires {
            if let Some(end) = &wire.server {
                let connection = self.cores[end.core].shard.connection(end.key);
                println!("core {} {:?} {:?} to client {}", end.core, end.signal, connection, wire.to_client.len());
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
}
