//! The verdict on a run's deliveries: what every session should have received against what it did.

use std::collections::{BTreeMap, HashMap};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::check::{self, Receipt};
use crate::limits;
use crate::script::{Duty, Kind, Script};
use crate::swarm::Remains;
use crate::swarm::client::Client;
use crate::swarm::tally::{Counts, Fault, FaultKind, coarse, record};

/// What came of the deliveries.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Judgement {
    /// Sessions that were live at some time.
    pub sessions: u64,
    /// By kind.
    pub kinds: BTreeMap<Kind, Verdict>,
    /// Times that sessions were entitled to a stream, received everything of it, but not in the order in which most did.
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
    /// When the last delivery came, in nanoseconds since 1970; 0 if none did.
    pub last_ns: u64,
    /// By group of guilds, if there are several: from an event's intended time to each receipt, in microseconds.
    #[serde(skip)]
    pub groups: BTreeMap<String, Histogram<u64>>,
    /// RESUMED per second, from the first to the last.
    pub resumes_per_second: Option<f64>,
}

/// What came of the events of a kind.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Verdict {
    /// Events that the server accepted, or that sessions made.
    pub events: u64,
    /// Deliveries that there should be: each event on each session that was entitled to it and had to get it.
    pub expected: u64,
    /// Of these, how many there were.
    pub received: u64,
    /// Of the expected ones, those that never came although something later of the stream did.
    pub lost: u64,
    /// Of the expected ones, those that never came, and nothing later of the stream either: still to come, perhaps, had the run
    /// waited longer.
    pub not_yet: u64,
    /// Events that a session received again.
    pub duplicated: u64,
    /// Events that reached a session that was not entitled to them.
    pub leaked: u64,
    /// Deliveries that nobody had to get.
    pub optional: u64,
    /// From an event's intended time to its last receipt, in microseconds, of events that reached everybody who had to get them.
    #[serde(skip)]
    pub last_session: Option<Box<Histogram<u64>>>,
}

impl Judgement {
    /// A count, over all kinds.
    pub fn sum(&self, count: fn(&Verdict) -> u64) -> u64 {
        self.kinds.values().map(count).sum()
    }

    /// Whether every session received everything once, in order, and nothing that it is not entitled to.
    pub fn is_sound(&self) -> bool {
        self.kinds.values().all(|verdict| {
            verdict.received == verdict.expected
                && verdict.lost + verdict.not_yet + verdict.duplicated + verdict.leaked == 0
        }) && self.out_of_order == 0
            && self.sequence_missing == 0
            && self.sequence_duplicates == 0
            && self.sequence_late == 0
            && self.counts.invalidated == 0
            && self.counts.dead == 0
    }
}

