//! GUILD_CREATE: the guild as a session first sees it. Source: Discord docs, Gateway Events/Guild Create.
//!
//! Lives on: the guild's core, for the common part, rendered once per change; `wire/model/arrival.rs` has the
//! session's.

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::guild::{Guild, json};
use crate::model::channel::Channel;
use crate::wire::model::channel::ChannelView;
use crate::wire::model::guild::fields;
use crate::wire::model::rendered;
use crate::wire::model::role::RoleView;

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

struct Common<'a>(&'a Guild);

impl Serialize for Common<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let guild = self.0;
        let channels: Vec<Channel> = guild.channels_in_order().map(|channel| guild.with_newest(channel)).collect();
        let mut map = serializer.serialize_map(None)?;
        fields(&guild.facts.guild, &mut map)?;
        map.serialize_entry("roles", &rendered(guild.roles_in_order().into_iter().map(RoleView)))?;
        map.serialize_entry("channels", &rendered(channels.iter().map(ChannelView)))?;
        for empty in [
            "threads",
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
