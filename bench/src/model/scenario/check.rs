//! Whether a scenario's values make sense, before anything is made of them.

use crate::base::limits;
use crate::model::scenario::description::{Amount, Group, Phase, Rates, Scenario, Talk, Weights};
use crate::model::scenario::spread::Spread;

/// Looks at every value.
///
/// # Errors
/// The first that makes no sense: where it is, its key, what it is, and what is allowed.
pub fn check(scenario: &Scenario) -> Result<(), String> {
    if scenario.groups.is_empty() || scenario.phases.is_empty() {
        return Err("there must be at least one [[guild]] and one [[phase]]".into());
    }
    for (number, group) in scenario.groups.iter().enumerate() {
        let place = format!("guild `{}`", group.name);
        if group.name.is_empty() || scenario.groups[..number].iter().any(|other| other.name == group.name) {
            return Err(format!("{place}: name: must not be empty, and no other group's"));
        }
        check_group(group).map_err(|what| format!("{place}: {what}"))?;
    }
    for phase in &scenario.phases {
        check_phase(scenario, phase).map_err(|what| format!("phase `{}`: {what}", phase.name))?;
    }
    let seconds: f64 = scenario.phases.iter().map(|phase| phase.seconds).sum();
    number("seconds of all phases", seconds, 0.0, limits::SCENARIO_SECONDS_MAX)
}

fn check_group(group: &Group) -> Result<(), String> {
    let people = limits::TRACE_PEOPLE_MAX as f64;
    number("count", f64::from(group.count), 1.0, f64::from(limits::TRACE_GUILDS_MAX))?;
    spread("members", &group.members, 1.0, limits::SCENARIO_MEMBERS_MAX)?;
    amount("online", group.online, people)?;
    amount("joining", group.joining, people)?;
    number("present", group.present, 0.0, 1.0)?;
    number("looking", group.looking, 0.0, 1.0)?;
    number("overlap", group.overlap, 1.0, 100.0)?;
    if group.overlap > 1.0 && group.present < 1.0 {
        return Err(
            "present: must be 1 if overlap is above 1, since a session is connected to all its guilds at once".into()
        );
    }
    number("busier", group.busier, 0.0, 1.0)?;
    if let Some(stay) = &group.voice_stay {
        spread("voice_stay", stay, LEAST_DELAY, limits::SCENARIO_SECONDS_MAX)?;
    }
    if let Some(offline) = &group.offline {
        spread("offline", offline, LEAST_OFFLINE, limits::SCENARIO_SECONDS_MAX)?;
    }
    number("roles", f64::from(group.roles), 0.0, 249.0)?;
    let mut text = group.text;
    let mut channels = group.text.saturating_add(group.voice);
    for (index, hidden) in group.hidden.iter().enumerate() {
        number(&format!("hidden[{index}].share"), hidden.share, 0.0, 1.0)?;
        text = text.saturating_add(hidden.text);
        channels = channels.saturating_add(hidden.text).saturating_add(hidden.voice);
    }
    number("channels, hidden ones included", f64::from(channels), 1.0, f64::from(limits::SCENARIO_CHANNELS_MAX))?;
    for (index, talk) in group.talk.iter().enumerate() {
        check_talk(talk, text).map_err(|what| format!("talk[{index}].{what}"))?;
    }
    if !group.talk.is_empty() && group.talk.iter().all(|talk| talk.share == 0.0) {
        return Err("talk: one kind at least must have a share above 0".into());
    }
    number("reactions.emojis", f64::from(group.reactions.emojis), 1.0, 20.0)?;
    number("reactions.taken_back", group.reactions.taken_back, 0.0, 1.0)?;
    spread("reactions.delay", &group.reactions.delay, LEAST_DELAY, limits::SCENARIO_SECONDS_MAX)
}

/// Seconds: what is done to a message comes at least so much later (`docs/TRACE.md`).
const LEAST_DELAY: f64 = 0.5;
/// Seconds that a user that closed stays away at least: [`crate::model::scenario::population::PAUSE`] and the time
/// until the close is through.
const LEAST_OFFLINE: f64 = 6.0;

