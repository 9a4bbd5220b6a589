//! Sessions subscribe to member lists, and are shown them as fast as they read.
//!
//! Lives on: the sessions' homes. `guilds/lists.rs` keeps the lists themselves, on the guild's core.
//! A client that only scrolls could have windows pile up. It is shown more when it has nearly taken all that it was
//! sent; until then only its last request is remembered. The windows of all sessions are bounded together: past that a
//! new subscription waits. A session without a connection is shown nothing, and everything anew when it resumes.

use std::collections::{BTreeSet, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::GuildId;
use crate::base::slab::Key;
use crate::limits;
use crate::mail::listing::{Addressee, Windows};
use crate::mail::outbox::Outbox;
use crate::relay::Effects;
use crate::session::Holds;
use crate::session::body::{EventBody, SharedBody};
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::shard::home::memory_limit::MemoryLimit;
use crate::wire::event::EventName;

/// What sessions here are shown of member lists.
#[derive(Debug)]
pub(super) struct ListWindows {
    /// What of it is in memory.
    held: MemoryLimit,
    /// Windows that were lately shown to new subscribers.
    bodies: VecDeque<Weak<EventBody>>,
    /// Who waits for memory, the longest waiting first.
    waiting: VecDeque<(GuildId, Key)>,
    queued: BTreeSet<(GuildId, Key)>,
    /// Guilds in which it is to be worked out anew what sessions see, each once.
    stale: VecDeque<GuildId>,
}

impl Default for ListWindows {
    fn default() -> ListWindows {
        ListWindows {
            held: MemoryLimit::new(Holds::WINDOWS, limits::LIST_BYTES_MAX),
            bodies: VecDeque::new(),
            waiting: VecDeque::new(),
            queued: BTreeSet::new(),
            stale: VecDeque::new(),
        }
    }
}

impl ListWindows {
    /// It is to be worked out anew what the sessions of a guild see.
    pub(super) fn mark_stale(&mut self, guild: GuildId) {
        self.stale.push_back(guild);
    }

    /// Whether a turn has anything to do.
    pub(super) fn are_busy(&self) -> bool {
        !self.stale.is_empty()
    }

    /// The body of what has become of windows, the same for equal bytes.
    fn body(&mut self, windows: &Windows) -> SharedBody {
        let name = EventName::GuildMemberListUpdate;
        let (json, published) = (&windows.body, windows.published);
        match windows.to {
            Addressee::Block(_) => EventBody::counted(name, json.clone(), published, self.held.budget()),
            Addressee::Closer(..) => EventBody::new(name, json.clone(), published),
            Addressee::Opener(..) => {
                // The same bytes in memory: the address is not used again as long as that body lives.
                let same = |body: &SharedBody| std::ptr::eq(&**body.json().0, &**json);
                let known = self.bodies.iter().position(|body| body.upgrade().is_some_and(|body| same(&body)));
                let known = known.and_then(|at| self.bodies.remove(at)).and_then(|body| body.upgrade());
                let body = match known {
                    Some(body) if body.published == published => body,
                    Some(body) => body.again(published),
                    None => EventBody::counted(name, json.clone(), published, self.held.budget()),
                };
                self.bodies.truncate(limits::LIST_BODIES - 1);
                self.bodies.push_front(Rc::downgrade(&body));
                body
            }
        }
    }
}

impl Home {
    /// Whether a turn has subscriptions to check anew.
    pub(in crate::shard) fn has_stale_subscriptions(&self) -> bool {
        self.lists.are_busy()
    }

    /// Has windows take up so many bytes on this core at most, for the simulator.
    pub(in crate::shard) fn bound_windows(&mut self, bytes: u64) {
        self.lists.held.bound(bytes);
    }

    /// Whether a session waits for memory to be shown its list windows.
    pub(in crate::shard) fn has_waiting_lookers(&self) -> bool {
        !self.lists.waiting.is_empty()
    }

    /// Whether a session that begins to look may be shown that at once.
    pub(super) fn may_open_windows(&mut self, key: Key) -> bool {
        self.lists.waiting.is_empty() && self.reads_along(key) && self.lists.held.has_room(&mut self.sessions)
    }

    /// Shows a session more of the lists of a guild that it has asked for, or notes that it waits for it.
    pub(super) fn open_or_queue_windows(
        &mut self,
        cx: &mut Context,
        now: Time,
        (guild, key): (GuildId, Key),
        out: &mut Outbox,
    ) {
        if self.may_open_windows(key) {
            return self.open_windows(cx, now, (guild, key), out);
        }
        let served = self.reads_along(key);
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.connection.is_some()) else { return };
        if served {
            if self.lists.queued.insert((guild, key)) {
                self.lists.waiting.push_back((guild, key));
            }
        } else {
            let hungry = &mut session.rare.get_or_insert_default().pending_lists;
            if !hungry.contains(&guild) {
                hungry.push(guild);
            }
        }
    }

    fn open_windows(&mut self, cx: &mut Context, now: Time, (guild, key): (GuildId, Key), out: &mut Outbox) {
        // The guild was deleted, or its last session here has left it.
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        let mut after = Effects::default();
        relay.recheck(key, false, true, &mut self.sessions, &mut after);
        self.apply_effects(cx, now, after, out);
    }

    /// A session has taken what it was sent: it may be shown more.
    pub(super) fn continue_lists(&mut self, cx: &mut Context, now: Time, key: Key, out: &mut Outbox) {
        if !self.reads_along(key) {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(rare) = session.rare.as_mut() else { return };
        let hungry = std::mem::take(&mut rare.pending_lists);
        session.release_rare();
        for guild in hungry {
            self.open_or_queue_windows(cx, now, (guild, key), out);
        }
    }

    /// Shows some of those what they asked for who have waited for memory.
    pub(super) fn open_waiting_windows(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        self.lists.held.sweep(&mut self.sessions);
        if !self.lists.waiting.is_empty() && !self.lists.held.has_room(&mut self.sessions) {
            // What is still to be sent to those without a connection may never be: others do not wait for that.
            for key in self.lists.held.held_by_absent(&self.sessions) {
                self.end_session(cx, now, key, out);
            }
        }
        for _ in 0..self.lists.waiting.len().min(limits::LIST_WAITING) {
            if !self.lists.held.has_room(&mut self.sessions) {
                return;
            }
            let Some(waiting) = self.lists.waiting.pop_front() else { return };
            self.lists.queued.remove(&waiting);
            if self.reads_along(waiting.1) {
                self.open_windows(cx, now, waiting, out);
            } else {
                self.open_or_queue_windows(cx, now, waiting, out);
            }
        }
    }

    /// A session has lost its connection.
    pub(super) fn suspend_lists(&mut self, cx: &mut Context, now: Time, key: Key, out: &mut Outbox) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.bot) else { return };
        if let Some(rare) = &mut session.rare {
            rare.pending_lists.clear();
        }
        session.release_rare();
        let mut after = Effects::default();
        for seat in &session.seats {
            if let Some(relay) = self.relays.get_mut(&seat.guild) {
                relay.suspend(key, &mut after);
            }
        }
        self.apply_effects(cx, now, after, out);
    }

    /// A session has a connection again.
    pub(super) fn resume_lists(&mut self, cx: &mut Context, now: Time, key: Key, out: &mut Outbox) {
        let Some(session) = self.sessions.get(key).filter(|session| !session.bot) else { return };
        let mut after = Effects::default();
        for guild in session.seats.iter().map(|seat| seat.guild).collect::<Vec<GuildId>>() {
            if let Some(relay) = self.relays.get_mut(&guild) {
                relay.recheck(key, false, false, &mut self.sessions, &mut after);
            }
        }
        self.apply_effects(cx, now, after, out);
    }

    /// Works out anew what some sessions see.
    pub(in crate::shard) fn recheck_lists(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        // Every subscription is up to date.
        let Some(guild) = self.lists.stale.pop_front() else { return };
        // The guild was deleted, or its last session here has left it.
        let Some(relay) = self.relays.get_mut(&guild) else { return };
        let mut after = Effects::default();
        if relay.recheck_slice(&mut self.sessions, &mut after) {
            self.lists.mark_stale(guild);
        }
        self.apply_effects(cx, now, after, out);
    }

    /// The guild tells what has become of windows.
    pub(super) fn show_windows(&mut self, cx: &mut Context, now: Time, windows: &Arc<Windows>, out: &mut Outbox) {
        // The guild was deleted, or its last session here has left it.
        let Some(relay) = self.relays.get_mut(&windows.guild) else { return };
        let room = match windows.to {
            Addressee::Opener(..) => self.lists.held.has_room(&mut self.sessions),
            Addressee::Block(_) | Addressee::Closer(..) => true,
        };
        let mut after = Effects::default();
        let body = self.lists.body(windows);
        relay.update_windows(windows, &body, room, &mut self.sessions, &mut after);
        for key in &after.ready {
            if let Some(session) = self.sessions.get_mut(*key) {
                self.lists.held.hold(*key, session);
            }
        }
        self.apply_effects(cx, now, after, out);
    }

    /// Panics if something that must hold of what is shown does not.
    pub(super) fn list_invariants(&self) {
        self.lists.held.invariants(&self.sessions);
        let waiting: BTreeSet<(GuildId, Key)> = self.lists.waiting.iter().copied().collect();
        assert_eq!(waiting.len(), self.lists.waiting.len(), "nobody waits twice");
        assert_eq!(waiting, self.lists.queued);
        for (_, session) in self.sessions.iter() {
            let hungry = session.rare.as_ref().is_some_and(|rare| !rare.pending_lists.is_empty());
            assert!(!hungry || session.connection.is_some(), "nobody waits to read without a connection");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::listing::Viewers;
    use crate::mail::session_id::SessionId;
    use crate::mail::site::Site;

    #[test]
    fn a_window_that_many_open_is_one_text_and_counted_once() {
        let mut shown = ListWindows::default();
        let session = SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret: 0 };
        let texts: Vec<bytes::Bytes> = (0..4).map(|_| vec![b'x'; 100].into()).collect();
        let windows = |text: usize, at| {
            let to = Addressee::Opener(session, 0, 1);
            let (guild, viewers) = (GuildId::new(1), Viewers::Everyone);
            Windows { guild, viewers, to, body: texts[text].clone(), published: Time::from_millis(at) }
        };
        let bodies: Vec<SharedBody> =
            [(0, 1), (1, 1), (0, 1), (0, 2), (1, 3)].map(|(text, at)| shown.body(&windows(text, at))).into();
        assert_eq!(shown.held.budget().bytes(), 200);
        assert!(Rc::ptr_eq(&bodies[0], &bodies[2]) && !Rc::ptr_eq(&bodies[0], &bodies[3]));
        assert_eq!(bodies[3].published, Time::from_millis(2), "each has its own time");
        drop(bodies);
        assert_eq!(shown.held.budget().bytes(), 0, "what nobody holds is not kept");
    }
}
