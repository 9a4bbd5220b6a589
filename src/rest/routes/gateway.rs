//! Where the gateway is; and lists that are truly empty here, which libraries ask for when they start.
//!
//! Lives on: every core. Source: Discord docs, Gateway/Get Gateway.

use serde_json::json;

use crate::limits;
use crate::rest::call::Call;
use crate::rest::respond::{self, HandlerResult};
use crate::store::{Found, Query};

/// `GET /gateway`.
pub async fn get(call: Call) -> HandlerResult {
    respond::json(200, &json!({ "url": call.desk.settings().gateway_url(&call.host) }))
}

/// `GET /gateway/bot`.
pub async fn get_bot(call: Call) -> HandlerResult {
    let user = call.user()?;
    let guilds = match call.desk.read(Query::AccountWithGuilds(user)).await? {
        Found::AccountWithGuilds(Some(found)) => found.1.len(),
        _ => 0,
    };
    // As many as this core admits at present: others may do better, and a crowd is spread over all.
    let concurrency = (call.desk.identify_rate() * 5).clamp(1, limits::CONCURRENCY_MAX);
    respond::json(
        200,
        &json!({
            "url": call.desk.settings().gateway_url(&call.host),
            "shards": guilds.div_ceil(limits::GUILDS_PER_RECOMMENDED_SHARD).max(1),
            // Identifies are limited by what the server can take, not by a daily count.
            "session_start_limit": {
                "total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": concurrency,
            },
        }),
    )
}

/// `GET /voice/regions`, `GET /soundboard-default-sounds`, `GET /applications/detectable`.
pub async fn nothing(_call: Call) -> HandlerResult {
    respond::json(200, &json!([]))
}

/// `GET /sticker-packs`.
pub async fn sticker_packs(_call: Call) -> HandlerResult {
    respond::json(200, &json!({ "sticker_packs": [] }))
}
