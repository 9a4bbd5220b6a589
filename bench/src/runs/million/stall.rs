//! One session in a hundred stops reading and saying anything, while messages go on: does the server's memory stay
//! flat, do the others notice, and do those who stopped get everything afterwards?

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::base::times::Times;
use crate::generate::clients::task::{Subset, TaskAction};
use crate::runs::million::figures::{Step, Target, Unit};
use crate::runs::million::settings::ALL;
use crate::runs::million::step_context::StepContext;

/// Messages in the time that is compared with.
const BEFORE: u32 = 5;
/// Between two messages at least.
const PAUSE: Duration = Duration::from_millis(500);
/// How much later the others' 99th percentile may be than before.
const TARGET: f64 = 1.25;
/// Bytes by which the server may grow for each session that stops reading.
const GROWTH: f64 = 16_384.0;

/// The step.
pub fn stall(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    let frozen = Subset::one_in(100, 50);
    let (count, live) = (frozen.count(context.live), context.live);
    // Warm, and how long one takes.
    let first = context.spread(ALL, live)?;
    let pause = PAUSE.max(Duration::from_secs_f64(2.0 * first.seconds));
    for _ in 0..BEFORE {
        one_of(context, live, pause)?;
    }
    let before = context.latencies();

    let memory = context.server_bytes();
    let moment = context.moment();
    context.begin(TaskAction::Freeze, frozen);
    context.await_task(|progress| progress.asked_all);
    let (start, mut messages, mut most) = (Instant::now(), Vec::new(), memory);
    let during = {
        context.latencies();
        while start.elapsed() < context.million.stall && context.pool.task().done < count {
            messages.push(one_of(context, live - count, pause)?);
            most = most.max(context.server_bytes());
        }
        context.latencies()
    };
    let cut = context.pool.task();
    let used = context.used_since(&moment);

    let thaw = Instant::now();
    let progress = context.ask(TaskAction::Thaw, frozen)?;
    for index in &messages {
        context.await_message(ALL, *index, live)?;
    }
    step.add("sessions that stopped reading", f64::from(progress.asked), Unit::Count);
    step.add("time until they went on", start.elapsed().as_secs_f64() - thaw.elapsed().as_secs_f64(), Unit::Seconds);
    step.add("messages meanwhile", messages.len() as f64, Unit::Count);
    step.add("cut by the server meanwhile", f64::from(cut.done), Unit::Count);
    let p99 = |times: &Histogram<u64>| Times::of(times).p99 / 1e3;
    step.add("the others' p99 before", p99(&before), Unit::Seconds);
    step.add("the others' p99 meanwhile", p99(&during), Unit::Seconds);
    step.judge("one by the other", p99(&during) / p99(&before).max(1e-6), Unit::Ratio, Target::AtMost(TARGET));
    if let Some((memory, most)) = memory.zip(most) {
        let growth = (most as f64 - memory as f64) / f64::from(count.max(1));
        step.judge("server's growth for one that stopped", growth, Unit::Bytes, Target::AtMost(GROWTH));
    }
    step.add("time until all had everything", thaw.elapsed().as_secs_f64(), Unit::Seconds);
    if cut.done < count {
        step.note(format!("{} of {count} were not cut within {:.0?}", count - cut.done, context.million.stall));
    }
    used.report_to(step);
    Ok(())
}

/// One message to so many, and a pause.
fn one_of(context: &mut StepContext<'_>, sessions: u32, pause: Duration) -> Result<u32, String> {
    let start = Instant::now();
    let index = context.post(ALL)?;
    context.await_message(ALL, index, sessions)?;
    while start.elapsed() < pause {
        context.show_progress("between two messages", false);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(index)
}
