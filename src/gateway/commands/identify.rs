//! Op 2: a session begins. Unknown keys are ignored; libraries send many.
//!
//! Lives on: the core that has the socket, which becomes the session's home.
//! Source: Discord docs, Gateway/Identifying; Gateway Events/Identify.

use serde::Deserialize;
use serde_json::Value;

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::commands::{Gate, Verdict};
use crate::mail::outbox::Outbox;
use crate::shard::Shard;
use crate::shard::home::handshake::Identify;
use crate::wire::close::CloseCode;
use crate::wire::intents::Intents;
use crate::wire::model::presence::Platform;
use crate::wire::request::presence::PresenceUpdate;

#[derive(Deserialize)]
struct IdentifyForm {
    token: String,
    #[serde(default)]
    intents: Option<u64>,
    #[serde(default)]
    shard: Option<(u32, u32)>,
    /// Some libraries send odd types here; what is not a number counts as absent.
    #[serde(default)]
    large_threshold: Option<Value>,
    /// What user clients can read; anything but a number counts as absent.
    #[serde(default)]
    capabilities: Option<Value>,
    /// What is no presence counts as absent, as libraries send odd types here too.
    #[serde(default)]
    presence: Option<Value>,
    /// The system and the client, also in an old form with `$` before the keys.
    #[serde(default)]
    properties: Option<Value>,
}

/// The capability of reading PASSIVE_UPDATE_V2.
const PASSIVE_GUILD_UPDATE_V2: u64 = 1 << 14;

pub(in crate::gateway) fn take(
    now: Time,
    key: Key,
    host: &str,
    d: &str,
    gate: Gate<'_>,
    shard: &mut Shard,
    out: &mut Outbox,
) -> Verdict {
    if shard.connection(key).is_some_and(|connection| connection.session().is_some() || connection.waits()) {
        return Verdict::Close(CloseCode::AlreadyAuthenticated);
    }
    let Ok(form) = serde_json::from_str::<IdentifyForm>(d) else { return Verdict::Close(CloseCode::UnknownOpcode) };
    let verified = gate.signer.verify(&form.token).filter(|(user, issued)| shard.accepts_token(*user, *issued));
    let Some((user, issued_ms)) = verified else { return Verdict::Close(CloseCode::AuthenticationFailed) };
    // Without intents: a user client, which gets everything. The unknown bits of a bot are found when it is known to be
    // one.
    let (intents, personal_intents) = match form.intents {
        None => (Some(Intents::all()), true),
        Some(raw) => (Intents::parse(raw, false), Intents::parse(raw, true).is_none()),
    };
    let Some(intents) = intents else { return Verdict::Close(CloseCode::InvalidIntents) };
    if form.shard.is_some_and(|(id, count)| id >= count) {
        return Verdict::Close(CloseCode::InvalidShard);
    }
    if shard.is_draining() {
        shard.ask_to_reconnect(key);
        return Verdict::Done;
    }
    let threshold = form.large_threshold.and_then(|value| value.as_u64()).unwrap_or(50).clamp(25, 250);
    let identify = Identify {
        user,
        issued_ms,
        intents,
        personal_intents,
        guild_sharding: form.shard,
        large_threshold: threshold as u16,
        update: form.presence.as_ref().and_then(PresenceUpdate::parse).unwrap_or_default(),
        platform: platform(form.properties.as_ref()),
        deltas: form.capabilities.and_then(|value| value.as_u64()).unwrap_or(0) & PASSIVE_GUILD_UPDATE_V2 != 0,
        gateway_url: gate.settings.gateway_url(host),
    };
    shard.identify(now, key, identify, out);
    Verdict::Done
}

fn platform(properties: Option<&Value>) -> Platform {
    let text = |key: &str, old: &str| -> &str {
        let value = properties.and_then(|properties| properties.get(key).or_else(|| properties.get(old)));
        value.and_then(Value::as_str).unwrap_or_default()
    };
    Platform::of(text("os", "$os"), text("browser", "$browser"))
}
