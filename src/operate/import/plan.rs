//! One line of an import: read, and checked before anything of it is written.
//!
//! Lives on: the command's process. The format is documented in `docs/OPERATING.md`.

use serde::Deserialize;

use crate::guild::founding::{ChannelDesign, Design, RoleDesign};
use crate::limits;
use crate::model::channel::ChannelKind;
use crate::model::permissions::Permissions;

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub enum ImportStep {
    /// More people.
    Users {
        /// How many.
        count: u64,
        /// What their names begin with.
        prefix: String,
    },
    /// A guild.
    Guild(Box<GuildPlan>),
}

/// A guild to be made.
#[derive(Debug, PartialEq)]
pub struct GuildPlan {
    /// Its owner's number.
    pub owner: usize,
    /// Its name, roles and channels.
    pub design: Design,
    /// Its members; they may overlap, and the owner may be missing.
    pub members: Vec<MemberRange>,
}

/// Members of a guild with the same roles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRange {
    /// The first one's number.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Their roles, by index.
    #[serde(default)]
    pub roles: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportLine {
    users: Option<UsersLine>,
    guild: Option<GuildLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersLine {
    count: u64,
    prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuildLine {
    name: String,
    owner: usize,
    #[serde(default)]
    roles: Vec<RoleLine>,
    channels: Vec<ChannelLine>,
    #[serde(default)]
    members: Vec<MemberRange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleLine {
    name: String,
    permissions: Permissions,
    #[serde(default)]
    hoist: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelLine {
    name: String,
    #[serde(rename = "type")]
    kind: u64,
    visible_to: Option<Vec<usize>>,
}

/// Reads a line of a file that has declared so many users above it. An error begins with the field's path.
pub fn read(line: &[u8], users: usize) -> Result<ImportStep, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let line: ImportLine = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(&error))?;
    json.end().map_err(|error| format!("column {}: more than one object", error.column()))?;
    match (line.users, line.guild) {
        (Some(more), None) => check_users(more, users),
        (None, Some(guild)) => check_guild(guild, users).map(|plan| ImportStep::Guild(Box::new(plan))),
        _ => Err("a line has either `users` or `guild`".to_owned()),
    }
}

/// The field's path and its error. The place is a column, because serde_json sees each line as the first.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, inner) = (error.path(), error.inner());
    let sentence = inner.to_string();
    let place = format!(" at line {} column {}", inner.line(), inner.column());
    let sentence = sentence.strip_suffix(&place).unwrap_or(&sentence);
    if path.iter().next().is_none() {
        return format!("column {}: {sentence}", inner.column());
    }
    format!("{path}: {sentence} (column {})", inner.column())
}

fn check_users(line: UsersLine, users: usize) -> Result<ImportStep, String> {
    let prefix = text("users.prefix", &line.prefix, 1, limits::IMPORT_PREFIX_CHARS_MAX)?;
    // As at registration.
    if prefix.contains(['@', '#', ':']) || prefix.contains("```") {
        return Err("users.prefix: it contains something that a username must not contain".to_owned());
    }
    if line.count > limits::IMPORT_USERS_MAX - users as u64 {
        return Err(format!("users.count: an import makes {} users at most", limits::IMPORT_USERS_MAX));
    }
    Ok(ImportStep::Users { count: line.count, prefix })
}

fn check_guild(line: GuildLine, users: usize) -> Result<GuildPlan, String> {
    let name = text("guild.name", &line.name, 2, 100)?;
    if line.owner >= users {
        return Err(format!("guild.owner: there is no user {}: {users} are declared above", line.owner));
    }
    // One place is @everyone's.
    if line.roles.len() >= limits::GUILD_ROLES_MAX {
        let (found, most) = (line.roles.len(), limits::GUILD_ROLES_MAX - 1);
        return Err(format!("guild.roles: {found} are too many, there may be {most}"));
    }
    if line.channels.len() > limits::GUILD_CHANNELS_MAX {
        let (found, most) = (line.channels.len(), limits::GUILD_CHANNELS_MAX);
        return Err(format!("guild.channels: {found} are too many, there may be {most}"));
    }
    if line.channels.is_empty() {
        return Err("guild.channels: there must be one at least, for the invite".to_owned());
    }
    let mut roles = Vec::with_capacity(line.roles.len());
    for (index, role) in line.roles.into_iter().enumerate() {
        let name = text(&format!("guild.roles[{index}].name"), &role.name, 1, 100)?;
        roles.push(RoleDesign { name, permissions: role.permissions, hoist: role.hoist });
    }
    let mut channels = Vec::with_capacity(line.channels.len());
    for (index, channel) in line.channels.into_iter().enumerate() {
        let name = text(&format!("guild.channels[{index}].name"), &channel.name, 1, 100)?;
        let kind = match ChannelKind::from_number(channel.kind) {
            Some(kind @ (ChannelKind::Text | ChannelKind::Voice)) => kind,
            _ => return Err(format!("guild.channels[{index}].type: {} is neither 0 nor 2", channel.kind)),
        };
        let visible_to = match channel.visible_to {
            None => None,
            Some(named) => Some(role_set(&format!("guild.channels[{index}].visible_to"), named, roles.len())?),
        };
        channels.push(ChannelDesign { name, kind, position: index as i32, parent: None, visible_to });
    }
    let mut members = line.members;
    for (index, entry) in members.iter_mut().enumerate() {
        if entry.first.checked_add(entry.count).is_none_or(|end| end > users) {
            return Err(format!(
                "guild.members[{index}]: {} users from {} on: only {users} are declared above",
                entry.count, entry.first
            ));
        }
        let path = format_args!("guild.members[{index}].roles").to_string();
        entry.roles = role_set(&path, std::mem::take(&mut entry.roles), roles.len())?;
    }
    Ok(GuildPlan { owner: line.owner, design: Design { name, roles, channels }, members })
}

/// Trimmed, as the API trims it.
fn text(path: &str, value: &str, min: usize, max: usize) -> Result<String, String> {
    let value = value.trim();
    if (min..=max).contains(&value.chars().count()) {
        return Ok(value.to_owned());
    }
    Err(format!("{path}: it must have {min} to {max} characters"))
}

/// Indexes of roles, ascending, each once.
fn role_set(path: &str, mut named: Vec<usize>, roles: usize) -> Result<Vec<usize>, String> {
    if let Some(wrong) = named.iter().find(|index| **index >= roles) {
        return Err(format!("{path}: there is no role {wrong}: the guild has {roles}"));
    }
    named.sort_unstable();
    named.dedup();
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        read(line.as_bytes(), 10).expect_err(line)
    }

    #[test]
    fn a_guild_comes_out_as_it_was_written() {
        let line = r#"{"guild":{"name":" Town ","owner":9,"roles":[{"name":"staff","permissions":"1024","hoist":true},
            {"name":"vip","permissions":8}],"channels":[{"name":"hall","type":0},{"name":"den","type":2,"visible_to":[1,0,1]}],
            "members":[{"first":0,"count":10,"roles":[1,1]},{"first":10,"count":0}]}}"#;
        let Ok(ImportStep::Guild(plan)) = read(line.as_bytes(), 10) else { panic!("it is a guild") };
        assert_eq!((plan.owner, plan.design.name.as_str()), (9, "Town"));
        let staff = RoleDesign { name: "staff".into(), permissions: Permissions::VIEW_CHANNEL, hoist: true };
        assert_eq!(plan.design.roles[0], staff);
        assert_eq!(plan.design.roles[1].permissions, Permissions::ADMINISTRATOR);
        let den = ChannelDesign {
            name: "den".into(),
            kind: ChannelKind::Voice,
            position: 1,
            parent: None,
            visible_to: Some(vec![0, 1]),
        };
        assert_eq!(plan.design.channels[1], den);
        assert_eq!(plan.members[0], MemberRange { first: 0, count: 10, roles: vec![1] });
        let more = ImportStep::Users { count: 3, prefix: "u".into() };
        assert_eq!(read(br#"{"users":{"count":3,"prefix":"u"}}"#, 10), Ok(more));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_path() {
        let guild = |rest: &str| format!(r#"{{"guild":{{"name":"Town","owner":0,{rest}}}}}"#);
        let hall = r#""channels":[{"name":"hall","type":0}]"#;
        let many_roles = [r#"{"name":"r","permissions":0}"#; limits::GUILD_ROLES_MAX].join(",");
        let many_channels = [r#"{"name":"c","type":0}"#; limits::GUILD_CHANNELS_MAX + 1].join(",");
        for (line, expected) in [
            ("{}".to_owned(), "a line has either `users` or `guild`"),
            (r#"{"users":{"count":1,"prefix":"u"},"guild":null} 1"#.to_owned(), "more than one object"),
            (r#"{"user":1}"#.to_owned(), "unknown field `user`, expected `users` or `guild`"),
            (r#"{"users":{"count":-1,"prefix":"u"}}"#.to_owned(), "users.count: invalid value: integer `-1`"),
            (r#"{"users":{"count":1,"prefix":" "}}"#.to_owned(), "users.prefix: it must have 1 to 20 characters"),
            (r#"{"users":{"count":1,"prefix":"a@"}}"#.to_owned(), "users.prefix: "),
            (r#"{"users":{"count":100000000,"prefix":"u"}}"#.to_owned(), "users.count: an import makes 100000000"),
            (r#"{"users":{"count":1}}"#.to_owned(), "users: missing field `prefix`"),
            (r#"{"guild":{"name":"T","owner":0,"channels":[]}}"#.to_owned(), "guild.name: it must have 2 to 100"),
            (r#"{"guild":{"name":"Town","owner":10,"channels":[]}}"#.to_owned(), "guild.owner: there is no user 10"),
            (guild(r#""channels":[]"#), "guild.channels: there must be one"),
            (guild(r#""channels":[{"name":"c","type":4}]"#), "guild.channels[0].type: 4 is neither 0 nor 2"),
            (guild(r#""channels":[{"name":"c","type":0,"topic":"x"}]"#), "guild.channels[0].topic: unknown field"),
            (
                guild(r#""channels":[{"name":"c","type":0,"visible_to":[0]}]"#),
                "guild.channels[0].visible_to: there is no",
            ),
            (guild(&format!(r#""channels":[{many_channels}]"#)), "guild.channels: 501 are too many, there may be 500"),
            (guild(&format!(r#"{hall},"roles":[{many_roles}]"#)), "guild.roles: 250 are too many, there may be 249"),
            (guild(&format!(r#"{hall},"roles":[{{"name":"r","permissions":"x"}}]"#)), "guild.roles[0].permissions: "),
            (guild(&format!(r#"{hall},"members":[{{"first":5,"count":6}}]"#)), "guild.members[0]: 6 users from 5 on"),
            (guild(&format!(r#"{hall},"members":[{{"first":1,"count":18446744073709551615}}]"#)), "guild.members[0]: "),
            (guild(&format!(r#"{hall},"members":[{{"first":0,"count":1,"roles":[2]}}]"#)), "guild.members[0].roles: "),
            ("{\"users\":".to_owned(), "EOF"),
            ("\u{0}".to_owned(), "column 1: expected value"),
        ] {
            let said = refused(&line);
            assert!(said.contains(expected), "{line}: {said}");
            assert!(!said.contains("at line"), "{line}: {said}");
        }
    }
}
