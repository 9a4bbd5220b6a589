//! What lists ask of a guild, and what a guild tells its lists.
//!
//! Lives on: the guild's core.

use std::ops::Bound;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::guild::Guild;
use crate::guild::list::{ListSettings, Post};
use crate::mail::listing::ListSubscription;
use crate::model::kept_member::KeptMember;
use crate::model::member::Member;
use crate::wire::model::presence::Presence;

/// What lists ask of the guild.
pub trait Roster {
    /// How many members there are, and how many are seen to be online.
    fn counts(&self) -> (u64, u64);
    /// Shows the member, if it is in memory, and what is seen of the user.
    fn shown<T>(&self, user: UserId, show: impl FnOnce(Option<&KeptMember>, &Presence) -> T) -> T;
    /// Hands over up to `limit` members who are in memory, behind one of them, in the order of ids, each with whether
    /// it is seen online. Says where it stopped; `None` at the end.
    fn visit(&self, after: Option<UserId>, limit: usize, each: impl FnMut(&KeptMember, bool)) -> Option<UserId>;
}

/// A member as lists have it.
#[derive(Debug, Clone, Copy)]
pub struct MemberState<'a> {
    /// Who.
    pub member: &'a KeptMember,
    /// Whether it is seen online.
    pub online: bool,
}

/// How a member state_before before something changed; nothing if there are no lists.
#[derive(Debug)]
pub(in crate::guild) struct StateBefore(Option<(KeptMember, bool)>);

/// A guild and its lists.
impl Guild {
    /// A session looks at windows, or away.
    pub fn look(&mut self, look: ListSubscription, listing: ListSettings) {
        let counts = self.counts();
        self.lists.look(look, &self.facts, counts, listing);
    }

    /// Whether all members must be looked up now, for lists: then [`Guild::know_all_members`].
    pub fn wants_all_members(&mut self, listing: ListSettings) -> bool {
        if !self.lists.want_all_members() {
            return false;
        }
        let few = self.member_count <= listing.offline_up_to;
        if !few {
            // The guild has grown since the first subscription: its members exceed one answer of the store.
            self.know_all_members(None);
        }
        few
    }

    /// All members were looked up, or could not be.
    pub fn know_all_members(&mut self, found: Option<&[Member]>) {
        let found = found.map(|found| self.renewed(found));
        self.lists.know_all_members(found.as_deref(), &self.facts);
    }

    /// Begins to work out what has changed in lists. Says whether there are any left.
    pub fn begin_round(&mut self, now: Time, listing: ListSettings) -> bool {
        let mut lists = std::mem::take(&mut self.lists);
        let left = lists.begin_round(now, self, &self.facts, listing);
        self.lists = lists;
        left
    }

    /// Whether there is anything to be done in lists.
    pub fn lists_are_busy(&self) -> bool {
        self.lists.are_busy()
    }

    /// Does some of what is to be done in lists. What is to be sent, and whether there is more to be done.
    pub fn advance_lists(&mut self, now: Time, listing: ListSettings) -> (Vec<Post>, bool) {
        let mut lists = std::mem::take(&mut self.lists);
        let mut posts = Vec::new();
        let more = lists.advance(now, self, self.id(), listing, &mut posts);
        self.lists = lists;
        (posts, more)
    }

    /// How a member stands in lists, before something changes.
    pub(in crate::guild) fn state_before(&self, user: UserId) -> StateBefore {
        let member = || {
            let cached = self.cached.get(&user)?;
            Some((cached.member.clone()?, cached.is_visible()))
        };
        StateBefore(if self.lists.is_empty() { None } else { member() })
    }

    /// MemberLists take over what has become of a member.
    pub(in crate::guild) fn update_lists(&mut self, user: UserId, StateBefore(before): StateBefore) {
        if self.lists.is_empty() {
            return;
        }
        let before = before.as_ref().map(|(member, online)| MemberState { member, online: *online });
        let after = self
            .cached
            .get(&user)
            .and_then(|cached| Some(MemberState { member: cached.member.as_ref()?, online: cached.is_visible() }));
        self.lists.change(user, before, after);
    }
}

impl Roster for Guild {
    fn counts(&self) -> (u64, u64) {
        Guild::counts(self)
    }

    fn shown<T>(&self, user: UserId, show: impl FnOnce(Option<&KeptMember>, &Presence) -> T) -> T {
        match self.cached.get(&user) {
            Some(cached) => show(cached.member.as_ref(), &self.presence_in(user, cached)),
            None => show(None, &Presence::OFFLINE),
        }
    }

    fn visit(&self, after: Option<UserId>, limit: usize, mut each: impl FnMut(&KeptMember, bool)) -> Option<UserId> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut last, mut count) = (None, 0);
        for (user, cached) in self.cached.range((behind, Bound::Unbounded)).take(limit) {
            if let Some(member) = &cached.member {
                each(member, cached.is_visible());
            }
            (last, count) = (Some(*user), count + 1);
        }
        last.filter(|_| count == limit)
    }
}
