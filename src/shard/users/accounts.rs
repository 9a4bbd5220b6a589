//! Accounts made and tokens revoked.
//!
//! Lives on: the core that owns the user.

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::base::virtual_shard::VirtualShard;
use crate::mail::ask::{Answer, Ask, Reply, Request, Ticket};
use crate::mail::letter::Letter;
use crate::mail::outbox::Outbox;
use crate::mail::site::Site;
use crate::mail::to_home::ToHome;
use crate::model::account::Account;
use crate::model::user::User;
use crate::shard::context::Context;
use crate::shard::users::{UserSlot, Users, Waiting};
use crate::store::{Commit, Conflict, Found, StoreError, Write};
use crate::wire::refusal::{FormErrors, Refusal};

/// A change of an account on its way to the disk.
#[derive(Debug)]
pub(super) struct AccountCommit {
    from: Site,
    ticket: Ticket,
    what: AccountChange,
}

#[derive(Debug)]
enum AccountChange {
    Created(Box<Account>),
    Revoked { user: UserId, valid_from_ms: u64 },
}

impl Users {
    /// A door asks for a change of an account.
    pub(super) fn ask(&mut self, cx: &mut Context, now: Time, ask: Ask, out: &mut Outbox) {
        let Ask { from, ticket, request, .. } = ask;
        let (write, what) = match request {
            Request::CreateAccount { shard, username, global_name, password, bot, owner } => {
                let id: UserId = cx.mint.mint(now.millis(), shard.number());
                let account = Box::new(Account {
                    user: User { id, username, global_name, avatar: None, bot: bot.is_some() },
                    owner,
                    privileged: bot.unwrap_or(0),
                    tokens_valid_from_ms: 0,
                });
                (Write::CreateAccount { account: account.clone(), password }, AccountChange::Created(account))
            }
            Request::RevokeTokens(user) => {
                let valid_from_ms = now.millis() + 1;
                (Write::RevokeTokens { user, valid_from_ms }, AccountChange::Revoked { user, valid_from_ms })
            }
            Request::Guild(..) | Request::Channel(..) | Request::FoundGuild { .. } => {
                unreachable!("these are for a guild's owner")
            }
        };
        let user = match &what {
            AccountChange::Created(account) => account.user.id,
            AccountChange::Revoked { user, .. } => *user,
        };
        let commit = AccountCommit { from, ticket, what };
        let writes = Commit::of(VirtualShard::of(user), vec![write]);
        self.jobs.commit(writes, Waiting::Commit(Box::new(commit)), out);
    }

    /// A change of an account was committed, or was not.
    pub(super) fn account_committed(
        &mut self,
        cx: &Context,
        commit: AccountCommit,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let AccountCommit { from, ticket, what } = commit;
        let answer: Answer = match (result, what) {
            (Ok(_), AccountChange::Created(account)) => Ok(Reply::Account(account)),
            (Ok(_), AccountChange::Revoked { user, valid_from_ms }) => {
                if let Some(UserSlot::Here(online)) = self.users.get_mut(&user) {
                    online.revoke(valid_from_ms);
                }
                for core in cx.placement.all() {
                    out.post(core, ToHome::Revoked { user, valid_from_ms });
                }
                Ok(Reply::Done)
            }
            (Err(StoreError::Conflict(Conflict::NameTaken)), _) => {
                Err(FormErrors::one(&["username"], "USERNAME_ALREADY_TAKEN", "Username is taken."))
            }
            (Err(StoreError::Conflict(Conflict::Gone)), _) => Err(Refusal::UNKNOWN_USER),
            (Err(error @ StoreError::Failed(_)), _) => {
                tracing::error!(%error, "a commit failed");
                Err(Refusal::INTERNAL)
            }
        };
        out.post(from, Letter::Answer(ticket, Box::new(answer)));
    }
}
