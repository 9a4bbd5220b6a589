//! The pipeline of an owner: load, look up, plan, claim, commit, publish, answer.
//!
//! Lives on: the owner's core.
//! An [`Authority`] decides; [`Hosted`] brings requests to it. A request waits for what its plan looks up, for claims
//! that it must not overtake, and for its own commit; nothing blocks. Exactly one answer is sent. Guilds, users and the
//! founder of guilds run through it. A private channel will be an authority with a [`Slot`] for each, as a guild is; an
//! application one whose effects are letters to the users' owners.
//! Invariant: what is claimed is being committed, and is freed when the store has answered.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::panic::{RefUnwindSafe, catch_unwind};

use crate::base::clock::Time;
use crate::base::virtual_shard::VirtualShard;
use crate::limits;
use crate::mail::ask::claim::{Claim, Claims};
use crate::mail::ask::{Actor, Answer, Reply, Ticket};
use crate::mail::letter::Letter;
use crate::mail::outbox::Outbox;
use crate::mail::plan::{Loaded, OwnerPlan, PlanContext, Stop};
use crate::mail::record::TraceEvent;
use crate::mail::site::Site;
use crate::shard::context::Context;
use crate::shard::jobs::Jobs;
use crate::store::{Commit, Found, Query, StoreError};
use crate::wire::refusal::Refusal;

/// Something that decides.
pub(super) trait Authority: RefUnwindSafe + Debug {
    /// Names it among its kind.
    type Id: Copy + Debug;
    /// What it is asked.
    type Request: RefUnwindSafe + Debug;
    /// What its plans do besides writes and events.
    type Effect: Debug;

    /// The refusal when it is not there any more.
    const GONE: Refusal;

    /// Which one it is.
    fn id(&self) -> Self::Id;

    /// The virtual shard that the writes of a request belong to.
    fn shard(&self, request: &Self::Request) -> VirtualShard;

    /// What a request must not overtake, nor be overtaken by.
    fn claims(actor: Actor, request: &Self::Request) -> Claims;

    /// Works out what a request comes to. The same authority, request and look-ups may be planned again.
    fn plan(&self, request: &Self::Request, at: &mut PlanContext<'_>) -> Result<OwnerPlan<Self::Effect>, Stop>;

    /// Takes over what the store found for a plan.
    fn learn(&mut self, _query: &Query, _found: &Found) {}

    /// What the recorder is to know of a plan, while its writes are still with it.
    fn records(_actor: Actor, _plan: &OwnerPlan<Self::Effect>) -> Vec<TraceEvent> {
        Vec::new()
    }

    /// Applies and publishes what is durable now.
    fn commit(&mut self, durable: DurablePlan<Self::Effect>, cx: &mut Context, out: &mut Outbox) -> Committed;
}

/// A plan whose writes are durable.
#[derive(Debug)]
pub(super) struct DurablePlan<E> {
    /// Since now.
    pub(super) now: Time,
    /// The rest of it.
    pub(super) plan: OwnerPlan<E>,
    /// Nothing unless the shard records.
    pub(super) records: Vec<TraceEvent>,
}

/// What a commit comes to.
#[derive(Debug)]
pub(super) struct Committed {
    /// The answer.
    pub(super) reply: Reply,
    /// Whether the authority goes on.
    pub(super) fate: Fate,
}

/// Whether an authority goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an authority that ends must be removed"]
pub(super) enum Fate {
    /// It does.
    Stays,
    /// It has come to its end: requests that wait are to be asked anew.
    Ends,
}

/// An authority that is loaded, or about to be; `E` is what waits for that.
#[derive(Debug)]
pub(super) enum Slot<A: Authority, E> {
    /// The store was asked; these wait.
    Loading(VecDeque<E>),
    /// In memory.
    Here(Box<Hosted<A>>),
}

/// An authority with what is under way in it.
#[derive(Debug)]
pub(super) struct Hosted<A: Authority> {
    /// The authority.
    pub(super) owner: A,
    /// Changes being committed.
    claims: BTreeSet<Claim>,
    /// Requests that wait for one of them.
    waiting: VecDeque<Box<PendingAsk<A::Request>>>,
    /// Changes so far of what is in the store alone: what was looked up before one may be stale after it.
    stored_changes: u64,
}

/// A request with what was looked up for it so far.
#[derive(Debug)]
pub(super) struct PendingAsk<R> {
    from: Site,
    ticket: Ticket,
    actor: Actor,
    reason: Option<Box<str>>,
    request: R,
    loaded: Loaded,
    /// [`Hosted::stored_changes`] when the first of it was looked up.
    loaded_at: u64,
}

/// What waits for the store's answer.
#[derive(Debug)]
pub(super) enum PipelineJob<A: Authority> {
    /// A plan that needs something looked up.
    LookUp(Box<PendingAsk<A::Request>>, Query),
    /// A plan being committed.
    Commit(Box<Committing<A::Effect>>),
}

/// A plan on its way to the disk.
#[derive(Debug)]
pub(super) struct Committing<E> {
    from: Site,
    ticket: Ticket,
    claims: Claims,
    plan: OwnerPlan<E>,
    /// Nothing unless the shard records.
    records: Vec<TraceEvent>,
}

impl<R> PendingAsk<R> {
    /// A request for which nothing was looked up.
    pub(super) fn new(from: Site, ticket: Ticket, actor: Actor, reason: Option<Box<str>>, request: R) -> Box<Self> {
        Box::new(PendingAsk { from, ticket, actor, reason, request, loaded: Loaded::new(), loaded_at: 0 })
    }

