//! Some sessions scroll through the member list, while a part of them comes and goes.

use std::time::{Duration, Instant};

use crate::base::limits;
use crate::base::times::Times;
use crate::generate::clients::task::{Scroll, Subset, TaskAction};
use crate::model::trace::Status;
use crate::runs::million::figures::{Figure, Step, Unit};
use crate::runs::million::step_context::{StepContext, Used};
use crate::verify::run_result::RunResult;
use crate::verify::tally::Counts;

/// Sessions that scroll, if there are ten times as many.
const SCROLLERS: u32 = 10_000;
/// Of them, about so many keep all rows and check them: an event takes a thread some hundred microseconds then.
const CHECKED: u32 = 100;
/// Looks at the list: between two of them each session turns two pages.
const LOOKS: u32 = 5;
/// Of those who look, one in so many goes and comes back, so that there are changes to be seen.
const FLAPPING: u32 = 8;
/// Between two looks: lists change meanwhile.
const PAUSE: Duration = Duration::from_millis(1_000);

/// The scroll.
pub fn list(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    let one_in = (context.million.sessions / SCROLLERS).max(10);
    let part = Subset::one_in(one_in, 3);
    let scrollers = part.count(context.million.sessions);
    let checked = (scrollers / CHECKED).max(1);
    let mut used = Used::default();
    let (mut asked, mut done, mut result) = (0, 0, Ok(()));
    for turn in 0..LOOKS {
        let scroll = Scroll {
            guild: context.million.guild,
            channel: context.million.channel,
            turn,
            rows: context.live,
            checked,
            flapping: FLAPPING,
        };
        let moment = context.moment();
        let number = context.begin(TaskAction::Scroll(scroll), part);
        let (progress, whole) = context.await_task(|progress| progress.asked_all && progress.done >= progress.asked);
        used.add(context.used_since(&moment));
        step.tasks.push(number);
        asked += progress.asked;
        done += progress.done;
        if !whole {
            result = Err(format!("{} of {} sessions got the rows that they asked for", progress.done, progress.asked));
            break;
        }
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            context.show_progress("looking at the rows", false);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Some go and others come once more, while all rows stay where they are: sessions that look must be notified. Then
    // everything must add up, and match what all sessions have announced.
    for (which, status) in [(0, Status::Invisible), (1, Status::Online)] {
        let flapping = Subset::one_in(2 * FLAPPING * one_in, part.which + which * FLAPPING * one_in);
        context.ask(TaskAction::SetStatus(status), flapping)?;
    }
    context.await_quiet();
    let until = Instant::now() + limits::MILLION_LISTS_REST;
    while Instant::now() < until {
        context.show_progress("waiting for what lists still have to tell", false);
        std::thread::sleep(Duration::from_millis(20));
    }
    context.begin(TaskAction::Check(context.live), Subset::ALL);
    context.await_task(|progress| progress.asked_all);
    step.add("sessions that scrolled", f64::from(scrollers), Unit::Count);
    step.add("requests for rows", f64::from(asked), Unit::Count);
    step.add("of them answered", f64::from(done), Unit::Count);
    let rest = context.rest;
    used.report_each(step, &rest, "one", f64::from(asked));
    used.report_to(step);
    result
}

/// Adds what is known only at the end: how long the answers took, and what was checked.
pub fn add_times(result: &RunResult, steps: &mut [Step]) {
    let Some(step) = steps.iter_mut().find(|step| step.step == "list") else { return };
    let times = Times::of(&crate::runs::million::step_context::times_of(result, &step.tasks));
    for (name, ms) in [("p50 from the request to the last row", times.p50), ("p99", times.p99)] {
        step.figures.push(Figure::plain(name, ms / 1e3, Unit::Seconds));
    }
    let mut counts = Counts::default();
    result.threads.iter().for_each(|thread| counts.add(&thread.tally.counts));
    for (name, count) in [
        ("events checked row by row", counts.rows_checked),
        ("in them: ranges that came whole", counts.ranges_synced),
        ("rows inserted", counts.rows_inserted),
        ("rows updated", counts.rows_updated),
        ("rows deleted", counts.rows_deleted),
        ("ranges given up", counts.ranges_invalidated),
        ("what does not add up", counts.inconsistent),
    ] {
        step.figures.push(Figure::plain(name, count as f64, Unit::Count));
    }
}
