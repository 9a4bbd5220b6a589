//! Made-up traces: the same input gives the same trace, a scale keeps what it should, and no user does what cannot be
//! done then.

use std::collections::{BTreeMap, HashMap, HashSet};

use guildhall_bench::model::scenario::description::Scenario;
use guildhall_bench::model::scenario::guild_setup::number_of;
use guildhall_bench::model::scenario::load::BUILT_IN;
use guildhall_bench::model::scenario::synth::{Made, Options};
use guildhall_bench::model::scenario::{load, synth};
use guildhall_bench::model::trace::summary::summary;
use guildhall_bench::model::trace::{Action, ChannelKind, Guild, Line, Status, Trace, breaks, file};

const TINY: &str = r#"
about = "For a hash"
[[guild]]
name = "g"
members = 30
online = 20
joining = 3
present = 0.8
looking = 0.5
text = 2
voice = 1
hidden = [{ share = 0.2, text = 1 }]
[[guild.talk]]
typing = 0.3
edited = 0.3
edit_delay = 1
deleted = 0.1
[[phase]]
name = "p"
seconds = 10
ramp = 2
[phase.rates.g]
messages = 3.0
reactions = 1.0
cuts = 20.0
joins = 20.0
"#;

fn tiny() -> Scenario {
    load::parse("tiny", "tiny.toml", TINY).expect("it is fine")
}

fn synth(scenario: &Scenario, seed: u64, scale: f64) -> Made {
    synth::synth(scenario, &Options { seed, scale, ..Options::default() }).expect("it can be made")
}

