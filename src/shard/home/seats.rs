//! Sessions and guilds meet: joins and snapshots, events fanned out, seats given up.
//!
//! Lives on: `join`, `leave`, `unwatch` on the guild's core; the others on the sessions' homes.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::guild::joining::JoinOutcome;
use crate::guild::presence::is_small;
use crate::limits;
use crate::mail::event::Event;
use crate::mail::facts::Facts;
use crate::mail::letter::{Letter, Snapshot};
use crate::mail::note::{Deed, Note};
use crate::mail::outbox::Outbox;
use crate::mail::placement::CoreId;
use crate::mail::presence::{JoinRequest, Onlooker};
use crate::mail::session_id::SessionId;
use crate::relay::{Aftermath, Relay};
use crate::session::Stage;
use crate::session::body::Body;
use crate::session::interest::Interest;
use crate::shard::guilds::records;
use crate::shard::{GuildSlot, Pending, Shard, Waiting};
use crate::store::{Found, Query, StoreError};
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::arrival::Arrival;
use crate::wire::model::member::Member;

impl Shard {
    /// Guild: a session of a member wants to see it; with all its members, if they are no more than it says.
    pub(in crate::shard) fn join(&mut self, now: Time, guild: GuildId, coming: JoinRequest, out: &mut Outbox) {
        let hosted = match self.guilds.get_mut(&guild) {
            None => {
                self.guilds.insert(guild, GuildSlot::Loading([Pending::Join(Box::new(coming))].into()));
                self.query(Query::Guild(guild), Waiting::Guild(guild), out);
                return;
            }
            Some(GuildSlot::Loading(waiting)) => {
                waiting.push_back(Pending::Join(Box::new(coming)));
                return;
            }
            Some(GuildSlot::Here(hosted)) => hosted,
        };
        let (member_count, _) = hosted.guild.counts();
        if (2..=u64::from(coming.whole)).contains(&member_count) {
            let query = Query::Members { guild, after: UserId::new(0), limit: u32::from(coming.whole) };
            self.query(query, Waiting::Join { guild, coming: Box::new(coming) }, out);
        } else {
            self.admit(now, guild, coming, None, out);
        }
    }

    /// Guild: lets a session in, or looks up its member first.
    fn admit(
        &mut self,
        now: Time,
        guild: GuildId,
        mut coming: JoinRequest,
        members: Option<&[Member]>,
        out: &mut Outbox,
    ) {
        let (session, user, onlooker) = (coming.session, coming.user, coming.onlooker);
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else {
            out.post(session.home, Letter::JoinRefused { guild, session, unavailable: false });
            return;
        };
        // It may be on its way in twice: because it began, and because its user joined meanwhile. The home lets go of one.
        let noted = self.recording && !hosted.guild.sessions_of(user).any(|other| other == session);
        if noted {
            records::declare(now, hosted, out);
        }
        match hosted.guild.enter(&coming) {
            None => {
                coming.whole = 0;
                self.query(Query::Member(guild, user), Waiting::Join { guild, coming: Box::new(coming) }, out);
            }
            Some(JoinOutcome::Stranger) => {
                out.post(session.home, Letter::JoinRefused { guild, session, unavailable: false })
            }
            Some(JoinOutcome::Member { member, facts, showing }) => {
                if noted {
                    records::note_connect(now, hosted, &member.member(), session, out);
                }
                let (member_count, _) = hosted.guild.counts();
                let common = hosted.guild.common();
                let (small, all) = (is_small(member_count, self.passivity.above), limits::PRESENCES_MEMBERS_MAX);
                let told = match onlooker {
                    Onlooker::Nobody => false,
                    Onlooker::Person => small,
                    Onlooker::Bot => member_count <= all,
                };
                let (mut here, presences) = if told { hosted.guild.all_present(user) } else { Default::default() };
                let members = match members {
                    Some(found) => hosted.guild.renewed(found),
                    None if here.is_empty() => Arc::default(),
                    None => {
                        here.push(Arc::new(member.member()));
                        here.into()
                    }
                };
                let presences = presences.into();
                let snapshot =
                    Snapshot { guild, session, member, facts, common, member_count, members, presences, showing };
                out.post(session.home, Letter::Snapshot(Box::new(snapshot)));
                self.stirred.push(guild);
            }
        }
    }

    /// Guild: the store has answered about a member whose session wants to see it, or about all.
    pub(in crate::shard) fn member_loaded(
        &mut self,
        now: Time,
        guild: GuildId,
        coming: JoinRequest,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let (session, user) = (coming.session, coming.user);
        let (Ok(Some(found)), Some(GuildSlot::Here(hosted))) = (&result, self.guilds.get_mut(&guild)) else {
            let unavailable = result.is_err();
            out.post(session.home, Letter::JoinRefused { guild, session, unavailable });
            return;
        };
        if let Found::Members(members) = found {
            let member = members.iter().find(|member| member.user.id == user);
            hosted.guild.remember(user, member.map(|member| Arc::new(member.clone())), false);
            self.admit(now, guild, coming, Some(members), out);
            return;
        }
        hosted.guild.learn(&Query::Member(guild, user), found);
        self.join(now, guild, coming, out);
    }

