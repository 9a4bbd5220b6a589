//! Requests to guilds: plans made, committed, published, answered.
//!
//! Lives on: the core that owns the guild.
//! A request waits for its guild to be loaded, for what its plan needs, for changes that it must not overtake, and for its
//! own commit; it is never waited *in*: each step is a turn of its own.

use std::panic::catch_unwind;
use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, UserId};
use crate::base::metrics::Counter;
use crate::guild::plan::{Loaded, Plan, PlanContext, Stop};
use crate::guild::{self, Guild};
use crate::limits;
use crate::mail::ask::claim::{Claim, Claims};
use crate::mail::ask::{Actor, Answer, Ask, GuildRequest, Reply, Request, Ticket};
use crate::mail::event::Change;
use crate::mail::letter::Letter;
use crate::mail::note::Deed;
use crate::mail::outbox::Outbox;
use crate::mail::placement::VirtualShard;
use crate::mail::site::Site;
use crate::mail::to_home::ToHome;
use crate::mail::to_user::ToUser;
use crate::shard::context::Context;
use crate::shard::guilds::{GuildSlot, Guilds, Hosted, Pending, Waiting, records};
use crate::store::{Commit, Conflict, Found, Query, StoreError};
use crate::wire::refusal::Refusal;

/// A request with what was looked up for it so far.
#[derive(Debug)]
pub(super) struct PendingAsk {
    guild: GuildId,
    from: Site,
    ticket: Ticket,
    actor: Actor,
    reason: Option<Box<str>>,
    request: GuildRequest,
    loaded: Loaded,
    /// How many changes of messages the guild had seen when the first of it was looked up.
    loaded_at: u64,
}

/// A plan on its way to the disk.
#[derive(Debug)]
pub(super) struct Committing {
    guild: GuildId,
    from: Site,
    ticket: Ticket,
    claims: Claims,
    plan: Plan,
    /// What is noted of it; nothing unless the shard records.
    deeds: Vec<Deed>,
}

/// A guild to be made, as soon as its owner is known.
#[derive(Debug)]
pub(super) struct Founding {
    from: Site,
    ticket: Ticket,
    shard: VirtualShard,
    name: String,
}

/// A new guild on its way to the disk.
#[derive(Debug)]
pub(super) struct Founded {
    from: Site,
    ticket: Ticket,
    reply: Reply,
    owner: UserId,
    guild: GuildId,
}

impl Guilds {
    pub(super) fn ask(&mut self, cx: &mut Context, now: Time, ask: Ask, out: &mut Outbox) {
        let Ask { from, ticket, actor, reason, request } = ask;
        match request {
            Request::Guild(guild, request) => {
                let pending =
                    PendingAsk { guild, from, ticket, actor, reason, request, loaded: Loaded::new(), loaded_at: 0 };
                self.ask_guild(cx, now, pending, out);
            }
            Request::Channel(channel, request) => match self.channels.get(&channel) {
                Some(guild) => {
                    let pending = PendingAsk {
                        guild: *guild,
                        from,
                        ticket,
                        actor,
                        reason,
                        request,
                        loaded: Loaded::new(),
                        loaded_at: 0,
                    };
                    self.ask_guild(cx, now, pending, out);
                }
                None => {
                    let ask = Ask { from, ticket, actor, reason, request: Request::Channel(channel, request) };
                    self.jobs.query(Query::GuildOfChannel(channel), Waiting::Channel(Box::new(ask)), out);
                }
            },
            Request::FoundGuild { shard, owner, draft } => {
                let founding = Founding { from, ticket, shard, name: draft.name };
                self.jobs.query(Query::Users(vec![owner]), Waiting::Founding(Box::new(founding)), out);
            }
            Request::CreateAccount { .. } | Request::RevokeTokens(_) => unreachable!("these are for a user's owner"),
        }
    }

