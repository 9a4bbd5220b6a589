//! Bodies about channels. Source: Discord docs, Resources/Channel and Resources/Guild.
//!
//! Lives on: every core.

use crate::base::id::ChannelId;
use crate::model::channel::{ChannelKind, Overwrite};

/// `POST /guilds/{guild.id}/channels`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelDraft {
    /// 1 to 100 characters.
    pub name: String,
    /// Text by default.
    pub kind: ChannelKind,
    /// Up to 1,024 characters.
    pub topic: Option<String>,
    /// Behind the others by default.
    pub position: Option<i32>,
    /// A category.
    pub parent_id: Option<ChannelId>,
    /// Age-restricted.
    pub nsfw: bool,
    /// Seconds, 0 to 21,600.
    pub rate_limit_per_user: u32,
    /// 8,000 to 384,000 bits per second.
    pub bitrate: Option<u32>,
    /// 0 to 99, stage 10,000.
    pub user_limit: Option<u32>,
    /// Overwrites; a category's are taken over when absent.
    pub overwrites: Option<Vec<Overwrite>>,
}

/// `PATCH /channels/{channel.id}`. The outer `None` is: leave as it is; the inner one is `null`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChannelPatch {
    /// 1 to 100 characters.
    pub name: Option<String>,
    /// Only text to announcement and back.
    pub kind: Option<ChannelKind>,
    /// Up to 1,024 characters.
    pub topic: Option<Option<String>>,
    /// Place in the list.
    pub position: Option<i32>,
    /// A category.
    pub parent_id: Option<Option<ChannelId>>,
    /// Age-restricted.
    pub nsfw: Option<bool>,
    /// Seconds.
    pub rate_limit_per_user: Option<u32>,
    /// Bits per second.
    pub bitrate: Option<u32>,
    /// How many may join.
    pub user_limit: Option<u32>,
    /// All overwrites anew.
    pub overwrites: Option<Vec<Overwrite>>,
}

/// One entry of `PATCH /guilds/{guild.id}/channels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelMove {
    /// Which.
    pub id: ChannelId,
    /// Where to; `None` leaves it.
    pub position: Option<i32>,
    /// Into which category; the outer `None` leaves it.
    pub parent_id: Option<Option<ChannelId>>,
    /// Take over the category's overwrites.
    pub lock_permissions: bool,
}
