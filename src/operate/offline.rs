//! Admin commands without a server: one shard, driven by hand.
//!
//! Lives on: the command's process, which holds the data directory's lock.

use std::collections::VecDeque;

use crate::base::clock;
use crate::base::fatal::Fatal;
use crate::base::prng::Prng;
use crate::guild::list::ListSettings;
use crate::mail::ask::{Actor, Answer, Ask, Request, Ticket};
use crate::mail::local::Local;
use crate::mail::mailbox::MailboxItem;
use crate::mail::outbox::Outbox;
use crate::mail::placement::Placement;
use crate::mail::site::Site;
use crate::operate::admin_command::{AdminCommand, AdminContext};
use crate::operate::entropy::entropy;
use crate::shard::Passivity;
use crate::shard::home::admission::Pace;
use crate::shard::{Shard, ShardSettings};
use crate::store::database;
use crate::store::directory::DataDir;
use crate::store::service::{Caller, Outcome, Service};
use crate::store::token::Signer;
use crate::wire::refusal::Refusal;

/// Runs a command on the data directory itself.
pub fn run(directory: &DataDir, command: &AdminCommand) -> Result<serde_json::Value, Fatal> {
    let (service, _ends) = Service::start(database::open(&directory.database())?, 1)?;
    let signer = Signer::new(service.secret());
    let caller = service.caller();
    let me = Site::new(0, 0);
    let mut shard = Shard::new(ShardSettings {
        me,
        placement: Placement::over(1),
        prng: Prng::from_entropy(entropy()?),
        passivity: Passivity::default(),
        pace: Pace::default(),
        listing: ListSettings::default(),
        revoked: Vec::new(),
    });
    let mut ask = |request: Request| answer(&mut shard, &caller, me, request);
    let database = directory.database();
    let mut context = AdminContext { ask: &mut ask, caller: &caller, database: &database, signer: &signer, cores: &[] };
    let result = command.run(&mut context);
    service.stop()?;
    result
}

/// Runs the shard until it answers.
fn answer(shard: &mut Shard, caller: &Caller, me: Site, request: Request) -> Answer {
    let ticket = Ticket(1);
    let ask = Ask { from: me, ticket, actor: Actor::Operator, reason: None, request };
    let mut mailbox = VecDeque::from([MailboxItem::Letter(ask.into())]);
    while let Some(item) = mailbox.pop_front() {
        let mut out = Outbox::default();
        match item {
            MailboxItem::Letter(letter) => shard.receive(clock::now(), letter, &mut out),
            MailboxItem::Local(local) => shard.receive_local(clock::now(), local, &mut out),
        }
        mailbox.extend(out.letters.into_iter().map(|(_, letter)| MailboxItem::Letter(letter)));
        for (job, work) in out.jobs {
            let result = caller.call(work).map(|outcome| match outcome {
                Outcome::Found(found) => Some(found),
                Outcome::Committed | Outcome::Hashed(_) | Outcome::Checked(_) => None,
            });
            mailbox.push_back(Local::Stored { job, result }.into());
        }
        if let Some((_, answer)) = out.answers.into_iter().next() {
            return answer;
        }
    }
    Err(Refusal::INTERNAL)
}
