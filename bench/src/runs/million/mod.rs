//! A guild of a million sessions, step by step: they come, one message goes to a tenth of them and to all, they are cut and resume, change
//! their status, scroll through the member list, and stop to read. One process, one swarm, for all steps.
//!
//! Every message that is posted is judged at the end: each session must have received it once and in order, if it was active then.

pub mod arrive;
pub mod figures;
pub mod list;
pub mod presence;
pub mod spread;
pub mod stage;
pub mod stall;
pub mod storm;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use crate::base::{clock, limits, machine};
use crate::baseline::pulse::Pulse;
use crate::generate::clients::Remains;
use crate::generate::clients::task::Part;
use crate::model::script::{Kind, MESSAGE_INTENTS, Script, Stream};
use crate::model::tokens::Tokens;
use crate::runs::million::figures::Report;
use crate::runs::million::stage::Stage;
use crate::verify::verifier;
use crate::verify::verifier::Judgement;

/// One session in so many is active before all are.
pub const ACTIVE_ONE_IN: u32 = 10;
/// The stream of messages that go to the active tenth.
pub const TENTH: u32 = 0;
/// The stream of messages that go to all.
pub const ALL: u32 = 1;

/// What is done. The order is always this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Step {
    /// A tenth of the sessions becomes active, and a message goes to them; the others are told what is unread.
    Tenth,
    /// All become active, and a message goes to all.
    All,
    /// All connections are cut at once, and all sessions resume.
    Resume,
    /// Every session changes its status once.
    Presence,
    /// Some sessions scroll through the member list.
    List,
    /// One session in a hundred stops reading.
    Stall,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Million {
    /// The server.
    pub server: SocketAddr,
    /// Its process, to be watched.
    pub server_pid: Option<i32>,
    /// `Authorization` headers' values, one for each session.
    pub tokens: Arc<Tokens>,
    /// Who posts; the first token if absent. It must be one of the active tenth, or have no session.
    pub author: Option<String>,
    /// How many sessions.
    pub sessions: u32,
    /// The guild that all are members of.
    pub guild: u64,
    /// One of its channels, which all see.
    pub channel: u64,
    /// What is done after all have come.
    pub steps: Vec<Step>,
    /// How the raw loop is run.
    pub pulse: Option<Pulse>,
    /// The same, with other work in between as often as while a message goes out.
    pub paced_pulse: Option<Pulse>,
    /// Bytes of a message's content.
    pub size: usize,
    /// Turns of message and raw loop.
    pub turns: u32,
    /// How long those who are told what is unread are waited for: the server's own interval, and the time to write to all.
    pub unread: Duration,
    /// How long those who stop reading are waited for.
    pub stall: Duration,
    /// How long server and swarm are watched at rest.
    pub rest: Duration,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second.
    pub connect_rate: f64,
    /// Handshakes at a time.
    pub handshakes: u32,
    /// Threads of the swarm; 0: half as many as there are CPUs, or more if the limit of open files asks for them.
    pub threads: u32,
    /// Without a further session for this long, a step is given up.
    pub patience: Duration,
    /// What chance depends on.
    pub seed: u64,
    /// Without progress.
    pub quiet: bool,
}

/// Who is active before all are.
pub fn tenth() -> Part {
    Part::one_in(ACTIVE_ONE_IN, 0)
}

