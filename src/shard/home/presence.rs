//! Presences: sessions show themselves, guilds hear of it, and tell whoever may know.
//!
//! Lives on: `present`, `tell_presences`, `presences_found` on the sessions' homes; `show_in`, `follow`, `find_presences`, `settle` on the
//! guild's core.
//! Source: Discord docs, Gateway Events/Update Presence and Presence Update.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::slab::Key;
use crate::guild::presence::is_small;
use crate::mail::letter::Letter;
use crate::mail::outbox::Outbox;
use crate::mail::placement::CoreId;
use crate::mail::presence::Presences;
use crate::mail::session_id::SessionId;
use crate::relay::Aftermath;
use crate::session::Stage;
use crate::session::connection::Connection;
use crate::shard::{GuildSlot, Shard, Waiting};
use crate::store::Found;
use crate::wire::model::presence::{PresenceOf, Showing};
use crate::wire::request::presence::Update;

impl Shard {
    /// A client shows itself in another way (op 3). Too many updates are dropped without a word.
    pub fn present(&mut self, now: Time, connection: Key, update: &Update, out: &mut Outbox) {
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
            out.post(self.placement.owner(guild), Letter::Show { guild, user, session, showing });
        }
    }

    /// Guild: a session shows itself in another way.
    pub(in crate::shard) fn show_in(&mut self, guild: GuildId, user: UserId, session: SessionId, showing: &Showing) {
        if let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) {
            hosted.guild.show(user, session, showing);
            self.stirred.push(guild);
        }
    }

    /// Guild: a core follows a user from now on, or no more.
    pub(in crate::shard) fn follow(
        &mut self,
        now: Time,
        guild: GuildId,
        core: CoreId,
        user: UserId,
        follows: bool,
        out: &mut Outbox,
    ) {
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        if let Some(presence) = hosted.guild.follow(core, user, follows) {
            let answer = hosted.guild.answer_follower(now, user, presence);
            out.post(core, Letter::Presences(Arc::new(answer)));
        }
    }

    /// Guild: members were found for a session on another core, whose presences it wants too.
    pub(in crate::shard) fn find_presences(
        &mut self,
        guild: GuildId,
        core: CoreId,
        job: u64,
        found: Box<Found>,
        out: &mut Outbox,
    ) {
        let presences = match self.guilds.get_mut(&guild) {
            Some(GuildSlot::Here(hosted)) => hosted.guild.presences_among(&found),
            Some(GuildSlot::Loading(_)) | None => Vec::new(),
        };
        out.post(core, Letter::PresencesFound { job, found, presences });
    }

    /// Home: members with their presences, for a session that asked for both.
    pub(in crate::shard) fn presences_found(
        &mut self,
        now: Time,
        job: u64,
        found: Found,
        presences: &[PresenceOf],
        out: &mut Outbox,
    ) {
        if let Some(Waiting::Members(session)) = self.jobs.remove(&job) {
            self.members_found(now, session, Ok(Some(found)), Some(presences), out);
        }
    }

    /// Whether [`Shard::settle`] or [`Shard::attend_lists`] has anything to do.
    pub fn has_to_settle(&self) -> bool {
        !self.stirred.is_empty() || self.listing.are_busy() || self.shown.are_busy()
    }

    /// Guild: the end of a pass of a turn. What has changed of members is told to whoever may know.
    pub fn settle(&mut self, now: Time, out: &mut Outbox) {
        self.stirred.sort_unstable();
        self.stirred.dedup();
        for guild in std::mem::take(&mut self.stirred) {
            let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { continue };
            let changed = hosted.guild.take_changes();
            let small = is_small(hosted.guild.counts().0, self.passivity.above);
            for (core, presences) in hosted.guild.tell_presences(now, &changed, small) {
                out.post(core, Letter::Presences(presences));
            }
        }
    }

    /// Home: what presences have become, for whoever may know here.
    pub(in crate::shard) fn tell_presences(&mut self, now: Time, presences: &Presences, out: &mut Outbox) {
        let Some(relay) = self.relays.get_mut(&presences.guild) else { return };
        let mut after = Aftermath::default();
        relay.tell_presences(presences, &mut self.sessions, &mut after);
        self.clear_up(now, after, out);
    }
}
