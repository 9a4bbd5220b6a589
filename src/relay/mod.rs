//! A relay: one guild's sessions on one core. It alone turns what a guild publishes into what sessions are sent.
//!
//! Lives on: every core that has a session which sees the guild.
//! It holds a copy of the guild's facts and changes it with the guild's own events, in the guild's order; so what a
//! session may see is decided by the same state as on the guild's core, and a hidden channel is silent from the event
//! on that hides it.
//! Invariant: every seated session is in exactly one audience, and its seat says which and where.

pub mod audience;
pub mod following;
mod list_subscriptions;
#[cfg(test)]
mod tests;
pub mod unread;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::few::Few;
use crate::base::id::{ChannelId, GuildId, RoleId, UserId};
use crate::base::slab::{Key, Slab};
use crate::mail::event::{Change, Event, Scope};
use crate::mail::facts::Facts;
use crate::mail::listing::ListSubscription;
use crate::mail::presence::Reach;
use crate::model::channel::{Channel, OverwriteKind};
use crate::model::permissions::Permissions;
use crate::relay::audience::{AccessClass, Audience};
use crate::relay::following::{Following, takes_presences};
use crate::relay::list_subscriptions::ListSubscriptions;
use crate::session::body::{EventBody, SharedBody};
use crate::session::interest::Interest;
use crate::session::{Seat, Session};
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::channel::ChannelView;

/// What a relay leaves for the shard to do after an event.
#[derive(Debug, Default)]
pub struct Effects {
    /// Audiences that have a new walk to be made.
    pub walks: Vec<(GuildId, Key)>,
    /// Sessions with an event of their own to be sent.
    pub ready: Vec<Key>,
    /// Sessions that have missed something for good: they are over.
    pub lost: Vec<Key>,
    /// Users whom sessions here follow from now on, or no more.
    pub follows: Vec<(GuildId, UserId, bool)>,
    /// A guild in which something has become unread for those who get no messages, the first since they were told.
    pub unread: Option<GuildId>,
    /// Windows of member lists that are looked at from now on, or no more.
    pub looks: Vec<ListSubscription>,
    /// Sessions that may see windows which they have not been shown.
    pub pending: Vec<(GuildId, Key)>,
    /// A guild in which it is to be worked out anew what those see who look at member lists: [`Relay::recheck_slice`].
    pub stale_permissions: Option<GuildId>,
}

/// One guild's sessions on one core.
#[derive(Debug)]
pub struct Relay {
    facts: Facts,
    audiences: Slab<Audience>,
    by_class: HashMap<AccessClass, Key, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>,
    /// Members with sessions here. What roles they have is what their audience's class says.
    present: BTreeMap<UserId, Few<Key>>,
    /// Users who are classes of their own: the owner, and whom an overwrite names.
    named: BTreeSet<UserId>,
    following: Following,
    /// Audiences of bots that asked for presences.
    seers: BTreeSet<Key>,
    lists: ListSubscriptions,
    /// Snapshots that ever came.
    pub seen: u64,
    /// An Unwatch letter was sent to the guild.
    pub leaving: bool,
    /// Sessions that get no messages have unread marks to get.
    unread: bool,
}

impl Relay {
    /// A relay without sessions that knows the guild as it is now.
    pub fn new(facts: Facts) -> Relay {
        let named = named_users(&facts);
        Relay {
            facts,
            audiences: Slab::default(),
            by_class: HashMap::default(),
            present: BTreeMap::new(),
            named,
            following: Following::default(),
            seers: BTreeSet::new(),
            lists: ListSubscriptions::default(),
            seen: 0,
            leaving: false,
            unread: false,
        }
    }

    /// The guild.
    pub fn guild(&self) -> GuildId {
        self.facts.id()
    }

    /// What a user who is here may do in the guild as a whole.
    pub fn granted(&self, user: UserId, sessions: &Slab<Session>) -> Permissions {
        let granted = |present| self.facts.in_guild(user, self.roles_of(present, sessions));
        self.present.get(&user).map_or(Permissions::empty(), granted)
    }

