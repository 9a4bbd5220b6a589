//! A role of a guild.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};

use crate::base::id::{GuildId, RoleId};
use crate::model::is_default;
use crate::model::permissions::Permissions;

/// A role. The one whose id is the guild's is `@everyone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Id.
    pub id: RoleId,
    /// 1 to 100 characters.
    pub name: String,
    /// What it grants.
    pub permissions: Permissions,
    /// Place in the hierarchy; `@everyone` is 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub position: i32,
    /// 0xRRGGBB; 0 is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color: u32,
    /// Shown apart in the member list.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hoist: bool,
    /// Belongs to an integration; cannot be given by hand.
    #[serde(default, skip_serializing_if = "is_default")]
    pub managed: bool,
    /// Anyone may mention it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mentionable: bool,
    /// An emoji shown beside the name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unicode_emoji: Option<String>,
}

impl Role {
    /// The role that every member of a new guild has.
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
