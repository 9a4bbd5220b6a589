//! Which sessions receive which presences: bots with the intent, users in small guilds, and sessions that follow a
//! member.
//!
//! Lives on: every core with a relay.
//! A session never receives its own user's presence. A presence costs one journal entry for each audience of bots (in a
//! small guild: of anybody), and one event for each session that follows the member; audiences that may not know are
//! not even looked at.
//! Invariant: a member is followed at the guild while, and only while, a session here follows it.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::base::id::UserId;
use crate::base::slab::{Key, Slab};
use crate::limits;
use crate::mail::event::{Change, Event};
use crate::mail::presence::{Presences, Reach};
use crate::relay::audience::AccessClass;
use crate::relay::{Effects, Relay, dispatch_to};
use crate::session::Session;
use crate::session::body::{EventBody, SharedBody};
use crate::session::interest::Interest;
use crate::wire::event::EventName;
use crate::wire::intents::Intents;

/// Members who are followed by sessions of a relay.
#[derive(Debug, Default)]
pub(super) struct Following {
    members: BTreeMap<UserId, Followed>,
    /// By session, ascending.
    sessions: BTreeMap<Key, Vec<UserId>>,
}

/// A member who is followed.
#[derive(Debug, Default)]
struct Followed {
    /// A tree: thousands may follow one member, and come and go by themselves.
    sessions: BTreeSet<Key>,
    /// What the guild last told of it; `None` until it has.
    last: Option<SharedBody>,
}

impl Relay {
    /// Delivers presences to everybody who may know them.
    pub fn tell_presences(&mut self, told: &Presences, sessions: &mut Slab<Session>, effects: &mut Effects) {
        let audiences: Vec<Key> = match told.reach {
            Reach::Followers => Vec::new(),
            Reach::Bots => self.seers.iter().copied().collect(),
            Reach::Everybody => {
                let takes = |class: &AccessClass| takes_presences(class, told.reach);
                self.audiences.iter().filter(|(_, audience)| takes(&audience.class)).map(|(key, _)| key).collect()
            }
        };
        for (user, json) in &told.of {
            let body = EventBody::new(EventName::PresenceUpdate, json.clone(), told.published);
            for key in &audiences {
                self.deliver_but_to(*user, *key, &body, sessions, effects);
            }
            let Some(followed) = self.following.members.get_mut(user) else { continue };
            followed.last = Some(SharedBody::clone(&body));
            let followed = &self.following.members[user];
            for key in &followed.sessions {
                self.tell_follower(*key, told.reach, &body, sessions, effects);
            }
        }
    }

    /// Whom a session follows from now on, in place of those before.
    pub fn follow(&mut self, key: Key, mut users: Vec<UserId>, sessions: &mut Slab<Session>, effects: &mut Effects) {
        let guild = self.guild();
        let Some(session) = sessions.get(key).filter(|session| session.seat_in(guild).is_some()) else { return };
        users.truncate(limits::FOLLOWED_MAX);
        users.retain(|user| *user != session.user);
        users.sort_unstable();
        users.dedup();
        let before = self.following.sessions.remove(&key).unwrap_or_default();
        for gone in before.iter().filter(|user| users.binary_search(user).is_err()) {
            self.release_follower(*gone, key, effects);
        }
        for user in users.iter().filter(|user| before.binary_search(user).is_err()) {
            let followed = self.following.members.entry(*user).or_default();
            followed.sessions.insert(key);
            if followed.sessions.len() == 1 {
                // The answer tells how things stand.
                effects.follows.push((guild, *user, true));
            } else if let Some(last) = followed.last.clone() {
                self.tell_follower(key, Reach::Followers, &last, sessions, effects);
            }
        }
        if !users.is_empty() {
            self.following.sessions.insert(key, users);
        }
    }

    /// Ends all follows of a session.
    pub(super) fn follow_nobody(&mut self, key: Key, effects: &mut Effects) {
        for user in self.following.sessions.remove(&key).unwrap_or_default() {
            self.release_follower(user, key, effects);
        }
    }

