//! A core's turn in the world: the server's [`Turn`] with a host of lanes that delay, a store that is late, and
//! planted bugs.
//!
//! Simulated here: budgets, lanes, the store's queue, callers, sockets and the clock. Everything else is the server's
//! code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use guildhall::base::clock::Time;
use guildhall::base::slab::Key;
use guildhall::limits;
use guildhall::mail::ask::{Answer, Ticket};
use guildhall::mail::event::{Change, Event};
use guildhall::mail::letter::Letter;
use guildhall::mail::listing::{Addressee, Windows};
use guildhall::mail::local::{HandOver, Local};
use guildhall::mail::mailbox::{Mail, MailboxItem};
use guildhall::mail::outbox::Outbox;
use guildhall::mail::presence::{JoinRequest, Presences, Reach};
use guildhall::mail::record::TraceRecord;
use guildhall::mail::site::Site;
use guildhall::mail::to_guild::ToGuild;
use guildhall::mail::to_home::ToHome;
use guildhall::mail::to_user::ToUser;
use guildhall::model::channel::Channel;
use guildhall::shard::Shard;
use guildhall::shard::turn::{Posted, TurnBudget, TurnHost};
use guildhall::store::service::Work;
use guildhall::store::{Found, StoreError};
use guildhall::wire::event::EventName;
use guildhall::wire::model::presence::Status;

use crate::plant::Plant;
use crate::sockets::CoreSockets;
use crate::world::{Core, World};

/// The simulated host of one core's turn.
struct SimulatedHost<'a> {
    world: &'a mut World,
    core: usize,
    /// Letters in the outbox before the item that is being received.
    letters_before: usize,
}

impl World {
    /// Runs one turn of a core, and checks its shard.
    pub(super) fn turn(&mut self, core: usize) {
        let budget = if self.calm {
            TurnBudget { letters: limits::TURN_LETTERS, sockets: limits::FLUSH_SLICE, finished: limits::FINISHED_SLICE }
        } else {
            let mut below = |bound: u64| 1 + self.prng.below(bound) as usize;
            TurnBudget { letters: below(12), sockets: below(8), finished: below(4) }
        };
        let mut turn = std::mem::take(&mut self.cores[core].turn);
        turn.run(&mut SimulatedHost { world: self, core, letters_before: 0 }, budget);
        self.cores[core].turn = turn;
        if let Some((to, letter)) = self.cores[core].held.take() {
            self.deliver(core, to, Mail::Letter(letter));
        }
        let shard = &self.cores[core].shard;
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| shard.invariants())) {
            let text = cause.downcast_ref::<String>().map_or("a panic without words", String::as_str);
            panic!("judge invariants: core {core}: {text}");
        }
    }

    /// What the store tells a core counts for the oracle from then on.
    fn before_item(&mut self, core: usize, item: &MailboxItem) {
        if let MailboxItem::Local(Local::Stored { job, result: Ok(_) }) = item
            && let Some(commit) = self.store.heard(core, *job)
        {
            self.say(|| format!("core {core} hears of {commit:?}"));
            self.oracle.committed(&commit, &mut self.report);
        }
        if let MailboxItem::Local(Local::Stored { result: Ok(Some(Found::Guild(Some(record)))), .. }) = item
            && !self.oracle.guilds().contains_key(&record.guild.id.get())
            && let Some(commit) = self.store.loaded(record.guild.id)
        {
            self.oracle.committed(&commit, &mut self.report);
        }
    }

    /// Judges what came of an item: letters that say something about the state of a guild.
    fn after_item(&mut self, core: usize, from: usize) {
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
                Letter::ToHome(ToHome::Attached { session, account, .. }) => {
                    self.oracle.notes.attached(session.secret, account.user.id.get());
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
            Some(Plant::DropDispatch)
                if matches!(letter, Letter::ToHome(ToHome::Dispatch { .. })) && self.prng.chance(1, 10) =>
            {
                return;
            }
            Some(Plant::DropAnswer) if matches!(letter, Letter::Answer(..)) && self.prng.chance(1, 20) => return,
            Some(Plant::DuplicateLetter) if self.prng.chance(1, 20) => {
                if let Letter::ToHome(ToHome::Publish(event)) = &letter {
                    self.deliver(core, to, Mail::Letter(ToHome::Publish(Arc::clone(event)).into()));
                }
            }
            Some(Plant::Reorder) if publishes => match self.cores[core].held.take() {
                Some((held_to, held)) if held_to == to => {
                    self.deliver(core, to, Mail::Letter(letter));
                    self.deliver(core, held_to, Mail::Letter(held));
                    return;
                }
                Some((held_to, held)) => self.deliver(core, held_to, Mail::Letter(held)),
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
                    self.deliver(core, to, Mail::Letter(ToHome::Publish(Arc::new(leaking)).into()));
                    return;
                }
            }
            _ => {}
        }
        self.deliver(core, to, Mail::Letter(letter));
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
            self.deliver(core, to, Mail::Letter(ToHome::Windows(Arc::new(leak)).into()));
        }
    }

    fn deliver(&mut self, core: usize, to: Site, mail: Mail) {
        let to = self.placement.local_core(to).expect("the world is one node");
        if to == core {
            self.cores[core].mailbox.push_back(mail.into());
        } else if self.lanes[core][to].send(mail) {
            self.report.lanes_full += 1;
        }
    }
}

