//! The run: the steps in their order, and what came of them.

use crate::base::{clock, machine};
use crate::runs::million::figures::Report;
use crate::runs::million::settings::{Million, Step};
use crate::runs::million::stage::StepContext;
use crate::runs::million::{arrive, figures, list, presence, spread, stall, storm};
use crate::verify::verifier;
use crate::verify::verifier::Verification;

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

fn conclude(stage: StepContext<'_>, mut steps: Vec<figures::Step>, started: String) -> Report {
    let StepContext { million, pool, script, posted, failures, pool_bytes, disconnects, .. } = stage;
    if !million.quiet {
        eprintln!("all say goodbye, and everything is judged");
    }
    let result = pool.stop();
    let judgement = verifier::judge(&result, &script, |stream, index| index < posted[stream as usize]);
    list::tell_times(&result, &mut steps);
    storm::tell_times(&result, &mut steps);
    let sum = |count| judgement.sum(count);
    let Verification { counts, .. } = &judgement;
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
        pool_bytes_per_session: pool_bytes as f64 / f64::from(million.sessions.max(1)),
        faults: judgement.faults.clone(),
        failures,
        sound: judgement.is_sound() && counts.inconsistent == 0,
        steps,
    };
    report.sound &= report.failures.is_empty();
    report
}
