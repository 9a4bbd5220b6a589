//! What one thread has counted: faults, deliveries and times.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::base::limits;
use crate::generate::clients::client::Client;
use crate::model::script::{Kind, Mark};
use crate::verify::delivery_table::{Events, Receiving};
use crate::verify::receipts::{Step, Taken};

/// A histogram of microseconds.
pub fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 3).expect("the bounds are sound")
}

/// One of the many that the threads have: exact to a hundredth, and a tenth of the memory.
pub fn coarse() -> Histogram<u64> {
    Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 2).expect("the bounds are sound")
}

/// Records a time; longer than the histogram's longest counts as that.
pub fn record(times: &mut Histogram<u64>, ns: u64) {
    times.saturating_record((ns / 1_000).max(1));
}

/// Latencies by kind, in microseconds. Kinds that never came take no memory.
#[derive(Debug, Default)]
pub struct Latencies {
    by_kind: [Option<Box<Histogram<u64>>>; Kind::COUNT],
}

impl Latencies {
    /// Records one.
    pub fn record(&mut self, kind: Kind, ns: u64) {
        record(self.by_kind[kind as usize].get_or_insert_with(|| Box::new(coarse())), ns);
    }

    /// Those of one kind, if there are any.
    pub fn of(&self, kind: Kind) -> Option<&Histogram<u64>> {
        self.by_kind[kind as usize].as_deref().filter(|times| !times.is_empty())
    }

    /// Those of all kinds.
    pub fn all(&self) -> Histogram<u64> {
        let mut all = coarse();
        for times in self.by_kind.iter().flatten() {
            all.add(&**times).expect("all have the same bounds");
        }
        all
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Latencies) {
        for kind in Kind::ALL {
            if let Some(times) = other.of(kind) {
                let sum = self.by_kind[kind as usize].get_or_insert_with(|| Box::new(coarse()));
                sum.add(times).expect("all have the same bounds");
            }
        }
    }

    /// Forgets what was recorded.
    pub fn reset(&mut self) {
        self.by_kind.iter_mut().flatten().for_each(|times| times.reset());
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.by_kind.iter().flatten().all(|times| times.is_empty())
    }
}

/// Everything that is counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Deliveries: each message counts once per session.
    pub delivered: u64,
    /// Bytes of their frames.
    pub delivered_bytes: u64,
    /// Events that a session received again.
    pub duplicated: u64,
    /// Events of streams that the session was not entitled to.
    pub leaked: u64,
    /// Events from before the session was entitled, which it may receive or not. They are no deliveries.
    pub early: u64,
    /// Dispatches that were left out when a later one came, whether or not they came later.
    pub sequence_gaps: u64,
    /// Dispatches whose number had been there.
    pub sequence_duplicates: u64,
    /// Dispatches that came after a later one.
    pub sequence_late: u64,
    /// Connections that began.
    pub connects: u64,
    /// Sessions that became live by identifying.
    pub identified: u64,
    /// Sessions that went on.
    pub resumed: u64,
    /// Connections that the run has cut.
    pub cuts: u64,
    /// Sessions that the run has closed.
    pub closed: u64,
    /// Connections that ended without the run wanting it.
    pub disconnects: u64,
    /// Sessions that the server did not resume; what they missed is lost.
    pub invalidated: u64,
    /// Sessions that were given up.
    pub dead: u64,
    /// What sessions did themselves.
    pub deeds: u64,
    /// What they did not do, since the server does not understand it.
    pub skipped: u64,
    /// What they could not do, since they were not live at the time.
    pub missed: u64,
    /// Events about member lists that do not add up.
    pub inconsistent: u64,
    /// Events about member lists that were checked row by row.
    pub rows_checked: u64,
    /// Of what they told: ranges that came whole.
    pub ranges_synced: u64,
    /// Ranges that are no longer kept up to date.
    pub ranges_invalidated: u64,
    /// Rows that came.
    pub rows_inserted: u64,
    /// Rows that changed.
    pub rows_updated: u64,
    /// Rows that went.
    pub rows_deleted: u64,
}

