//! The users that a core owns: their accounts, and which sessions they have running.
//!
//! Lives on: the users' core. A user is in memory while it has sessions.
//! Knows no guild and no session but by id; it answers them with letters.
//! Read next: `sessions`, `accounts`.

mod accounts;
mod sessions;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::mail::to_user::ToUser;
use crate::shard::context::Context;
use crate::shard::jobs::{Jobs, Side};
use crate::shard::pipeline::{Hosted, PipelineJob};
use crate::shard::users::accounts::Accounts;
use crate::store::{Found, StoreError};
use crate::user::OnlineUser;

/// The users that a core owns.
#[derive(Debug)]
pub(super) struct Users {
    accounts: Hosted<Accounts>,
    jobs: Jobs<UserJob>,
}

/// A user that this core owns, loaded or about to be.
#[derive(Debug)]
enum UserSlot {
    /// The store was asked; these wait.
    #[expect(clippy::box_collection, reason = "what is loading is rare, and each user has the room for it")]
    Loading(Box<Vec<Early>>),
    /// In memory.
    Here(Box<OnlineUser>),
}

/// What came for a user that is being loaded.
#[derive(Debug)]
enum Early {
    Attach { session: SessionId, issued_ms: u64 },
    Gained(GuildId),
    Parted(GuildId),
}

/// What waits for the store.
#[derive(Debug)]
enum UserJob {
    /// A user to be loaded.
    User(UserId),
    /// Another session of a user, whose account must be looked up.
    Attach { session: SessionId, user: UserId, issued_ms: u64 },
    /// A plan of accounts.
    Plan(PipelineJob<Accounts>),
}

impl From<((), PipelineJob<Accounts>)> for UserJob {
    fn from(((), job): ((), PipelineJob<Accounts>)) -> UserJob {
        UserJob::Plan(job)
    }
}

impl Users {
    /// No user so far.
    pub(super) fn new() -> Users {
        Users { accounts: Hosted::new(Accounts::default()), jobs: Jobs::new(Side::Users) }
    }

    /// Takes a letter.
    pub(super) fn receive(&mut self, cx: &mut Context, now: Time, letter: ToUser, out: &mut Outbox) {
        match letter {
            ToUser::Ask(ask) => self.ask(cx, now, *ask, out),
            ToUser::Attach { session, user, issued_ms } => self.attach(session, user, issued_ms, out),
            ToUser::Detach { session, user } => self.detach(session, user),
            ToUser::Gained { user, guild } => self.gained(user, guild, out),
            ToUser::Parted { user, guild } => self.parted(user, guild),
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
            UserJob::User(user) => self.user_loaded(user, result, out),
            UserJob::Attach { session, user, issued_ms } => self.account_loaded(session, user, issued_ms, result, out),
            UserJob::Plan(job) => self.accounts_answered(cx, now, job, result, out),
        }
    }

    /// Whether any job is with the store.
    pub(super) fn awaits_store(&self) -> bool {
        !self.jobs.is_empty()
    }
}
