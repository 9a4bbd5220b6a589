//! What a request comes to: a plan of writes, events and effects; and what a plan is made from.
//!
//! Lives on: the owner's core.
//! Planning borrows the owner's state and changes nothing: a plan can be made again after a look-up, and one that
//! panics leaves the state whole. Effects are the owner's: `guild/plan.rs` for guilds, `shard/users/accounts.rs` for
//! users.

use serde::Serialize;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::Mint;
use crate::mail::ask::{Actor, Reply};
use crate::mail::event::Event;
use crate::store::{Conflict, Found, Query, Write};
use crate::wire::refusal::Refusal;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// The client's fault.
    Refused(Refusal),
    /// Something must be looked up first; then plan again.
    Needs(Query),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

/// What a request comes to. Built by its methods.
#[derive(Debug)]
pub struct OwnerPlan<E> {
    writes: Vec<Write>,
    events: Vec<Event>,
    effects: SmallVec<[E; 1]>,
    gone: Option<Refusal>,
    taken: Option<Refusal>,
    full: Option<Refusal>,
    reply: Reply,
}

impl<E> OwnerPlan<E> {
    /// A plan that only answers.
    pub fn answer(reply: Reply) -> OwnerPlan<E> {
        OwnerPlan {
            writes: Vec::new(),
            events: Vec::new(),
            effects: SmallVec::new(),
            gone: None,
            taken: None,
            full: None,
            reply,
        }
    }

    /// A plan that only answers, with nothing to say.
    pub fn done() -> OwnerPlan<E> {
        OwnerPlan::answer(Reply::Done)
    }

    /// A plan that only answers, with JSON.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> OwnerPlan<E> {
        OwnerPlan::answer(Reply::Json(status, serde_json::to_vec(value).expect("wire models are JSON").into()))
    }

    /// Adds a write. All are committed together; nothing happens before that.
    pub fn write(mut self, write: Write) -> OwnerPlan<E> {
        self.writes.push(write);
        self
    }

    /// Adds something that has happened when the writes are committed.
    pub fn event(mut self, event: Event) -> OwnerPlan<E> {
        self.events.push(event);
        self
    }

    /// Adds something that the owner remembers, or another one learns, when the writes are committed.
    pub fn effect(mut self, effect: E) -> OwnerPlan<E> {
        self.effects.push(effect);
        self
    }

    /// Adds everything that another plan does. The answer stays.
    pub fn and(mut self, other: OwnerPlan<E>) -> OwnerPlan<E> {
        self.writes.extend(other.writes);
        self.events.extend(other.events);
        self.effects.extend(other.effects);
        self.gone = self.gone.or(other.gone);
        self.taken = self.taken.or(other.taken);
        self.full = self.full.or(other.full);
        self
    }

    /// Gives another answer.
    pub fn replying(self, reply: Reply) -> OwnerPlan<E> {
        OwnerPlan { reply, ..self }
    }

    /// The refusal if the store finds that what the writes change is gone. Without it: that of the owner itself.
    pub fn if_gone(self, refusal: Refusal) -> OwnerPlan<E> {
        OwnerPlan { gone: Some(refusal), ..self }
    }

    /// The refusal if the store finds that a name is taken.
    pub fn if_taken(self, refusal: Refusal) -> OwnerPlan<E> {
        OwnerPlan { taken: Some(refusal), ..self }
    }

    /// The refusal if the store finds that there are too many of what would be written.
    pub fn if_full(self, refusal: Refusal) -> OwnerPlan<E> {
        OwnerPlan { full: Some(refusal), ..self }
    }

    /// What is to be written.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Takes the writes out, to be committed.
    pub fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    /// What then has happened, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What follows from it besides.
    pub fn effects(&self) -> &[E] {
        &self.effects
    }

    /// What to answer if the store finds this instead.
    pub fn refusal(&self, conflict: Conflict) -> Option<&Refusal> {
        match conflict {
            Conflict::Gone => self.gone.as_ref(),
            Conflict::NameTaken => self.taken.as_ref(),
            Conflict::Full => self.full.as_ref(),
        }
    }

    /// The answer.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// What is published and answered, when the owner has taken over the rest.
    pub fn into_outcome(self) -> (Vec<Event>, Reply) {
        (self.events, self.reply)
    }
}

/// What was looked up for a plan.
pub type Loaded = Vec<(Query, Found)>;

/// Everything a plan is made from besides the guild.
#[derive(Debug)]
pub struct PlanContext<'a> {
    /// Now.
    pub now: Time,
    /// Who asks.
    pub actor: Actor,
    /// Why, for the audit log.
    pub reason: Option<&'a str>,
    /// What was looked up.
    pub loaded: &'a Loaded,
    /// For new ids.
    pub mint: Mint,
    /// For invite codes: bits that cannot be guessed.
    pub random: u64,
}

impl PlanContext<'_> {
    /// What the store found, or the wish to look it up.
    pub fn look_up(&self, query: Query) -> Result<&Found, Stop> {
        match self.loaded.iter().find(|(asked, _)| *asked == query) {
            Some((_, found)) => Ok(found),
            None => Err(Stop::Needs(query)),
        }
    }
}
