//! Makes a trace of a scenario. The same scenario, seed and scale give the same trace, byte for byte, on every machine.
//!
//! First all arrivals of all rates get their times; then one pass through time decides who does each, and where. Each
//! decision has a chance of its own ([`chance_for`]), so that one more parameter, or one more rate, does not change
//! what it does not concern.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use crate::base::limits;
use crate::base::random::Chance;
use crate::model::scenario::arrivals::Curve;
use crate::model::scenario::check::number;
use crate::model::scenario::description::{Group, Phase, Rates, Scenario, Talk, Weights};
use crate::model::scenario::guild_setup::{SetupGuild, chance_for, number_of};
use crate::model::scenario::population::{Population, Recent, Young};
use crate::model::scenario::spread::zipf;
use crate::model::scenario::{guild_setup, population};
use crate::model::trace::{Action, ChannelKind, Guild, Header, Line, Status, Trace, VERSION};

/// How a scenario is to be played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// What all chances depend on.
    pub seed: u64,
    /// How large: see [`founding`].
    pub scale: f64,
    /// How long instead of what the scenario says; the phases are stretched alike.
    pub seconds: Option<f64>,
    /// Multiplies messages and reactions, and with them edits, deletes and typing.
    pub rate: f64,
}

impl Default for Options {
    fn default() -> Options {
        Options { seed: 1, scale: 1.0, seconds: None, rate: 1.0 }
    }
}

/// A trace, and what could not be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The trace.
    pub trace: Trace,
    /// Arrivals for which no user was there that could, by what they were.
    pub skipped: BTreeMap<&'static str, u64>,
}

/// Makes the trace.
///
/// # Errors
/// If options make no sense, or the trace would be too large.
pub fn synth(scenario: &Scenario, options: &Options) -> Result<Made, String> {
    if !(options.scale > 0.0 && options.scale <= limits::SCENARIO_SCALE_MAX) {
        return Err(format!("scale = {}: must be above 0, and at most {}", options.scale, limits::SCENARIO_SCALE_MAX));
    }
    number("rate", options.rate, 0.0, limits::SCENARIO_RATE_MAX)?;
    let natural: f64 = scenario.phases.iter().map(|phase| phase.seconds).sum();
    let seconds = options.seconds.unwrap_or(natural);
    if !(seconds > 0.0 && seconds <= limits::SCENARIO_SECONDS_MAX) || natural <= 0.0 {
        return Err(format!("seconds = {seconds}: must be above 0, and at most {}", limits::SCENARIO_SECONDS_MAX));
    }
    let founded = guild_setup::found(scenario, options.seed, options.scale)?;
    let lasts = (seconds * 1e6) as u64;
    let mut trace = Trace {
        header: Header {
            trace: "guildhall".into(),
            version: VERSION,
            by: "synth".into(),
            name: scenario.name.clone(),
            seed: Some(options.seed),
            scale: Some(options.scale),
            rate: (options.rate != 1.0).then_some(options.rate),
            began: 0,
            lasts: Some(lasts),
        },
        guilds: founded.iter().map(|founded| founded.guild.clone()).collect(),
        actions: Vec::new(),
    };
    let schedule = Schedule { scenario, founded: &founded, stretch: seconds / natural, rate: options.rate, lasts };
    let storms = schedule.storms();
    let arrivals = schedule.arrivals(&storms)?;
    let firsts = trace.firsts();
    let mut pass = Pass {
        groups: scenario.groups.iter().map(GroupTalk::new).collect(),
        founded: &founded,
        storms: &storms,
        population: Population::new(&trace.guilds, firsts),
        lasts,
        later: BinaryHeap::new(),
        order: 0,
        out: Vec::with_capacity(arrivals.len()),
        messages: 0,
        reacted: HashSet::new(),
        skipped: BTreeMap::new(),
    };
    for arrival in arrivals {
        pass.catch_up(arrival.at)?;
        pass.handle_arrival(&arrival);
    }
    pass.catch_up(lasts)?;
    let (actions, skipped) = (pass.out, pass.skipped);
    trace.actions = actions;
    Ok(Made { trace, skipped })
}

/// Something whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: u64,
    what: What,
    guild: u32,
    /// Which of its kind, in its guild: what its chances depend on.
    index: u32,
}

