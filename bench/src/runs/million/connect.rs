//! The first step: all sessions come, and what each of them takes.

use std::sync::Arc;
use std::time::Instant;

use crate::base::progress::ProgressLine;
use crate::base::{clock, proc};
use crate::generate::clients::settings::{Commands, Settings};
use crate::generate::rest_driver::DriverProgress;
use crate::report::run::RunReport;
use crate::report::series::Point;
use crate::runs::arrival;
use crate::runs::million::figures::{Step, Target, Unit};
use crate::runs::million::settings;
use crate::runs::million::settings::Million;
use crate::runs::million::step_context::{Moment, Rest, StepContext};
use crate::runs::watch::Watch;
use crate::verify::marker::Marker;

/// Identifies per second that server and pool should manage together.
const IDENTIFIES: f64 = 10_000.0;

/// Has all sessions come.
pub fn connect_all(million: &Million) -> Result<(StepContext<'_>, Step), String> {
    let script = Arc::new(settings::script(million.sessions));
    let marker = Marker::new(&format!("{:x}", clock::now_ns()));
    let settings = Settings {
        server: million.server,
        tokens: million.tokens.clone(),
        sessions: million.sessions,
        script: script.clone(),
        marker: marker.clone(),
        commands: Commands::ALL,
        zlib: million.zlib,
        connect_rate: million.connect_rate,
        handshakes: million.handshakes,
        threads: million.threads,
        seed: million.seed,
    };
    let mut step = Step { step: "connect".into(), title: "all sessions identify".into(), ..Step::default() };
    let mut found = RunReport::default();
    let mut watch = Watch::new(million.quiet, million.server_pid, Arc::new(DriverProgress::default()));
    let me = std::process::id() as i32;
    let bytes = || proc::process(me).map_or(0, |used| used.anonymous);
    let (bytes_before, start, moment) = (bytes(), Instant::now(), Moment::now(million));
    let pool = arrival::connect_all(&settings, million.server_pid, &mut watch, &mut found)
        .map_err(|error| format!("the pool: {error}"))?;
    watch.finish();
    let mut used = moment.until_now(million);
    let arrival = &found.arrival;
    used.live_seconds = live_seconds(&watch.series.points, arrival.seconds, arrival.live, used.seconds);
    // The last second is for the server to come to rest.
    used.seconds = arrival.seconds;
    step.add("sessions live", f64::from(arrival.live), Unit::Count);
    step.add("time until all are", arrival.seconds, Unit::Seconds);
    step.judge("identifies", arrival.identifies_per_second, Unit::PerSecond, Target::AtLeast(IDENTIFIES));
    if let Some(bytes) = found.server.bytes_per_session {
        step.add("server's memory for an idle session", bytes, Unit::Bytes);
    }
    if let Some(bytes) = found.server.kernel_bytes_per_session {
        step.add("kernel's memory for one, both ends", bytes, Unit::Bytes);
    }
    if let Some(bytes) = found.client.bytes_per_session {
        step.add("client pool's memory for one", bytes, Unit::Bytes);
    }
    used.report_to(&mut step);
    let mut failures = Vec::new();
    if arrival.live < arrival.asked {
        failures.push(format!("connect: {} of {} sessions came", arrival.live, arrival.asked));
    }
    let live = arrival.live;
    let mut context = StepContext {
        million,
        pool,
        script,
        marker,
        posted: [0; 2],
        last_message: 0,
        live,
        failures,
        bytes_before,
        pool_bytes: 0,
        rest: Rest::default(),
        live_seconds: 0.0,
        looked: Instant::now(),
        disconnects: 0,
        line: ProgressLine::new(million.quiet),
        told: Instant::now(),
    };
    context.look_at_rest(&mut step);
    let rest = context.rest;
    used.report_each(&mut step, &rest, "one", f64::from(live));
    let disconnects = context.pool.counts().disconnects;
    context.end(&mut step, start, disconnects, false);
    Ok((context, step))
}

/// How long sessions were live in all: all came within some seconds, as the points show, and stayed to the end.
fn live_seconds(points: &[Point], seconds: f64, live: u32, end: f64) -> f64 {
    let (mut sum, mut last) = (0.0, (0.0, 0.0));
    let inner = points.iter().map(|point| (point.seconds, f64::from(point.live)));
    for (at, live) in inner.filter(|(at, _)| *at < seconds).chain([(seconds, f64::from(live)), (end, f64::from(live))])
    {
        let (before, fewer) = last;
        sum += (at - before).max(0.0) * (live + fewer) / 2.0;
        last = (at, live);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_count_from_when_they_came() {
        let point = |seconds: f64, live: u32| Point { seconds, live, ..Point::default() };
        // In two seconds a hundred each second, and one second more.
        let points = [point(1.0, 100), point(2.5, 200)];
        assert_eq!(live_seconds(&points, 2.0, 200, 3.0), 50.0 + 150.0 + 200.0);
        assert_eq!(live_seconds(&[], 2.0, 200, 3.0), 200.0 + 200.0);
    }
}
