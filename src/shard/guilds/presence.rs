//! Presences of members: sessions show themselves, and the guild publishes what has changed.
//!
//! Lives on: the guild's core.
//! Source: Discord docs, Gateway Events/Update Presence and Presence Update.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::guild::presence::is_small;
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::mail::to_home::ToHome;
use crate::shard::context::Context;
use crate::shard::guilds::{GuildSlot, Guilds};
use crate::wire::model::presence::Showing;

impl Guilds {
    /// A session shows itself in another way.
    pub(super) fn show_in(&mut self, guild: GuildId, user: UserId, session: SessionId, showing: &Showing) {
        if let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) {
            hosted.owner.guild.show(user, session, showing);
            self.changed.push(guild);
        }
    }

    /// A core follows a user from now on, or no more.
    pub(super) fn follow(
        &mut self,
        now: Time,
        guild: GuildId,
        core: Site,
        user: UserId,
        follows: bool,
        out: &mut Outbox,
    ) {
        // The guild was deleted meanwhile.
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        if let Some(presence) = hosted.owner.guild.follow(core, user, follows) {
            let answer = hosted.owner.guild.answer_follower(now, user, presence);
            out.post(core, ToHome::Presences(Arc::new(answer)));
        }
    }

    /// Members were found for a session on another core, whose presences it wants too.
    pub(super) fn find_presences(&mut self, guild: GuildId, core: Site, job: u64, users: &[UserId], out: &mut Outbox) {
        let presences = match self.guilds.get_mut(&guild) {
            Some(GuildSlot::Here(hosted)) => hosted.owner.guild.presences_among(users),
            // The guild was deleted meanwhile: its members are shown offline, and the session gets GUILD_DELETE.
            Some(GuildSlot::Loading(_)) | None => Vec::new(),
        };
        out.post(core, ToHome::PresencesFound { job, presences });
    }

    /// The end of a pass of a turn: sends the changed presences to the cores that may know them.
    pub(in crate::shard) fn settle(&mut self, cx: &mut Context, now: Time, out: &mut Outbox) {
        self.changed.sort_unstable();
        self.changed.dedup();
        for guild in std::mem::take(&mut self.changed) {
            // Deleted in the same turn.
            let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { continue };
            let changed = hosted.owner.guild.take_changes();
            let small = is_small(hosted.owner.guild.counts().0, cx.passivity.above);
            for (core, presences) in hosted.owner.guild.tell_presences(now, &changed, small) {
                out.post(core, ToHome::Presences(presences));
            }
        }
    }

    /// Whether a turn has anything to do.
    pub(in crate::shard) fn has_to_settle(&self) -> bool {
        !self.changed.is_empty() || self.lists.are_busy()
    }
}
