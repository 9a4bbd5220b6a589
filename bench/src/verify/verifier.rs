//! The verdict on a run's deliveries: what every session should have received against what it did.

use std::collections::{BTreeMap, HashMap};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::base::limits;
use crate::base::times::{coarse, record};
use crate::model::script::{Duty, Kind, Script};
use crate::verify::receipts;
use crate::verify::receipts::Receipt;
use crate::verify::run_result::RunResult;
use crate::verify::session::SessionRecord;
use crate::verify::tally::{Counts, Fault, FaultKind};

/// What came of the deliveries.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Verification {
    /// Sessions that were live at some time.
    pub sessions: u64,
    /// By kind.
    pub kinds: BTreeMap<Kind, KindResult>,
    /// Times that sessions were entitled to a stream, received everything of it, but not in the order in which most
    /// did.
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
pub struct KindResult {
    /// Events that the server accepted, or that sessions made.
    pub events: u64,
    /// Deliveries that there should be: each event on each session that was entitled to it and had to get it.
    pub expected: u64,
    /// Of these, how many there were.
    pub received: u64,
    /// Of the expected ones, those that never came although something later of the stream did.
    pub lost: u64,
    /// Of the expected ones, those that never came, and nothing later of the stream either: still to come, perhaps, had
    /// the run waited longer.
    pub not_yet: u64,
    /// Events that a session received again.
    pub duplicated: u64,
    /// Events that reached a session that was not entitled to them.
    pub leaked: u64,
    /// Deliveries that were allowed, but not owed.
    pub optional: u64,
    /// From an event's intended time to its last receipt, in microseconds, of events that reached every session that
    /// had to get them.
    #[serde(skip)]
    pub last_session: Option<Box<Histogram<u64>>>,
}