    /// Guild: a session of a member is over.
    pub(in crate::shard) fn leave(
        &mut self,
        now: Time,
        guild: GuildId,
        (user, joined_ms): (UserId, Option<u64>),
        session: SessionId,
        out: &mut Outbox,
    ) {
        if let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild)
            && joined_ms.is_none_or(|joined_ms| hosted.guild.joined_ms(user) == Some(joined_ms))
            && hosted.guild.leave(user, session)
        {
            self.stirred.push(guild);
            if self.recording && !self.draining && !hosted.guild.sessions_of(user).any(|other| other == session) {
                out.notes.push(Note { at: now, deed: Deed::Close { guild, who: user, session } });
            }
        }
    }

    /// Guild: a relay has nobody left.
    pub(in crate::shard) fn unwatch(&mut self, guild: GuildId, core: CoreId, seen: u64, out: &mut Outbox) {
        let unwatched = match self.guilds.get_mut(&guild) {
            Some(GuildSlot::Here(hosted)) => hosted.guild.unwatch(core, seen),
            Some(GuildSlot::Loading(_)) => false,
            None => true,
        };
        if unwatched {
            out.post(core, Letter::Unwatched { guild });
        }
    }

    /// Home: the guild as it is, for one session; the relay is born with the first.
    pub(in crate::shard) fn seat(&mut self, now: Time, snapshot: Snapshot, out: &mut Outbox) {
        let guild = snapshot.guild;
        if let Some(facts) = snapshot.facts {
            // Whatever relay was here has been told that nothing more comes; its sessions are gone.
            let fresh = Relay::new(Facts::clone(&facts));
            if let Some(old) = self.relays.insert(guild, fresh) {
                assert!(old.is_empty(), "a guild starts anew only for a core that nobody of it is left on");
            }
        }
        let Some(relay) = self.relays.get_mut(&guild) else {
            // The guild was deleted while the snapshot was on its way.
            return;
        };
        relay.seen += 1;
        relay.leaving = false;
        let user = snapshot.member.user();
        let Some(key) = self.sessions.keys_in(snapshot.session.key.index, 1).next().filter(|key| {
            let session = self.sessions.get(*key).expect("listed just now");
            session.id == snapshot.session && session.seat_in(guild).is_none() && session.stage == Stage::Ready
        }) else {
            // The member may be removed and back before the guild hears of it, and the session be let in again.
            let (session, joined_ms) = (snapshot.session, Some(snapshot.member.member().joined_at_ms));
            out.post(self.placement.owner(guild), Letter::Leave { guild, user, session, joined_ms });
            self.let_go_if_empty(guild, out);
            return;
        };
        let session = self.sessions.get_mut(key).expect("found just now");
        let awaited = session.came(guild);
        let first = session.intents.contains(Intents::GUILDS).then(|| {
            let arrival = Arrival {
                member: snapshot.member.clone(),
                member_count: snapshot.member_count,
                large_threshold: session.large_threshold,
                awaited,
                members: Arc::clone(&snapshot.members),
                presences: Arc::clone(&snapshot.presences),
            };
            Body::arrival(snapshot.common.clone(), arrival, now)
        });
        let interest = match session.bot {
            true => Interest::empty(),
            false if snapshot.member_count > self.passivity.above => Interest::passive(session.deltas),
            false => Interest::PERSON,
        };
        let asked = session.asked_ahead(guild);
        let showing = session.showing();
        if showing != snapshot.showing {
            let letter = Letter::Show { guild, user, session: snapshot.session, showing };
            out.post(self.placement.owner(guild), letter);
        }
        let mut after = Aftermath::default();
        relay.seat(key, &snapshot.member.member().roles, interest, first, &mut self.sessions, &mut after);
        self.clear_up(now, after, out);
        if let Some(subscription) = asked {
            self.take_subscription(now, key, guild, subscription, out);
        }
        // READY may have waited for this, also where no GUILD_CREATE is wanted.
        self.list_session(key);
    }

    /// Home: the guild does not know the member.
    pub(in crate::shard) fn join_refused(&mut self, now: Time, guild: GuildId, id: SessionId, unavailable: bool) {
        let Some((key, session)) = self.session(id) else { return };
        if !session.came(guild) {
            return;
        }
        if session.intents.contains(Intents::GUILDS) {
            let note = if unavailable { r#","unavailable":true"# } else { "" };
            let json = format!(r#"{{"id":"{guild}"{note}}}"#);
            session.dispatch(Body::new(EventName::GuildDelete, json.into(), now));
        }
        self.list_session(key);
    }

    /// Home: an event of a guild, for whoever may see it here.
    pub(in crate::shard) fn fan_out(&mut self, now: Time, event: &Event, out: &mut Outbox) {
        let Some(guild) = event.guild() else { return }; // only guilds publish to relays
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        let mut after = Aftermath::default();
        let lives = relay.publish(event, &mut self.sessions, &mut after);
        self.clear_up(now, after, out);
        if lives {
            self.let_go_if_empty(guild, out);
        } else {
            self.relays.remove(&guild);
        }
    }

    /// Home: the guild sends no more events to this core.
    pub(in crate::shard) fn unwatched(&mut self, guild: GuildId) {
        if self.relays.get(&guild).is_some_and(|relay| relay.is_empty() && relay.leaving) {
            self.relays.remove(&guild);
        }
    }

    /// Tells the guild when a relay has nobody left. It stays until the guild has said that nothing more comes.
    pub(in crate::shard) fn let_go_if_empty(&mut self, guild: GuildId, out: &mut Outbox) {
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        if relay.is_empty() && !relay.leaving {
            relay.leaving = true;
            let letter = Letter::Unwatch { guild, core: self.me, seen: relay.seen };
            out.post(self.placement.owner(guild), letter);
        }
    }
}
