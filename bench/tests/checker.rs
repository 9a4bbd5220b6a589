//! The checker checked: against a gateway that does one thing wrong it must report exactly that, and nothing otherwise.

mod fake;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fake::{Fake, Mischief, Plot, session_id};
use guildhall_bench::chat::{self, Chat};
use guildhall_bench::report::run::{Deliveries, RunReport};
use guildhall_bench::trace::{Trace, file};

const SESSIONS: u32 = 8;
const MESSAGES: u64 = 40;
const MESSAGE: &str = "MESSAGE_CREATE";

/// A trace: its lines without the first.
fn trace(lines: &str) -> Trace {
    let text = format!("{{\"trace\":\"guildhall\",\"version\":1,\"by\":\"synth\",\"name\":\"t\"}}\n{lines}");
    file::read_from(text.as_bytes()).expect("a sound trace").trace
}

/// A server with one guild and one channel, for `SESSIONS` people.
fn hall(plot: Plot) -> Fake {
    let guild = format!(
        r#"{{"at":0,"do":"guild","guild":0,"members":8,"sessions":{SESSIONS},"channels":[{{"kind":"text"}}]}}"#
    );
    Fake::open(&trace(&guild), plot)
}

fn chat_on(fake: &Fake, cut: f64) -> RunReport {
    let chat = Chat {
        server: fake.address,
        tokens: fake.town.tokens.clone(),
        sessions: SESSIONS,
        channel: fake.town.guilds[0].channels[0],
        author: None,
        rate: MESSAGES as f64 / 2.0,
        seconds: 2.0,
        size: 80,
        cut,
        zlib: false,
        connect_rate: 1_000.0,
        threads: 2,
        seed: 7,
        server_pid: None,
        patience: Duration::from_secs(2),
        quiet: true,
    };
    chat::run(&chat).expect("a run").report
}

fn run(plot: Plot, cut: f64) -> (RunReport, Fake) {
    let fake = hall(plot);
    (chat_on(&fake, cut), fake)
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    lost: u64,
    not_yet: u64,
    duplicated: u64,
    out_of_order: u64,
    leaked: u64,
    missing_numbers: u64,
    duplicated_numbers: u64,
    late_numbers: u64,
    errors: u64,
}

/// All of a report's numbers that say that something is wrong; the others must fit together.
fn found(report: &RunReport) -> Found {
    let mut sum = Deliveries {
        latency_ms: report.all.latency_ms,
        last_session_ms: report.all.last_session_ms,
        ..Deliveries::default()
    };
    for deliveries in report.kinds.values() {
        assert_eq!(deliveries.received + deliveries.lost + deliveries.not_yet, deliveries.expected, "{deliveries:?}");
        sum.add(deliveries);
    }
    assert_eq!(report.all, sum);
    assert_eq!((report.connections.dead, report.arrival.live), (0, report.arrival.asked));
    let found = Found {
        lost: sum.lost,
        not_yet: sum.not_yet,
        duplicated: sum.duplicated,
        out_of_order: sum.out_of_order,
        leaked: sum.leaked,
        missing_numbers: report.sequence.missing,
        duplicated_numbers: report.sequence.duplicates,
        late_numbers: report.sequence.late,
        errors: report.rest.errors(),
    };
    let nothing = found == Found::default() && report.connections.invalidated == 0;
    assert_eq!(report.sound, nothing, "{found:?} {:?}", report.faults);
    found
}

fn names(report: &RunReport, kind: &str, session: u32) -> bool {
    let id = session_id(session);
    let mut faults = report.faults.iter();
    faults
        .any(|fault| fault.kind == kind && fault.session == Some(session) && fault.session_id.as_deref() == Some(&*id))
}

#[test]
fn a_sound_gateway_is_found_sound() {
    let (report, _) = run(Mischief::None.at(0, MESSAGE, 0), 0.0);
    assert_eq!(found(&report), Found::default());
    assert!(report.sound && report.faults.is_empty(), "{:?}", report.faults);
    assert_eq!((report.all.events, report.all.expected), (MESSAGES, MESSAGES * u64::from(SESSIONS)));
    assert_eq!((report.all.latency_ms.count, report.all.last_session_ms.count), (report.all.expected, MESSAGES));
    assert!(report.all.latency_ms.p50 > 0.0);
}

