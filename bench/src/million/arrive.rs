//! The first step: all sessions come, and what each of them takes.

use std::sync::Arc;
use std::time::Instant;

use crate::arrival;
use crate::clock;
use crate::marker::Marker;
use crate::million::figures::{Step, Target, Unit};
use crate::million::stage::{Moment, Stage};
use crate::million::{self, Million};
use crate::player::Advance;
use crate::proc;
use crate::progress::Line;
use crate::report::run::RunReport;
use crate::swarm::{Commands, Settings};
use crate::watch::Watch;

/// Identifies per second that server and swarm should manage together.
const IDENTIFIES: f64 = 10_000.0;

/// Has all sessions come.
pub fn arrive(million: &Million) -> Result<(Stage<'_>, Step), String> {
    let script = Arc::new(million::script(million.sessions));
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
    let mut watch = Watch::new(million.quiet, million.server_pid, Arc::new(Advance::default()));
    let me = std::process::id() as i32;
    let bytes = || proc::process(me).map_or(0, |used| used.anonymous);
    let (before, start, moment) = (bytes(), Instant::now(), Moment::now(million));
    let swarm = arrival::gather(&settings, million.server_pid, &mut watch, &mut found)
        .map_err(|error| format!("the swarm: {error}"))?;
    watch.finish();
    let mut used = moment.until_now(million);
    // The last second is for the server to come to rest.
    used.seconds = found.arrival.seconds;
    let arrival = &found.arrival;
    step.add("sessions live", f64::from(arrival.live), Unit::Count);
    step.add("time until all are", arrival.seconds, Unit::Seconds);
    step.judge("identifies", arrival.identifies_per_second, Unit::PerSecond, Target::AtLeast(IDENTIFIES));
    if let Some(cpu) = found.server.cpu_us_per_identify {
        step.add("server's CPU for one", cpu, Unit::Microseconds);
    }
    step.add("swarm's CPU for one", used.swarm * 1e6 / f64::from(arrival.live.max(1)), Unit::Microseconds);
    if let Some(bytes) = found.server.bytes_per_session {
        step.add("server's memory for an idle session", bytes, Unit::Bytes);
    }
    if let Some(bytes) = found.server.kernel_bytes_per_session {
        step.add("kernel's memory for one, both ends", bytes, Unit::Bytes);
    }
    if let Some(bytes) = found.client.bytes_per_session {
        step.add("swarm's memory for one", bytes, Unit::Bytes);
    }
    used.tell(&mut step);
    step.seconds = start.elapsed().as_secs_f64();
    let mut failures = Vec::new();
    if arrival.live < arrival.asked {
        failures.push(format!("connect: {} of {} sessions came", arrival.live, arrival.asked));
    }
    let stage = Stage {
        million,
        swarm,
        script,
        marker,
        posted: [0; 2],
        last_message: 0,
        live: arrival.live,
        failures,
        swarm_bytes: bytes().saturating_sub(before),
        line: Line::new(million.quiet),
        told: Instant::now(),
        all_appear: None,
    };
    Ok((stage, step))
}
