//! Member lists: the members that view a channel, online ones first, grouped by role; and the subscribed windows.
//!
//! Lives on: the guild's core. Source: what people's clients send and read (ops 14 and 37, GUILD_MEMBER_LIST_UPDATE).
//! A list is built in slices on its first subscription, and dropped some time after its last one. It is kept in order
//! as members change; what that means for the windows is worked out once per round, for those windows alone that may
//! have changed, and told once for everybody who looks. This file has which lists there are, and whose turn it is.
//! Invariant: what a window was told, followed by all that came since, is what a client sees.
//! Read next: `round` (one list, and what its windows are sent), `order` and `name_key` (the order), `grouping` (the
//! headings), `window` (the way from rows to other rows), `roster` (the guild's side), `all_members` (offline members).

mod all_members;
pub mod grouping;
pub mod name_key;
mod order;
mod roster;
mod round;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::guild::list::all_members::AllMembers;
use crate::guild::list::grouping::Grouping;
use crate::guild::list::round::{List, RenderBudget, RenderContext};
use crate::limits;
use crate::mail::facts::Facts;
use crate::mail::listing::{ListSubscription, Viewers, Windows};
use crate::mail::site::Site;
use crate::model::member::Member;

pub use crate::guild::list::roster::{MemberState, Roster};

/// How lists are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListSettings {
    /// Members up to which a guild's lists show who is offline.
    pub offline_up_to: u64,
    /// Members that a list takes in before others get their turn.
    pub slice: usize,
    /// Members in all lists of a guild together, above which no other list is made.
    pub lines: usize,
}

impl Default for ListSettings {
    fn default() -> ListSettings {
        let (offline_up_to, slice, lines) = (limits::LIST_OFFLINE_MAX, limits::LIST_SLICE, limits::LISTS_LINES_MAX);
        ListSettings { offline_up_to, slice, lines }
    }
}

/// All subscribed lists of a guild.
#[derive(Debug, Default)]
pub struct MemberLists {
    of: BTreeMap<Viewers, List>,
    everybody: AllMembers,
    /// The one that was attended first last time. The next turn begins behind it.
    first: Option<Viewers>,
    /// Until then no round begins: the last one was so much work for those who look.
    rests_until: Time,
    /// Between two updates of a window that a crowd looks at: as long as it takes up the share of all cooldown to tell
    /// each of them once.
    cooldown: Duration,
    /// Where events are written.
    buffer: Vec<u8>,
}

/// What is to be sent.
pub type Post = (Site, Arc<Windows>);

impl MemberLists {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// A session looks at windows, or away. `counts`: members, and those seen online.
    pub fn look(&mut self, mut look: ListSubscription, facts: &Facts, counts: (u64, u64), listing: ListSettings) {
        look.opened.retain(|(block, _)| *block <= limits::LIST_BLOCK_LAST);
        if self.of.is_empty() && !look.opened.is_empty() {
            let all = counts.0 <= listing.offline_up_to;
            self.everybody = if all { AllMembers::Wanted } else { AllMembers::Unwanted };
        }
        let list = match self.of.get_mut(&look.viewers) {
            Some(list) => list,
            // An unsubscription of a list that was dropped meanwhile.
            None if look.opened.is_empty() => return,
            None => {
                let viewers = look.viewers.clone();
                let grouping = Grouping::of(facts, &viewers, self.everybody.is_shown());
                self.of.insert(viewers.clone(), List::new(viewers.clone(), grouping));
                self.make_room(counts, listing);
                self.of.get_mut(&viewers).expect("made just now, and somebody looks")
            }
        };
        for block in &look.unseen {
            if let Some(window) = list.windows.get_mut(block) {
                window.cores.retain(|(core, _)| *core != look.core());
                if window.cores.is_empty() {
                    list.windows.remove(block);
                }
            }
        }
        for (block, lookers) in &look.opened {
            list.unseen_since = None;
            let window = list.windows.entry(*block).or_default();
            match window.cores.iter_mut().find(|(core, _)| *core == look.core()) {
                Some((_, known)) => *known = *lookers,
                None => window.cores.push((look.core(), *lookers)),
            }
        }
        if !look.opened.is_empty() || !look.closed.is_empty() {
            list.looks.push_back(look);
        }
        if list.waits && list.looks.len() > limits::LIST_LOOKS_MAX {
            list.looks.pop_front();
        }
    }

    /// Whether all members must be looked up now: then [`MemberLists::know_all_members`].
    pub fn want_all_members(&mut self) -> bool {
        let wanted = matches!(self.everybody, AllMembers::Wanted);
        if wanted {
            self.everybody = AllMembers::Awaited;
        }
        wanted
    }

    /// All members were looked up. `None`: they could not be, so offline members are not shown.
    pub fn know_all_members(&mut self, found: Option<&[Arc<Member>]>, facts: &Facts) {
        if !matches!(self.everybody, AllMembers::Awaited) {
            return;
        }
        self.everybody.found(found);
        let offline = self.everybody.is_shown();
        for (viewers, list) in &mut self.of {
            list.start_over(Grouping::of(facts, viewers, offline));
        }
    }

    /// Who is not online may have become another, or have come, or gone, without a word of it.
    pub fn renew_all_members(&mut self) {
        self.everybody.renew();
    }

    /// Roles, their permissions or the owner are others now.
    pub fn regroup(&mut self, facts: &Facts) {
        let offline = self.everybody.is_shown();
        for (viewers, list) in &mut self.of {
            let grouping = Grouping::of(facts, viewers, offline);
            if grouping != *list.order.grouping() {
                list.start_over(grouping);
            }
        }
    }

