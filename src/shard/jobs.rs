//! Jobs that a side of the shard has given to the store, and what waits for each.
//!
//! Lives on: every core.
//! Invariant: a job's id says whose it is, so an answer is brought to its side without a search.

use crate::base::idmap::IdMap;
use crate::mail::outbox::Outbox;
use crate::store::service::Work;
use crate::store::{Commit, Query};

/// A part of the shard that gives jobs to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Guilds,
    Users,
    Home,
}

const SIDES: [Side; 3] = [Side::Guilds, Side::Users, Side::Home];

impl Side {
    /// Whose job it is.
    pub(super) fn of(job: u64) -> Side {
        SIDES[(job % SIDES.len() as u64) as usize]
    }
}

/// The pending jobs of one side, each with what is to be done with the answer.
#[derive(Debug)]
pub(super) struct Jobs<W> {
    pending: IdMap<u64, W>,
    next: u64,
}

impl<W> Jobs<W> {
    /// No job so far.
    pub(super) fn new(side: Side) -> Jobs<W> {
        Jobs { pending: IdMap::default(), next: side as u64 }
    }

    /// Asks the store; `waiting` is continued with the answer.
    pub(super) fn query(&mut self, query: Query, waiting: W, out: &mut Outbox) {
        let id = self.add(waiting);
        out.jobs.push((id, Work::Query(query)));
    }

    /// Has the store write; `waiting` is continued when that is durable, or has failed.
    pub(super) fn commit(&mut self, commit: Commit, waiting: W, out: &mut Outbox) {
        let id = self.add(waiting);
        out.jobs.push((id, Work::Commit(commit)));
    }

    /// A number that an answer from elsewhere will carry.
    pub(super) fn add(&mut self, waiting: W) -> u64 {
        let id = self.next;
        self.next += SIDES.len() as u64;
        self.pending.insert(id, waiting);
        id
    }

    /// What waits for the answer to a job.
    pub(super) fn take(&mut self, id: u64) -> Option<W> {
        self.pending.remove(&id)
    }

    /// Whether none is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// All that wait.
    pub(super) fn values(&self) -> impl Iterator<Item = &W> {
        self.pending.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_names_its_side_and_is_taken_once() {
        for side in SIDES {
            let mut jobs = Jobs::new(side);
            let ids = [jobs.add('a'), jobs.add('b')];
            assert!(ids.iter().all(|id| Side::of(*id) == side), "{ids:?}");
            assert_eq!((jobs.take(ids[1]), jobs.take(ids[1]), jobs.take(ids[0])), (Some('b'), None, Some('a')));
            assert!(jobs.is_empty());
        }
    }
}
