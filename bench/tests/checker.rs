//! The checker checked: against a gateway that does one thing wrong it must report exactly that, and nothing otherwise.

mod fake;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fake::{Fake, Mischief};
use guildhall_bench::chat::{self, Chat};
use guildhall_bench::http::Mailbox;
use guildhall_bench::marker::Marker;
use guildhall_bench::report::Report;
use guildhall_bench::swarm::Settings;
use guildhall_bench::swarm::tally::FaultKind;

const SESSIONS: u32 = 8;
const MESSAGES: u64 = 40;

fn run(mischief: Mischief, cut: f64) -> (Report, Fake) {
    let fake = Fake::open(mischief);
    let chat = Chat {
        swarm: Settings {
            server: fake.address,
            tokens: (0..SESSIONS).map(|index| format!("token-{index}")).collect(),
            sessions: SESSIONS,
            marker: Marker::new("test"),
            zlib: false,
            cut,
            connect_rate: 1_000.0,
            threads: 2,
            seed: 7,
        },
        mailbox: Mailbox { server: fake.address, channel: "1".into(), token: "token-0".into() },
        rate: MESSAGES as f64 / 2.0,
        seconds: 2.0,
        size: 80,
        server_pid: None,
        patience: Duration::from_secs(2),
        quiet: true,
    };
    (chat::run(&chat).expect("a run"), fake)
}

/// Lost, duplicated, out of order; the same for the numbers; errors of the posts.
fn found(report: &Report) -> [u64; 7] {
    let judgement = &report.deliveries;
    assert_eq!(judgement.received + judgement.lost, judgement.expected);
    assert_eq!((judgement.counts.dead, judgement.sessions), (0, u64::from(SESSIONS)));
    [
        judgement.lost,
        judgement.duplicated,
        judgement.out_of_order,
        judgement.sequence_missing,
        judgement.sequence_duplicates,
        judgement.sequence_late,
        u64::from(report.rest_errors),
    ]
}

fn names(report: &Report, kind: FaultKind, session: u32) -> bool {
    let id = format!("id-of-token-{session}");
    let mut faults = report.deliveries.faults.iter();
    faults.any(|fault| fault.kind == kind && fault.session == session && fault.session_id.as_deref() == Some(&*id))
}

#[test]
fn a_sound_gateway_is_found_sound() {
    let (report, _) = run(Mischief::None, 0.0);
    assert_eq!(found(&report), [0; 7]);
    assert!(report.sound && report.deliveries.faults.is_empty());
    assert_eq!(report.deliveries.expected, MESSAGES * u64::from(SESSIONS));
    assert_eq!((report.latency_ms.count, report.last_session_ms.count), (report.deliveries.expected, MESSAGES));
    assert!(report.latency_ms.p50 > 0.0 && report.latency_ms.max < 1_000.0);
}

#[test]
fn a_dropped_dispatch_is_one_loss() {
    let (report, _) = run(Mischief::Drop(3, 20), 0.0);
    assert_eq!(found(&report), [1, 0, 0, 1, 0, 0, 0]);
    assert!(!report.sound && names(&report, FaultKind::Lost, 3) && names(&report, FaultKind::SequenceGap, 3));
    assert_eq!(report.deliveries.lost_at_the_end, 0);
}