    /// Whether it has no sessions.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// An audience, for the walk that writes to it.
    pub fn audience_mut(&mut self, key: Key) -> Option<&mut Audience> {
        self.audiences.get_mut(key)
    }

    /// Audiences with their journals.
    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.audiences.iter().map(|(_, audience)| audience)
    }

    /// Gives a session its seat; `first` is dispatched to it before anything else from this guild.
    pub fn seat(
        &mut self,
        key: Key,
        roles: &[RoleId],
        interest: Interest,
        first: Option<SharedBody>,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let Some(session) = sessions.get_mut(key) else { return };
        if let Some(body) = first {
            session.dispatch(body);
            effects.ready.push(key);
        }
        self.present.entry(session.user).or_default().push(key);
        // The guild's lane is in order, so the snapshot's roles are those of all sessions of the member.
        self.place(key, roles, interest, sessions);
    }

    /// Takes a session's seat away. The caller lets go of the session's own record of it.
    fn unseat(&mut self, key: Key, sessions: &mut Slab<Session>, effects: &mut Effects) {
        let Some(session) = sessions.get_mut(key) else { return };
        let Some(index) = session.seat_in(self.facts.id()) else { return };
        if session.take_from_journal(index).is_err() {
            effects.lost.push(key);
        }
        let seat = session.seats.remove(index);
        let user = session.user;
        self.follow_nobody(key, effects);
        self.unsubscribe(key, effects);
        self.displace(seat.audience, key);
        if let Some(present) = self.present.get_mut(&user) {
            present.remove(key);
            if present.is_empty() {
                self.present.remove(&user);
            }
        }
    }

    /// A session is over or has nothing to do with the guild any more. Says whether it had a seat.
    pub fn leave(&mut self, key: Key, sessions: &mut Slab<Session>, effects: &mut Effects) -> bool {
        let seated = sessions.get(key).is_some_and(|session| session.seat_in(self.facts.id()).is_some());
        self.unseat(key, sessions, effects);
        seated
    }

    /// Delivers an event to everybody who may see it, and applies what it changes. Says whether the guild lives on.
    pub fn publish(&mut self, event: &Event, sessions: &mut Slab<Session>, effects: &mut Effects) -> bool {
        debug_assert_eq!(event.guild(), Some(self.facts.id()));
        let guild = self.facts.id();
        self.name_ahead(event, sessions, effects);
        let keys: Vec<Key> = self.audiences.iter().map(|(key, _)| key).collect();
        // Visibility is evaluated before and after the change, so sessions that lose a channel still get its last
        // event.
        let mut seen_before: Vec<bool> = Vec::with_capacity(keys.len());
        let watched = self.watched_channels(event);
        let mut viewed_before: Vec<Option<Vec<ChannelId>>> = Vec::with_capacity(keys.len());
        for key in &keys {
            let audience = self.audiences.get_mut(*key).expect("listed just now");
            seen_before.push(sees(audience, &self.facts, &event.scope));
            let told = watched && audience.wants(EventName::ChannelUpdate);
            viewed_before.push(told.then(|| audience.views(&self.facts)));
        }
        let sight = event.change.as_ref().is_some_and(|change| self.may_change_views(change, watched));
        let touched = event.change.as_ref().is_some_and(|change| self.facts.apply(change));
        if touched && sight {
            // From here on a list update waits until the session's views are recomputed.
            self.mark_all_stale(effects);
        }
        if touched {
            self.forget_lists();
            for key in &keys {
                self.audiences.get_mut(*key).expect("listed just now").forget();
            }
        }

        let mut bodies = Bodies { event, full: None, blank: None };
        for (index, key) in keys.iter().enumerate() {
            let audience = self.audiences.get_mut(*key).expect("listed just now");
            if !audience.wants(event.name) || !(seen_before[index] || sees(audience, &self.facts, &event.scope)) {
                continue;
            }
            if !audience.takes(event) {
                if let Some(mark) = event.mark() {
                    if audience.mark_unread(&event.scope, mark) && !self.unread {
                        self.unread = true;
                        effects.unread = Some(guild);
                    }
                    // Who wrote it or is mentioned gets it alone.
                    dispatch_alone(*key, event, (guild, &self.present), &mut bodies, sessions, effects);
                }
                continue;
            }
            audience.mark_read(event);
            let blank = event.text.is_some() && !audience.class.intents.contains(Intents::MESSAGE_CONTENT);
            let mut exempt: SmallVec<[Key; 2]> = SmallVec::new();
            if blank {
                // Those who may read the text get it in place of what the others get.
                exempt = dispatch_alone(*key, event, (guild, &self.present), &mut bodies, sessions, effects);
            }
            let body = if blank { bodies.blank() } else { bodies.full() };
            if audience.deliver(body) {
                effects.walks.push((guild, *key));
            }
            for session_key in exempt {
                let session = sessions.get_mut(session_key).expect("found just now");
                let seat = session.seat_in(guild).expect("seated just now");
                session.seats[seat].cursor += 1;
            }
        }
        if let Scope::Members(users) = &event.scope {
            self.deliver_to_members(users, event, &mut bodies, sessions, effects);
        }
        self.tell_followers(event, || bodies.full(), sessions, effects);
        if let Some(user) = event.always_to {
            self.deliver_to_self(user, event, &mut bodies, sessions, effects);
        }
        self.follow_up(event, &keys, &viewed_before, sessions, effects)
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self, sessions: &Slab<Session>) {
        let mut seated = 0;
        for (key, audience) in self.audiences.iter() {
            assert_eq!(self.by_class.get(&audience.class), Some(&key), "every class is found by its own key");
            assert!(!audience.sessions.is_empty(), "no audience is empty");
            for place in audience.sessions.all() {
                let seat_key = sessions.key_at(place).expect("an audience holds living sessions");
                let session = sessions.get(seat_key).expect("it is there");
                let seat =
                    session.seats.iter().find(|seat| seat.guild == self.guild()).expect("who is listed is seated");
                assert_eq!(seat.audience, key, "a seat says where it is");
                let present = &self.present[&session.user];
                assert!(present.as_slice().contains(&seat_key), "who is seated is present");
                let roles = self.roles_of(present, sessions);
                assert_eq!(audience.class, self.class_of(session.user, roles, session.intents, seat.interest));
                seated += 1;
            }
        }
        let present: usize = self.present.values().map(|present| present.as_slice().len()).sum();
        assert_eq!(seated, present, "who is present is seated, once");
        self.following_invariants();
        self.list_invariants(sessions);
    }

    /// Whom the event is about to name becomes a class of its own before it, while that changes nothing for anybody:
    /// then the event itself is delivered by what the user may see after it, like everybody else's.
    fn name_ahead(&mut self, event: &Event, sessions: &mut Slab<Session>, effects: &mut Effects) {
        let ahead: Vec<UserId> = match &event.change {
            Some(Change::Channel(channel)) => named_in(channel).filter(|user| !self.named.contains(user)).collect(),
            Some(Change::Guild(guild)) if !self.named.contains(&guild.owner_id) => vec![guild.owner_id],
            Some(
                Change::Guild(_)
                | Change::ChannelGone(_)
                | Change::Role(_)
                | Change::RoleGone(_)
                | Change::Member(_)
                | Change::MemberLeft(_)
                | Change::Deleted,
            )
            | None => return,
        };
        self.named.extend(ahead.iter().copied());
        for user in ahead {
            self.reclass(user, None, event.published(), sessions, effects);
        }
    }

    /// Whether the event may change which channels a session views, without being a channel's own event.
    fn watched_channels(&self, event: &Event) -> bool {
        match &event.change {
            Some(Change::Role(role)) => {
                self.facts.roles.get(&role.id).is_some_and(|before| before.permissions != role.permissions)
            }
            Some(Change::RoleGone(_)) => true,
            Some(Change::Guild(guild)) => guild.owner_id != self.facts.guild.owner_id,
            Some(
                Change::Channel(_)
                | Change::ChannelGone(_)
                | Change::Member(_)
                | Change::MemberLeft(_)
                | Change::Deleted,
            )
            | None => false,
        }
    }

    /// A user's own sessions get some events whatever they asked for.
    fn deliver_to_self(
        &mut self,
        user: UserId,
        event: &Event,
        bodies: &mut Bodies<'_>,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let Some(present) = self.present.get(&user) else { return };
        let guild = self.facts.id();
        for key in present.as_slice() {
            let Some(session) = sessions.get(*key) else { continue };
            let Some(seat) = session.seat_in(guild) else { continue };
            let audience = self.audiences.get(session.seats[seat].audience).expect("a seat is in an audience");
            if !(audience.wants(event.name) && audience.takes(event)) {
                dispatch_to(guild, *key, &bodies.full(), sessions, effects);
            }
        }
    }

    /// Delivers an event to the sessions of single members, as far as they asked for such events.
    fn deliver_to_members(
        &mut self,
        users: &[UserId],
        event: &Event,
        bodies: &mut Bodies<'_>,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let guild = self.facts.id();
        for (user, key) in users
            .iter()
            .flat_map(|user| self.present.get(user).into_iter().flat_map(Few::as_slice).map(move |key| (user, key)))
        {
            let Some(session) = sessions.get(*key) else { continue };
            let Some(seat) = session.seat_in(guild) else { continue };
            let audience = self.audiences.get(session.seats[seat].audience).expect("a seat is in an audience");
            let open = event.open_to().contains(user);
            if !audience.wants(event.name) || !(audience.takes(event) || open) {
                continue;
            }
            let reads = open || event.text.is_none() || session.intents.contains(Intents::MESSAGE_CONTENT);
            let body = if reads { bodies.full() } else { bodies.blank() };
            dispatch_to(guild, *key, &body, sessions, effects);
        }
    }

    /// Moves, tells and dismisses sessions as the change asks.
    fn follow_up(
        &mut self,
        event: &Event,
        keys: &[Key],
        viewed_before: &[Option<Vec<ChannelId>>],
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) -> bool {
        let guild = self.facts.id();
        match &event.change {
            None => {}
            Some(Change::Deleted) => {
                let body = guild_delete(guild, event.published());
                for key in keys {
                    let audience = self.audiences.get_mut(*key).expect("listed just now");
                    if audience.wants(EventName::GuildDelete) && audience.deliver(SharedBody::clone(&body)) {
                        effects.walks.push((guild, *key));
                    }
                }
                let everybody: Vec<Key> = self.present.values().flat_map(Few::as_slice).copied().collect();
                for key in everybody {
                    self.unseat(key, sessions, effects);
                    effects.ready.push(key);
                }
                return false;
            }
            Some(Change::MemberLeft(user)) => {
                let gone = self.present.get(user).cloned().unwrap_or_default();
                for key in gone.as_slice().iter().copied() {
                    self.unseat(key, sessions, effects);
                    let Some(session) = sessions.get_mut(key) else { continue };
                    if session.intents.contains(Intents::GUILDS) {
                        session.dispatch(guild_delete(guild, event.published()));
                    }
                    effects.ready.push(key);
                }
            }
            Some(Change::Member(member)) => {
                self.reclass(member.user.id, Some(&member.roles), event.published(), sessions, effects);
            }
            Some(
                Change::Guild(_) | Change::Channel(_) | Change::ChannelGone(_) | Change::Role(_) | Change::RoleGone(_),
            ) => {
                for (key, before) in keys.iter().zip(viewed_before) {
                    let (Some(audience), Some(before)) = (self.audiences.get_mut(*key), before) else { continue };
                    // Sessions that gain access receive a CHANNEL_UPDATE for each channel that becomes visible.
                    for channel in audience.views(&self.facts) {
                        if !before.contains(&channel)
                            && audience.deliver(channel_update(&self.facts, channel, event.published()))
                        {
                            effects.walks.push((guild, *key));
                        }
                    }
                }
                let named = named_users(&self.facts);
                let changed: Vec<UserId> = named.symmetric_difference(&self.named).copied().collect();
                self.named = named;
                for user in changed {
                    self.reclass(user, None, event.published(), sessions, effects);
                }
            }
        }
        true
    }

    /// Puts a user's sessions into the audience of their present class, and tells them of channels that come into
    /// sight. `roles` are given if they have changed.
    fn reclass(
        &mut self,
        user: UserId,
        roles: Option<&[RoleId]>,
        now: Time,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let guild = self.facts.id();
        let Some(present) = self.present.get(&user) else { return };
        let roles: SmallVec<[RoleId; 2]> = SmallVec::from_slice(match roles {
            Some(roles) => roles,
            None => self.roles_of(present, sessions),
        });
        let keys = present.clone();
        for key in keys.as_slice().iter().copied() {
            let Some(session) = sessions.get_mut(key) else { continue };
            let Some(index) = session.seat_in(guild) else { continue };
            let Seat { audience: old, interest, .. } = session.seats[index];
            let class = self.class_of(user, &roles, session.intents, interest);
            let before = match self.audiences.get_mut(old) {
                Some(audience) if audience.class == class => continue,
                Some(audience) => audience.views(&self.facts),
                None => Vec::new(),
            };
            self.move_to(key, &roles, interest, now, sessions, effects);
            self.recheck(key, false, false, sessions, effects);
            let session = sessions.get_mut(key).expect("found just now");
            if !session.intents.contains(Intents::GUILDS) {
                continue;
            }
            let index = session.seat_in(guild).expect("placed just now");
            let audience = self.audiences.get_mut(session.seats[index].audience).expect("placed just now");
            for channel in audience.views(&self.facts) {
                if !before.contains(&channel) {
                    session.dispatch(channel_update(&self.facts, channel, now));
                }
            }
        }
    }

    /// The roles of a present member: those of its first session's audience.
    fn roles_of(&self, present: &Few<Key>, sessions: &Slab<Session>) -> &[RoleId] {
        let first = present.as_slice().first().and_then(|key| sessions.get(*key));
        let seat = first.and_then(|session| session.seats.iter().find(|seat| seat.guild == self.guild()));
        seat.and_then(|seat| self.audiences.get(seat.audience)).map_or(&[], |audience| &audience.class.roles)
    }

    fn class_of(&self, user: UserId, roles: &[RoleId], intents: Intents, interest: Interest) -> AccessClass {
        let user = self.named.contains(&user).then_some(user);
        AccessClass { roles: SmallVec::from_slice(roles), user, intents, interest }
    }

    /// Has a seated session leave its audience for the one of its present class. Nothing is missed between the two:
    /// what the old one's journal has and what is unread there goes with it.
    fn move_to(
        &mut self,
        key: Key,
        roles: &[RoleId],
        interest: Interest,
        now: Time,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let Some(session) = sessions.get_mut(key) else { return };
        let Some(index) = session.seat_in(self.facts.id()) else { return };
        if session.take_from_journal(index).is_err() {
            effects.lost.push(key);
        }
        let seat = session.seats.remove(index);
        if let Some(audience) = self.audiences.get_mut(seat.audience)
            && let Some(body) = audience.unread_body(&self.facts, now)
        {
            session.dispatch(body);
        }
        self.displace(seat.audience, key);
        self.place(key, roles, interest, sessions);
        effects.ready.push(key);
    }

    /// Seats a session that is present but has no seat, at the end of its class's journal.
    fn place(&mut self, key: Key, roles: &[RoleId], interest: Interest, sessions: &mut Slab<Session>) {
        let Some(session) = sessions.get_mut(key) else { return };
        let class = self.class_of(session.user, roles, session.intents, interest);
        let audience_key = match self.by_class.get(&class) {
            Some(found) => *found,
            None => {
                let made = self.audiences.insert(Audience::new(class.clone()));
                if takes_presences(&class, Reach::Bots) {
                    self.seers.insert(made);
                }
                self.by_class.insert(class, made);
                made
            }
        };
        let audience = self.audiences.get_mut(audience_key).expect("found or made just now");
        audience.sessions.insert(key.index);
        let cursor = audience.journal.borrow().end();
        let journal = std::rc::Rc::clone(&audience.journal);
        let guild = self.facts.id();
        session.seats.push(Seat { guild, audience: audience_key, journal, cursor, interest });
    }

    /// Takes a session out of an audience.
    fn displace(&mut self, audience_key: Key, key: Key) {
        let Some(audience) = self.audiences.get_mut(audience_key) else { return };
        audience.sessions.remove(key.index);
        if audience.sessions.is_empty()
            && let Some(audience) = self.audiences.remove(audience_key)
        {
            self.by_class.remove(&audience.class);
            self.seers.remove(&audience_key);
        }
    }
}

