//! Made-up findings for the tests: a run of a minute that looks like one.

use hdrhistogram::Histogram;

use crate::base::machine;
use crate::base::proc::Busy;
use crate::base::random::Chance;
use crate::base::times::{Times, microseconds};
use crate::model::script::Kind;
use crate::report::findings::{Findings, Histograms};
use crate::report::run;
use crate::report::run::{Arrival, Baseline, Deliveries, Fault, Header, LeftOut, Route, Thread};
use crate::report::series::{Point, Series};

/// A run. `slowness` multiplies all latencies; so many of the kinds occur.
pub(super) fn findings(slowness: f64, kinds: usize) -> Findings {
    let mut chance = Chance::new(7);
    let mut latency = Histograms::new();
    let mut last_session = Histograms::new();
    let mut findings = Findings::default();
    for (index, kind) in Kind::ALL.into_iter().take(kinds).enumerate() {
        let events = 40_000 / (index as u64 * index as u64 + 1);
        let median = slowness * (8_000.0 + 2_500.0 * index as f64);
        let of = |chance: &mut Chance, median: f64, count: u64| {
            let mut histogram = microseconds();
            for _ in 0..count {
                // The tail of a queue: the rarer, the longer, with a knee.
                let rare = -(1.0 - chance.share()).max(1e-9).ln();
                histogram.saturating_record((median * (0.4 + 0.7 * rare + 0.02 * rare.powi(3))) as u64 + 1);
            }
            histogram
        };
        latency.insert(kind, of(&mut chance, median, events * 8));
        last_session.insert(kind, of(&mut chance, median * 2.2, events));
        let deliveries = Deliveries {
            events,
            expected: events * 34,
            received: events * 34,
            late: events / 10,
            optional: if kind == Kind::Presence { 1_234_567 } else { 0 },
            ..Deliveries::default()
        };
        findings.report.kinds.insert(kind, deliveries);
    }
    let routes = ["message", "edit", "history", "typing"];
    for (index, route) in routes.into_iter().enumerate() {
        let answers = answers(slowness, index as u64);
        let of = Route { count: 9_000 - 2_000 * index as u64, errors: 0, answer_ms: Times::of(&answers) };
        findings.report.rest.routes.insert(route.into(), of);
    }
    findings.report.rest.lag_ms = Times::of(&answers(0.1, 0));
    findings.series = series(&mut chance, slowness);
    findings.latency = latency;
    findings.last_session = last_session;
    fill(&mut findings.report, slowness);
    findings.conclude();
    findings
}

fn answers(slowness: f64, shift: u64) -> Histogram<u64> {
    let mut histogram = microseconds();
    for index in 1..1_000 {
        histogram.saturating_record((slowness * (500 * (shift + 1) + index * index / 90) as f64) as u64);
    }
    histogram
}

fn series(chance: &mut Chance, slowness: f64) -> Series {
    let point = |second: i32| {
        let traffic = (0..60).contains(&second);
        let wave = 1.0 + 0.5 * (f64::from(second) / 9.0).sin() + 0.2 * chance.share();
        let live = if second < 0 { (second + 6) as u32 * 2_500 } else { 15_000 - (second as u32 % 20) * 15 };
        Point {
            seconds: f64::from(second),
            connected: live + live / 100,
            live,
            deliveries_per_second: if traffic { 43_000.0 * wave } else { 0.0 },
            p50_ms: traffic.then_some(slowness * 9.0 * wave),
            p99_ms: traffic.then_some(slowness * 41.0 * wave),
            max_ms: traffic.then_some(slowness * 160.0 * wave * wave),
            posts_per_second: if traffic { 300.0 * wave } else { 0.0 },
            errors: u64::from(second == 31) * 12,
            server_cpus: Some(if traffic { 0.8 * wave } else { 0.9 }),
            server_bytes: Some(120_000_000 + u64::from(live) * 2_017),
            client_cpus: Some(0.6 * wave),
            kernel_bytes: Some(400_000_000 + u64::from(live) * 9_800),
        }
    };
    Series { points: (-5..63).map(point).collect() }
}

fn fill(report: &mut run::RunReport, slowness: f64) {
    report.header = Header {
        name: "midjourney".into(),
        seed: Some(1),
        scale: Some(0.01),
        speed: 1.0,
        server: "guildhall on 127.0.0.1:8080".into(),
        commit: Some("1e3dceb".into()),
        started: machine::date(1_795_479_253_999),
        machine: machine::Machine {
            cpus: 2,
            memory_bytes: 24 << 30,
            kernel: "Linux 6.12.0".into(),
            cpu_model: "A CPU <of> 2 GHz & more".into(),
        },
    };
    let answers = answers(slowness, 3);
    report.arrival = Arrival {
        asked: 15_000,
        live: 15_000,
        seconds: 4.1,
        connects_per_second: 4_000.0,
        identifies_per_second: 3_658.5,
        resumes_per_second: Some(230.0),
        identify_ms: Times::of(&answers),
        resume_ms: Times::of(&answers),
    };
    report.traffic.seconds = 60.4;
    report.traffic.deliveries_per_second = 44_871.3;
    report.traffic.bytes_per_delivery = 612.4;
    report.traffic.late_after_ms = 1_000.0;
    report.connections.connects = 17_250;
    report.connections.identified = 15_000;
    report.connections.cuts = 2_250;
    report.connections.resumed = 2_250;
    report.server = run::Server {
        cpu_us_per_delivery: Some(13.1 * slowness),
        cpu_us_per_identify: Some(301.2),
        cpus: Some(1.2),
        busiest: Some(Busy { ran: 0.61, waited: 0.05 }),
        bytes_before: Some(120_000_000),
        bytes_after: Some(150_255_000),
        bytes_per_session: Some(2_017.0),
        kernel_bytes_per_session: Some(9_800.0),
    };
    let thread = |name: &str, ran| Thread { name: name.into(), busy: Busy { ran, waited: 0.04 } };
    report.client.threads = vec![thread("clients-0", 0.58), thread("driver", 0.07)];
    report.client.bytes_per_session = Some(412.0);
    report.baselines = vec![
        Baseline {
            name: "raw send loop".into(),
            what: "CPU per delivery".into(),
            value: 12.44,
            unit: "µs".into(),
            ratio: Some(1.05),
        },
        Baseline { name: "raw gateway".into(), what: "deliveries/s".into(), value: 81_000.0, ..Baseline::default() },
    ];
    let why = "the server does not know voice".to_owned();
    report.left_out = vec![LeftOut { what: "voice".into(), count: 412, why }];
}

/// The same run, gone wrong in every way that has a number.
pub(super) fn faulty() -> Findings {
    let mut findings = findings(1.0, Kind::ALL.len());
    let report = &mut findings.report;
    let message = report.kinds.get_mut(&Kind::Message).expect("it occurs");
    (message.received, message.lost, message.not_yet) = (message.expected - 7, 5, 2);
    (message.duplicated, message.out_of_order, message.leaked) = (3, 4, 1);
    report.arrival.live -= 1;
    report.sequence.missing = 5;
    report.client.threads[0].busy.ran = 0.97;
    report.warnings = vec!["the clock was set back while the run went on".into()];
    report.faults = (0..20)
        .map(|session| Fault {
            kind: "lost".into(),
            session: Some(session),
            session_id: Some(format!("{session:032x}")),
            what: "5 messages never came, the first is 12".into(),
        })
        .collect();
    findings.conclude();
    findings
}
