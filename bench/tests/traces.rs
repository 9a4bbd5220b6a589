//! Traces as files: what is written is read, and what is wrong is named.

use std::io::{Read, Write};

use guildhall_bench::base::random::Chance;
use guildhall_bench::model::trace::file::{Fault, Reading};
use guildhall_bench::model::trace::{Action, Channel, ChannelKind, Guild, Header, Line, Status, Trace, VERSION, file};

const HEAD: &str = r#"{"trace":"guildhall","version":1,"by":"synth","name":"t","seed":1,"scale":1.0,"began":0}"#;
const RECORDED: &str = r#"{"trace":"guildhall","version":1,"by":"record","name":"t","began":1700000000000}"#;
const GUILD: &str = concat!(
    r#"{"at":0,"do":"guild","guild":0,"members":9,"sessions":4,"#,
    r#""channels":[{"kind":"text"},{"kind":"text","share":0.5},{"kind":"voice"}]}"#
);

fn text(head: &str, lines: &[&str]) -> String {
    let mut text = format!("{head}\n");
    lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}

fn read(text: &str) -> Result<Reading, Fault> {
    file::read_from(text.as_bytes())
}

fn refused(lines: &[&str]) -> String {
    read(&text(HEAD, lines)).expect_err("it is wrong").to_string()
}

/// Some trace without any sense, but with all that the format has.
fn any_trace(seed: u64) -> Trace {
    let mut chance = Chance::new(seed);
    let mut number = |most: u64| chance.between(0, most) as u32;
    let guilds: Vec<Guild> = (0..3)
        .map(|guild| Guild {
            guild,
            group: (guild == 1).then(|| "näh".into()),
            members: 1_000,
            sessions: 100,
            first: (guild == 2).then_some(50),
            present: (guild == 0).then_some(40),
            joining: number(20),
            looking: f64::from(number(1_000)) / 1_000.0,
            roles: number(9),
            channels: [None, Some(0.1), None, Some(1.0)]
                .map(|share| Channel {
                    kind: if number(2) == 0 { ChannelKind::Text } else { ChannelKind::Voice },
                    share,
                })
                .to_vec(),
        })
        .collect();
    let (mut at, mut messages) = (0_u64, 0_u32);
    let mut actions = Vec::new();
    for _ in 0..2_000 {
        at += u64::from(number(1_000));
        let (guild, channel, who, of) = (number(3), number(4), number(100), number(u64::from(messages)));
        let action = match number(19) {
            0..=1 => Action::Message { guild, channel, who, size: number(2_000) },
            2 if messages > 0 => Action::Edit { of, size: number(2_000) },
            3 if messages > 0 => Action::Delete { of },
            4 if messages > 0 => Action::React { of, guild, who, emoji: number(9) },
            5 if messages > 0 => Action::Unreact { of, guild, who, emoji: number(9) },
            6 => Action::History { guild, channel, who, limit: number(100) },
            7 => Action::Presence { guild, who, status: Status::Invisible },
            8 => Action::Join { guild, who },
            9 => Action::Leave { guild, who },
            10 => Action::ChannelCreate { guild },
            11 => Action::ChannelDelete { guild, channel },
            12 => Action::Voice { guild, who, channel: (who % 2 == 0).then_some(channel) },
            13 => Action::Scroll { guild, channel, who, first: number(50), last: 99 },
            14 => Action::Connect { guild, who },
            15 => Action::Close { guild, who },
            16 => Action::Cut { guild, who },
            17 => Action::Storm { guild, share: f64::from(number(1_000)) / 1_000.0, over: u64::from(number(9)) },
            18 => Action::Lost { lines: u64::from(number(9)) },
            _ => Action::Typing { guild, channel, who },
        };
        messages += u32::from(matches!(action, Action::Message { .. }));
        actions.push(Line { at, action });
    }
    let header = Header {
        trace: "guildhall".into(),
        version: VERSION,
        by: "synth".into(),
        name: "any".into(),
        seed: Some(seed),
        scale: Some(0.25),
        rate: Some(2.0),
        began: 0,
        lasts: Some(at + 5),
    };
    Trace { header, guilds, actions }
}