/// Judges what a swarm leaves behind; `accepted` says of an event, by stream and number, whether the server took it.
pub fn judge(remains: &Remains, script: &Script, accepted: impl Fn(u32, u32) -> bool) -> Judgement {
    let mut judgement = Judgement::default();
    let real = |stream: u32, index: u32| accepted(stream, index) || remains.events.was_said(stream, index);
    let mut resumes = None;
    for leavings in &remains.threads {
        let tally = &leavings.tally;
        judgement.counts.add(&tally.counts);
        judgement.faults.extend(tally.faults.iter().cloned());
        judgement.last_ns = judgement.last_ns.max(tally.last_ns);
        resumes = match (resumes, tally.resumes_ns) {
            (Some((first, last)), Some((other_first, other_last))) => {
                Some((other_first.min(first), other_last.max(last)))
            }
            (one, other) => one.or(other),
        };
        for (name, times) in script.groups.iter().zip(&tally.groups) {
            judgement.groups.entry(name.clone()).or_insert_with(coarse).add(times).expect("all have the same bounds");
        }
        for kind in Kind::ALL {
            let (again, leaked) = (tally.again[kind as usize], tally.leaked[kind as usize]);
            if again + leaked > 0 {
                let verdict = judgement.kinds.entry(kind).or_default();
                verdict.duplicated += again;
                verdict.leaked += leaked;
            }
        }
    }
    let seconds = resumes.map(|(first, last): (u64, u64)| (last - first) as f64 / 1e9).filter(|seconds| *seconds > 0.0);
    judgement.resumes_per_second = seconds.map(|seconds| judgement.counts.resumed as f64 / seconds);
    // By stream and event: whether everybody who is entitled must have it.
    let must: Vec<Vec<bool>> = (0u32..)
        .zip(&script.streams)
        .map(|(number, stream)| {
            let entitled = remains.events.entitled(number);
            let events = stream.kinds.iter().zip(entitled).enumerate().map(|(index, (kind, entitled))| {
                let index = index as u32;
                if !real(number, index) {
                    return false;
                }
                let verdict = judgement.kinds.entry(*kind).or_default();
                verdict.events += 1;
                let received = remains.events.received(number, index);
                if script.duty(*kind) == Duty::Optional {
                    verdict.optional += u64::from(received);
                    return false;
                }
                verdict.expected += u64::from(entitled);
                if entitled > 0 && received >= entitled {
                    let times = verdict.last_session.get_or_insert_with(|| Box::new(coarse()));
                    record(times, u64::from(remains.events.slowest_us(number, index)) * 1_000);
                }
                true
            });
            events.collect()
        })
        .collect();

    let mut late = Vec::new();
    // By stream and first event: the orders in which those saw it who saw it all.
    let mut orders: HashMap<(u32, u32), Vec<(u64, &Client)>> = HashMap::new();
    for leavings in &remains.threads {
        for client in leavings.clients() {
            judgement.sessions += u64::from(client.was_live);
            judgement.sequence_missing += client.sequence.missing();
            for (number, receipt) in leavings.receipts(client) {
                let missing = missing(receipt, &must[number as usize]);
                for (index, again_later) in &missing {
                    let kind = script.streams[number as usize].kinds[*index as usize];
                    let verdict = judgement.kinds.entry(kind).or_default();
                    let count = if *again_later { &mut verdict.lost } else { &mut verdict.not_yet };
                    *count += 1;
                }
                if let Some((first, _)) = missing.first() {
                    let kind = script.streams[number as usize].kinds[*first as usize];
                    let what = format!(
                        "{} events of stream {number} never came, the first is {kind:?} {first}",
                        missing.len()
                    );
                    late.push(Fault::new(FaultKind::Lost, client, what));
                } else if let Some(from) = receipt.from() {
                    orders.entry((number, from)).or_default().push((receipt.order(), client));
                }
            }
        }
    }
    for saw in orders.values() {
        let common = check::common_order(saw.iter().map(|(order, _)| *order));
        for (_, client) in saw.iter().filter(|(order, _)| Some(*order) != common) {
            judgement.out_of_order += 1;
            late.push(Fault::new(FaultKind::OutOfOrder, client, "the events came in another order".into()));
        }
    }
    for verdict in judgement.kinds.values_mut() {
        verdict.received = verdict.expected.saturating_sub(verdict.lost + verdict.not_yet);
    }
    judgement.sequence_duplicates = judgement.counts.sequence_duplicates;
    judgement.sequence_late = judgement.counts.sequence_late;
    late.sort_by_key(|fault| fault.session);
    judgement.faults.extend(late);
    judgement.faults.truncate(limits::FAULTS_TOLD);
    judgement
}

/// The events that a session had to receive and has not; whether it has received something later of the stream.
fn missing(receipt: &Receipt, must: &[bool]) -> Vec<(u32, bool)> {
    let mut missing = Vec::new();
    for past in receipt.past() {
        for (first, last) in past.gaps.ranges() {
            missing.extend((*first as u32..=*last as u32).map(|index| (index, true)));
        }
    }
    if receipt.from().is_some() {
        let reached = receipt.reached();
        receipt.holes(must.len() as u32, |first, end| {
            missing.extend((first..end).map(|index| (index, index < reached)));
        });
    }
    missing.retain(|(index, _)| must[*index as usize]);
    missing
}
