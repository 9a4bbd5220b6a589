//! What a turn wants sent, and the shelves that a door clears after the turn.
//!
//! Lives on: every core.
//! Things flow up without imports pointing up: a shard puts here what only a door (or the simulator) can do.

use crate::mail::ask::{Answer, Ticket};
use crate::mail::letter::Letter;
use crate::mail::local::HandOver;
use crate::mail::note::Note;
use crate::mail::site::Site;
use crate::store::service::Work;
use crate::store::{Found, StoreError};

/// Work for the store; the answer comes back as [`crate::mail::local::Local::Stored`].
#[derive(Debug, Clone, PartialEq)]
pub struct StoreJob {
    /// Minted by the shard.
    pub id: u64,
    /// What to do.
    pub work: Work,
}

/// Everything that a turn leaves for others.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Letters, each with its core, in order.
    pub letters: Vec<(Site, Letter)>,
    /// Jobs for the store, in order.
    pub jobs: Vec<StoreJob>,
    /// Answers for callers who wait at this core's doors.
    pub answers: Vec<(Ticket, Answer)>,
    /// What the store found for callers who wait at this core's doors.
    pub findings: Vec<(Ticket, Result<Found, StoreError>)>,
    /// Sockets handed over to this core.
    pub arrivals: Vec<HandOver>,
    /// For the recorder, in order; only while the shard records.
    pub notes: Vec<Note>,
}

impl Outbox {
    /// Wants a letter sent.
    pub fn post(&mut self, to: Site, letter: impl Into<Letter>) {
        self.letters.push((to, letter.into()));
    }
}