#[test]
fn what_is_written_is_read() {
    let path = std::env::temp_dir().join(format!("guildhall-traces-{}.zst", std::process::id()));
    for seed in 0..20 {
        let trace = any_trace(seed);
        file::write(&trace, &path).expect("it can be written");
        let reading = file::read(&path).expect("it can be read");
        assert!(reading.trace == trace && reading.warnings.is_empty(), "seed {seed}");
        let mut plain = Vec::new();
        file::write_lines(&trace, &mut plain).expect("it can be written");
        assert!(file::read_from(&plain[..]).expect("also uncompressed").trace == trace, "seed {seed}");
        // As several frames, as a recorder writes them.
        let (front, back) = plain.split_at(plain.len() / 2);
        let mut frames = zstd::encode_all(front, 1).expect("it can be packed");
        frames.extend(zstd::encode_all(back, 1).expect("it can be packed"));
        assert!(file::read_from(&frames[..]).expect("frames follow each other").trace == trace, "seed {seed}");
    }
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn damaged_files_are_refused_or_read_but_never_end_the_program() {
    let mut plain = Vec::new();
    file::write_lines(&any_trace(1), &mut plain).expect("it can be written");
    let packed = zstd::encode_all(&plain[..], 1).expect("it can be packed");
    let mut chance = Chance::new(7);
    let mut refused = 0;
    for round in 0..2_000 {
        let mut damaged = if round % 2 == 0 { plain.clone() } else { packed.clone() };
        let at = chance.between(0, damaged.len() as u64) as usize;
        damaged[at] = chance.between(0, 256) as u8;
        if round % 3 == 0 {
            damaged.truncate(at);
        }
        refused += u32::from(file::read_from(&damaged[..]).is_err());
    }
    assert!((500..2_000).contains(&refused), "{refused}");
}

#[test]
fn errors_name_the_line() {
    let message = r#"{"at":5,"do":"message","guild":0,"channel":0,"who":3,"size":10}"#;
    for (lines, told) in [
        (
            &[GUILD, message, r#"{"at":4,"do":"edit","of":0,"size":1}"#][..],
            "line 4: `at` is 4, the line before it was at 5",
        ),
        (&[GUILD, r#"{"at":1,"do":"join","guild":1,"who":0}"#], "line 3: guild 1 is not declared"),
        (&[GUILD, r#"{"at":1,"do":"channel_delete","guild":0,"channel":3}"#], "line 3: guild 0 has no channel 3"),
        (&[GUILD, r#"{"at":1,"do":"voice","guild":0,"who":0,"channel":9}"#], "line 3: guild 0 has no channel 9"),
        (&[GUILD, r#"{"at":1,"do":"cut","guild":0,"who":4}"#], "line 3: guild 0 has no person 4: its `sessions` are 4"),
        (&[GUILD, message, r#"{"at":9,"do":"delete","of":1}"#], "line 4: there is no message 1 yet: there are 1"),
        (&[message], "line 2: guild 0 is not declared"),
        (&[GUILD, GUILD], "line 3: guild 0 is declared where guild 1 is due"),
        (&[GUILD, r#"{"at":1,"do":"join","guild":0}"#], "line 3: `join` needs `who`"),
        (&[GUILD, "", "{"], "line 4: EOF while parsing an object at line 2 column 0"),
        (&[], "no guild is declared"),
    ] {
        assert_eq!(refused(lines), told);
    }
    let more = GUILD.replace("\"sessions\":4", "\"sessions\":10");
    assert_eq!(refused(&[&more]), "line 2: `sessions` is 10, but there are only 9 members");
    let share = GUILD.replace("0.5", "1.5");
    assert!(refused(&[&share]).starts_with("line 2: a share is 1.5"));
    let long = format!("{{\"at\":1,\"do\":\"poll\",\"text\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(refused(&[GUILD, &long]), "line 3: longer than 1048576 bytes");
}

#[test]
fn first_lines_that_are_none_are_refused() {
    let told = |head: &str| read(&text(head, &[GUILD])).expect_err("it is wrong").to_string();
    assert_eq!(told(&HEAD.replace(":1,\"by", ":2,\"by")), "line 1: version 2: versions up to 1 can be read");
    assert_eq!(told(&HEAD.replace("synth", "hand")), "line 1: `by` is `hand`: it must be `synth` or `record`");
    assert!(told("hello").starts_with("line 1: not a trace's first line"));
    assert!(told("{}").starts_with("line 1: not a trace"));
    assert_eq!(read("").expect_err("there is nothing").to_string(), "the file is empty");
    let missing = file::read(std::path::Path::new("/nowhere/at.all")).expect_err("there is none").to_string();
    assert!(missing.starts_with("/nowhere/at.all: No such file"), "{missing}");
}

#[test]
fn what_is_not_known_is_left_out_and_told() {
    let poll = r#"{"at":1,"do":"poll","guild":"many"}"#;
    let newer = GUILD.replace("\"members\"", "\"colour\":\"red\",\"members\"");
    let reading =
        read(&text(HEAD, &[&newer, poll, poll, r#"{"at":2,"do":"join","guild":0,"who":1}"#])).expect("it is fine");
    assert_eq!(reading.warnings, ["2 lines `poll` left out: not known"]);
    assert_eq!(reading.trace.actions, [Line { at: 2, action: Action::Join { guild: 0, who: 1 } }]);
}

/// Twelve people of whom four were there when the guild was met: 0 speaks, 1 is silent, 5 joins, 6 connects, 7 connects
/// and joins, 8 connects and uses the hidden channel.
fn recording() -> String {
    text(
        RECORDED,
        &[
            GUILD,
            r#"{"at":10,"do":"message","guild":0,"channel":0,"who":0,"size":5}"#,
            r#"{"at":20,"do":"join","guild":0,"who":5}"#,
            r#"{"at":30,"do":"connect","guild":0,"who":6}"#,
            r#"{"at":40,"do":"connect","guild":0,"who":7}"#,
            r#"{"at":50,"do":"join","guild":0,"who":7}"#,
            r#"{"at":60,"do":"connect","guild":0,"who":8}"#,
            r#"{"at":70,"do":"message","guild":0,"channel":1,"who":8,"size":6}"#,
            r#"{"at":80,"do":"message","guild":0,"channel":0,"who":5,"size":7}"#,
            r#"{"at":90,"do":"edit","of":1,"size":8}"#,
        ],
    )
}

#[test]
fn people_of_recordings_are_numbered_as_those_of_declared_traces() {
    let reading = read(&recording()).expect("it is fine");
    let guild = &reading.trace.guilds[0];
    // 8, who uses what is hidden, is the first; then 0, the silent 1 to 4, 6 who comes later; 5 and 7 join.
    assert_eq!((guild.sessions, guild.present, guild.joining), (9, Some(6), 2));
    assert!(guild.viewers(1) >= 1 && guild.viewers(1) < 9);
    let people: Vec<(&str, u32)> = reading
        .trace
        .actions
        .iter()
        .filter_map(|line| line.action.person().map(|(_, who)| (line.action.name(), who)))
        .collect();
    let expected =
        [("message", 1), ("join", 7), ("connect", 6), ("connect", 8), ("join", 8), ("message", 0), ("message", 7)];
    assert_eq!(people, expected);
    assert_eq!(reading.warnings, ["1 arrivals left out: who uses hidden channels is there from the beginning"]);
    assert_eq!(reading.trace.lasts(), 90);
}

#[test]
fn recordings_that_end_in_the_middle_are_read_up_to_there() {
    let text = recording();
    let cut = &text[..text.len() - 5];
    let reading = read(cut).expect("what is there counts");
    assert_eq!(reading.trace.actions.len(), 7);
    assert!(reading.warnings[0].contains("middle of line 11"), "{:?}", reading.warnings);
    // Also in the middle of a frame.
    let mut packed = zstd::Encoder::new(Vec::new(), 1).expect("it can be packed");
    packed.write_all(text.as_bytes()).expect("it can be written");
    packed.flush().expect("it can be flushed");
    let unfinished = packed.get_ref().clone();
    let reading = file::read_from(&unfinished[..]).expect("what is there counts");
    assert_eq!(reading.trace.actions.len(), 8);
    assert!(reading.warnings[0].contains("middle of line 12"), "{:?}", reading.warnings);
    // What is made up was not killed while it was written: so it is damaged.
    let made_up = text.replace("\"record\"", "\"synth\"").replace("\"sessions\":4", "\"sessions\":9");
    assert!(read(&made_up[..made_up.len() - 5]).is_err());
}

#[test]
fn reading_streams() {
    /// A source that is not there as a whole: a byte at a time.
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }
    let trace = any_trace(3);
    let mut plain = Vec::new();
    file::write_lines(&trace, &mut plain).expect("it can be written");
    assert!(file::read_from(Drip(&plain)).expect("it can be read").trace == trace);
}
