//! What one thread has counted: faults, deliveries and times.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::check::Step;
use crate::limits;
use crate::marker::Marked;
use crate::swarm::client::Client;

/// A histogram of microseconds.
pub fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, limits::LATENCY_US_MAX, 3).expect("the bounds are sound")
}

/// Records a time; longer than the histogram's longest counts as that.
pub fn record(times: &mut Histogram<u64>, ns: u64) {
    times.saturating_record((ns / 1_000).max(1));
}

/// Everything that is counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Deliveries: each message counts once per session.
    pub delivered: u64,
    /// Bytes of their frames.
    pub delivered_bytes: u64,
    /// Messages that a session received again.
    pub duplicated: u64,
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
    /// Connections that ended without the run wanting it.
    pub disconnects: u64,
    /// Sessions that the server did not resume; what they missed is lost.
    pub invalidated: u64,
    /// Sessions that were given up.
    pub dead: u64,
}

impl Counts {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Counts) {
        // Named one by one, so that a new count cannot be forgotten.
        let Counts {
            delivered,
            delivered_bytes,
            duplicated,
            sequence_gaps,
            sequence_duplicates,
            sequence_late,
            connects,
            identified,
            resumed,
            cuts,
            disconnects,
            invalidated,
            dead,
        } = other;
        self.delivered += delivered;
        self.delivered_bytes += delivered_bytes;
        self.duplicated += duplicated;
        self.sequence_gaps += sequence_gaps;
        self.sequence_duplicates += sequence_duplicates;
        self.sequence_late += sequence_late;
        self.connects += connects;
        self.identified += identified;
        self.resumed += resumed;
        self.cuts += cuts;
        self.disconnects += disconnects;
        self.invalidated += invalidated;
        self.dead += dead;
    }

    /// Faults that show themselves while the run goes on.
    pub fn faults(&self) -> u64 {
        self.duplicated + self.sequence_gaps + self.sequence_duplicates + self.invalidated + self.dead
    }
}

/// What went wrong on a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A message never came.
    Lost,
    /// A message came again.
    Duplicated,
    /// The messages came in another order than on most sessions.
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
        let session_id = client.identity.as_ref().map(|identity| identity.id.to_string());
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

    /// A message that came again.
    pub fn again(client: &Client, index: u32) -> Fault {
        Fault::new(FaultKind::Duplicated, client, format!("message {index} came again"))
    }
}

/// One message of the run, as far as one thread's sessions are concerned.
#[derive(Debug, Default, Clone, Copy)]
pub struct Spread {
    /// Sessions that have received it.
    pub sessions: u32,
    /// When it was meant to be sent.
    pub intended_ns: u64,
    /// When the last of them received it.
    pub last_ns: u64,
}

/// What one thread has counted.
#[derive(Debug)]
pub struct Tally {
    /// The numbers.
    pub counts: Counts,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// By message.
    pub spread: Vec<Spread>,
    /// From when a message was meant to be sent to its receipt. Emptied by whoever watches.
    pub latency: Histogram<u64>,
    /// From the new connection to RESUMED.
    pub resume: Histogram<u64>,
    /// From the connection to the last guild.
    pub identify: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            counts: Counts::default(),
            faults: Vec::new(),
            spread: Vec::new(),
            latency: microseconds(),
            resume: microseconds(),
            identify: microseconds(),
        }
    }
}

impl Tally {
    /// A session has received a message for the first time.
    pub fn delivered(&mut self, marked: Marked, now_ns: u64, wire: usize) {
        self.counts.delivered += 1;
        self.counts.delivered_bytes += wire as u64;
        record(&mut self.latency, now_ns.saturating_sub(marked.intended_ns));
        let at = marked.index as usize;
        if at >= self.spread.len() {
            self.spread.resize(at + 1, Spread::default());
        }
        let spread = &mut self.spread[at];
        spread.sessions += 1;
        spread.intended_ns = marked.intended_ns;
        spread.last_ns = spread.last_ns.max(now_ns);
    }

    /// Something went wrong.
    pub fn fault(&mut self, fault: Fault) {
        let counts = &mut self.counts;
        match fault.kind {
            // Known only when all sessions are looked at, at the end.
            FaultKind::Lost | FaultKind::OutOfOrder => {}
            FaultKind::Duplicated => counts.duplicated += 1,
            FaultKind::SequenceGap => counts.sequence_gaps += 1,
            FaultKind::SequenceDuplicate => counts.sequence_duplicates += 1,
            FaultKind::SequenceLate => counts.sequence_late += 1,
            FaultKind::Disconnected => counts.disconnects += 1,
            FaultKind::Invalidated => counts.invalidated += 1,
            FaultKind::Dead => counts.dead += 1,
        }
        if self.faults.len() < limits::FAULTS_TOLD {
            self.faults.push(fault);
        }
    }
}
