//! Ops 14 and 37: a user's client subscribes to parts of some guilds.
//!
//! Lives on: the session's home. Source: what people's clients send; op 14 is the older form, of one guild.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::commands::Verdict;
use crate::mail::outbox::Outbox;
use crate::shard::Shard;
use crate::wire::close::CloseCode;
use crate::wire::request::subscription::{GuildSubscription, GuildSubscriptions};

pub(in crate::gateway) fn take_one(now: Time, key: Key, d: &str, shard: &mut Shard, out: &mut Outbox) -> Verdict {
    let Ok(form) = serde_json::from_str::<GuildSubscription>(d) else {
        return Verdict::Close(CloseCode::UnknownOpcode);
    };
    shard.subscribe(now, key, form.guild_id, form.subscription, out);
    Verdict::Done
}

pub(in crate::gateway) fn take_many(now: Time, key: Key, d: &str, shard: &mut Shard, out: &mut Outbox) -> Verdict {
    let Ok(form) = serde_json::from_str::<GuildSubscriptions>(d) else {
        return Verdict::Close(CloseCode::UnknownOpcode);
    };
    for (guild, subscription) in form.subscriptions {
        shard.subscribe(now, key, guild, subscription, out);
    }
    Verdict::Done
}
