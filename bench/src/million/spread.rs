//! One message to a tenth of the sessions, and to all of them, in turn with the raw loop over the same sockets.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::clock;
use crate::million::figures::{Step, Target, Unit};
use crate::million::stage::{Spread, Stage, Used};
use crate::million::{ALL, TENTH, tenth};
use crate::pulse::Beat;
use crate::report::Times;
use crate::report::times::median;
use crate::swarm::errand::{Deed, Part};
use crate::swarm::tally::coarse;

/// What a message to all may take, by the raw loop.
const ALL_TARGET: f64 = 1.25;
/// What one may take when a tenth is active.
const TENTH_TARGET: f64 = 0.15;

/// A tenth becomes active, and gets messages; the others are told what is unread.
pub fn tenth_active(stage: &mut Stage<'_>, step: &mut Step) -> Result<(), String> {
    let active = tenth().count(stage.live);
    subscribe(stage, step, tenth())?;
    in_turn(stage, step, TENTH, active, TENTH_TARGET)?;
    // Now one that they hear of who do not get it.
    stage.begin(Deed::Hear(stage.last_message), tenth().others())?;
    stage.await_errand(|progress| progress.asked_all);
    let (start_ns, start) = (clock::now_ns(), Instant::now());
    let index = stage.post(TENTH)?;
    stage.await_message(TENTH, index, active)?;
    let passive = stage.live - active;
    let (unread, patience) = (stage.million.unread, stage.million.unread);
    let mut progress = stage.swarm.errand();
    while progress.done < passive && start.elapsed() < patience {
        stage.tell(&format!("{} of {passive} know what is unread; waiting up to {unread:?}", progress.done), false);
        std::thread::sleep(std::time::Duration::from_millis(5));
        progress = stage.swarm.errand();
    }
    // One that comes twice takes a moment to show itself.
    std::thread::sleep(crate::limits::AFTERGLOW);
    let progress = stage.swarm.errand();
    step.add("passive sessions told what is unread", f64::from(progress.done), Unit::Count);
    let seconds = progress.last_ns.saturating_sub(start_ns) as f64 / 1e9;
    step.add("time to the last of them", seconds, Unit::Seconds);
    stage.begin(Deed::Rest, Part::ALL)?;
    match (passive - progress.done.min(passive), progress.again) {
        (0, 0) => Ok(()),
        (missing, again) => {
            Err(format!("{missing} of {passive} passive sessions were not told what is unread, {again} twice"))
        }
    }
}

/// All others become active, and get messages.
pub fn all_active(stage: &mut Stage<'_>, step: &mut Step) -> Result<(), String> {
    subscribe_all(stage, step)?;
    let live = stage.live;
    in_turn(stage, step, ALL, live, ALL_TARGET)
}

/// All become active.
pub fn subscribe_all(stage: &mut Stage<'_>, step: &mut Step) -> Result<(), String> {
    // Who is active already may say so again.
    let part = if stage.posted[TENTH as usize] > 0 { tenth().others() } else { Part::ALL };
    subscribe(stage, step, part)
}

fn subscribe(stage: &mut Stage<'_>, step: &mut Step, part: Part) -> Result<(), String> {
    let start = clock::now_ns();
    let progress = stage.ask(Deed::Subscribe(stage.million.guild), part)?;
    let seconds = (progress.last_ns.saturating_sub(start) as f64 / 1e9).max(1e-3);
    step.add("sessions that became active", f64::from(progress.done), Unit::Count);
    step.add("of them", f64::from(progress.done) / seconds, Unit::PerSecond);
    // Marks that were left come with it.
    stage.await_quiet(Some(0.5));
    Ok(())
}

/// Messages and the raw loop in turn.
fn in_turn(stage: &mut Stage<'_>, step: &mut Step, stream: u32, sessions: u32, target: f64) -> Result<(), String> {
    // The first pays for what is allocated, and tells the size of a frame.
    let first = stage.spread(stream, sessions)?;
    let bytes = first.bytes.round() as usize;
    let (mut spreads, mut beats): (Vec<Spread>, Vec<Beat>) = (Vec::new(), Vec::new());
    let mut used = Used::default();
    for _ in 0..stage.million.turns {
        let spread = stage.spread(stream, sessions)?;
        used.add(spread.used);
        spreads.push(spread);
        if let Some(pulse) = &stage.million.pulse {
            beats.push(pulse.run(&stage.swarm, bytes, stage.million.patience)?);
        }
    }
    let seconds = median(spreads.iter().map(|spread| spread.seconds)).unwrap_or(first.seconds);
    step.add("time to the last session", seconds, Unit::Seconds);
    step.add("bytes of a delivery", first.bytes, Unit::Bytes);
    let times = sum(spreads.iter().map(|spread| &spread.times));
    let times = Times::of(&times);
    step.add("p50", times.p50 / 1e3, Unit::Seconds);
    step.add("p99", times.p99 / 1e3, Unit::Seconds);
    let deliveries = f64::from(sessions) * spreads.len() as f64;
    if let Some(server) = used.server {
        step.add("server's CPU for a delivery", server * 1e6 / deliveries, Unit::Microseconds);
    }
    step.add("swarm's CPU for a delivery", used.swarm * 1e6 / deliveries, Unit::Microseconds);
    match median(beats.iter().map(|beat| beat.seconds)) {
        Some(raw) => {
            step.add("raw loop to all sockets", raw, Unit::Seconds);
            if let Some(cpu) = median(beats.iter().map(|beat| beat.cpu_us)) {
                step.add("raw loop's CPU for a send", cpu, Unit::Microseconds);
            }
            step.judge("by the raw loop", seconds / raw, Unit::Ratio, Target::AtMost(target));
        }
        None => step.note("no command for the raw loop was given: there is nothing to compare with"),
    }
    used.tell(step);
    Ok(())
}

/// Several histograms as one.
fn sum<'a>(all: impl Iterator<Item = &'a Histogram<u64>>) -> Histogram<u64> {
    all.fold(coarse(), |mut sum, one| {
        sum.add(one).expect("all have the same bounds");
        sum
    })
}
