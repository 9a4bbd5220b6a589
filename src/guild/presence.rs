//! Presences of members: their sessions added up, who asked for them, and what has changed since it was last told.
//!
//! Lives on: the guild's core.
//! An idle online session is two bytes beside its id; only activities are kept elsewhere. Changes are gathered during a
//! turn and sent at its end, so a member who flips back and forth within one is sent once, or not at all. A core gets a
//! presence only if a session there may know it: it has bots that asked for presences, or a session that follows the
//! member, or the guild is small. So a flip in a large guild costs the same with any number of sessions.
//! Invariant: what is not among the changes is what was last told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::guild::cached_member::CachedMember;
use crate::guild::guild_session::GuildSession;
use crate::guild::list::MemberState;
use crate::guild::{Guild, json};
use crate::limits;
use crate::mail::presence::{Presences, Reach};
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::model::member::Member;
use crate::wire::model::presence::{Activities, Presence, PresenceOf, Showing};

/// Members of whom something has changed since it was last told.
#[derive(Debug, Default)]
pub(super) struct Changes {
    of: BTreeMap<UserId, Noted>,
    /// Counts how often presences were given out besides.
    given: u64,
}

/// What was known of a member when it first changed.
#[derive(Debug)]
struct Noted {
    /// Its presence, with the count of what was given out until then; `None` if that has not changed.
    presence: Option<(Presence, u64)>,
    /// It, or whether it is one, has changed.
    member: bool,
}

/// A member whose presence or row has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Who.
    pub user: UserId,
    /// The presence, if it is another.
    pub presence: Option<Presence>,
    /// Whether the member itself is another: its name or roles, or that it is one.
    pub member: bool,
}

/// Which cores want to hear of which presences.
#[derive(Debug, Default)]
pub(super) struct Onlookers {
    /// Cores with sessions of bots that asked for presences, and how many.
    bots: BTreeMap<Site, u64>,
    /// Cores with sessions that follow a user.
    followed: BTreeMap<UserId, SmallVec<[Site; 2]>>,
}

impl Guild {
    /// What others see of a user: of a stranger the same as of a member who is not there.
    pub fn presence_of(&self, user: UserId) -> Presence {
        self.cached.get(&user).map_or(Presence::OFFLINE, |cached| self.presence_in(user, cached))
    }

    /// What others see of a user who is known.
    pub(super) fn presence_in(&self, user: UserId, cached: &CachedMember) -> Presence {
        let mut presence = Presence::OFFLINE;
        let mut add = |here: &GuildSession| match self.activities.get(&(user, here.secret)).filter(|_| here.active) {
            Some(activities) => presence.add(here.status, here.platform, activities),
            None => presence.add(here.status, here.platform, &Activities::default()),
        };
        if let [one] = cached.sessions.as_slice() {
            add(one);
        } else {
            let mut sessions: SmallVec<[GuildSession; 4]> = SmallVec::from_slice(cached.sessions.as_slice());
            sessions.sort_by_key(|here| (here.status, here.secret));
            // A session may be there twice for a while; it does what it does once.
            sessions.dedup_by_key(|here| here.secret);
            sessions.iter().for_each(add);
        }
        presence
    }

    /// A session shows itself in another way.
    pub fn show(&mut self, user: UserId, session: SessionId, showing: &Showing) {
        let Some(cached) = self.cached.get(&user) else { return };
        if !cached.sessions.iter().any(|here| here.id() == session) {
            return;
        }
        let before = self.presence_in(user, cached);
        self.keep_activities(user, session.secret, &showing.activities);
        let Some(cached) = self.cached.get_mut(&user) else { return };
        // It may be there twice for a while.
        for here in cached.sessions.iter_mut().filter(|here| here.id() == session) {
            (here.status, here.platform) = (showing.status, showing.platform);
            here.active = !showing.activities.is_empty();
        }
        let (was, is) = (before.is_visible(), cached.is_visible());
        if let Some(member) = cached.member.as_ref().filter(|_| !self.lists.is_empty()) {
            let standing = |online| Some(MemberState { member, online });
            self.lists.change(user, standing(was), standing(is));
        }
        self.note_seen(user, before, is);
    }

    /// A core has the first session that follows a user, or has lost the last. The first gets the present state.
    pub fn follow(&mut self, core: Site, user: UserId, follows: bool) -> Option<Presence> {
        let cores = self.onlookers.followed.entry(user).or_default();
        cores.retain(|other| *other != core);
        if follows {
            cores.push(core);
            self.changes.given += 1;
            return Some(self.presence_of(user));
        }
        if cores.is_empty() {
            self.onlookers.followed.remove(&user);
        }
        None
    }