/// Runs it. An error says why there was no run; what went wrong in a run is in its report.
pub fn run(million: &Million) -> Result<Report, String> {
    let started = machine::date(clock::now_ns() / 1_000_000);
    let mut steps = Vec::new();
    let (mut stage, arrived) = arrive::arrive(million)?;
    steps.push(arrived);
    let has = |step: Step| million.steps.contains(&step);
    if has(Step::Tenth) {
        steps.push(stage.step("tenth", "one message, a tenth of the sessions active", false, spread::tenth_active));
    }
    // All that follows is about sessions that get everything.
    let later = [Step::All, Step::Resume, Step::Presence, Step::List, Step::Stall];
    if later.into_iter().any(has) {
        let title = "one message, all sessions active";
        let all = if has(Step::All) { spread::all_active } else { spread::subscribe_all };
        steps.push(stage.step("all", title, false, all));
    }
    if has(Step::Resume) {
        steps.push(stage.step("resume", "all connections cut at once", true, storm::storm));
    }
    if has(Step::Presence) {
        steps.push(stage.step("presence", "every session changes its status once", false, presence::presence));
    }
    if has(Step::List) {
        steps.push(stage.step("list", "scrolling through the member list", false, list::list));
    }
    if has(Step::Stall) {
        steps.push(stage.step("stall", "one session in a hundred stops reading", true, stall::stall));
    }
    Ok(conclude(stage, steps, started))
}

fn conclude(stage: Stage<'_>, mut steps: Vec<figures::Step>, started: String) -> Report {
    let Stage { million, swarm, script, posted, failures, swarm_bytes, disconnects, .. } = stage;
    if !million.quiet {
        eprintln!("all say goodbye, and everything is judged");
    }
    let remains = swarm.stop();
    let judgement = verifier::judge(&remains, &script, |stream, index| index < posted[stream as usize]);
    list::tell_times(&remains, &mut steps);
    storm::tell_times(&remains, &mut steps);
    let sum = |count| judgement.sum(count);
    let Judgement { counts, .. } = &judgement;
    let mut report = Report {
        sessions: million.sessions,
        started,
        commit: machine::commit(),
        machine: machine::describe(),
        expected: sum(|verdict| verdict.expected),
        received: sum(|verdict| verdict.received),
        lost: sum(|verdict| verdict.lost + verdict.not_yet),
        duplicated: sum(|verdict| verdict.duplicated),
        out_of_order: judgement.out_of_order,
        leaked: sum(|verdict| verdict.leaked),
        misnumbered: judgement.sequence_missing + judgement.sequence_duplicates + judgement.sequence_late,
        invalidated: counts.invalidated,
        dead: counts.dead,
        inconsistent: counts.inconsistent,
        disconnects,
        swarm_bytes_per_session: swarm_bytes as f64 / f64::from(million.sessions.max(1)),
        faults: judgement.faults.clone(),
        failures,
        sound: judgement.is_sound() && counts.inconsistent == 0,
        steps,
    };
    report.sound &= report.failures.is_empty();
    report
}

/// How long those took whom an errand asked, if that is of interest.
fn times_of(remains: &Remains, errands: &[u32]) -> hdrhistogram::Histogram<u64> {
    let mut all = crate::verify::tally::coarse();
    for (number, times) in remains.threads.iter().flat_map(|leavings| &leavings.tally.errands) {
        if errands.contains(number) {
            all.add(times).expect("all have the same bounds");
        }
    }
    all
}

/// Two streams: what goes to the active tenth, and what goes to all.
fn script(sessions: u32) -> Script {
    let stream = || Stream {
        kinds: vec![Kind::Message; limits::MILLION_MESSAGES_MAX as usize],
        at_us: vec![0; limits::MILLION_MESSAGES_MAX as usize],
    };
    let mut entitled = Vec::with_capacity(tenth().count(sessions) as usize + sessions as usize);
    let mut starts = Vec::with_capacity(sessions as usize + 1);
    for session in 0..sessions {
        starts.push(entitled.len() as u32);
        if tenth().has(session) {
            entitled.push(TENTH);
        }
        entitled.push(ALL);
    }
    starts.push(entitled.len() as u32);
    Script {
        streams: vec![stream(), stream()],
        entitled,
        starts,
        guild_of: vec![0, 0],
        intents: MESSAGE_INTENTS,
        ..Script::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_sees_both_streams_and_all_see_one() {
        let script = script(25);
        for session in 0..25 {
            let expected: &[u32] = if session % 10 == 0 { &[TENTH, ALL] } else { &[ALL] };
            assert_eq!(script.streams_of(session), expected);
        }
        assert_eq!(tenth().count(25), 3);
    }
}
