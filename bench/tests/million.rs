//! The million, at sixty sessions, against a gateway that does one thing wrong: exactly that must be found.

mod fake;

use std::time::Duration;

use fake::{Fake, Mischief, Plot};
use guildhall_bench::million::figures::Report;
use guildhall_bench::million::{self, Million, Step};
use guildhall_bench::pulse::Pulse;
use guildhall_bench::trace::file;

const SESSIONS: u32 = 60;
const EVERYTHING: [Step; 6] = [Step::Tenth, Step::All, Step::Resume, Step::Presence, Step::List, Step::Stall];

fn run(plot: Plot, steps: &[Step]) -> (Report, Fake) {
    let text = format!(
        "{{\"trace\":\"guildhall\",\"version\":1,\"by\":\"synth\",\"name\":\"t\"}}\n{{\"at\":0,\"do\":\"guild\",\"guild\":0,\"members\":{SESSIONS},\"sessions\":{SESSIONS},\"channels\":[{{\"kind\":\"text\"}}]}}\n"
    );
    let fake = Fake::open(&file::read_from(text.as_bytes()).expect("a sound trace").trace, plot);
    fake.grow();
    // What `guildhall admin pulse` is for a Guildhall.
    let script = std::env::temp_dir().join(format!("guildhall-pulse-{}.sh", fake.address.port()));
    let words = r#"exec 3<>/dev/tcp/127.0.0.1/$1
printf 'POST /api/v10/pulse/%s HTTP/1.1\r\n\r\n' "$2" >&3
while read -r line <&3 && [[ $line != $'\r' ]]; do
    [[ $line == Content-Length:* ]] && length=${line//[^0-9]/}
done
head -c "$length" <&3
"#;
    std::fs::write(&script, words).expect("a temporary file");
    let million = Million {
        server: fake.address,
        server_pid: None,
        tokens: fake.town.tokens.clone(),
        author: None,
        sessions: SESSIONS,
        guild: fake.town.guilds[0].id,
        channel: fake.town.guilds[0].channels[0],
        steps: steps.to_vec(),
        pulse: Pulse::new(&format!("bash {} {}", script.display(), fake.address.port())),
        size: 80,
        turns: 2,
        unread: Duration::from_secs(2),
        stall: Duration::from_secs(2),
        zlib: false,
        connect_rate: 1_000.0,
        handshakes: 64,
        threads: 2,
        patience: Duration::from_secs(3),
        seed: 7,
        quiet: true,
    };
    let report = million::run(&million).expect("a run");
    std::fs::remove_file(script).expect("it is there");
    (report, fake)
}

fn figure(report: &Report, step: &str, name: &str) -> f64 {
    let step = report.steps.iter().find(|one| one.step == step).unwrap_or_else(|| panic!("no step {step}"));
    step.figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no {name}: {step}")).value
}

/// What is wrong, by number.
fn wrong(report: &Report) -> [u64; 5] {
    [report.lost, report.duplicated, report.leaked, report.out_of_order, report.inconsistent]
}

#[test]
fn a_sound_gateway_is_found_sound_in_every_step() {
    let (report, fake) = run(Mischief::None.at(0, "", 0), &EVERYTHING);
    assert!(report.sound, "{report}");
    assert_eq!((wrong(&report), report.failures.len()), ([0; 5], 0));
    let is =
        |step: &str, name: &str, value: f64| assert_eq!(figure(&report, step, name), value, "{step}: {name}\n{report}");
    is("connect", "sessions live", 60.0);
    is("tenth", "sessions that became active", 6.0);
    is("tenth", "passive sessions told what is unread", 54.0);
    is("all", "sessions that became active", 54.0);
    is("resume", "connections cut", 60.0);
    is("resume", "resumed", 60.0);
    is("resume", "identified anew", 0.0);
    is("presence", "flips", 60.0);
    is("list", "sessions that scrolled", 6.0);
    is("list", "of them answered", 30.0);
    is("list", "of them that do not add up", 0.0);
    is("stall", "sessions that stopped reading", 1.0);
    assert!(figure(&report, "tenth", "by the raw loop") > 0.0 && figure(&report, "all", "by the raw loop") > 0.0);
    // Six sessions that look see each other's changes of status; and some of them have come and gone.
    assert!(figure(&report, "list", "events checked row by row") > 6.0, "{report}");
    assert_eq!(fake.resumes(), 60);
    // One, two turns, and one that is heard of, to six; one, two turns, three in the storm, and those of the last step to sixty.
    assert_eq!((report.expected - 4 * 6) % 60, 0);
    assert_eq!(report.expected, report.received);
}

#[test]
fn a_message_that_reaches_a_passive_session_is_a_leak() {
    let (report, _) = run(Mischief::Leak.at(7, "MESSAGE_CREATE", 1), &[Step::Tenth]);
    assert_eq!((wrong(&report), report.sound), ([0, 0, 1, 0, 0], false), "{report}");
}

#[test]
fn a_passive_session_that_is_not_told_what_is_unread_is_found() {
    // The fourth message is the one that is heard of.
    let (report, _) = run(Mischief::Forget.at(7, "CHANNEL_UNREAD_UPDATE", 3), &[Step::Tenth]);
    assert_eq!(wrong(&report), [0; 5]);
    assert!(!report.sound && report.failures[0].contains("1 of 54 passive sessions were not told"), "{report}");
    let (report, _) = run(Mischief::Repeat.at(7, "CHANNEL_UNREAD_UPDATE", 3), &[Step::Tenth]);
    assert!(
        !report.sound && report.failures[0].contains("0 of 54 passive sessions were not told what is unread, 1 twice"),
        "{report}"
    );
}

#[test]
fn a_message_that_is_left_out_of_a_replay_is_lost() {
    let (report, fake) = run(Mischief::ForgetInReplay.at(fake::ANYBODY, "", 0), &[Step::All, Step::Resume]);
    assert_eq!(fake.left_out(), 1, "{report}");
    assert_eq!((report.lost, report.misnumbered, report.sound), (1, 1, false), "{report}");
}

#[test]
fn sessions_that_cannot_resume_are_found() {
    let (report, fake) = run(Mischief::NoResumes.at(0, "", 0), &[Step::All, Step::Resume]);
    assert_eq!((report.invalidated, fake.resumes(), report.sound), (60, 0, false), "{report}");
}

#[test]
fn a_change_of_a_member_list_that_is_not_told_is_found() {
    // The first six are whole pages; session 13 is the second of those who look.
    let (report, _) = run(Mischief::Forget.at(13, "GUILD_MEMBER_LIST_UPDATE", 7), &[Step::All, Step::List]);
    assert!(report.inconsistent > 0 && !report.sound, "{report}");
    assert_eq!((report.lost, report.leaked, report.misnumbered), (0, 0, 0));
}