    /// Sends a member's change to its followers, except those whose audience receives it anyway.
    pub(super) fn tell_followers(
        &mut self,
        event: &Event,
        body: impl FnOnce() -> SharedBody,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let (EventName::GuildMemberUpdate, Some(Change::Member(member))) = (event.name, &event.change) else { return };
        let Some(followed) = self.following.members.get(&member.user.id) else { return };
        let (body, guild) = (body(), self.facts.id());
        for key in &followed.sessions {
            let Some(session) = sessions.get(*key) else { continue };
            let Some(seat) = session.seat_in(guild) else { continue };
            let audience = self.audiences.get(session.seats[seat].audience).expect("a seat is in an audience");
            if audience.wants(event.name) && !audience.takes(event) {
                dispatch_to(guild, *key, &body, sessions, effects);
            }
        }
    }

    /// Who is followed, for [`Relay::invariants`].
    pub(super) fn following_invariants(&self) {
        for (key, users) in &self.following.sessions {
            for user in users {
                assert!(self.following.members[user].sessions.contains(key), "who follows is known to");
            }
        }
        let following: usize = self.following.sessions.values().map(Vec::len).sum();
        let followed: usize = self.following.members.values().map(|followed| followed.sessions.len()).sum();
        assert_eq!(following, followed, "nobody is followed by sessions that do not");
        for (key, audience) in self.audiences.iter() {
            let sees = takes_presences(&audience.class, Reach::Bots);
            assert_eq!(self.seers.contains(&key), sees, "audiences of bots that see presences are known");
        }
    }

    fn release_follower(&mut self, user: UserId, key: Key, effects: &mut Effects) {
        let Some(followed) = self.following.members.get_mut(&user) else { return };
        followed.sessions.remove(&key);
        if followed.sessions.is_empty() {
            self.following.members.remove(&user);
            effects.follows.push((self.facts.id(), user, false));
        }
    }

    /// Delivers a presence to an audience, except to sessions of the user whose it is.
    fn deliver_but_to(
        &mut self,
        user: UserId,
        key: Key,
        body: &SharedBody,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let guild = self.facts.id();
        let mut own: SmallVec<[(Key, usize); 2]> = SmallVec::new();
        for session_key in self.present.get(&user).into_iter().flat_map(|present| present.iter()) {
            let Some(session) = sessions.get_mut(*session_key) else { continue };
            let Some(seat) = session.seat_in(guild).filter(|seat| session.seats[*seat].audience == key) else {
                continue;
            };
            match session.take_from_journal(seat) {
                Ok(_) => own.push((*session_key, seat)),
                Err(_) => effects.lost.push(*session_key),
            }
        }
        let Some(audience) = self.audiences.get_mut(key) else { return };
        if audience.deliver(SharedBody::clone(body)) {
            effects.walks.push((guild, key));
        }
        for (session, seat) in own {
            sessions.get_mut(session).expect("found just now").seats[seat].cursor += 1;
            // What it has taken up before is still to be sent.
            effects.ready.push(session);
        }
    }

    /// Tells one session of a presence, if it may know and is not told with its audience.
    fn tell_follower(
        &self,
        key: Key,
        reach: Reach,
        body: &SharedBody,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let Some(session) = sessions.get(key) else { return };
        let Some(seat) = session.seat_in(self.facts.id()) else { return };
        let class = &self.audiences.get(session.seats[seat].audience).expect("a seat is in an audience").class;
        if class.intents.contains(Intents::GUILD_PRESENCES) && !takes_presences(class, reach) {
            dispatch_to(self.facts.id(), key, body, sessions, effects);
        }
    }
}

/// Whether a class receives presences of this reach.
pub(super) fn takes_presences(class: &AccessClass, reach: Reach) -> bool {
    let needed = if class.interest.contains(Interest::PERSON) { Reach::Everybody } else { Reach::Bots };
    class.intents.contains(Intents::GUILD_PRESENCES) && !class.interest.is_passive() && reach >= needed
}
