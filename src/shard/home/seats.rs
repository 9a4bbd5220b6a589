//! Sessions and guilds meet: joins and snapshots, events fanned out, seats given up.
//!
//! Lives on: `join`, `leave`, `unwatch` on the guild's core; the others on the sessions' homes.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::mail::event::Event;
use crate::mail::facts::Facts;
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::mail::to_guild::ToGuild;
use crate::mail::to_home::Snapshot;
use crate::relay::{Effects, Relay};
use crate::session::Stage;
use crate::session::body::EventBody;
use crate::session::interest::Interest;
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::arrival::Arrival;

impl Home {
    /// The guild as it is, for one session; the relay is born with the first.
    pub(super) fn seat(&mut self, cx: &mut Context, now: Time, snapshot: Snapshot, out: &mut Outbox) {
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
            out.post(cx.placement.owner(guild), ToGuild::Leave { guild, user, session, joined_ms });
            self.unwatch_if_empty(cx, guild, out);
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
            EventBody::arrival(snapshot.common.clone(), arrival, now)
        });
        let interest = match session.bot {
            true => Interest::empty(),
            false if snapshot.member_count > cx.passivity.above => Interest::passive(session.deltas),
            false => Interest::PERSON,
        };
        let asked = session.asked_ahead(guild);
        let showing = session.showing();
        if showing != snapshot.showing {
            let letter = ToGuild::Show { guild, user, session: snapshot.session, showing };
            out.post(cx.placement.owner(guild), letter);
        }
        let mut after = Effects::default();
        relay.seat(key, &snapshot.member.member().roles, interest, first, &mut self.sessions, &mut after);
        self.apply_effects(cx, now, after, out);
        if let Some(subscription) = asked {
            self.take_subscription(cx, now, key, guild, subscription, out);
        }
        // READY may have waited for this, also where no GUILD_CREATE is wanted.
        self.list_session(key);
    }

    /// The guild does not know the member.
    pub(super) fn join_refused(&mut self, now: Time, guild: GuildId, id: SessionId, unavailable: bool) {
        // The session has ended while it joined.
        let Some((key, session)) = self.session(id) else { return };
        if !session.came(guild) {
            return;
        }
        if session.intents.contains(Intents::GUILDS) {
            let note = if unavailable { r#","unavailable":true"# } else { "" };
            let json = format!(r#"{{"id":"{guild}"{note}}}"#);
            session.dispatch(EventBody::new(EventName::GuildDelete, json.into(), now));
        }
        self.list_session(key);
    }

    /// An event of a guild, for the sessions here that may see it.
    pub(super) fn fan_out(&mut self, cx: &mut Context, now: Time, event: &Event, out: &mut Outbox) {
        let Some(guild) = event.guild() else { return }; // only guilds publish to relays
        // The guild was deleted, or its last session here has left it.
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        let mut after = Effects::default();
        let lives = relay.publish(event, &mut self.sessions, &mut after);
        self.apply_effects(cx, now, after, out);
        if lives {
            self.unwatch_if_empty(cx, guild, out);
        } else {
            self.relays.remove(&guild);
        }
    }

    /// The guild sends no more events to this core.
    pub(super) fn unwatched(&mut self, guild: GuildId) {
        if self.relays.get(&guild).is_some_and(|relay| relay.is_empty() && relay.leaving) {
            self.relays.remove(&guild);
        }
    }

    /// Informs the guild when a relay has no session left. It stays until the guild has answered that nothing more
    /// comes.
    pub(super) fn unwatch_if_empty(&mut self, cx: &mut Context, guild: GuildId, out: &mut Outbox) {
        // The guild was deleted, or its last session here has left it.
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        if relay.is_empty() && !relay.leaving {
            relay.leaving = true;
            let letter = ToGuild::Unwatch { guild, core: cx.me, seen: relay.seen };
            out.post(cx.placement.owner(guild), letter);
        }
    }
}
