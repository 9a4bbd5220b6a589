//! The checker checked: against a gateway that does one thing wrong it must report exactly that, and nothing otherwise.

mod fake;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fake::{Fake, Mischief, Plot, session_id};
use guildhall_bench::model::script::Kind;
use guildhall_bench::model::trace::{Trace, file};
use guildhall_bench::report::run::{Deliveries, RunReport};
use guildhall_bench::runs::chat::Chat;
use guildhall_bench::runs::replay::Run;
use guildhall_bench::runs::{chat, replay};

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
        tokens: fake.fixture.tokens.clone(),
        sessions: SESSIONS,
        channel: fake.fixture.guilds[0].channels[0],
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

fn chat(plot: Plot, cut: f64) -> (RunReport, Fake) {
    let fake = hall(plot);
    (chat_on(&fake, cut), fake)
}

/// What was found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
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
    let (report, _) = chat(Mischief::None.at(0, MESSAGE, 0), 0.0);
    assert_eq!(found(&report), Found::default());
    assert!(report.sound && report.faults.is_empty(), "{:?}", report.faults);
    assert_eq!((report.all.events, report.all.expected), (MESSAGES, MESSAGES * u64::from(SESSIONS)));
    assert_eq!((report.all.latency_ms.count, report.all.last_session_ms.count), (report.all.expected, MESSAGES));
    assert!(report.all.latency_ms.p50 > 0.0);
}

