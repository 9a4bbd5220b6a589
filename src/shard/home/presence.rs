//! Presences: sessions show themselves; guilds send the change to the sessions that may know it.
//!
//! Lives on: the sessions' homes; the guild's side is in `guilds/presence.rs`.
//! Source: Discord docs, Gateway Events/Update Presence and Presence Update.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::mail::outbox::Outbox;
use crate::mail::presence::Presences;
use crate::mail::to_guild::ToGuild;
use crate::relay::Effects;
use crate::session::Stage;
use crate::session::connection::Connection;
use crate::shard::context::Context;
use crate::shard::home::{Home, HomeJob};
use crate::wire::model::presence::PresenceOf;
use crate::wire::request::presence::PresenceUpdate;

impl Home {
    /// A client shows itself in another way (op 3). Too many updates are dropped without a word.
    pub(in crate::shard) fn present(
        &mut self,
        cx: &mut Context,
        now: Time,
        connection: Key,
        update: &PresenceUpdate,
        out: &mut Outbox,
    ) {
        // The session has ended, or not begun: the command is dropped.
        let Some(key) = self.connections.get(connection).and_then(Connection::session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.count_update(now) {
            return;
        }
        if let Stage::Attaching(attaching) = &mut session.stage {
            // READY shows it as it then wants to be shown.
            attaching.update = update.clone();
            return;
        }
        let bot = session.bot;
        if !session.show(update.status, update.activities(bot, now)) {
            return;
        }
        // Guilds that have not come yet say with their snapshot what they know of it.
        for seat in &session.seats {
            let (guild, user, session, showing) = (seat.guild, session.user, session.id, session.showing());
            out.post(cx.placement.owner(guild), ToGuild::Show { guild, user, session, showing });
        }
    }

    /// The presences of members that were found for a session.
    pub(super) fn presences_found(
        &mut self,
        cx: &mut Context,
        now: Time,
        job: u64,
        presences: &[PresenceOf],
        out: &mut Outbox,
    ) {
        let Some(HomeJob::Presences(session, found)) = self.jobs.take(job) else {
            unreachable!("a guild answers each question about presences once");
        };
        self.members_found(cx, now, session, Ok(Some(*found)), Some(presences), out);
    }

    /// Changed presences, for the sessions here that may know them.
    pub(super) fn tell_presences(&mut self, cx: &mut Context, now: Time, presences: &Presences, out: &mut Outbox) {
        // The guild was deleted, or its last session here has left it.
        let Some(relay) = self.relays.get_mut(&presences.guild) else { return };
        let mut after = Effects::default();
        relay.tell_presences(presences, &mut self.sessions, &mut after);
        self.apply_effects(cx, now, after, out);
    }
}
