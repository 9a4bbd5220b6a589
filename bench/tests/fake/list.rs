//! The fake server's member list: one group, in the order of the names, shown in windows.

use serde_json::{Value, json};

/// What a session sees of the list.
#[derive(Debug, Clone)]
pub struct Window {
    range: (usize, usize),
    /// What it was last told; nothing: it is new.
    told: Option<Vec<Value>>,
}

/// The windows of a session that looks at these ranges; those that stay are not sent again.
pub fn look<'a>(before: &[Window], ranges: impl Iterator<Item = &'a Value>) -> Vec<Window> {
    let number = |value: &Value| value.as_u64().expect("a number") as usize;
    let windows = ranges.map(|range| {
        let range = (number(&range[0]), number(&range[1]));
        let told = before.iter().find(|window| window.range == range).and_then(|window| window.told.clone());
        Window { range, told }
    });
    windows.collect()
}

/// The rows of the whole list. `people`: who is there, and how they appear.
pub fn rows(people: &[(u32, String)]) -> Vec<Value> {
    let mut rows = vec![json!({"group": {"id": "online", "count": people.len()}})];
    let mut people = people.to_vec();
    people.sort();
    rows.extend(people.iter().map(|(who, status)| {
        let user = json!({"id": super::user_id(*who).to_string(), "username": format!("user-{who:06}")});
        json!({"member": {"user": user, "roles": [], "presence": {"status": status}}})
    }));
    rows
}

/// What has changed in a session's windows, if anything has.
pub fn update(windows: &mut [Window], rows: &[Value], members: usize) -> Option<Value> {
    let online = rows.len() - 1;
    let mut ops = Vec::new();
    for Window { range: (first, last), told } in windows {
        let now = rows.get(*first..rows.len().min(*last + 1)).unwrap_or_default().to_vec();
        match told {
            None => ops.push(json!({"op": "SYNC", "range": [first, last], "items": now})),
            Some(before) if *before == now => continue,
            Some(before) => changes(*first, before, &now, &mut ops),
        }
        *told = Some(now);
    }
    let groups = json!([{"id": "online", "count": online}]);
    (!ops.is_empty()).then(|| {
        json!({"guild_id": "100", "id": "everyone", "member_count": members, "online_count": online, "groups": groups, "ops": ops})
    })
}

/// Whom a row is about.
fn key(row: &Value) -> String {
    let user = &row["member"]["user"]["id"];
    user.as_str().map_or_else(|| row["group"]["id"].to_string(), ToOwned::to_owned)
}

fn changes(first: usize, before: &[Value], now: &[Value], ops: &mut Vec<Value>) {
    let (old, new): (Vec<String>, Vec<String>) = (before.iter().map(key).collect(), now.iter().map(key).collect());
    for (at, key) in old.iter().enumerate().rev().filter(|(_, key)| !new.contains(key)) {
        assert!(!key.is_empty());
        ops.push(json!({"op": "DELETE", "index": first + at}));
    }
    for (at, (key, row)) in new.iter().zip(now).enumerate() {
        match old.iter().position(|other| other == key) {
            None => ops.push(json!({"op": "INSERT", "index": first + at, "item": row})),
            Some(place) if before[place] != *row && row["group"].is_null() => {
                ops.push(json!({"op": "UPDATE", "index": first + at, "item": row}));
            }
            Some(_) => {}
        }
    }
}
