//! The report of a replay: every number, with its unit, as it is in `report.json`.
//!
//! Times are milliseconds, sizes bytes, rates per second of the wall clock, shares from 0 to 1; the names say what is
//! otherwise. What is not known (the server's CPU time without its process id, say) is absent, never 0.
//! `bench/REPORT.md` explains each number.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::machine::Machine;
use crate::base::proc::Busy;
use crate::base::times::{Times, per};
use crate::model::script::Kind;
use crate::report::Bottleneck;
use crate::report::row::Row;
use crate::verify::tally;

/// The report's file.
pub const REPORT: &str = "report.json";

/// The version that is written, and the highest that is read.
pub const VERSION: u32 = 1;

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`VERSION`].
    pub version: u32,
    /// What was run, and where.
    pub header: Header,
    /// How the sessions came up.
    pub arrival: Arrival,
    /// What was delivered, of all kinds together.
    pub all: Deliveries,
    /// What was delivered, by kind.
    pub kinds: BTreeMap<Kind, Deliveries>,
    /// From an event's intended time to each receipt, by the groups of guilds that the trace tells apart; empty: it has
    /// only one.
    #[serde(default)]
    pub groups_ms: BTreeMap<String, Times>,
    /// How fast.
    pub traffic: Traffic,
    /// What was asked over HTTP.
    pub rest: Rest,
    /// Dispatches' numbers that were not the next.
    pub sequence: Sequence,
    /// What became of the connections.
    pub connections: Connections,
    /// What the server used.
    pub server: Server,
    /// What the load generator used.
    pub client: Client,
    /// Other measurements of the same machine to hold against this one.
    #[serde(default)]
    pub baselines: Vec<Baseline>,
    /// Actions of the trace that were not played.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// What a reader of the numbers should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What went wrong, and where; not more than a few dozen, all are counted.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Where the server wrote its own histograms, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_histograms: Option<String>,
    /// Who limited the run.
    pub bottleneck: Bottleneck,
    /// Whether the run measures the server: not if the load generator was the limit.
    pub valid: bool,
    /// Whether everything was delivered once, in order, to entitled sessions only, and nothing was refused.
    pub sound: bool,
}

/// What was run, and where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The trace's or the scenario's name.
    pub name: String,
    /// What a made-up trace was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How far a scenario was shrunk; 1 is its full size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// How fast the trace was played; 1 is as fast as it was meant.
    pub speed: f64,
    /// Which server, in words.
    pub server: String,
    /// The commit that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When the traffic began: `2026-11-24T00:14:13Z`.
    pub started: String,
    /// The machine.
    pub machine: Machine,
}

/// How the sessions came up. Those that the trace connects later are not in here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Sessions that should be live before the traffic.
    pub asked: u32,
    /// Sessions that were.
    pub live: u32,
    /// From the first connect until the last was live, in seconds.
    pub seconds: f64,
    /// Connections opened per second in that time.
    pub connects_per_second: f64,
    /// Sessions that became live per second in that time.
    pub identifies_per_second: f64,
    /// RESUMED per second while there were any to resume; absent: nothing was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes_per_second: Option<f64>,
    /// From connect to the last guild.
    pub identify_ms: Times,
    /// From the new connection to RESUMED.
    pub resume_ms: Times,
}

/// What was delivered. `expected` = `received` + `lost` + `not_yet`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Deliveries {
    /// Events that were done and accepted.
    pub events: u64,
    /// Deliveries that there had to be: each event on each session that was entitled to it.
    pub expected: u64,
    /// Of these, how many there were.
    pub received: u64,
    /// Of the received ones, those that took longer than [`Traffic::late_after_ms`].
    pub late: u64,
    /// Of the expected ones, those that never came although something later of the same stream did.
    pub lost: u64,
    /// Of the expected ones, those that had not come at the end, and nothing later of the same stream either.
    pub not_yet: u64,
    /// Events that a session received again.
    pub duplicated: u64,
    /// Streams of sessions that came in another order than on most sessions.
    pub out_of_order: u64,
    /// Events that reached a session that was not entitled to them.
    pub leaked: u64,
    /// Deliveries that were allowed, but not owed.
    pub optional: u64,
    /// From an event's intended time to each receipt.
    pub latency_ms: Times,
    /// From an event's intended time to its last receipt, of events that reached every session that had to get them.
    pub last_session_ms: Times,
}

