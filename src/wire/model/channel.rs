//! How clients see a channel. Source: Discord docs, Resources/Channel.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::base::clock;
use crate::base::id::{Id, kind};
use crate::model::channel::{Channel, Overwrite};
use crate::wire::model::rendered;

/// An overwrite.
#[derive(Debug, Clone, Copy)]
pub struct OverwriteView<'a>(pub &'a Overwrite);

impl Serialize for OverwriteView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        // Of a role or a user: their ids are written alike.
        map.serialize_entry("id", &Id::<kind::OfUser>::new(self.0.id))?;
        map.serialize_entry("type", &self.0.kind)?;
        map.serialize_entry("allow", &self.0.allow)?;
        map.serialize_entry("deny", &self.0.deny)?;
        map.end()
    }
}

/// A channel with its overwrites.
#[derive(Debug, Clone, Copy)]
pub struct ChannelView<'a>(pub &'a Channel);

impl Serialize for ChannelView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let channel = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &channel.id)?;
        map.serialize_entry("type", &channel.kind)?;
        map.serialize_entry("guild_id", &channel.guild_id)?;
        map.serialize_entry("name", &channel.name)?;
        map.serialize_entry("position", &channel.position)?;
        map.serialize_entry("permission_overwrites", &rendered(channel.overwrites.iter().map(OverwriteView)))?;
        map.serialize_entry("parent_id", &channel.parent_id)?;
        map.serialize_entry("flags", &0)?;
        // `topic` and `nsfw` are looked for on every kind.
        map.serialize_entry("topic", &channel.topic)?;
        map.serialize_entry("nsfw", &channel.nsfw)?;
        if channel.kind.has_messages() {
            map.serialize_entry("last_message_id", &channel.last_message_id)?;
            map.serialize_entry("rate_limit_per_user", &channel.rate_limit_per_user)?;
            map.serialize_entry("last_pin_timestamp", &channel.last_pin_ms.map(clock::iso8601))?;
        }
        if channel.kind.has_voice() {
            map.serialize_entry("bitrate", &channel.bitrate)?;
            map.serialize_entry("user_limit", &channel.user_limit)?;
            map.serialize_entry("rtc_region", &())?;
            map.serialize_entry("video_quality_mode", &1)?;
        }
        map.end()
    }
}
