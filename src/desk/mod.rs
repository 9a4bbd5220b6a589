//! The desk: what the doors of one core share. A *door* is a module that serves connections: `rest` and `gateway`.
//!
//! Lives on: its core; a cheap handle that doors clone.
//! It holds the shard, the outbox, the mailbox, the callers that wait for an answer, and the request for the next turn.
//! Doors use its verbs; [`Desk::shard`] is for the turn (`tests/tidy.rs` confines it). No borrow outlives a call, so
//! none is held across an await. Doors `ask` and wait; nothing below the desk does.

pub mod settings;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::base::clock;
use crate::base::id::{ChannelId, UserId};
use crate::base::idmap::IdMap;
use crate::base::metrics::Counter;
use crate::base::slab::Key;
use crate::desk::settings::Settings;
use crate::limits;
use crate::mail::ask::{Actor, Answer, Ask, Request, Ticket};
use crate::mail::local::Local;
use crate::mail::mailbox::MailboxItem;
use crate::mail::outbox::Outbox;
use crate::mail::placement::{Placement, VirtualShard};
use crate::mail::site::Site;
use crate::session::connection::Connection;
use crate::shard::Shard;
use crate::store::password::Password;
use crate::store::service::{Job, Outcome, PasswordWork, StoreEnd, Work};
use crate::store::token::Signer;
use crate::store::{Found, Query, StoreError};
use crate::wire::refusal::Refusal;

/// A core's desk.
#[derive(Debug, Clone)]
pub struct Desk(Rc<DeskState>);

#[derive(Debug)]
struct DeskState {
    me: Site,
    placement: Placement,
    settings: Settings,
    signer: Signer,
    store: StoreEnd,
    shard: RefCell<Shard>,
    outbox: RefCell<Outbox>,
    mailbox: RefCell<VecDeque<MailboxItem>>,
    callers: RefCell<IdMap<u64, CallerState>>,
    next_ticket: Cell<u64>,
    turn_waker: RefCell<Option<Waker>>,
    turn_requested: Cell<bool>,
}

/// A caller that waits, or what has come for it.
#[derive(Debug)]
enum CallerState {
    Waiting(Option<Waker>),
    Delivered(Delivery),
}

/// What a caller can wait for.
#[derive(Debug)]
enum Delivery {
    Answer(Answer),
    Finding(Result<Found, StoreError>),
    Outcome(Result<Outcome, StoreError>),
}

/// Jobs of the doors' own (passwords) have ids from here on; those of the shard are below.
const DOOR_JOBS: u64 = 1 << 63;

impl Desk {
    /// The desk of one core.
    pub fn new(
        me: Site,
        placement: Placement,
        settings: Settings,
        signer: Signer,
        store: StoreEnd,
        shard: Shard,
    ) -> Desk {
        Desk(Rc::new(DeskState {
            me,
            placement,
            settings,
            signer,
            store,
            shard: RefCell::new(shard),
            outbox: RefCell::default(),
            mailbox: RefCell::default(),
            callers: RefCell::default(),
            next_ticket: Cell::new(1),
            turn_waker: RefCell::default(),
            turn_requested: Cell::new(false),
        }))
    }

    /// Which core this is.
    pub fn me(&self) -> Site {
        self.0.me
    }

    /// Who owns what.
    pub fn placement(&self) -> &Placement {
        &self.0.placement
    }

    /// What the operator has set.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Checks and issues tokens.
    pub fn signer(&self) -> &Signer {
        &self.0.signer
    }

    /// The way to the store's threads.
    pub fn store(&self) -> &StoreEnd {
        &self.0.store
    }

    /// Does something with the shard, now; what it leaves is seen to in the next turn.
    pub fn with<R>(&self, act: impl FnOnce(&mut Shard, &mut Outbox) -> R) -> R {
        let result = act(&mut self.0.shard.borrow_mut(), &mut self.0.outbox.borrow_mut());
        self.request_turn();
        result
    }

    /// Does something with the shard within the turn, which sees to what it leaves: no further turn is requested.
    pub fn in_turn<R>(&self, act: impl FnOnce(&mut Shard, &mut Outbox) -> R) -> R {
        act(&mut self.0.shard.borrow_mut(), &mut self.0.outbox.borrow_mut())
    }

