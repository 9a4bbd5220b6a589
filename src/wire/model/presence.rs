//! Presences: how one session shows itself, and what others see of a member. Source: Discord docs, Gateway
//! Events/Presence Update.
//!
//! Lives on: every core.
//! What goes unsaid is online, on the web, doing nothing: it takes no memory beyond two bytes.

use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::base::id::{GuildId, UserId};
use crate::limits;

/// How present a user is. The more present comes first; of a member's sessions the most present one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Status {
    /// Here.
    #[default]
    Online,
    /// Here, and not to be disturbed.
    Dnd,
    /// Away from the keyboard.
    Idle,
    /// Not there, or not to be seen.
    Offline,
}

impl Status {
    /// Reads what a client sent; `None` for what is none.
    pub fn parse(text: &str) -> Option<Status> {
        Some(match text {
            "online" => Status::Online,
            "dnd" => Status::Dnd,
            "idle" => Status::Idle,
            // Who is invisible looks like who is not there.
            "invisible" | "offline" => Status::Offline,
            _ => return None,
        })
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Dnd => "dnd",
            Status::Idle => "idle",
            Status::Offline => "offline",
        }
    }
}

/// The kind of client that a user is present with: a key of `client_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Platform {
    /// A browser, a bot, or whatever does not say what it is.
    #[default]
    Web,
    /// A desktop client.
    Desktop,
    /// A telephone.
    Mobile,
}

impl Platform {
    const ALL: [Platform; 3] = [Platform::Desktop, Platform::Mobile, Platform::Web];

    /// By what an identify says of itself: its operating system and its browser.
    pub fn of(os: &str, browser: &str) -> Platform {
        match browser {
            "Discord iOS" | "Discord Android" => Platform::Mobile,
            "Discord Client" => Platform::Desktop,
            _ if os == "iOS" || os == "Android" => Platform::Mobile,
            _ => Platform::Web,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Platform::Web => "web",
            Platform::Desktop => "desktop",
            Platform::Mobile => "mobile",
        }
    }
}

/// A user's activities as others get them, rendered. None is the rule, and takes a pointer's space.
#[derive(Debug, Clone, Default)]
pub struct Activities(Option<Arc<Vec<Box<RawValue>>>>);

impl Activities {
    /// These.
    pub fn new(rendered: Vec<Box<RawValue>>) -> Activities {
        Activities((!rendered.is_empty()).then(|| Arc::new(rendered)))
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &RawValue> {
        self.0.iter().flat_map(|list| list.iter().map(|activity| &**activity))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// These, and behind them others, up to as many as one may have.
    pub fn and(self, others: &Activities) -> Activities {
        match (&self.0, &others.0) {
            (_, None) => self,
            (None, Some(_)) => others.clone(),
            (Some(_), Some(_)) => {
                let all = self.iter().chain(others.iter()).take(limits::ACTIVITIES_MAX);
                Activities::new(all.map(ToOwned::to_owned).collect())
            }
        }
    }
}

impl PartialEq for Activities {
    fn eq(&self, other: &Activities) -> bool {
        self.iter().map(RawValue::get).eq(other.iter().map(RawValue::get))
    }
}

impl Eq for Activities {}

impl Serialize for Activities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for activity in self.iter() {
            list.serialize_element(activity)?;
        }
        list.end()
    }
}

/// How one session shows itself to the guilds that it sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Showing {
    /// How present.
    pub status: Status,
    /// With what.
    pub platform: Platform,
    /// Doing what; nothing while offline.
    pub activities: Activities,
}

/// What others see of a member: its sessions, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The most present session's.
    pub status: Status,
    /// By platform, in the order of `Platform`: offline is not there.
    on: [Status; 3],
    /// Those of its sessions, the most present first.
    pub activities: Activities,
}

impl Presence {
    /// Offline, or invisible.
    pub const OFFLINE: Presence =
        Presence { status: Status::Offline, on: [Status::Offline; 3], activities: Activities(None) };

