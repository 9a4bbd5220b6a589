//! One message to a tenth of the sessions, and to all of them, in turn with the raw loop over the same sockets.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::base::clock;
use crate::base::times::{Times, coarse, median};
use crate::baseline::pulse::{RawSendCommand, RawSendTiming};
use crate::generate::clients::task::{Subset, TaskAction};
use crate::runs::million::figures::{Step, Target, Unit};
use crate::runs::million::settings::{ALL, TENTH, tenth};
use crate::runs::million::step_context::{Spread, StepContext, Used};

/// What a message to all may take, by the raw loop.
const ALL_TARGET: f64 = 1.25;
/// What one may take when a tenth is active.
const TENTH_TARGET: f64 = 0.15;

/// A tenth becomes active, and gets messages; the others are notified of what is unread.
pub fn tenth_active(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    let active = tenth().count(context.live);
    subscribe(context, step, tenth())?;
    // The first message pays for what is allocated, tells the size of a frame, and has all others told that something
    // is unread: not in the middle of what is measured.
    let (first, told) = unread(context, active)?;
    in_turn(context, step, TENTH, active, TENTH_TARGET, first.bytes)?;
    // Those who heard before may have heard again, if that took longer than the server's interval.
    let again = context.pool.task().again;
    if again > 0 {
        step.note(format!("{again} times somebody was told what is unread while messages were measured"));
    }
    // Now one that they hear of who do not get it.
    let (_, later) = unread(context, active)?;
    step.add("passive sessions told what is unread", f64::from(later.told), Unit::Count);
    step.add("time to the last of them", later.seconds, Unit::Seconds);
    context.begin(TaskAction::Rest, Subset::ALL);
    told.verdict().and(later.verdict())
}

/// How sessions were notified of what is unread.
struct Told {
    /// Who had to be.
    passive: u32,
    /// Who was.
    told: u32,
    /// How often a session was notified again.
    again: u32,
    /// From the post to the last of them.
    seconds: f64,
}

impl Told {
    fn verdict(&self) -> Result<(), String> {
        let Told { passive, told, again, .. } = self;
        match (passive - told.min(passive), again) {
            (0, 0) => Ok(()),
            (missing, again) => {
                Err(format!("{missing} of {passive} passive sessions were not told what is unread, {again} twice"))
            }
        }
    }
}