/// The renderings of one event, made when first needed.
struct Bodies<'a> {
    event: &'a Event,
    full: Option<SharedBody>,
    blank: Option<SharedBody>,
}

impl Bodies<'_> {
    fn full(&mut self) -> SharedBody {
        let event = self.event;
        SharedBody::clone(
            self.full.get_or_insert_with(|| EventBody::new(event.name, event.body.clone(), event.published())),
        )
    }

    fn blank(&mut self) -> SharedBody {
        let event = self.event;
        SharedBody::clone(self.blank.get_or_insert_with(|| {
            EventBody::new(
                event.name,
                event.text.as_ref().map_or(&event.body, |text| &text.blank).clone(),
                event.published(),
            )
        }))
    }
}

/// Has those of an audience who wrote a message, or are mentioned in it by name, get it in full, in place of what the
/// others get. Says which sessions they are.
fn dispatch_alone(
    audience: Key,
    event: &Event,
    (guild, present): (GuildId, &BTreeMap<UserId, Few<Key>>),
    bodies: &mut Bodies<'_>,
    sessions: &mut Slab<Session>,
    effects: &mut Effects,
) -> SmallVec<[Key; 2]> {
    let mut got = SmallVec::new();
    for key in event.open_to().iter().filter_map(|user| present.get(user)).flat_map(Few::as_slice) {
        let Some(session) = sessions.get(*key) else { continue };
        let here = session.seat_in(guild).is_some_and(|seat| session.seats[seat].audience == audience);
        if here && dispatch_to(guild, *key, &bodies.full(), sessions, effects) {
            got.push(*key);
        }
    }
    got
}

