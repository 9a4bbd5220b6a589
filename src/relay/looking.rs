//! Who looks at which window of which member list, and what comes of it.
//!
//! Lives on: every core with a relay.
//! The guild knows cores and windows; only the relay knows sessions. A session is asked for what it may see by the relay's own
//! facts, in the guild's order: whoever loses sight of a channel gets nothing more of its list from the event on that hides it.
//! What anybody sees may change for all at once. Then nobody is told anything before it is worked out anew what he sees: for those
//! whom something comes for at once, for the others in slices that are part of the turns.
//! A session without a connection looks at nothing: when it resumes it is shown anew what it has asked for.
//! Invariant: a window is known to the guild as seen on this core exactly while a session here looks at it.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::base::id::{ChannelId, GuildId};
use crate::base::slab::{Key, Slab};
use crate::limits;
use crate::mail::event::Change;
use crate::mail::facts::Facts;
use crate::mail::listing::{Addressee, Look, Viewers, Windows};
use crate::mail::session_id::SessionId;
use crate::relay::audience::Audience;
use crate::relay::{Aftermath, Relay, dispatch_to};
use crate::session::Session;
use crate::session::body::SharedBody;

/// Sessions that look at member lists.
#[derive(Debug, Default)]
pub(super) struct Looking {
    lookers: BTreeMap<Key, Looker>,
    windows: BTreeMap<(Viewers, u32), BTreeSet<Key>>,
    /// Channels that are asked for, with how many sessions do.
    asked: BTreeMap<ChannelId, u32>,
    /// Counts the changes by which anybody may have come to see others.
    era: u64,
    /// Which list a channel has, for those that were asked about since anything changed.
    known: BTreeMap<ChannelId, Viewers>,
    /// From this one on it has to be worked out anew what they see.
    rest: Option<Key>,
}

/// A session that looks at member lists.
#[derive(Debug)]
struct Looker {
    session: SessionId,
    /// What it asked for: windows by channel.
    asked: Vec<(ChannelId, SmallVec<[u32; 4]>)>,
    /// What it looks at of that.
    seen: Vec<Seen>,
    /// It may see more of what it asked for, and is shown that when it has taken what it was sent.
    hungry: bool,
    /// How often it has begun to look.
    looks: u32,
    /// When it was worked out what it sees.
    era: u64,
}

/// A window that a session looks at.
#[derive(Debug)]
struct Seen {
    view: View,
    /// The look with which it began.
    number: u32,
    /// The rows have come.
    shown: bool,
}

/// A window, and a channel by which it is seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    viewers: Viewers,
    block: u32,
    through: ChannelId,
}

impl View {
    fn window(&self) -> (Viewers, u32) {
        (self.viewers.clone(), self.block)
    }

    fn is(&self, viewers: &Viewers, block: u32) -> bool {
        self.block == block && self.viewers == *viewers
    }
}

impl Looking {
    /// Notes that a session asks for these channels, or no more.
    fn count(&mut self, channels: impl Iterator<Item = ChannelId>, more: bool) {
        for channel in channels {
            let count = self.asked.entry(channel).or_default();
            *count = if more { *count + 1 } else { *count - 1 };
            if *count == 0 {
                self.asked.remove(&channel);
            }
        }
    }

