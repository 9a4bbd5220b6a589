//! A member list as its client sees it: the rows of the ranges that it looks at, changed by what the server tells, and
//! the question whether that adds up.
//!
//! Rows are numbered from 0. A group begins with a row of its own, and its members follow. Source: the notes on guild
//! subscriptions and GUILD_MEMBER_LIST_UPDATE that authors of clients have written down; Discord does not document it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use serde::Deserialize;

use crate::model::trace::Status;
use crate::wire::payload;

/// The group of those who are offline. Large guilds leave it out.
const OFFLINE: &str = "offline";

/// First and last row, both included.
pub type Range = (u32, u32);

/// How sessions have said that they appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedStatuses {
    /// All but those below.
    pub others: Status,
    /// By user: those that announced another status later.
    pub some: HashMap<u64, Status>,
}

impl Default for AnnouncedStatuses {
    fn default() -> Self {
        AnnouncedStatuses { others: Status::Online, some: HashMap::new() }
    }
}

impl AnnouncedStatuses {
    /// How a user's session appears.
    pub fn of(&self, user: u64) -> Status {
        self.some.get(&user).copied().unwrap_or(self.others)
    }

    /// How many appear as offline, though they have a session.
    pub fn hidden(&self) -> u32 {
        self.some.values().filter(|status| **status == Status::Invisible).count() as u32
    }
}

/// What stands in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Row {
    /// A group's heading.
    Group(String),
    /// A member.
    Member { user: u64, name: String, status: String },
}

/// Groups with how many are in each, in order.
type Groups = Rc<[(String, u32)]>;

/// What the server told, by what it is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ops {
    /// Ranges that came whole.
    pub synced: u64,
    /// Ranges that are no longer kept up to date.
    pub invalidated: u64,
    /// Rows that came.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows that went.
    pub deleted: u64,
}

/// The rows that are known.
#[derive(Debug)]
pub struct Rows {
    rows: BTreeMap<u32, Row>,
    /// What it looks at.
    ranges: Vec<Range>,
    /// Those of them that are here, with the groups as they were when the server last told of it. It tells of each
    /// range for itself, and not of all at the same time.
    synced: Vec<(Range, Groups)>,
    /// The groups as they were last told.
    groups: Groups,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    groups: Vec<Group<'a>>,
    online_count: u64,
    member_count: u64,
    #[serde(borrow)]
    ops: Vec<Op<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    count: u32,
}

#[derive(Deserialize)]
struct Op<'a> {
    op: &'a str,
    #[serde(default)]
    range: Option<(u32, u32)>,
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    item: Option<Item<'a>>,
    #[serde(borrow, default)]
    items: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    group: Option<Heading<'a>>,
    #[serde(borrow, default)]
    member: Option<Member<'a>>,
}

#[derive(Deserialize)]
struct Heading<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    user: User<'a>,
    #[serde(borrow, default)]
    nick: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    presence: Option<Presence<'a>>,
}

#[derive(Deserialize)]
struct User<'a> {
    id: &'a str,
    #[serde(borrow, default)]
    global_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    username: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Presence<'a> {
    status: &'a str,
}

impl Default for Rows {
    fn default() -> Self {
        Rows { rows: BTreeMap::new(), ranges: Vec::new(), synced: Vec::new(), groups: Rc::new([]) }
    }
}

impl Rows {
    /// It looks at these ranges from now on. What is in none of them is forgotten.
    pub fn look_at(&mut self, ranges: &[Range]) {
        self.ranges = ranges.to_vec();
        self.synced.retain(|(range, _)| ranges.contains(range));
        self.rows.retain(|index, _| ranges.iter().any(|range| within(*range, *index)));
    }

