//! Bodies about invites. Source: Discord docs, Resources/Channel/Create Channel Invite.
//!
//! Lives on: every core.

/// `POST /channels/{channel.id}/invites`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteDraft {
    /// Seconds, 0 (never ends) to 604,800; 86,400 by default.
    pub max_age: u64,
    /// 0 (any number) to 100.
    pub max_uses: u32,
    /// Temporary membership.
    pub temporary: bool,
    /// Always a new code, even if an equal invite exists.
    pub unique: bool,
}
