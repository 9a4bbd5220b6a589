//! The guilds that a core owns: loaded, asked, changed, published.
//!
//! Lives on: the guilds' core.
//! Knows no session and no user but by id; it answers them with letters.
//! Read next: `requests` (plans and commits), `visits` (sessions that see a guild), `lists`, `presence`, `records`.

mod lists;
mod presence;
mod records;
mod requests;
mod visits;

use std::collections::{BTreeSet, VecDeque};

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId};
use crate::base::idmap::IdMap;
use crate::guild::Guild;
use crate::guild::list::ListSettings;
use crate::mail::ask::Ask;
use crate::mail::ask::claim::Claim;
use crate::mail::outbox::Outbox;
use crate::mail::presence::JoinRequest;
use crate::mail::to_guild::ToGuild;
use crate::shard::context::Context;
use crate::shard::guilds::lists::Lists;
use crate::shard::jobs::{Jobs, Side};
use crate::store::{Found, Query, StoreError};

/// The guilds that a core owns.
#[derive(Debug)]
pub(super) struct Guilds {
    guilds: IdMap<GuildId, GuildSlot>,
    /// In which guild a channel is, for those that were asked about.
    channels: IdMap<ChannelId, GuildId>,
    /// Guilds of whose members something has changed in this turn.
    changed: Vec<GuildId>,
    lists: Lists,
    jobs: Jobs<Waiting>,
}

/// A guild that this core owns, loaded or about to be.
#[derive(Debug)]
enum GuildSlot {
    /// The store was asked; these wait.
    Loading(VecDeque<Pending>),
    /// In memory.
    Here(Box<Hosted>),
}

/// A guild with what is under way in it.
#[derive(Debug)]
struct Hosted {
    guild: Guild,
    /// Changes being committed.
    claims: BTreeSet<Claim>,
    /// Requests that wait for one of them.
    waiting: VecDeque<Pending>,
    /// Changes of existing messages so far: what was looked up before one may be stale after it.
    messages_changed: u64,
    /// The recorder has the guild's declaration.
    declared: bool,
}

/// Something for a guild that must wait.
#[derive(Debug)]
enum Pending {
    Ask(Box<requests::PendingAsk>),
    Join(Box<JoinRequest>),
}

/// What waits for the store.
#[derive(Debug)]
enum Waiting {
    /// A guild to be loaded.
    Guild(GuildId),
    /// A plan that needs something looked up.
    Ask(Box<requests::PendingAsk>, Query),
    /// A session that comes to see a guild, whose member, or all members, must be looked up.
    Join { guild: GuildId, coming: Box<JoinRequest> },
    /// A plan being committed.
    Commit(Box<requests::Committing>),
    /// A request about a channel whose guild must be looked up.
    Channel(Box<Ask>),
    /// A guild to be made, whose owner must be looked up.
    Founding(Box<requests::Founding>),
    /// A new guild being committed.
    Founded(Box<requests::Founded>),
    /// Lists of a guild that show who is offline: all its members must be looked up.
    Everybody(GuildId),
}

impl Guilds {
    /// No guild so far.
    pub(super) fn new(listing: ListSettings) -> Guilds {
        Guilds {
            guilds: IdMap::default(),
            channels: IdMap::default(),
            changed: Vec::new(),
            lists: Lists::new(listing),
            jobs: Jobs::new(Side::Guilds),
        }
    }

    /// Takes a letter.
    pub(super) fn receive(&mut self, cx: &mut Context, now: Time, letter: ToGuild, out: &mut Outbox) {
        match letter {
            ToGuild::Ask(ask) => self.ask(cx, now, *ask, out),
            ToGuild::Join { guild, coming } => self.join(cx, now, guild, coming, out),
            ToGuild::Leave { guild, user, session, joined_ms } => {
                self.leave(cx, now, guild, (user, joined_ms), session, out)
            }
            ToGuild::Show { guild, user, session, showing } => self.show_in(guild, user, session, &showing),
            ToGuild::Follow { guild, core, user, follows } => self.follow(now, guild, core, user, follows, out),
            ToGuild::FindPresences { guild, core, job, users } => self.find_presences(guild, core, job, &users, out),
            ToGuild::Look(look) => self.look(*look, out),
            ToGuild::Unwatch { guild, core, seen } => self.unwatch(guild, core, seen, out),
        }
    }

    /// The store has answered.
    pub(super) fn stored(
        &mut self,
        cx: &mut Context,
        now: Time,
        job: u64,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        match self.jobs.take(job).expect("the store answers each job once") {
            Waiting::Guild(guild) => self.guild_loaded(cx, now, guild, result, out),
            Waiting::Ask(pending, query) => self.looked_up(cx, now, *pending, query, result, out),
            Waiting::Join { guild, coming } => self.member_loaded(cx, now, guild, *coming, result, out),
            Waiting::Commit(committing) => self.committed(cx, now, *committing, result, out),
            Waiting::Channel(ask) => self.channel_found(cx, now, *ask, result, out),
            Waiting::Founding(founding) => self.found_guild(cx, now, *founding, result, out),
            Waiting::Founded(founded) => self.founded(cx, *founded, result, out),
            Waiting::Everybody(guild) => self.everybody_found(guild, result),
        }
    }

    /// Whether any job is with the store.
    pub(super) fn awaits_store(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Panics if something that must hold does not.
    pub(super) fn invariants(&self) {
        for slot in self.guilds.values() {
            if let GuildSlot::Here(hosted) = slot {
                hosted.guild.invariants();
            }
        }
    }
}
