//! Some sessions scroll through the member list, while a part of them comes and goes.

use std::time::{Duration, Instant};

use crate::limits;
use crate::million::figures::{Figure, Step, Unit};
use crate::million::stage::{Moment, Stage, Used};
use crate::report::Times;
use crate::swarm::Remains;
use crate::swarm::errand::{Deed, Part, Scroll};

/// Sessions that scroll, if there are ten times as many.
const SCROLLERS: u32 = 10_000;
/// Of them, about so many keep all rows and check them: an event takes a thread some hundred microseconds then.
const CHECKED: u32 = 100;
/// Pages that each turns: two at a time.
const TURNS: u32 = 5;
/// Between two turns: lists change meanwhile.
const PAUSE: Duration = Duration::from_millis(1_000);

/// The scroll.
pub fn list(stage: &mut Stage<'_>, step: &mut Step) -> Result<(), String> {
    let one_in = (stage.million.sessions / SCROLLERS).max(10);
    let part = Part::one_in(one_in, 3);
    let scrollers = part.count(stage.million.sessions);
    let checked = (scrollers / CHECKED).max(1);
    let mut used = Used::default();
    let (mut asked, mut done, mut result) = (0, 0, Ok(()));
    for turn in 0..TURNS {
        let scroll = Scroll {
            guild: stage.million.guild,
            channel: stage.million.channel,
            turn,
            rows: stage.live,
            checked,
            expected: if turn == 0 { stage.all_appear } else { None },
        };
        let moment = Moment::now(stage.million);
        let number = stage.begin(Deed::Scroll(scroll), part)?;
        let (progress, whole) = stage.await_errand(|progress| progress.asked_all && progress.done >= progress.asked);
        used.add(moment.until_now(stage.million));
        step.errands.push(number);
        asked += progress.asked;
        done += progress.done;
        if !whole {
            result = Err(format!("{} of {} sessions got the rows that they asked for", progress.done, progress.asked));
            break;
        }
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            stage.tell("looking at the rows", false);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // What has changed last is told, and then everything must add up.
    std::thread::sleep(limits::MILLION_REST);
    stage.begin(Deed::Rest, Part::ALL)?;
    stage.await_errand(|progress| progress.asked_all);
    stage.all_appear = None;
    step.add("sessions that scrolled", f64::from(scrollers), Unit::Count);
    step.add("requests for rows", f64::from(asked), Unit::Count);
    step.add("of them answered", f64::from(done), Unit::Count);
    if let Some(server) = used.server {
        step.add("server's CPU for one", server * 1e6 / f64::from(asked.max(1)), Unit::Microseconds);
    }
    used.tell(step);
    result
}

/// Adds what is known only at the end: how long the answers took, and what was checked.
pub fn tell_times(remains: &Remains, steps: &mut [Step]) {
    let Some(step) = steps.iter_mut().find(|step| step.step == "list") else { return };
    let times = Times::of(&super::times_of(remains, &step.errands));
    for (name, ms) in [("p50 from the request to the last row", times.p50), ("p99", times.p99)] {
        step.figures.push(Figure::plain(name, ms / 1e3, Unit::Seconds));
    }
    let checked: u64 = remains.threads.iter().map(|leavings| leavings.tally.counts.rows_checked).sum();
    let wrong: u64 = remains.threads.iter().map(|leavings| leavings.tally.counts.inconsistent).sum();
    step.figures.push(Figure::plain("events checked row by row", checked as f64, Unit::Count));
    step.figures.push(Figure::plain("of them that do not add up", wrong as f64, Unit::Count));
}
