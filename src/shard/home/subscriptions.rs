//! Subscriptions: what people's sessions ask of single guilds, and what those get who ask for nothing.
//!
//! Lives on: the sessions' homes.
//! In a large guild a person's session is passive until it subscribes: see [`crate::session::interest`].

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::base::slab::Key;
use crate::mail::outbox::Outbox;
use crate::relay::Effects;
use crate::session::connection::Connection;
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::wire::request::subscription::Subscription;

impl Home {
    /// A client wants something of a guild. Of a guild that its session does not see it gets nothing, without a word.
    pub(in crate::shard) fn subscribe(
        &mut self,
        cx: &mut Context,
        now: Time,
        connection: Key,
        guild: GuildId,
        subscription: Subscription,
        out: &mut Outbox,
    ) {
        // The session has ended, or not begun: the command is dropped.
        let Some(key) = self.connections.get(connection).and_then(Connection::session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        // Bots get what their intents ask for.
        if session.bot {
            return;
        }
        if session.seat_in(guild).is_some() {
            self.take_subscription(cx, now, key, guild, subscription, out);
        } else {
            // Clients ask as soon as READY has named the guild.
            session.ask_ahead(guild, subscription);
        }
    }

    /// A seated session asks for this.
    pub(super) fn take_subscription(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        guild: GuildId,
        subscription: Subscription,
        out: &mut Outbox,
    ) {
        let open = self.may_open_windows(key);
        // The guild was deleted meanwhile.
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        let mut after = Effects::default();
        let wanted = (subscription.typing, subscription.member_updates);
        relay.subscribe(key, wanted, now, &mut self.sessions, &mut after);
        if let Some(members) = subscription.members {
            relay.follow(key, members, &mut self.sessions, &mut after);
        }
        if let Some(channels) = &subscription.channels {
            relay.subscribe_lists(key, channels, open, &mut self.sessions, &mut after);
        }
        self.apply_effects(cx, now, after, out);
    }
}
