//! Unread marks for passive sessions, some time after the first message that they were not sent.
//!
//! Lives on: the sessions' homes.

use crate::base::clock::Time;
use crate::mail::outbox::Outbox;
use crate::relay::Effects;
use crate::shard::context::Context;
use crate::shard::home::Home;

impl Home {
    /// Tells those who get no messages what has become unread, where it is time.
    pub(super) fn tell_unread(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        while self.unread.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, guild)) = self.unread.pop_front() else { return };
            // The guild was deleted, or its last session here has left it.
            let Some(relay) = self.relays.get_mut(&guild) else { continue };
            let mut after = Effects::default();
            relay.tell_unread(now, &mut after);
            self.apply_effects(cx, now, after, out);
        }
    }
}
