//! The founder of guilds, an authority of the pipeline: it looks the owner up and writes the new guild.
//!
//! Lives on: the new guild's core, one for all guilds. The guild itself is loaded when it is first asked.

use crate::base::id::{GuildId, UserId};
use crate::base::virtual_shard::VirtualShard;
use crate::guild::{self, Guild};
use crate::mail::ask::claim::Claims;
use crate::mail::ask::{Actor, Reply};
use crate::mail::outbox::Outbox;
use crate::mail::plan::{OwnerPlan, PlanContext, Stop};
use crate::mail::to_user::ToUser;
use crate::shard::context::Context;
use crate::shard::pipeline::{Authority, Committed, DurablePlan, Fate};
use crate::store::{Found, Query};
use crate::wire::refusal::Refusal;
use crate::wire::request::guild::GuildDraft;

/// Founds guilds.
#[derive(Debug)]
pub(super) struct Founder;

/// A guild to be made.
#[derive(Debug)]
pub(super) struct FoundingRequest {
    /// Where it will live.
    pub(super) shard: VirtualShard,
    /// Its owner.
    pub(super) owner: UserId,
    /// Its settings.
    pub(super) draft: GuildDraft,
}

/// The owner is a member of the new guild; the user's owner must know.
#[derive(Debug)]
pub(super) struct Founded {
    owner: UserId,
    guild: GuildId,
}

impl Authority for Founder {
    type Id = ();
    type Request = FoundingRequest;
    type Effect = Founded;

    /// The store knows no such owner.
    const GONE: Refusal = Refusal::UNKNOWN_USER;

    fn id(&self) {}

    fn shard(&self, request: &FoundingRequest) -> VirtualShard {
        request.shard
    }

    fn claims(_actor: Actor, _request: &FoundingRequest) -> Claims {
        Claims::new()
    }

    fn plan(&self, request: &FoundingRequest, at: &mut PlanContext<'_>) -> Result<OwnerPlan<Founded>, Stop> {
        let owner = match at.look_up(Query::Users(vec![request.owner]))? {
            Found::Users(users) => users.first().cloned().ok_or(Refusal::UNKNOWN_USER)?,
            _ => return Err(Refusal::INTERNAL.into()),
        };
        let (owner_id, name) = (owner.id, request.draft.name.clone());
        let (record, writes) = guild::founding::found(request.shard, owner, name, at.now.millis(), &mut at.mint);
        let founded = Founded { owner: owner_id, guild: record.guild.id };
        let plan = OwnerPlan::answer(Reply::Json(201, Guild::load(record).rest_json())).effect(founded);
        Ok(writes.into_iter().fold(plan, OwnerPlan::write))
    }

    fn commit(&mut self, durable: DurablePlan<Founded>, cx: &mut Context, out: &mut Outbox) -> Committed {
        for Founded { owner, guild } in durable.plan.effects() {
            out.post(cx.placement.owner(*owner), ToUser::Gained { user: *owner, guild: *guild });
        }
        let (_, reply) = durable.plan.into_outcome();
        Committed { reply, fate: Fate::Stays }
    }
}