    /// Takes a session off a window. Says whether nobody is left there.
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
struct Looks {
    of: SmallVec<[Look; 1]>,
    guild: GuildId,
    session: SessionId,
    number: u32,
}

impl Looks {
    fn of(&mut self, view: &View) -> &mut Look {
        let Looks { of, guild, session, number } = self;
        let at = of.iter().position(|look| look.viewers == view.viewers).unwrap_or_else(|| {
            of.push(Look {
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
    pub fn look(
        &mut self,
        key: Key,
        channels: &BTreeMap<ChannelId, Vec<(u32, u32)>>,
        open: bool,
        sessions: &mut Slab<Session>,
        after: &mut Aftermath,
    ) {
        let Some(session) = sessions.get(key).map(|session| session.id) else { return };
        let asked = windows_asked(channels);
        let looking = &mut self.looking;
        if asked.is_empty() && !looking.lookers.contains_key(&key) {
            return;
        }
        looking.count(asked.iter().map(|(channel, _)| *channel), true);
        let looker = looking.lookers.entry(key).or_insert_with(|| Looker {
            session,
            asked: Vec::new(),
            seen: Vec::new(),
            hungry: false,
            looks: 0,
            era: looking.era,
        });
        let before = std::mem::replace(&mut looker.asked, asked);
        looking.count(before.iter().map(|(channel, _)| *channel), false);
        self.look_again(key, true, open, sessions, after);
        if self.looking.lookers.get(&key).is_some_and(|looker| looker.asked.is_empty()) {
            self.looking.lookers.remove(&key);
        }
    }

    /// Whether a change may be one of what somebody sees who looks; `watched`: of what anybody views besides the channel that it
    /// is about.
    pub(super) fn changes_sight(&self, change: &Change, watched: bool) -> bool {
        match change {
            Change::Channel(channel) => self.looking.asked.contains_key(&channel.id),
            Change::ChannelGone(channel) => self.looking.asked.contains_key(channel),
            Change::Guild(_)
            | Change::Role(_)
            | Change::RoleGone(_)
            | Change::Member(_)
            | Change::MemberLeft(_)
            | Change::Deleted => watched && !self.looking.lookers.is_empty(),
        }
    }

    /// Forgets which channel has which list.
    pub(super) fn forget_lists(&mut self) {
        self.looking.known.clear();
    }

    /// What anybody sees may have changed.
    pub(super) fn all_look_again(&mut self, after: &mut Aftermath) {
        self.looking.era += 1;
        let first = self.looking.lookers.keys().next().copied();
        if std::mem::replace(&mut self.looking.rest, first).is_none() && first.is_some() {
            after.blinded = Some(self.guild());
        }
    }

    /// Works out anew what some of those see for whom that is still to be done. Says whether there are more.
    pub fn look_on(&mut self, sessions: &mut Slab<Session>, after: &mut Aftermath) -> bool {
        let Some(rest) = self.looking.rest else { return false };
        let mut keys: Vec<Key> =
            self.looking.lookers.range(rest..).map(|(key, _)| *key).take(limits::LIST_LOOKERS + 1).collect();
        self.looking.rest = if keys.len() > limits::LIST_LOOKERS { keys.pop() } else { None };
        for key in keys {
            self.look_if_blinded(key, sessions, after);
        }
        self.looking.rest.is_some()
    }

    fn look_if_blinded(&mut self, key: Key, sessions: &mut Slab<Session>, after: &mut Aftermath) {
        if self.looking.lookers.get(&key).is_some_and(|looker| looker.era != self.looking.era) {
            self.look_again(key, false, false, sessions, after);
        }
    }

    /// Works out anew what a session looks at; `told`: it is told of windows that it has left; `open`: it may be shown more.
    pub fn look_again(
        &mut self,
        key: Key,
        told: bool,
        open: bool,
        sessions: &mut Slab<Session>,
        after: &mut Aftermath,
    ) {
        let guild = self.guild();
        let looking = &mut self.looking;
        let Some(looker) = looking.lookers.get_mut(&key) else { return };
        let Some(session) = sessions.get(key) else { return };
        let Some(seat) = session.seat_in(guild).map(|seat| &session.seats[seat]) else { return };
        let audience = self.audiences.get_mut(seat.audience).expect("a seat is in an audience");
        looker.era = looking.era;
        let mut wanted: SmallVec<[View; 4]> = SmallVec::new();
        for (channel, blocks) in &looker.asked {
            let Some(viewers) = list_of(&mut looking.known, &self.facts, audience, *channel) else { continue };
            for block in blocks {
                if !wanted.iter().any(|view| view.is(viewers, *block)) {
                    wanted.push(View { viewers: viewers.clone(), block: *block, through: *channel });
                }
            }
        }
        let mut left: SmallVec<[Seen; 4]> = SmallVec::new();
        let mut at = 0;
        while let Some(seen) = looker.seen.get_mut(at) {
            match wanted.iter().position(|view| view.is(&seen.view.viewers, seen.view.block)) {
                Some(found) => {
                    seen.view = wanted.remove(found);
                    at += 1;
                }
                None => left.push(looker.seen.remove(at)),
            }
        }
        // Each costs memory until it is read: a few at a time.
        let underway = looker.seen.iter().filter(|seen| !seen.shown).count();
        let connected = session.connection.is_some();
        let room = if open && connected { limits::LIST_OPENING_MAX.saturating_sub(underway) } else { 0 };
        looker.hungry = wanted.len() > room;
        if looker.hungry && !open && connected {
            after.hungry.push((guild, key));
        }
        if left.is_empty() && (wanted.is_empty() || room == 0) {
            return;
        }
        looker.looks += 1;
        let (session, number) = (looker.session, looker.looks);
        let mut looks = Looks { of: SmallVec::new(), guild, session, number };
        wanted.sort_unstable();
        wanted.truncate(room);
        for view in wanted {
            let sessions = looking.windows.entry(view.window()).or_default();
            sessions.insert(key);
            looks.of(&view).opened.push((view.block, sessions.len() as u32));
            looker.seen.push(Seen { view, number, shown: false });
        }
        for Seen { view, shown, .. } in left {
            if told && shown {
                let look = looks.of(&view);
                look.closed.push(view.block);
                look.through = view.through;
            }
            if looking.leave(key, &view.window()) {
                looks.of(&view).unseen.push(view.block);
            }
        }
        after.looks.extend(looks.of);
    }

    /// A session looks at nothing any more.
    pub(super) fn look_away(&mut self, key: Key, after: &mut Aftermath) {
        self.close_eyes(key, after);
        if let Some(looker) = self.looking.lookers.remove(&key) {
            self.looking.count(looker.asked.iter().map(|(channel, _)| *channel), false);
        }
    }

    /// A session looks at nothing, until [`Relay::look_again`] opens what it has asked for. It is not told.
    pub fn close_eyes(&mut self, key: Key, after: &mut Aftermath) {
        let guild = self.guild();
        let Some(looker) = self.looking.lookers.get_mut(&key) else { return };
        looker.looks += 1;
        looker.hungry = !looker.asked.is_empty();
        let mut looks = Looks { of: SmallVec::new(), guild, session: looker.session, number: looker.looks };
        for Seen { view, .. } in std::mem::take(&mut looker.seen) {
            if self.looking.leave(key, &view.window()) {
                looks.of(&view).unseen.push(view.block);
            }
        }
        after.looks.extend(looks.of);
    }

    /// The guild tells what has become of windows; `room`: there is memory for what a session is shown that begins to look.
    pub fn show(
        &mut self,
        windows: &Windows,
        body: &SharedBody,
        room: bool,
        sessions: &mut Slab<Session>,
        after: &mut Aftermath,
    ) {
        let (guild, viewers) = (self.guild(), &windows.viewers);
        match windows.to {
            Addressee::Block(block) => {
                let window = (viewers.clone(), block);
                if self.looking.rest.is_some() {
                    let keys: Vec<Key> = self.looking.windows.get(&window).into_iter().flatten().copied().collect();
                    for key in keys {
                        self.look_if_blinded(key, sessions, after);
                    }
                }
                for key in self.looking.windows.get(&window).into_iter().flatten() {
                    let mut seen = self.looking.lookers[key].seen.iter();
                    if seen.any(|seen| seen.shown && seen.view.is(viewers, block)) {
                        dispatch_to(guild, *key, body, sessions, after);
                    }
                }
            }
            Addressee::Opener(session, block, number) => {
                let key = session.key;
                self.look_if_blinded(key, sessions, after);
                let Some(looker) = self.looking.lookers.get_mut(&key) else { return };
                // It may have looked away, or have lost sight of the list, since.
                let mut seen = looker.seen.iter();
                let at = seen.position(|seen| seen.number == number && seen.view.is(viewers, block));
                let Some(at) = at.filter(|_| looker.session == session) else { return };
                if room {
                    looker.seen[at].shown = true;
                } else {
                    looker.hungry = true;
                    let Seen { view, .. } = looker.seen.remove(at);
                    let mut looks = Looks { of: SmallVec::new(), guild, session, number };
                    if self.looking.leave(key, &view.window()) {
                        looks.of(&view).unseen.push(block);
                    }
                    after.looks.extend(looks.of);
                }
                if self.looking.lookers[&key].hungry {
                    after.hungry.push((guild, key));
                }
                if room {
                    dispatch_to(guild, key, body, sessions, after);
                }
            }
            Addressee::Closer(session, through) => {
                let Some(found) = sessions.get(session.key).filter(|found| found.id == session) else { return };
                let Some(seat) = found.seat_in(guild) else { return };
                let audience = self.audiences.get_mut(found.seats[seat].audience).expect("a seat is in an audience");
                // It may have lost sight of the list since.
                if list_of(&mut self.looking.known, &self.facts, audience, through) == Some(viewers) {
                    dispatch_to(guild, session.key, body, sessions, after);
                }
            }
        }
    }

    /// Panics if something that must hold of those who look does not.
    pub(super) fn looking_invariants(&self, sessions: &Slab<Session>) {
        let mut windows: BTreeMap<(Viewers, u32), BTreeSet<Key>> = BTreeMap::new();
        let mut asked: BTreeMap<ChannelId, u32> = BTreeMap::new();
        for (key, looker) in &self.looking.lookers {
            let session = sessions.get(*key).expect("whoever looks lives");
            assert!(session.id == looker.session && session.seat_in(self.guild()).is_some(), "whoever looks is seated");
            assert!(session.connection.is_some() || looker.seen.is_empty(), "nobody looks without a connection");
            let underway = looker.seen.iter().filter(|seen| !seen.shown).count();
            assert!(underway <= limits::LIST_OPENING_MAX, "{underway} windows at once");
            for Seen { view, .. } in &looker.seen {
                windows.entry(view.window()).or_default().insert(*key);
            }
            for (channel, _) in &looker.asked {
                *asked.entry(*channel).or_default() += 1;
            }
            let waits = self.looking.rest.is_some_and(|rest| *key >= rest);
            assert!(looker.era == self.looking.era || waits, "whoever is blinded has his turn to come");
        }
        assert_eq!(self.looking.windows, windows, "windows and those who look name each other");
        assert_eq!(self.looking.asked, asked, "channels that are asked for are known");
    }
}

/// The windows that the ranges are in: as many as one session may look at, the first ones.
fn windows_asked(channels: &BTreeMap<ChannelId, Vec<(u32, u32)>>) -> Vec<(ChannelId, SmallVec<[u32; 4]>)> {
    let mut room = limits::LIST_WINDOWS_MAX;
    let mut asked = Vec::new();
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
            asked.push((*channel, blocks));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_windows_and_not_too_many() {
        let of = |ranges: &[(u32, u32)]| {
            windows_asked(&BTreeMap::from([(ChannelId::new(1), ranges.to_vec())]))
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