fn lines(trace: &Trace) -> String {
    let mut out = Vec::new();
    file::write_lines(trace, &mut out).expect("it can be written");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn the_same_input_gives_the_same_trace_byte_for_byte() {
    let first = lines(&synth(&tiny(), 1, 1.0).trace);
    assert_eq!(first, lines(&synth(&tiny(), 1, 1.0).trace));
    assert_ne!(first, lines(&synth(&tiny(), 2, 1.0).trace));
    // Changes when what is made changes: then traces that people have kept can no longer be made again, so say it in
    // the changelog.
    assert_eq!(format!("{:016x}", number_of(&first)), GOLDEN, "{first}");
}

const GOLDEN: &str = "b94f79ca3247346b";

/// Messages with their times, places and people.
fn messages(trace: &Trace) -> Vec<Line> {
    trace.actions.iter().filter(|line| matches!(line.action, Action::Message { .. })).cloned().collect()
}

#[test]
fn one_more_rate_or_guild_changes_nothing_else() {
    let before = messages(&synth(&tiny(), 1, 1.0).trace);
    assert!(before.len() > 10);
    for (what, with) in [
        ("presences", "presences = 100.0"),
        ("voice", "voice_joins = 50.0"),
        ("histories", "histories = 100.0"),
        ("scrolls", "scrolls = 30.0"),
        (
            "another guild",
            "[[guild]]\nname = \"h\"\nmembers = 9\n[[phase]]\nname = \"q\"\nseconds = 0\n[phase.rates.h]",
        ),
    ] {
        let scenario = load::parse("tiny", "tiny.toml", &format!("{TINY}{with}\n")).expect("it is fine");
        let after = synth(&scenario, 1, 1.0);
        assert!(after.trace != synth(&tiny(), 1, 1.0).trace, "{what}");
        assert_eq!(messages(&after.trace), before, "{what}");
    }
}

#[test]
fn every_scenario_makes_sense_at_small_scales() {
    for (name, _) in BUILT_IN {
        let scenario = load::load(name).expect("it is fine");
        for (scale, seed) in [(0.001, 1), (0.001, 2), (0.01, 1), (0.01, 3)] {
            let made = synth(&scenario, seed, scale);
            let trace = &made.trace;
            judge(trace).unwrap_or_else(|what| panic!("{name} at {scale}, seed {seed}: {what}"));
            let read = file::read_from(lines(trace).as_bytes()).expect("it refers to nothing that is not there");
            assert!(read.trace == *trace && read.warnings.is_empty(), "{name} at {scale}");
        }
    }
}

#[test]
fn crowded_scenarios_make_sense_at_full_scale() {
    for name in ["smoke", "voice-party", "launch-day"] {
        for seed in 1..4 {
            let made = synth(&load::load(name).expect("it is fine"), seed, 1.0);
            judge(&made.trace).unwrap_or_else(|what| panic!("{name}, seed {seed}: {what}"));
        }
    }
}

#[test]
fn the_judge_notices_what_makes_no_sense() {
    type Change = fn(&mut Trace);
    let changes: [(&str, Change); 9] = [
        ("who is absent acts", |trace| trace.actions.retain(|line| line.action.name() != "connect")),
        ("strangers act", |trace| trace.actions.retain(|line| line.action.name() != "join")),
        ("nobody leaves voice twice", |trace| {
            let leaves = |action: &Action| matches!(action, Action::Voice { channel: None, .. });
            let place = trace.actions.iter().position(|line| leaves(&line.action)).expect("somebody leaves");
            trace.actions.insert(place, trace.actions[place].clone());
        }),
        ("edits come too soon", |trace| {
            for line in &mut trace.actions {
                line.at /= 10;
            }
        }),
        ("reactions come twice", |trace| {
            let place = trace.actions.iter().position(|line| line.action.name() == "react").expect("somebody reacts");
            trace.actions.insert(place, trace.actions[place].clone());
        }),
        ("hidden channels are seen", |trace| trace.guilds[0].channels[3].share = Some(0.0)),
        ("nobody changes to the same status", |trace| {
            for line in &mut trace.actions {
                if let Action::Presence { status, .. } = &mut line.action {
                    *status = Status::Idle;
                }
            }
        }),
        ("channels are used before they are made", |trace| {
            let mut created: Vec<Line> = Vec::new();
            let end = trace.lasts() - 1;
            trace.actions.retain(|line| {
                let creates = line.action.name() == "channel_create";
                created.extend(creates.then(|| Line { at: end, action: line.action.clone() }));
                !creates
            });
            trace.actions.extend(created);
        }),
        ("who is cut is silent", |trace| {
            let storm = Action::Storm { guild: 0, share: 1.0, over: 0 };
            let place = trace.actions.partition_point(|line| line.at < 5_000_000);
            trace.actions.insert(place, Line { at: 5_000_000, action: storm });
        }),
    ];
    let made = synth(&load::load("smoke").expect("it is fine"), 1, 1.0);
    for (what, change) in changes {
        let mut trace = made.trace.clone();
        change(&mut trace);
        assert!(judge(&trace).is_err(), "{what}");
    }
}

#[test]
fn smoke_has_everything_that_there_is() {
    let made = synth(&load::load("smoke").expect("it is fine"), 1, 1.0);
    let counts = summary(&made.trace).actions;
    for name in [
        "message",
        "edit",
        "delete",
        "react",
        "unreact",
        "typing",
        "history",
        "presence",
        "join",
        "leave",
        "channel_create",
        "channel_delete",
        "voice",
        "scroll",
        "connect",
        "close",
        "cut",
        "storm",
    ] {
        assert!(counts.get(name).is_some_and(|count| *count > 0), "{name}: {counts:?}");
    }
    assert!(made.trace.lasts() == 12_000_000 && made.trace.sessions() < 100);
    let shared = made.trace.guilds.iter().any(|guild| guild.first.is_some());
    assert!(shared, "some sessions are in several guilds");
}

#[test]
fn midjourney_is_as_large_as_said() {
    let scenario = load::load("midjourney").expect("it is fine");
    let full = synth(&scenario, 1, 1.0).trace;
    assert_eq!((full.guilds[0].members, full.sessions()), (16_000_000, 1_000_000));
    assert_eq!(full.guilds[0].lookers(1_000_000), 100_000);
    // As its comment promises; over a longer time, since there are only some twenty messages in 45 s.
    let options = Options { seconds: Some(900.0), ..Options::default() };
    let summed = summary(&synth::synth(&scenario, &options).expect("it can be made").trace);
    let each_second = (summed.said.looking + summed.changed.looking) / 900.0;
    assert!((140_000.0..200_000.0).contains(&each_second), "deliveries to those who look: {each_second}");
    let small = synth(&scenario, 1, 0.01).trace;
    assert_eq!((small.guilds[0].members, small.sessions(), small.lasts()), (160_000, 10_000, 45_000_000));
    // Hidden channels are seen by five of a hundred thousand, but by one person at least.
    assert!(
        full.guilds[0].channels.iter().enumerate().any(|(channel, _)| full.guilds[0].viewers(channel as u32) == 50)
    );
    assert!(
        small.guilds[0].channels.iter().enumerate().any(|(channel, _)| small.guilds[0].viewers(channel as u32) == 1)
    );
}

#[test]
fn a_scale_keeps_what_it_should() {
    let count = |trace: &Trace, name: &str| summary(trace).actions.get(name).copied().unwrap_or(0) as f64;
    // A large guild gets smaller; its messages stay, what people do shrinks with them.
    let scenario = load::load("launch-day").expect("it is fine");
    let (full, tenth) = (synth(&scenario, 1, 1.0).trace, synth(&scenario, 1, 0.1).trace);
    assert_eq!((full.sessions(), tenth.sessions()), (20_000, 2_000));
    assert_eq!((full.lasts(), full.guilds[0].channels.len()), (tenth.lasts(), tenth.guilds[0].channels.len()));
    // But for one or two for which no user is there.
    assert!(messages(&full).len().abs_diff(messages(&tenth).len()) <= 3);
    for name in ["join", "history"] {
        let ratio = count(&tenth, name) / count(&full, name);
        assert!((0.07..0.13).contains(&ratio), "{name}: {ratio}");
    }
    // Of many guilds there are fewer, of the same kind.
    let scenario = load::load("small-guilds").expect("it is fine");
    let (tenth, hundredth) = (synth(&scenario, 1, 0.1).trace, synth(&scenario, 1, 0.01).trace);
    assert_eq!((tenth.guilds.len(), hundredth.guilds.len()), (1_000, 100));
    assert_eq!(tenth.guilds[7].members, hundredth.guilds[7].members);
    let ratio = messages(&hundredth).len() as f64 / messages(&tenth).len() as f64;
    assert!((0.07..0.13).contains(&ratio), "{ratio}");
    let places: u64 = tenth.guilds.iter().map(|guild| u64::from(guild.sessions)).sum();
    let overlap = places as f64 / f64::from(tenth.sessions());
    assert!((4.5..5.5).contains(&overlap), "people are in five guilds: {overlap}");
    // The loud one gets as much busier as it gets smaller.
    let scenario = load::load("one-loud-neighbour").expect("it is fine");
    let said = |scale| summary(&synth(&scenario, 1, scale).trace).said.all as f64;
    let ratio = said(0.01) / said(0.1);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn options_are_kept_and_checked() {
    let make = |options: Options| synth::synth(&tiny(), &options);
    let ordinary = Options::default();
    let longer = make(Options { seconds: Some(100.0), ..ordinary }).expect("it can be made").trace;
    assert_eq!(longer.lasts(), 100_000_000);
    let usual = messages(&make(ordinary).expect("it can be made").trace).len() as f64;
    assert!((7.0..13.0).contains(&(messages(&longer).len() as f64 / usual)));
    let busier = make(Options { rate: 10.0, ..ordinary }).expect("it can be made").trace;
    assert!((7.0..13.0).contains(&(messages(&busier).len() as f64 / usual)));
    for (options, told) in [
        (Options { scale: 0.0, ..ordinary }, "scale = 0: must be above 0, and at most 100"),
        (Options { scale: f64::NAN, ..ordinary }, "scale = NaN: must be above 0, and at most 100"),
        (Options { seconds: Some(-1.0), ..ordinary }, "seconds = -1: must be above 0, and at most 86400"),
        (Options { rate: -1.0, ..ordinary }, "rate = -1: must be from 0 to 1000000"),
    ] {
        assert_eq!(make(options).expect_err("it makes no sense"), told);
    }
    let told = make(Options { rate: 1e6, seconds: Some(1_000.0), ..ordinary }).expect_err("it is too large");
    assert!(told.starts_with("more than 50000000 actions"), "{told}");
}

#[test]
fn mistakes_in_scenarios_are_named() {
    for (from, to, told) in [
        ("looking = 0.5", "looking = 1.5", "tiny.toml: guild `g`: looking = 1.5: must be from 0 to 1"),
        ("online = 20", "online = 1.5", "tiny.toml: guild `g`: online = 1.5: a share"),
        ("typing = 0.3", "typing = -1", "tiny.toml: guild `g`: talk[0].typing = -1: must be from 0 to 1"),
        (
            "edit_delay = 1",
            "edit_delay = 0.1",
            "tiny.toml: guild `g`: talk[0].edit_delay: 0.1 to 0.1: must be from 0.5 to",
        ),
        (
            "typing = 0.3",
            "channels = [1, 2]",
            "tiny.toml: guild `g`: talk[0].channels has 2 numbers: must have one for each of the 3",
        ),
        ("typing = 0.3", "channels = \"odd\"", "\"even\", \"zipf\", or a list"),
        ("typing = 0.3", "size = \"big\"", "a number, or { spread ="),
        (
            "typing = 0.3",
            "size = { spread = \"uniform\", min = 1, max = 9, sigma = 2 }",
            "`log_normal` has `median` and `sigma`",
        ),
        ("typing = 0.3", "tyqing = 0.3", "unknown field `tyqing`"),
        ("ramp = 2", "ramp = 20", "tiny.toml: phase `p`: ramp = 20: must be from 0 to 10"),
        ("rates.g", "rates.x", "tiny.toml: phase `p`: there is no guild `x`: there are g"),
        ("cuts = 20.0", "cuts = -3", "tiny.toml: phase `p`: rates.g.cuts = -3: must be from 0 to 1000000"),
        ("cuts = 20.0", "cuts = { per_gild = 3 }", "or { per_guild"),
        ("text = 2", "text = 600", "tiny.toml: guild `g`: channels, hidden ones included = 602: must be from 1 to 500"),
        ("text = 2", "overlap = 2.0", "tiny.toml: guild `g`: present: must be 1 if overlap is above 1"),
        ("members = 30", "members = 0", "tiny.toml: guild `g`: members: 0 to 0: must be from 1 to"),
        ("seconds = 10", "seconds = nan", "tiny.toml: phase `p`: seconds = NaN: must be from 0 to 86400"),
    ] {
        let text = TINY.replacen(from, to, 1);
        let what = load::parse("tiny", "tiny.toml", &text).expect_err(to);
        assert!(what.starts_with("tiny.toml: ") && what.contains(told), "{to}: {what}");
    }
    let what = load::load("no-such-thing").expect_err("there is none");
    assert!(what.contains("no-such-thing") && what.contains("midjourney"), "{what}");
}

#[test]
fn every_key_is_documented() {
    let document = include_str!("../scenarios/README.md");
    for (from, to) in [
        ("about =", "odd = 1\nabout ="),
        ("looking = 0.5", "odd = 1"),
        ("share = 0.2", "share = 0.2, odd = 1"),
        ("typing = 0.3", "odd = 1"),
        ("[[phase]]", "[guild.reactions]\nodd = 1\n[[phase]]"),
        ("ramp = 2", "odd = 1"),
        ("cuts = 20.0", "odd = 1"),
        ("[phase.rates.g]", "[[phase.storm]]\nodd = 1\n[phase.rates.g]"),
    ] {
        // The error lists the keys that there are.
        let what = load::parse("tiny", "tiny.toml", &TINY.replacen(from, to, 1)).expect_err(to);
        let (_, known) = what.split_once("expected one of ").unwrap_or_else(|| panic!("{to}: {what}"));
        for key in known.split('`').skip(1).step_by(2) {
            let told = ["`", "[[", "[", " ", "."].iter().any(|before| {
                document.match_indices(&format!("{before}{key}")).any(|(at, found)| {
                    let next = document[at + found.len()..].chars().next();
                    next.is_some_and(|next| !next.is_alphanumeric() && next != '_')
                })
            });
            assert!(told, "bench/scenarios/README.md does not tell of `{key}`");
        }
    }
}

// ── the judge: a second opinion about what can be done when ──

const HALF: u64 = 500_000;
const WHOLE: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// A connection, a membership, a channel begins.
    Begin,
    /// It breaks, and comes back.
    Break,
    /// It ends.
    End,
}

/// What happens to something, by time.
#[derive(Default)]
struct Life(Vec<(u64, Turn)>);

impl Life {
    /// Whether something can be done with it at that time: long enough after its beginning and before its end.
    fn allows(&self, at: u64, there_at_first: bool) -> bool {
        let next = self.0.partition_point(|(when, _)| *when <= at);
        let before = match next.checked_sub(1).map(|last| self.0[last]) {
            None => there_at_first,
            Some((_, Turn::End)) => false,
            Some((when, _)) => at >= when + WHOLE,
        };
        let after = self.0.get(next).is_none_or(|(when, turn)| *turn == Turn::Begin || *when >= at + HALF);
        before && after
    }
}

struct Judge<'a> {
    guilds: &'a [Guild],
    firsts: Vec<u32>,
    sessions: HashMap<u32, Life>,
    absent: HashSet<u32>,
    members: HashMap<(u32, u32), Life>,
    channels: HashMap<(u32, u32), Life>,
}