    /// Everybody who is to be seen, and their presences, but for one user who knows it.
    pub fn all_present(&mut self, but: UserId) -> (Vec<Arc<Member>>, Vec<PresenceOf>) {
        self.changes.given += 1;
        let guild = self.id();
        let here = self.cached.iter().filter(|(user, cached)| **user != but && cached.is_visible());
        let members =
            here.clone().filter_map(|(_, cached)| cached.member.as_ref()).map(|kept| Arc::new(kept.member())).collect();
        let presences = here.map(|(user, _)| PresenceOf { guild, user: *user, presence: self.presence_of(*user) });
        (members, presences.collect())
    }

    /// The presences of those who are to be seen among these members.
    pub fn presences_among(&mut self, users: &[UserId]) -> Vec<PresenceOf> {
        self.changes.given += 1;
        let guild = self.id();
        let all = users.iter().map(|user| PresenceOf { guild, user: *user, presence: self.presence_of(*user) });
        all.filter(|one| one.presence.is_visible()).collect()
    }

    /// Whether something has changed that was not told.
    pub fn has_changes(&self) -> bool {
        !self.changes.of.is_empty()
    }

    /// Of whom something has changed since this was last asked. A presence that is again what was last told is none.
    pub fn take_changes(&mut self) -> Vec<Changed> {
        let given = self.changes.given;
        let noted = std::mem::take(&mut self.changes.of);
        let changed = noted.into_iter().filter_map(|(user, noted)| {
            let presence = noted.presence.and_then(|(before, at)| {
                let after = self.presence_of(user);
                // A session may have been given the state in between.
                (after != before || at != given).then_some(after)
            });
            (presence.is_some() || noted.member).then_some(Changed { user, presence, member: noted.member })
        });
        changed.collect()
    }

    /// What each core gets of these changes.
    pub fn tell_presences(&self, now: Time, changed: &[Changed], small: bool) -> Vec<(Site, Arc<Presences>)> {
        let guild = self.id();
        let body = |user: UserId, presence: &Presence| -> Bytes {
            json(&PresenceOf { guild, user, presence: presence.clone() })
        };
        let presences = |reach, of| Arc::new(Presences { guild, reach, of, published: now });
        let all: Vec<Site> = match small {
            true => self.watchers().collect(),
            false => self.onlookers.bots.keys().copied().collect(),
        };
        let mut told = Vec::new();
        let mut alone: BTreeMap<Site, Vec<(UserId, Bytes)>> = BTreeMap::new();
        let mut together = Vec::new();
        for Changed { user, presence, .. } in changed {
            let Some(presence) = presence else { continue };
            let followed = self.onlookers.followed.get(user).map_or(&[][..], |cores| cores);
            if all.is_empty() && followed.is_empty() {
                continue;
            }
            let body = body(*user, presence);
            for core in followed.iter().filter(|core| !all.contains(core)) {
                alone.entry(*core).or_default().push((*user, body.clone()));
            }
            together.push((*user, body));
        }
        if !all.is_empty() && !together.is_empty() {
            let shared = presences(if small { Reach::Everybody } else { Reach::Bots }, together);
            told.extend(all.into_iter().map(|core| (core, Arc::clone(&shared))));
        }
        told.extend(alone.into_iter().map(|(core, of)| (core, presences(Reach::Followers, of))));
        told
    }

    /// The answer to a core that follows a user from now on.
    pub fn answer_follower(&self, now: Time, user: UserId, presence: Presence) -> Presences {
        let guild = self.id();
        let body = json(&PresenceOf { guild, user, presence });
        Presences { guild, reach: Reach::Followers, of: vec![(user, body)], published: now }
    }

    /// Notes what a user was like before something changed, and counts who is online.
    pub(super) fn note_presence(&mut self, user: UserId, before: Presence) {
        let visible = self.cached.get(&user).is_some_and(CachedMember::is_visible);
        self.note_seen(user, before, visible);
    }

    fn note_seen(&mut self, user: UserId, before: Presence, visible: bool) {
        match (before.is_visible(), visible) {
            (false, true) => self.online += 1,
            (true, false) => self.online -= 1,
            (true, true) | (false, false) => {}
        }
        let given = self.changes.given;
        let noted = self.changes.of.entry(user).or_insert(Noted { presence: None, member: false });
        noted.presence.get_or_insert((before, given));
    }

