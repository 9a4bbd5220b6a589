//! Members in memory: those with sessions, and of the others those who were used last.
//!
//! Lives on: the guild's core.
//! The guild also remembers that a user is no member. A plan that needs a member who is not here looks it up.
//! Invariant: only members have sessions, and who has a session is in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::few::Few;
use crate::base::id::UserId;
use crate::guild::Guild;
use crate::guild::guild_session::GuildSession;
use crate::guild::plan::Stop;
use crate::limits;
use crate::model::kept_member::KeptMember;
use crate::model::member::Member;
use crate::store::{Found, Query};
use crate::wire::refusal::Refusal;

/// A user of whom the guild knows whether it is a member.
#[derive(Debug)]
pub(super) struct CachedMember {
    /// `None`: known not to be one.
    pub(super) member: Option<KeptMember>,
    /// Sessions that see the guild. With none the member may be forgotten.
    pub(super) sessions: Few<GuildSession>,
    /// Counts uses, to forget the least recent.
    pub(super) used: u64,
}

impl CachedMember {
    /// Whether others see it online.
    pub(super) fn is_visible(&self) -> bool {
        self.sessions.iter().any(GuildSession::is_visible)
    }
}

impl Guild {
    /// Notes what the store knows of a user, unless something newer is known; `newest` overrides.
    pub fn remember(&mut self, user: UserId, member: Option<Arc<Member>>, newest: bool) {
        self.note(user, member.map(|member| KeptMember::new(&member)), newest);
    }

    pub(super) fn note(&mut self, user: UserId, member: Option<KeptMember>, newest: bool) {
        self.uses += 1;
        let used = self.uses;
        match self.cached.get_mut(&user) {
            Some(cached) => {
                if newest {
                    cached.member = member;
                }
                cached.used = used;
            }
            None => {
                self.cached.insert(user, CachedMember { member, sessions: Few::None, used });
            }
        }
        self.offline_cached.push_back((user, used));
        // Two entries per place, so that stale ones do not push out the living.
        while self.offline_cached.len() > 2 * limits::GUILD_VISITORS_MAX {
            let Some((user, used)) = self.offline_cached.pop_front() else { break };
            if self.cached.get(&user).is_some_and(|cached| cached.used == used && cached.sessions.is_empty()) {
                self.cached.remove(&user);
            }
        }
    }

    /// Takes over what the store found for a plan, so far as it is about members.
    pub fn learn(&mut self, query: &Query, found: &Found) {
        if let (Query::Member(_, user), Found::Member(member)) = (query, found) {
            self.note(*user, member.as_deref().map(KeptMember::new), false);
        }
    }

    /// All members, of whom the store has found these: what has changed since it looked is known here.
    pub fn renewed(&self, found: &[Member]) -> Arc<[Arc<Member>]> {
        let mut members = BTreeMap::new();
        for member in found {
            members.insert(member.user.id, Arc::new(member.clone()));
        }
        for (user, cached) in &self.cached {
            match &cached.member {
                Some(member) => members.insert(*user, Arc::new(member.member())),
                None => members.remove(user),
            };
        }
        members.into_values().collect()
    }

    /// Members who are in memory.
    pub fn known_members(&self) -> impl Iterator<Item = Member> {
        self.cached.values().filter_map(|cached| cached.member.as_ref().map(KeptMember::member))
    }

    /// The member, if known to be one; else a refusal or the wish to look it up.
    pub(super) fn member(&self, user: UserId) -> Result<Arc<Member>, Stop> {
        match self.cached.get(&user) {
            Some(CachedMember { member: Some(member), .. }) => Ok(Arc::new(member.member())),
            Some(_) => Err(Refusal::UNKNOWN_MEMBER.into()),
            None => Err(Stop::Needs(Query::Member(self.id(), user))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_online_member_is_small() {
        assert!(size_of::<CachedMember>() <= 48, "{}", size_of::<CachedMember>());
    }
}
