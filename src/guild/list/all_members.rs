//! All members of a guild, for lists that show who is offline.
//!
//! Lives on: the guild's core, while a small guild has a subscribed list.
//! The store is asked for them. What has changed in the meantime the guild adds to the answer; what changes later is
//! told here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::base::id::UserId;
use crate::guild::list::roster::MemberState;
use crate::model::kept_member::KeptMember;
use crate::model::member::Member;

/// All members, if they are shown.
#[derive(Debug, Default)]
pub(super) enum AllMembers {
    /// Only who is online is shown.
    #[default]
    Unwanted,
    /// They are to be looked up.
    Wanted,
    /// They are being looked up.
    Awaited,
    Here(BTreeMap<UserId, KeptMember>),
}

impl AllMembers {
    /// Whether lists show who is offline, now or soon.
    pub fn is_shown(&self) -> bool {
        !matches!(self, AllMembers::Unwanted)
    }

    /// Whether lists stand still until the members are here.
    pub fn is_awaited(&self) -> bool {
        matches!(self, AllMembers::Wanted | AllMembers::Awaited)
    }

    /// They may be others than those who were looked up.
    pub fn renew(&mut self) {
        if matches!(self, AllMembers::Here(_)) {
            *self = AllMembers::Wanted;
        }
    }

    /// The members, if they are here.
    pub fn members(&self) -> Option<&BTreeMap<UserId, KeptMember>> {
        match self {
            AllMembers::Here(members) => Some(members),
            AllMembers::Unwanted | AllMembers::Wanted | AllMembers::Awaited => None,
        }
    }

    /// They were looked up, or could not be.
    pub fn found(&mut self, found: Option<&[Arc<Member>]>) {
        *self = match found {
            Some(found) => {
                AllMembers::Here(found.iter().map(|member| (member.user.id, KeptMember::new(member))).collect())
            }
            None => AllMembers::Unwanted,
        };
    }

    /// Hands over up to `limit` of them behind one. Says where it stopped; `None` at the end.
    pub fn visit(&self, after: Option<UserId>, limit: usize, mut each: impl FnMut(&KeptMember)) -> Option<UserId> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut last, mut count) = (None, 0);
        for (user, member) in self.members()?.range((behind, Bound::Unbounded)).take(limit) {
            each(member);
            (last, count) = (Some(*user), count + 1);
        }
        last.filter(|_| count == limit)
    }

    /// Takes over what has become of a member. What it was before, if that is known here.
    pub fn change(&mut self, user: UserId, after: Option<MemberState<'_>>) -> Option<Option<KeptMember>> {
        let AllMembers::Here(members) = self else { return None };
        Some(match after {
            Some(after) => members.insert(user, after.member.clone()),
            None => members.remove(&user),
        })
    }
}
