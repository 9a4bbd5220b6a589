//! Who a session is: the owner of its user is asked, READY follows, and the guilds are joined.
//!
//! Lives on: the session's home, and the core that owns the user.
//! Source: Discord docs, Gateway/Identifying and Gateway Events/Ready.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::metrics::Metric;
use crate::limits;
use crate::mail::letter::Letter;
use crate::mail::outbox::Outbox;
use crate::mail::presence::{JoinRequest, Onlooker};
use crate::mail::session_id::SessionId;
use crate::session::body::Body;
use crate::session::{Attaching, Session, Stage};
use crate::shard::{Shard, UserSlot, Waiting};
use crate::store::{Found, Query, StoreError};
use crate::user::OnlineUser;
use crate::wire::close::CloseCode;
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::account::Account;
use crate::wire::model::presence::Platform;
use crate::wire::model::user::CurrentUser;

impl Shard {
    /// The owner of a user hears of a new session.
    pub(in crate::shard) fn attach(&mut self, session: SessionId, user: UserId, issued_ms: u64, out: &mut Outbox) {
        match self.users.get_mut(&user) {
            None => {
                let letter = Letter::Attach { session, user, issued_ms };
                self.users.insert(user, UserSlot::Loading(Box::new(vec![letter])));
                self.query(Query::AccountWithGuilds(user), Waiting::User(user), out);
            }
            Some(UserSlot::Loading(waiting)) => waiting.push(Letter::Attach { session, user, issued_ms }),
            Some(UserSlot::Here(online)) => {
                online.attach(session);
                self.query(Query::Account(user), Waiting::Attach { session, user, issued_ms }, out);
            }
        }
    }