impl TurnHost for SimulatedHost<'_> {
    fn now(&self) -> Time {
        self.world.now
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Shard, &mut Outbox) -> R) -> R {
        let Core { shard, out, .. } = &mut self.world.cores[self.core];
        act(shard, out)
    }

    /// The world's rounds move mail along lanes.
    fn collect(&mut self, _: usize) {}

    fn has_more_to_collect(&self) -> bool {
        false
    }

    fn mailbox_len(&self) -> usize {
        self.world.cores[self.core].mailbox.len()
    }

    fn next_item(&mut self) -> Option<MailboxItem> {
        let item = self.world.cores[self.core].mailbox.pop_front()?;
        self.world.before_item(self.core, &item);
        self.letters_before = self.world.cores[self.core].out.letters.len();
        Some(item)
    }

    fn item_received(&mut self) {
        self.world.after_item(self.core, self.letters_before);
    }

    fn post(&mut self, to: Site, mail: Mail) -> Posted {
        let full = self.world.report.lanes_full;
        match mail {
            Mail::Letter(letter) => self.world.post(self.core, to, letter),
            Mail::HandOver(_) => self.world.deliver(self.core, to, mail),
        }
        match self.world.placement.local_core(to) == Some(self.core) {
            true => Posted::Here,
            false => Posted::Away { lane_full: self.world.report.lanes_full > full },
        }
    }

    fn submit(&mut self, id: u64, work: Work) -> Result<(), (u64, Work)> {
        // The queue is full now and then.
        if !self.world.calm && self.world.prng.chance(1, 40) {
            return Err((id, work));
        }
        self.world.store.submit(self.core, id, work);
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if self.world.verbose {
            println!("answer {}/{} {:?}", self.core, ticket.0, answer.as_ref().map(|_| ()));
        }
        self.world.ledger.answer(self.core, ticket.0, &answer, &mut self.world.report);
    }

    fn found(&mut self, ticket: Ticket, _: Result<Found, StoreError>) {
        panic!("judge wire: no door asked the store, and {ticket:?} gets a finding");
    }

    fn record(&mut self, records: Vec<TraceRecord>) -> bool {
        self.world.notes.take(records);
        true
    }

    fn adopt(&mut self, hand_over: HandOver) {
        self.world.adopt(self.core, hand_over);
    }

    fn flush(&mut self, budget: usize) -> bool {
        let World { cores, wires, prng, report, now, .. } = &mut *self.world;
        let Core { shard, out, table, .. } = &mut cores[self.core];
        let mut sockets = CoreSockets::new(table, wires, prng);
        let more = shard.flush(*now, &mut sockets, budget, out);
        report.blocked += sockets.blocked;
        sockets.judge(more, budget);
        more
    }

    fn finish(&mut self, key: Key) {
        if let Some(wire) = self.world.cores[self.core].table.get(&key) {
            self.world.end(*wire);
        }
    }

    fn expire(&mut self) -> bool {
        false
    }
}
