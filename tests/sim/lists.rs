//! The judge of member lists: what a client makes of the events that it gets, and the list as anybody would write it
//! down.
//!
//! A client keeps one array for each list and applies what comes, in order, without asking whether it makes sense; at
//! rest the windows that it looks at must be those of the list, which is worked out here from committed members, roles
//! and overwrites, and from who is there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::essence;
use crate::model::{GuildModel, MemberModel, VIEW_CHANNEL};

/// Rows of a window.
pub const WINDOW: usize = 100;

/// Lists of one session, by guild and id.
#[derive(Debug, Default)]
pub struct Lists {
    of: BTreeMap<(u64, String), Rows>,
    /// Windows that are looked at, at rest: by guild and channel.
    pub looks: BTreeMap<u64, BTreeMap<u64, Vec<usize>>>,
    /// Operations by name.
    pub ops: BTreeMap<String, u64>,
    /// Rows that were inserted behind the first window.
    pub far_shifts: u64,
}

/// A heading, or a member: the status, the user, and what the member is like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Row {
    Group(String),
    Member(String, u64, MemberModel),
}

impl Row {
    /// Without roles that are gone: a member may still name some, or not.
    fn known(&self, model: &GuildModel) -> Row {
        let mut row = self.clone();
        if let Row::Member(_, _, member) = &mut row {
            member.roles.retain(|role| model.roles.contains_key(role));
        }
        row
    }
}

#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Option<Row>>,
    /// Groups, members, online members.
    numbers: String,
}

impl Lists {
    /// Applies an event.
    pub fn apply(&mut self, d: &Value) {
        let guild = essence::id(&d["guild_id"]).expect("judge lists: a list has a guild");
        let id = d["id"].as_str().expect("judge lists: a list has an id").to_owned();
        let list = self.of.entry((guild, id)).or_default();
        let rows = &mut list.rows;
        for op in d["ops"].as_array().expect("judge lists: there are operations") {
            let name = op["op"].as_str().expect("judge lists: an operation has a name");
            let index = op["index"].as_u64().map(|index| index as usize);
            let place = || index.expect("judge lists: an operation has a place");
            match name {
                "SYNC" | "INVALIDATE" => {
                    let end =
                        |which: usize| op["range"][which].as_u64().expect("judge lists: a range has ends") as usize;
                    let (first, last) = (end(0), end(1));
                    assert!(first % WINDOW == 0 && last == first + WINDOW - 1, "judge lists: no window: {op}");
                    rows.resize(rows.len().max(last + 1), None);
                    rows[first..=last].fill(None);
                    for (place, item) in op["items"].as_array().into_iter().flatten().enumerate() {
                        rows[first + place] = Some(row(item));
                    }
                }
                "INSERT" => {
                    self.far_shifts += u64::from(place() >= WINDOW);
                    rows.insert(place(), Some(row(&op["item"])));
                }
                "UPDATE" => {
                    let there = rows[place()].replace(row(&op["item"]));
                    assert!(there.is_some(), "judge lists: a row is updated that is not there: {op}");
                }
                "DELETE" => {
                    assert!(rows.remove(place()).is_some(), "judge lists: a row goes that is not there: {op}");
                }
                other => panic!("judge lists: an operation that nobody knows: {other}"),
            }
            *self.ops.entry(name.to_owned()).or_default() += 1;
        }
        list.numbers = numbers(&d["groups"], &d["member_count"], &d["online_count"]);
    }

    /// Compares what is looked at with what is true. Says how many rows there were, and how many of them were not in
    /// the first window.
    pub fn judge(&self, user: u64, scene: &Scene<'_>) -> (u64, u64) {
        let (mut seen, mut far) = (0, 0);
        for (channel, windows) in self.looks.get(&scene.model.id).into_iter().flatten() {
            if !scene.model.views(user, *channel) {
                continue;
            }
            let id = list_id(scene.model, *channel);
            let Some(list) = self.of.get(&(scene.model.id, id.clone())) else {
                panic!("judge lists: user {user} has not been shown list {id} of channel {channel}");
            };
            let (rows, numbers) = scene.list(*channel);
            assert_eq!(list.numbers, numbers, "judge lists: the numbers of list {id} of user {user}");
            for window in windows {
                let places = window * WINDOW..(window + 1) * WINDOW;
                for place in places {
                    let there = list.rows.get(place).and_then(Option::as_ref).map(|row| row.known(scene.model));
                    let expected = rows.get(place).map(|row| row.known(scene.model));
                    assert_eq!(there, expected, "judge lists: user {user}, list {id}, row {place}");
                    seen += u64::from(there.is_some());
                    far += u64::from(there.is_some() && place >= WINDOW);
                }
            }
        }
        (seen, far)
    }
}

