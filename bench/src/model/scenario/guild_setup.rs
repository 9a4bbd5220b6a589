//! Guilds as a scenario describes them: how many, how large, with which channels and whose sessions, at a scale.
//!
//! The scale's rule: of a group with more than 20 guilds there are fewer guilds, of the same size; guilds of other
//! groups get smaller, but keep their channels and roles. Rates per guild stay, so that a session sees the same traffic
//! whatever the scale is; rates per 1,000 sessions shrink with the sessions. Time stays. A group can be `busier` when
//! it is smaller.

use crate::base::random::Chance;
use crate::base::{limits, random};
use crate::model::scenario::description::{Group, Scenario};
use crate::model::trace::{Channel, ChannelKind, Guild};

/// A guild, and which group it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct SetupGuild {
    /// Its declaration.
    pub guild: Guild,
    /// The group's place in the scenario.
    pub group: usize,
    /// By what its messages and reactions are multiplied.
    pub weight: f64,
    /// The seed of all that is random in it: depends on the group's name and the guild's number in the group only.
    pub seed: u64,
}

/// A number for a word (FNV-1a).
pub const fn number_of(word: &str) -> u64 {
    let bytes = word.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// The chance that belongs to a purpose and a number, and to nothing else: what is drawn from it changes nothing
/// elsewhere.
pub fn chance_for(seed: u64, purpose: u64, number: u64) -> Chance {
    Chance::new(random::mix(seed ^ random::mix(purpose)).wrapping_add(random::mix(number)))
}

/// All guilds of a scenario.
///
/// # Errors
/// If there are too many of them, or of their people.
pub fn found(scenario: &Scenario, seed: u64, scale: f64) -> Result<Vec<SetupGuild>, String> {
    let mut all: Vec<SetupGuild> = Vec::new();
    let mut free: u64 = 0;
    for (place, group) in scenario.groups.iter().enumerate() {
        let many = group.count > limits::SCENARIO_GUILDS_KEPT;
        let count = if many { (f64::from(group.count) * scale).round().max(1.0) } else { f64::from(group.count) };
        if all.len() as f64 + count > f64::from(limits::TRACE_GUILDS_MAX) {
            return Err(format!("more than {} guilds at this scale", limits::TRACE_GUILDS_MAX));
        }
        let size = if many { 1.0 } else { scale };
        let begin = all.len();
        for number in 0..count as u64 {
            let seed = random::mix(random::mix(seed) ^ number_of(&group.name)).wrapping_add(random::mix(number));
            let guild = found_one(group, all.len() as u32, seed, size);
            all.push(SetupGuild { guild, group: place, weight: 1.0, seed });
        }
        let sum: u64 = all[begin..].iter().map(|founded| u64::from(founded.guild.sessions)).sum();
        if free + sum > limits::TRACE_PEOPLE_MAX {
            return Err(format!("more than {} people who are online at this scale", limits::TRACE_PEOPLE_MAX));
        }
        let mean = sum as f64 / count;
        for founded in &mut all[begin..] {
            let by_size = if group.by_size { f64::from(founded.guild.sessions) / mean } else { 1.0 };
            founded.weight = by_size * libm::pow(size, -group.busier);
        }
        free = if group.overlap > 1.0 { overlap(&mut all[begin..], free, group.overlap) } else { free + sum };
    }
    Ok(all)
}

/// Lays the guilds side by side over the same sessions, in rows: returns the first session behind them.
fn overlap(guilds: &mut [SetupGuild], begin: u64, overlap: f64) -> u64 {
    let sum: u64 = guilds.iter().map(|founded| u64::from(founded.guild.sessions)).sum();
    let largest = guilds.iter().map(|founded| u64::from(founded.guild.sessions)).max().unwrap_or(0);
    let wanted = ((sum as f64 / overlap).ceil() as u64).max(largest);
    // The first row ends with a guild, so that every session is in one.
    let mut width = wanted;
    let (mut at, mut first_row) = (0, true);
    for SetupGuild { guild, .. } in guilds {
        let sessions = u64::from(guild.sessions);
        if at + sessions > width {
            if first_row {
                width = largest.max(at);
                first_row = false;
            }
            at = 0;
        }
        guild.first = Some((begin + at) as u32);
        at += sessions;
    }
    begin + if first_row { at } else { width }
}

fn found_one(group: &Group, number: u32, seed: u64, size: f64) -> Guild {
    let members = group.members.draw(&mut chance_for(seed, number_of("members"), 0)).round();
    let online = group.online.of(members).min(members);
    let joining = group.joining.of(online);
    let least = f64::from(limits::SCENARIO_SESSIONS_MIN).min(members);
    let online_here = (online * size).round().max(least) as u32;
    let joining_here = if joining >= 1.0 { (joining * size).round().max(1.0) as u32 } else { 0 };
    let sessions = online_here + joining_here;
    let present = (f64::from(online_here) * group.present).round() as u32;

    let open = |kind, count: u32| (0..count).map(move |_| Channel { kind, share: None });
    let mut channels: Vec<Channel> = open(ChannelKind::Text, group.text).collect();
    let mut voice: Vec<Channel> = open(ChannelKind::Voice, group.voice).collect();
    for hidden in &group.hidden {
        let viewers = (hidden.share * f64::from(online_here)).round().max(1.0);
        let share = Some((viewers / f64::from(sessions)).min(1.0));
        channels.extend((0..hidden.text).map(|_| Channel { kind: ChannelKind::Text, share }));
        voice.extend((0..hidden.voice).map(|_| Channel { kind: ChannelKind::Voice, share }));
    }
    channels.extend(voice);
    Guild {
        guild: number,
        group: Some(group.name.as_str().into()),
        members: ((members * size).round() as u64).max(u64::from(online_here)),
        sessions,
        first: None,
        present: (group.present < 1.0).then_some(present),
        joining: joining_here,
        looking: group.looking,
        roles: group.roles,
        channels,
    }
}
