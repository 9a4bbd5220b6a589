//! What relays leave to be done after an event: wake sessions, end them, post letters.
//!
//! Lives on: the sessions' homes.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::mail::to_guild::ToGuild;
use crate::relay::Effects;
use crate::session::Session;
use crate::session::connection::Connection;
use crate::shard::context::Context;
use crate::shard::home::Home;

impl Home {
    /// Does what a relay left to be done.
    pub(super) fn apply_effects(&mut self, cx: &mut Context, now: Time, after: Effects, out: &mut Outbox) {
        self.flush.begun.extend(after.walks);
        for session in after.ready {
            self.list_session(session);
        }
        for session in after.lost {
            self.end_session(cx, now, session, out);
        }
        for (guild, user, follows) in after.follows {
            out.post(cx.placement.owner(guild), ToGuild::Follow { guild, core: cx.me, user, follows });
        }
        for look in after.looks {
            out.post(cx.placement.owner(look.guild), ToGuild::ListSubscription(Box::new(look)));
        }
        if let Some(guild) = after.stale_permissions {
            self.lists.mark_stale(guild);
        }
        for looker in after.pending {
            self.open_or_queue_windows(cx, now, looker, out);
        }
        if let Some(guild) = after.unread {
            self.unread.push_back((now + cx.passivity.every, guild));
        }
    }

    /// Puts a session's connection on the list of those with something to say.
    pub(super) fn list_session(&mut self, session: Key) {
        if let Some(connection) = self.sessions.get(session).and_then(|session| session.connection) {
            self.list_connection(connection);
        }
    }

    pub(super) fn list_connection(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.list()
        {
            self.flush.ready.push_back(key);
        }
    }

    pub(super) fn session(&mut self, id: SessionId) -> Option<(Key, &mut Session)> {
        let key = self.session_key(id)?;
        self.sessions.get_mut(key).map(|session| (key, session))
    }

    /// Whether this is the session that a connection carries.
    pub fn carries(&self, connection: Key, session: SessionId) -> bool {
        let carried = self.connections.get(connection).and_then(Connection::session);
        carried.is_some() && carried == self.session_key(session)
    }

    /// Where a session is, if the id is genuine. The wire form cuts the generation, so the place is looked up by index.
    pub(super) fn session_key(&self, id: SessionId) -> Option<Key> {
        let key = self.sessions.keys_in(id.key.index, 1).next()?;
        let found = self.sessions.get(key)?.id;
        (found.secret == id.secret && found.home == id.home && found.key.index == id.key.index).then_some(key)
    }
}
