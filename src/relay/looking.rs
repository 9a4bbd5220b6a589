//! Who looks at which window of which member list, and what comes of it.
//!
//! Lives on: every core with a relay.
//! The guild knows cores and windows; only the relay knows sessions. A session is asked for what it may see by the relay's own
//! facts, in the guild's order: whoever loses sight of a channel gets nothing more of its list from the event on that hides it.
//! Invariant: a window is known to the guild as seen on this core exactly while a session here looks at it.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::base::id::{ChannelId, GuildId};
use crate::base::slab::{Key, Slab};
use crate::limits;
use crate::mail::listing::{Addressee, Look, Viewers, Windows};
use crate::mail::session_id::SessionId;
use crate::relay::{Aftermath, Relay};
use crate::session::Session;
use crate::session::body::{Body, SharedBody};
use crate::wire::event::EventName;

/// Sessions that look at member lists.
#[derive(Debug, Default)]
pub(super) struct Looking {
    lookers: BTreeMap<Key, Looker>,
    windows: BTreeMap<(Viewers, u32), BTreeSet<Key>>,
}

/// A session that looks at member lists.
#[derive(Debug)]
struct Looker {
    session: SessionId,
    /// What it asked for: windows by channel.
    asked: Vec<(ChannelId, SmallVec<[u32; 4]>)>,
    /// What it may see of that.
    seen: Vec<Seen>,
    /// How often it has begun to look.
    looks: u32,
}

#[derive(Debug)]
struct Seen {
    viewers: Viewers,
    block: u32,
    /// The look with which it began.
    number: u32,
    /// The rows have come.
    shown: bool,
}

