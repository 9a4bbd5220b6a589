//! Which sessions have subscribed to which windows of member lists, and what they are sent of them.
//!
//! Lives on: every core with a relay.
//! The guild knows cores and windows; only the relay knows sessions. The relay's own facts, changed in the guild's
//! order, decide what a session may view: a session that loses a channel gets nothing of its list from then on.
//!
//! ```text
//! session ── op 14/37 ──▶ requested ── may view? ──▶ open windows ── first of this core ──▶ guild (owner)
//!                            │ no, or too many            ▲  │ last of this core, suspended ──▶ guild
//!                            ▼                            │  ▼
//!                         pending ── client has read ─────┘  update_windows ◀── windows, once per core ── guild
//!
//! permissions_version: any change of permissions makes all subscriptions stale. A stale one is rechecked before
//! it is sent anything; the others are rechecked in slices, from `recheck_from` on.
//! ```
//!
//! A session without a connection has no open windows: after a resume it opens what it has requested.
//! Invariant: the guild lists a window for this core exactly while a session here has it open.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::base::id::{ChannelId, GuildId};
use crate::base::slab::{Key, Slab};
use crate::limits;
use crate::mail::event::Change;
use crate::mail::facts::Facts;
use crate::mail::listing::{Addressee, ListSubscription, Viewers, Windows};
use crate::mail::session_id::SessionId;
use crate::relay::audience::Audience;
use crate::relay::{Effects, Relay, dispatch_to};
use crate::session::Session;
use crate::session::body::SharedBody;

/// Sessions that look at member lists.
#[derive(Debug, Default)]
pub(super) struct ListSubscriptions {
    subscribers: BTreeMap<Key, ListSubscriber>,
    windows: BTreeMap<(Viewers, u32), BTreeSet<Key>>,
    /// Channels that are requested for, with how many sessions do.
    requested: BTreeMap<ChannelId, u32>,
    /// Counts the changes by which anybody may have come to see others.
    permissions_version: u64,
    /// Which list a channel has, for those that were requested about since anything changed.
    known: BTreeMap<ChannelId, Viewers>,
    /// From this one on it has to be worked out anew what they see.
    recheck_from: Option<Key>,
}

/// A session that looks at member lists.
#[derive(Debug)]
struct ListSubscriber {
    session: SessionId,
    /// What it requested for: windows by channel.
    requested: Vec<(ChannelId, SmallVec<[u32; 4]>)>,
    /// What it looks at of that.
    open: Vec<OpenWindow>,
    /// It may see more of what it requested for, and is shown that when it has taken what it was sent.
    pending: bool,
    /// How often it has begun to look.
    changes: u32,
    /// When it was worked out what it sees.
    permissions_version: u64,
}

/// A window that a session looks at.
#[derive(Debug)]
struct OpenWindow {
    view: ListWindow,
    /// The look with which it began.
    number: u32,
    /// The rows have come.
    shown: bool,
}

/// A window, and a channel by which it is seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ListWindow {
    viewers: Viewers,
    block: u32,
    through: ChannelId,
}

impl ListWindow {
    fn window(&self) -> (Viewers, u32) {
        (self.viewers.clone(), self.block)
    }

    fn is(&self, viewers: &Viewers, block: u32) -> bool {
        self.block == block && self.viewers == *viewers
    }
}

impl ListSubscriptions {
    /// Notes that a session asks for these channels, or no more.
    fn count(&mut self, channels: impl Iterator<Item = ChannelId>, more: bool) {
        for channel in channels {
            let count = self.requested.entry(channel).or_default();
            *count = if more { *count + 1 } else { *count - 1 };
            if *count == 0 {
                self.requested.remove(&channel);
            }
        }
    }

    /// Removes a session from a window. True if it was the last one.
    fn leave(&mut self, key: Key, window: &(Viewers, u32)) -> bool {
        let Some(sessions) = self.windows.get_mut(window) else { return false };
        sessions.remove(&key);
        if !sessions.is_empty() {
            return false;
        }
        self.windows.remove(window);
        true
    }
}

/// The list of a channel that these sessions view.
fn list_of<'a>(
    known: &'a mut BTreeMap<ChannelId, Viewers>,
    facts: &Facts,
    audience: &mut Audience,
    channel: ChannelId,
) -> Option<&'a Viewers> {
    let found = facts.channels.get(&channel).filter(|_| audience.may_view(facts, channel))?;
    Some(known.entry(channel).or_insert_with(|| Viewers::of(facts, found)))
}

/// What one session tells the guild, by list.
struct LookBatch {
    of: SmallVec<[ListSubscription; 1]>,
    guild: GuildId,
    session: SessionId,
    number: u32,
}