/// What arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Storm,
    Connect,
    Join,
    Cut,
    Close,
    Leave,
    ChannelCreate,
    ChannelDelete,
    Typing,
    Message,
    Reaction,
    Presence,
    VoiceJoin,
    VoiceMove,
    VoiceLeave,
    History,
    Scroll,
}

/// A rate as it is in the file, what it makes, and how many per second in a guild of so many sessions. The word is what
/// the chance of the times depends on.
type Source = (&'static str, What, fn(&Rates, u32) -> f64);

const SOURCES: &[Source] = &[
    ("messages", What::Message, |rates, _| rates.messages),
    ("reactions", What::Reaction, |rates, _| rates.reactions),
    ("channel_creates", What::ChannelCreate, |rates, _| rates.channel_creates),
    ("channel_deletes", What::ChannelDelete, |rates, _| rates.channel_deletes),
    ("presences", What::Presence, |rates, sessions| rates.presences.of(sessions)),
    ("histories", What::History, |rates, sessions| rates.histories.of(sessions)),
    ("scrolls", What::Scroll, |rates, sessions| rates.scrolls.of(sessions)),
    ("joins", What::Join, |rates, sessions| rates.joins.of(sessions)),
    ("leaves", What::Leave, |rates, sessions| rates.leaves.of(sessions)),
    ("connects", What::Connect, |rates, sessions| rates.connects.of(sessions)),
    ("closes", What::Close, |rates, sessions| rates.closes.of(sessions)),
    ("cuts", What::Cut, |rates, sessions| rates.cuts.of(sessions)),
    ("voice_joins", What::VoiceJoin, |rates, sessions| rates.voice_joins.of(sessions)),
    ("voice_moves", What::VoiceMove, |rates, sessions| rates.voice_moves.of(sessions)),
    ("voice_leaves", What::VoiceLeave, |rates, sessions| rates.voice_leaves.of(sessions)),
];

/// A storm of one guild.
struct StormAt {
    guild: u32,
    at: u64,
    share: f64,
    over: u64,
}

/// All times.
struct Schedule<'a> {
    scenario: &'a Scenario,
    founded: &'a [SetupGuild],
    stretch: f64,
    rate: f64,
    lasts: u64,
}

impl Schedule<'_> {
    fn storms(&self) -> Vec<StormAt> {
        let mut storms = Vec::new();
        let mut begin = 0.0;
        for phase in &self.scenario.phases {
            for storm in &phase.storm {
                let at = ((begin + storm.at) * self.stretch * 1e6) as u64;
                let over = (storm.over * 1e6) as u64;
                let hit = self.founded.iter().filter(|founded| self.scenario.groups[founded.group].name == storm.group);
                storms.extend(hit.map(|founded| StormAt { guild: founded.guild.guild, at, share: storm.share, over }));
            }
            begin += phase.seconds;
        }
        storms.retain(|storm| storm.at < self.lasts);
        storms
    }

    fn arrivals(&self, storms: &[StormAt]) -> Result<Vec<Arrival>, String> {
        let mut arrivals = Vec::new();
        for (index, storm) in storms.iter().enumerate() {
            let at = storm.at.saturating_sub(population::SILENCE);
            arrivals.push(Arrival { at, what: What::Storm, guild: storm.guild, index: index as u32 });
        }
        let mut expected = 0.0;
        for founded in self.founded {
            let group = &self.scenario.groups[founded.group];
            let talks = GroupTalk::new(group);
            for (word, what, rate) in SOURCES {
                let talk = matches!(what, What::Message | What::Reaction);
                let factor = if talk { founded.weight * self.rate } else { 1.0 };
                let curve = self.curve(group, |rates| rate(rates, founded.guild.sessions) * factor);
                expected += curve.total();
                if expected > limits::TRACE_ACTIONS_MAX as f64 {
                    return Err(format!(
                        "more than {} actions: shrink the scale, the time or the rate",
                        limits::TRACE_ACTIONS_MAX
                    ));
                }
                let mut chance = chance_for(founded.seed, number_of(word), 0);
                let guild = founded.guild.guild;
                for (index, at) in curve.times(self.scenario.arrivals, &mut chance).into_iter().enumerate() {
                    // Rounding can put the last one on the end.
                    let arrival = Arrival { at: at.min(self.lasts - 1), what: *what, guild, index: index as u32 };
                    arrivals.push(arrival);
                    if *what == What::Message {
                        arrivals.extend(talks.typing(founded.seed, &arrival));
                    }
                }
            }
        }
        arrivals.sort_unstable();
        Ok(arrivals)
    }

    fn curve(&self, group: &Group, rate: impl Fn(&Rates) -> f64) -> Curve {
        let mut curve = Curve::default();
        let of = |phase: &Phase| phase.rates.get(&group.name).map_or(0.0, &rate);
        let mut before = 0.0;
        for phase in &self.scenario.phases {
            let now = of(phase);
            curve.push(phase.ramp * self.stretch, before, now);
            curve.push((phase.seconds - phase.ramp) * self.stretch, now, now);
            before = now;
        }
        curve
    }
}

