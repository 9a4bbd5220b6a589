//! Member lists: subscribed, kept up to date, sent.
//!
//! Lives on: the guild's core. `home/list_subscriptions.rs` decides what sessions are shown of them.
//! At each tick a *round* begins for every guild that has lists: changes since the last one are worked out, in slices
//! that are parts of turns, and sent. A new subscription is answered as soon as the list is there.

use std::collections::{BTreeSet, VecDeque};

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::guild::list::ListSettings;
use crate::mail::listing::ListSubscription;
use crate::mail::outbox::Outbox;
use crate::mail::to_home::ToHome;
use crate::shard::guilds::{GuildJob, GuildSlot, Guilds};
use crate::store::{Found, Query, StoreError};

/// Guilds with member lists that have subscribers.
#[derive(Debug)]
pub(super) struct Lists {
    settings: ListSettings,
    guilds: BTreeSet<GuildId>,
    /// Those that have something to do, each once.
    busy: VecDeque<GuildId>,
    queued: BTreeSet<GuildId>,
}

impl Lists {
    pub(super) fn new(settings: ListSettings) -> Lists {
        Lists { settings, guilds: BTreeSet::new(), busy: VecDeque::new(), queued: BTreeSet::new() }
    }

    /// Whether a turn has anything to do.
    pub(super) fn are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    fn busy(&mut self, guild: GuildId) {
        if self.queued.insert(guild) {
            self.busy.push_back(guild);
        }
    }

    fn next(&mut self) -> Option<GuildId> {
        let guild = self.busy.pop_front()?;
        self.queued.remove(&guild);
        Some(guild)
    }
}

impl Guilds {
    /// A session, or the last on its core, looks at windows or away.
    pub(super) fn look(&mut self, look: ListSubscription, out: &mut Outbox) {
        let guild = look.guild;
        // The guild was deleted meanwhile.
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        hosted.owner.guild.look(look, self.lists.settings);
        self.look_up_everybody(guild, out);
        self.lists.guilds.insert(guild);
        self.lists.busy(guild);
    }

    /// All members are looked up, if lists want to know them.
    fn look_up_everybody(&mut self, guild: GuildId, out: &mut Outbox) {
        // The guild was deleted meanwhile.
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        if hosted.owner.guild.wants_all_members(self.lists.settings) {
            let limit = self.lists.settings.offline_up_to as u32;
            let query = Query::Members { guild, after: UserId::new(0), limit };
            self.jobs.query(query, GuildJob::Everybody(guild), out);
        }
    }

    /// The store has answered about all members.
    pub(super) fn everybody_found(&mut self, guild: GuildId, result: Result<Option<Found>, StoreError>) {
        // The guild was deleted meanwhile.
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        let found = match &result {
            Ok(Some(Found::Members(members))) => Some(members.as_slice()),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(%guild, %error, "members could not be read");
                None
            }
        };
        hosted.owner.guild.know_all_members(found);
        self.lists.busy(guild);
    }

    /// Begins to work out what has changed in lists.
    pub(in crate::shard) fn begin_rounds(&mut self, now: Time, out: &mut Outbox) {
        let (guilds, settings) = (&mut self.guilds, self.lists.settings);
        self.lists.guilds.retain(|guild| match guilds.get_mut(guild) {
            Some(GuildSlot::Here(hosted)) => hosted.owner.guild.begin_round(now, settings),
            Some(GuildSlot::Loading(_)) | None => false,
        });
        for guild in self.lists.guilds.clone() {
            self.look_up_everybody(guild, out);
        }
        let guilds = &self.guilds;
        let busy = |guild: &GuildId| matches!(&guilds.get(guild), Some(GuildSlot::Here(hosted)) if hosted.owner.guild.lists_are_busy());
        let busy: Vec<GuildId> = self.lists.guilds.iter().copied().filter(busy).collect();
        for guild in busy {
            self.lists.busy(guild);
        }
    }

    /// Advances member lists: once in a turn, not in each of its passes. What lists have for sessions of this core
    /// comes back as letters, and lists that were advanced for each of those would fill the turn.
    pub(in crate::shard) fn attend_lists(&mut self, now: Time, out: &mut Outbox) {
        // No list has anything to do.
        let Some(guild) = self.lists.next() else { return };
        // The guild was deleted meanwhile.
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        let (posts, more) = hosted.owner.guild.advance_lists(now, self.lists.settings);
        for (core, windows) in posts {
            out.post(core, ToHome::Windows(windows));
        }
        if more {
            self.lists.busy(guild);
        }
    }
}
