//! Op 8: requests members, which are sent as GUILD_MEMBERS_CHUNK.
//!
//! Lives on: the session's home. Source: Discord docs, Gateway Events/Request Guild Members.

use serde::Deserialize;
use serde_json::Value;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::slab::Key;
use crate::gateway::commands::Verdict;
use crate::mail::outbox::Outbox;
use crate::session::member_requests::{MembersWanted, Wanted};
use crate::shard::Shard;
use crate::wire::close::CloseCode;

/// Libraries send one id, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
struct RequestMembersForm {
    guild_id: OneOrMany<GuildId>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    user_ids: Option<OneOrMany<UserId>>,
    #[serde(default)]
    nonce: Option<String>,
    /// What is not `true` counts as absent.
    #[serde(default)]
    presences: Option<Value>,
}

pub(in crate::gateway) fn take(now: Time, key: Key, d: &str, shard: &mut Shard, out: &mut Outbox) -> Verdict {
    let Ok(form) = serde_json::from_str::<RequestMembersForm>(d) else {
        return Verdict::Close(CloseCode::UnknownOpcode);
    };
    let limit = u32::try_from(form.limit.unwrap_or(0).max(0)).unwrap_or(u32::MAX);
    let wanted = match (form.user_ids, form.query) {
        (Some(users), _) => Wanted::Users(users.into_vec()),
        (None, Some(query)) if query.is_empty() && limit == 0 => Wanted::Everybody,
        (None, Some(prefix)) => Wanted::Named { prefix, limit },
        (None, None) => return Verdict::Close(CloseCode::UnknownOpcode),
    };
    let presences = form.presences == Some(Value::Bool(true));
    // Longer nonces are dropped, as documented.
    let nonce = form.nonce.filter(|nonce| nonce.len() <= 32);
    for (index, guild) in form.guild_id.into_vec().into_iter().enumerate() {
        // Each is a walk through the store: a list of hundreds would be hundreds of commands for the price of one.
        if index > 0 && !shard.count_command(now, key) {
            return Verdict::Close(CloseCode::RateLimited);
        }
        let request = MembersWanted { guild, wanted: wanted.clone(), presences, nonce: nonce.clone() };
        shard.request_members(now, key, request, out);
    }
    Verdict::Done
}