    /// A member has come, gone, or become another, or its presence has.
    pub fn change(&mut self, user: UserId, before: Option<MemberState<'_>>, after: Option<MemberState<'_>>) {
        if self.everybody.is_awaited() {
            return; // all lists start over with the answer
        }
        let known = self.everybody.change(user, after);
        let before = match &known {
            // An offline member may have been out of the guild's memory.
            Some(known) => {
                let online = before.is_some_and(|before| before.online);
                known.as_ref().map(|member| MemberState { member, online })
            }
            None => before,
        };
        for list in self.of.values_mut() {
            list.change(user, before, after);
        }
    }

    /// Begins a round: what has changed since the last one is worked out by [`MemberLists::advance`]. Says whether
    /// there are lists left.
    pub fn begin_round(&mut self, now: Time, roster: &impl Roster, facts: &Facts, listing: ListSettings) -> bool {
        // Some budget, so that a guild at the bound does not go to and fro.
        if self.everybody.members().is_some() && roster.counts().0 > listing.offline_up_to * 5 / 4 {
            self.everybody = AllMembers::Unwanted;
            self.regroup(facts);
        }
        self.of.values_mut().for_each(|list| list.tick(now));
        self.of.retain(|_, list| list.unseen_since.is_none_or(|since| now.since(since) < limits::LIST_UNSEEN_TIME));
        if self.of.is_empty() {
            *self = MemberLists::default();
            return false;
        }
        self.make_room(roster.counts(), listing);
        let crowded = self.of.values().flat_map(|list| list.windows.values()).filter(|window| window.is_crowded());
        self.cooldown = crowded.map(|window| limits::LIST_LOOKER_TIME * window.lookers()).sum();
        if now >= self.rests_until {
            let (everybody, cooldown) = (&self.everybody, self.cooldown);
            let context = RenderContext { now, guild: facts.id(), everybody, roster, cooldown };
            self.of.values_mut().for_each(|list| list.begin_round(&context));
        }
        true
    }

    /// Whether there is anything to be done now.
    pub fn are_busy(&self) -> bool {
        !self.everybody.is_awaited() && self.of.values().any(List::is_busy)
    }

    /// Does some of what is to be done. Says whether there is more.
    pub fn advance(
        &mut self,
        now: Time,
        roster: &impl Roster,
        guild: GuildId,
        listing: ListSettings,
        out: &mut Vec<Post>,
    ) -> bool {
        if self.everybody.is_awaited() {
            return false;
        }
        // Each is the first by turns, so that none is held up by those before it.
        let behind = self.first.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let upto =
            self.first.as_ref().map(|first| self.of.range::<Viewers, _>((Bound::Unbounded, Bound::Included(first))));
        let order = self.of.range::<Viewers, _>((behind, Bound::Unbounded)).chain(upto.into_iter().flatten());
        let mut order: Vec<Viewers> =
            order.filter(|(_, list)| list.is_busy()).map(|(viewers, _)| viewers.clone()).collect();
        self.first = order.first().cloned();
        let (everybody, cooldown) = (&self.everybody, self.cooldown);
        let context = RenderContext { now, guild, everybody, roster, cooldown };
        let full = limits::LIST_WINDOWS * limits::LIST_COMPARISONS;
        let part = full / limits::LIST_COMPARISONS_PART;
        let mut budget = RenderBudget { left: full, rest: Duration::ZERO };
        let mut slice = Some(listing.slice);
        order.retain(|viewers| {
            let list = self.of.get_mut(viewers).expect("found just now");
            // One list is built per turn, by one slice; lists that are complete do not wait for it.
            list.making.is_none() || slice.take().is_some_and(|slice| list.take_in(everybody, roster, slice))
        });
        for viewers in &order {
            let list = self.of.get_mut(viewers).expect("found just now");
            list.compare(&context, &mut budget, full - part, &mut self.buffer, out);
        }
        for viewers in &order {
            let list = self.of.get_mut(viewers).expect("found just now");
            list.answer(&context, &mut budget, 0, &mut self.buffer, out);
            list.compare(&context, &mut budget, 0, &mut self.buffer, out);
        }
        self.rests_until = self.rests_until.max(now) + budget.rest;
        self.are_busy()
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        self.of.values().for_each(List::invariants);
    }

    /// Admits lists as memory for their members allows. Lists without subscribers are dropped first, the longest unseen
    /// before others.
    fn make_room(&mut self, (members, online): (u64, u64), listing: ListSettings) {
        let expected = if self.everybody.is_shown() { members } else { online } as usize;
        let size = |list: &List| match (list.waits, list.making) {
            (true, _) => 0,
            (false, Some(_)) => list.order.len().max(expected),
            (false, None) => list.order.len(),
        };
        while let Some(viewers) = self.of.iter().find(|(_, list)| list.waits).map(|(viewers, _)| viewers.clone()) {
            let taken: usize = self.of.values().map(size).sum();
            if taken == 0 || taken + expected <= listing.lines {
                self.of.get_mut(&viewers).expect("found just now").waits = false;
                continue;
            }
            let unseen = self.of.iter().filter(|(_, list)| !list.waits);
            let unseen = unseen.filter_map(|(viewers, list)| Some((list.unseen_since?, viewers)));
            let Some((_, oldest)) = unseen.min() else { return };
            self.of.remove(&oldest.clone());
        }
    }
}