impl Counts {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Counts) {
        // Named one by one, so that a new count cannot be forgotten.
        let Counts {
            delivered,
            delivered_bytes,
            duplicated,
            leaked,
            early,
            sequence_gaps,
            sequence_duplicates,
            sequence_late,
            connects,
            identified,
            resumed,
            cuts,
            closed,
            disconnects,
            invalidated,
            dead,
            deeds,
            skipped,
            missed,
            inconsistent,
            rows_checked,
            ranges_synced,
            ranges_invalidated,
            rows_inserted,
            rows_updated,
            rows_deleted,
        } = other;
        self.delivered += delivered;
        self.delivered_bytes += delivered_bytes;
        self.duplicated += duplicated;
        self.leaked += leaked;
        self.early += early;
        self.sequence_gaps += sequence_gaps;
        self.sequence_duplicates += sequence_duplicates;
        self.sequence_late += sequence_late;
        self.connects += connects;
        self.identified += identified;
        self.resumed += resumed;
        self.cuts += cuts;
        self.closed += closed;
        self.disconnects += disconnects;
        self.invalidated += invalidated;
        self.dead += dead;
        self.deeds += deeds;
        self.skipped += skipped;
        self.missed += missed;
        self.inconsistent += inconsistent;
        self.rows_checked += rows_checked;
        self.ranges_synced += ranges_synced;
        self.ranges_invalidated += ranges_invalidated;
        self.rows_inserted += rows_inserted;
        self.rows_updated += rows_updated;
        self.rows_deleted += rows_deleted;
    }

    /// Faults that show themselves while the run goes on.
    pub fn faults(&self) -> u64 {
        self.duplicated
            + self.leaked
            + self.sequence_gaps
            + self.sequence_duplicates
            + self.invalidated
            + self.dead
            + self.inconsistent
    }
}

/// What went wrong on a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Events never came.
    Lost,
    /// An event came again.
    Duplicated,
    /// An event came to a session that was not entitled to it.
    Leaked,
    /// The events came in another order than on most sessions.
    OutOfOrder,
    /// Dispatches were left out, though they may still come.
    SequenceGap,
    /// A dispatch came again.
    SequenceDuplicate,
    /// A dispatch came after a later one.
    SequenceLate,
    /// A connection ended that should not have.
    Disconnected,
    /// The session was not resumed.
    Invalidated,
    /// The session was given up.
    Dead,
    /// A member list does not add up.
    Inconsistent,
}

/// Something that went wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// The session's number in the swarm.
    pub session: u32,
    /// The session's id, if it has one.
    pub session_id: Option<String>,
    /// In words.
    pub what: String,
}

impl Fault {
    /// A fault of a session.
    pub fn new(kind: FaultKind, client: &Client, what: String) -> Fault {
        let session_id = client.identity.id().map(ToOwned::to_owned);
        Fault { kind, session: client.index, session_id, what }
    }

    /// A dispatch that is not the next.
    pub fn step(client: &Client, step: Step, s: u64, name: &str) -> Fault {
        let (kind, what) = match step {
            Step::Next => unreachable!("the next dispatch is no fault"),
            Step::Gap(missing) => (FaultKind::SequenceGap, format!("{missing} left out before s={s} ({name})")),
            Step::Late => (FaultKind::SequenceLate, format!("s={s} ({name}) came after a later one")),
            Step::Duplicate => (FaultKind::SequenceDuplicate, format!("s={s} ({name}) came again")),
        };
        Fault::new(kind, client, what)
    }

    /// An event that should not have come, or not again.
    pub fn unwanted(client: &Client, taken: Taken, event: Kind, mark: Mark) -> Fault {
        let Mark { stream, index, .. } = mark;
        let event = format!("{event:?} {index} of stream {stream}");
        match taken {
            Taken::Leaked => Fault::new(FaultKind::Leaked, client, format!("{event} came to who may not see it")),
            _ => Fault::new(FaultKind::Duplicated, client, format!("{event} came again")),
        }
    }
}

