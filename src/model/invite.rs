//! An invite to a guild.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};

use crate::base::id::{ChannelId, GuildId};
use crate::model::user::User;

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
}
