//! The run: the steps in their order, and what came of them.

use crate::base::{clock, machine};
use crate::runs::million::figures::Report;
use crate::runs::million::settings::{Million, Step};
use crate::runs::million::step_context::StepContext;
use crate::runs::million::{connect, figures, list, presence, spread, stall, storm};
use crate::verify::verifier;
use crate::verify::verifier::Verification;

/// Runs it. An error says why there was no run; what went wrong in a run is in its report.
pub fn run(million: &Million) -> Result<Report, String> {
    let started = machine::date(clock::now_ns() / 1_000_000);
    let mut steps = Vec::new();
    let (mut context, arrived) = connect::connect_all(million)?;
    steps.push(arrived);
    let has = |step: Step| million.steps.contains(&step);
    if has(Step::Tenth) {
        steps.push(context.step("tenth", "one message, a tenth of the sessions active", false, spread::tenth_active));
    }
    // All that follows is about sessions that get everything.
    let later = [Step::All, Step::Resume, Step::Presence, Step::List, Step::Stall];
    if later.into_iter().any(has) {
        let title = "one message, all sessions active";
        let all = if has(Step::All) { spread::all_active } else { spread::subscribe_all };
        steps.push(context.step("all", title, false, all));
    }
    if has(Step::Resume) {
        steps.push(context.step("resume", "all connections cut at once", true, storm::storm));
    }
    if has(Step::Presence) {
        steps.push(context.step("presence", "every session changes its status once", false, presence::presence));
    }
    if has(Step::List) {
        steps.push(context.step("list", "scrolling through the member list", false, list::list));
    }
    if has(Step::Stall) {
        steps.push(context.step("stall", "one session in a hundred stops reading", true, stall::stall));
    }
    Ok(conclude(context, steps, started))
}

fn conclude(context: StepContext<'_>, mut steps: Vec<figures::Step>, started: String) -> Report {
    let StepContext { million, pool, script, posted, failures, pool_bytes, disconnects, .. } = context;
    if !million.quiet {
        eprintln!("all say goodbye, and everything is judged");
    }
    let result = pool.stop();
    let verification = verifier::verify(&result, &script, |stream, index| index < posted[stream as usize]);
    list::add_times(&result, &mut steps);
    storm::add_times(&result, &mut steps);
    let sum = |count| verification.sum(count);
    let Verification { counts, .. } = &verification;
    let mut report = Report {
        sessions: million.sessions,
        started,
        commit: machine::commit(),
        machine: machine::describe(),
        expected: sum(|verdict| verdict.expected),
        received: sum(|verdict| verdict.received),
        lost: sum(|verdict| verdict.lost + verdict.not_yet),
        duplicated: sum(|verdict| verdict.duplicated),
        out_of_order: verification.out_of_order,
        leaked: sum(|verdict| verdict.leaked),
        misnumbered: verification.sequence_missing + verification.sequence_duplicates + verification.sequence_late,
        invalidated: counts.invalidated,
        dead: counts.dead,
        inconsistent: counts.inconsistent,
        disconnects,
        pool_bytes_per_session: pool_bytes as f64 / f64::from(million.sessions.max(1)),
        faults: verification.faults.clone(),
        failures,
        sound: verification.is_sound() && counts.inconsistent == 0,
        steps,
    };
    report.sound &= report.failures.is_empty();
    report
}