/// What one thread has counted.
#[derive(Debug)]
pub struct Tally {
    /// The numbers.
    pub counts: Counts,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// From when an event was meant to be done to its receipt, since this was last brought to the board.
    pub latencies: Latencies,
    /// From the new connection to RESUMED.
    pub resume: Histogram<u64>,
    /// From the connection to the last guild.
    pub identify: Histogram<u64>,
    /// By number of an errand: how long it took those for whom that is of interest.
    pub errands: Vec<(u32, Histogram<u64>)>,
    /// When the last delivery came, in nanoseconds since 1970.
    pub last_ns: u64,
    /// When the first and the last session went on, in nanoseconds since 1970.
    pub resumes_ns: Option<(u64, u64)>,
    /// By group of guilds, if there are several: from an event's intended time to each receipt.
    pub groups: Vec<Histogram<u64>>,
    /// By kind: events that came again.
    pub again: [u64; Kind::COUNT],
    /// By kind: events that came to who may not see them.
    pub leaked: [u64; Kind::COUNT],
    /// Pongs that nobody has asked for: how many, and when the last one came, in nanoseconds since 1970.
    pub pongs: (u64, u64),
    /// What was received and is not yet in the table of events.
    pub receiving: Receiving,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            counts: Counts::default(),
            faults: Vec::new(),
            latencies: Latencies::default(),
            resume: coarse(),
            identify: coarse(),
            errands: Vec::new(),
            last_ns: 0,
            resumes_ns: None,
            groups: Vec::new(),
            again: [0; Kind::COUNT],
            leaked: [0; Kind::COUNT],
            pongs: (0, 0),
            receiving: Receiving::default(),
        }
    }
}

impl Tally {
    /// Nothing is counted yet; latencies of so many groups of guilds are told apart.
    pub fn of_groups(groups: usize) -> Tally {
        let groups = if groups < 2 { Vec::new() } else { (0..groups).map(|_| coarse()).collect() };
        Tally { groups, ..Tally::default() }
    }

    /// An entitled session has received an event for the first time; its frame took `wire` bytes.
    pub fn delivered(&mut self, kind: Kind, group: Option<u8>, mark: Mark, now_ns: u64, wire: usize, events: &Events) {
        self.counts.delivered += 1;
        self.counts.delivered_bytes += wire as u64;
        self.last_ns = now_ns;
        let took = now_ns.saturating_sub(mark.intended_ns);
        self.latencies.record(kind, took);
        if let Some(times) = group.and_then(|group| self.groups.get_mut(usize::from(group))) {
            record(times, took);
        }
        self.receiving.add(mark, took / 1_000, events);
    }

    /// A pong came.
    pub fn pong(&mut self, now_ns: u64) {
        self.pongs = (self.pongs.0 + 1, now_ns);
    }

    /// An event came that should not have, or not again.
    pub fn unwanted(&mut self, client: &Client, taken: Taken, kind: Kind, mark: Mark) {
        let count = if taken == Taken::Leaked { &mut self.leaked } else { &mut self.again };
        count[kind as usize] += 1;
        self.fault(Fault::unwanted(client, taken, kind, mark));
    }

    /// Something went wrong.
    pub fn fault(&mut self, fault: Fault) {
        let counts = &mut self.counts;
        match fault.kind {
            // Known only when all sessions are looked at, at the end.
            FaultKind::Lost | FaultKind::OutOfOrder => {}
            FaultKind::Duplicated => counts.duplicated += 1,
            FaultKind::Leaked => counts.leaked += 1,
            FaultKind::SequenceGap => counts.sequence_gaps += 1,
            FaultKind::SequenceDuplicate => counts.sequence_duplicates += 1,
            FaultKind::SequenceLate => counts.sequence_late += 1,
            FaultKind::Disconnected => counts.disconnects += 1,
            FaultKind::Invalidated => counts.invalidated += 1,
            FaultKind::Dead => counts.dead += 1,
            FaultKind::Inconsistent => counts.inconsistent += 1,
        }
        if self.faults.len() < limits::FAULTS_TOLD {
            self.faults.push(fault);
        }
    }
}