    /// The store has answered about the account of a user who has other sessions.
    pub(in crate::shard) fn account_loaded(
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
                return out.post(session.home, Letter::AttachRefused { session, bad_token: false });
            }
        };
        self.let_know(session, user, issued_ms, account.as_ref(), out);
    }

    /// Owner: lets an attached session know who it is.
    fn let_know(
        &mut self,
        session: SessionId,
        user: UserId,
        issued_ms: u64,
        account: Option<&Arc<Account>>,
        out: &mut Outbox,
    ) {
        let guilds = match self.users.get(&user) {
            Some(UserSlot::Here(online)) => online.admit(issued_ms),
            // It ended while the store was asked, and with it the user's last session.
            Some(UserSlot::Loading(_)) | None => None,
        };
        if let (Some(account), Some(guilds)) = (account, guilds) {
            out.post(session.home, Letter::Attached { session, account: Arc::clone(account), guilds });
        } else {
            self.detach(session, user);
            out.post(session.home, Letter::AttachRefused { session, bad_token: true });
        }
    }

    /// The store has answered about a user. Letters that came meanwhile are taken in the order in which they came, so a
    /// membership that was committed after the store was asked is not missed.
    pub(in crate::shard) fn user_loaded(
        &mut self,
        now: Time,
        user: UserId,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let Some(slot @ UserSlot::Loading(_)) = self.users.get_mut(&user) else { return };
        match result {
            Ok(Some(Found::AccountWithGuilds(Some(found)))) => {
                let (account, guilds) = *found;
                let online = UserSlot::Here(Box::new(OnlineUser::load(&account, guilds)));
                let UserSlot::Loading(waiting) = std::mem::replace(slot, online) else {
                    unreachable!("looked just now")
                };
                let account = Arc::new(account);
                // Memberships first: an attach among the letters then lists them, and nobody is told twice.
                let is_attach = |letter: &Letter| matches!(letter, Letter::Attach { .. });
                let (attaches, memberships): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_attach);
                for letter in memberships {
                    self.receive(now, letter, out);
                }
                for letter in attaches {
                    let Letter::Attach { session, issued_ms, .. } = letter else { unreachable!("parted above") };
                    if let Some(UserSlot::Here(online)) = self.users.get_mut(&user) {
                        online.attach(session);
                    }
                    self.let_know(session, user, issued_ms, Some(&account), out);
                }
                if let Some(UserSlot::Here(online)) = self.users.get(&user)
                    && online.is_idle()
                {
                    self.users.remove(&user);
                }
            }
            other => {
                let bad_token = other.is_ok();
                if let Err(error) = other {
                    tracing::error!(%user, %error, "a user could not be loaded");
                }
                let Some(UserSlot::Loading(waiting)) = self.users.remove(&user) else { return };
                for letter in *waiting {
                    if let Letter::Attach { session, .. } = letter {
                        out.post(session.home, Letter::AttachRefused { session, bad_token });
                    }
                }
            }
        }
    }

    /// The owner of a user hears that a session is over.
    pub(in crate::shard) fn detach(&mut self, session: SessionId, user: UserId) {
        match self.users.get_mut(&user) {
            Some(UserSlot::Here(online)) => {
                let nobody_left = online.detach(session);
                if nobody_left {
                    self.users.remove(&user);
                }
            }
            Some(UserSlot::Loading(waiting)) => {
                waiting.retain(|letter| !matches!(letter, Letter::Attach { session: other, .. } if *other == session));
            }
            None => {}
        }
    }

    /// The owner of a user hears of a new membership.
    pub(in crate::shard) fn gained(&mut self, user: UserId, guild: GuildId, out: &mut Outbox) {
        match self.users.get_mut(&user) {
            Some(UserSlot::Here(online)) => {
                for session in online.gain(guild) {
                    out.post(session.home, Letter::JoinNow { session: *session, guild });
                }
            }
            Some(UserSlot::Loading(waiting)) => waiting.push(Letter::Gained { user, guild }),
            None => {}
        }
    }

    /// The owner of a user hears that a membership has ended.
    pub(in crate::shard) fn parted(&mut self, user: UserId, guild: GuildId) {
        match self.users.get_mut(&user) {
            Some(UserSlot::Here(online)) => online.part(guild),
            Some(UserSlot::Loading(waiting)) => waiting.push(Letter::Parted { user, guild }),
            None => {}
        }
    }

    /// Home: the owner knows the user. READY is dispatched and the guilds are joined.
    pub(in crate::shard) fn attached(
        &mut self,
        now: Time,
        id: SessionId,
        account: &Arc<Account>,
        guilds: &Arc<[GuildId]>,
        out: &mut Outbox,
    ) {
        let Some(key) = self.session_key(id) else {
            // The session ended while the owner was asked; it must not stay on the owner's list.
            out.post(self.placement.owner(account.user.id), Letter::Detach { session: id, user: account.user.id });
            return;
        };
        let session = self.sessions.get_mut(key).expect("found just now");
        let Stage::Attaching(attaching) = std::mem::replace(&mut session.stage, Stage::Ready) else { return };
        self.admission.underway -= 1;
        let Attaching { gateway_url, personal_intents, update, identified_at, begun_at } = *attaching;
        session.bot = account.user.bot;
        if session.bot {
            session.platform = Platform::Web;
        }
        session.show(update.status, update.activities(session.bot, now));
        let allowed = account.allows(session.intents);
        let seen: Vec<GuildId> = guilds.iter().copied().filter(|guild| session.covers(*guild)).collect();
        let objection = if session.bot && personal_intents {
            Some(CloseCode::InvalidIntents)
        } else if !allowed {
            Some(CloseCode::DisallowedIntents)
        } else if session.bot && seen.len() > limits::GUILDS_PER_GUILD_SHARD {
            Some(CloseCode::ShardingRequired)
        } else {
            None
        };
        if let Some(code) = objection {
            if let Some(connection) = session.connection {
                self.close_connection(now, connection, code, None, out);
            }
            self.end_session(now, key, out);
            return;
        }
        if !seen.is_empty() {
            session.aside.get_or_insert_default().awaited = seen.iter().copied().collect();
        }
        let flags = account.application_flags();
        let ready = Ready {
            v: 10,
            user: CurrentUser(&account.user),
            guilds: seen.iter().map(|guild| Unavailable { id: *guild, unavailable: true }).collect(),
            session_id: id.to_string(),
            session_type: "normal",
            resume_gateway_url: &gateway_url,
            shard: session.guild_sharding.as_deref().map(|(shard, count)| [*shard, *count]),
            application: Application { id: account.user.id, flags, flags_new: flags.to_string() },
            private_channels: [],
            relationships: [],
            presences: [],
            geo_ordered_rtc_regions: [],
            guild_join_requests: [],
            user_settings: Nothing {},
            auth: Nothing {},
            _trace: ["guildhall"],
        };
        let mut json = Vec::with_capacity(READY_BYTES);
        serde_json::to_writer(&mut json, &ready).expect("READY is JSON");
        session.dispatch(Body::new(EventName::Ready, Bytes::from(json), now));
        let coming = coming(session);
        self.metrics.record(Metric::IdentifyToReady, now.since(identified_at));
        // To wait in line is no sign that the core is slow.
        self.admission.ready_after(now.since(begun_at));
        // It goes out with the first guild, in one write, unless that takes long.
        if seen.is_empty() {
            self.list_session(key);
        } else {
            self.held.push(key);
        }
        for guild in seen {
            out.post(self.placement.owner(guild), Letter::Join { guild, coming: coming.clone() });
        }
    }

    /// Home: the owner does not know the user, or its token is void.
    pub(in crate::shard) fn attach_refused(&mut self, now: Time, id: SessionId, bad_token: bool, out: &mut Outbox) {
        let Some((key, session)) = self.session(id) else { return };
        if let Some(connection) = session.connection {
            let code = if bad_token { CloseCode::AuthenticationFailed } else { CloseCode::UnknownError };
            self.close_connection(now, connection, code, None, out);
        }
        self.end_session(now, key, out);
    }

    /// Home: a running session's user has become a member of a guild.
    pub(in crate::shard) fn join_now(&mut self, id: SessionId, guild: GuildId, out: &mut Outbox) {
        let placement = self.placement;
        let Some((_, session)) = self.session(id) else { return };
        // It may be seated still: that it was removed travels on another lane, and may come later than that it is back. The
        // guild's answer comes behind the removal; whoever is seated then ignores it.
        if session.covers(guild) && session.stage == Stage::Ready {
            out.post(placement.owner(guild), Letter::Join { guild, coming: coming(session) });
        }
    }

    /// Tokens of a user are void: its sessions that were started with them end.
    pub(in crate::shard) fn revoke(&mut self, now: Time, user: UserId, valid_from_ms: u64, out: &mut Outbox) {
        self.revoked.insert(user, valid_from_ms);
        let void: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.user == user && session.token_issued_ms < valid_from_ms)
            .map(|(key, session)| (key, session.connection))
            .collect();
        for (key, connection) in void {
            if let Some(connection) = connection {
                self.close_connection(now, connection, CloseCode::AuthenticationFailed, None, out);
            }
            self.end_session(now, key, out);
        }
    }
}