/// Dispatches something to one seated session, behind what its audience was sent before. Says whether it could be.
fn dispatch_to(
    guild: GuildId,
    key: Key,
    body: &SharedBody,
    sessions: &mut Slab<Session>,
    effects: &mut Effects,
) -> bool {
    let Some(session) = sessions.get_mut(key) else { return false };
    let Some(seat) = session.seat_in(guild) else { return false };
    let whole = session.take_from_journal(seat).is_ok();
    if whole {
        session.dispatch(SharedBody::clone(body));
        effects.ready.push(key);
    } else {
        effects.lost.push(key);
    }
    whole
}

/// Whether all sessions of an audience may know of an event. Events for single members are not an audience's.
fn sees(audience: &mut Audience, facts: &Facts, scope: &Scope) -> bool {
    match scope {
        Scope::Guild => true,
        Scope::Channel(channel) => audience.may_view(facts, *channel),
        Scope::Permitted { channel: Some(channel), permission } => {
            audience.in_channel(facts, *channel).contains(*permission)
        }
        Scope::Permitted { channel: None, permission } => audience.in_guild(facts).contains(*permission),
        Scope::Members(_) | Scope::None => false,
    }
}

fn named_users(facts: &Facts) -> BTreeSet<UserId> {
    facts.channels.values().flat_map(|channel| named_in(channel)).chain([facts.guild.owner_id]).collect()
}

fn named_in(channel: &Channel) -> impl Iterator<Item = UserId> {
    let members = channel.overwrites.iter().filter(|overwrite| overwrite.kind == OverwriteKind::Member);
    members.map(|overwrite| UserId::new(overwrite.id))
}

fn guild_delete(guild: GuildId, now: Time) -> SharedBody {
    // Without the key `unavailable`: left, not an outage.
    EventBody::new(EventName::GuildDelete, Bytes::from(format!("{{\"id\":\"{guild}\"}}")), now)
}

fn channel_update(facts: &Facts, channel: ChannelId, now: Time) -> SharedBody {
    let channel = Arc::clone(&facts.channels[&channel]);
    let json = serde_json::to_vec(&ChannelView(&channel)).expect("a channel is JSON");
    EventBody::new(EventName::ChannelUpdate, Bytes::from(json), now)
}
