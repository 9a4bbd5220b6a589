//! Bodies about members. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use crate::base::id::RoleId;

/// `PATCH /guilds/{guild.id}/members/{user.id}`. The outer `None` is: leave as it is; the inner one is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberPatch {
    /// 1 to 32 characters.
    pub nick: Option<Option<String>>,
    /// All roles anew, without `@everyone`.
    pub roles: Option<Vec<RoleId>>,
    /// Server mute.
    pub mute: Option<bool>,
    /// Server deafen.
    pub deaf: Option<bool>,
    /// Timed out until this Unix millisecond, at most 28 days ahead; the inner `None` ends it.
    pub timeout_until_ms: Option<Option<u64>>,
}
