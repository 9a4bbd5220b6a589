//! An invite to a guild. Source: Discord docs, Resources/Invite.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::clock;
use crate::base::id::{ChannelId, GuildId};
use crate::wire::model::channel::Channel;
use crate::wire::model::guild::Guild;
use crate::wire::model::user::User;

/// An invite as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// 10 characters of base 62.
    pub code: String,
    /// Into which guild.
    pub guild_id: GuildId,
    /// Into which channel.
    pub channel_id: ChannelId,
    /// Who made it.
    pub inviter: User,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Seconds until it ends; 0 is never.
    pub max_age: u64,
    /// How many may use it; 0 is any number.
    pub max_uses: u32,
    /// How many did.
    pub uses: u32,
    /// Membership that ends with the session, unless a role is given.
    pub temporary: bool,
}

impl Invite {
    /// When it ends, in Unix milliseconds; `None` is never.
    pub fn expires_at_ms(&self) -> Option<u64> {
        (self.max_age > 0).then(|| self.created_at_ms + self.max_age * 1_000)
    }

    /// Whether it can no longer be used at `unix_ms`.
    pub fn is_spent(&self, unix_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|end| unix_ms >= end) || (self.max_uses > 0 && self.uses >= self.max_uses)
    }

    /// The full object with metadata. `counts`: `(members, online)` if asked for.
    pub fn wire(&self, guild: &Guild, channel: &Channel, counts: Option<(u64, u64)>) -> Value {
        let mut invite = json!({
            "type": 0,
            "code": self.code,
            "guild_id": self.guild_id,
            "guild": {
                "id": guild.id, "name": guild.name, "icon": guild.icon, "splash": null, "banner": null,
                "description": guild.description, "features": guild.features,
                "verification_level": guild.verification_level, "vanity_url_code": null, "nsfw_level": 0,
                "nsfw": false, "premium_subscription_count": 0, "premium_tier": 0,
            },
            "channel": { "id": channel.id, "name": channel.name, "type": channel.kind },
            "inviter": self.inviter,
            "uses": self.uses,
            "max_uses": self.max_uses,
            "max_age": self.max_age,
            "temporary": self.temporary,
            "created_at": clock::iso8601(self.created_at_ms),
            "expires_at": self.expires_at_ms().map(clock::iso8601),
            "flags": 0,
        });
        if let Some((members, online)) = counts {
            invite["approximate_member_count"] = members.into();
            invite["approximate_presence_count"] = online.into();
        }
        invite
    }
}
