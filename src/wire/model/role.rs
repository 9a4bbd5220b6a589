//! A role of a guild. Source: Discord docs, Topics/Permissions/Role Object.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::base::id::{GuildId, RoleId};
use crate::wire::permissions::Permissions;

/// A role. The one whose id is the guild's is `@everyone`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Role {
    /// Id.
    pub id: RoleId,
    /// 1 to 100 characters.
    pub name: String,
    /// What it grants.
    pub permissions: Permissions,
    /// Place in the hierarchy; `@everyone` is 0.
    #[serde(default)]
    pub position: i32,
    /// 0xRRGGBB; 0 is none.
    #[serde(default)]
    pub color: u32,
    /// Shown apart in the member list.
    #[serde(default)]
    pub hoist: bool,
    /// Belongs to an integration; cannot be given by hand.
    #[serde(default)]
    pub managed: bool,
    /// Anyone may mention it.
    #[serde(default)]
    pub mentionable: bool,
    /// An emoji shown beside the name.
    #[serde(default)]
    pub unicode_emoji: Option<String>,
}

impl Role {
    /// The role that everybody in a new guild has.
    pub fn everyone(guild: GuildId) -> Role {
        Role {
            id: guild.cast(),
            name: "@everyone".to_owned(),
            permissions: Permissions::NEW_GUILD,
            position: 0,
            color: 0,
            hoist: false,
            managed: false,
            mentionable: false,
            unicode_emoji: None,
        }
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Colors {
            primary_color: u32,
            secondary_color: (),
            tertiary_color: (),
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("description", &())?;
        map.serialize_entry("permissions", &self.permissions)?;
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("color", &self.color)?;
        map.serialize_entry("colors", &Colors { primary_color: self.color, secondary_color: (), tertiary_color: () })?;
        map.serialize_entry("hoist", &self.hoist)?;
        map.serialize_entry("managed", &self.managed)?;
        map.serialize_entry("mentionable", &self.mentionable)?;
        map.serialize_entry("icon", &())?;
        map.serialize_entry("unicode_emoji", &self.unicode_emoji)?;
        map.serialize_entry("flags", &0)?;
        map.end()
    }
}
