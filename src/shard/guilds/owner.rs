//! A guild as an authority of the pipeline: commits are applied, recorded and published to the cores that watch.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use crate::base::id::GuildId;
use crate::base::metrics::Counter;
use crate::base::virtual_shard::VirtualShard;
use crate::guild::Guild;
use crate::guild::plan::{Effect, Plan, PlanContext, Stop};
use crate::mail::ask::claim::Claims;
use crate::mail::ask::{Actor, GuildRequest};
use crate::mail::event::Change;
use crate::mail::outbox::Outbox;
use crate::mail::record::TraceEvent;
use crate::mail::to_home::ToHome;
use crate::mail::to_user::ToUser;
use crate::shard::context::Context;
use crate::shard::guilds::records;
use crate::shard::pipeline::{Authority, Committed, DurablePlan, Fate};
use crate::store::{Found, Query};
use crate::wire::event::EventName;
use crate::wire::refusal::Refusal;

/// A guild that this core owns.
#[derive(Debug)]
pub(super) struct GuildOwner {
    /// The guild.
    pub(super) guild: Guild,
    /// The recorder has the guild's declaration.
    pub(super) declared: bool,
}

impl Authority for GuildOwner {
    type Id = GuildId;
    type Request = GuildRequest;
    type Effect = Effect;

    const GONE: Refusal = Refusal::UNKNOWN_GUILD;

    fn id(&self) -> GuildId {
        self.guild.id()
    }

    fn shard(&self, _request: &GuildRequest) -> VirtualShard {
        VirtualShard::of(self.guild.id())
    }

    fn claims(actor: Actor, request: &GuildRequest) -> Claims {
        request.claims(actor)
    }

    fn plan(&self, request: &GuildRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        self.guild.plan(request, at)
    }

    fn learn(&mut self, query: &Query, found: &Found) {
        self.guild.learn(query, found);
    }

    fn records(actor: Actor, plan: &Plan) -> Vec<TraceEvent> {
        records::deeds(actor, plan)
    }

    fn commit(&mut self, durable: DurablePlan<Effect>, cx: &mut Context, out: &mut Outbox) -> Committed {
        let DurablePlan { now, plan, records } = durable;
        if cx.recording {
            records::declare(now, &self.guild, &mut self.declared, out);
            records::note_plan(now, &self.guild, &plan, records, out);
        }
        let guild = &mut self.guild;
        let letters = guild.commit(&plan);
        cx.metrics.count(Counter::EventsPublished, plan.events().len() as u64);
        let mut fate = Fate::Stays;
        let (events, reply) = plan.into_outcome();
        for event in events {
            let event = event.published_at(now);
            if event.change == Some(Change::Deleted) {
                fate = Fate::Ends;
            }
            if event.name == EventName::MessageCreate {
                cx.metrics.count(Counter::MessagesCreated, 1);
            }
            let event = Arc::new(event);
            for core in guild.watchers() {
                out.post(core, ToHome::Publish(Arc::clone(&event)));
            }
        }
        for (user, letter) in letters {
            out.post(cx.placement.owner(user), letter);
        }
        if fate == Fate::Ends {
            for user in guild.online() {
                out.post(cx.placement.owner(user), ToUser::Parted { user, guild: guild.id() });
            }
        }
        Committed { reply, fate }
    }
}