impl LookBatch {
    fn of(&mut self, view: &ListWindow) -> &mut ListSubscription {
        let LookBatch { of, guild, session, number } = self;
        let at = of.iter().position(|look| look.viewers == view.viewers).unwrap_or_else(|| {
            of.push(ListSubscription {
                guild: *guild,
                viewers: view.viewers.clone(),
                session: *session,
                number: *number,
                through: view.through,
                opened: SmallVec::new(),
                closed: SmallVec::new(),
                unseen: SmallVec::new(),
            });
            of.len() - 1
        });
        &mut of[at]
    }
}

impl Relay {
    /// A seated session says what it looks at, in place of what it has said before; `open`: it may be shown that now.
    pub fn subscribe_lists(
        &mut self,
        key: Key,
        channels: &BTreeMap<ChannelId, Vec<(u32, u32)>>,
        may_open: bool,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let Some(session) = sessions.get(key).map(|session| session.id) else { return };
        let requested = windows_requested(channels);
        let lists = &mut self.lists;
        if requested.is_empty() && !lists.subscribers.contains_key(&key) {
            return;
        }
        lists.count(requested.iter().map(|(channel, _)| *channel), true);
        let subscriber = lists.subscribers.entry(key).or_insert_with(|| ListSubscriber {
            session,
            requested: Vec::new(),
            open: Vec::new(),
            pending: false,
            changes: 0,
            permissions_version: lists.permissions_version,
        });
        let before = std::mem::replace(&mut subscriber.requested, requested);
        lists.count(before.iter().map(|(channel, _)| *channel), false);
        self.recheck(key, true, may_open, sessions, effects);
        if self.lists.subscribers.get(&key).is_some_and(|subscriber| subscriber.requested.is_empty()) {
            self.lists.subscribers.remove(&key);
        }
    }

    /// Whether a change may alter what subscribers view; `watched`: also in channels other than the change's own.
    pub(super) fn may_change_views(&self, change: &Change, watched: bool) -> bool {
        match change {
            Change::Channel(channel) => self.lists.requested.contains_key(&channel.id),
            Change::ChannelGone(channel) => self.lists.requested.contains_key(channel),
            Change::Guild(_)
            | Change::Role(_)
            | Change::RoleGone(_)
            | Change::Member(_)
            | Change::MemberLeft(_)
            | Change::Deleted => watched && !self.lists.subscribers.is_empty(),
        }
    }

    /// Forgets which channel has which list.
    pub(super) fn forget_lists(&mut self) {
        self.lists.known.clear();
    }

    /// What anybody sees may have changed.
    pub(super) fn mark_all_stale(&mut self, effects: &mut Effects) {
        self.lists.permissions_version += 1;
        let first = self.lists.subscribers.keys().next().copied();
        if std::mem::replace(&mut self.lists.recheck_from, first).is_none() && first.is_some() {
            effects.stale_permissions = Some(self.guild());
        }
    }

    /// Works out anew what some of those see for whom that is still to be done. Says whether there are more.
    pub fn recheck_slice(&mut self, sessions: &mut Slab<Session>, effects: &mut Effects) -> bool {
        let Some(from) = self.lists.recheck_from else { return false };
        let mut keys: Vec<Key> =
            self.lists.subscribers.range(from..).map(|(key, _)| *key).take(limits::LIST_LOOKERS + 1).collect();
        self.lists.recheck_from = if keys.len() > limits::LIST_LOOKERS { keys.pop() } else { None };
        for key in keys {
            self.recheck_if_stale(key, sessions, effects);
        }
        self.lists.recheck_from.is_some()
    }

    fn recheck_if_stale(&mut self, key: Key, sessions: &mut Slab<Session>, effects: &mut Effects) {
        if self
            .lists
            .subscribers
            .get(&key)
            .is_some_and(|subscriber| subscriber.permissions_version != self.lists.permissions_version)
        {
            self.recheck(key, false, false, sessions, effects);
        }
    }

