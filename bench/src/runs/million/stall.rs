//! One session in a hundred stops reading and saying anything, while messages go on: does the server's memory stay
//! flat, do the others notice, and do those who stopped get everything afterwards?

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::base::times::Times;
use crate::generate::clients::task::{Subset, TaskAction};
use crate::runs::million::figures::{Step, Target, Unit};
use crate::runs::million::settings::ALL;
use crate::runs::million::stage::StepContext;

/// Messages in the time that is compared with.
const BEFORE: u32 = 5;
/// Between two messages at least.
const PAUSE: Duration = Duration::from_millis(500);
/// How much later the others' 99th percentile may be than before.
const TARGET: f64 = 1.25;
/// Bytes by which the server may grow for each session that stops reading.
const GROWTH: f64 = 16_384.0;

/// The step.
pub fn stall(stage: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    let frozen = Subset::one_in(100, 50);
    let (count, live) = (frozen.count(stage.live), stage.live);
    // Warm, and how long one takes.
    let first = stage.spread(ALL, live)?;
    let pause = PAUSE.max(Duration::from_secs_f64(2.0 * first.seconds));
    for _ in 0..BEFORE {
        one_of(stage, live, pause)?;
    }
    let before = stage.latencies();

    let memory = stage.server_bytes();
    let moment = stage.moment();
    stage.begin(TaskAction::Freeze, frozen);
    stage.await_task(|progress| progress.asked_all);
    let (start, mut messages, mut most) = (Instant::now(), Vec::new(), memory);
    let during = {
        stage.latencies();
        while start.elapsed() < stage.million.stall && stage.pool.task().done < count {
            messages.push(one_of(stage, live - count, pause)?);
            most = most.max(stage.server_bytes());
        }
        stage.latencies()
    };
    let cut = stage.pool.task();
    let used = stage.used_since(&moment);

    let thaw = Instant::now();
    let progress = stage.ask(TaskAction::Thaw, frozen)?;
    for index in &messages {
        stage.await_message(ALL, *index, live)?;
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
        step.note(format!("{} of {count} were not cut within {:.0?}", count - cut.done, stage.million.stall));
    }
    used.tell(step);
    Ok(())
}

/// One message to so many, and a pause.
fn one_of(stage: &mut StepContext<'_>, sessions: u32, pause: Duration) -> Result<u32, String> {
    let start = Instant::now();
    let index = stage.post(ALL)?;
    stage.await_message(ALL, index, sessions)?;
    while start.elapsed() < pause {
        stage.tell("between two messages", false);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(index)
}