    /// Notes that a member has changed, or come, or gone.
    pub(super) fn note_member(&mut self, user: UserId) {
        self.changes.of.entry(user).or_insert(Noted { presence: None, member: false }).member = true;
    }

    /// How a session shows itself.
    pub(super) fn showing_of(&self, user: UserId, here: &GuildSession) -> Showing {
        let activities = self.activities.get(&(user, here.secret)).cloned().unwrap_or_default();
        Showing { status: here.status, platform: here.platform, activities }
    }

    /// A session sees the guild no more.
    pub(super) fn forget_session(&mut self, user: UserId, here: &GuildSession) {
        self.count_onlooker(here, false);
        self.activities.remove(&(user, here.secret));
    }

    pub(super) fn keep_activities(&mut self, user: UserId, secret: u64, activities: &Activities) {
        if activities.is_empty() {
            self.activities.remove(&(user, secret));
        } else {
            self.activities.insert((user, secret), activities.clone());
        }
    }

    /// A session comes to see presences, or does so no more.
    pub(super) fn count_onlooker(&mut self, here: &GuildSession, comes: bool) {
        if !here.looks_on {
            return;
        }
        let bots = self.onlookers.bots.entry(here.home).or_default();
        if comes {
            *bots += 1;
        } else {
            *bots -= 1;
            if *bots == 0 {
                self.onlookers.bots.remove(&here.home);
            }
        }
    }

    /// A core has no session left that sees the guild.
    pub(super) fn forget_onlookers(&mut self, core: Site) {
        self.onlookers.followed.retain(|_, cores| {
            cores.retain(|other| *other != core);
            !cores.is_empty()
        });
    }

    /// Panics if something that must hold of presences does not.
    pub(super) fn presence_invariants(&self) {
        let online = self.cached.values().filter(|cached| cached.is_visible()).count() as u64;
        assert_eq!(online, self.online, "the count of the online is right");
        let mut bots: BTreeMap<Site, u64> = BTreeMap::new();
        for here in self.cached.values().flat_map(|cached| cached.sessions.iter()).filter(|here| here.looks_on) {
            *bots.entry(here.home).or_default() += 1;
        }
        assert_eq!(bots, self.onlookers.bots, "cores with onlooking bots are known");
        for (user, secret) in self.activities.keys() {
            let sessions = self.cached.get(user).map(|cached| cached.sessions.as_slice()).unwrap_or_default();
            assert!(sessions.iter().any(|here| here.secret == *secret && here.active), "only sessions have activities");
        }
        assert!(
            self.onlookers.followed.values().flatten().all(|core| self.watchers.contains_key(core)),
            "only cores that watch follow"
        );
    }
}

/// Whether people get the presences of everybody in a guild of so many members, of which those above `large` are large.
pub fn is_small(members: u64, large: u64) -> bool {
    members <= limits::PRESENCES_TO_ALL.min(large)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::base::id::Mint;
    use crate::base::slab::Key;
    use crate::guild::founding::found;
    use crate::mail::placement::VirtualShard;
    use crate::mail::presence::{JoinRequest, Onlooker};
    use crate::model::user::User;
    use crate::wire::model::presence::Status;

    #[test]
    fn a_session_that_is_there_twice_does_what_it_does_once() {
        let owner = User { id: UserId::new(5), username: "o".into(), global_name: None, avatar: None, bot: false };
        let (user, mut mint) = (owner.id, Mint::inside());
        let (record, _) = found(VirtualShard::of(user), owner.clone(), "g".to_owned(), 1_700_000_000_000, &mut mint);
        let mut guild = Guild::load(record);
        guild.remember(user, Some(Arc::new(Member::new(owner, 1))), true);
        let activity = RawValue::from_string(r#"{"name":"chess"}"#.to_owned()).unwrap();
        let showing = Showing { activities: Activities::new(vec![activity]), ..Showing::default() };
        let session = SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret: 9 };
        let coming = JoinRequest { session, user, whole: 0, onlooker: Onlooker::Nobody, showing: showing.clone() };
        assert!(guild.enter(&coming).is_some() && guild.enter(&coming).is_some());
        assert_eq!(guild.presence_of(user).activities, showing.activities);
        let idle = Showing { status: Status::Idle, ..showing.clone() };
        guild.show(user, session, &idle);
        let shown = guild.presence_of(user);
        assert_eq!((shown.status, shown.activities), (Status::Idle, showing.activities));
        guild.invariants();
    }
}