#[test]
fn a_dropped_dispatch_is_one_loss() {
    let (report, _) = chat(Mischief::Drop.at(3, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { lost: 1, missing_numbers: 1, ..Found::default() });
    assert!(names(&report, "lost", 3) && names(&report, "sequence_gap", 3));
}

#[test]
fn a_dropped_last_dispatch_has_not_come_yet() {
    let (report, _) = chat(Mischief::Drop.at(2, MESSAGE, MESSAGES as usize - 1), 0.0);
    // Nothing came after it, so that the numbers show nothing.
    assert_eq!(found(&report), Found { not_yet: 1, ..Found::default() });
    assert!(names(&report, "lost", 2));
}

#[test]
fn a_duplicated_dispatch_is_one_duplicate() {
    let (report, _) = chat(Mischief::Duplicate.at(4, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { duplicated: 1, duplicated_numbers: 1, ..Found::default() });
    assert!(names(&report, "duplicated", 4));
}

#[test]
fn a_reordered_dispatch_is_late_and_its_session_out_of_order() {
    let (report, _) = chat(Mischief::Reorder.at(5, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { out_of_order: 1, late_numbers: 1, ..Found::default() });
    assert!(names(&report, "out_of_order", 5) && names(&report, "sequence_late", 5));
}

#[test]
fn what_was_never_numbered_is_missed_all_the_same() {
    let (report, _) = chat(Mischief::Forget.at(1, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { lost: 1, ..Found::default() });
    assert!(names(&report, "lost", 1));
    let (report, _) = chat(Mischief::Repeat.at(1, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { duplicated: 1, ..Found::default() });
    assert!(names(&report, "duplicated", 1));
    let (report, _) = chat(Mischief::Swap.at(1, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { out_of_order: 1, ..Found::default() });
    assert!(names(&report, "out_of_order", 1));
}

#[test]
fn a_refused_post_is_an_error_and_no_loss() {
    let (report, _) = chat(Mischief::Refuse.at(0, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { errors: 1, ..Found::default() });
    assert_eq!((report.all.events, report.all.expected), (MESSAGES - 1, (MESSAGES - 1) * u64::from(SESSIONS)));
}

#[test]
fn an_accepted_message_that_nobody_gets_is_lost_by_all() {
    let (report, _) = chat(Mischief::Swallow.at(0, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found { lost: u64::from(SESSIONS), ..Found::default() });
    assert!((0..SESSIONS).all(|session| names(&report, "lost", session)));
}

#[test]
fn cut_sessions_resume_and_miss_nothing() {
    let (report, fake) = chat(Mischief::None.at(0, MESSAGE, 0), 1.0);
    assert_eq!(found(&report), Found::default());
    let connections = report.connections;
    assert_eq!((connections.cuts, connections.resumed, connections.identified), (8, 8, 8));
    assert_eq!(fake.resumes(), 8);
    // Who was away got some messages late, and that counts.
    assert!(report.all.latency_ms.max >= 50.0, "{:?}", report.all.latency_ms);
}

#[test]
fn sessions_that_are_asked_to_reconnect_resume_and_miss_nothing() {
    let (report, fake) = chat(Mischief::AskToReconnect.at(0, MESSAGE, 20), 0.0);
    assert_eq!(found(&report), Found::default());
    assert_eq!((report.connections.cuts, fake.resumes()), (0, 8));
}

#[test]
fn sessions_that_cannot_resume_lose_what_they_missed() {
    let (report, fake) = chat(Mischief::NoResumes.at(0, MESSAGE, 0), 1.0);
    let connections = report.connections;
    assert_eq!((connections.cuts, connections.invalidated, fake.resumes()), (8, 8, 0));
    assert!(!report.sound && found(&report).lost > 0);
}

// ── traces with several streams ──

/// A line of a trace.
fn line(at_ms: u64, deed: &str, more: &str) -> String {
    format!("{{\"at\":{},\"do\":\"{deed}\",{more}}}\n", at_ms * 1_000)
}

/// A guild's declaration: so many sessions, and what else there is to say. Channel 0 is open, channel 1 is seen by half
/// of them.
fn guild(number: u32, sessions: u32, more: &str) -> String {
    line(
        0,
        "guild",
        &format!(
            r#""guild":{number},"members":{sessions},"sessions":{sessions},"looking":0,{more}"channels":[{{"kind":"text"}},{{"kind":"text","share":0.5}}]"#
        ),
    )
}

/// A message in a channel of guild 0 each 20 ms from 20 ms on, by person 0.
fn talk(channels: impl IntoIterator<Item = u32>) -> String {
    let message = |(number, channel): (u64, u32)| {
        line(20 * (number + 1), "message", &format!(r#""guild":0,"channel":{channel},"who":0,"size":60"#))
    };
    (0..).zip(channels).map(message).collect()
}

/// Lines of several kinds, in the order of their times.
fn together(lines: &[String]) -> String {
    let mut all: Vec<&str> = lines.iter().flat_map(|lines| lines.lines()).collect();
    let at = |line: &str| line[6..line.find(',').expect("a time comes first")].parse::<u64>().expect("a number");
    all.sort_by_key(|line| (at(line), !line.contains(r#""do":"guild""#)));
    all.join("\n")
}

fn play(lines: &[String], plot: Plot) -> (RunReport, Fake) {
    let trace = trace(&together(lines));
    let fake = Fake::open(&trace, plot);
    play_on(fake, trace)
}

fn play_on(fake: Fake, trace: Trace) -> (RunReport, Fake) {
    let run = Run {
        trace: Arc::new(trace),
        fixture: Arc::new(fake.fixture.clone()),
        server: fake.address,
        label: "fake".into(),
        server_pid: None,
        author: None,
        speed: 1.0,
        zlib: false,
        connect_rate: 1_000.0,
        threads: 2,
        seed: 7,
        patience: Duration::from_secs(2),
        quiet: true,
    };
    (replay::run(&run).expect("a run").report, fake)
}

fn nothing() -> Plot {
    Mischief::None.at(0, MESSAGE, 0)
}

#[test]
fn an_event_of_a_hidden_channel_is_a_leak_to_those_who_may_not_see_it() {
    let lines = [guild(0, 6, ""), talk((0..40).map(|number| number % 2))];
    let (report, _) = play(&lines, nothing());
    assert_eq!(found(&report), Found::default());
    assert_eq!((report.all.events, report.all.expected, report.all.leaked), (40, 20 * 6 + 20 * 3, 0));
    let (report, _) = play(&lines, Mischief::Leak.at(4, MESSAGE, 21));
    assert_eq!(found(&report), Found { leaked: 1, ..Found::default() });
    assert!(names(&report, "leaked", 4));
    assert_eq!((report.all.expected, report.all.latency_ms.count), (180, 180));
}

#[test]
fn in_a_large_guild_only_those_get_messages_who_look() {
    // Sessions 1, 3 and 5 look; 0, 1 and 2 see the hidden channel. The first message is the one that asks who gets any.
    let large =
        guild(0, 6, "").replace(r#""members":6"#, r#""members":5000"#).replace(r#""looking":0"#, r#""looking":0.5"#);
    let lines = [large, talk((0..40).map(|number| number % 2))];
    let play_large = |plot: Plot| {
        let trace = trace(&together(&lines));
        let fake = Fake::open(&trace, plot);
        fake.grow();
        play_on(fake, trace).0
    };
    let report = play_large(nothing());
    assert_eq!(found(&report), Found::default());
    assert_eq!((report.all.events, report.all.expected), (40, 20 * 3 + 20));
    let report = play_large(Mischief::Leak.at(2, MESSAGE, 21));
    assert_eq!(found(&report), Found { leaked: 1, ..Found::default() });
    assert!(names(&report, "leaked", 2));
    let report = play_large(Mischief::Forget.at(3, MESSAGE, 21));
    assert_eq!(found(&report), Found { lost: 1, ..Found::default() });
    assert!(names(&report, "lost", 3));
}

#[test]
fn orders_are_compared_within_a_stream() {
    // The messages come in pairs: the second of a pair and the first of the next are of different streams.
    let lines = [guild(0, 6, ""), talk((0..40).map(|number| number / 2 % 2))];
    let (report, _) = play(&lines, Mischief::Swap.at(1, MESSAGE, 21));
    assert_eq!(found(&report), Found::default(), "nobody can say which of two channels is first");
    let (report, _) = play(&lines, Mischief::Swap.at(1, MESSAGE, 22));
    assert_eq!(found(&report), Found { out_of_order: 1, ..Found::default() });
    assert!(names(&report, "out_of_order", 1) && report.faults.len() == 1);
}

#[test]
fn who_joins_gets_what_comes_from_then_on() {
    let join = line(1_000, "join", r#""guild":0,"who":4"#);
    let lines = [guild(0, 5, r#""joining":1,"#), talk([0; 100]), join];
    let (report, _) = play(&lines, nothing());
    assert_eq!(found(&report), Found::default());
    let messages = &report.kinds[&Kind::Message];
    // 50 messages are intended before the invite is accepted, and the answer takes a moment.
    let later = messages.expected - 100 * 4;
    assert!((1..=51).contains(&later), "{later}");
    assert_eq!((report.kinds[&Kind::Join].expected, report.all.latency_ms.count), (4, messages.expected + 4));
    let (report, _) = play(&lines, Mischief::Forget.at(4, MESSAGE, 97));
    assert_eq!(found(&report), Found { lost: 1, ..Found::default() });
    assert!(names(&report, "lost", 4));
    let (report, _) = play(&lines, Mischief::Leak.at(4, MESSAGE, 10));
    assert_eq!(found(&report), Found { leaked: 1, ..Found::default() });
    assert!(names(&report, "leaked", 4));
}

#[test]
fn who_connects_late_gets_what_comes_from_then_on() {
    let connect = line(1_000, "connect", r#""guild":0,"who":4"#);
    let lines = [guild(0, 5, r#""present":4,"#), talk([0; 100]), connect];
    let (report, _) = play(&lines, nothing());
    assert_eq!(found(&report), Found::default());
    assert_eq!((report.arrival.asked, report.connections.identified), (4, 5));
    let later = report.all.expected - 100 * 4;
    assert!((1..=51).contains(&later), "{later}");
    let (report, _) = play(&lines, Mischief::Forget.at(4, MESSAGE, 97));
    assert_eq!(found(&report), Found { lost: 1, ..Found::default() });
}

#[test]
fn who_leaves_need_not_get_what_comes_then_and_must_not() {
    let leave = line(3_500, "leave", r#""guild":0,"who":3"#);
    let lines = [guild(0, 4, ""), talk([0; 200]), leave];
    let (report, _) = play(&lines, nothing());
    assert_eq!(found(&report), Found::default());
    let before = report.kinds[&Kind::Message].expected - 200 * 3;
    // What was under way when it left is not counted.
    assert!((1..=175).contains(&before), "{before}");
    assert_eq!(report.kinds[&Kind::Leave].expected, 3);
    let (report, _) = play(&lines, Mischief::Drop.at(3, MESSAGE, 20));
    assert_eq!(found(&report), Found { lost: 1, missing_numbers: 1, ..Found::default() });
    assert!(names(&report, "lost", 3));
    let (report, _) = play(&lines, Mischief::Leak.at(3, MESSAGE, 198));
    assert_eq!(found(&report), Found { leaked: 1, ..Found::default() });
    assert!(names(&report, "leaked", 3));
}

#[test]
fn who_closes_ends_its_session_and_comes_back_with_a_new_one() {
    let close = line(500, "close", r#""guild":0,"who":3"#);
    let connect = line(1_000, "connect", r#""guild":0,"who":3"#);
    let lines = [guild(0, 4, ""), talk([0; 100]), close, connect];
    let (report, fake) = play(&lines, nothing());
    assert_eq!(found(&report), Found::default());
    let connections = report.connections;
    assert_eq!((connections.closed, connections.identified, connections.disconnects, fake.resumes()), (1, 5, 0, 0));
    let (report, _) = play(&lines, Mischief::Repeat.at(3, MESSAGE, 97));
    assert_eq!(found(&report), Found { duplicated: 1, ..Found::default() });
}

#[test]
fn what_is_missed_while_a_connection_is_cut_must_come_when_it_resumes() {
    let cut = line(500, "cut", r#""guild":0,"who":2"#);
    let lines = [guild(0, 4, ""), talk([0; 100]), cut];
    let (report, fake) = play(&lines, nothing());
    assert_eq!((found(&report), fake.resumes(), fake.left_out()), (Found::default(), 1, 0));
    assert_eq!((report.all.expected, report.connections.cuts, report.connections.resumed), (400, 1, 1));
    let (report, fake) = play(&lines, Mischief::ForgetInReplay.at(2, MESSAGE, 0));
    assert_eq!((fake.resumes(), fake.left_out()), (1, 1));
    assert_eq!(found(&report), Found { lost: 1, missing_numbers: 1, ..Found::default() });
    assert!(names(&report, "lost", 2) && names(&report, "sequence_gap", 2));
}

/// Messages with edits, reactions and deletions, channels that come and go.
fn bustle() -> [String; 2] {
    let mut lines = String::new();
    for of in 0..5 {
        let at = 100 * of;
        lines += &line(at, "message", &format!(r#""guild":0,"channel":{},"who":0,"size":60"#, of % 2));
        lines += &line(at + 600, "edit", &format!(r#""of":{of},"size":40"#));
        lines += &line(at + 610, "react", &format!(r#""of":{of},"guild":0,"who":1,"emoji":{of}"#));
        lines += &line(at + 650, "unreact", &format!(r#""of":{of},"guild":0,"who":1,"emoji":{of}"#));
        lines += &line(at + 1_200, "delete", &format!(r#""of":{of}"#));
        lines += &line(at + 40, "history", r#""guild":0,"channel":0,"who":2,"limit":50"#);
    }
    lines += &line(10, "channel_create", r#""guild":0"#);
    lines += &line(800, "message", r#""guild":0,"channel":2,"who":3,"size":60"#);
    lines += &line(1_500, "channel_delete", r#""guild":0,"channel":2"#);
    [guild(0, 4, ""), lines]
}

#[test]
fn events_of_all_kinds_are_known_again() {
    let (report, _) = play(&bustle(), nothing());
    assert_eq!(found(&report), Found::default());
    // Three of five are in the open channel with its four sessions, two in the one that two see.
    for kind in [Kind::Edit, Kind::React, Kind::Unreact, Kind::Delete] {
        let found = &report.kinds[&kind];
        assert_eq!((found.events, found.expected, found.latency_ms.count), (5, 16, 16), "{kind:?}");
    }
    for kind in [Kind::ChannelCreate, Kind::ChannelDelete] {
        assert_eq!((report.kinds[&kind].events, report.kinds[&kind].expected), (1, 4), "{kind:?}");
    }
    assert_eq!(report.kinds[&Kind::Message].expected, 20);
    assert_eq!((report.rest.count(), report.rest.routes["GET messages"].count), (33, 5));
}

#[test]
fn what_is_lost_is_lost_as_what_it_is() {
    let check = |event: &'static str, number: usize, kind: Kind| {
        let (report, _) = play(&bustle(), Mischief::Forget.at(1, event, number));
        assert_eq!(found(&report), Found { lost: 1, ..Found::default() }, "{event}");
        assert_eq!(report.kinds[&kind].lost, 1, "{event}");
        let (report, _) = play(&bustle(), Mischief::Repeat.at(1, event, number));
        assert_eq!(found(&report), Found { duplicated: 1, ..Found::default() }, "{event}");
        assert_eq!(report.kinds[&kind].duplicated, 1, "{event}");
    };
    // All at once: they mostly wait.
    std::thread::scope(|scope| {
        for (event, number, kind) in [
            ("MESSAGE_UPDATE", 0, Kind::Edit),
            ("MESSAGE_DELETE", 2, Kind::Delete),
            ("MESSAGE_REACTION_ADD", 0, Kind::React),
            ("MESSAGE_REACTION_REMOVE", 2, Kind::Unreact),
            ("CHANNEL_CREATE", 0, Kind::ChannelCreate),
        ] {
            scope.spawn(move || check(event, number, kind));
        }
    });
    let (report, _) = play(&bustle(), Mischief::Forget.at(1, "MESSAGE_DELETE", 4));
    assert_eq!((found(&report), report.kinds[&Kind::Delete].not_yet), (Found { not_yet: 1, ..Found::default() }, 1));
}

#[test]
fn what_is_about_something_refused_is_not_asked_and_not_expected() {
    let (report, _) = play(&bustle(), Mischief::Refuse.at(0, MESSAGE, 0));
    assert_eq!(found(&report), Found { errors: 1, ..Found::default() });
    // Its edit, two reactions and its deletion.
    assert!(
        report.warnings.iter().any(|what| what.starts_with("4 actions were not possible")),
        "{:?}",
        report.warnings
    );
    assert_eq!((report.kinds[&Kind::Edit].events, report.kinds[&Kind::Message].events), (4, 5));
    let mut lines = bustle().to_vec();
    lines.push(line(1_400, "edit", r#""of":5,"size":50"#));
    let (report, _) = play(&lines, Mischief::Refuse.at(0, "CHANNEL_CREATE", 0));
    assert_eq!(found(&report), Found { errors: 1, ..Found::default() });
    // The message there, its edit, and the channel's deletion.
    assert!(
        report.warnings.iter().any(|what| what.starts_with("3 actions were not possible")),
        "{:?}",
        report.warnings
    );
    let (report, _) = play(&bustle(), Mischief::Swallow.at(0, "MESSAGE_UPDATE", 0));
    assert_eq!(found(&report), Found { lost: 4, ..Found::default() });
}

#[test]
fn who_types_twice_is_seen_twice() {
    // Persons 0 to 5 of guild 0 are persons 0 to 5 of guild 1.
    let mut lines = vec![guild(0, 6, ""), guild(1, 6, r#""first":0,"#)];
    for round in 0..10 {
        for (after, guild, channel) in [(0, 0, 0), (1, 0, 0), (2, 0, 1), (2, 1, 0), (3, 1, 1), (3, 0, 0)] {
            let typing = format!(r#""guild":{guild},"channel":{channel},"who":1"#);
            lines.push(line(100 * round + 50 + after, "typing", &typing));
        }
    }
    let (report, _) = play(&lines, nothing());
    let typing = report.kinds[&Kind::Typing].clone();
    assert_eq!(found(&report), Found::default());
    assert_eq!((typing.events, typing.expected, typing.latency_ms.count), (60, 300, 300));
    let (report, _) = play(&lines, Mischief::Forget.at(5, "TYPING_START", 0));
    let found = found(&report);
    assert_eq!(Found { lost: 0, not_yet: 0, out_of_order: 0, ..found }, Found::default());
    // Which of them it was cannot be known.
    assert_eq!((found.lost + found.not_yet, found.out_of_order), (1, 0));
    assert!(names(&report, "lost", 5));
}

#[test]
fn typing_in_a_hidden_channel_is_not_taken_for_typing_in_an_open_one() {
    let typing = |(number, channel): (u64, u32)| {
        line(100 * (number + 1), "typing", &format!(r#""guild":0,"channel":{channel},"who":1"#))
    };
    let lines = [guild(0, 6, ""), (0..).zip([0, 1, 0]).map(typing).collect()];
    let (report, _) = play(&lines, Mischief::Leak.at(5, "TYPING_START", 1));
    assert_eq!(found(&report), Found { leaked: 1, ..Found::default() });
    assert!(names(&report, "leaked", 5));
    assert_eq!(report.kinds[&Kind::Typing].latency_ms.count, 6 + 3 + 6);
}

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_guildhall-bench"))
}

fn tokens(name: &str, fake: &Fake) -> PathBuf {
    let path = std::env::temp_dir().join(format!("guildhall-bench-{name}-{}", std::process::id()));
    std::fs::write(&path, fake.fixture.tokens.iter().collect::<Vec<_>>().join("\n")).expect("a temporary file");
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