    /// The server has told of a change. Says which ranges have come whole, or what does not add up; counts what it
    /// told.
    pub fn apply(&mut self, d: &[u8], ops: &mut Ops) -> Result<Vec<Range>, String> {
        let Some(update) = payload::front::<Update<'_>>(d) else {
            return Err("it is no GUILD_MEMBER_LIST_UPDATE".into());
        };
        self.groups = update.groups.iter().map(|group| (group.id.to_string(), group.count)).collect();
        let listed: u64 = self.groups.iter().filter(|(id, _)| id != OFFLINE).map(|(_, count)| u64::from(*count)).sum();
        if listed != update.online_count {
            return Err(format!("{listed} are in groups, and {} are online", update.online_count));
        }
        if update.online_count > update.member_count {
            return Err(format!("{} are online of {} members", update.online_count, update.member_count));
        }
        let mut synced = Vec::new();
        let mut touched = HashSet::new();
        for op in &update.ops {
            let count = match op.op {
                "SYNC" => &mut ops.synced,
                "INVALIDATE" => &mut ops.invalidated,
                "INSERT" => &mut ops.inserted,
                "UPDATE" => &mut ops.updated,
                "DELETE" => &mut ops.deleted,
                other => return Err(format!("there is no op {other}")),
            };
            *count += 1;
            self.change(op, &mut synced, &mut touched)?;
        }
        for range in touched {
            for (_, groups) in self.synced.iter_mut().filter(|(other, _)| *other == range) {
                groups.clone_from(&self.groups);
            }
            self.check(range, &self.groups)?;
        }
        Ok(synced)
    }

    /// What does not add up in all ranges together, once nothing changes any more; `known`: how all appear, and how
    /// many there are.
    pub fn at_rest(&self, known: Option<(&AnnouncedStatuses, u32)>) -> Option<String> {
        let wrong = self.synced.iter().find_map(|(range, groups)| self.check(*range, groups).err());
        let Some((said, listed)) = known.filter(|_| wrong.is_none() && !self.synced.is_empty()) else { return wrong };
        let members = self.rows.iter().filter_map(|(index, row)| match row {
            Row::Member { user, status, .. } => Some((index, user, status)),
            Row::Group(_) => None,
        });
        for (index, user, status) in members {
            let is = said.of(*user);
            // An invisible user appears as offline.
            let shown = if is == Status::Invisible { OFFLINE } else { is.name() };
            if shown != status {
                return Some(format!("row {index}: {user} is {status} at rest, and has said {}", is.name()));
            }
        }
        let count: u64 = self.groups.iter().filter(|(id, _)| id != OFFLINE).map(|(_, count)| u64::from(*count)).sum();
        (count != u64::from(listed)).then(|| format!("{count} are in groups at rest, and {listed} are online"))
    }

    fn change(&mut self, op: &Op<'_>, synced: &mut Vec<Range>, touched: &mut HashSet<Range>) -> Result<(), String> {
        let lacks = || format!("{} says too little", op.op);
        match op.op {
            "SYNC" => {
                let (range, items) = op.range.zip(op.items.as_ref()).ok_or_else(lacks)?;
                let expected = length(range, &self.groups);
                if items.len() as u32 != expected {
                    return Err(format!("SYNC {range:?} has {} rows instead of {expected}", items.len()));
                }
                // A range that it no longer looks at, since the order and the answer have met: it is not kept.
                if !self.ranges.contains(&range) {
                    return Ok(());
                }
                self.forget(range);
                for (index, item) in (range.0..).zip(items) {
                    self.rows.insert(index, row(item)?);
                }
                self.synced.push((range, self.groups.clone()));
                synced.push(range);
                touched.insert(range);
            }
            "INVALIDATE" => {
                let range = op.range.ok_or_else(lacks)?;
                if self.ranges.contains(&range) && self.synced.iter().any(|(other, _)| *other == range) {
                    return Err(format!("INVALIDATE {range:?}, which is looked at"));
                }
            }
            "INSERT" | "UPDATE" => {
                let (index, item) = op.index.zip(op.item.as_ref()).ok_or_else(lacks)?;
                let row = row(item)?;
                let Some(range) = self.range_of(index) else { return self.unseen(op.op, index) };
                touched.insert(range);
                if op.op == "INSERT" {
                    self.shift(index, true);
                } else if let (Some(Row::Member { user, .. }), Row::Member { user: other, .. }) =
                    (self.rows.get(&index), &row)
                    && user != other
                {
                    return Err(format!("UPDATE {index} is about {other}, and {user} is there"));
                }
                self.rows.insert(index, row);
            }
            "DELETE" => {
                let index = op.index.ok_or_else(lacks)?;
                let Some(range) = self.range_of(index) else { return self.unseen(op.op, index) };
                touched.insert(range);
                if self.rows.remove(&index).is_none() {
                    return Err(format!("DELETE {index}, where nothing is"));
                }
                self.shift(index, false);
            }
            other => return Err(format!("there is no op {other}")),
        }
        Ok(())
    }

    /// A range that is here and has this row in it, or that this row would follow.
    fn range_of(&self, index: u32) -> Option<Range> {
        self.synced.iter().map(|(range, _)| *range).find(|range| within(*range, index))
    }

    /// An op about a row that it has not.
    fn unseen(&self, op: &str, index: u32) -> Result<(), String> {
        // It may be of a range that was looked at a moment ago.
        let waits = self.ranges.len() > self.synced.len();
        if waits { Ok(()) } else { Err(format!("{op} {index}, which is not looked at")) }
    }

    /// Makes room at a row, or closes the gap there: all rows below move, in all ranges.
    fn shift(&mut self, from: u32, up: bool) {
        let below = self.rows.split_off(&from);
        let moved = below.into_iter().map(|(index, row)| (if up { index + 1 } else { index - 1 }, row));
        self.rows.extend(moved);
    }

    fn forget(&mut self, range: Range) {
        self.synced.retain(|(other, _)| *other != range);
        self.rows.retain(|index, _| !within(range, *index));
    }

    /// Whether the rows of a range are all there, each in the group that the counts say, and members in the order of
    /// their names.
    fn check(&self, range: Range, groups: &[(String, u32)]) -> Result<(), String> {
        let end = range.0 + length(range, groups);
        let mut headings = BTreeMap::new();
        let mut at = 0;
        for (id, count) in groups.iter().filter(|(_, count)| *count > 0) {
            headings.insert(at, id.as_str());
            at += count + 1;
        }
        let mut before: Option<&str> = None;
        let mut users = HashSet::new();
        for index in range.0..end {
            let row = self.rows.get(&index).ok_or_else(|| format!("row {index} of {range:?} is not there"))?;
            match (row, headings.get(&index)) {
                (Row::Group(id), Some(expected)) if id == expected => before = None,
                (Row::Member { user, name, status }, None) => {
                    if !users.insert(*user) {
                        return Err(format!("{user} is in two rows of {range:?}"));
                    }
                    if before.is_some_and(|before| before > name.as_str()) {
                        return Err(format!("row {index}: {name} comes after {}", before.unwrap_or_default()));
                    }
                    let group = headings.range(..index).next_back().map_or("", |(_, id)| *id);
                    if (group == OFFLINE) != (status == OFFLINE) {
                        return Err(format!("row {index}: somebody {status} is in the group {group}"));
                    }
                    before = Some(name);
                }
                (row, expected) => return Err(format!("row {index} is {row:?}; a group there is {expected:?}")),
            }
        }
        if end <= range.1
            && let Some((index, _)) = self.rows.range(end..=range.1).next()
        {
            return Err(format!("row {index} is past the end, {end}"));
        }
        Ok(())
    }
}