    /// The store has answered in which guild a channel is.
    pub(super) fn channel_found(
        &mut self,
        cx: &mut Context,
        now: Time,
        ask: Ask,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let Ask { from, ticket, actor, reason, request } = ask;
        // Only these wait for a channel.
        let Request::Channel(channel, request) = request else { return };
        match result {
            Ok(Some(Found::GuildOf(Some(guild)))) if cx.placement.owner(guild) == cx.me => {
                self.note_channel(channel, guild);
                let pending =
                    PendingAsk { guild, from, ticket, actor, reason, request, loaded: Loaded::new(), loaded_at: 0 };
                self.ask_guild(cx, now, pending, out);
            }
            Ok(_) => reply(out, from, ticket, Err(Refusal::UNKNOWN_CHANNEL)),
            Err(error) => {
                tracing::error!(%channel, %error, "the store did not answer a question");
                reply(out, from, ticket, Err(Refusal::INTERNAL));
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

    /// Plans a request, now that everything it is known to need is here; or loads, parks or refuses it.
    fn ask_guild(&mut self, cx: &mut Context, now: Time, mut pending: PendingAsk, out: &mut Outbox) {
        let guild = pending.guild;
        let Some(slot) = self.guilds.get_mut(&guild) else {
            self.guilds.insert(guild, GuildSlot::Loading([Pending::Ask(Box::new(pending))].into()));
            self.jobs.query(Query::Guild(guild), Waiting::Guild(guild), out);
            return;
        };
        let hosted = match slot {
            GuildSlot::Loading(waiting) => {
                if waiting.len() < limits::GUILD_WAITING_MAX {
                    waiting.push_back(Pending::Ask(Box::new(pending)));
                } else {
                    reply(out, pending.from, pending.ticket, Err(Refusal::OVERLOADED));
                }
                return;
            }
            GuildSlot::Here(hosted) => hosted,
        };
        let claims = pending.request.claims(pending.actor);
        if claims.iter().any(|claim| hosted.claims.contains(claim)) {
            if hosted.waiting.len() < limits::GUILD_WAITING_MAX {
                hosted.waiting.push_back(Pending::Ask(Box::new(pending)));
            } else {
                reply(out, pending.from, pending.ticket, Err(Refusal::OVERLOADED));
            }
            return;
        }
        // A message that was looked up for an edit may have been edited since: what this one does not touch would be undone.
        let of_a_message = claims.iter().any(|claim| matches!(claim, Claim::Message(_)));
        if pending.loaded.is_empty() || (of_a_message && pending.loaded_at != hosted.messages_changed) {
            pending.loaded.clear();
            pending.loaded_at = hosted.messages_changed;
        }
        let random = cx.prng.next_u64();
        // Planning borrows, so a plan that panics leaves the guild whole: only this request fails. Ids that it minted are
        // minted again; they were not used.
        let (guild_here, request, loaded) = (&hosted.guild, &pending.request, &pending.loaded);
        let (actor, reason, mint) = (pending.actor, pending.reason.as_deref(), cx.mint.clone());
        let planned = catch_unwind(move || {
            let mut at = PlanContext { now, actor, reason, loaded, mint, random };
            let planned = guild_here.plan(request, &mut at);
            (planned, at.mint)
        });
        let planned = planned.map(|(planned, mint)| {
            cx.mint = mint;
            planned
        });
        match planned {
            Err(_) => {
                tracing::error!(%guild, request = ?std::mem::discriminant(&pending.request), "a plan panicked");
                reply(out, pending.from, pending.ticket, Err(Refusal::INTERNAL));
            }
            Ok(Err(Stop::Refused(refusal))) => reply(out, pending.from, pending.ticket, Err(refusal)),
            Ok(Err(Stop::Needs(query))) => {
                if pending.loaded.len() >= limits::LOOKUPS_MAX {
                    reply(out, pending.from, pending.ticket, Err(Refusal::OVERLOADED));
                } else {
                    self.jobs.query(query.clone(), Waiting::Ask(Box::new(pending), query), out);
                }
            }
            Ok(Ok(mut plan)) => {
                let deeds = if cx.recording { records::deeds(pending.actor, &plan) } else { Vec::new() };
                let writes = plan.take_writes();
                let (from, ticket) = (pending.from, pending.ticket);
                let committing = Committing { guild, from, ticket, claims, plan, deeds };
                if writes.is_empty() {
                    self.finish(cx, now, committing, out);
                    return;
                }
                hosted.claims.extend(committing.claims.iter().copied());
                let commit = Commit::of(VirtualShard::of(guild), writes);
                self.jobs.commit(commit, Waiting::Commit(Box::new(committing)), out);
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
        // Never: a guild is loaded once, and kept until then.
        let Some(GuildSlot::Loading(waiting)) = self.guilds.remove(&guild) else { return };
        match result {
            Ok(Some(Found::Guild(Some(record)))) => {
                let hosted = Hosted {
                    guild: Guild::load(*record),
                    claims: Default::default(),
                    waiting: Default::default(),
                    messages_changed: 0,
                    declared: false,
                };
                self.guilds.insert(guild, GuildSlot::Here(Box::new(hosted)));
                for pending in waiting {
                    self.again(cx, now, guild, pending, out);
                }
            }
            Ok(_) => {
                for pending in waiting {
                    match pending {
                        Pending::Ask(ask) => reply(out, ask.from, ask.ticket, Err(Refusal::UNKNOWN_GUILD)),
                        Pending::Join(coming) => {
                            let session = coming.session;
                            out.post(session.home, ToHome::JoinRefused { guild, session, unavailable: false })
                        }
                    }
                }
            }
            Err(error) => {
                tracing::error!(%guild, %error, "a guild could not be loaded");
                for pending in waiting {
                    match pending {
                        Pending::Ask(ask) => reply(out, ask.from, ask.ticket, Err(Refusal::INTERNAL)),
                        Pending::Join(coming) => {
                            let session = coming.session;
                            out.post(session.home, ToHome::JoinRefused { guild, session, unavailable: true })
                        }
                    }
                }
            }
        }
    }

    /// The store has answered about what a plan needs.
    pub(super) fn looked_up(
        &mut self,
        cx: &mut Context,
        now: Time,
        mut pending: PendingAsk,
        query: Query,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        match result {
            Ok(Some(found)) => {
                if let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&pending.guild) {
                    hosted.guild.learn(&query, &found);
                }
                pending.loaded.push((query, found));
                self.ask_guild(cx, now, pending, out);
            }
            Ok(None) | Err(_) => {
                tracing::error!(guild = %pending.guild, ?query, "the store did not answer a question");
                reply(out, pending.from, pending.ticket, Err(Refusal::INTERNAL));
            }
        }
    }

    /// A plan was committed, or was not.
    pub(super) fn committed(
        &mut self,
        cx: &mut Context,
        now: Time,
        committing: Committing,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let guild = committing.guild;
        let freed = committing.claims.clone();
        match result {
            Ok(_) => {
                self.finish(cx, now, committing, out);
            }
            Err(StoreError::Conflict(Conflict::Gone)) => {
                let refusal = committing.plan.refusal_if_gone();
                reply(out, committing.from, committing.ticket, Err(refusal));
            }
            Err(error) => {
                tracing::error!(%guild, %error, "a commit failed");
                reply(out, committing.from, committing.ticket, Err(Refusal::INTERNAL));
            }
        }
        // This commit, or one before it, has deleted the guild.
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else { return };
        if !freed.is_empty() {
            for claim in &freed {
                hosted.claims.remove(claim);
                hosted.messages_changed += u64::from(matches!(claim, Claim::Message(_)));
            }
            for pending in std::mem::take(&mut hosted.waiting) {
                self.again(cx, now, guild, pending, out);
            }
        }
    }

    /// Applies, publishes and answers what is durable now.
    fn finish(&mut self, cx: &mut Context, now: Time, committing: Committing, out: &mut Outbox) {
        let Committing { guild, from, ticket, plan, deeds, .. } = committing;
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else {
            // The guild was deleted meanwhile; what was written into it is gone with it.
            reply(out, from, ticket, Err(Refusal::UNKNOWN_GUILD));
            return;
        };
        if cx.recording {
            records::note_plan(now, hosted, &plan, deeds, out);
        }
        let letters = hosted.guild.commit(&plan);
        if hosted.guild.has_changes() {
            self.changed.push(guild);
        }
        cx.metrics.count(Counter::EventsPublished, plan.events().len() as u64);
        let mut deleted = false;
        let (events, answer) = plan.into_outcome();
        for event in events {
            let event = event.published_at(now);
            deleted |= event.change == Some(Change::Deleted);
            if event.name == crate::wire::event::EventName::MessageCreate {
                cx.metrics.count(Counter::MessagesCreated, 1);
            }
            let event = Arc::new(event);
            for core in hosted.guild.watchers() {
                out.post(core, ToHome::Publish(Arc::clone(&event)));
            }
        }
        for (user, letter) in letters {
            out.post(cx.placement.owner(user), letter);
        }
        if deleted {
            for user in hosted.guild.online() {
                out.post(cx.placement.owner(user), ToUser::Parted { user, guild });
            }
            if let Some(GuildSlot::Here(hosted)) = self.guilds.remove(&guild) {
                for pending in hosted.waiting {
                    self.again(cx, now, guild, pending, out);
                }
            }
        }
        reply(out, from, ticket, Ok(answer));
    }

    /// Tries something that had to wait.
    pub(super) fn again(&mut self, cx: &mut Context, now: Time, guild: GuildId, pending: Pending, out: &mut Outbox) {
        match pending {
            Pending::Ask(ask) => self.ask_guild(cx, now, *ask, out),
            Pending::Join(coming) => self.join(cx, now, guild, *coming, out),
        }
    }

    /// The owner of a guild to be made is known.
    pub(super) fn found_guild(
        &mut self,
        cx: &mut Context,
        now: Time,
        founding: Founding,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let Founding { from, ticket, shard, name } = founding;
        let owner = match result {
            Ok(Some(Found::Users(users))) => users.into_iter().next().ok_or(Refusal::UNKNOWN_USER),
            Ok(_) | Err(_) => Err(Refusal::INTERNAL),
        };
        let owner = match owner {
            Ok(owner) => owner,
            Err(refusal) => return reply(out, from, ticket, Err(refusal)),
        };
        let owner_id = owner.id;
        let (record, writes) = guild::founding::found(shard, owner, name, now.millis(), &mut cx.mint);
        let guild = record.guild.id;
        let answer = Reply::Json(201, Guild::load(record).rest_json());
        let founded = Founded { from, ticket, reply: answer, owner: owner_id, guild };
        self.jobs.commit(Commit::of(shard, writes), Waiting::Founded(Box::new(founded)), out);
    }

    /// A new guild was committed, or was not.
    pub(super) fn founded(
        &mut self,
        cx: &mut Context,
        founded: Founded,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let Founded { from, ticket, reply: made, owner, guild } = founded;
        let answer = match result {
            Ok(_) => {
                out.post(cx.placement.owner(owner), ToUser::Gained { user: owner, guild });
                Ok(made)
            }
            Err(StoreError::Conflict(_)) => Err(Refusal::UNKNOWN_USER),
            Err(error @ StoreError::Failed(_)) => {
                tracing::error!(%error, "a commit failed");
                Err(Refusal::INTERNAL)
            }
        };
        reply(out, from, ticket, answer);
    }
}

fn reply(out: &mut Outbox, to: Site, ticket: Ticket, answer: Answer) {
    out.post(to, Letter::Answer(ticket, Box::new(answer)));
}
