//! Events of a session's own, sent by owners that are not guilds: appended to its replay alone.
//!
//! Lives on: the sessions' homes.
//! Invariant: what a guild published before such an event, on the same lane, has the lower sequence number.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::limits;
use crate::mail::event::Event;
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::session::Stage;
use crate::session::body::EventBody;
use crate::shard::context::Context;
use crate::shard::home::Home;

impl Home {
    /// An event for one session. It is kept for the resume if the session has no connection.
    pub(super) fn dispatch(&mut self, cx: &mut Context, now: Time, id: SessionId, event: Arc<Event>, out: &mut Outbox) {
        // The session has ended; its `Detach` is on the way to the owner.
        let Some((key, session)) = self.session(id) else { return };
        // It happened after the owner had listed the session and before READY was written: READY may not have it.
        if let Stage::Attaching(attaching) = &mut session.stage {
            if attaching.early.len() < limits::EARLY_EVENTS_MAX {
                attaching.early.push(event);
                return;
            }
            // None may be left out, so the session does not begin; the client identifies again.
            return self.attach_refused(cx, now, id, false, out);
        }
        let asked = event.origin.intents(event.name).expect("checked where the event was made");
        if !asked.is_empty() && !session.intents.intersects(asked) {
            return;
        }
        if session.take_from_journals().is_err() {
            return self.end_session(cx, now, key, out);
        }
        session.dispatch(EventBody::new(event.name, event.body.clone(), event.published()));
        self.list_session(key);
    }
}