impl Deliveries {
    /// Whether everything came once and in order, and only to those entitled.
    pub fn is_sound(&self) -> bool {
        self.lost == 0 && self.not_yet == 0 && self.duplicated == 0 && self.out_of_order == 0 && self.leaked == 0
    }

    /// Adds the counts of another kind. The times are those of histograms and cannot be added.
    pub fn add(&mut self, other: &Deliveries) {
        self.events += other.events;
        self.expected += other.expected;
        self.received += other.received;
        self.late += other.late;
        self.lost += other.lost;
        self.not_yet += other.not_yet;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.leaked += other.leaked;
        self.optional += other.optional;
    }
}

/// How fast it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// From the first intended time to the last delivery, in seconds.
    pub seconds: f64,
    /// Deliveries per second in that time, optional ones included.
    pub deliveries_per_second: f64,
    /// The most in one second.
    pub peak_deliveries_per_second: f64,
    /// Bytes of a delivery's frame, head included, as received.
    pub bytes_per_delivery: f64,
    /// What took longer than this is late.
    pub late_after_ms: f64,
}

/// What was asked over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    /// By kind of request: `message`, `history`, …
    pub routes: BTreeMap<String, Route>,
    /// From an action's intended time to its request being handed to the kernel. It is part of all latencies: nothing
    /// is omitted.
    pub lag_ms: Times,
}

impl Rest {
    /// Requests in all.
    pub fn count(&self) -> u64 {
        self.routes.values().map(|route| route.count).sum()
    }

    /// Of these, those that failed.
    pub fn errors(&self) -> u64 {
        self.routes.values().map(|route| route.errors).sum()
    }
}

/// Requests of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// How many were sent.
    pub count: u64,
    /// How many were not answered by 2xx.
    pub errors: u64,
    /// From the intended time to the answer.
    pub answer_ms: Times,
}

/// Dispatches whose number was not the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Numbers that were left out and never came.
    pub missing: u64,
    /// Numbers that came again.
    pub duplicates: u64,
    /// Numbers that came after a higher one.
    pub late: u64,
}

/// What became of the connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Connections that began.
    pub connects: u64,
    /// Sessions that became live by identifying.
    pub identified: u64,
    /// Connections that the run cut.
    pub cuts: u64,
    /// Sessions that went on.
    pub resumed: u64,
    /// Sessions that the run closed.
    pub closed: u64,
    /// Connections that ended although the run did not want it.
    pub disconnects: u64,
    /// Sessions that the server did not resume.
    pub invalidated: u64,
    /// Sessions that were given up.
    pub dead: u64,
}

/// What the server used; without its process, only the machine's kernel can be seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// CPU time during the traffic by deliveries, in microseconds. All that the server does meanwhile is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_delivery: Option<f64>,
    /// CPU time while sessions came up by sessions, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_identify: Option<f64>,
    /// CPUs used during the traffic; 1 is one CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// How busy the busiest of its threads was during the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busiest: Option<Busy>,
    /// Anonymous memory before the first connect, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_before: Option<u64>,
    /// And when all sessions were live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_after: Option<u64>,
    /// The growth by sessions, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_session: Option<f64>,
    /// What the machine's kernel took per session, both ends of the connection and all noise together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_bytes_per_session: Option<f64>,
}

/// What the load generator used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its threads, during the traffic.
    pub threads: Vec<Thread>,
    /// Its memory by sessions, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_session: Option<f64>,
}

impl Client {
    /// How much of a CPU the busiest thread wanted.
    pub fn busiest(&self) -> f64 {
        self.threads.iter().map(|thread| thread.busy.wanted()).fold(0.0, f64::max)
    }
}

/// A thread of the load generator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// `pool-0`, `driver`.
    pub name: String,
    /// How it spent the time.
    pub busy: Busy,
}

