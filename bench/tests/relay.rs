//! The checker checked at size: one message of a million is dropped, doubled or delayed on its way from the raw gateway
//! to a pool, and exactly that must be reported, with the session that it happened to.

mod faulty;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faulty::{Fault, Mischief, Planted, Relay};
use guildhall_bench::base::descriptor_table;
use guildhall_bench::base::random::Chance;
use guildhall_bench::baseline::raw::gateway::Gateway;
use guildhall_bench::baseline::raw::{How, gateway};
use guildhall_bench::report::run::RunReport;
use guildhall_bench::runs::chat;
use guildhall_bench::runs::chat::Chat;

const SESSIONS: u32 = 2_000;
const MESSAGES: u32 = 500;
const DELIVERIES: u64 = SESSIONS as u64 * MESSAGES as u64;

/// Two pools at a time would only wait for each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame of which it is known that every session gets more.
fn frame(seed: u64) -> u64 {
    Chance::new(seed).bits() % (DELIVERIES - DELIVERIES / 10)
}

fn run(fault: Option<(Mischief, u64)>, how: How) -> (RunReport, Vec<Planted>) {
    let _alone = alone();
    descriptor_table::room(); // the limit of open files is raised
    let listen = "127.0.0.1:0".parse().expect("an address");
    let settings = gateway::Settings { listen, threads: 2, how, coalesce: true };
    let gateway = Gateway::open(&settings).expect("a gateway");
    let fault = fault.map(|(mischief, frame)| Fault { mischief, frame, messages: MESSAGES });
    let relay = Relay::open(gateway.address, fault);
    let chat = Chat {
        server: relay.address,
        tokens: Arc::new((0..SESSIONS).map(|index| format!("token-{index}")).collect()),
        sessions: SESSIONS,
        channel: 1,
        author: None,
        rate: f64::from(MESSAGES),
        seconds: 1.0,
        size: 60,
        cut: 0.0,
        zlib: false,
        connect_rate: 10_000.0,
        threads: 1,
        seed: 7,
        server_pid: None,
        patience: Duration::from_secs(3),
        quiet: true,
    };
    let report = chat::run(&chat).expect("a run").report;
    assert_eq!(relay.messages(), DELIVERIES);
    assert_eq!(gateway.close().expect("no thread failed").counts.deliveries, DELIVERIES);
    (report, relay.planted())
}

/// Lost, duplicated, out of order; the same for the numbers; everything else that makes a run unsound.
fn found(report: &RunReport) -> [u64; 7] {
    let (all, connections) = (&report.all, &report.connections);
    assert_eq!(all.expected, DELIVERIES);
    assert_eq!(all.received + all.lost + all.not_yet, all.expected);
    [
        all.lost,
        all.duplicated,
        all.out_of_order,
        report.sequence.missing,
        report.sequence.duplicates,
        report.sequence.late,
        all.not_yet
            + all.leaked
            + connections.dead
            + connections.invalidated
            + connections.disconnects
            + report.rest.errors(),
    ]
}

/// The faults are those kinds, each once, all on the session that it happened to.
fn names_only(report: &RunReport, planted: &[Planted], kinds: &[&str]) {
    let [planted] = planted else { panic!("one fault was planted: {planted:?}") };
    let faults = &report.faults;
    assert!(
        faults.iter().all(|fault| fault.session_id.as_ref() == Some(&planted.session_id)),
        "{faults:?} {planted:?}"
    );
    let told: Vec<&str> = faults.iter().map(|fault| fault.kind.as_str()).collect();
    assert!(told.len() == kinds.len() && kinds.iter().all(|kind| told.contains(kind)), "{faults:?}");
}

#[test]
fn a_million_deliveries_are_found_sound() {
    for how in [How::Send, How::Uring] {
        let (report, planted) = run(None, how);
        assert_eq!(found(&report), [0; 7], "{:?}", report.faults);
        assert!(report.sound && report.faults.is_empty() && planted.is_empty());
    }
}

#[test]
fn one_dropped_of_a_million_is_found() {
    let (report, planted) = run(Some((Mischief::Drop, frame(1))), How::Send);
    assert_eq!(found(&report), [1, 0, 0, 1, 0, 0, 0], "{:?}", report.faults);
    assert!(!report.sound);
    names_only(&report, &planted, &["lost", "sequence_gap"]);
}

#[test]
fn one_doubled_of_a_million_is_found() {
    let (report, planted) = run(Some((Mischief::Duplicate, frame(2))), How::Send);
    assert_eq!(found(&report), [0, 1, 0, 0, 1, 0, 0], "{:?}", report.faults);
    assert!(!report.sound);
    names_only(&report, &planted, &["duplicated", "sequence_duplicate"]);
}

#[test]
fn one_late_of_a_million_is_found() {
    let (report, planted) = run(Some((Mischief::Swap, frame(3))), How::Send);
    assert_eq!(found(&report), [0, 0, 1, 0, 0, 1, 0], "{:?}", report.faults);
    assert!(!report.sound);
    // The gap shows itself when the successor comes first.
    names_only(&report, &planted, &["out_of_order", "sequence_gap", "sequence_late"]);
}
