//! A user as its owner knows it: the account, the guilds, the running sessions.
//!
//! Lives on: the core that owns the user's virtual shard; in memory only while the user has sessions.
//! Here it is decided which sessions hear of a new membership, so that a guild joined while a session starts is not missed:
//! the session is on the list before the guilds are read, or it reads them after.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::GuildId;
use crate::mail::session_id::SessionId;
use crate::wire::model::account::Account;

/// A user with running sessions.
#[derive(Debug)]
pub struct OnlineUser {
    account: Arc<Account>,
    /// Ascending.
    guilds: Vec<GuildId>,
    /// One, nearly always.
    sessions: SmallVec<[SessionId; 1]>,
}

impl OnlineUser {
    /// A user as the store has it, without sessions.
    pub fn load(account: Account, mut guilds: Vec<GuildId>) -> OnlineUser {
        guilds.sort_unstable();
        OnlineUser { account: Arc::new(account), guilds, sessions: SmallVec::new() }
    }

    /// The account.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// A session starts; `None` if its token is void.
    pub fn attach(&mut self, session: SessionId, issued_ms: u64) -> Option<(Arc<Account>, Arc<[GuildId]>)> {
        if issued_ms < self.account.tokens_valid_from_ms {
            return None;
        }
        self.sessions.push(session);
        Some((Arc::clone(&self.account), self.guilds.as_slice().into()))
    }

    /// A session is over. Says whether it was the last.
    pub fn detach(&mut self, session: SessionId) -> bool {
        self.sessions.retain(|other| *other != session);
        self.sessions.is_empty()
    }

    /// Whether no session is left.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A new membership; the sessions to be told. They are told also when it was known: it may have been read from the store
    /// before the guild itself had heard that it was committed, and the guild may have refused them then.
    pub fn gain(&mut self, guild: GuildId) -> &[SessionId] {
        if let Err(place) = self.guilds.binary_search(&guild) {
            self.guilds.insert(place, guild);
        }
        &self.sessions
    }

    /// A membership has ended. The relays tell the sessions.
    pub fn part(&mut self, guild: GuildId) {
        if let Ok(place) = self.guilds.binary_search(&guild) {
            self.guilds.remove(place);
        }
    }

    /// Tokens issued before the moment are void.
    pub fn revoke(&mut self, valid_from_ms: u64) {
        Arc::make_mut(&mut self.account).tokens_valid_from_ms = valid_from_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::UserId;
    use crate::base::slab::Key;
    use crate::mail::placement::CoreId;
    use crate::wire::model::user::User;

    #[test]
    fn sessions_hear_of_a_guild_and_void_tokens_do_not_attach() {
        let user = User { id: UserId::new(1), username: "u".into(), global_name: None, avatar: None, bot: false };
        let account = Account { user, owner: None, privileged: 0, tokens_valid_from_ms: 100 };
        let mut online = OnlineUser::load(account, vec![GuildId::new(9), GuildId::new(3)]);
        let session = SessionId { home: CoreId(0), key: Key { index: 0, generation: 0 }, secret: 1 };
        assert!(online.attach(session, 99).is_none());
        let (_, guilds) = online.attach(session, 100).unwrap();
        assert_eq!(*guilds, [GuildId::new(3), GuildId::new(9)]);
        assert_eq!(online.gain(GuildId::new(5)), [session]);
        assert_eq!(online.gain(GuildId::new(5)), [session], "who was refused too early tries again");
        assert!(online.detach(session));
    }
}
