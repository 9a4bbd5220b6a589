//! GUILD_CREATE: the guild as a session first sees it. Source: Discord docs, Gateway Events/Guild Create.
//!
//! Lives on: the common part on the guild's core, rendered once per change; the session's part on its home.

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::base::clock;
use crate::guild::{Guild, json};
use crate::wire::model::channel::Channel;
use crate::wire::model::member::Member;

impl Guild {
    /// The part of GUILD_CREATE that all sessions have in common: an object without its closing brace.
    pub fn common(&mut self) -> Bytes {
        if let Some(common) = &self.common {
            return common.clone();
        }
        let rendered = json(&Common(self));
        let open = rendered.slice(..rendered.len() - 1);
        self.common = Some(open.clone());
        open
    }
}

/// The rest of GUILD_CREATE for one session, closing brace included.
///
/// `awaited`: the guild was in READY, so the key `unavailable` is there and false; on a real join it is absent, by which
/// discord.py tells "available" from "joined".
pub fn rest(member: &Member, member_count: u64, large_threshold: u16, awaited: bool) -> Bytes {
    let joined = clock::iso8601(member.joined_at_ms);
    let large = member_count > u64::from(large_threshold);
    let unavailable = if awaited { r#","unavailable":false"# } else { "" };
    let member = serde_json::to_string(member).expect("a member is JSON");
    Bytes::from(format!(
        r#","joined_at":"{joined}","large":{large}{unavailable},"member_count":{member_count},"members":[{member}]}}"#
    ))
}

struct Common<'a>(&'a Guild);

impl Serialize for Common<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let guild = self.0;
        let channels: Vec<Channel> = guild.channels_in_order().map(|channel| guild.with_newest(channel)).collect();
        let mut map = serializer.serialize_map(None)?;
        guild.facts.guild.fields(&mut map)?;
        map.serialize_entry("roles", &guild.roles_in_order())?;
        map.serialize_entry("channels", &channels)?;
        for empty in [
            "threads",
            "presences",
            "voice_states",
            "stage_instances",
            "guild_scheduled_events",
            "soundboard_sounds",
            "embedded_activities",
        ] {
            map.serialize_entry(empty, &[(); 0])?;
        }
        map.serialize_entry("lazy", &true)?;
        map.end()
    }
}
