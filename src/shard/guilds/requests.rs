//! Requests to guilds: each is brought to its guild, which is loaded for it.
//!
//! Lives on: the core that owns the guild.
//! What happens in a guild's pipeline is in `shard/pipeline.rs`, what a commit does in `owner.rs`.

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId};
use crate::guild::Guild;
use crate::limits;
use crate::mail::ask::{Ask, GuildRequest, Request};
use crate::mail::outbox::Outbox;
use crate::mail::to_home::ToHome;
use crate::shard::context::Context;
use crate::shard::guilds::founder::{Founder, FoundingRequest};
use crate::shard::guilds::owner::GuildOwner;
use crate::shard::guilds::{GuildJob, GuildSlot, Guilds, Pending};
use crate::shard::pipeline::{Fate, Hosted, PendingAsk, PipelineJob};
use crate::store::{Found, Query, StoreError};
use crate::wire::refusal::Refusal;

impl Guilds {
    pub(super) fn ask(&mut self, cx: &mut Context, now: Time, ask: Ask, out: &mut Outbox) {
        let Ask { from, ticket, actor, reason, request } = ask;
        match request {
            Request::Guild(guild, request) => {
                self.ask_guild(cx, now, guild, PendingAsk::new(from, ticket, actor, reason, request), out);
            }
            Request::Channel(channel, request) => {
                let pending = PendingAsk::new(from, ticket, actor, reason, request);
                match self.channels.get(&channel) {
                    Some(guild) => self.ask_guild(cx, now, *guild, pending, out),
                    None => {
                        let query = Query::GuildOfChannel(channel);
                        self.jobs.query(query, GuildJob::Channel(channel, pending), out);
                    }
                }
            }
            Request::FoundGuild { shard, owner, draft } => {
                let request = FoundingRequest { shard, owner, draft };
                let pending = PendingAsk::new(from, ticket, actor, reason, request);
                let fate = self.founder.ask(cx, now, pending, &mut self.jobs, out);
                assert_eq!(fate, Fate::Stays, "a founder does not end");
            }
            Request::CreateAccount { .. } | Request::RevokeTokens(_) | Request::SetNote(_) => {
                unreachable!("these are for a user's owner")
            }
        }
    }

    /// The store has answered in which guild a channel is.
    pub(super) fn channel_found(
        &mut self,
        cx: &mut Context,
        now: Time,
        (channel, pending): (ChannelId, Box<PendingAsk<GuildRequest>>),
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        match result {
            Ok(Some(Found::GuildOf(Some(guild)))) if cx.placement.owner(guild) == cx.me => {
                self.note_channel(channel, guild);
                self.ask_guild(cx, now, guild, pending, out);
            }
            Ok(_) => pending.refuse(Refusal::UNKNOWN_CHANNEL, out),
            Err(error) => {
                tracing::error!(%channel, %error, "the store did not answer a question");
                pending.refuse(Refusal::INTERNAL, out);
            }
        }
    }

    fn note_channel(&mut self, channel: ChannelId, guild: GuildId) {
        // Only a short cut: what is forgotten is looked up again. Channels never change their guild.
        if self.channels.len() >= limits::CHANNELS_KNOWN_MAX {
            self.channels.clear();
        }
        self.channels.insert(channel, guild);
    }

    /// Brings a request to its guild, or loads the guild first.
    fn ask_guild(
        &mut self,
        cx: &mut Context,
        now: Time,
        guild: GuildId,
        pending: Box<PendingAsk<GuildRequest>>,
        out: &mut Outbox,
    ) {
        match self.guilds.get_mut(&guild) {
            None => {
                self.guilds.insert(guild, GuildSlot::Loading([Pending::Ask(pending)].into()));
                self.jobs.query(Query::Guild(guild), GuildJob::Guild(guild), out);
            }
            Some(GuildSlot::Loading(waiting)) if waiting.len() < limits::GUILD_WAITING_MAX => {
                waiting.push_back(Pending::Ask(pending));
            }
            Some(GuildSlot::Loading(_)) => pending.refuse(Refusal::OVERLOADED, out),
            Some(GuildSlot::Here(hosted)) => {
                let fate = hosted.ask(cx, now, pending, &mut self.jobs, out);
                self.after(cx, now, guild, fate, out);
            }
        }
    }

    /// The store has answered about a guild that was to be loaded.
    pub(super) fn guild_loaded(
        &mut self,
        cx: &mut Context,
        now: Time,
        guild: GuildId,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let Some(GuildSlot::Loading(waiting)) = self.guilds.remove(&guild) else {
            unreachable!("a guild that is being loaded stays so until it is found")
        };
        let (refusal, unavailable) = match result {
            Ok(Some(Found::Guild(Some(record)))) => {
                let owner = GuildOwner { guild: Guild::load(*record), declared: false };
                self.guilds.insert(guild, GuildSlot::Here(Box::new(Hosted::new(owner))));
                for pending in waiting {
                    match pending {
                        Pending::Ask(ask) => self.ask_guild(cx, now, guild, ask, out),
                        Pending::Join(coming) => self.join(cx, now, guild, *coming, out),
                    }
                }
                return;
            }
            Ok(_) => (Refusal::UNKNOWN_GUILD, false),
            Err(error) => {
                tracing::error!(%guild, %error, "a guild could not be loaded");
                (Refusal::INTERNAL, true)
            }
        };
        for pending in waiting {
            match pending {
                Pending::Ask(ask) => ask.refuse(refusal.clone(), out),
                Pending::Join(coming) => {
                    let session = coming.session;
                    out.post(session.home, ToHome::JoinRefused { guild, session, unavailable });
                }
            }
        }
    }

    /// The store has answered about a plan of a guild.
    pub(super) fn guild_answered(
        &mut self,
        cx: &mut Context,
        now: Time,
        (guild, job): (GuildId, PipelineJob<GuildOwner>),
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else {
            return job.refuse_gone(result, out);
        };
        let fate = match job {
            PipelineJob::LookUp(pending, query) => {
                hosted.looked_up(cx, now, (pending, query), result, &mut self.jobs, out)
            }
            PipelineJob::Commit(committing) => hosted.committed(cx, now, *committing, result, &mut self.jobs, out),
        };
        self.after(cx, now, guild, fate, out);
    }

    /// The store has answered about a plan of the founder.
    pub(super) fn founder_answered(
        &mut self,
        cx: &mut Context,
        now: Time,
        job: PipelineJob<Founder>,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let fate = match job {
            PipelineJob::LookUp(pending, query) => {
                self.founder.looked_up(cx, now, (pending, query), result, &mut self.jobs, out)
            }
            PipelineJob::Commit(committing) => {
                self.founder.committed(cx, now, *committing, result, &mut self.jobs, out)
            }
        };
        assert_eq!(fate, Fate::Stays, "a founder does not end");
    }

    /// Notes changed presences of a guild, or removes it: requests that waited for it are asked anew, and find it gone.
    fn after(&mut self, cx: &mut Context, now: Time, guild: GuildId, fate: Fate, out: &mut Outbox) {
        match fate {
            Fate::Stays => {
                let changed = matches!(self.guilds.get(&guild), Some(GuildSlot::Here(hosted)) if hosted.owner.guild.has_changes());
                if changed && self.changed.last() != Some(&guild) {
                    self.changed.push(guild);
                }
            }
            Fate::Ends => {
                let Some(GuildSlot::Here(hosted)) = self.guilds.remove(&guild) else {
                    unreachable!("it has just ended")
                };
                for pending in hosted.into_waiting() {
                    self.ask_guild(cx, now, guild, pending, out);
                }
            }
        }
    }
}
