//! Connections and the sessions they carry: opened, identified, resumed, cut, closed, ended.
//!
//! Lives on: the core that has the socket, which is the session's home.
//! Source: Discord docs, Gateway/Connection Lifecycle.

use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::metrics::{Counter, Metric};
use crate::base::slab::Key;
use crate::mail::outbox::Outbox;
use crate::mail::record::{TraceEvent, TraceRecord};
use crate::mail::session_id::SessionId;
use crate::mail::terms::{Conduct, Terms};
use crate::mail::to_guild::ToGuild;
use crate::mail::to_user::ToUser;
use crate::relay::Effects;
use crate::session::body::EventBody;
use crate::session::connection::{Connection, Released};
use crate::session::replay::Replay;
use crate::session::{Attaching, Holds, Session, Stage};
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::shard::home::handshake::{Identify, Resume, Resumption};
use crate::wire::close::{self, CloseCode};
use crate::wire::event::EventName;
use crate::wire::model::presence::Status;

impl Home {
    /// A socket was upgraded. HELLO is the first thing to be sent.
    pub(in crate::shard) fn open(&mut self, cx: &mut Context, now: Time, terms: Terms) -> Key {
        cx.metrics.count(Counter::ConnectionsAccepted, 1);
        let key = self.connections.insert(Connection::open(terms, now));
        self.list_connection(key);
        key
    }

    /// A socket was handed over by another core. Its resume is not yet done.
    pub(in crate::shard) fn adopt(&mut self, terms: Terms, unsent: Vec<u8>, conduct: Conduct) -> Key {
        let key = self.connections.insert(Connection::adopt(terms, unsent, conduct));
        self.list_connection(key);
        key
    }

    /// A connection, to look at.
    pub(in crate::shard) fn connection(&self, key: Key) -> Option<&Connection> {
        self.connections.get(key)
    }

    /// Counts a command; false when the client has sent too many.
    pub(in crate::shard) fn count_command(&mut self, now: Time, key: Key) -> bool {
        self.connections.get_mut(key).is_some_and(|connection| connection.count_command(now))
    }

    /// Queues bytes before all others: the answer to the upgrade.
    pub(in crate::shard) fn queue_first(&mut self, key: Key, bytes: Vec<u8>) {
        self.queue_on(key, |connection| connection.queue_first(bytes));
    }

    /// Queues control frames. None goes behind the server's own close frame; the answer to the client's does.
    pub(in crate::shard) fn queue_replies(&mut self, key: Key, frames: &mut Vec<u8>, answers_close: bool) {
        self.queue_on(key, |connection| {
            if answers_close || !connection.is_closing() {
                connection.queue(frames);
            }
        });
    }

    /// Queues op 7.
    pub(in crate::shard) fn ask_to_reconnect(&mut self, key: Key) {
        self.queue_on(key, Connection::ask_to_reconnect);
    }

    /// Closes a connection whose encoding is not supported.
    pub(in crate::shard) fn close_unsupported(&mut self, key: Key, reason: &str) {
        self.queue_on(key, |connection| connection.close_unsupported(reason));
    }

    /// Takes what a connection has pending, to write it without a flush.
    pub(in crate::shard) fn take_pending(&mut self, key: Key) -> Vec<u8> {
        self.connections.get_mut(key).map(Connection::take_pending).unwrap_or_default()
    }

    /// What [`Shard::take_pending`] gave was written: the socket took `taken` bytes and left `rest`.
    pub(in crate::shard) fn pending_written(&mut self, now: Time, key: Key, taken: usize, rest: Vec<u8>) {
        if rest.is_empty() {
            self.writable(key);
        } else if let Some(connection) = self.connections.get_mut(key) {
            connection.written(now, taken, rest);
        }
    }

    /// Changes a connection so that there is something to send, and lists it.
    pub(super) fn queue_on(&mut self, key: Key, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(key) {
            change(connection);
            self.list_connection(key);
        }
    }

