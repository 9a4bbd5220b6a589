//! Op 1. `d` is the last sequence number seen, or null; any number is taken. Answered always, also before identify.
//!
//! Lives on: the core that has the socket. Source: Discord docs, Gateway/Sending Heartbeats.

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::commands::Verdict;
use crate::shard::Shard;
use crate::wire::close::CloseCode;

pub(in crate::gateway) fn take(now: Time, key: Key, d: &str, shard: &mut Shard) -> Verdict {
    match serde_json::from_str::<Option<u64>>(d) {
        Ok(seq) => {
            shard.beat(now, key, seq.filter(|seq| *seq > 0));
            Verdict::Done
        }
        Err(_) => Verdict::Close(CloseCode::UnknownOpcode),
    }
}