/// Posts a message to the tenth that is active, and waits until all others have been told that it is unread.
fn unread(context: &mut StepContext<'_>, active: u32) -> Result<(Spread, Told), String> {
    context.begin(TaskAction::AwaitUnread(context.last_message), tenth().others());
    context.await_task(|progress| progress.asked_all);
    let (start_ns, start) = (clock::now_ns(), Instant::now());
    let spread = context.spread(TENTH, active)?;
    let passive = context.live - active;
    let patience = context.million.unread;
    let mut progress = context.pool.task();
    while progress.done < passive && start.elapsed() < patience {
        context.show_progress(
            &format!("{} of {passive} know what is unread; waiting up to {patience:?}", progress.done),
            false,
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
        progress = context.pool.task();
    }
    // One that comes twice takes a moment to show itself.
    std::thread::sleep(crate::base::limits::AFTERGLOW);
    let progress = context.pool.task();
    let seconds = progress.last_ns.saturating_sub(start_ns) as f64 / 1e9;
    Ok((spread, Told { passive, told: progress.done, again: progress.again, seconds }))
}

/// All others become active, and get messages.
pub fn all_active(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    subscribe_all(context, step)?;
    let live = context.live;
    // The first pays for what is allocated, and tells the size of a frame.
    let first = context.spread(ALL, live)?;
    in_turn(context, step, ALL, live, ALL_TARGET, first.bytes)
}

/// All become active.
pub fn subscribe_all(context: &mut StepContext<'_>, step: &mut Step) -> Result<(), String> {
    // Who is active already may say so again.
    let part = if context.posted[TENTH as usize] > 0 { tenth().others() } else { Subset::ALL };
    subscribe(context, step, part)
}

fn subscribe(context: &mut StepContext<'_>, step: &mut Step, part: Subset) -> Result<(), String> {
    let start = clock::now_ns();
    let progress = context.ask(TaskAction::Subscribe(context.million.guild), part)?;
    let seconds = (progress.last_ns.saturating_sub(start) as f64 / 1e9).max(1e-3);
    step.add("sessions that became active", f64::from(progress.done), Unit::Count);
    step.add("of them", f64::from(progress.done) / seconds, Unit::PerSecond);
    // Marks that were left come with it.
    if context.await_quiet().is_none() && context.rest.server.is_some() {
        step.note("the server had not come to rest when the messages began");
    }
    Ok(())
}

/// One turn of both sides.
struct Turn {
    spread: Spread,
    beat: Option<RawSendTiming>,
    /// The raw loop with other work in between.
    paced: Option<RawSendTiming>,
}

/// Messages of so many bytes and the raw loop in turn. If the raw loop fails, the messages are judged all the same.
fn in_turn(
    context: &mut StepContext<'_>,
    step: &mut Step,
    stream: u32,
    sessions: u32,
    target: f64,
    bytes: f64,
) -> Result<(), String> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut used = Used::default();
    let mut pulse = context.million.pulse.as_ref();
    // With others passive there is no time for it: they would be told what is unread in the middle of what is measured.
    let mut paced = context.million.paced_pulse.as_ref().filter(|_| sessions == context.live);
    let mut failed = pulse.is_none().then(|| "no command for the raw loop was given".to_owned());
    for _ in 0..context.million.turns {
        let spread = context.spread(stream, sessions)?;
        used.add(spread.used);
        let run = |pulse: &RawSendCommand| pulse.run(&context.pool, bytes.round() as usize, context.million.patience);
        let beats = pulse.map(run).transpose().and_then(|beat| Ok((beat, paced.map(run).transpose()?)));
        let (beat, in_between) = beats.unwrap_or_else(|failure| {
            // Its pongs may still come, and would be taken for the next one's.
            (failed, pulse, paced) = (Some(failure), None, None);
            (None, None)
        });
        turns.push(Turn { spread, beat, paced: in_between });
        // The heartbeats that a raw loop has put off are answered behind it, and would take the next message's CPUs.
        if beat.is_some() {
            context.await_quiet();
        }
    }
    let of = |value: &dyn Fn(&Turn) -> Option<f64>| median(turns.iter().filter_map(value));
    let seconds = of(&|turn| Some(turn.spread.seconds)).unwrap_or_default();
    step.add("time to the last session", seconds, Unit::Seconds);
    step.add("bytes of a delivery", bytes, Unit::Bytes);
    let times = sum(turns.iter().map(|turn| &turn.spread.times));
    let times = Times::of(&times);
    step.add("p50", times.p50 / 1e3, Unit::Seconds);
    step.add("p99", times.p99 / 1e3, Unit::Seconds);
    let rest = context.rest;
    used.report_each(step, &rest, "a delivery", f64::from(sessions) * turns.len() as f64);
    used.report_to(step);
    let name = "last session by the raw loop's";
    if let Some(why) = failed {
        step.not_shown(name, Unit::Ratio, Target::AtMost(target));
        step.note(format!("there is nothing to compare with: {why}"));
        return Ok(());
    }
    if let (Some(raw), Some(cpu)) = (of(&|turn| Some(turn.beat?.seconds)), of(&|turn| Some(turn.beat?.cpu_us))) {
        step.add("raw loop to all sockets", raw, Unit::Seconds);
        step.add("raw loop's CPU for a send", cpu, Unit::Microseconds);
    }
    // Each turn by itself: both sides of it have seen the same machine.
    let cpu = of(&|turn| {
        let net = turn.spread.used.server_net(&rest)?.mean * 1e6 / f64::from(sessions.max(1));
        Some(net / turn.beat?.cpu_us)
    });
    if let Some(cpu) = cpu {
        step.add("server's CPU for a delivery beyond that at rest, by the raw loop's for a send", cpu, Unit::Ratio);
    }
    if let Some(ratio) = of(&|turn| Some(turn.spread.seconds / turn.beat?.seconds)) {
        step.judge(name, ratio, Unit::Ratio, Target::AtMost(target));
    }
    if let Some(raw) = of(&|turn| Some(turn.paced?.seconds)) {
        step.add("raw loop that lets heartbeats be answered like a message does", raw, Unit::Seconds);
    }
    if let Some(ratio) = of(&|turn| Some(turn.spread.seconds / turn.paced?.seconds)) {
        step.add("last session by that one's", ratio, Unit::Ratio);
    }
    Ok(())
}

/// Several histograms as one.
fn sum<'a>(all: impl Iterator<Item = &'a Histogram<u64>>) -> Histogram<u64> {
    all.fold(coarse(), |mut sum, one| {
        sum.add(one).expect("all have the same bounds");
        sum
    })
}