fn check_talk(talk: &Talk, text: u32) -> Result<(), String> {
    number("share", talk.share, 0.0, 1e9)?;
    spread("size", &talk.size, 1.0, limits::CONTENT_MAX as f64)?;
    if let Weights::List(weights) = &talk.channels {
        if weights.len() != text as usize {
            return Err(format!(
                "channels has {} numbers: must have one for each of the {text} text channels, hidden ones last",
                weights.len()
            ));
        }
        weights.iter().try_for_each(|weight| number("channels", *weight, 0.0, 1e9))?;
        if weights.iter().sum::<f64>() <= 0.0 {
            return Err("channels: one number at least must be above 0".into());
        }
    }
    number("authors", talk.authors, 0.0, 10.0)?;
    number("typing", talk.typing, 0.0, 1.0)?;
    spread("typing_lead", &talk.typing_lead, LEAST_DELAY, 60.0)?;
    number("edited", talk.edited, 0.0, 1.0)?;
    spread("edits", &talk.edits, 1.0, 100.0)?;
    spread("edit_delay", &talk.edit_delay, LEAST_DELAY, limits::SCENARIO_SECONDS_MAX)?;
    number("deleted", talk.deleted, 0.0, 1.0)?;
    spread("delete_delay", &talk.delete_delay, LEAST_DELAY, limits::SCENARIO_SECONDS_MAX)
}

fn check_phase(scenario: &Scenario, phase: &Phase) -> Result<(), String> {
    number("seconds", phase.seconds, 0.0, limits::SCENARIO_SECONDS_MAX)?;
    number("ramp", phase.ramp, 0.0, phase.seconds)?;
    let known = |name: &str| -> Result<&Group, String> {
        let names: Vec<&str> = scenario.groups.iter().map(|group| group.name.as_str()).collect();
        scenario
            .groups
            .iter()
            .find(|group| group.name == name)
            .ok_or_else(|| format!("there is no guild `{name}`: there are {}", names.join(", ")))
    };
    for (name, rates) in &phase.rates {
        let group = known(name)?;
        for (key, rate) in rates.named() {
            number(&format!("rates.{name}.{key}"), rate, 0.0, limits::SCENARIO_RATE_MAX)?;
        }
        let text = group.text + group.hidden.iter().map(|hidden| hidden.text).sum::<u32>();
        let voice = group.voice + group.hidden.iter().map(|hidden| hidden.voice).sum::<u32>();
        let needs: [(&str, bool, &str); 5] = [
            ("messages", rates.messages > 0.0 && text == 0, "text channels"),
            ("reactions", rates.reactions > 0.0 && text == 0, "text channels"),
            ("histories", rates.histories.number() > 0.0 && text == 0, "text channels"),
            ("scrolls", rates.scrolls.number() > 0.0 && text == 0, "text channels"),
            ("voice_joins", rates.voice_joins.number() > 0.0 && voice == 0, "voice channels"),
        ];
        if let Some((key, _, what)) = needs.iter().find(|(_, missing, _)| *missing) {
            return Err(format!("rates.{name}.{key}: the guild has no {what}"));
        }
    }
    for (index, storm) in phase.storm.iter().enumerate() {
        known(&storm.group).map_err(|what| format!("storm[{index}].group: {what}"))?;
        number(&format!("storm[{index}].at"), storm.at, 0.0, phase.seconds)?;
        number(&format!("storm[{index}].share"), storm.share, 0.0, 1.0)?;
        number(&format!("storm[{index}].over"), storm.over, 0.0, limits::SCENARIO_SECONDS_MAX)?;
    }
    Ok(())
}

impl Rates {
    /// All of them, with their names.
    pub fn named(&self) -> [(&'static str, f64); 15] {
        [
            ("messages", self.messages),
            ("reactions", self.reactions),
            ("channel_creates", self.channel_creates),
            ("channel_deletes", self.channel_deletes),
            ("presences", self.presences.number()),
            ("histories", self.histories.number()),
            ("scrolls", self.scrolls.number()),
            ("joins", self.joins.number()),
            ("leaves", self.leaves.number()),
            ("connects", self.connects.number()),
            ("closes", self.closes.number()),
            ("cuts", self.cuts.number()),
            ("voice_joins", self.voice_joins.number()),
            ("voice_moves", self.voice_moves.number()),
            ("voice_leaves", self.voice_leaves.number()),
        ]
    }
}

/// A value from `low` to `high`, both included.
pub fn number(key: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{key} = {value}: must be from {low} to {high}"))
}

fn amount(key: &str, amount: Amount, most: f64) -> Result<(), String> {
    match amount {
        Amount::Number(count) => number(key, count as f64, 0.0, most),
        Amount::Share(share) if (0.0..=1.0).contains(&share) => Ok(()),
        Amount::Share(share) => {
            Err(format!("{key} = {share}: a share (with a point) must be from 0.0 to 1.0; a number has no point"))
        }
    }
}

fn spread(key: &str, spread: &Spread, low: f64, high: f64) -> Result<(), String> {
    spread.fault(low, high).map_or(Ok(()), |what| Err(format!("{key}: {what}")))
}