/// What a group talks like, in the form that is drawn from.
struct GroupTalk<'a> {
    group: &'a Group,
    talks: Vec<(Talk, Vec<f64>)>,
    /// Of the kinds of messages, each with those before it.
    shares: Vec<f64>,
}

impl GroupTalk<'_> {
    fn new(group: &Group) -> GroupTalk<'_> {
        let text = (group.text + group.hidden.iter().map(|hidden| hidden.text).sum::<u32>()) as usize;
        let talks = if group.talk.is_empty() { vec![Talk::default()] } else { group.talk.clone() };
        let shares = sums(talks.iter().map(|talk| talk.share));
        let talks = talks
            .into_iter()
            .map(|talk| {
                let weights = match &talk.channels {
                    Weights::Even => sums((0..text).map(|_| 1.0)),
                    Weights::Zipf => sums((0..text).map(|channel| 1.0 / (channel + 1) as f64)),
                    Weights::List(weights) => sums(weights.iter().copied()),
                };
                (talk, weights)
            })
            .collect();
        GroupTalk { group, talks, shares }
    }

    /// The kind of a message.
    fn talk(&self, seed: u64, index: u32) -> &(Talk, Vec<f64>) {
        let share = chance_for(seed, number_of("talk"), u64::from(index)).share();
        &self.talks[pick(&self.shares, share)]
    }

    /// The typing before a message, if there is any.
    fn typing(&self, seed: u64, message: &Arrival) -> Option<Arrival> {
        let (talk, _) = self.talk(seed, message.index);
        let mut chance = chance_for(seed, number_of("typing"), u64::from(message.index));
        if chance.share() >= talk.typing {
            return None;
        }
        let at = message.at.checked_sub(micros(talk.typing_lead.draw(&mut chance)))?;
        Some(Arrival { at, what: What::Typing, ..*message })
    }
}

fn sums(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// Which of the weights that were summed up a share falls on.
fn pick(sums: &[f64], share: f64) -> usize {
    let place = share * sums.last().copied().unwrap_or(0.0);
    sums.partition_point(|sum| *sum <= place).min(sums.len().saturating_sub(1))
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

/// What was decided earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    Storm { index: usize },
    Edit { of: u32, guild: u32, channel: u32, who: u32, size: u32 },
    Delete { of: u32, guild: u32, channel: u32, who: u32 },
    Unreact { of: u32, guild: u32, channel: u32, who: u32, emoji: u32 },
    Join { guild: u32, who: u32 },
    Leave { guild: u32, who: u32 },
    Close { guild: u32, who: u32, offline: Option<u64> },
    Connect { guild: u32, who: u32 },
    Cut { guild: u32, who: u32 },
    HangUp { guild: u32, who: u32, channel: u32 },
    ChannelDelete { guild: u32, channel: u32 },
}

/// Messages that are looked at for something to react to: what clients show …
const RECENT: usize = 50;
/// … and, where more than that come in a moment, all of so many microseconds.
const RECENT_TIME: u64 = 3_000_000;
/// How often another user is tried before an arrival is skipped.
const TRIES: u32 = 64;

/// The pass through time.
struct Pass<'a> {
    groups: Vec<GroupTalk<'a>>,
    founded: &'a [SetupGuild],
    storms: &'a [StormAt],
    population: Population<'a>,
    lasts: u64,
    /// By time, then in the order of the decisions.
    later: BinaryHeap<Reverse<(u64, u64, Later)>>,
    order: u64,
    out: Vec<Line>,
    messages: u32,
    reacted: HashSet<(u32, u32, u32)>,
    skipped: BTreeMap<&'static str, u64>,
}

