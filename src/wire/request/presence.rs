//! Presence updates by clients: op 3, and `presence` of op 2. Source: Discord docs, Gateway Events/Update Presence.
//!
//! Lives on: the session's home.
//! Parsed here and not in `rest/form`: a malformed one closes the connection and has no error tree, and the session
//! keeps it as it was sent.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::base::clock::Time;
use crate::limits;
use crate::wire::model::presence::{Activities, Status};

/// A presence update. `since` and `afk` are about its own notifications, of which there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresenceUpdate {
    /// How present it is.
    pub status: Status,
    /// The JSON of each activity, reduced to what may be shown. Text, since a client may wait with it.
    activities: Vec<Box<str>>,
}

impl PresenceUpdate {
    /// Reads it; `None` if it is none. Libraries send any `since`, lists that are null, and `game` in place of a list.
    pub fn parse(d: &Value) -> Option<PresenceUpdate> {
        let d = d.as_object()?;
        let status = match d.get("status") {
            None | Some(Value::Null) => Status::Online,
            Some(status) => Status::parse(status.as_str()?)?,
        };
        let listed = match (d.get("activities"), d.get("game")) {
            (Some(Value::Array(listed)), _) => listed.as_slice(),
            (None | Some(Value::Null), None | Some(Value::Null)) => &[],
            (None | Some(Value::Null), Some(game)) => std::slice::from_ref(game),
            (Some(_), _) => return None,
        };
        let mut activities = Vec::new();
        for activity in listed {
            let activity = activity.as_object()?;
            // Without a name it says nothing.
            activity.get("name")?.as_str()?;
            if activities.len() < limits::ACTIVITIES_MAX && kind_of(activity) <= COMPETING {
                activities.push(Value::Object(showable(activity)).to_string().into());
            }
        }
        Some(PresenceUpdate { status, activities })
    }

    /// The activities as others get them. Bots may set a few keys only; an invisible user has none.
    pub fn activities(&self, bot: bool, now: Time) -> Activities {
        if self.status == Status::Offline {
            return Activities::default();
        }
        let said = self.activities.iter().map(|said| serde_json::from_str(said).expect("it was written just so"));
        let rendered = said.map(|said| render(&said, bot, now));
        Activities::new(rendered.collect())
    }
}

const STREAMING: u64 = 1;
const CUSTOM: u64 = 4;
const COMPETING: u64 = 5;

/// What the server knows places for. Only these are streamed from.
const STREAMS: [&str; 4] =
    ["https://twitch.tv/", "https://www.twitch.tv/", "https://youtube.com/", "https://www.youtube.com/"];

/// Keys of people's activities that are taken as they are.
const EXTRA: [&str; 9] =
    ["timestamps", "application_id", "emoji", "party", "assets", "flags", "buttons", "instance", "sync_id"];

/// All that bots may set.
const BOTS: [&str; 4] = ["name", "type", "state", "url"];

fn kind_of(activity: &Map<String, Value>) -> u64 {
    activity.get("type").and_then(Value::as_u64).unwrap_or(0)
}

/// The keys of an activity that may be shown, with texts cut to their bounds.
fn showable(said: &Map<String, Value>) -> Map<String, Value> {
    let kind = kind_of(said);
    let mut shown = Map::new();
    let name = said.get("name").and_then(Value::as_str).map_or("", cut);
    shown.insert("name".into(), name.into());
    shown.insert("type".into(), kind.into());
    for key in ["state", "details"] {
        if let Some(text) = said.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) {
            shown.insert(key.into(), cut(text).into());
        }
    }
    if let Some(url) = said.get("url").and_then(Value::as_str)
        && kind == STREAMING
        && STREAMS.iter().any(|stream| url.starts_with(stream))
        && cut(url) == url
    {
        shown.insert("url".into(), url.into());
    }
    let extra = said.iter().filter(|(key, value)| EXTRA.contains(&key.as_str()) && !value.is_null());
    let extra: Map<String, Value> = extra.map(|(key, value)| (key.clone(), value.clone())).collect();
    if json!(extra).to_string().len() <= limits::ACTIVITY_EXTRA_BYTES_MAX {
        shown.extend(extra);
    }
    shown
}

fn render(said: &Map<String, Value>, bot: bool, now: Time) -> Box<RawValue> {
    let kind = kind_of(said);
    let mut shown = said.clone();
    if bot {
        shown.retain(|key, _| BOTS.contains(&key.as_str()));
    }
    shown.insert("created_at".into(), now.millis().into());
    let id = if kind == CUSTOM { "custom".to_owned() } else { format!("{:016x}", digest(kind, &shown)) };
    shown.insert("id".into(), id.into());
    let json = serde_json::to_string(&shown).expect("an activity is JSON");
    RawValue::from_string(json).expect("what was written can be read")
}

fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(limits::ACTIVITY_CHARS_MAX).map_or(text.len(), |(end, _)| end);
    &text[..end]
}

/// FNV-1a of what tells one activity from another.
fn digest(kind: u64, shown: &Map<String, Value>) -> u64 {
    let name = shown["name"].as_str().unwrap_or_default();
    let bytes = name.bytes().chain(kind.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(update: &PresenceUpdate, bot: bool) -> Vec<Value> {
        let all = update.activities(bot, Time::from_millis(1_234));
        all.iter().map(|activity| serde_json::from_str(activity.get()).unwrap()).collect()
    }

    #[test]
    fn what_libraries_send_is_understood() {
        let eris = json!({ "activities": null, "status": "offline", "afk": false, "since": 0 });
        assert_eq!(PresenceUpdate::parse(&eris).unwrap().status, Status::Offline);
        let serenity = json!({ "activities": [], "status": "idle", "afk": false, "since": { "secs": 1 } });
        assert_eq!(PresenceUpdate::parse(&serenity).unwrap().status, Status::Idle);
        let discord_py =
            json!({ "game": { "name": "chess", "type": 0 }, "status": "online", "since": 0.0, "afk": false });
        let shown = rendered(&PresenceUpdate::parse(&discord_py).unwrap(), true);
        assert_eq!((shown.len(), &shown[0]["name"], &shown[0]["created_at"]), (1, &json!("chess"), &json!(1_234)));
        assert!(shown[0]["id"].is_string());
        assert_eq!(PresenceUpdate::parse(&json!({ "game": null })).unwrap(), PresenceUpdate::default());
    }

    #[test]
    fn what_is_no_presence_is_refused() {
        for wrong in [
            json!(null),
            json!([]),
            json!({ "status": "away" }),
            json!({ "status": 1 }),
            json!({ "activities": {} }),
            json!({ "activities": [1] }),
            json!({ "activities": [{ "type": 0 }] }),
            json!({ "activities": [{ "name": 7 }] }),
        ] {
            assert!(PresenceUpdate::parse(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn bot_activities_show_few_keys_and_all_are_bounded() {
        let said = json!({ "activities": [
            { "name": "x".repeat(1_000), "type": 1, "url": "https://twitch.tv/me", "details": "d", "state": "s", "assets": { "large_image": "i" }, "secrets": { "join": "j" } },
            { "name": "y", "type": 1, "url": "https://example.org/", "assets": "z".repeat(10_000) },
            { "name": "Custom Status", "type": 4, "state": "busy" },
            { "name": "of a kind that is not known", "type": 99 },
        ] });
        let update = PresenceUpdate::parse(&said).unwrap();
        let (bot, person) = (rendered(&update, true), rendered(&update, false));
        assert_eq!(bot.len(), 3);
        assert_eq!(bot[0]["name"].as_str().unwrap().len(), limits::ACTIVITY_CHARS_MAX);
        assert_eq!((&bot[0]["url"], &bot[0]["state"]), (&json!("https://twitch.tv/me"), &json!("s")));
        assert!(bot[0].get("details").is_none() && bot[0].get("assets").is_none() && bot[1].get("url").is_none());
        assert_eq!((&person[0]["details"], &person[0]["assets"]["large_image"]), (&json!("d"), &json!("i")));
        assert!(person[0].get("secrets").is_none() && person[1].get("assets").is_none());
        assert_eq!(person[2]["id"], "custom");
        let many: Vec<Value> = (0..20).map(|n| json!({ "name": n.to_string(), "type": 0 })).collect();
        let update = PresenceUpdate::parse(&json!({ "activities": many })).unwrap();
        assert_eq!(rendered(&update, false).len(), limits::ACTIVITIES_MAX);
        let hidden = PresenceUpdate::parse(&json!({ "status": "invisible", "activities": many })).unwrap();
        assert!(rendered(&hidden, false).is_empty());
    }

    #[test]
    fn what_is_not_shown_is_not_kept() {
        let keys: Map<String, Value> = (0..2_000).map(|n| (format!("k{n}"), json!(n))).collect();
        let mut activity = keys.clone();
        activity.extend(json!({ "name": "\u{1}".repeat(1_000), "assets": keys }).as_object().unwrap().clone());
        let update = PresenceUpdate::parse(&json!({ "activities": vec![activity; 50] })).unwrap();
        let kept: usize = update.activities.iter().map(|said| said.len()).sum();
        assert!(kept <= limits::ACTIVITIES_MAX * limits::ACTIVITY_BYTES_MAX, "{kept}");
    }
}
