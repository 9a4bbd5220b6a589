//! The running sessions of users: attached, detached, and informed of memberships.
//!
//! Lives on: the core that owns the user.

use std::sync::Arc;

use crate::base::id::{GuildId, UserId};
use crate::mail::event::Event;
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::mail::to_home::ToHome;
use crate::model::account::Account;
use crate::shard::users::accounts::Accounts;
use crate::shard::users::{Early, UserJob, UserSlot, Users};
use crate::store::{Found, Query, StoreError};
use crate::user::OnlineUser;

impl Accounts {
    /// An event of a user's own, for each of its sessions. A session that has asked to be attached gets it
    /// too: its READY may have been read from the store before.
    pub(super) fn dispatch(&self, user: UserId, event: &Arc<Event>, out: &mut Outbox) {
        let mut post = |session: SessionId| {
            out.post(session.home, ToHome::Dispatch { session, event: Arc::clone(event) });
        };
        match self.users.get(&user) {
            Some(UserSlot::Here(online)) => online.sessions().iter().copied().for_each(post),
            Some(UserSlot::Loading(waiting)) => {
                for early in waiting.iter() {
                    if let Early::Attach { session, .. } = early {
                        post(*session);
                    }
                }
            }
            // No session runs: what lasts is in the store.
            None => {}
        }
    }
}

impl Users {
    /// The owner of a user hears of a new session.
    pub(super) fn attach(&mut self, session: SessionId, user: UserId, issued_ms: u64, out: &mut Outbox) {
        match self.accounts.owner.users.get_mut(&user) {
            None => {
                let attach = Early::Attach { session, issued_ms };
                self.accounts.owner.users.insert(user, UserSlot::Loading(Box::new(vec![attach])));
                self.jobs.query(Query::AccountWithGuilds(user), UserJob::User(user), out);
            }
            Some(UserSlot::Loading(waiting)) => waiting.push(Early::Attach { session, issued_ms }),
            Some(UserSlot::Here(online)) => {
                online.attach(session);
                self.jobs.query(Query::Account(user), UserJob::Attach { session, user, issued_ms }, out);
            }
        }
    }

    /// The store has answered about the account of a user who has other sessions.
    pub(super) fn account_loaded(
        &mut self,
        session: SessionId,
        user: UserId,
        issued_ms: u64,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let account = match result {
            Ok(Some(Found::Account(Some(account)))) => Some(Arc::new(*account)),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(%user, %error, "an account could not be loaded");
                self.detach(session, user);
                return out.post(session.home, ToHome::AttachRefused { session, bad_token: false });
            }
        };
        self.let_know(session, user, issued_ms, account.as_ref(), out);
    }

    /// Lets an attached session know who it is.
    fn let_know(
        &mut self,
        session: SessionId,
        user: UserId,
        issued_ms: u64,
        account: Option<&Arc<Account>>,
        out: &mut Outbox,
    ) {
        let guilds = match self.accounts.owner.users.get(&user) {
            Some(UserSlot::Here(online)) => online.admit(issued_ms),
            // It ended while the store was asked, and with it the user's last session.
            Some(UserSlot::Loading(_)) | None => None,
        };
        if let (Some(account), Some(guilds)) = (account, guilds) {
            out.post(session.home, ToHome::Attached { session, account: Arc::clone(account), guilds });
        } else {
            self.detach(session, user);
            out.post(session.home, ToHome::AttachRefused { session, bad_token: true });
        }
    }

    /// The store has answered about a user. Letters that came meanwhile are taken in the order in which they came, so a
    /// membership that was committed after the store was asked is not missed.
    pub(super) fn user_loaded(&mut self, user: UserId, result: Result<Option<Found>, StoreError>, out: &mut Outbox) {
        // Never: a user is loaded once, and kept until then.
        let Some(slot @ UserSlot::Loading(_)) = self.accounts.owner.users.get_mut(&user) else { return };
        match result {
            Ok(Some(Found::AccountWithGuilds(Some(found)))) => {
                let (account, guilds) = *found;
                let online = UserSlot::Here(Box::new(OnlineUser::load(&account, guilds)));
                let UserSlot::Loading(waiting) = std::mem::replace(slot, online) else {
                    unreachable!("looked just now")
                };
                let account = Arc::new(account);
                // Memberships first: an attach among them then lists them, and no session is sent a guild twice.
                let mut attaches = Vec::new();
                for early in *waiting {
                    match early {
                        Early::Attach { session, issued_ms } => attaches.push((session, issued_ms)),
                        Early::Gained(guild) => self.gained(user, guild, out),
                        Early::Parted(guild) => self.parted(user, guild),
                    }
                }
                for (session, issued_ms) in attaches {
                    if let Some(UserSlot::Here(online)) = self.accounts.owner.users.get_mut(&user) {
                        online.attach(session);
                    }
                    self.let_know(session, user, issued_ms, Some(&account), out);
                }
                if let Some(UserSlot::Here(online)) = self.accounts.owner.users.get(&user)
                    && online.is_idle()
                {
                    self.accounts.owner.users.remove(&user);
                }
            }
            other => {
                let bad_token = other.is_ok();
                if let Err(error) = other {
                    tracing::error!(%user, %error, "a user could not be loaded");
                }
                let Some(UserSlot::Loading(waiting)) = self.accounts.owner.users.remove(&user) else {
                    unreachable!("looked just now");
                };
                for early in *waiting {
                    if let Early::Attach { session, .. } = early {
                        out.post(session.home, ToHome::AttachRefused { session, bad_token });
                    }
                }
            }
        }
    }

    /// The owner of a user hears that a session is over.
    pub(super) fn detach(&mut self, session: SessionId, user: UserId) {
        match self.accounts.owner.users.get_mut(&user) {
            Some(UserSlot::Here(online)) => {
                let nobody_left = online.detach(session);
                if nobody_left {
                    self.accounts.owner.users.remove(&user);
                }
            }
            Some(UserSlot::Loading(waiting)) => {
                waiting.retain(|early| !matches!(early, Early::Attach { session: other, .. } if *other == session));
            }
            None => {}
        }
    }

    /// The owner of a user hears of a new membership.
    pub(super) fn gained(&mut self, user: UserId, guild: GuildId, out: &mut Outbox) {
        match self.accounts.owner.users.get_mut(&user) {
            Some(UserSlot::Here(online)) => {
                for session in online.gain(guild) {
                    out.post(session.home, ToHome::JoinNow { session: *session, guild });
                }
            }
            Some(UserSlot::Loading(waiting)) => waiting.push(Early::Gained(guild)),
            None => {}
        }
    }

    /// The owner of a user hears that a membership has ended.
    pub(super) fn parted(&mut self, user: UserId, guild: GuildId) {
        match self.accounts.owner.users.get_mut(&user) {
            Some(UserSlot::Here(online)) => online.part(guild),
            Some(UserSlot::Loading(waiting)) => waiting.push(Early::Parted(guild)),
            None => {}
        }
    }
}