    /// The shard, for the core's turn and its metrics.
    pub fn shard(&self) -> RefMut<'_, Shard> {
        self.0.shard.borrow_mut()
    }

    /// Puts something into this core's mailbox.
    pub fn deliver(&self, item: MailboxItem) {
        self.0.mailbox.borrow_mut().push_back(item);
        self.request_turn();
    }

    /// Takes the next item out of this core's mailbox.
    pub fn next_item(&self) -> Option<MailboxItem> {
        let mut mailbox = self.0.mailbox.borrow_mut();
        let next = mailbox.pop_front();
        if next.is_none() && mailbox.capacity() > limits::MAILBOX_KEPT {
            // After a storm.
            mailbox.shrink_to(limits::MAILBOX_KEPT);
        }
        next
    }

    /// Items in this core's mailbox.
    pub fn mailbox_len(&self) -> usize {
        self.0.mailbox.borrow().len()
    }

    /// Requests a turn.
    pub fn request_turn(&self) {
        self.0.turn_requested.set(true);
        if let Some(waker) = self.0.turn_waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until a turn is requested.
    pub fn turn_requested(&self) -> impl Future<Output = ()> {
        let desk = self.clone();
        std::future::poll_fn(move |context| {
            if desk.0.turn_requested.replace(false) {
                return Poll::Ready(());
            }
            *desk.0.turn_waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// Asks an owner. The answer comes after what was written is committed.
    pub async fn ask(&self, actor: Actor, reason: Option<Box<str>>, request: Request) -> Answer {
        let owner = self.0.placement.owner_of(request.shard());
        let Some(waiter) = self.wait() else { return Err(Refusal::OVERLOADED) };
        let ask = Ask { from: self.0.me, ticket: waiter.ticket, actor, reason, request };
        self.with(|_, outbox| outbox.post(owner, ask));
        match waiter.await {
            Delivery::Answer(answer) => answer,
            Delivery::Finding(_) | Delivery::Outcome(_) => Err(Refusal::INTERNAL),
        }
    }

    /// Asks the store's readers.
    pub async fn read(&self, query: Query) -> Result<Found, Refusal> {
        let Some(waiter) = self.wait() else { return Err(Refusal::OVERLOADED) };
        self.with(|shard, outbox| shard.read(waiter.ticket, query, outbox));
        match waiter.await {
            Delivery::Finding(Ok(found)) => Ok(found),
            Delivery::Finding(Err(error)) => {
                tracing::error!(%error, "the store did not answer a question");
                Err(Refusal::INTERNAL)
            }
            Delivery::Answer(_) | Delivery::Outcome(_) => Err(Refusal::INTERNAL),
        }
    }

    /// Hashes a password, on a thread of the store's.
    pub async fn hash_password(&self, password: String) -> Result<String, Refusal> {
        match self.work(Work::Password(PasswordWork::Hash(Password(password)))).await? {
            Outcome::Hashed(phc) => Ok(phc),
            Outcome::Committed | Outcome::Found(_) | Outcome::Checked(_) => Err(Refusal::INTERNAL),
        }
    }

    /// Compares a password, on a thread of the store's.
    pub async fn check_password(&self, password: String, phc: String) -> Result<bool, Refusal> {
        match self.work(Work::Password(PasswordWork::Check { password: Password(password), phc })).await? {
            Outcome::Checked(good) => Ok(good),
            Outcome::Committed | Outcome::Found(_) | Outcome::Hashed(_) => Err(Refusal::INTERNAL),
        }
    }

    /// Reads something of a connection; `None` if it is gone.
    pub fn connection<R>(&self, key: Key, read: impl FnOnce(&Connection) -> R) -> Option<R> {
        self.0.shard.borrow().connection(key).map(read)
    }

    /// For how many seconds new gateway connections are refused, if they are; counts a refusal.
    pub fn turns_away(&self) -> Option<u64> {
        self.0.shard.borrow_mut().retry_after()
    }

    /// Records one REST request: its route, how long it took, and whether the server failed it.
    pub fn record_request(&self, route: &'static str, took: Duration, failed: bool) {
        let mut shard = self.0.shard.borrow_mut();
        let metrics = shard.metrics();
        metrics.record_route(route, took);
        metrics.count(Counter::RestRequests, 1);
        if failed {
            metrics.count(Counter::RestErrors, 1);
        }
    }

    /// Records that a user read a channel's newest messages, if this core records.
    pub fn record_history(&self, channel: ChannelId, user: UserId, limit: u32) {
        if self.0.shard.borrow().is_recording() {
            self.with(|shard, out| shard.note_history(clock::now(), channel, user, limit, out));
        }
    }

    /// Identifies per second that this core admits at present.
    pub fn identify_rate(&self) -> u64 {
        self.0.shard.borrow().identify_rate()
    }

    /// A virtual shard by chance, for something new.
    pub fn random_shard(&self) -> VirtualShard {
        VirtualShard::hashed(self.0.shard.borrow_mut().random())
    }

    /// Whose token this is and when it was issued; `None` for a bad or void one.
    pub fn authenticate(&self, token: &str) -> Option<(UserId, u64)> {
        let (user, issued_ms) = self.0.signer.verify(token)?;
        self.0.shard.borrow().accepts_token(user, issued_ms).then_some((user, issued_ms))
    }

    /// An answer has come for a caller.
    pub fn answered(&self, ticket: Ticket, answer: Answer) {
        self.fill(ticket.0, Delivery::Answer(answer));
    }

    /// A finding has come for a caller.
    pub fn found(&self, ticket: Ticket, finding: Result<Found, StoreError>) {
        self.fill(ticket.0, Delivery::Finding(finding));
    }

    /// The store has answered: the shard, or a caller. Runs on the core's store task.
    pub fn store_answered(&self, id: u64, result: Result<Outcome, StoreError>) {
        if id >= DOOR_JOBS {
            self.fill(id - DOOR_JOBS, Delivery::Outcome(result));
            return;
        }
        let result = result.map(|outcome| match outcome {
            Outcome::Found(found) => Some(found),
            Outcome::Committed | Outcome::Hashed(_) | Outcome::Checked(_) => None,
        });
        self.deliver(Local::Stored { job: id, result }.into());
    }

    async fn work(&self, work: Work) -> Result<Outcome, Refusal> {
        let Some(waiter) = self.wait() else { return Err(Refusal::OVERLOADED) };
        let job = Job { core: self.0.me.core.into(), id: DOOR_JOBS + waiter.ticket.0, work };
        if self.0.store.try_submit(job).is_err() {
            return Err(Refusal::OVERLOADED);
        }
        match waiter.await {
            Delivery::Outcome(Ok(outcome)) => Ok(outcome),
            Delivery::Outcome(Err(_)) | Delivery::Answer(_) | Delivery::Finding(_) => Err(Refusal::INTERNAL),
        }
    }

    fn wait(&self) -> Option<Wait> {
        let mut waiting = self.0.callers.borrow_mut();
        if waiting.len() >= limits::WAITING_CALLERS_MAX {
            return None;
        }
        let ticket = self.0.next_ticket.get();
        self.0.next_ticket.set(ticket + 1);
        waiting.insert(ticket, CallerState::Waiting(None));
        Some(Wait { desk: self.clone(), ticket: Ticket(ticket) })
    }

    fn fill(&self, ticket: u64, delivery: Delivery) {
        // A caller that has given up is no longer listed.
        if let Some(state) = self.0.callers.borrow_mut().get_mut(&ticket)
            && let CallerState::Waiting(Some(waker)) = std::mem::replace(state, CallerState::Delivered(delivery))
        {
            waker.wake();
        }
    }
}

/// A caller's wait for a delivery. Dropping it gives up.
#[derive(Debug)]
struct Wait {
    desk: Desk,
    ticket: Ticket,
}

impl Future for Wait {
    type Output = Delivery;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Delivery> {
        let mut waiting = self.desk.0.callers.borrow_mut();
        match waiting.get_mut(&self.ticket.0) {
            Some(state @ CallerState::Waiting(_)) => {
                *state = CallerState::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            Some(CallerState::Delivered(_)) => match waiting.remove(&self.ticket.0) {
                Some(CallerState::Delivered(delivery)) => Poll::Ready(delivery),
                Some(CallerState::Waiting(_)) | None => unreachable!("looked at just now"),
            },
            None => unreachable!("polled after it was done"),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.desk.0.callers.borrow_mut().remove(&self.ticket.0);
    }
}
