//! Members for whoever asks: GUILD_MEMBERS_CHUNK, from the store, page by page.
//!
//! Lives on: the session's home. Source: Discord docs, Gateway Events/Request Guild Members and Guild Members Chunk.
//! The next page is read when the one before has been found, so that one request never holds more than a page in memory.

use serde_json::{Value, json};

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::slab::Key;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::session::body::Body;
use crate::shard::{Shard, Waiting};
use crate::store::{Found, Query, StoreError};
use crate::wire::event::EventName;
use crate::wire::intents::Intents;
use crate::wire::model::member::Member;

/// Which members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of them; needs the GUILD_MEMBERS intent.
    Everybody,
    /// Those whose names start so.
    Named {
        /// The start.
        prefix: String,
        /// 1 to 100; 0 is 100.
        limit: u32,
    },
    /// Those among these users, of whom at most 100 count.
    Users(Vec<UserId>),
}

/// A request for members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersWanted {
    /// Of which guild.
    pub guild: GuildId,
    /// Which.
    pub wanted: Wanted,
    /// Comes back with the answer.
    pub nonce: Option<String>,
}

/// A request being answered.
#[derive(Debug)]
pub(super) struct Chunking {
    session: Key,
    secret: u64,
    request: MembersWanted,
    index: u64,
    count: u64,
}

impl Shard {
    /// A session asks for members. A guild that it does not see is not answered.
    pub fn request_members(&mut self, now: Time, connection: Key, mut request: MembersWanted, out: &mut Outbox) {
        let Some(key) = self.connections.get(connection).and_then(|connection| connection.session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.seat_in(request.guild).is_none() {
            return;
        }
        if request.wanted == Wanted::Everybody {
            if session.bot && !session.intents.contains(Intents::GUILD_MEMBERS) {
                return;
            }
            // All members of one guild: once in 30 seconds. Source: Gateway Events/Request Guild Members (rate limit).
            let asked = &mut session.aside.get_or_insert_default().members_asked;
            let allowed_at =
                asked.iter().find(|(guild, _)| *guild == request.guild).map(|(_, at)| *at + limits::MEMBERS_INTERVAL);
            if let Some(allowed_at) = allowed_at.filter(|allowed_at| *allowed_at > now) {
                let retry_after = allowed_at.since(now).as_secs_f64();
                let meta = match &request.nonce {
                    Some(nonce) => json!({ "guild_id": request.guild, "nonce": nonce }),
                    None => json!({ "guild_id": request.guild }),
                };
                let body = json!({ "opcode": 8, "retry_after": retry_after, "meta": meta });
                session.dispatch(Body::new(EventName::RateLimited, body.to_string().into(), now));
                self.list_session(key);
                return;
            }
            asked.retain(|(guild, at)| *guild != request.guild && now.since(*at) < limits::MEMBERS_INTERVAL);
            asked.push((request.guild, now));
        }
        if let Wanted::Users(users) = &mut request.wanted {
            users.truncate(limits::MEMBERS_NAMED_MAX as usize);
            users.sort_unstable();
            users.dedup();
        }
        let secret = session.id.secret;
        let query = match &request.wanted {
            // The count of members says how many chunks there will be.
            Wanted::Everybody => Query::Guild(request.guild),
            Wanted::Named { prefix, limit } => {
                let limit = if *limit == 0 { limits::MEMBERS_NAMED_MAX } else { *limit };
                let (guild, prefix) = (request.guild, prefix.clone());
                let limit = limit.min(limits::MEMBERS_NAMED_MAX);
                if prefix.is_empty() {
                    Query::Members { guild, after: UserId::new(0), limit }
                } else {
                    Query::MembersByPrefix { guild, prefix, limit }
                }
            }
            Wanted::Users(users) => Query::MembersAmong(request.guild, users.clone()),
        };
        let chunking = Chunking { session: key, secret, request, index: 0, count: 1 };
        self.query(query, Waiting::Members(Box::new(chunking)), out);
    }

    /// The store has answered about members for a session.
    pub(super) fn members_found(
        &mut self,
        now: Time,
        mut chunking: Chunking,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let key = chunking.session;
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.id.secret == chunking.secret) else {
            return;
        };
        let guild = chunking.request.guild;
        let page = limits::MEMBERS_CHUNK;
        match result {
            Ok(Some(Found::Guild(Some(record)))) => {
                chunking.count = record.member_count.div_ceil(u64::from(page)).max(1);
                let query = Query::Members { guild, after: UserId::new(0), limit: page };
                self.query(query, Waiting::Members(Box::new(chunking)), out);
            }
            Ok(Some(Found::Members(members))) => {
                let last = members.last().map(|member| member.user.id);
                session.dispatch(Body::new(EventName::GuildMembersChunk, chunk(&chunking, &members).into(), now));
                self.list_session(key);
                chunking.index += 1;
                if let Some(after) = last.filter(|_| chunking.index < chunking.count) {
                    self.query(Query::Members { guild, after, limit: page }, Waiting::Members(Box::new(chunking)), out);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%guild, %error, "members could not be read"),
        }
    }
}

fn chunk(chunking: &Chunking, members: &[Member]) -> String {
    let mut body = json!({
        "guild_id": chunking.request.guild,
        "members": members,
        "chunk_index": chunking.index,
        "chunk_count": chunking.count,
    });
    if let Wanted::Users(users) = &chunking.request.wanted {
        let missing: Vec<&UserId> =
            users.iter().filter(|user| members.iter().all(|member| member.user.id != **user)).collect();
        body["not_found"] = json!(missing);
    }
    if let Some(nonce) = &chunking.request.nonce {
        body["nonce"] = Value::String(nonce.clone());
    }
    body.to_string()
}
