//! What one thread has counted: faults, deliveries and times.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::base::limits;
use crate::base::times::{coarse, record};
use crate::model::script::{Kind, Mark};
use crate::verify::delivery_table::{DeliveryBuffer, DeliveryTable};
use crate::verify::receipts::{Step, Taken};
use crate::verify::session::SessionRecord;

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

/// Declares a struct of counts, each a `u64`, and how those of several threads are added up.
#[macro_export]
macro_rules! counts {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $count:ident,)* }) => {
        $(#[$about])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
        pub struct $name {
            $($(#[$doc])* pub $count: u64,)*
        }

        impl $name {
            /// Adds another thread's.
            pub fn add(&mut self, other: &$name) {
                $(self.$count += other.$count;)*
            }
        }
    };
}

counts! {
/// Everything that is counted.
Counts {
    /// Deliveries: each message counts once per session.
    delivered,
    /// Bytes of their frames.
    delivered_bytes,
    /// Events that a session received again.
    duplicated,
    /// Events of streams that the session was not entitled to.
    leaked,
    /// Events from before the session was entitled, which it may receive or not. They are no deliveries.
    early,
    /// Dispatches that were left out when a later one came, whether or not they came later.
    sequence_gaps,
    /// Dispatches whose number had been there.
    sequence_duplicates,
    /// Dispatches that came after a later one.
    sequence_late,
    /// Connections that began.
    connects,
    /// Sessions that became live by identifying.
    identified,
    /// Sessions that went on.
    resumed,
    /// Connections that the run has cut.
    cuts,
    /// Sessions that the run has closed.
    closed,
    /// Connections that ended without the run wanting it.
    disconnects,
    /// Sessions that the server did not resume; what they missed is lost.
    invalidated,
    /// Sessions that were given up.
    dead,
    /// What sessions did themselves.
    actions,
    /// What they did not do, since the server does not understand it.
    skipped,
    /// What they could not do, since they were not live at the time.
    missed,
    /// Events about member lists that do not add up.
    inconsistent,
    /// Events about member lists that were checked row by row.
    rows_checked,
    /// Of what they told: ranges that came whole.
    ranges_synced,
    /// Ranges that are no longer kept up to date.
    ranges_invalidated,
    /// Rows that came.
    rows_inserted,
    /// Rows that changed.
    rows_updated,
    /// Rows that went.
    rows_deleted,
}
}

impl Counts {
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
    /// The session's number in the pool.
    pub session: u32,
    /// The session's id, if it has one.
    pub session_id: Option<String>,
    /// In words.
    pub what: String,
}

impl Fault {
    /// A fault of a session.
    pub fn new(kind: FaultKind, session: &SessionRecord, what: String) -> Fault {
        let session_id = session.id.id().map(ToOwned::to_owned);
        Fault { kind, session: session.index, session_id, what }
    }

    /// A dispatch that is not the next.
    pub fn step(session: &SessionRecord, step: Step, s: u64, name: &str) -> Fault {
        let (kind, what) = match step {
            Step::Next => unreachable!("the next dispatch is no fault"),
            Step::Gap(missing) => (FaultKind::SequenceGap, format!("{missing} left out before s={s} ({name})")),
            Step::Late => (FaultKind::SequenceLate, format!("s={s} ({name}) came after a later one")),
            Step::Duplicate => (FaultKind::SequenceDuplicate, format!("s={s} ({name}) came again")),
        };
        Fault::new(kind, session, what)
    }

    /// An event that should not have come, or not again.
    pub fn unwanted(session: &SessionRecord, taken: Taken, event: Kind, mark: Mark) -> Fault {
        let Mark { stream, index, .. } = mark;
        let event = format!("{event:?} {index} of stream {stream}");
        match taken {
            Taken::Leaked => Fault::new(FaultKind::Leaked, session, format!("{event} came to who may not see it")),
            _ => Fault::new(FaultKind::Duplicated, session, format!("{event} came again")),
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
    /// By number of an task: how long it took those for whom that is of interest.
    pub tasks: Vec<(u32, Histogram<u64>)>,
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
    /// Unsolicited pongs: how many, and when the last one came, in nanoseconds since 1970.
    pub pongs: (u64, u64),
    /// What was received and is not yet in the table of events.
    pub receiving: DeliveryBuffer,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            counts: Counts::default(),
            faults: Vec::new(),
            latencies: Latencies::default(),
            resume: coarse(),
            identify: coarse(),
            tasks: Vec::new(),
            last_ns: 0,
            resumes_ns: None,
            groups: Vec::new(),
            again: [0; Kind::COUNT],
            leaked: [0; Kind::COUNT],
            pongs: (0, 0),
            receiving: DeliveryBuffer::default(),
        }
    }
}

impl Tally {
    /// Nothing is counted yet; latencies of so many groups of guilds are distinguished.
    pub fn of_groups(groups: usize) -> Tally {
        let groups = if groups < 2 { Vec::new() } else { (0..groups).map(|_| coarse()).collect() };
        Tally { groups, ..Tally::default() }
    }

    /// An entitled session has received an event for the first time; its frame took `wire` bytes.
    pub fn delivered(
        &mut self,
        kind: Kind,
        group: Option<u8>,
        mark: Mark,
        now_ns: u64,
        wire: usize,
        events: &DeliveryTable,
    ) {
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
    pub fn unwanted(&mut self, session: &SessionRecord, taken: Taken, kind: Kind, mark: Mark) {
        let count = if taken == Taken::Leaked { &mut self.leaked } else { &mut self.again };
        count[kind as usize] += 1;
        self.fault(Fault::unwanted(session, taken, kind, mark));
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
