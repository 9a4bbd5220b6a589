//! All connections are cut at once, and all sessions resume, while messages go on.

use crate::base::clock;
use crate::base::times::Times;
use crate::generate::clients::task::{Subset, TaskAction};
use crate::runs::million::figures::{Figure, Step, Unit};
use crate::runs::million::settings::ALL;
use crate::runs::million::step_context::StepContext;
use crate::verify::run_result::RunResult;

/// Shares of the sessions that are back when a further message is posted.
const POSTS: [f64; 3] = [0.0, 0.25, 0.75];

/// The storm.
pub fn storm(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    let before = context.pool.look().counts;
    let (moment, start_ns) = (context.moment(), clock::now_ns());
    let number = context.begin(TaskAction::Cut, Subset::ALL);
    step.tasks.push(number);
    let (progress, _) = context.await_task(|progress| progress.asked_all);
    let all_cut = clock::now_ns();
    let mut messages = Vec::new();
    let mut whole = true;
    for share in POSTS {
        let wanted = (f64::from(progress.asked) * share) as u32;
        whole &= context.await_task(|progress| progress.done >= wanted).1;
        messages.push(context.post(ALL)?);
    }
    let (progress, all_back) = context.await_task(|progress| progress.done >= progress.asked);
    let used = context.used_since(&moment);
    let seconds = progress.last_ns.saturating_sub(start_ns) as f64 / 1e9;
    step.add("connections cut", f64::from(progress.asked), Unit::Count);
    step.add("time until all were cut", all_cut.saturating_sub(start_ns) as f64 / 1e9, Unit::Seconds);
    step.add("time until all were back", seconds, Unit::Seconds);
    step.add("sessions back", f64::from(progress.done) / seconds.max(1e-3), Unit::PerSecond);
    let rest = context.rest;
    used.report_each(step, &rest, "one", f64::from(progress.done));
    used.report_to(step);
    for index in &messages {
        let live = context.live;
        context.await_message(ALL, *index, live)?;
    }
    std::thread::sleep(2 * crate::base::limits::LATENCY_PAUSE);
    let after = context.pool.look().counts;
    let resumed = after.resumed - before.resumed;
    step.add("resumed", resumed as f64, Unit::Count);
    step.add("identified anew", (after.identified - before.identified) as f64, Unit::Count);
    step.note(format!(
        "{} handshakes at a time; {} messages during the storm reached all sessions",
        context.million.handshakes,
        messages.len()
    ));
    match whole && all_back && resumed == u64::from(progress.asked) {
        true => Ok(()),
        false => Err(format!("{resumed} of {} sessions resumed", progress.asked)),
    }
}

/// Adds what is known only at the end: how long each took.
pub fn add_times(result: &RunResult, steps: &mut [Step]) {
    let Some(step) = steps.iter_mut().find(|step| step.step == "resume") else { return };
    let times = Times::of(&crate::runs::million::step_context::times_of(result, &step.tasks));
    for (name, ms) in [("p50 from connecting to RESUMED", times.p50), ("p99", times.p99)] {
        step.figures.push(Figure::plain(name, ms / 1e3, Unit::Seconds));
    }
}
