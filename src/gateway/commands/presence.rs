//! Op 3: a client shows itself in another way.
//!
//! Lives on: the session's home. Source: Discord docs, Gateway Events/Update Presence.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::commands::Verdict;
use crate::mail::outbox::Outbox;
use crate::shard::Shard;
use crate::wire::close::CloseCode;
use crate::wire::request::presence::PresenceUpdate;

pub(in crate::gateway) fn take(now: Time, key: Key, d: &str, shard: &mut Shard, out: &mut Outbox) -> Verdict {
    let update = serde_json::from_str(d).ok().and_then(|d| PresenceUpdate::parse(&d));
    let Some(update) = update else { return Verdict::Close(CloseCode::UnknownOpcode) };
    shard.present(now, key, &update, out);
    Verdict::Done
}
