//! How clients see a role. Source: Discord docs, Topics/Permissions/Role Object.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::role::Role;

/// A role.
#[derive(Debug, Clone, Copy)]
pub struct RoleView<'a>(pub &'a Role);

impl Serialize for RoleView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Colors {
            primary_color: u32,
            secondary_color: (),
            tertiary_color: (),
        }
        let role = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &role.id)?;
        map.serialize_entry("name", &role.name)?;
        map.serialize_entry("description", &())?;
        map.serialize_entry("permissions", &role.permissions)?;
        map.serialize_entry("position", &role.position)?;
        map.serialize_entry("color", &role.color)?;
        map.serialize_entry("colors", &Colors { primary_color: role.color, secondary_color: (), tertiary_color: () })?;
        map.serialize_entry("hoist", &role.hoist)?;
        map.serialize_entry("managed", &role.managed)?;
        map.serialize_entry("mentionable", &role.mentionable)?;
        map.serialize_entry("icon", &())?;
        map.serialize_entry("unicode_emoji", &role.unicode_emoji)?;
        map.serialize_entry("flags", &0)?;
        map.end()
    }
}
