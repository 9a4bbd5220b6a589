//! Accounts as an authority of the pipeline: made, their tokens revoked, their notes written.
//!
//! Lives on: the core that owns the user; one authority for all users of the core.
//! It holds the users in memory, so that a revocation and the sessions that it ends change at the same moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::base::virtual_shard::VirtualShard;
use crate::mail::ask::claim::{Claim, Claims};
use crate::mail::ask::{Actor, Ask, Reply, Request};
use crate::mail::event::{Event, Origin};
use crate::mail::outbox::Outbox;
use crate::mail::plan::{OwnerPlan, PlanContext, Stop};
use crate::mail::to_home::ToHome;
use crate::model::account::Account;
use crate::model::user::User;
use crate::model::user_note::UserNote;
use crate::shard::context::Context;
use crate::shard::pipeline::{Authority, Committed, DurablePlan, Fate, PendingAsk, PipelineJob};
use crate::shard::users::{UserSlot, Users};
use crate::store::{Found, StoreError, Write};
use crate::wire::event::EventName;
use crate::wire::refusal::{FormErrors, Refusal};

/// The accounts that a core owns.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Users in memory. A tree: a hash table that doubles stops its core meanwhile.
    pub(super) users: BTreeMap<UserId, UserSlot>,
}

/// What is asked about accounts.
#[derive(Debug)]
pub(super) enum AccountRequest {
    /// A new one. → [`Reply::Account`]
    Create {
        shard: VirtualShard,
        username: String,
        global_name: Option<String>,
        password: Option<String>,
        bot: Option<u32>,
        owner: Option<UserId>,
    },
    /// Void all tokens issued until now. → `Done`
    RevokeTokens(UserId),
    /// A note about a user. → `Done`
    SetNote(UserNote),
}

/// Tokens of a user are void.
#[derive(Debug)]
pub(super) struct Revocation {
    user: UserId,
    valid_from_ms: u64,
}

impl Authority for Accounts {
    type Id = ();
    type Request = AccountRequest;
    type Effect = Revocation;

    const GONE: Refusal = Refusal::UNKNOWN_USER;

    fn id(&self) {}

    fn shard(&self, request: &AccountRequest) -> VirtualShard {
        match request {
            AccountRequest::Create { shard, .. } => *shard,
            AccountRequest::RevokeTokens(user) => VirtualShard::of(*user),
            AccountRequest::SetNote(note) => VirtualShard::of(note.author),
        }
    }

    fn claims(_actor: Actor, request: &AccountRequest) -> Claims {
        match request {
            AccountRequest::Create { .. } => Claims::new(),
            AccountRequest::RevokeTokens(user) | AccountRequest::SetNote(UserNote { author: user, .. }) => {
                [Claim::Account(*user)].into_iter().collect()
            }
        }
    }

    fn plan(&self, request: &AccountRequest, at: &mut PlanContext<'_>) -> Result<OwnerPlan<Revocation>, Stop> {
        let now = at.now.millis();
        match request {
            AccountRequest::Create { shard, username, global_name, password, bot, owner } => {
                let id: UserId = at.mint.mint(now, shard.number());
                let (username, global_name) = (username.clone(), global_name.clone());
                let account = Box::new(Account {
                    user: User { id, username, global_name, avatar: None, bot: bot.is_some() },
                    owner: *owner,
                    privileged: bot.unwrap_or(0),
                    tokens_valid_from_ms: 0,
                });
                let taken = FormErrors::one(&["username"], "USERNAME_ALREADY_TAKEN", "Username is taken.");
                let write = Write::CreateAccount { account: account.clone(), password: password.clone() };
                Ok(OwnerPlan::answer(Reply::Account(account)).write(write).if_taken(taken))
            }
            AccountRequest::RevokeTokens(user) => {
                let (user, valid_from_ms) = (*user, now + 1);
                let write = Write::RevokeTokens { user, valid_from_ms };
                Ok(OwnerPlan::done().write(write).effect(Revocation { user, valid_from_ms }))
            }
            AccountRequest::SetNote(note) => {
                let body = json!({ "id": note.about, "note": note.text }).to_string();
                Ok(OwnerPlan::done()
                    .write(Write::SetNote(note.clone()))
                    .if_gone(Refusal::UNKNOWN_USER)
                    .if_full(Refusal::TOO_MANY_NOTES)
                    .event(Event::own(note.author, EventName::UserNoteUpdate, body.into())))
            }
        }
    }

    fn commit(&mut self, durable: DurablePlan<Revocation>, cx: &mut Context, out: &mut Outbox) -> Committed {
        for Revocation { user, valid_from_ms } in durable.plan.effects() {
            let (user, valid_from_ms) = (*user, *valid_from_ms);
            if let Some(UserSlot::Here(online)) = self.users.get_mut(&user) {
                online.revoke(valid_from_ms);
            }
            for core in cx.placement.all() {
                out.post(core, ToHome::Revoked { user, valid_from_ms });
            }
        }
        let (events, reply) = durable.plan.into_outcome();
        for event in events {
            let Origin::User(user) = event.origin else { unreachable!("a user's owner publishes to the user") };
            self.dispatch(user, &Arc::new(event.published_at(durable.now)), out);
        }
        Committed { reply, fate: Fate::Stays }
    }
}

impl Users {
    /// A door asks for a change of an account.
    pub(super) fn ask(&mut self, cx: &mut Context, now: Time, ask: Ask, out: &mut Outbox) {
        let Ask { from, ticket, actor, reason, request } = ask;
        let request = match request {
            Request::CreateAccount { shard, username, global_name, password, bot, owner } => {
                AccountRequest::Create { shard, username, global_name, password, bot, owner }
            }
            Request::RevokeTokens(user) => AccountRequest::RevokeTokens(user),
            Request::SetNote(note) => AccountRequest::SetNote(note),
            Request::Guild(..) | Request::Channel(..) | Request::FoundGuild { .. } => {
                unreachable!("these are for a guild's owner")
            }
        };
        let pending = PendingAsk::new(from, ticket, actor, reason, request);
        let fate = self.accounts.ask(cx, now, pending, &mut self.jobs, out);
        assert_eq!(fate, Fate::Stays, "accounts do not end");
    }

    /// The store has answered about a plan.
    pub(super) fn accounts_answered(
        &mut self,
        cx: &mut Context,
        now: Time,
        job: PipelineJob<Accounts>,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let fate = match job {
            PipelineJob::LookUp(pending, query) => {
                self.accounts.looked_up(cx, now, (pending, query), result, &mut self.jobs, out)
            }
            PipelineJob::Commit(committing) => {
                self.accounts.committed(cx, now, *committing, result, &mut self.jobs, out)
            }
        };
        assert_eq!(fate, Fate::Stays, "accounts do not end");
    }
}
