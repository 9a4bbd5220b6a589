//! Finds a scenario, those that come with the program included, and checks it.

use std::path::Path;

use crate::model::scenario::check;
use crate::model::scenario::description::Scenario;

/// The scenarios that come with the program: name and file.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("launch-day", include_str!("../../../scenarios/launch-day.toml")),
    ("midjourney", include_str!("../../../scenarios/midjourney.toml")),
    ("one-loud-neighbour", include_str!("../../../scenarios/one-loud-neighbour.toml")),
    ("quiet", include_str!("../../../scenarios/quiet.toml")),
    ("reconnect-storm", include_str!("../../../scenarios/reconnect-storm.toml")),
    ("small-guilds", include_str!("../../../scenarios/small-guilds.toml")),
    ("smoke", include_str!("../../../scenarios/smoke.toml")),
    ("voice-party", include_str!("../../../scenarios/voice-party.toml")),
];

/// The scenario of that name, or in that file.
///
/// # Errors
/// If there is none, or something is wrong with it: names file, key, value, and what is allowed.
pub fn load(name: &str) -> Result<Scenario, String> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return parse(name, &format!("{name}.toml"), text);
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        format!("{name}: {error}; it is no scenario that comes with the program either: {}", known.join(", "))
    })?;
    let stem = path.file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
    parse(&stem, name, &text)
}

/// A scenario from its text.
///
/// # Errors
/// If something is wrong with it; `file` is what the error calls it.
pub fn parse(name: &str, file: &str, text: &str) -> Result<Scenario, String> {
    let mut scenario: Scenario = toml::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    name.clone_into(&mut scenario.name);
    check::check(&scenario).map_err(|what| format!("{file}: {what}"))?;
    Ok(scenario)
}
