//! What a turn leaves for others: letters, store jobs, answers and records.
//!
//! Lives on: every core.
//! Things flow up without imports pointing up: a shard puts here what only a door (or the simulator) can do.

use crate::mail::ask::{Answer, Ticket};
use crate::mail::letter::Letter;
use crate::mail::local::HandOver;
use crate::mail::record::TraceRecord;
use crate::mail::site::Site;
use crate::store::service::Work;
use crate::store::{Found, StoreError};

/// Everything that a turn leaves for others.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Letters, each with its core, in order.
    pub letters: Vec<(Site, Letter)>,
    /// Sockets on their way to another core of this host.
    pub hand_overs: Vec<Box<HandOver>>,
    /// Jobs for the store, in order, each with its number; [`crate::mail::local::Local::Stored`] brings the outcome.
    pub jobs: Vec<(u64, Work)>,
    /// Answers for callers who wait at this core's doors.
    pub answers: Vec<(Ticket, Answer)>,
    /// What the store found for callers who wait at this core's doors.
    pub findings: Vec<(Ticket, Result<Found, StoreError>)>,
    /// Sockets handed over to this core.
    pub arrivals: Vec<HandOver>,
    /// For the recorder, in order; only while the shard records.
    pub notes: Vec<TraceRecord>,
}

impl Outbox {
    /// Wants a letter sent.
    pub fn post(&mut self, to: Site, letter: impl Into<Letter>) {
        self.letters.push((to, letter.into()));
    }

    /// Whether there is a letter, a socket or a job to send.
    pub fn has_mail(&self) -> bool {
        !self.letters.is_empty() || !self.hand_overs.is_empty() || !self.jobs.is_empty()
    }

    /// Whether nothing at all was left.
    pub fn is_empty(&self) -> bool {
        let Outbox { letters: _, hand_overs: _, jobs: _, answers, findings, arrivals, notes } = self;
        !self.has_mail() && answers.is_empty() && findings.is_empty() && arrivals.is_empty() && notes.is_empty()
    }
}