/// Rows that a range has, given the groups.
fn length((first, last): Range, groups: &[(String, u32)]) -> u32 {
    let total: u32 = groups.iter().filter(|(_, count)| *count > 0).map(|(_, count)| count + 1).sum();
    total.saturating_sub(first).min(last + 1 - first)
}

fn within((first, last): Range, index: u32) -> bool {
    (first..=last).contains(&index)
}

fn row(item: &Item<'_>) -> Result<Row, String> {
    match (&item.group, &item.member) {
        (Some(group), None) => Ok(Row::Group(group.id.to_string())),
        (None, Some(member)) => {
            let user = member.user.id.parse().map_err(|_| "a member's id is no number".to_owned())?;
            let names = [&member.nick, &member.user.global_name, &member.user.username];
            let name = names.into_iter().flatten().next().map(|name| name.to_lowercase()).unwrap_or_default();
            let status = member.presence.as_ref().map_or(OFFLINE, |presence| presence.status).to_owned();
            Ok(Row::Member { user, name, status })
        }
        _ => Err("an item is neither a group nor a member".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const RANGE: Range = (0, 4);

    fn apply_to(rows: &mut Rows, d: &[u8]) -> Result<Vec<Range>, String> {
        rows.apply(d, &mut Ops::default())
    }

    fn member(user: u32) -> Value {
        json!({"member": {"user": {"id": user.to_string(), "username": format!("u{user}")}, "roles": [],
            "presence": {"user": {"id": user.to_string()}, "status": "online"}}})
    }

    fn group(id: &str, count: u32) -> Value {
        json!({"group": {"id": id, "count": count}})
    }

    fn update(groups: &[(&str, u32)], ops: Value) -> Vec<u8> {
        let online: u32 = groups.iter().map(|(_, count)| count).sum();
        let groups: Vec<Value> = groups.iter().map(|(id, count)| json!({"id": id, "count": count})).collect();
        let d = json!({"guild_id": "1", "id": "everyone", "online_count": online, "member_count": 50, "groups": groups, "ops": ops});
        format!("{d}}}").into_bytes()
    }

    /// Four members in two groups: six rows, of which five are seen.
    fn seen() -> Rows {
        let mut rows = Rows::default();
        rows.look_at(&[RANGE]);
        let items = json!([group("7", 1), member(9), group("online", 3), member(1), member(3)]);
        let came = apply_to(
            &mut rows,
            &update(&[("7", 1), ("online", 3)], json!([{"op": "SYNC", "range": [0, 4], "items": items}])),
        );
        assert_eq!(came, Ok(vec![RANGE]));
        rows
    }

    #[test]
    fn somebody_comes_goes_and_moves() {
        let mut rows = seen();
        let insert = json!([{"op": "DELETE", "index": 4}, {"op": "INSERT", "index": 4, "item": member(2)}]);
        assert_eq!(apply_to(&mut rows, &update(&[("7", 1), ("online", 4)], insert)), Ok(vec![]));
        // The same without the row that goes beyond the window.
        let mut rows = seen();
        let insert = json!([{"op": "INSERT", "index": 4, "item": member(2)}]);
        assert_eq!(apply_to(&mut rows, &update(&[("7", 1), ("online", 4)], insert)), Ok(vec![]));
        // The row that went beyond the window is still known.
        let delete = json!([{"op": "DELETE", "index": 4}]);
        assert_eq!(apply_to(&mut rows, &update(&[("7", 1), ("online", 3)], delete)), Ok(vec![]));
        // The last of a group leaves, and the group goes too.
        let gone = json!([{"op": "DELETE", "index": 0}, {"op": "DELETE", "index": 0}, {"op": "INSERT", "index": 3, "item": member(4)}]);
        assert_eq!(apply_to(&mut rows, &update(&[("online", 3)], gone)), Ok(vec![]));
        assert_eq!(rows.at_rest(None), None);
    }

    #[test]
    fn what_does_not_add_up_is_found() {
        let apply = |groups: &[(&str, u32)], ops: Value| apply_to(&mut seen(), &update(groups, ops)).is_err();
        let groups = [("7", 1), ("online", 3)];
        assert!(apply(
            &groups,
            json!([{"op": "INSERT", "index": 4, "item": member(2)}, {"op": "DELETE", "index": 3}, {"op": "DELETE", "index": 3}])
        ));
        assert!(apply(&groups, json!([{"op": "DELETE", "index": 4}])), "a row is missing");
        assert!(
            apply(&[("7", 2), ("online", 3)], json!([{"op": "UPDATE", "index": 3, "item": member(1)}])),
            "a heading moves"
        );
        assert!(apply(&groups, json!([{"op": "UPDATE", "index": 3, "item": member(2)}])), "somebody else is there");
        assert!(apply(&groups, json!([{"op": "INSERT", "index": 9, "item": member(2)}])), "it is not looked at");
        assert!(apply(&groups, json!([{"op": "INVALIDATE", "range": [0, 4]}])), "it is looked at");
        assert!(apply(&groups, json!([{"op": "SYNC", "range": [0, 4], "items": [group("7", 1)]}])), "too short");
        assert!(
            apply(&groups, json!([{"op": "DELETE", "index": 3}, {"op": "INSERT", "index": 4, "item": member(1)}])),
            "order"
        );
        let mut wrong =
            json!({"groups": [{"id": "online", "count": 3}], "online_count": 4, "member_count": 9, "ops": []})
                .to_string();
        wrong.push('}');
        assert!(apply_to(&mut seen(), wrong.as_bytes()).is_err(), "counts");
        assert!(!apply(&groups, json!([{"op": "UPDATE", "index": 3, "item": member(1)}])));
    }

    #[test]
    fn ranges_are_told_of_one_by_one() {
        let mut rows = Rows::default();
        rows.look_at(&[(0, 1), (2, 3)]);
        let sync = |first: u32, items: Value| json!([{"op": "SYNC", "range": [first, first + 1], "items": items}]);
        let groups = [("online", 5)];
        assert_eq!(
            apply_to(&mut rows, &update(&groups, sync(0, json!([group("online", 5), member(1)])))),
            Ok(vec![(0, 1)])
        );
        assert_eq!(apply_to(&mut rows, &update(&groups, sync(2, json!([member(2), member(3)])))), Ok(vec![(2, 3)]));
        // A member comes at the front, in a group of its own. The first range has the change, the second not yet.
        let change = json!([{"op": "DELETE", "index": 1}, {"op": "DELETE", "index": 0}, {"op": "INSERT", "index": 0, "item": group("7", 1)},
            {"op": "INSERT", "index": 1, "item": member(9)}]);
        assert_eq!(apply_to(&mut rows, &update(&[("7", 1), ("online", 5)], change)), Ok(vec![]));
        assert_eq!(rows.at_rest(None), None);
        // One that moves what stands elsewhere is found.
        let moves = json!([{"op": "INSERT", "index": 1, "item": member(8)}]);
        assert_eq!(apply_to(&mut rows, &update(&[("7", 2), ("online", 5)], moves)), Ok(vec![]));
        assert!(rows.at_rest(None).is_some_and(|wrong| wrong.contains("row 3")));
    }

    #[test]
    fn what_is_no_longer_looked_at_is_forgotten() {
        let mut rows = seen();
        rows.look_at(&[(5, 9)]);
        assert!(rows.rows.is_empty() && rows.synced.is_empty());
        let late = json!([{"op": "UPDATE", "index": 3, "item": member(1)}]);
        assert_eq!(apply_to(&mut rows, &update(&[("7", 1), ("online", 3)], late)), Ok(vec![]));
        let items = json!([member(5)]);
        let came = apply_to(
            &mut rows,
            &update(&[("7", 1), ("online", 3)], json!([{"op": "SYNC", "range": [5, 9], "items": items}])),
        );
        assert_eq!(came, Ok(vec![(5, 9)]));
    }

    #[test]
    fn what_was_never_told_is_found_at_rest() {
        let mut rows = Rows::default();
        rows.look_at(&[RANGE]);
        let mut ops = Ops::default();
        let items = json!([group("online", 3), member(1), member(2), member(3)]);
        let sync = json!([{"op": "SYNC", "range": [0, 4], "items": items}]);
        assert_eq!(rows.apply(&update(&[("online", 3)], sync), &mut ops), Ok(vec![RANGE]));
        let mut said = AnnouncedStatuses::default();
        assert_eq!(rows.at_rest(Some((&said, 3))), None);
        assert!(rows.at_rest(Some((&said, 4))).is_some_and(|wrong| wrong.contains("3 are in groups")));
        said.some.insert(2, Status::Invisible);
        assert!(rows.at_rest(Some((&said, 2))).is_some_and(|wrong| wrong.contains("row 2: 2 is online at rest")));
        let gone = json!([{"op": "DELETE", "index": 2}]);
        assert_eq!(rows.apply(&update(&[("online", 2)], gone), &mut ops), Ok(vec![]));
        assert_eq!((rows.at_rest(Some((&said, 2))), said.hidden()), (None, 1));
        assert_eq!(ops, Ops { synced: 1, deleted: 1, ..Ops::default() });
    }
}
