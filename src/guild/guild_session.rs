//! A session that sees a guild, as the guild keeps it.
//!
//! Lives on: the guild's core.
//! How the session shows itself is kept in the bytes that its id leaves free; only activities are kept elsewhere.

use crate::base::slab::Key;
use crate::mail::presence::{JoinRequest, Onlooker};
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::wire::model::presence::{Platform, Showing, Status};

/// A session that sees the guild: its id, and in the bytes that an id leaves free how it shows itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuildSession {
    pub(super) secret: u64,
    key: Key,
    pub(super) home: Site,
    pub(super) status: Status,
    pub(super) platform: Platform,
    /// It has activities.
    pub(super) active: bool,
    /// It is a bot's that asked for presences.
    pub(super) looks_on: bool,
}

impl GuildSession {
    pub(super) fn new(coming: &JoinRequest) -> GuildSession {
        let SessionId { home, key, secret } = coming.session;
        let Showing { status, platform, ref activities } = coming.showing;
        let looks_on = coming.onlooker == Onlooker::Bot;
        GuildSession { secret, key, home, status, platform, active: !activities.is_empty(), looks_on }
    }

    pub(super) fn id(&self) -> SessionId {
        SessionId { home: self.home, key: self.key, secret: self.secret }
    }

    pub(super) fn is_visible(&self) -> bool {
        self.status != Status::Offline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn showing_takes_no_room_beside_the_session_id() {
        assert_eq!(size_of::<GuildSession>(), size_of::<SessionId>());
    }
}