impl Looking {
    fn sessions(&self) -> Vec<Key> {
        self.lookers.keys().copied().collect()
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

/// What one session tells the guild, by list.
struct Looks {
    of: BTreeMap<Viewers, Look>,
    guild: GuildId,
    session: SessionId,
    number: u32,
}

impl Looks {
    fn of(&mut self, viewers: &Viewers) -> &mut Look {
        let Looks { of, guild, session, number } = self;
        of.entry(viewers.clone()).or_insert_with(|| Look {
            guild: *guild,
            viewers: viewers.clone(),
            session: *session,
            number: *number,
            opened: SmallVec::new(),
            closed: SmallVec::new(),
            unseen: SmallVec::new(),
        })
    }
}

impl Relay {
    /// A seated session says what it looks at, in place of what it has said before.
    pub fn look(
        &mut self,
        key: Key,
        channels: &BTreeMap<ChannelId, Vec<(u32, u32)>>,
        sessions: &mut Slab<Session>,
        after: &mut Aftermath,
    ) {
        let Some(session) = sessions.get(key).map(|session| session.id) else { return };
        let asked = windows_asked(channels);
        match self.looking.lookers.get_mut(&key) {
            Some(looker) => looker.asked = asked,
            None if asked.is_empty() => return,
            None => {
                self.looking.lookers.insert(key, Looker { session, asked, seen: Vec::new(), looks: 0 });
            }
        }
        self.look_again(key, true, &mut BTreeMap::new(), sessions, after);
        if self.looking.lookers.get(&key).is_some_and(|looker| looker.asked.is_empty()) {
            self.looking.lookers.remove(&key);
        }
    }

    /// What anybody may see may have changed: works out anew what they look at.
    pub(super) fn all_look_again(&mut self, sessions: &mut Slab<Session>, after: &mut Aftermath) {
        let mut known = BTreeMap::new();
        for key in self.looking.sessions() {
            self.look_again(key, false, &mut known, sessions, after);
        }
    }

    /// Works out anew what a session looks at; `told`: it is told of windows that it has left.
    pub(super) fn look_again(
        &mut self,
        key: Key,
        told: bool,
        known: &mut BTreeMap<ChannelId, Viewers>,
        sessions: &mut Slab<Session>,
        after: &mut Aftermath,
    ) {
        let guild = self.guild();
        let Some(looker) = self.looking.lookers.get_mut(&key) else { return };
        let Some(seat) = sessions.get(key).and_then(|session| Some(&session.seats[session.seat_in(guild)?])) else {
            return;
        };
        let audience = self.audiences.get_mut(seat.audience).expect("a seat is in an audience");
        let mut wanted: BTreeSet<(Viewers, u32)> = BTreeSet::new();
        for (channel, blocks) in &looker.asked {
            let Some(channel) = self.facts.channels.get(channel) else { continue };
            if !audience.may_view(&self.facts, channel.id) {
                continue;
            }
            let viewers = known.entry(channel.id).or_insert_with(|| Viewers::of(&self.facts, channel));
            wanted.extend(blocks.iter().map(|block| (viewers.clone(), *block)));
        }
        let (session, number) = (looker.session, looker.looks + 1);
        let mut looks = Looks { of: BTreeMap::new(), guild, session, number };
        let (stays, left) = std::mem::take(&mut looker.seen)
            .into_iter()
            .partition::<Vec<Seen>, _>(|seen| wanted.remove(&(seen.viewers.clone(), seen.block)));
        looker.seen = stays;
        looker.looks = number;
        for window in wanted {
            let (viewers, block) = window.clone();
            let sessions = self.looking.windows.entry(window).or_default();
            sessions.insert(key);
            looks.of(&viewers).opened.push((block, sessions.len() as u32));
            looker.seen.push(Seen { viewers, block, number, shown: false });
        }
        for Seen { viewers, block, shown, .. } in left {
            if told && shown {
                looks.of(&viewers).closed.push(block);
            }
            let window = (viewers, block);
            if self.looking.leave(key, &window) {
                looks.of(&window.0).unseen.push(block);
            }
        }
        after.looks.extend(looks.of.into_values());
    }

    /// A session looks at nothing any more.
    pub(super) fn look_away(&mut self, key: Key, after: &mut Aftermath) {
        let Some(looker) = self.looking.lookers.remove(&key) else { return };
        for Seen { viewers, block, .. } in looker.seen {
            let window = (viewers, block);
            if self.looking.leave(key, &window) {
                after.looks.push(Look {
                    guild: self.guild(),
                    viewers: window.0,
                    session: looker.session,
                    number: looker.looks,
                    opened: SmallVec::new(),
                    closed: SmallVec::new(),
                    unseen: SmallVec::from_slice(&[block]),
                });
            }
        }
    }

    /// The guild tells what has become of windows.
    pub fn show(&mut self, windows: &Windows, sessions: &mut Slab<Session>, after: &mut Aftermath) {
        let body = Body::new(EventName::GuildMemberListUpdate, windows.body.clone(), windows.published);
        match windows.to {
            Addressee::Block(block) => {
                let window = (windows.viewers.clone(), block);
                for key in self.looking.windows.get(&window).into_iter().flatten() {
                    let shown = self.looking.lookers[key]
                        .seen
                        .iter()
                        .any(|seen| seen.shown && seen.block == block && seen.viewers == windows.viewers);
                    if shown {
                        self.dispatch_window(*key, &body, sessions, after);
                    }
                }
            }
            Addressee::Opener(session, block, number) => {
                let Some(looker) = self.looking.lookers.get_mut(&session.key) else { return };
                let mut seen = looker.seen.iter_mut();
                // It may have looked away, or have lost sight of the list, since.
                let seen =
                    seen.find(|seen| seen.number == number && seen.block == block && seen.viewers == windows.viewers);
                if let Some(seen) = seen.filter(|_| looker.session == session) {
                    seen.shown = true;
                    self.dispatch_window(session.key, &body, sessions, after);
                }
            }
            Addressee::Closer(session) => {
                if sessions.get(session.key).is_some_and(|found| found.id == session) {
                    self.dispatch_window(session.key, &body, sessions, after);
                }
            }
        }
    }

    /// Dispatches to one session, behind what its audience was sent before.
    fn dispatch_window(&self, key: Key, body: &SharedBody, sessions: &mut Slab<Session>, after: &mut Aftermath) {
        let Some(session) = sessions.get_mut(key) else { return };
        let Some(seat) = session.seat_in(self.guild()) else { return };
        match session.absorb(seat) {
            Ok(_) => {
                session.dispatch(SharedBody::clone(body));
                after.ready.push(key);
            }
            Err(_) => after.lost.push(key),
        }
    }

    /// Panics if something that must hold of those who look does not.
    pub(super) fn looking_invariants(&self, sessions: &Slab<Session>) {
        let mut windows: BTreeMap<(Viewers, u32), BTreeSet<Key>> = BTreeMap::new();
        for (key, looker) in &self.looking.lookers {
            let session = sessions.get(*key).expect("whoever looks lives");
            assert!(session.id == looker.session && session.seat_in(self.guild()).is_some(), "whoever looks is seated");
            for seen in &looker.seen {
                windows.entry((seen.viewers.clone(), seen.block)).or_default().insert(*key);
            }
        }
        assert_eq!(self.looking.windows, windows, "windows and those who look name each other");
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