/// What a guild needs to know of a session that comes to see it.
fn coming(session: &Session) -> JoinRequest {
    let onlooker = match session.intents.contains(Intents::GUILD_PRESENCES) {
        false => Onlooker::Nobody,
        true if session.bot => Onlooker::Bot,
        true => Onlooker::Person,
    };
    let whole = whole_up_to(session);
    JoinRequest { session: session.id, user: session.user, whole, onlooker, showing: session.showing() }
}

/// Up to how many members a guild comes to a session with all of them. Source: Discord docs, Gateway/Gateway Intents.
///
/// discord.py and its family count on it: with the presences intent they never ask for the members of a small guild.
fn whole_up_to(session: &Session) -> u16 {
    let told = session.bot && session.intents.contains(Intents::GUILDS | Intents::GUILD_PRESENCES);
    if told { session.large_threshold } else { 0 }
}

/// What READY has room for at first; that of somebody in one guild fits.
const READY_BYTES: usize = 1_024;

/// READY, as far as it goes. Source: Discord docs, Gateway Events/Ready.
#[derive(Serialize)]
struct Ready<'a> {
    v: u8,
    user: CurrentUser<'a>,
    guilds: Vec<Unavailable>,
    session_id: String,
    session_type: &'static str,
    resume_gateway_url: &'a str,
    /// Only there if it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<[u32; 2]>,
    application: Application,
    private_channels: [u8; 0],
    relationships: [u8; 0],
    presences: [u8; 0],
    geo_ordered_rtc_regions: [u8; 0],
    guild_join_requests: [u8; 0],
    user_settings: Nothing,
    auth: Nothing,
    _trace: [&'static str; 1],
}

/// A guild that is yet to come.
#[derive(Serialize)]
struct Unavailable {
    id: GuildId,
    unavailable: bool,
}

/// What READY says of a bot's application.
#[derive(Serialize)]
struct Application {
    id: UserId,
    flags: u64,
    flags_new: String,
}

/// An empty object.
#[derive(Serialize)]
struct Nothing {}
