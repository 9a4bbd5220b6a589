//! A member: a user in a guild. Source: Discord docs, Resources/Guild/Guild Member Object.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use smallvec::SmallVec;

use crate::base::clock;
use crate::base::id::{GuildId, RoleId};
use crate::wire::model::user::User;

/// A user in a guild.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Name in this guild, 1 to 32 characters.
    #[serde(default)]
    pub nick: Option<String>,
    /// Roles without `@everyone`, ascending by id.
    #[serde(default)]
    pub roles: SmallVec<[RoleId; 2]>,
    /// Unix milliseconds.
    #[serde(default)]
    pub joined_at_ms: u64,
    /// Deafened by a moderator.
    #[serde(default)]
    pub deaf: bool,
    /// Muted by a moderator.
    #[serde(default)]
    pub mute: bool,
    /// Timed out until this Unix millisecond; 0 is not.
    #[serde(default)]
    pub timeout_until_ms: u64,
}

impl Member {
    /// A user who has just joined.
    pub fn new(user: User, joined_at_ms: u64) -> Member {
        Member { user, nick: None, roles: SmallVec::new(), joined_at_ms, deaf: false, mute: false, timeout_until_ms: 0 }
    }

    /// Whether the member has the role. `@everyone` is not listed and answered by the caller.
    pub fn has(&self, role: RoleId) -> bool {
        self.roles.contains(&role)
    }

    pub(super) fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("nick", &self.nick)?;
        map.serialize_entry("avatar", &())?;
        map.serialize_entry("banner", &())?;
        map.serialize_entry("roles", &self.roles.as_slice())?;
        map.serialize_entry("joined_at", &clock::iso8601(self.joined_at_ms))?;
        map.serialize_entry("premium_since", &())?;
        map.serialize_entry("deaf", &self.deaf)?;
        map.serialize_entry("mute", &self.mute)?;
        map.serialize_entry("flags", &0)?;
        map.serialize_entry("pending", &false)?;
        let until = (self.timeout_until_ms > 0).then(|| clock::iso8601(self.timeout_until_ms));
        map.serialize_entry("communication_disabled_until", &until)?;
        map.serialize_entry("avatar_decoration_data", &())
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &self.user)?;
        self.fields(&mut map)?;
        map.end()
    }
}

/// A member as `GUILD_MEMBER_ADD` and `GUILD_MEMBER_UPDATE` carry it: with `guild_id`.
#[derive(Debug)]
pub struct MemberOf<'a>(pub GuildId, pub &'a Member);

impl Serialize for MemberOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("guild_id", &self.0)?;
        map.serialize_entry("user", &self.1.user)?;
        self.1.fields(&mut map)?;
        map.end()
    }
}

/// A member as message events carry it: without `user`, which stands beside it.
#[derive(Debug)]
pub struct PartialMember<'a>(pub &'a Member);

impl Serialize for PartialMember<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.fields(&mut map)?;
        map.end()
    }
}
