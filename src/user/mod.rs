//! A user as its owner knows it: the account, the guilds, the running sessions.
//!
//! Lives on: the core that owns the user's virtual shard; in memory only while the user has sessions.
//! A session is listed before the guilds are read, or it reads them after: a guild joined while it starts is not
//! missed.

use std::sync::Arc;

use crate::base::few::Few;
use crate::base::id::GuildId;
use crate::mail::session_id::SessionId;
use crate::model::account::Account;

/// A user with running sessions. The account is not kept: most users never start another session.
#[derive(Debug)]
pub struct OnlineUser {
    /// Tokens issued before this Unix millisecond are void.
    tokens_valid_from_ms: u64,
    /// Ascending.
    guilds: Few<GuildId>,
    /// One, nearly always.
    sessions: Few<SessionId>,
}

impl OnlineUser {
    /// A user as the store has it, without sessions.
    pub fn load(account: &Account, mut guilds: Vec<GuildId>) -> OnlineUser {
        guilds.sort_unstable();
        let guilds = guilds.into_iter().collect();
        OnlineUser { tokens_valid_from_ms: account.tokens_valid_from_ms, guilds, sessions: Few::None }
    }

    /// A session starts: from now on it hears of memberships.
    pub fn attach(&mut self, session: SessionId) {
        self.sessions.push(session);
    }

    /// The guilds that a session lists, ascending; `None` if its token is void.
    pub fn admit(&self, issued_ms: u64) -> Option<Arc<[GuildId]>> {
        (issued_ms >= self.tokens_valid_from_ms).then(|| self.guilds.as_slice().into())
    }

    /// The running sessions, and those that are about to be.
    pub fn sessions(&self) -> &[SessionId] {
        self.sessions.as_slice()
    }

    /// A session is over. Says whether it was the last.
    pub fn detach(&mut self, session: SessionId) -> bool {
        self.sessions.remove(session);
        self.sessions.is_empty()
    }

    /// Whether no session is left.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A new membership; returns the sessions to inform. A known guild counts too: it may have been read from the store
    /// before the guild had its commit, and the guild may have refused them then.
    pub fn gain(&mut self, guild: GuildId) -> &[SessionId] {
        if let Err(place) = self.guilds.as_slice().binary_search(&guild) {
            self.guilds.insert(place, guild);
        }
        self.sessions.as_slice()
    }

    /// A membership has ended. The relays tell the sessions.
    pub fn part(&mut self, guild: GuildId) {
        self.guilds.remove(guild);
    }

    /// Tokens issued before the moment are void.
    pub fn revoke(&mut self, valid_from_ms: u64) {
        self.tokens_valid_from_ms = valid_from_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_online_user_is_small() {
        assert!(size_of::<OnlineUser>() <= 56, "{}", size_of::<OnlineUser>());
    }
    use crate::base::id::UserId;
    use crate::base::slab::Key;
    use crate::mail::site::Site;
    use crate::model::user::User;

    #[test]
    fn sessions_hear_of_a_guild_and_void_tokens_do_not_attach() {
        let user = User { id: UserId::new(1), username: "u".into(), global_name: None, avatar: None, bot: false };
        let account = Account { user, owner: None, privileged: 0, tokens_valid_from_ms: 100 };
        let mut online = OnlineUser::load(&account, vec![GuildId::new(9), GuildId::new(3)]);
        let session = SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret: 1 };
        online.attach(session);
        assert!(online.admit(99).is_none());
        assert_eq!(*online.admit(100).unwrap(), [GuildId::new(3), GuildId::new(9)]);
        assert_eq!(online.gain(GuildId::new(5)), [session]);
        assert_eq!(online.gain(GuildId::new(5)), [session], "who was refused too early tries again");
        assert!(online.detach(session));
    }
}