#[test]
fn a_dropped_dispatch_is_one_loss() {
    let (report, _) = run(Mischief::Drop.at(3, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { lost: 1, missing_numbers: 1, ..Found::default() });
    assert!(names(&report, "lost", 3) && names(&report, "sequence_gap", 3));
}

#[test]
fn a_dropped_last_dispatch_has_not_come_yet() {
    let (report, _) = run(Mischief::Drop.at(2, MESSAGE, MESSAGES as usize - 1), 0.0);
    // Nothing came after it, so that the numbers show nothing.
    assert_eq!(found(&report), Found { not_yet: 1, ..Found::default() });
    assert!(names(&report, "lost", 2));
}

#[test]
fn a_duplicated_dispatch_is_one_duplicate() {
    let (report, _) = run(Mischief::Duplicate.at(4, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { duplicated: 1, duplicated_numbers: 1, ..Found::default() });
    assert!(names(&report, "duplicated", 4));
}

#[test]
fn a_reordered_dispatch_is_late_and_its_session_out_of_order() {
    let (report, _) = run(Mischief::Reorder.at(5, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { out_of_order: 1, late_numbers: 1, ..Found::default() });
    assert!(names(&report, "out_of_order", 5) && names(&report, "sequence_late", 5));
}

#[test]
fn what_was_never_numbered_is_missed_all_the_same() {
    let (report, _) = run(Mischief::Forget.at(1, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { lost: 1, ..Found::default() });
    assert!(names(&report, "lost", 1));
    let (report, _) = run(Mischief::Repeat.at(1, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { duplicated: 1, ..Found::default() });
    assert!(names(&report, "duplicated", 1));
    let (report, _) = run(Mischief::Swap.at(1, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { out_of_order: 1, ..Found::default() });
    assert!(names(&report, "out_of_order", 1));
}

#[test]
fn a_refused_post_is_an_error_and_no_loss() {
    let (report, _) = run(Mischief::Refuse.at(0, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { errors: 1, ..Found::default() });
    assert_eq!((report.all.events, report.all.expected), (MESSAGES - 1, (MESSAGES - 1) * u64::from(SESSIONS)));
}

#[test]
fn an_accepted_message_that_nobody_gets_is_lost_by_all() {
    let (report, _) = run(Mischief::Swallow.at(0, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { lost: u64::from(SESSIONS), ..Found::default() });
    assert!((0..SESSIONS).all(|session| names(&report, "lost", session)));
}

#[test]
fn cut_sessions_resume_and_miss_nothing() {
    let (report, fake) = run(Mischief::None.at(0, MESSAGE, 0), 1.0);
    assert_eq!(found(&report), Found::default());
    let connections = report.connections;
    assert_eq!((connections.cuts, connections.resumed, connections.identified), (8, 8, 8));
    assert_eq!(fake.resumes(), 8);
    // Who was away got some messages late, and that counts.
    assert!(report.all.latency_ms.max >= 50.0, "{:?}", report.all.latency_ms);
}

#[test]
fn sessions_that_are_asked_to_reconnect_resume_and_miss_nothing() {
    let (report, fake) = run(Mischief::AskToReconnect.at(0, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found::default());
    assert_eq!((report.connections.cuts, fake.resumes()), (0, 8));
}

#[test]
fn sessions_that_cannot_resume_lose_what_they_missed() {
    let (report, fake) = run(Mischief::NoResumes.at(0, MESSAGE, 0), 1.0);
    let connections = report.connections;
    assert_eq!((connections.cuts, connections.invalidated, fake.resumes()), (8, 8, 0));
    assert!(!report.sound && found(&report).lost > 0);
}

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_guildhall-bench"))
}

fn tokens(name: &str, fake: &Fake) -> PathBuf {
    let path = std::env::temp_dir().join(format!("guildhall-bench-{name}-{}", std::process::id()));
    std::fs::write(&path, fake.town.tokens.iter().collect::<Vec<_>>().join("\n")).expect("a temporary file");
    path
}

#[test]
fn the_exit_code_says_whether_the_run_was_sound() {
    for (mischief, code) in [(Mischief::None, 0), (Mischief::Duplicate, 1)] {
        let fake = hall(mischief.at(0, MESSAGE, 3));
        let file = tokens("exit", &fake);
        let output = bench()
            .args(["chat", "--quiet", "--channel", "1000", "--sessions", "8", "--rate", "20", "--seconds", "1"])
            .args(["--server", &format!("http://{}", fake.address), "--tokens"])
            .arg(&file)
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::remove_file(file).expect("it was written");
    }
}

#[test]
fn idle_and_fanout_write_what_they_found() {
    let fake = hall(Mischief::None.at(0, MESSAGE, 0));
    let file = tokens("fanout", &fake);
    let json = file.with_extension("json");
    for (run, more) in
        [("idle", &["--seconds", "0.1"][..]), ("fanout", &["--channel", "1000", "--messages", "3", "--turns", "3"])]
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