    /// Online, with nothing else known.
    pub const ONLINE: Presence =
        Presence { status: Status::Online, on: [Status::Offline; 3], activities: Activities(None) };

    /// Adds another session, which is no more present than those before it.
    pub fn add(&mut self, status: Status, platform: Platform, activities: &Activities) {
        if status == Status::Offline {
            return;
        }
        self.status = self.status.min(status);
        let on = &mut self.on[platform as usize];
        *on = status.min(*on);
        self.activities = std::mem::take(&mut self.activities).and(activities);
    }

    /// Whether there is anything to be seen.
    pub fn is_visible(&self) -> bool {
        self.status != Status::Offline
    }

    /// The keys `status`, `activities` and `client_status`.
    pub fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("status", self.status.as_str())?;
        map.serialize_entry("activities", &self.activities)?;
        map.serialize_entry("client_status", &ClientStatus(self))
    }

    /// The same keys, written: without the braces around them.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""status":""#);
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.extend_from_slice(br#"","activities":["#);
        for (place, activity) in self.activities.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(activity.get().as_bytes());
        }
        out.extend_from_slice(br#"],"client_status":{"#);
        let on = Platform::ALL.into_iter().map(|platform| (platform, self.on[platform as usize]));
        for (place, (platform, status)) in on.filter(|(_, status)| *status != Status::Offline).enumerate() {
            out.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
            out.extend_from_slice(platform.as_str().as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(status.as_str().as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
    }
}

struct ClientStatus<'a>(&'a Presence);

impl Serialize for ClientStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for platform in Platform::ALL {
            let status = self.0.on[platform as usize];
            if status != Status::Offline {
                map.serialize_entry(platform.as_str(), status.as_str())?;
            }
        }
        map.end()
    }
}

/// A presence as `PRESENCE_UPDATE`, `GUILD_CREATE` and `GUILD_MEMBERS_CHUNK` carry it; of the user only the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceOf {
    /// Where.
    pub guild: GuildId,
    /// Whose.
    pub user: UserId,
    /// Which.
    pub presence: Presence,
}

impl Serialize for PresenceOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct UserKey {
            id: UserId,
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &UserKey { id: self.user })?;
        map.serialize_entry("guild_id", &self.guild)?;
        self.presence.fields(&mut map)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(what: &str) -> Activities {
        Activities::new(vec![RawValue::from_string(format!(r#"{{"name":"{what}"}}"#)).unwrap()])
    }

    #[test]
    fn the_most_present_session_counts_and_platforms_stand_beside_each_other() {
        let mut presence = Presence::OFFLINE;
        presence.add(Status::Online, Platform::Desktop, &doing("chess"));
        presence.add(Status::Idle, Platform::Mobile, &doing("go"));
        presence.add(Status::Idle, Platform::Desktop, &Activities::default());
        presence.add(Status::Offline, Platform::Web, &doing("nothing that is seen"));
        let of = PresenceOf { guild: GuildId::new(1), user: UserId::new(2), presence };
        assert_eq!(
            serde_json::to_string(&of).unwrap(),
            r#"{"user":{"id":"2"},"guild_id":"1","status":"online","activities":[{"name":"chess"},{"name":"go"}],"client_status":{"desktop":"online","mobile":"idle"}}"#
        );
    }

    #[test]
    fn nobody_has_more_activities_than_one_may_have() {
        let mut all = Activities::default();
        for index in 0..2 * limits::ACTIVITIES_MAX {
            all = all.and(&doing(&index.to_string()));
        }
        assert_eq!(all.iter().count(), limits::ACTIVITIES_MAX);
    }

    #[test]
    fn doing_nothing_takes_no_memory_of_its_own() {
        assert_eq!(size_of::<Activities>(), 8);
        assert_eq!(size_of::<Showing>(), 16);
    }
}