    /// Answers with a refusal.
    pub(super) fn refuse(&self, refusal: Refusal, out: &mut Outbox) {
        answer(out, self.from, self.ticket, Err(refusal));
    }
}

impl<A: Authority> Hosted<A> {
    /// An authority in which nothing is under way.
    pub(super) fn new(owner: A) -> Hosted<A> {
        Hosted { owner, claims: BTreeSet::new(), waiting: VecDeque::new(), stored_changes: 0 }
    }

    /// Requests that wait, when the authority has ended.
    pub(super) fn into_waiting(self) -> VecDeque<Box<PendingAsk<A::Request>>> {
        self.waiting
    }

    /// Plans a request, now that everything it is known to need is here; or has it wait, or refuses it.
    pub(super) fn ask<W: From<(A::Id, PipelineJob<A>)>>(
        &mut self,
        cx: &mut Context,
        now: Time,
        mut pending: Box<PendingAsk<A::Request>>,
        jobs: &mut Jobs<W>,
        out: &mut Outbox,
    ) -> Fate {
        let claims = A::claims(pending.actor, &pending.request);
        if claims.iter().any(|claim| self.claims.contains(claim)) {
            if self.waiting.len() < limits::GUILD_WAITING_MAX {
                self.waiting.push_back(pending);
            } else {
                pending.refuse(Refusal::OVERLOADED, out);
            }
            return Fate::Stays;
        }
        // A message that was looked up for an edit may have been edited since: the other edit would be undone.
        let of_stored = claims.iter().any(|claim| claim.is_of_stored());
        if pending.loaded.is_empty() || (of_stored && pending.loaded_at != self.stored_changes) {
            pending.loaded.clear();
            pending.loaded_at = self.stored_changes;
        }
        let id = self.owner.id();
        match self.plan(cx, now, &pending) {
            Err(Stop::Refused(refusal)) => pending.refuse(refusal, out),
            Err(Stop::Needs(_)) if pending.loaded.len() >= limits::LOOKUPS_MAX => {
                pending.refuse(Refusal::OVERLOADED, out);
            }
            Err(Stop::Needs(query)) => {
                jobs.query(query.clone(), (id, PipelineJob::LookUp(pending, query)).into(), out);
            }
            Ok(mut plan) => {
                let records = if cx.recording { A::records(pending.actor, &plan) } else { Vec::new() };
                let writes = plan.take_writes();
                let shard = self.owner.shard(&pending.request);
                let PendingAsk { from, ticket, .. } = *pending;
                let committing = Box::new(Committing { from, ticket, claims, plan, records });
                if writes.is_empty() {
                    return self.finish(cx, now, *committing, out);
                }
                self.claims.extend(committing.claims.iter().copied());
                jobs.commit(Commit::of(shard, writes), (id, PipelineJob::Commit(committing)).into(), out);
            }
        }
        Fate::Stays
    }

    /// The store has answered about what a plan needs.
    pub(super) fn looked_up<W: From<(A::Id, PipelineJob<A>)>>(
        &mut self,
        cx: &mut Context,
        now: Time,
        (mut pending, query): (Box<PendingAsk<A::Request>>, Query),
        result: Result<Option<Found>, StoreError>,
        jobs: &mut Jobs<W>,
        out: &mut Outbox,
    ) -> Fate {
        let Ok(Some(found)) = result else {
            tracing::error!(id = ?self.owner.id(), ?query, "the store did not answer a question");
            pending.refuse(Refusal::INTERNAL, out);
            return Fate::Stays;
        };
        self.owner.learn(&query, &found);
        pending.loaded.push((query, found));
        self.ask(cx, now, pending, jobs, out)
    }