    /// A heartbeat: answered always; with a number it acknowledges events.
    pub(in crate::shard) fn beat(&mut self, now: Time, key: Key, seq: Option<u64>) {
        // The connection is gone: its socket was closed meanwhile.
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.heartbeat(now);
        if let Some(session) = connection.session().and_then(|session| self.sessions.get_mut(session))
            && let Some(seq) = seq
        {
            session.acknowledge(seq);
        }
        self.list_connection(key);
    }

    /// A session begins, whose client has identified at `asked`.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context,
        now: Time,
        asked: Time,
        key: Key,
        identify: Identify,
        out: &mut Outbox,
    ) {
        self.admission.underway += 1;
        let secret = cx.prng.next_u64();
        let home = cx.me;
        let session = Session {
            id: SessionId { home, key: Key { index: 0, generation: 0 }, secret },
            user: identify.user,
            bot: false,
            status: Status::Online,
            platform: identify.platform,
            intents: identify.intents,
            deltas: identify.deltas,
            guild_sharding: identify.guild_sharding.map(Box::new),
            large_threshold: identify.large_threshold,
            token_issued_ms: identify.issued_ms,
            stage: Stage::Attaching(Box::new(Attaching {
                gateway_url: identify.gateway_url.into(),
                personal_intents: identify.personal_intents,
                update: identify.update,
                identified_at: asked,
                begun_at: now,
                early: Vec::new(),
            })),
            connection: Some(key),
            disconnected_at: None,
            holds: Holds::empty(),
            replay: Replay::default(),
            sent_s: 1,
            unsent_bytes: 0,
            replay_until: 1,
            seats: SmallVec::new(),
            rare: None,
        };
        let session_key = self.sessions.insert(session);
        let id = SessionId { home, key: session_key, secret };
        self.sessions.get_mut(session_key).expect("inserted just now").id = id;
        if let Some(connection) = self.connections.get_mut(key) {
            connection.carry(now, session_key);
        }
        let (user, issued_ms) = (identify.user, identify.issued_ms);
        out.post(cx.placement.owner(user), ToUser::Attach { session: id, user, issued_ms });
    }

    /// A session goes on, if it can.
    pub(super) fn resume_session(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        resume: Resume,
        out: &mut Outbox,
    ) -> Resumption {
        let Resume { session, user, seq, asked } = resume;
        let Some(id) = session.filter(|id| cx.placement.local_core(id.home).is_some()) else {
            return self.refuse(cx, key);
        };
        if id.home != cx.me {
            return Resumption::Elsewhere;
        }
        let Some(session_key) = self.session_key(id) else { return self.refuse(cx, key) };
        let session = self.sessions.get_mut(session_key).expect("found just now");
        if session.user != user || session.stage != Stage::Ready {
            return self.refuse(cx, key);
        }
        if session.take_from_journals().is_err() {
            self.end_session(cx, now, session_key, out);
            return self.refuse(cx, key);
        }
        if seq >= session.replay.next_s() {
            return Resumption::FromTheFuture;
        }
        if seq + 1 < session.replay.next_s() && !session.replay.reaches_back_to(seq + 1) {
            // The session itself stays: this may be an old resume, late on its way from another core, and the client
            // may long since have gone on with a newer one.
            return self.refuse(cx, key);
        }
        cx.metrics.count(Counter::Resumes, 1);
        // The newer connection takes over.
        let older = session.connection.replace(key).filter(|older| *older != key);
        if let Some(connection) = older.and_then(|older| self.connections.get_mut(older)) {
            connection.take_session();
        }
        session.disconnected_at = None;
        session.replay.trim(seq + 1);
        session.sent_s = seq + 1;
        let mut unsent = 0;
        let _ = session.replay.each_from(seq + 1, |_, body, _| {
            unsent += body.size() as u64;
            std::ops::ControlFlow::Continue(())
        });
        session.unsent_bytes = unsent;
        session.replay_until = session.replay.next_s();
        session.dispatch(EventBody::new(EventName::Resumed, br#"{"_trace":["guildhall"]}"#.as_slice().into(), now));
        if let Some(older) = older {
            self.note_cut(cx, now, session_key, out);
            // At once: it may be full, and its reader is gone.
            self.shut(older);
        }
        if let Some(connection) = self.connections.get_mut(key) {
            connection.carry(now, session_key);
        }
        self.list_connection(key);
        self.resume_lists(cx, now, session_key, out);
        cx.metrics.record(Metric::Resume, now.since(asked));
        Resumption::Resumed
    }

    /// Takes a connection out so that its socket can go to another core.
    pub(in crate::shard) fn release(&mut self, key: Key) -> Option<Released> {
        self.connections.remove(key).map(Connection::release)
    }

    /// The server closes. Pending bytes are still sent; the session, if any, is kept or ended as the code says.
    pub(in crate::shard) fn close_connection(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        code: CloseCode,
        reason: Option<&str>,
        out: &mut Outbox,
    ) {
        // The connection is gone: its socket was closed meanwhile.
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.close(code, reason);
        let session = connection.take_session();
        self.list_connection(key);
        if let Some(session) = session {
            self.disconnect(cx, now, session, code.keeps_session(), out);
        }
    }

    /// The client has sent a close frame: it is answered, and the session ends or waits as its code says.
    pub(in crate::shard) fn closed_by_client(
        &mut self,
        cx: &mut Context,
        now: Time,
        key: Key,
        code: Option<u16>,
        out: &mut Outbox,
    ) {
        // The connection is gone: its socket was closed meanwhile.
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.closed_by_client();
        let session = connection.take_session();
        self.list_connection(key);
        if let Some(session) = session {
            self.disconnect(cx, now, session, !close::client_ends_session(code), out);
        }
    }

    /// The socket is gone. Its session, if it still had one, waits to be resumed.
    pub(in crate::shard) fn drop_connection(&mut self, cx: &mut Context, now: Time, key: Key, out: &mut Outbox) {
        // It was released to another core, or dropped before.
        let Some(connection) = self.connections.remove(key) else { return };
        if let Some(session) = connection.session() {
            self.disconnect(cx, now, session, true, out);
        }
    }

    /// A session loses its connection.
    pub(super) fn disconnect(&mut self, cx: &mut Context, now: Time, key: Key, keep: bool, out: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.connection = None;
        session.disconnected_at = Some(now);
        if !keep || session.stage != Stage::Ready {
            self.end_session(cx, now, key, out);
        } else {
            self.suspend_lists(cx, now, key, out);
            self.note_cut(cx, now, key, out);
        }
    }

    /// A session is over: the owner and its guilds get letters, and its connection, if any, may identify anew.
    pub(super) fn end_session(&mut self, cx: &mut Context, now: Time, key: Key, out: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (id, user) = (session.id, session.user);
        let guilds: SmallVec<[_; 4]> = session.seats.iter().map(|seat| seat.guild).collect();
        let attaching = session.stage != Stage::Ready;
        self.admission.underway -= usize::from(attaching);
        let connection = session.connection.take();
        session.disconnected_at = Some(now);
        if let Some(connection_key) = connection
            && let Some(connection) = self.connections.get_mut(connection_key)
        {
            connection.take_session();
            connection.invalidate_session(false);
            self.list_connection(connection_key);
        }
        let mut after = Effects::default();
        for guild in guilds {
            if let Some(relay) = self.relays.get_mut(&guild) {
                relay.leave(key, &mut self.sessions, &mut after);
                out.post(cx.placement.owner(guild), ToGuild::Leave { guild, user, session: id, joined_ms: None });
            }
            self.unwatch_if_empty(cx, guild, out);
        }
        // A session that is over has lost nothing any more.
        after.lost.clear();
        self.apply_effects(cx, now, after, out);
        self.sessions.remove(key);
        cx.metrics.count(Counter::SessionsEnded, 1);
        if !attaching {
            out.post(cx.placement.owner(user), ToUser::Detach { session: id, user });
        }
    }

    fn refuse(&mut self, cx: &mut Context, key: Key) -> Resumption {
        cx.metrics.count(Counter::ResumesRefused, 1);
        self.queue_on(key, |connection| connection.invalidate_session(false));
        Resumption::Refused
    }

    /// Asks `count` clients to connect elsewhere and closes their connections. Says whether any are left.
    /// Source: Discord docs, Gateway/Reconnect.
    pub(in crate::shard) fn drain(&mut self, cx: &mut Context, now: Time, count: usize, out: &mut Outbox) -> bool {
        cx.draining = true;
        let open: Vec<Key> = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.is_closing())
            .map(|(key, _)| key)
            .take(count)
            .collect();
        for key in &open {
            self.ask_to_reconnect(*key);
            self.close_connection(cx, now, *key, CloseCode::UnknownError, Some("Server is restarting."), out);
        }
        !self.connections.is_empty() && (open.len() == count || self.flush.is_busy() || self.flush.has_finished())
    }

    /// A session has lost its connection and may resume.
    pub(super) fn note_cut(&self, cx: &Context, now: Time, session: Key, out: &mut Outbox) {
        // A drain is not what the community did.
        if !cx.recording || cx.draining {
            return;
        }
        let Some(session) = self.sessions.get(session) else { return };
        let (who, id) = (session.user, session.id);
        for seat in &session.seats {
            out.notes.push(TraceRecord { at: now, deed: TraceEvent::Cut { guild: seat.guild, who, session: id } });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::UserId;
    use crate::base::prng::Prng;
    use crate::mail::placement::Placement;
    use crate::mail::site::Site;
    use crate::shard::{Shard, ShardSettings};
    use crate::wire::intents::Intents;
    use crate::wire::model::presence::Platform;
    use crate::wire::request::presence::PresenceUpdate;

    const NOW: Time = Time::from_millis(1_700_000_000_000);

    #[test]
    fn the_older_connection_is_shut_at_once_even_if_it_is_full() {
        let mut shard = Shard::new(ShardSettings {
            me: Site::new(0, 0),
            placement: Placement::over(1),
            prng: Prng::new(1),
            passivity: Default::default(),
            pace: Default::default(),
            listing: Default::default(),
            revoked: Vec::new(),
        });
        let (mut out, terms, user) = (Outbox::default(), Terms { version: 10, compression: None }, UserId::new(5));
        let older = shard.open(NOW, terms);
        let identify = Identify {
            user,
            issued_ms: 0,
            intents: Intents::empty(),
            personal_intents: false,
            guild_sharding: None,
            large_threshold: 50,
            update: PresenceUpdate::default(),
            platform: Platform::Web,
            deltas: false,
            gateway_url: String::new(),
        };
        shard.home.begin(&mut shard.context, NOW, NOW, older, identify, &mut out);
        let begun = shard.connection(older).and_then(Connection::session).expect("it has begun");
        let session = shard.home.sessions.get_mut(begun).expect("it has begun");
        session.stage = Stage::Ready;
        session.dispatch(EventBody::new(EventName::Ready, b"{}".as_slice().into(), NOW));
        let id = session.id;
        shard.pending_written(NOW, older, 0, b"half a frame".to_vec());
        let newer = shard.open(NOW, terms);
        let resume = Resume { session: Some(id), user, seq: 1, asked: NOW };
        assert_eq!(shard.home.resume_session(&mut shard.context, NOW, newer, resume, &mut out), Resumption::Resumed);
        assert_eq!(shard.take_finished(usize::MAX), [older]);
        assert!(shard.connection(older).is_some_and(|connection| connection.is_cut()), "and no word is waited for");
        assert!(shard.carries(newer, id) && !shard.carries(older, id));
    }
}