#[test]
fn a_dropped_last_dispatch_is_a_loss_at_the_end() {
    let (report, _) = run(Mischief::Drop(2, MESSAGES as usize - 1), 0.0);
    // Nothing came after it, so that the numbers show nothing.
    assert_eq!(found(&report), [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(report.deliveries.lost_at_the_end, 1);
    assert!(!report.sound);
}

#[test]
fn a_duplicated_dispatch_is_one_duplicate() {
    let (report, _) = run(Mischief::Duplicate(4, 20), 0.0);
    assert_eq!(found(&report), [0, 1, 0, 0, 1, 0, 0]);
    assert!(!report.sound && names(&report, FaultKind::Duplicated, 4));
}

#[test]
fn a_reordered_dispatch_is_late_and_its_session_out_of_order() {
    let (report, _) = run(Mischief::Reorder(5, 20), 0.0);
    assert_eq!(found(&report), [0, 0, 1, 0, 0, 1, 0]);
    assert!(!report.sound && names(&report, FaultKind::OutOfOrder, 5) && names(&report, FaultKind::SequenceLate, 5));
}

#[test]
fn what_was_never_numbered_is_missed_all_the_same() {
    let (report, _) = run(Mischief::Forget(1, 20), 0.0);
    assert_eq!(found(&report), [1, 0, 0, 0, 0, 0, 0]);
    assert!(!report.sound && names(&report, FaultKind::Lost, 1));
    let (report, _) = run(Mischief::Repeat(1, 20), 0.0);
    assert_eq!(found(&report), [0, 1, 0, 0, 0, 0, 0]);
    assert!(!report.sound && names(&report, FaultKind::Duplicated, 1));
    let (report, _) = run(Mischief::Swap(1, 20), 0.0);
    assert_eq!(found(&report), [0, 0, 1, 0, 0, 0, 0]);
    assert!(!report.sound && names(&report, FaultKind::OutOfOrder, 1));
}

#[test]
fn a_refused_post_is_an_error_and_no_loss() {
    let (report, _) = run(Mischief::Refuse(20), 0.0);
    assert_eq!(found(&report), [0, 0, 0, 0, 0, 0, 1]);
    assert!(!report.sound);
    assert_eq!(report.deliveries.messages, MESSAGES - 1);
}

#[test]
fn cut_sessions_resume_and_miss_nothing() {
    let (report, fake) = run(Mischief::None, 1.0);
    assert_eq!(found(&report), [0; 7]);
    assert!(report.sound);
    let counts = report.deliveries.counts;
    assert_eq!((counts.cuts, counts.resumed, counts.identified), (8, 8, 8));
    assert_eq!(fake.resumes(), 8);
    // Who was away got some messages late, and that counts.
    assert!(report.latency_ms.max >= 50.0, "{:?}", report.latency_ms);
}

#[test]
fn sessions_that_are_asked_to_reconnect_resume_and_miss_nothing() {
    let (report, fake) = run(Mischief::AskToReconnect(20), 0.0);
    assert_eq!(found(&report), [0; 7]);
    assert!(report.sound);
    assert_eq!((report.deliveries.counts.cuts, fake.resumes()), (0, 8));
}

#[test]
fn sessions_that_cannot_resume_lose_what_they_missed() {
    let (report, fake) = run(Mischief::NoResumes, 1.0);
    let counts = report.deliveries.counts;
    assert_eq!((counts.cuts, counts.invalidated, fake.resumes()), (8, 8, 0));
    assert!(!report.sound && report.deliveries.lost > 0);
}

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_guildhall-bench"))
}

fn tokens(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("guildhall-bench-{name}-{}", std::process::id()));
    let lines: Vec<String> = (0..SESSIONS).map(|index| format!("token-{index}\n")).collect();
    std::fs::write(&path, lines.concat()).expect("a temporary file");
    path
}

#[test]
fn the_exit_code_says_whether_the_run_was_sound() {
    let file = tokens("exit");
    for (mischief, code) in [(Mischief::None, 0), (Mischief::Duplicate(0, 3), 1)] {
        let fake = Fake::open(mischief);
        let output = bench()
            .args(["chat", "--quiet", "--channel", "1", "--sessions", "8", "--rate", "20", "--seconds", "1"])
            .args(["--server", &format!("http://{}", fake.address), "--tokens"])
            .arg(&file)
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn idle_and_fanout_write_what_they_found() {
    let file = tokens("fanout");
    let json = file.with_extension("json");
    let fake = Fake::open(Mischief::None);
    for (run, more) in
        [("idle", &["--seconds", "0.1"][..]), ("fanout", &["--channel", "1", "--messages", "3", "--turns", "3"])]
    {
        let output = bench()
            .args([run, "--quiet", "--sessions", "8", "--server", &format!("http://{}", fake.address), "--tokens"])
            .arg(&file)
            .args(["--server-pid", &std::process::id().to_string(), "--json"])
            .arg(&json)
            .args(more)
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(0));
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).expect("a report")).expect("JSON");
        assert_eq!((&report["sound"], &report["arrival"]["live"]), (&true.into(), &8.into()));
        if run == "fanout" {
            assert_eq!(report["pairs"].as_array().map(Vec::len), Some(3));
            assert!(report["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0));
        }
    }
    std::fs::remove_file(json).expect("it was written");
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn raw_sends_to_all_sockets() {
    for (how, lines) in [("send", 1), ("send,uring", 3)] {
        let raw = ["raw", "--sockets", "50", "--bytes", "100", "--rounds", "4", "--how", how];
        let output = bench().args(raw).output().expect("it runs");
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.lines().count(), lines);
        assert!(text.lines().take(2).all(|line| line.starts_with("200 sends of 100 bytes to 50 sockets")));
    }
}