/// A measurement to hold against the server's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Of what: `raw send loop`, `raw gateway`.
    pub name: String,
    /// Which number: `CPU per delivery`.
    pub what: String,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// The server's by this one. Absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// Actions of the trace that were not played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which: `voice`.
    pub what: String,
    /// How many.
    pub count: u64,
    /// Why, in words.
    pub why: String,
}

/// Something that went wrong, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What: `lost`, `leaked`, `rest`, …
    pub kind: String,
    /// The session's number in the pool. Absent: it is no session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
    /// The session's id, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// In words.
    pub what: String,
}

impl From<&tally::Fault> for Fault {
    fn from(fault: &tally::Fault) -> Fault {
        let kind = serde_json::to_value(fault.kind).ok();
        Fault {
            kind: kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("unknown").to_owned(),
            session: Some(fault.session),
            session_id: fault.session_id.clone(),
            what: fault.what.clone(),
        }
    }
}

impl RunReport {
    /// Draws the conclusions, without which a report is none: the sums over all kinds, the bottleneck, valid, sound.
    pub fn conclude(&mut self) {
        self.version = VERSION;
        let times = (self.all.latency_ms, self.all.last_session_ms);
        self.all = Deliveries { latency_ms: times.0, last_session_ms: times.1, ..Deliveries::default() };
        for deliveries in self.kinds.values() {
            self.all.add(deliveries);
        }
        self.bottleneck = Bottleneck::of(self.server.busiest.map(Busy::wanted), self.client.busiest());
        self.valid = self.bottleneck != Bottleneck::Client;
        self.sound = self.all.is_sound()
            && self.all.received == self.all.expected
            && self.arrival.live == self.arrival.asked
            && self.sequence == Sequence::default()
            && self.connections.invalidated == 0
            && self.connections.dead == 0
            && self.rest.errors() == 0;
    }

    /// The main numbers in the form in which servers of all kinds are compared; `message_bytes` are those of a
    /// message's text.
    pub fn row(&self, message_bytes: u64) -> Row {
        let messages = self.kinds.get(&Kind::Message).map_or(0, |deliveries| deliveries.events);
        Row {
            server: self.header.server.clone(),
            subscribers: u64::from(self.arrival.live),
            message_bytes,
            messages_per_second: per(messages as f64, self.traffic.seconds),
            deliveries_per_second: self.traffic.deliveries_per_second,
            p50_ms: self.all.latency_ms.p50,
            p99_ms: self.all.latency_ms.p99,
            cpu_us_per_delivery: self.server.cpu_us_per_delivery,
            user_bytes_per_connection: self.server.bytes_per_session,
            kernel_bytes_per_connection: self.server.kernel_bytes_per_session,
            max_deliveries_per_second: None,
            max_cpu_us_per_delivery: None,
            max_valid: None,
            valid: self.valid,
            sound: self.sound,
        }
    }

    /// Reads a report: a file, or the folder that it is in.
    pub fn read(path: &Path) -> Result<RunReport, String> {
        let file = if path.is_dir() { path.join(REPORT) } else { path.to_path_buf() };
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        RunReport::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Reads a report's JSON.
    pub fn parse(text: &str) -> Result<RunReport, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version first: a newer report should be called that, and not be blamed for its fields.
        let Versioned { version } =
            serde_json::from_str(text).map_err(|error| format!("this is not the report of a replay: {error}"))?;
        if version > VERSION {
            return Err(format!("the report has version {version}, this program reads up to {VERSION}"));
        }
        serde_json::from_str(text).map_err(|error| format!("this is not the report of a replay: {error}"))
    }
}

/// A kind as it is called in files and pictures.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "message",
        Kind::Edit => "edit",
        Kind::Delete => "delete",
        Kind::React => "react",
        Kind::Unreact => "unreact",
        Kind::Typing => "typing",
        Kind::Presence => "presence",
        Kind::Join => "join",
        Kind::Leave => "leave",
        Kind::ChannelCreate => "channel_create",
        Kind::ChannelDelete => "channel_delete",
        Kind::Voice => "voice",
    }
}
