//! Sessions that come to see a guild and leave it, and the cores that watch it for them.
//!
//! Lives on: the guild's core.
//! A core watches from its first snapshot until it says that no session of it is left, and the guild agrees.

use std::sync::Arc;

use crate::base::id::UserId;
use crate::guild::Guild;
use crate::guild::guild_session::GuildSession;
use crate::mail::facts::Facts;
use crate::mail::presence::JoinRequest;
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::model::kept_member::KeptMember;
use crate::wire::model::presence::Showing;

/// Who comes in.
#[derive(Debug)]
pub enum JoinOutcome {
    /// Not a member.
    Stranger,
    /// A member; with the facts if its core did not watch the guild so far.
    Member {
        /// The member.
        member: KeptMember,
        /// For the relay to be born.
        facts: Option<Arc<Facts>>,
        /// How its session is taken to show itself.
        showing: Showing,
    },
}

impl Guild {
    /// Cores with sessions that see the guild.
    pub fn watchers(&self) -> impl Iterator<Item = Site> {
        self.watchers.keys().copied()
    }

    /// A session of a member comes to see the guild; `None` if it must be looked up first.
    pub fn enter(&mut self, coming: &JoinRequest) -> Option<JoinOutcome> {
        let (user, here) = (coming.user, GuildSession::new(coming));
        let (before, stood) = (self.presence_of(user), self.state_before(user));
        let cached = self.cached.get_mut(&user)?;
        let Some(member) = cached.member.clone() else { return Some(JoinOutcome::Stranger) };
        let twin = cached.sessions.iter().find(|other| other.id() == coming.session).copied();
        cached.sessions.push(twin.unwrap_or(here));
        self.count_onlooker(&here, true);
        // If it is there already, this has been on its way for long, and what is known is newer.
        if twin.is_none() {
            self.keep_activities(user, coming.session.secret, &coming.showing.activities);
        }
        self.note_presence(user, before);
        self.update_lists(user, stood);
        let home = coming.session.home;
        let new = !self.watchers.contains_key(&home);
        *self.watchers.entry(home).or_default() += 1;
        let facts = new.then(|| Arc::new(self.facts.clone()));
        let showing = self.showing_of(user, &twin.unwrap_or(here));
        Some(JoinOutcome::Member { member, facts, showing })
    }

    /// When a member who is in memory joined.
    pub fn joined_ms(&self, user: UserId) -> Option<u64> {
        Some(self.cached.get(&user)?.member.as_ref()?.member().joined_at_ms)
    }

    /// A session of a member is over. Says whether it saw the guild until now.
    pub fn leave(&mut self, user: UserId, session: SessionId) -> bool {
        let (before, stood) = (self.presence_of(user), self.state_before(user));
        let Some(cached) = self.cached.get_mut(&user) else { return false };
        let Some(index) = cached.sessions.iter().position(|here| here.id() == session) else {
            return false; // removed from the guild meanwhile, and perhaps back
        };
        let here = cached.sessions.remove_at(index);
        let is_still_there = cached.sessions.iter().any(|here| here.id() == session);
        if cached.sessions.is_empty() {
            self.offline_cached.push_back((user, cached.used));
        }
        if is_still_there {
            self.count_onlooker(&here, false);
        } else {
            self.forget_session(user, &here);
        }
        self.note_presence(user, before);
        self.update_lists(user, stood);
        true
    }

    /// A relay has no session left. Returns whether it will get no more events: not if a snapshot is on its way to it.
    pub fn unwatch(&mut self, core: Site, seen: u64) -> bool {
        if self.watchers.get(&core) == Some(&seen) {
            self.watchers.remove(&core);
            self.forget_onlookers(core);
            return true;
        }
        false
    }

    /// Members with sessions.
    pub fn online(&self) -> impl Iterator<Item = UserId> {
        self.cached.iter().filter(|(_, cached)| !cached.sessions.is_empty()).map(|(user, _)| *user)
    }

    /// Sessions of a member that see the guild.
    pub fn sessions_of(&self, user: UserId) -> impl Iterator<Item = SessionId> {
        self.cached.get(&user).into_iter().flat_map(|cached| cached.sessions.iter()).map(GuildSession::id)
    }
}