    /// A plan was committed, or was not.
    pub(super) fn committed<W: From<(A::Id, PipelineJob<A>)>>(
        &mut self,
        cx: &mut Context,
        now: Time,
        committing: Committing<A::Effect>,
        result: Result<Option<Found>, StoreError>,
        jobs: &mut Jobs<W>,
        out: &mut Outbox,
    ) -> Fate {
        let freed = committing.claims.clone();
        match result {
            Ok(_) => {
                if self.finish(cx, now, committing, out) == Fate::Ends {
                    return Fate::Ends;
                }
            }
            Err(error) => refuse_lost::<A>(committing, error, out),
        }
        if freed.is_empty() {
            return Fate::Stays;
        }
        for claim in &freed {
            self.claims.remove(claim);
            self.stored_changes += u64::from(claim.is_of_stored());
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        while let Some(pending) = waiting.pop_front() {
            if self.ask(cx, now, pending, jobs, out) == Fate::Ends {
                self.waiting.extend(waiting);
                return Fate::Ends;
            }
        }
        Fate::Stays
    }

    /// Planning borrows, so a plan that panics leaves the authority whole: only this request fails. Ids that it minted
    /// are minted again; they were not used.
    fn plan(
        &self,
        cx: &mut Context,
        now: Time,
        pending: &PendingAsk<A::Request>,
    ) -> Result<OwnerPlan<A::Effect>, Stop> {
        let (mint, random) = (cx.mint.clone(), cx.prng.next_u64());
        let (owner, request, loaded) = (&self.owner, &pending.request, &pending.loaded);
        let (actor, reason) = (pending.actor, pending.reason.as_deref());
        let planned = catch_unwind(move || {
            let mut at = PlanContext { now, actor, reason, loaded, mint, random };
            let planned = owner.plan(request, &mut at);
            (planned, at.mint)
        });
        match planned {
            Ok((planned, mint)) => {
                cx.mint = mint;
                planned
            }
            Err(_) => {
                tracing::error!(id = ?owner.id(), request = ?std::mem::discriminant(request), "a plan panicked");
                Err(Stop::Refused(Refusal::INTERNAL))
            }
        }
    }

    /// Applies, publishes and answers what is durable now.
    fn finish(&mut self, cx: &mut Context, now: Time, committing: Committing<A::Effect>, out: &mut Outbox) -> Fate {
        let Committing { from, ticket, plan, records, .. } = committing;
        let Committed { reply, fate } = self.owner.commit(DurablePlan { now, plan, records }, cx, out);
        answer(out, from, ticket, Ok(reply));
        fate
    }
}

impl<A: Authority> PipelineJob<A> {
    /// The authority has ended meanwhile; what was written into it is gone with it.
    pub(super) fn refuse_gone(self, result: Result<Option<Found>, StoreError>, out: &mut Outbox) {
        match (self, result) {
            (PipelineJob::LookUp(pending, _), _) => pending.refuse(A::GONE, out),
            (PipelineJob::Commit(committing), Ok(_)) => answer(out, committing.from, committing.ticket, Err(A::GONE)),
            (PipelineJob::Commit(committing), Err(error)) => refuse_lost::<A>(*committing, error, out),
        }
    }
}

/// Answers that nothing was committed.
fn refuse_lost<A: Authority>(committing: Committing<A::Effect>, error: StoreError, out: &mut Outbox) {
    let refusal = match error {
        StoreError::Conflict(conflict) => committing.plan.refusal(conflict).cloned().unwrap_or(A::GONE),
        StoreError::Failed(_) => {
            tracing::error!(%error, "a commit failed");
            Refusal::INTERNAL
        }
    };
    answer(out, committing.from, committing.ticket, Err(refusal));
}

fn answer(out: &mut Outbox, to: Site, ticket: Ticket, answer: Answer) {
    out.post(to, Letter::Answer(ticket, Box::new(answer)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{ChannelId, MessageId, Mint, UserId};
    use crate::base::metrics::Metrics;
    use crate::base::prng::Prng;
    use crate::mail::placement::Placement;
    use crate::shard::context::Passivity;
    use crate::shard::jobs::Side;
    use crate::store::service::Work;
    use crate::store::{Conflict, Write};

    const CHANNEL: ChannelId = ChannelId::new(1);

    /// Counts what it committed; each plan answers with the count as it was planned.
    #[derive(Debug, Default)]
    struct Counter {
        count: u16,
    }

    #[derive(Debug, Clone, Copy)]
    enum CounterRequest {
        /// Looks the message up, writes it and counts it.
        Change(u64),
        /// The same without a look-up, and with a refusal for a lost race.
        Delete(u64),
        Read,
        Panic,
        /// Counts, and is the end.
        End,
    }

    impl Authority for Counter {
        type Id = u8;
        type Request = CounterRequest;
        type Effect = Fate;

        const GONE: Refusal = Refusal::UNKNOWN_GUILD;

        fn id(&self) -> u8 {
            7
        }

        fn shard(&self, _request: &CounterRequest) -> VirtualShard {
            VirtualShard::of(CHANNEL)
        }

        fn claims(_actor: Actor, request: &CounterRequest) -> Claims {
            match request {
                CounterRequest::Change(message) | CounterRequest::Delete(message) => {
                    [Claim::Message(MessageId::new(*message))].into_iter().collect()
                }
                CounterRequest::Read | CounterRequest::Panic | CounterRequest::End => Claims::new(),
            }
        }

        fn plan(&self, request: &CounterRequest, at: &mut PlanContext<'_>) -> Result<OwnerPlan<Fate>, Stop> {
            let plan = OwnerPlan::json(self.count, &());
            Ok(match request {
                CounterRequest::Change(message) => {
                    at.look_up(Query::Message(CHANNEL, MessageId::new(*message)))?;
                    plan.write(Write::DeleteMessage(CHANNEL, MessageId::new(*message))).effect(Fate::Stays)
                }
                CounterRequest::Delete(message) => plan
                    .write(Write::DeleteMessage(CHANNEL, MessageId::new(*message)))
                    .effect(Fate::Stays)
                    .if_gone(Refusal::UNKNOWN_MESSAGE),
                CounterRequest::Read => plan,
                CounterRequest::Panic => panic!("a planted bug"),
                CounterRequest::End => plan.effect(Fate::Ends),
            })
        }

        fn commit(&mut self, durable: DurablePlan<Fate>, _cx: &mut Context, _out: &mut Outbox) -> Committed {
            let plan = durable.plan;
            self.count += plan.effects().len() as u16;
            let fate = plan.effects().first().copied().unwrap_or(Fate::Stays);
            Committed { reply: plan.into_outcome().1, fate }
        }
    }

    /// A counter with its jobs and outbox.
    struct Bench {
        cx: Context,
        hosted: Hosted<Counter>,
        jobs: Jobs<(u8, PipelineJob<Counter>)>,
        out: Outbox,
        fate: Fate,
    }

    impl Bench {
        fn new() -> Bench {
            let cx = Context {
                me: Site::new(0, 0),
                placement: Placement::over(1),
                prng: Prng::new(1),
                mint: Mint::inside(),
                passivity: Passivity::default(),
                draining: false,
                recording: false,
                metrics: Metrics::default(),
            };
            let hosted = Hosted::new(Counter::default());
            Bench { cx, hosted, jobs: Jobs::new(Side::Guilds), out: Outbox::default(), fate: Fate::Stays }
        }

        fn ask(&mut self, ticket: u64, request: CounterRequest) {
            let actor = Actor::User(UserId::new(1));
            let pending = PendingAsk::new(Site::new(0, 0), Ticket(ticket), actor, None, request);
            self.fate = self.hosted.ask(&mut self.cx, Time::default(), pending, &mut self.jobs, &mut self.out);
        }

        /// The store answers the oldest job.
        fn answer(&mut self, result: Result<Option<Found>, StoreError>) {
            let id = self.out.jobs.remove(0).0;
            let (cx, now, jobs, out) = (&mut self.cx, Time::default(), &mut self.jobs, &mut self.out);
            self.fate = match jobs.take(id).expect("it was given to the store").1 {
                PipelineJob::LookUp(pending, query) => {
                    self.hosted.looked_up(cx, now, (pending, query), result, jobs, out)
                }
                PipelineJob::Commit(committing) => self.hosted.committed(cx, now, *committing, result, jobs, out),
            };
        }

        fn found(&mut self) {
            self.answer(Ok(Some(Found::Message(None))));
        }

        /// Tickets that were answered since, with the count that their plan saw, or the refusal.
        fn answers(&mut self) -> Vec<(u64, Result<u16, Refusal>)> {
            let letters = std::mem::take(&mut self.out.letters);
            let answer = |(_, letter): (Site, Letter)| match letter {
                Letter::Answer(ticket, answer) => match *answer {
                    Ok(Reply::Json(count, _)) => (ticket.0, Ok(count)),
                    Ok(other) => panic!("a counter does not answer {other:?}"),
                    Err(refusal) => (ticket.0, Err(refusal)),
                },
                other => panic!("a counter does not send {other:?}"),
            };
            letters.into_iter().map(answer).collect()
        }
    }

    #[test]
    fn claimed_request_waits_for_the_commit_and_sees_it() {
        let mut bench = Bench::new();
        bench.ask(1, CounterRequest::Delete(5));
        bench.ask(2, CounterRequest::Delete(5));
        bench.ask(3, CounterRequest::Delete(6));
        bench.ask(4, CounterRequest::Read);
        assert_eq!(bench.out.jobs.len(), 2, "the second waits, the third does not");
        assert_eq!(bench.answers(), [(4, Ok(0))]);
        bench.answer(Ok(None));
        assert_eq!(bench.answers(), [(1, Ok(0))]);
        assert_eq!(bench.out.jobs.len(), 2, "now the second is committed");
        bench.answer(Ok(None));
        bench.answer(Ok(None));
        assert_eq!(bench.answers(), [(3, Ok(0)), (2, Ok(1))], "the second was planned after the first commit");
        assert!(bench.hosted.claims.is_empty() && bench.jobs.is_empty());
    }

    #[test]
    fn look_up_is_repeated_when_a_change_has_made_it_stale() {
        let mut bench = Bench::new();
        bench.ask(1, CounterRequest::Change(5));
        bench.ask(2, CounterRequest::Change(5));
        assert_eq!(bench.out.jobs.len(), 2, "looking up claims nothing");
        bench.found();
        bench.found();
        assert_eq!(bench.out.jobs.len(), 1, "the second waits for the commit of the first");
        bench.answer(Ok(None));
        assert!(matches!(bench.out.jobs[..], [(_, Work::Query(Query::Message(..)))]), "it is looked up again");
        bench.found();
        bench.answer(Ok(None));
        assert_eq!(bench.answers(), [(1, Ok(0)), (2, Ok(1))]);
        bench.ask(3, CounterRequest::Change(5));
        bench.answer(Err(StoreError::Failed("no disk".to_owned())));
        assert_eq!(bench.answers(), [(3, Err(Refusal::INTERNAL))]);
    }

    #[test]
    fn lost_race_is_refused_as_the_plan_says() {
        let mut bench = Bench::new();
        let gone = || Err(StoreError::Conflict(Conflict::Gone));
        bench.ask(1, CounterRequest::Delete(5));
        bench.answer(gone());
        bench.ask(2, CounterRequest::Change(5));
        bench.found();
        bench.answer(gone());
        let unsaid = Err(Refusal::UNKNOWN_GUILD);
        assert_eq!(bench.answers(), [(1, Err(Refusal::UNKNOWN_MESSAGE)), (2, unsaid)]);
        assert!(bench.hosted.claims.is_empty(), "a lost race frees its claims");
        assert_eq!(bench.hosted.owner.count, 0);
    }

    #[test]
    fn plan_that_panics_fails_alone() {
        let mut bench = Bench::new();
        bench.ask(1, CounterRequest::Panic);
        bench.ask(2, CounterRequest::Delete(5));
        bench.answer(Ok(None));
        assert_eq!(bench.answers(), [(1, Err(Refusal::INTERNAL)), (2, Ok(0))]);
    }

    #[test]
    fn ended_authority_hands_back_what_waits_and_refuses_what_is_under_way() {
        let mut bench = Bench::new();
        bench.ask(1, CounterRequest::Delete(5));
        bench.ask(2, CounterRequest::Delete(5));
        bench.ask(3, CounterRequest::End);
        assert_eq!(bench.fate, Fate::Ends);
        assert_eq!(bench.answers(), [(3, Ok(0))]);
        let id = bench.out.jobs.remove(0).0;
        let (_, job) = bench.jobs.take(id).expect("the first is being committed");
        job.refuse_gone(Ok(None), &mut bench.out);
        assert_eq!(bench.answers(), [(1, Err(Refusal::UNKNOWN_GUILD))]);
        assert_eq!(bench.hosted.into_waiting().len(), 1, "the second is asked anew");
    }
}
