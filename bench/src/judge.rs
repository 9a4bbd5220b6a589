//! The verdict on a run's deliveries: what every session should have received against what it did.

use serde::Serialize;

use crate::check;
use crate::limits;
use crate::swarm::Remains;
use crate::swarm::client::Client;
use crate::swarm::tally::{Counts, Fault, FaultKind, Spread};

/// What came of the deliveries.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Judgement {
    /// Sessions that had to receive the messages.
    pub sessions: u64,
    /// Messages that the server accepted.
    pub messages: u64,
    /// Deliveries that there should be: each accepted message on each session.
    pub expected: u64,
    /// Of these, how many there were.
    pub received: u64,
    /// How many there were not.
    pub lost: u64,
    /// Of the lost ones, those on sessions that received nothing later: still to come, perhaps, had the run waited longer.
    pub lost_at_the_end: u64,
    /// Messages that a session received again.
    pub duplicated: u64,
    /// Sessions that received everything, but not in the order in which most did.
    pub out_of_order: u64,
    /// Dispatches whose number was left out and never came.
    pub sequence_missing: u64,
    /// Dispatches whose number came again.
    pub sequence_duplicates: u64,
    /// Dispatches that came after one with a higher number.
    pub sequence_late: u64,
    /// What the threads counted.
    pub counts: Counts,
    /// What went wrong, and where; not more than a few dozen.
    pub faults: Vec<Fault>,
}

impl Judgement {
    /// Whether every session received everything once and in order.
    pub fn is_sound(&self) -> bool {
        self.received == self.expected
            && self.lost == 0
            && self.duplicated == 0
            && self.out_of_order == 0
            && self.sequence_missing == 0
            && self.sequence_duplicates == 0
            && self.sequence_late == 0
            && self.counts.invalidated == 0
            && self.counts.dead == 0
    }
}

/// Judges what a swarm leaves behind; `accepted` says by message whether the server took it.
pub fn judge(remains: &Remains, accepted: &[bool]) -> Judgement {
    let messages = accepted.iter().filter(|accepted| **accepted).count() as u64;
    let mut judgement = Judgement { messages, ..Judgement::default() };
    for leavings in &remains.threads {
        judgement.counts.add(&leavings.tally.counts);
        judgement.faults.extend(leavings.tally.faults.iter().cloned());
    }
    // The last messages and the first sessions are of no interest if a session was never live: the run is unsound then anyway.
    let clients = || remains.threads.iter().flat_map(|leavings| &leavings.clients).filter(|client| client.was_live);
    let mut complete = Vec::new();
    let mut late = Vec::new();
    for client in clients() {
        judgement.sessions += 1;
        judgement.sequence_missing += client.sequence.missing();
        let missing = missing(client, accepted, messages);
        judgement.received += messages - missing.len() as u64;
        judgement.lost += missing.len() as u64;
        judgement.lost_at_the_end += missing.iter().filter(|index| **index >= client.receipts.reached()).count() as u64;
        if let Some(first) = missing.first() {
            let what = format!("{} messages never came, the first is {first}", missing.len());
            late.push(Fault::new(FaultKind::Lost, client, what));
        } else {
            complete.push(client);
        }
    }
    let common = check::common_order(complete.iter().map(|client| client.receipts.order()));
    for client in complete {
        if Some(client.receipts.order()) != common {
            judgement.out_of_order += 1;
            late.push(Fault::new(FaultKind::OutOfOrder, client, "the messages came in another order".into()));
        }
    }
    judgement.expected = judgement.sessions * messages;
    judgement.duplicated = judgement.counts.duplicated;
    judgement.sequence_duplicates = judgement.counts.sequence_duplicates;
    judgement.sequence_late = judgement.counts.sequence_late;
    judgement.faults.extend(late);
    judgement.faults.truncate(limits::FAULTS_TOLD);
    judgement
}

/// The accepted messages that a session has not received.
fn missing(client: &Client, accepted: &[bool], messages: u64) -> Vec<u32> {
    // A message that was refused may still have been delivered, so a full count proves nothing unless all were accepted.
    if messages == accepted.len() as u64 && u64::from(client.receipts.count()) == messages {
        return Vec::new();
    }
    let indexes = accepted.iter().enumerate().filter(|(_, accepted)| **accepted).map(|(index, _)| index as u32);
    indexes.filter(|index| !client.receipts.has(*index)).collect()
}

/// All threads' view of each message.
pub fn spread(remains: &Remains) -> Vec<Spread> {
    let mut all: Vec<Spread> = Vec::new();
    for leavings in &remains.threads {
        let spread = &leavings.tally.spread;
        if all.len() < spread.len() {
            all.resize(spread.len(), Spread::default());
        }
        for (sum, part) in all.iter_mut().zip(spread).filter(|(_, part)| part.sessions > 0) {
            sum.sessions += part.sessions;
            sum.intended_ns = part.intended_ns;
            sum.last_ns = sum.last_ns.max(part.last_ns);
        }
    }
    all
}