    /// Recomputes a session's open windows. `notify`: the guild answers for closed ones; `may_open`: pending ones may
    /// open.
    pub fn recheck(
        &mut self,
        key: Key,
        notify: bool,
        may_open: bool,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let guild = self.guild();
        let lists = &mut self.lists;
        let Some(subscriber) = lists.subscribers.get_mut(&key) else { return };
        let Some(session) = sessions.get(key) else { return };
        let Some(seat) = session.seat_in(guild).map(|seat| &session.seats[seat]) else { return };
        let audience = self.audiences.get_mut(seat.audience).expect("a seat is in an audience");
        subscriber.permissions_version = lists.permissions_version;
        let mut wanted: SmallVec<[ListWindow; 4]> = SmallVec::new();
        for (channel, blocks) in &subscriber.requested {
            let Some(viewers) = list_of(&mut lists.known, &self.facts, audience, *channel) else { continue };
            for block in blocks {
                if !wanted.iter().any(|view| view.is(viewers, *block)) {
                    wanted.push(ListWindow { viewers: viewers.clone(), block: *block, through: *channel });
                }
            }
        }
        let mut left: SmallVec<[OpenWindow; 4]> = SmallVec::new();
        let mut at = 0;
        while let Some(seen) = subscriber.open.get_mut(at) {
            match wanted.iter().position(|view| view.is(&seen.view.viewers, seen.view.block)) {
                Some(found) => {
                    seen.view = wanted.remove(found);
                    at += 1;
                }
                None => left.push(subscriber.open.remove(at)),
            }
        }
        // Each costs memory until it is read: a few at a time.
        let underway = subscriber.open.iter().filter(|seen| !seen.shown).count();
        let connected = session.connection.is_some();
        let room = if may_open && connected { limits::LIST_OPENING_MAX.saturating_sub(underway) } else { 0 };
        subscriber.pending = wanted.len() > room;
        if subscriber.pending && !may_open && connected {
            effects.pending.push((guild, key));
        }
        if left.is_empty() && (wanted.is_empty() || room == 0) {
            return;
        }
        subscriber.changes += 1;
        let (session, number) = (subscriber.session, subscriber.changes);
        let mut looks = LookBatch { of: SmallVec::new(), guild, session, number };
        wanted.sort_unstable();
        wanted.truncate(room);
        for view in wanted {
            let sessions = lists.windows.entry(view.window()).or_default();
            sessions.insert(key);
            looks.of(&view).opened.push((view.block, sessions.len() as u32));
            subscriber.open.push(OpenWindow { view, number, shown: false });
        }
        for OpenWindow { view, shown, .. } in left {
            if notify && shown {
                let look = looks.of(&view);
                look.closed.push(view.block);
                look.through = view.through;
            }
            if lists.leave(key, &view.window()) {
                looks.of(&view).unseen.push(view.block);
            }
        }
        effects.looks.extend(looks.of);
    }

    /// A session looks at nothing any more.
    pub(super) fn unsubscribe(&mut self, key: Key, effects: &mut Effects) {
        self.suspend(key, effects);
        if let Some(subscriber) = self.lists.subscribers.remove(&key) {
            self.lists.count(subscriber.requested.iter().map(|(channel, _)| *channel), false);
        }
    }

    /// A session looks at nothing, until [`Relay::recheck`] opens what it has requested for. It is not told.
    pub fn suspend(&mut self, key: Key, effects: &mut Effects) {
        let guild = self.guild();
        let Some(subscriber) = self.lists.subscribers.get_mut(&key) else { return };
        subscriber.changes += 1;
        subscriber.pending = !subscriber.requested.is_empty();
        let mut looks =
            LookBatch { of: SmallVec::new(), guild, session: subscriber.session, number: subscriber.changes };
        for OpenWindow { view, .. } in std::mem::take(&mut subscriber.open) {
            if self.lists.leave(key, &view.window()) {
                looks.of(&view).unseen.push(view.block);
            }
        }
        effects.looks.extend(looks.of);
    }

    /// The guild tells what has become of windows; `room`: there is memory for what a session is shown that begins to
    /// look.
    pub fn update_windows(
        &mut self,
        windows: &Windows,
        body: &SharedBody,
        room: bool,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let (guild, viewers) = (self.guild(), &windows.viewers);
        match windows.to {
            Addressee::Block(block) => {
                let window = (viewers.clone(), block);
                if self.lists.recheck_from.is_some() {
                    let keys: Vec<Key> = self.lists.windows.get(&window).into_iter().flatten().copied().collect();
                    for key in keys {
                        self.recheck_if_stale(key, sessions, effects);
                    }
                }
                for key in self.lists.windows.get(&window).into_iter().flatten() {
                    let mut seen = self.lists.subscribers[key].open.iter();
                    if seen.any(|seen| seen.shown && seen.view.is(viewers, block)) {
                        dispatch_to(guild, *key, body, sessions, effects);
                    }
                }
            }
            Addressee::Opener(session, block, number) => {
                let key = session.key;
                self.recheck_if_stale(key, sessions, effects);
                let Some(subscriber) = self.lists.subscribers.get_mut(&key) else { return };
                // It may have looked away, or have lost sight of the list, since.
                let mut seen = subscriber.open.iter();
                let at = seen.position(|seen| seen.number == number && seen.view.is(viewers, block));
                let Some(at) = at.filter(|_| subscriber.session == session) else { return };
                if room {
                    subscriber.open[at].shown = true;
                } else {
                    subscriber.pending = true;
                    let OpenWindow { view, .. } = subscriber.open.remove(at);
                    let mut looks = LookBatch { of: SmallVec::new(), guild, session, number };
                    if self.lists.leave(key, &view.window()) {
                        looks.of(&view).unseen.push(block);
                    }
                    effects.looks.extend(looks.of);
                }
                if self.lists.subscribers[&key].pending {
                    effects.pending.push((guild, key));
                }
                if room {
                    dispatch_to(guild, key, body, sessions, effects);
                }
            }
            Addressee::Closer(session, through) => {
                let Some(found) = sessions.get(session.key).filter(|found| found.id == session) else { return };
                let Some(seat) = found.seat_in(guild) else { return };
                let audience = self.audiences.get_mut(found.seats[seat].audience).expect("a seat is in an audience");
                // It may have lost sight of the list since.
                if list_of(&mut self.lists.known, &self.facts, audience, through) == Some(viewers) {
                    dispatch_to(guild, session.key, body, sessions, effects);
                }
            }
        }
    }