impl<'a> Judge<'a> {
    fn new(trace: &'a Trace) -> Judge<'a> {
        let firsts = trace.firsts();
        let mut absent = HashSet::new();
        for (guild, first) in trace.guilds.iter().zip(&firsts) {
            absent.extend((guild.present.unwrap_or(guild.sessions)..guild.sessions).map(|who| first + who));
        }
        let mut turns: Vec<(u64, u32, Turn)> = Vec::new();
        let mut judge = Judge {
            guilds: &trace.guilds,
            firsts,
            sessions: HashMap::new(),
            absent,
            members: HashMap::new(),
            channels: HashMap::new(),
        };
        let mut created: BTreeMap<u32, u32> = BTreeMap::new();
        for Line { at, action } in &trace.actions {
            match *action {
                Action::Connect { guild, who } => turns.push((*at, judge.session(guild, who), Turn::Begin)),
                Action::Close { guild, who } => turns.push((*at, judge.session(guild, who), Turn::End)),
                Action::Cut { guild, who } => turns.push((*at, judge.session(guild, who), Turn::Break)),
                Action::Storm { guild, share, over } => {
                    for who in 0..trace.guilds[guild as usize].sessions {
                        if let Some(after) = breaks(*at, guild, who, share, over) {
                            turns.push((*at + after, judge.session(guild, who), Turn::Break));
                        }
                    }
                }
                Action::Join { guild, who } => {
                    judge.members.entry((guild, who)).or_default().0.push((*at, Turn::Begin));
                }
                Action::Leave { guild, who } => {
                    judge.members.entry((guild, who)).or_default().0.push((*at, Turn::End));
                }
                Action::ChannelCreate { guild } => {
                    let declared = trace.guilds[guild as usize].channels.len() as u32;
                    let number = created.entry(guild).or_insert(declared);
                    judge.channels.entry((guild, *number)).or_default().0.push((*at, Turn::Begin));
                    *number += 1;
                }
                Action::ChannelDelete { guild, channel } => {
                    judge.channels.entry((guild, channel)).or_default().0.push((*at, Turn::End));
                }
                _ => {}
            }
        }
        turns.sort_unstable();
        for (at, session, turn) in turns {
            let absent = judge.absent.contains(&session);
            let life = judge.sessions.entry(session).or_default();
            let connected = life.0.last().map_or(!absent, |(_, turn)| *turn != Turn::End);
            // A storm does not cut sessions that are not connected.
            if connected || turn == Turn::Begin {
                life.0.push((at, turn));
            }
        }
        judge
    }

    fn session(&self, guild: u32, who: u32) -> u32 {
        self.firsts[guild as usize] + who
    }

    fn is_awake(&self, at: u64, guild: u32, who: u32) -> bool {
        let session = self.session(guild, who);
        let there = !self.absent.contains(&session);
        self.sessions.get(&session).map_or(there, |life| life.allows(at, there))
    }

    fn acts(&self, at: u64, guild: u32, who: u32) -> Result<(), String> {
        let declared = &self.guilds[guild as usize];
        let member = who < declared.sessions - declared.joining;
        if !self.members.get(&(guild, who)).map_or(member, |life| life.allows(at, member)) {
            return Err("is no member, or about to leave, or has just joined".into());
        }
        self.is_awake(at, guild, who).then_some(()).ok_or_else(|| "is not connected, or about to be cut".into())
    }

    fn sees(&self, at: u64, guild: u32, channel: u32, who: u32, kind: ChannelKind) -> Result<(), String> {
        let declared = &self.guilds[guild as usize];
        let there = (channel as usize) < declared.channels.len();
        if !self.channels.get(&(guild, channel)).map_or(there, |life| life.allows(at, there)) {
            return Err("the channel is not there, or new, or about to be deleted".into());
        }
        if who >= declared.viewers(channel) {
            return Err("does not see the channel".into());
        }
        let is = declared.channels.get(channel as usize).map_or(ChannelKind::Text, |channel| channel.kind);
        (is == kind).then_some(()).ok_or_else(|| format!("the channel is {is:?}"))
    }
}

struct Message {
    at: u64,
    guild: u32,
    channel: u32,
    who: u32,
    deleted: Option<u64>,
}

/// Goes through a trace and looks whether each line makes sense, as `docs/TRACE.md` has it.
fn judge(trace: &Trace) -> Result<(), String> {
    let judge = Judge::new(trace);
    let mut messages: Vec<Message> = Vec::new();
    for Line { at, action } in &trace.actions {
        match *action {
            Action::Message { guild, channel, who, .. } => {
                messages.push(Message { at: *at, guild, channel, who, deleted: None });
            }
            Action::Delete { of } => {
                let message = &mut messages[of as usize];
                if message.deleted.replace(*at).is_some() {
                    return Err(format!("message {of} is deleted twice"));
                }
            }
            _ => {}
        }
    }
    let mut reactions: HashMap<(u32, u32, u32), bool> = HashMap::new();
    let mut status: HashMap<u32, Status> = HashMap::new();
    let mut voice: HashMap<u32, (u32, u32)> = HashMap::new();
    let mut before = 0;
    for line in &trace.actions {
        let at = line.at;
        if at < before || at >= trace.lasts() {
            return Err(format!("{line:?}: out of time"));
        }
        before = at;
        check(&judge, &messages, line, &mut reactions, &mut status, &mut voice)
            .map_err(|what| format!("{line:?}: {what}"))?;
    }
    Ok(())
}

fn check(
    judge: &Judge,
    messages: &[Message],
    line: &Line,
    reactions: &mut HashMap<(u32, u32, u32), bool>,
    status: &mut HashMap<u32, Status>,
    voice: &mut HashMap<u32, (u32, u32)>,
) -> Result<(), String> {
    let at = line.at;
    let looks = |guild: u32, who: u32, viewers: u32| {
        let declared = &judge.guilds[guild as usize];
        declared.looks(who) || declared.lookers(viewers) == 0
    };
    let touches = |of: u32, who: Option<u32>, deletes: bool| -> Result<(), String> {
        let message = &messages[of as usize];
        let who = who.unwrap_or(message.who);
        if at < message.at + HALF || (!deletes && message.deleted.is_some_and(|deleted| at + HALF > deleted)) {
            return Err(format!("message {of} is from {} and gone at {:?}", message.at, message.deleted));
        }
        judge.acts(at, message.guild, who)?;
        judge.sees(at, message.guild, message.channel, who, ChannelKind::Text)
    };
    match line.action {
        Action::Message { guild, channel, who, size } => {
            judge.acts(at, guild, who)?;
            judge.sees(at, guild, channel, who, ChannelKind::Text)?;
            if !(1..=2_000).contains(&size) || !looks(guild, who, judge.guilds[guild as usize].viewers(channel)) {
                return Err("too large, or not looking".into());
            }
        }
        Action::Typing { guild, channel, who } => {
            judge.acts(at, guild, who)?;
            judge.sees(at, guild, channel, who, ChannelKind::Text)?;
        }
        Action::History { guild, channel, who, .. } | Action::Scroll { guild, channel, who, .. } => {
            judge.acts(at, guild, who)?;
            judge.sees(at, guild, channel, who, ChannelKind::Text)?;
            if !looks(guild, who, judge.guilds[guild as usize].viewers(channel)) {
                return Err("does not look".into());
            }
        }
        Action::Edit { of, .. } => touches(of, None, false)?,
        Action::Delete { of } => touches(of, None, true)?,
        Action::React { of, guild, who, emoji } => {
            touches(of, Some(who), false)?;
            if guild != messages[of as usize].guild || reactions.insert((of, who, emoji), true).is_some() {
                return Err("in another guild, or twice".into());
            }
        }
        Action::Unreact { of, guild, who, emoji } => {
            touches(of, Some(who), false)?;
            if guild != messages[of as usize].guild || reactions.insert((of, who, emoji), false) != Some(true) {
                return Err("there was no such reaction".into());
            }
        }
        Action::Presence { guild, who, status: now } => {
            judge.acts(at, guild, who)?;
            let old = status.insert(judge.session(guild, who), now).unwrap_or(Status::Online);
            if old == now {
                return Err("no change".into());
            }
        }
        Action::Voice { guild, who, channel } => {
            judge.acts(at, guild, who)?;
            let session = judge.session(guild, who);
            let old = match channel {
                Some(channel) => {
                    judge.sees(at, guild, channel, who, ChannelKind::Voice)?;
                    let old = voice.insert(session, (guild, channel));
                    if old.is_some_and(|(place, was)| place != guild || was == channel) {
                        return Err(format!("was in {old:?}"));
                    }
                    old
                }
                None => Some(voice.remove(&session).ok_or("was not in voice")?),
            };
            if old.is_some_and(|(place, _)| place != guild) {
                return Err("was in voice in another guild".into());
            }
        }
        Action::Join { guild, who } => {
            let life = &judge.members[&(guild, who)];
            let declared = &judge.guilds[guild as usize];
            let member = who < declared.sessions - declared.joining;
            let next = life.0.partition_point(|(when, _)| *when < at);
            let was = next.checked_sub(1).map_or(member, |last| life.0[last].1 != Turn::End);
            if was || !judge.is_awake(at, guild, who) {
                return Err("is a member already, or not there".into());
            }
        }
        Action::Leave { guild, who } => {
            let session = judge.session(guild, who);
            if voice.get(&session).is_some_and(|(place, _)| *place == guild) {
                voice.remove(&session);
            }
            if (0..judge.guilds[guild as usize].channels.len() as u32).any(|channel| {
                let declared = &judge.guilds[guild as usize];
                declared.channels[channel as usize].share.is_some() && who < declared.viewers(channel)
            }) {
                return Err("sees hidden channels, and would not after coming back".into());
            }
        }
        Action::Connect { guild, who } => {
            status.insert(judge.session(guild, who), Status::Online);
            let life = &judge.sessions[&judge.session(guild, who)].0;
            let place = life.partition_point(|(when, _)| *when < at);
            let before = place.checked_sub(1).map(|last| life[last]);
            let closed = before.is_none_or(|(_, turn)| turn == Turn::End);
            if !closed || (before.is_none() && !judge.absent.contains(&judge.session(guild, who))) {
                return Err("is connected already".into());
            }
        }
        Action::Close { guild, who } => {
            voice.remove(&judge.session(guild, who));
        }
        Action::ChannelDelete { guild, channel } => {
            let life = &judge.channels[&(guild, channel)].0;
            if life.len() != 2 || life[1] != (at, Turn::End) {
                return Err("a channel that was not made during the traffic, or twice".into());
            }
        }
        Action::ChannelCreate { .. } | Action::Cut { .. } | Action::Storm { .. } => {}
        Action::Guild(_) | Action::Lost { .. } => return Err("not in a made-up trace".into()),
    }
    Ok(())
}