impl Pass<'_> {
    fn guild(&self, guild: u32) -> &Guild {
        &self.founded[guild as usize].guild
    }

    fn group(&self, guild: u32) -> &Group {
        self.groups[self.founded[guild as usize].group].group
    }

    fn chance(&self, word: &'static str, guild: u32, index: u32) -> Chance {
        chance_for(self.founded[guild as usize].seed, number_of(word), u64::from(index))
    }

    fn push_action(&mut self, at: u64, action: Action) {
        self.out.push(Line { at, action });
    }

    fn skip(&mut self, what: &'static str) {
        *self.skipped.entry(what).or_default() += 1;
    }

    /// Decides on something that is done at that time, unless the traffic is over by then.
    fn plan(&mut self, at: u64, later: Later) {
        if at < self.lasts {
            self.order += 1;
            self.later.push(Reverse((at, self.order, later)));
        }
    }

    /// Does all that was planned for that time or before.
    fn catch_up(&mut self, now: u64) -> Result<(), String> {
        while let Some(Reverse((at, _, later))) = self.later.peek().copied()
            && at <= now
        {
            self.later.pop();
            self.carry_out(at, later);
        }
        if self.out.len() > limits::TRACE_ACTIONS_MAX || self.messages >= limits::EVENTS_MAX {
            return Err(format!(
                "more than {} actions or {} messages: shrink the scale, the time or the rate",
                limits::TRACE_ACTIONS_MAX,
                limits::EVENTS_MAX
            ));
        }
        Ok(())
    }

    fn carry_out(&mut self, at: u64, later: Later) {
        let still = |pass: &Self, guild, channel, who| {
            pass.population.acts(guild, who, at) && pass.population.is_open(guild, channel, at)
        };
        match later {
            Later::Storm { index } => {
                let StormAt { guild, share, over, .. } = self.storms[index];
                self.push_action(at, Action::Storm { guild, share, over });
            }
            Later::Edit { of, guild, channel, who, size } => {
                if still(self, guild, channel, who) {
                    self.push_action(at, Action::Edit { of, size });
                } else {
                    self.skip("edit");
                }
            }
            Later::Delete { of, guild, channel, who } => {
                if still(self, guild, channel, who) {
                    self.push_action(at, Action::Delete { of });
                } else {
                    self.skip("delete");
                }
            }
            Later::Unreact { of, guild, channel, who, emoji } => {
                if still(self, guild, channel, who) {
                    self.push_action(at, Action::Unreact { of, guild, who, emoji });
                } else {
                    self.skip("unreact");
                }
            }
            Later::Join { guild, who } => {
                if self.population.awake(guild, who, at) {
                    self.join(at, guild, who);
                } else {
                    self.population.fixtures[guild as usize].left.push_back((at, who));
                    self.skip("join");
                }
            }
            Later::Leave { guild, who } => {
                self.push_action(at, Action::Leave { guild, who });
                self.population.fixtures[guild as usize].left.push_back((at, who));
            }
            Later::Close { guild, who, offline } => {
                self.push_action(at, Action::Close { guild, who });
                match offline {
                    Some(offline) => self.plan(at + offline, Later::Connect { guild, who }),
                    None => self.population.fixtures[guild as usize].absent.push(who),
                }
            }
            Later::Connect { guild, who } => {
                // In another guild the same session may have come back already.
                if self.storm_is_near(at) {
                    self.plan(at + population::SILENCE, Later::Connect { guild, who });
                } else if self.population.may_connect(guild, who, at) {
                    self.population.connect(guild, who, at);
                    self.push_action(at, Action::Connect { guild, who });
                }
            }
            Later::HangUp { guild, who, channel } => {
                // A user that has moved meanwhile stays as long again; one that is just being cut stays in the call.
                if self.population.voice(guild, who) == Some((guild, channel)) && self.population.acts(guild, who, at) {
                    self.population.hang_up(guild, who);
                    self.push_action(at, Action::Voice { guild, who, channel: None });
                }
            }
            Later::Cut { guild, who } => self.push_action(at, Action::Cut { guild, who }),
            Later::ChannelDelete { guild, channel } => self.push_action(at, Action::ChannelDelete { guild, channel }),
        }
    }

    fn handle_arrival(&mut self, arrival: &Arrival) {
        let Arrival { at, what, guild, index } = *arrival;
        let done = match what {
            What::Storm => {
                let StormAt { at, share, over, .. } = self.storms[index as usize];
                self.population.storm(guild, at, share, over);
                self.plan(at, Later::Storm { index: index as usize });
                Some(())
            }
            What::Connect => self.connect(at, guild, index),
            What::Join => self.invite(at, guild),
            What::Cut => self.depart("cut", at, guild, index).map(|who| {
                self.population.cut(guild, who, at);
                self.plan(at + population::SILENCE, Later::Cut { guild, who });
            }),
            What::Close => self.depart("close", at, guild, index).map(|who| {
                self.population.close(guild, who, at);
                let offline = self.group(guild).offline;
                let offline = offline.map(|offline| micros(offline.draw(&mut self.chance("offline", guild, index))));
                self.plan(at + population::SILENCE, Later::Close { guild, who, offline });
            }),
            What::Leave => self.depart("leave", at, guild, index).map(|who| {
                self.population.leave(guild, who);
                self.plan(at + population::SILENCE, Later::Leave { guild, who });
            }),
            What::ChannelCreate => self.create_channel(at, guild),
            What::ChannelDelete => self.delete_channel(at, guild),
            What::Typing => self.speaker(at, guild, index).map(|(channel, who)| {
                self.push_action(at, Action::Typing { guild, channel, who });
            }),
            What::Message => self.post(at, guild, index),
            What::Reaction => self.react(at, guild, index),
            What::Presence => self.change_status(at, guild, index),
            What::VoiceJoin => self.join_voice(at, guild, index),
            What::VoiceMove => self.move_voice(at, guild, index),
            What::VoiceLeave => self.leave_voice(at, guild, index),
            What::History => self.read_history(at, guild, index),
            What::Scroll => self.scroll(at, guild, index),
        };
        if done.is_none() {
            self.skip(what.word());
        }
    }

    /// A user that acts, of the first `people`; of those who have the guild open, if there are any.
    fn anybody(&self, at: u64, guild: u32, people: u32, looking: bool, chance: &mut Chance) -> Option<u32> {
        let declared = self.guild(guild);
        let lookers = if looking { declared.lookers(people) } else { 0 };
        (0..TRIES).find_map(|_| {
            let who = if lookers > 0 {
                declared.looker(chance.between(0, u64::from(lookers)) as u32)
            } else {
                chance.between(0, u64::from(people)) as u32
            };
            self.population.acts(guild, who, at).then_some(who)
        })
    }

    /// A user that can be cut, can close or leave.
    fn depart(&self, word: &'static str, at: u64, guild: u32, index: u32) -> Option<u32> {
        let declared = self.guild(guild);
        let mut chance = self.chance(word, guild, index);
        // A user that sees hidden channels does not leave: coming back would be as one that does not.
        let hidden =
            (0..declared.channels.len() as u32).filter(|channel| declared.channels[*channel as usize].share.is_some());
        let staff =
            if word == "leave" { hidden.map(|channel| declared.viewers(channel)).max().unwrap_or(0) } else { 0 };
        let people = u64::from(declared.sessions);
        (0..TRIES)
            .map(|_| chance.between(u64::from(staff), people) as u32)
            .find(|who| *who < declared.sessions && self.population.is_free(guild, *who, at))
    }

    /// A storm that is announced already cuts those who are connected when it comes; so no session connects in between.
    fn storm_is_near(&self, at: u64) -> bool {
        self.storms.iter().any(|storm| (storm.at.saturating_sub(population::SILENCE)..=storm.at).contains(&at))
    }

    fn connect(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        if self.storm_is_near(at) {
            return None;
        }
        let mut chance = self.chance("connect", guild, index);
        for _ in 0..TRIES {
            let absent = &self.population.fixtures[guild as usize].absent;
            let place = chance.between(0, absent.len() as u64) as usize;
            let who = *absent.get(place)?;
            let back_already = self.population.is_connected(guild, who);
            if back_already || self.population.may_connect(guild, who, at) {
                self.population.fixtures[guild as usize].absent.swap_remove(place);
            }
            if !back_already && self.population.may_connect(guild, who, at) {
                self.population.connect(guild, who, at);
                self.push_action(at, Action::Connect { guild, who });
                return Some(());
            }
        }
        None
    }

    /// A user gets an invite: opens the client, if it is not open, and joins.
    fn invite(&mut self, at: u64, guild: u32) -> Option<()> {
        let sessions = self.guild(guild).sessions;
        let fixture = &self.population.fixtures[guild as usize];
        let first_time = fixture.joiner < sessions;
        let who = if first_time {
            fixture.joiner
        } else {
            fixture.left.front().filter(|(left, _)| left + population::PAUSE <= at)?.1
        };
        let awake = self.population.awake(guild, who, at);
        if !awake && (self.storm_is_near(at) || !self.population.may_connect(guild, who, at)) {
            return None;
        }
        let fixture = &mut self.population.fixtures[guild as usize];
        if first_time {
            fixture.joiner += 1;
        } else {
            fixture.left.pop_front();
        }
        if awake {
            self.join(at, guild, who);
        } else {
            self.population.connect(guild, who, at);
            self.push_action(at, Action::Connect { guild, who });
            self.plan(at + population::ARRIVAL, Later::Join { guild, who });
        }
        Some(())
    }

    fn join(&mut self, at: u64, guild: u32, who: u32) {
        self.population.join(guild, who, at);
        self.push_action(at, Action::Join { guild, who });
    }

    fn create_channel(&mut self, at: u64, guild: u32) -> Option<()> {
        let declared = self.guild(guild).channels.len();
        let fixture = &mut self.population.fixtures[guild as usize];
        let there = declared + fixture.young.len() < limits::SCENARIO_CHANNELS_MAX as usize;
        if !there || fixture.channels >= limits::TRACE_CHANNELS_MAX {
            return None;
        }
        fixture.young.push_back(Young { channel: fixture.channels, open: at + population::SETTLING });
        fixture.channels += 1;
        self.push_action(at, Action::ChannelCreate { guild });
        Some(())
    }

    fn delete_channel(&mut self, at: u64, guild: u32) -> Option<()> {
        let fixture = &mut self.population.fixtures[guild as usize];
        let channel = fixture.young.front().filter(|young| young.open <= at)?.channel;
        fixture.young.pop_front();
        self.plan(at + population::SILENCE, Later::ChannelDelete { guild, channel });
        Some(())
    }

    /// The text channel and the author of a message. Typing asks the same way, and so finds the same, unless something
    /// has happened.
    fn speaker(&self, at: u64, guild: u32, index: u32) -> Option<(u32, u32)> {
        let founded = &self.founded[guild as usize];
        let (talk, weights) = self.groups[founded.group].talk(founded.seed, index);
        let mut chance = self.chance("channel", guild, index);
        let channel = self.text_channel(at, guild, weights, &mut chance)?;
        let declared = &founded.guild;
        let viewers = declared.viewers(channel);
        let lookers = declared.lookers(viewers);
        let writers = if lookers > 0 { lookers } else { viewers };
        let writers = if talk.speakers > 0 { writers.min(talk.speakers) } else { writers };
        let mut chance = self.chance("author", guild, index);
        let who = (0..TRIES).find_map(|tried| {
            // The loudest may all be away: then it is anybody.
            let rank = zipf(&mut chance, writers, if tried < TRIES / 2 { talk.authors } else { 0.0 });
            let who = if lookers > 0 { declared.looker(rank) } else { rank };
            (who < viewers && self.population.acts(guild, who, at)).then_some(who)
        })?;
        Some((channel, who))
    }

    /// One of the text channels that are there. One that was made during the traffic counts as the mean of the others.
    fn text_channel(&self, at: u64, guild: u32, weights: &[f64], chance: &mut Chance) -> Option<u32> {
        let young = &self.population.fixtures[guild as usize].young;
        let old = weights.len() as f64;
        let place = chance.share() * (old + young.len() as f64);
        let share = chance.share();
        if place >= old {
            let channel = young.get((place - old) as usize)?.channel;
            if self.population.is_open(guild, channel, at) {
                return Some(channel);
            }
        }
        (!weights.is_empty()).then(|| pick(weights, share) as u32)
    }

    fn post(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let (channel, who) = self.speaker(at, guild, index)?;
        let founded = &self.founded[guild as usize];
        let (talk, _) = self.groups[founded.group].talk(founded.seed, index).clone();
        let of = self.messages;
        self.messages += 1;
        let size = talk.size.draw(&mut self.chance("size", guild, index)).round() as u32;
        self.push_action(at, Action::Message { guild, channel, who, size });

        let mut gone = u64::MAX;
        let mut chance = self.chance("delete", guild, index);
        if chance.share() < talk.deleted {
            gone = at + micros(talk.delete_delay.draw(&mut chance));
            self.plan(gone, Later::Delete { of, guild, channel, who });
        }
        let mut chance = self.chance("edit", guild, index);
        if chance.share() < talk.edited {
            let mut when = at;
            for _ in 0..talk.edits.draw(&mut chance).round() as u32 {
                when += micros(talk.edit_delay.draw(&mut chance));
                let size = talk.size.draw(&mut chance).round() as u32;
                if when + population::SILENCE < gone {
                    self.plan(when, Later::Edit { of, guild, channel, who, size });
                }
            }
        }
        let recent = &mut self.population.fixtures[guild as usize].recent;
        while recent.len() >= RECENT && recent.front().is_some_and(|oldest| oldest.at + RECENT_TIME < at) {
            recent.pop_front();
        }
        recent.push_back(Recent { of, at, channel, gone });
        Some(())
    }

    fn react(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let settings = self.group(guild).reactions.clone();
        let mut chance = self.chance("react", guild, index);
        let recent = &self.population.fixtures[guild as usize].recent;
        let (message, who, emoji) = (0..TRIES).find_map(|_| {
            let message = *recent.get(chance.between(0, recent.len() as u64) as usize)?;
            let soon = message.at + population::SILENCE > at || message.gone <= at + population::SILENCE;
            if soon || !self.population.is_open(guild, message.channel, at) {
                return None;
            }
            let viewers = self.guild(guild).viewers(message.channel);
            let who = self.anybody(at, guild, viewers, true, &mut chance)?;
            let emoji = zipf(&mut chance, settings.emojis, 1.0);
            (!self.reacted.contains(&(message.of, who, emoji))).then_some((message, who, emoji))
        })?;
        self.reacted.insert((message.of, who, emoji));
        let Recent { of, channel, gone, .. } = message;
        let mut chance = self.chance("unreact", guild, index);
        let taken_back = chance.share() < settings.taken_back;
        let when = at + micros(settings.delay.draw(&mut chance));
        self.push_action(at, Action::React { of, guild, who, emoji });
        if taken_back && when + population::SILENCE < gone {
            self.plan(when, Later::Unreact { of, guild, channel, who, emoji });
        }
        Some(())
    }

    fn change_status(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let mut chance = self.chance("presence", guild, index);
        let who = self.anybody(at, guild, self.guild(guild).sessions, false, &mut chance)?;
        let now = self.population.status(guild, who);
        // Most changes are a client that notices an absent user, or a user that comes back.
        let weights = [(Status::Online, 50.0), (Status::Idle, 35.0), (Status::Dnd, 10.0), (Status::Invisible, 5.0)];
        let others: Vec<(Status, f64)> = weights.into_iter().filter(|(status, _)| *status != now).collect();
        let (status, _) = others[pick(&sums(others.iter().map(|(_, weight)| *weight)), chance.share())];
        self.population.set_status(guild, who, status);
        self.push_action(at, Action::Presence { guild, who, status });
        Some(())
    }

    fn join_voice(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let mut chance = self.chance("voice_join", guild, index);
        let (who, channel) = (0..TRIES).find_map(|_| {
            let who = self.anybody(at, guild, self.guild(guild).sessions, false, &mut chance)?;
            if self.population.voice(guild, who).is_some() {
                return None;
            }
            Some((who, self.voice_channel(guild, who, None, &mut chance)?))
        })?;
        self.talk(at, guild, who, channel, &mut chance);
        Some(())
    }

    /// A voice channel that a user sees and is not in.
    fn voice_channel(&self, guild: u32, who: u32, now_in: Option<u32>, chance: &mut Chance) -> Option<u32> {
        let declared = self.guild(guild);
        let seen = (0..declared.channels.len() as u32).filter(|channel| {
            let voice = declared.channels[*channel as usize].kind == ChannelKind::Voice;
            voice && who < declared.viewers(*channel) && Some(*channel) != now_in
        });
        let seen: Vec<u32> = seen.collect();
        seen.get(chance.between(0, seen.len() as u64) as usize).copied()
    }

    /// A user that is in voice and acts.
    fn talker(&self, at: u64, guild: u32, chance: &mut Chance) -> Option<u32> {
        let voice = &self.population.fixtures[guild as usize].voice;
        (0..TRIES).find_map(|_| {
            let who = *voice.get(chance.between(0, voice.len() as u64) as usize)?;
            self.population.acts(guild, who, at).then_some(who)
        })
    }

    fn move_voice(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let mut chance = self.chance("voice_move", guild, index);
        let who = self.talker(at, guild, &mut chance)?;
        let now_in = self.population.voice(guild, who).map(|(_, channel)| channel);
        let channel = self.voice_channel(guild, who, now_in, &mut chance)?;
        self.talk(at, guild, who, channel, &mut chance);
        Some(())
    }

    fn talk(&mut self, at: u64, guild: u32, who: u32, channel: u32, chance: &mut Chance) {
        self.population.talk(guild, who, channel);
        self.push_action(at, Action::Voice { guild, who, channel: Some(channel) });
        if let Some(stay) = self.group(guild).voice_stay {
            self.plan(at + micros(stay.draw(chance)), Later::HangUp { guild, who, channel });
        }
    }

    fn leave_voice(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let mut chance = self.chance("voice_leave", guild, index);
        let who = self.talker(at, guild, &mut chance)?;
        self.population.hang_up(guild, who);
        self.push_action(at, Action::Voice { guild, who, channel: None });
        Some(())
    }

    fn read_history(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let mut chance = self.chance("history", guild, index);
        let (_, weights) = &self.groups[self.founded[guild as usize].group].talks[0];
        let channel = self.text_channel(at, guild, weights, &mut chance)?;
        let who = self.anybody(at, guild, self.guild(guild).viewers(channel), true, &mut chance)?;
        // What the official client asks for.
        self.push_action(at, Action::History { guild, channel, who, limit: 50 });
        Some(())
    }

    fn scroll(&mut self, at: u64, guild: u32, index: u32) -> Option<()> {
        let mut chance = self.chance("scroll", guild, index);
        let declared = self.guild(guild);
        let text =
            declared.channels.iter().filter(|channel| channel.kind == ChannelKind::Text && channel.share.is_none());
        let channels = text.count() as u64;
        if channels == 0 {
            return None;
        }
        let channel = chance.between(0, channels) as u32;
        let who = self.anybody(at, guild, declared.sessions, true, &mut chance)?;
        // Clients ask for pages of 100 rows; most people look at the first ones only.
        let page = zipf(&mut chance, declared.sessions.div_ceil(100), 1.5);
        self.push_action(at, Action::Scroll { guild, channel, who, first: page * 100, last: page * 100 + 99 });
        Some(())
    }
}

impl What {
    /// What is skipped, in the words of the trace as far as they tell it.
    fn word(self) -> &'static str {
        match self {
            What::Storm => "storm",
            What::Connect => "connect",
            What::Join => "join",
            What::Cut => "cut",
            What::Close => "close",
            What::Leave => "leave",
            What::ChannelCreate => "channel_create",
            What::ChannelDelete => "channel_delete",
            What::Typing => "typing",
            What::Message => "message",
            What::Reaction => "react",
            What::Presence => "presence",
            What::VoiceJoin => "voice_join",
            What::VoiceMove => "voice_move",
            What::VoiceLeave => "voice_leave",
            What::History => "history",
            What::Scroll => "scroll",
        }
    }
}