    /// Panics if something that must hold of those who look does not.
    pub(super) fn list_invariants(&self, sessions: &Slab<Session>) {
        let mut windows: BTreeMap<(Viewers, u32), BTreeSet<Key>> = BTreeMap::new();
        let mut requested: BTreeMap<ChannelId, u32> = BTreeMap::new();
        for (key, subscriber) in &self.lists.subscribers {
            let session = sessions.get(*key).expect("a subscriber lives");
            assert!(
                session.id == subscriber.session && session.seat_in(self.guild()).is_some(),
                "a subscriber is seated"
            );
            assert!(
                session.connection.is_some() || subscriber.open.is_empty(),
                "a session without a connection has no open windows"
            );
            let underway = subscriber.open.iter().filter(|seen| !seen.shown).count();
            assert!(underway <= limits::LIST_OPENING_MAX, "{underway} windows at once");
            for OpenWindow { view, .. } in &subscriber.open {
                windows.entry(view.window()).or_default().insert(*key);
            }
            for (channel, _) in &subscriber.requested {
                *requested.entry(*channel).or_default() += 1;
            }
            let waits = self.lists.recheck_from.is_some_and(|rest| *key >= rest);
            assert!(
                subscriber.permissions_version == self.lists.permissions_version || waits,
                "every stale subscription is still to be rechecked"
            );
        }
        assert_eq!(self.lists.windows, windows, "windows and those who look name each other");
        assert_eq!(self.lists.requested, requested, "channels that are requested for are known");
    }
}

/// The windows that the ranges are in: as many as one session may look at, the first ones.
fn windows_requested(channels: &BTreeMap<ChannelId, Vec<(u32, u32)>>) -> Vec<(ChannelId, SmallVec<[u32; 4]>)> {
    let mut room = limits::LIST_WINDOWS_MAX;
    let mut requested = Vec::new();
    for (channel, ranges) in channels {
        let mut blocks: SmallVec<[u32; 4]> = SmallVec::new();
        for (first, last) in ranges {
            // A range that ends before it begins is none.
            for block in first / limits::LIST_BLOCK..=(last / limits::LIST_BLOCK).min(limits::LIST_BLOCK_LAST) {
                if first > last || blocks.len() >= room {
                    break;
                }
                if !blocks.contains(&block) {
                    blocks.push(block);
                }
            }
        }
        room -= blocks.len();
        if !blocks.is_empty() {
            requested.push((*channel, blocks));
        }
    }
    requested
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_windows_and_not_too_many() {
        let of = |ranges: &[(u32, u32)]| {
            windows_requested(&BTreeMap::from([(ChannelId::new(1), ranges.to_vec())]))
                .into_iter()
                .flat_map(|(_, blocks)| blocks)
                .collect::<Vec<u32>>()
        };
        assert_eq!(of(&[(0, 99), (100, 199), (100, 199)]), [0, 1]);
        assert_eq!(of(&[(50, 149)]), [0, 1]);
        assert!(of(&[(99, 0), (7, 6)]).is_empty());
        assert_eq!(of(&[(0, u32::MAX)]).len(), limits::LIST_WINDOWS_MAX);
        let last = limits::LIST_BLOCK_LAST * limits::LIST_BLOCK;
        assert_eq!(of(&[(last, u32::MAX)]), [limits::LIST_BLOCK_LAST]);
        assert!(of(&[(u32::MAX, u32::MAX)]).is_empty(), "not all rows of that window have numbers");
    }
}