impl Verification {
    /// A count, over all kinds.
    pub fn sum(&self, count: fn(&KindResult) -> u64) -> u64 {
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

/// Judges what a run leaves behind; `accepted` says of an event, by stream and number, whether the server took it.
pub fn verify(result: &RunResult, script: &Script, accepted: impl Fn(u32, u32) -> bool) -> Verification {
    let mut verification = Verification::default();
    let real = |stream: u32, index: u32| accepted(stream, index) || result.events.was_sent(stream, index);
    sum_threads(&mut verification, result, script);
    let mut accounts = count_events(&mut verification, result, script, real);

    let mut late = Vec::new();
    // By stream and first event: the orders in which those saw it who saw it all.
    let mut orders: HashMap<(u32, u32), Vec<(u64, &SessionRecord)>> = HashMap::new();
    for thread in &result.threads {
        for session in &thread.sessions {
            verification.sessions += u64::from(session.was_live);
            verification.sequence_missing += session.sequence.missing();
            for (number, receipt) in thread.receipts(session) {
                let (missing, first) = accounts[number as usize].add(receipt);
                if missing > 0 {
                    let kind = script.streams[number as usize].kinds[first as usize];
                    if late.len() < limits::FAULTS_TOLD {
                        let what =
                            format!("{missing} events of stream {number} never came, the first is {kind:?} {first}");
                        late.push(Fault::new(FaultKind::Lost, session, what));
                    }
                } else if let Some(from) = receipt.from() {
                    orders.entry((number, from)).or_default().push((receipt.order(), session));
                }
            }
        }
    }
    for (stream, account) in script.streams.iter().zip(&accounts) {
        account.for_each_missing(|index, lost, not_yet| {
            let of_kind = verification.kinds.entry(stream.kinds[index as usize]).or_default();
            of_kind.lost += lost;
            of_kind.not_yet += not_yet;
        });
    }
    compare_orders(&mut verification, &orders, &mut late);
    for of_kind in verification.kinds.values_mut() {
        of_kind.received = of_kind.expected.saturating_sub(of_kind.lost + of_kind.not_yet);
    }
    late.sort_by_key(|fault| fault.session);
    verification.faults.extend(late);
    verification.faults.truncate(limits::FAULTS_TOLD);
    verification
}

/// Adds up what the threads have counted.
fn sum_threads(verification: &mut Verification, result: &RunResult, script: &Script) {
    let mut resumes: Option<(u64, u64)> = None;
    for tally in result.threads.iter().map(|thread| &thread.tally) {
        verification.counts.add(&tally.counts);
        verification.faults.extend(tally.faults.iter().cloned());
        verification.last_ns = verification.last_ns.max(tally.last_ns);
        resumes = match (resumes, tally.resumes_ns) {
            (Some((first, last)), Some((other_first, other_last))) => {
                Some((other_first.min(first), other_last.max(last)))
            }
            (one, other) => one.or(other),
        };
        for (name, times) in script.groups.iter().zip(&tally.groups) {
            let group = verification.groups.entry(name.clone()).or_insert_with(coarse);
            group.add(times).expect("all have the same bounds");
        }
        for kind in Kind::ALL {
            let (again, leaked) = (tally.again[kind as usize], tally.leaked[kind as usize]);
            if again + leaked > 0 {
                let of_kind = verification.kinds.entry(kind).or_default();
                of_kind.duplicated += again;
                of_kind.leaked += leaked;
            }
        }
    }
    let seconds = resumes.map(|(first, last)| (last - first) as f64 / 1e9).filter(|seconds| *seconds > 0.0);
    verification.resumes_per_second = seconds.map(|seconds| verification.counts.resumed as f64 / seconds);
    verification.sequence_duplicates = verification.counts.sequence_duplicates;
    verification.sequence_late = verification.counts.sequence_late;
}

/// Counts by kind what there should be, of the events that are `real`, and opens an account for each stream.
fn count_events(
    verification: &mut Verification,
    result: &RunResult,
    script: &Script,
    real: impl Fn(u32, u32) -> bool,
) -> Vec<MissingCounts> {
    let accounts = (0u32..).zip(&script.streams).map(|(number, stream)| {
        let entitled = result.events.entitled(number);
        let events = (0u32..).zip(stream.kinds.iter().zip(entitled)).map(|(index, (kind, entitled))| {
            if !real(number, index) {
                return false;
            }
            let of_kind = verification.kinds.entry(*kind).or_default();
            of_kind.events += 1;
            let received = result.events.received(number, index);
            if script.duty(*kind) == Duty::Optional {
                of_kind.optional += u64::from(received);
                return false;
            }
            of_kind.expected += u64::from(entitled);
            if entitled > 0 && received >= entitled {
                let times = of_kind.last_session.get_or_insert_with(|| Box::new(coarse()));
                record(times, u64::from(result.events.slowest_us(number, index)) * 1_000);
            }
            true
        });
        MissingCounts::new(events)
    });
    accounts.collect()
}

/// Finds the sessions that saw a whole stream in another order than most.
fn compare_orders(
    verification: &mut Verification,
    orders: &HashMap<(u32, u32), Vec<(u64, &SessionRecord)>>,
    faults: &mut Vec<Fault>,
) {
    for saw in orders.values() {
        let common = receipts::common_order(saw.iter().map(|(order, _)| *order));
        for (_, session) in saw.iter().filter(|(order, _)| Some(*order) != common) {
            verification.out_of_order += 1;
            if verification.out_of_order <= limits::FAULTS_TOLD as u64 {
                faults.push(Fault::new(FaultKind::OutOfOrder, session, "the events came in another order".into()));
            }
        }
    }
}

/// What sessions owe of one stream. A session may miss millions of events, and a million sessions may miss the same: so
/// they are added up as ranges.
#[derive(Debug)]
struct MissingCounts {
    /// By event: how many before it every entitled session must have; one more than there are events.
    due: Vec<u32>,
    /// By event: by how many sessions more than the event before it was lost. Empty: nothing was.
    lost: Vec<i32>,
    /// The same for what has not come yet.
    not_yet: Vec<i32>,
}

impl MissingCounts {
    /// `due` says of each event whether every entitled session must have it.
    fn new(due: impl Iterator<Item = bool>) -> MissingCounts {
        let mut sum = 0;
        let sums = due.map(|due| {
            sum += u32::from(due);
            sum
        });
        MissingCounts { due: std::iter::once(0).chain(sums).collect(), lost: Vec::new(), not_yet: Vec::new() }
    }

    /// Charges what a session has not received. Says how many that are, and which is the first.
    fn add(&mut self, receipt: &Receipt) -> (u64, u32) {
        let MissingCounts { due, lost, not_yet } = self;
        let count = due.len() as u32 - 1;
        let (mut missing, mut least) = (0, u32::MAX);
        let mut charge = |first: u32, end: u32, steps: &mut Vec<i32>| {
            let before = due[first as usize];
            let owed = due[end as usize] - before;
            if owed == 0 {
                return;
            }
            steps.resize(due.len(), 0);
            steps[first as usize] += 1;
            steps[end as usize] -= 1;
            missing += u64::from(owed);
            least = least.min(due.partition_point(|sum| *sum <= before) as u32 - 1);
        };
        for past in receipt.past() {
            for (first, last) in past.gaps.ranges() {
                charge(*first as u32, *last as u32 + 1, lost);
            }
        }
        if receipt.from().is_some() {
            let reached = receipt.reached();
            receipt.holes(count, |first, end| {
                charge(first, end, if first < reached { &mut *lost } else { &mut *not_yet })
            });
        }
        (missing, least)
    }

    /// By event that must come and has not: on how many sessions it is lost, and on how many not there yet.
    fn for_each_missing(&self, mut each: impl FnMut(u32, u64, u64)) {
        let (mut lost, mut not_yet) = (0i64, 0i64);
        if self.lost.is_empty() && self.not_yet.is_empty() {
            return;
        }
        for (index, due) in self.due.windows(2).enumerate() {
            lost += i64::from(self.lost.get(index).copied().unwrap_or(0));
            not_yet += i64::from(self.not_yet.get(index).copied().unwrap_or(0));
            if due[0] < due[1] && lost + not_yet > 0 {
                each(index as u32, lost as u64, not_yet as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_added_up_by_event() {
        // Every third event is not due.
        let is_due = |index: u32| !index.is_multiple_of(3);
        let mut account = MissingCounts::new((0..100).map(is_due));
        let mut receipt = Receipt::default();
        assert_eq!(account.add(&receipt).0, 0, "who is not entitled misses nothing");
        receipt.begin(10);
        for index in (10..80).filter(|index| ![12, 20, 21, 22].contains(index)) {
            receipt.take(index, |_| true);
        }
        // 20 and 22 are lost; of 80 to 99 there are 13 that are due.
        assert_eq!(account.add(&receipt), (2 + 13, 20));
        let mut left = Receipt::default();
        left.begin(0);
        left.take(5, |_| true);
        left.end(0, 100);
        left.begin(99);
        assert_eq!(account.add(&left), (3, 1));
        let mut found = Vec::new();
        account.for_each_missing(|index, lost, not_yet| found.push((index, lost, not_yet)));
        let mut expected = vec![(1, 1, 0), (2, 1, 0), (4, 1, 0), (20, 1, 0), (22, 1, 0)];
        expected.extend((80..100).filter(|index| is_due(*index)).map(|index| (index, 0, 1)));
        assert_eq!(found, expected);
    }
}