/// What the list of a channel is worked out from.
pub struct Scene<'a> {
    pub model: &'a GuildModel,
    pub names: &'a BTreeMap<u64, String>,
    /// How those are present who are seen.
    pub online: &'a BTreeMap<u64, &'a str>,
    /// Who is offline is shown.
    pub offline: bool,
}

impl Scene<'_> {
    /// The rows, and the numbers above them.
    fn list(&self, channel: u64) -> (Vec<Row>, String) {
        let model = self.model;
        // Whoever had this role and no other.
        let viewing = |role: u64| {
            let mut alone = model.clone();
            let nobody = MemberModel { nick: None, roles: vec![role] };
            alone.members.insert(0, nobody);
            alone.views(0, channel)
        };
        let mut headings: Vec<(i32, u64)> = model
            .roles
            .iter()
            .filter(|(id, role)| **id != model.id && role.hoist && viewing(**id))
            .map(|(id, role)| (role.position, *id))
            .collect();
        headings.sort_by_key(|(position, id)| (std::cmp::Reverse(*position), *id));
        let mut groups: Vec<(String, Vec<(String, u64)>)> =
            headings.iter().map(|(_, id)| (id.to_string(), Vec::new())).collect();
        groups.push(("online".to_owned(), Vec::new()));
        groups.push(("offline".to_owned(), Vec::new()));
        let last = groups.len() - 1;
        for (user, member) in model.members.iter().filter(|(user, _)| model.views(**user, channel)) {
            let place = if !self.online.contains_key(user) {
                last
            } else {
                headings.iter().position(|(_, role)| member.roles.contains(role)).unwrap_or(last - 1)
            };
            let name = member.nick.as_ref().unwrap_or(&self.names[user]).to_lowercase();
            groups[place].1.push((name, *user));
        }
        if !self.offline {
            groups.pop();
        }
        let (mut rows, mut told) = (Vec::new(), Vec::new());
        for (group, mut members) in groups {
            members.sort();
            if !members.is_empty() {
                rows.push(Row::Group(format!("{group}: {}", members.len())));
            }
            if !members.is_empty() || group == "offline" {
                told.push(serde_json::json!({ "id": group, "count": members.len() }));
            }
            for (_, user) in members {
                let status = self.online.get(&user).copied().unwrap_or("offline");
                rows.push(Row::Member(status.to_owned(), user, model.members[&user].clone()));
            }
        }
        let online = model.members.keys().filter(|user| self.online.contains_key(user)).count();
        (rows, numbers(&told.into(), &model.members.len().into(), &online.into()))
    }
}

fn numbers(groups: &Value, members: &Value, online: &Value) -> String {
    format!("{groups} {members} members, {online} online")
}

fn row(item: &Value) -> Row {
    if let Some(group) = item.get("group") {
        return Row::Group(format!("{}: {}", group["id"].as_str().unwrap_or("?"), group["count"]));
    }
    let member = &item["member"];
    let status = member["presence"]["status"].as_str().unwrap_or("?");
    Row::Member(status.to_owned(), essence::id(&member["user"]["id"]).unwrap_or(0), essence::member_of(member))
}

/// The id of a channel's list, as clients work it out.
pub fn list_id(model: &GuildModel, channel: u64) -> String {
    let everyone = model.roles.get(&model.id).is_some_and(|role| role.permissions & VIEW_CHANNEL != 0);
    let overwrites = &model.channels[&channel].overwrites;
    if everyone && overwrites.iter().all(|entry| entry.deny & !entry.allow & VIEW_CHANNEL == 0) {
        return "everyone".to_owned();
    }
    let mut tokens: Vec<String> = Vec::new();
    for entry in overwrites {
        if entry.allow & VIEW_CHANNEL != 0 {
            tokens.push(format!("allow:{}", entry.id));
        } else if entry.deny & VIEW_CHANNEL != 0 {
            tokens.push(format!("deny:{}", entry.id));
        }
    }
    tokens.sort();
    murmur(tokens.join(",").as_bytes()).to_string()
}

/// MurmurHash3 with seed 0, byte by byte.
fn murmur(bytes: &[u8]) -> u32 {
    let (mut hash, mut word, mut filled) = (0u32, 0u32, 0);
    let scramble = |word: u32| word.wrapping_mul(0xcc9e2d51).rotate_left(15).wrapping_mul(0x1b873593);
    for byte in bytes {
        word |= u32::from(*byte) << (8 * filled);
        filled += 1;
        if filled == 4 {
            hash = (hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe6546b64);
            (word, filled) = (0, 0);
        }
    }
    hash ^= scramble(word) ^ bytes.len() as u32;
    for (shift, factor) in [(16, 0x85ebca6bu32), (13, 0xc2b2ae35)] {
        hash = (hash ^ (hash >> shift)).wrapping_mul(factor);
    }
    hash ^ (hash >> 16)
}
