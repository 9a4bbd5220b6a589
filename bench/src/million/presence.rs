//! Every session changes its status once, all at about the same time.

use crate::clock;
use crate::million::figures::{Step, Unit};
use crate::million::stage::{Moment, Stage};
use crate::swarm::errand::{Deed, Part};
use crate::trace::Status;

/// How all appear when the storm is over.
pub const AFTERWARDS: Status = Status::Idle;

/// The storm.
pub fn presence(stage: &mut Stage<'_>, step: &mut Step) -> Result<(), String> {
    let rest = stage.at_rest();
    let (moment, start_ns) = (Moment::now(stage.million), clock::now_ns());
    let progress = stage.ask(Deed::Appear(AFTERWARDS), Part::ALL)?;
    let said = progress.last_ns.saturating_sub(start_ns) as f64 / 1e9;
    let quiet = stage.await_quiet(rest);
    let used = moment.until_now(stage.million);
    stage.all_appear = Some(AFTERWARDS);
    let flips = f64::from(progress.done);
    step.add("flips", flips, Unit::Count);
    step.add("time until all had said so", said, Unit::Seconds);
    step.add("of them", flips / said.max(1e-3), Unit::PerSecond);
    if let (Some(server), Some(rest)) = (used.server, rest) {
        let more = (server - rest * used.seconds).max(0.0);
        step.add("server's CPU for a flip, beyond that at rest", more * 1e6 / flips.max(1.0), Unit::Microseconds);
        step.add("server at rest", rest, Unit::Cpus);
    }
    match quiet {
        Some(_) => step.add(
            "time until the server was quiet",
            clock::now_ns().saturating_sub(start_ns) as f64 / 1e9,
            Unit::Seconds,
        ),
        None => step.note("it is not known when the server was quiet"),
    }
    used.tell(step);
    Ok(())
}
