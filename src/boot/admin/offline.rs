//! Errands without a server: one shard, driven by hand.
//!
//! Lives on: the command's process, which holds the data directory's lock.

use std::collections::VecDeque;

use crate::base::clock;
use crate::base::prng::Prng;
use crate::boot::Fatal;
use crate::boot::admin::errand::{self, Errand, Means};
use crate::guild::list::Listing;
use crate::mail::ask::{Actor, Answer, Ask, Request, Ticket};
use crate::mail::letter::Letter;
use crate::mail::outbox::{Outbox, StoreWork};
use crate::mail::placement::{CoreId, Placement};
use crate::shard::home::admission::Pace;
use crate::shard::home::subscriptions::Passivity;
use crate::shard::{Shard, ShardSettings};
use crate::store::directory::DataDir;
use crate::store::service::{Caller, Outcome, Service, Work};
use crate::store::token::Signer;
use crate::wire::refusal::Refusal;

/// Does an errand on the data directory itself.
pub fn run(directory: &DataDir, errand: &Errand) -> Result<serde_json::Value, Fatal> {
    let (service, _ends) = Service::start(&directory.database(), 1)?;
    let signer = Signer::new(service.secret());
    let caller = service.caller();
    let me = CoreId(0);
    let mut shard = Shard::new(ShardSettings {
        me,
        placement: Placement::over(1),
        prng: Prng::from_entropy(errand::entropy()?),
        passivity: Passivity::default(),
        pace: Pace::default(),
        listing: Listing::default(),
        revoked: Vec::new(),
    });
    let mut ask = |request: Request| answer(&mut shard, &caller, me, request);
    let database = directory.database();
    let mut means = Means { ask: &mut ask, caller: &caller, database: &database, signer: &signer, cores: &[] };
    let result = errand.run(&mut means);
    service.stop()?;
    result
}

/// Moves the shard until the answer comes.
fn answer(shard: &mut Shard, caller: &Caller, me: CoreId, request: Request) -> Answer {
    let ticket = Ticket(1);
    let mut letters: VecDeque<Letter> =
        [Letter::Ask(Box::new(Ask { from: me, ticket, actor: Actor::Operator, request }))].into();
    while let Some(letter) = letters.pop_front() {
        let mut out = Outbox::default();
        shard.receive(clock::now(), letter, &mut out);
        letters.extend(out.letters.into_iter().map(|(_, letter)| letter));
        for job in out.jobs {
            let work = match job.work {
                StoreWork::Commit(commit) => Work::Commit(commit),
                StoreWork::Query(query) => Work::Query(query),
            };
            let result = caller.call(work).map(|outcome| match outcome {
                Outcome::Found(found) => Some(found),
                Outcome::Committed | Outcome::Hashed(_) | Outcome::Checked(_) => None,
            });
            letters.push_back(Letter::Stored { job: job.id, result });
        }
        if let Some((_, answer)) = out.answers.into_iter().next() {
            return answer;
        }
    }
    Err(Refusal::INTERNAL)
}
