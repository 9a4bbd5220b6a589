//! How a pool comes up, and what that costs: the beginning of every run.

use std::time::{Duration, Instant};

use crate::base::proc;
use crate::base::times::per;
use crate::generate::clients::pool::ClientPool;
use crate::generate::clients::settings::Settings;
use crate::report::run::RunReport;
use crate::runs::watch::Watch;

/// After the last session has arrived: what the server still does for it is not the traffic's cost.
const SETTLE: Duration = Duration::from_secs(1);

/// Starts a pool, waits until all sessions that are there from the beginning are live, and reports what that took.
pub fn connect_all(
    settings: &Settings,
    server: Option<i32>,
    watch: &mut Watch,
    report: &mut RunReport,
) -> std::io::Result<ClientPool> {
    let me = std::process::id() as i32;
    let look = || (server.and_then(proc::process), proc::process(me), proc::kernel_bytes());
    let asked = (0..settings.sessions).filter(|session| !settings.script.is_absent(*session)).count() as u32;
    let before = look();
    let start = Instant::now();
    let mut pool = ClientPool::start(settings)?;
    let live = pool.wait_until_live(asked, |pool| watch.look(pool, "connect"));
    let seconds = start.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let after = look();

    let per_session = |growth: f64| growth / f64::from(live.max(1));
    let grown = |before: u64, after: u64| per_session(after as f64 - before as f64);
    let arrival = &mut report.arrival;
    (arrival.asked, arrival.live, arrival.seconds) = (asked, live, seconds);
    arrival.connects_per_second = per(pool.look().counts.connects as f64, seconds);
    arrival.identifies_per_second = per(f64::from(live), seconds);
    if let (Some(before), Some(after)) = (&before.0, &after.0) {
        let server = &mut report.server;
        server.cpu_us_per_identify = Some(per_session(proc::cpu_between(before, after) as f64 / 1e3));
        server.bytes_before = Some(before.anonymous);
        server.bytes_after = Some(after.anonymous);
        server.bytes_per_session = Some(grown(before.anonymous, after.anonymous));
    }
    if let (Some(before), Some(after)) = (&before.1, &after.1) {
        report.client.bytes_per_session = Some(grown(before.anonymous, after.anonymous));
    }
    report.server.kernel_bytes_per_session = before.2.zip(after.2).map(|(before, after)| grown(before, after));
    Ok(pool)
}
