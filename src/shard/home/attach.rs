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
use crate::mail::outbox::Outbox;
use crate::mail::presence::{JoinRequest, Onlooker};
use crate::mail::session_id::SessionId;
use crate::mail::to_guild::ToGuild;
use crate::mail::to_user::ToUser;
use crate::model::account::Account;
use crate::session::body::EventBody;
use crate::session::{Attaching, Session, Stage};
use crate::shard::context::Context;
use crate::shard::home::Home;
use crate::wire::close::CloseCode;
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::account;
use crate::wire::model::presence::Platform;
use crate::wire::model::user::CurrentUser;

impl Home {
    /// The owner knows the user. READY is dispatched and the guilds are joined.
    pub(super) fn attached(
        &mut self,
        cx: &mut Context,
        now: Time,
        id: SessionId,
        account: &Arc<Account>,
        guilds: &Arc<[GuildId]>,
        out: &mut Outbox,
    ) {
        let Some(key) = self.session_key(id) else {
            // The session ended while the owner was asked; it must not stay on the owner's list.
            out.post(cx.placement.owner(account.user.id), ToUser::Detach { session: id, user: account.user.id });
            return;
        };
        let session = self.sessions.get_mut(key).expect("found just now");
        let Stage::Attaching(attaching) = std::mem::replace(&mut session.stage, Stage::Ready) else { return };
        self.admission.underway -= 1;
        let Attaching { gateway_url, personal_intents, update, identified_at, begun_at, early } = *attaching;
        session.bot = account.user.bot;
        if session.bot {
            session.platform = Platform::Web;
        }
        session.show(update.status, update.activities(session.bot, now));
        let seen: Vec<GuildId> = guilds.iter().copied().filter(|guild| session.covers(*guild)).collect();
        let objection = if session.bot && personal_intents {
            Some(CloseCode::InvalidIntents)
        } else if !account::allows(account, session.intents) {
            Some(CloseCode::DisallowedIntents)
        } else if session.bot && seen.len() > limits::GUILDS_PER_GUILD_SHARD {
            Some(CloseCode::ShardingRequired)
        } else {
            None
        };
        if let Some(code) = objection {
            if let Some(connection) = session.connection {
                self.close_connection(cx, now, connection, code, None, out);
            }
            self.end_session(cx, now, key, out);
            return;
        }
        if !seen.is_empty() {
            session.rare.get_or_insert_default().awaited = seen.iter().copied().collect();
        }
        let flags = account::application_flags(account);
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
        session.dispatch(EventBody::new(EventName::Ready, Bytes::from(json), now));
        let coming = coming(session);
        cx.metrics.record(Metric::IdentifyToReady, now.since(identified_at));
        // To wait in line is no sign that the core is slow.
        self.admission.ready_after(now.since(begun_at));
        // It goes out with the first guild, in one write, unless that takes long.
        if seen.is_empty() {
            self.list_session(key);
        } else {
            self.held.push(key);
        }
        early.into_iter().for_each(|event| self.dispatch(cx, now, id, event, out));
        for guild in seen {
            out.post(cx.placement.owner(guild), ToGuild::Join { guild, coming: coming.clone() });
        }
    }

    /// The owner does not know the user, or its token is void.
    pub(super) fn attach_refused(
        &mut self,
        cx: &mut Context,
        now: Time,
        id: SessionId,
        bad_token: bool,
        out: &mut Outbox,
    ) {
        // The session has ended while the owner was asked.
        let Some((key, session)) = self.session(id) else { return };
        if let Some(connection) = session.connection {
            let code = if bad_token { CloseCode::AuthenticationFailed } else { CloseCode::UnknownError };
            self.close_connection(cx, now, connection, code, None, out);
        }
        self.end_session(cx, now, key, out);
    }

    /// A running session's user has become a member of a guild.
    pub(super) fn join_now(&mut self, cx: &mut Context, id: SessionId, guild: GuildId, out: &mut Outbox) {
        // The session has ended; its `Detach` is on the way to the owner.
        let Some((_, session)) = self.session(id) else { return };
        // It may be seated still: its removal travels on another lane, and may come later than its return. The guild's
        // answer comes behind the removal; a session that is seated then ignores it.
        if session.covers(guild) && session.stage == Stage::Ready {
            let coming = coming(session);
            out.post(cx.placement.owner(guild), ToGuild::Join { guild, coming });
        }
    }

    /// Tokens of a user are void: its sessions that were started with them end.
    pub(super) fn revoke(&mut self, cx: &mut Context, now: Time, user: UserId, valid_from_ms: u64, out: &mut Outbox) {
        self.revoked.insert(user, valid_from_ms);
        let void: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.user == user && session.token_issued_ms < valid_from_ms)
            .map(|(key, session)| (key, session.connection))
            .collect();
        for (key, connection) in void {
            if let Some(connection) = connection {
                self.close_connection(cx, now, connection, CloseCode::AuthenticationFailed, None, out);
            }
            self.end_session(cx, now, key, out);
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

/// The first capacity of READY; that of a user in one guild fits.
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
