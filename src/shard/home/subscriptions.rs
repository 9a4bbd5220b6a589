//! Subscriptions: what people's sessions ask of single guilds, and what those get who ask for nothing.
//!
//! Lives on: the sessions' homes.
//! In a large guild a person's session is passive until it subscribes: see [`crate::session::interest`].

use std::time::Duration;

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::relay::Aftermath;
use crate::session::connection::Connection;
use crate::shard::Shard;
use crate::wire::request::subscription::Subscription;

/// Who gets no messages until it subscribes, and how it hears of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passivity {
    /// Members above which a guild is large for people.
    pub above: u64,
    /// Between two updates of what is unread.
    pub every: Duration,
}

impl Default for Passivity {
    fn default() -> Passivity {
        Passivity { above: limits::PASSIVE_ABOVE, every: limits::PASSIVE_UPDATE_TIME }
    }
}

impl Shard {
    /// A client wants something of a guild. Of a guild that its session does not see it gets nothing, without a word.
    pub fn subscribe(
        &mut self,
        now: Time,
        connection: Key,
        guild: GuildId,
        subscription: Subscription,
        out: &mut Outbox,
    ) {
        let Some(key) = self.connections.get(connection).and_then(Connection::session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        // Bots get what their intents ask for.
        if session.bot {
            return;
        }
        if session.seat_in(guild).is_some() {
            self.take_subscription(now, key, guild, subscription, out);
        } else {
            // Clients ask as soon as READY has named the guild.
            session.ask_ahead(guild, subscription);
        }
    }

    /// Home: a seated session asks for this.
    pub(in crate::shard) fn take_subscription(
        &mut self,
        now: Time,
        key: Key,
        guild: GuildId,
        subscription: Subscription,
        out: &mut Outbox,
    ) {
        let open = self.may_look(key);
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        let mut after = Aftermath::default();
        let wanted = (subscription.typing, subscription.member_updates);
        relay.subscribe(key, wanted, now, &mut self.sessions, &mut after);
        if let Some(members) = subscription.members {
            relay.follow(key, members, &mut self.sessions, &mut after);
        }
        if let Some(channels) = &subscription.channels {
            relay.look(key, channels, open, &mut self.sessions, &mut after);
        }
        self.clear_up(now, after, out);
    }

    /// Tells those who get no messages what has become unread, where it is time.
    pub(in crate::shard) fn tell_unread(&mut self, now: Time, out: &mut Outbox) {
        while self.unread.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, guild)) = self.unread.pop_front() else { return };
            let Some(relay) = self.relays.get_mut(&guild) else { continue };
            let mut after = Aftermath::default();
            relay.tell_unread(now, &mut after);
            self.clear_up(now, after, out);
        }
    }
}
