//! One turn of a core: mail in, mail out, member lists, a slice of writes. Server and simulator run the same code.
//!
//! Lives on: each core.
//! Synchronous, and bounded by its [`TurnBudget`]. A [`TurnHost`] carries mail, submits store jobs, answers callers,
//! owns sockets and the clock. `boot/turn.rs` is the server's host, `tests/sim/world/turn.rs` the simulated one.
//! Invariant: everything that a turn puts into the outbox is sent by that turn or by the next, in order.

use std::collections::VecDeque;

use crate::base::clock::Time;
use crate::base::metrics::{Counter, Metric};
use crate::base::slab::Key;
use crate::mail::ask::{Answer, Ticket};
use crate::mail::local::HandOver;
use crate::mail::mailbox::{Mail, MailboxItem};
use crate::mail::outbox::Outbox;
use crate::mail::record::TraceRecord;
use crate::mail::site::Site;
use crate::shard::Shard;
use crate::store::service::Work;
use crate::store::{Found, StoreError};

/// Bounds of one turn.
#[derive(Debug, Clone, Copy)]
pub struct TurnBudget {
    /// Mailbox items that are received.
    pub letters: usize,
    /// Sockets that are written to.
    pub sockets: usize,
    /// Finished connections that are closed.
    pub finished: usize,
}

/// What became of posted mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is in this core's own mailbox.
    Here,
    /// It is on its way to another core; `lane_full` if it has to wait for room.
    Away {
        /// The lane had no room.
        lane_full: bool,
    },
}

/// What a turn needs from the place where its shard lives. Static dispatch: the server's host costs no indirect call.
pub trait TurnHost {
    /// Time now; it may advance within a turn.
    fn now(&self) -> Time;
    /// The shard and its outbox. Requests no further turn.
    fn with<R>(&mut self, act: impl FnOnce(&mut Shard, &mut Outbox) -> R) -> R;

    /// Moves up to `most` items that other cores have sent into the mailbox.
    fn collect(&mut self, most: usize);
    /// Whether other cores have sent something that was not collected.
    fn has_more_to_collect(&self) -> bool;
    /// Items in the mailbox.
    fn mailbox_len(&self) -> usize;
    /// Takes the next item out of the mailbox.
    fn next_item(&mut self) -> Option<MailboxItem>;
    /// An item was received. For a host that checks what came of each.
    fn item_received(&mut self) {}

    /// Sends mail to a core, which may be this one.
    fn post(&mut self, to: Site, mail: Mail) -> Posted;
    /// Gives the store a job; returns it when the store's queue is full.
    fn submit(&mut self, id: u64, work: Work) -> Result<(), (u64, Work)>;
    /// Answers a caller at this core's door.
    fn answer(&mut self, ticket: Ticket, answer: Answer);
    /// Delivers what the store found for a caller at this core's door.
    fn found(&mut self, ticket: Ticket, finding: Result<Found, StoreError>);
    /// Writes records; false when nothing writes them any more.
    fn record(&mut self, records: Vec<TraceRecord>) -> bool;

    /// Takes a socket in that another core has handed over.
    fn adopt(&mut self, hand_over: HandOver);
    /// [`Shard::flush`] with this core's sockets.
    fn flush(&mut self, budget: usize) -> bool;
    /// Closes the socket of a connection that has sent its last byte.
    fn finish(&mut self, key: Key);
    /// Closes sockets that have waited long enough for the peer. Says whether more are due.
    fn expire(&mut self) -> bool;
}

/// What a core keeps between two turns.
#[derive(Debug, Default)]
pub struct Turn {
    /// Jobs that the store's queue had no room for, in order.
    jobs: VecDeque<(u64, Work)>,
}

impl Turn {
    /// Runs one turn. Says whether the next one has something to do already.
    pub fn run(&mut self, host: &mut impl TurnHost, budget: TurnBudget) -> bool {
        let began = host.now();
        // While mail to itself fills a turn, others wait in their lanes.
        host.collect(budget.letters.saturating_sub(host.mailbox_len()));
        let mut room = budget.letters;
        loop {
            room -= receive(host, began, room);
            self.send(host);
            // Mail to itself belongs to the same turn: what comes of it goes out with the same write.
            if room == 0 || host.mailbox_len() == 0 {
                break;
            }
        }
        // Once: what lists send to this core's own sessions is mail to itself.
        if host.with(|shard, _| shard.has_to_settle()) {
            host.with(|shard, out| shard.attend_lists(began, out));
            self.send(host);
        }
        let flushes = flush(host, budget);
        let took = host.now().since(began);
        let settles = host.with(|shard, _| {
            shard.metrics().record(Metric::TurnLength, took);
            shard.has_to_settle()
        });
        flushes || settles || host.mailbox_len() > 0 || host.has_more_to_collect()
    }

    /// Whether no job waits for room in the store's queue.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Sends what is in the outbox, put there by received mail or by the doors.
    fn send(&mut self, host: &mut impl TurnHost) {
        let Outbox { letters, hand_overs, jobs, answers, findings, arrivals, notes } =
            host.with(|_, out| std::mem::take(out));
        let letters = letters.into_iter().map(|(to, letter)| (to, Mail::Letter(letter)));
        let hand_overs = hand_overs.into_iter().map(|hand_over| (hand_over.session.home, Mail::HandOver(hand_over)));
        let (mut away, mut full) = (0, 0);
        for (to, mail) in letters.chain(hand_overs) {
            if let Posted::Away { lane_full } = host.post(to, mail) {
                away += 1;
                full += u64::from(lane_full);
            }
        }
        if away > 0 {
            host.with(|shard, _| {
                shard.metrics().count(Counter::LettersSent, away);
                shard.metrics().count(Counter::LanesFull, full);
            });
        }
        self.jobs.extend(jobs);
        while let Some((id, work)) = self.jobs.pop_front() {
            // The store's answers bring a turn, so the rest is tried again when there is room.
            if let Err(job) = host.submit(id, work) {
                self.jobs.push_front(job);
                break;
            }
        }
        for (ticket, answer) in answers {
            host.answer(ticket, answer);
        }
        for (ticket, finding) in findings {
            host.found(ticket, finding);
        }
        if !notes.is_empty() && !host.record(notes) {
            host.with(|shard, _| shard.record(false));
        }
        for hand_over in arrivals {
            host.adopt(hand_over);
        }
    }
}

/// Receives up to `room` mailbox items. Says how many there were.
fn receive(host: &mut impl TurnHost, now: Time, room: usize) -> usize {
    let mut taken = 0;
    while taken < room
        && let Some(item) = host.next_item()
    {
        host.with(|shard, out| match item {
            MailboxItem::Letter(letter) => shard.receive(now, letter, out),
            MailboxItem::Local(local) => shard.receive_local(now, local, out),
        });
        host.item_received();
        taken += 1;
    }
    host.with(|shard, out| {
        if shard.has_to_settle() {
            shard.settle(now, out);
        }
    });
    taken
}

/// Writes a slice and closes what is finished. Says whether there is more to do.
fn flush(host: &mut impl TurnHost, budget: TurnBudget) -> bool {
    let more = host.flush(budget.sockets);
    // Sessions that ended while flushing have letters to send; one that has read its members has more looked up.
    let (posts, finished) = host.with(|shard, out| (out.has_mail(), shard.take_finished(budget.finished)));
    let all_closed = finished.len() < budget.finished;
    for key in finished {
        host.finish(key);
    }
    let expires = host.expire();
    more || posts || !all_closed || expires
}
