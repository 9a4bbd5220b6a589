//! What a request comes to: a plan of writes, events and effects; and what a plan is made from.
//!
//! Lives on: the guild's core.
//! Planning borrows the guild and changes nothing, so a plan can be made again after a look-up, and one that panics leaves the
//! guild whole. When the writes are committed, [`Guild::commit`] applies the events and the effects.
//! A new kind of effect is a variant of [`Effect`], a producer, and an arm of [`Effect::apply`].

use serde::Serialize;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, MessageId, Mint, UserId};
use crate::guild::nonce::Sent;
use crate::guild::{Guild, json};
use crate::mail::ask::{Actor, Reply};
use crate::mail::event::Event;
use crate::mail::to_user::ToUser;
use crate::store::{Found, Query, Write};
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
pub struct Plan {
    writes: Vec<Write>,
    events: Vec<Event>,
    effects: SmallVec<[Effect; 1]>,
    gone: Option<Refusal>,
    reply: Reply,
}

impl Plan {
    /// A plan that only answers.
    pub fn answer(reply: Reply) -> Plan {
        Plan { writes: Vec::new(), events: Vec::new(), effects: SmallVec::new(), gone: None, reply }
    }

    /// A plan that only answers, with nothing to say.
    pub fn done() -> Plan {
        Plan::answer(Reply::Done)
    }

    /// A plan that only answers, with JSON.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Plan {
        Plan::answer(Reply::Json(status, json(value)))
    }

    /// Adds a write. All are committed together; nothing happens before that.
    pub fn write(mut self, write: Write) -> Plan {
        self.writes.push(write);
        self
    }

    /// Adds something that has happened when the writes are committed.
    pub fn event(mut self, event: Event) -> Plan {
        self.events.push(event);
        self
    }

    /// Adds something that the guild remembers, or another owner learns, when the writes are committed.
    pub fn effect(mut self, effect: Effect) -> Plan {
        self.effects.push(effect);
        self
    }

    /// Adds everything that another plan does. The answer stays.
    pub fn and(mut self, other: Plan) -> Plan {
        self.writes.extend(other.writes);
        self.events.extend(other.events);
        self.effects.extend(other.effects);
        self.gone = self.gone.or(other.gone);
        self
    }

    /// Gives another answer.
    pub fn replying(self, reply: Reply) -> Plan {
        Plan { reply, ..self }
    }

    /// The refusal if the store finds that what the writes change is gone. Without it: that the guild is.
    pub fn if_gone(self, refusal: Refusal) -> Plan {
        Plan { gone: Some(refusal), ..self }
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
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// What to answer if the store finds that what the writes change is gone.
    pub fn refusal_if_gone(&self) -> Refusal {
        self.gone.clone().unwrap_or(Refusal::UNKNOWN_GUILD)
    }

    /// The answer.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// What is published and answered, when the guild has taken over the rest.
    pub fn into_outcome(self) -> (Vec<Event>, Reply) {
        (self.events, self.reply)
    }
}

/// What follows from a plan besides its events.
#[derive(Debug)]
pub enum Effect {
    /// A message is then its channel's newest.
    Newest(ChannelId, MessageId),
    /// A message to be remembered for `enforce_nonce`.
    Sent(Sent),
    /// A user became a member; the user's owner must know.
    MemberJoined(UserId),
    /// A user is no member any more; the user's owner must know.
    MemberLeft(UserId),
    /// Members were written beside the server: those who are not online are forgotten.
    Refresh {
        /// How many there are now.
        member_count: u64,
    },
}

impl Effect {
    /// Applies the effect to its guild. Returns a letter to a user's owner, if it asks for one.
    pub(super) fn apply(&self, guild: &mut Guild) -> Option<(UserId, ToUser)> {
        match self {
            Effect::Newest(channel, message) => guild.note_newest(*channel, *message),
            Effect::Sent(sent) => guild.remember_sent(sent),
            Effect::MemberJoined(user) => return Some((*user, ToUser::Gained { user: *user, guild: guild.id() })),
            Effect::MemberLeft(user) => return Some((*user, ToUser::Parted { user: *user, guild: guild.id() })),
            Effect::Refresh { member_count } => guild.refresh(*member_count),
        }
        None
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
    pub(super) fn look_up(&self, query: Query) -> Result<&Found, Stop> {
        match self.loaded.iter().find(|(asked, _)| *asked == query) {
            Some((_, found)) => Ok(found),
            None => Err(Stop::Needs(query)),
        }
    }
}
