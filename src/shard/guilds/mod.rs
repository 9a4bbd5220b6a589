//! The guilds that a core owns: loaded, asked, changed, published.
//!
//! Lives on: the guilds' core.
//! Knows no session and no user but by id; it answers them with letters.
//! Read next: `requests` (plans and commits), `visits` (sessions that see a guild), `lists`, `presence`, `records`.

mod founder;
mod lists;
mod owner;
mod presence;
mod records;
mod requests;
mod visits;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId};
use crate::base::idmap::IdMap;
use crate::guild::list::ListSettings;
use crate::mail::ask::GuildRequest;
use crate::mail::outbox::Outbox;
use crate::mail::presence::JoinRequest;
use crate::mail::to_guild::ToGuild;
use crate::shard::context::Context;
use crate::shard::guilds::founder::Founder;
use crate::shard::guilds::lists::Lists;
use crate::shard::guilds::owner::GuildOwner;
use crate::shard::jobs::{Jobs, Side};
use crate::shard::pipeline::{Hosted, PendingAsk, PipelineJob, Slot};
use crate::store::{Found, StoreError};

/// The guilds that a core owns.
#[derive(Debug)]
pub(super) struct Guilds {
    guilds: IdMap<GuildId, GuildSlot>,
    founder: Hosted<Founder>,
    /// In which guild a channel is, for those that were asked about.
    channels: IdMap<ChannelId, GuildId>,
    /// Guilds of whose members something has changed in this turn.
    changed: Vec<GuildId>,
    lists: Lists,
    jobs: Jobs<GuildJob>,
}

/// A guild that this core owns, loaded or about to be.
type GuildSlot = Slot<GuildOwner, Pending>;

/// Something for a guild that must be loaded first.
#[derive(Debug)]
enum Pending {
    Ask(Box<PendingAsk<GuildRequest>>),
    Join(Box<JoinRequest>),
}

/// What waits for the store.
#[derive(Debug)]
enum GuildJob {
    /// A guild to be loaded.
    Guild(GuildId),
    /// A plan of a guild.
    Plan(GuildId, PipelineJob<GuildOwner>),
    /// A plan of a new guild.
    Founding(PipelineJob<Founder>),
    /// A session that comes to see a guild, whose member, or all members, must be looked up.
    Join { guild: GuildId, coming: Box<JoinRequest> },
    /// A request about a channel whose guild must be looked up.
    Channel(ChannelId, Box<PendingAsk<GuildRequest>>),
    /// Lists of a guild that show who is offline: all its members must be looked up.
    Everybody(GuildId),
}

impl From<(GuildId, PipelineJob<GuildOwner>)> for GuildJob {
    fn from((guild, job): (GuildId, PipelineJob<GuildOwner>)) -> GuildJob {
        GuildJob::Plan(guild, job)
    }
}

impl From<((), PipelineJob<Founder>)> for GuildJob {
    fn from(((), job): ((), PipelineJob<Founder>)) -> GuildJob {
        GuildJob::Founding(job)
    }
}

impl Guilds {
    /// No guild so far.
    pub(super) fn new(listing: ListSettings) -> Guilds {
        Guilds {
            guilds: IdMap::default(),
            founder: Hosted::new(Founder),
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
            ToGuild::ListSubscription(look) => self.look(*look, out),
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
            GuildJob::Guild(guild) => self.guild_loaded(cx, now, guild, result, out),
            GuildJob::Plan(guild, job) => self.guild_answered(cx, now, (guild, job), result, out),
            GuildJob::Join { guild, coming } => self.member_loaded(cx, now, guild, *coming, result, out),
            GuildJob::Channel(channel, pending) => self.channel_found(cx, now, (channel, pending), result, out),
            GuildJob::Founding(job) => self.founder_answered(cx, now, job, result, out),
            GuildJob::Everybody(guild) => self.everybody_found(guild, result),
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
                hosted.owner.guild.invariants();
            }
        }
    }
}
