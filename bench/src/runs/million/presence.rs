//! Every session changes its status once, all at about the same time.

use std::time::Instant;

use crate::base::clock;
use crate::generate::clients::task::{Subset, TaskAction};
use crate::model::trace::Status;
use crate::runs::million::figures::{Step, Unit};
use crate::runs::million::step_context::StepContext;

/// How all appear when the storm is over.
pub const AFTERWARDS: Status = Status::Idle;

/// The storm.
pub fn presence(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    let (moment, start, start_ns) = (context.moment(), Instant::now(), clock::now_ns());
    let progress = context.ask(TaskAction::SetStatus(AFTERWARDS), Subset::ALL)?;
    let said = progress.last_ns.saturating_sub(start_ns) as f64 / 1e9;
    let quiet = context.await_quiet();
    let used = context.used_since(&moment);
    let flips = f64::from(progress.done);
    step.add("flips", flips, Unit::Count);
    step.add("time until all had said so", said, Unit::Seconds);
    step.add("of them", flips / said.max(1e-3), Unit::PerSecond);
    let rest = context.rest;
    used.report_each(step, &rest, "a flip", flips);
    match quiet {
        Some(since) => {
            let seconds = since.saturating_duration_since(start).as_secs_f64();
            step.add("time until the server was quiet", seconds, Unit::Seconds);
        }
        None => step.note("it is not known when the server was quiet"),
    }
    used.report_to(step);
    Ok(())
}
