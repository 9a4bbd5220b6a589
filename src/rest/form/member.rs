//! Members. Source: Discord docs, Resources/Guild.
//!
//! Lives on: every core.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base::clock;
use crate::base::id::RoleId;
use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::wire::refusal::Refusal;
use crate::wire::request::member::MemberPatch;

/// `PATCH /guilds/{guild.id}/members/{user.id}`.
pub fn patch(body: &Value) -> Result<MemberPatch, Refusal> {
    let form = FormReader::new(body)?;
    let roles: Option<Vec<RoleId>> = if form.has("roles") && form.raw("roles").is_none() {
        Some(Vec::new())
    } else {
        form.parsed("roles", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    };
    let patch = MemberPatch {
        nick: form.nullable_text("nick", limits::NICK_CHARS_MAX),
        roles,
        mute: form.flag("mute"),
        deaf: form.flag("deaf"),
        timeout_until_ms: timeout(&form),
    };
    form.finish()?;
    Ok(patch)
}

/// `PATCH /guilds/{guild.id}/members/@me/nick`: the nickname alone, absent or not.
pub fn nick(body: &Value) -> Result<Option<String>, Refusal> {
    let form = FormReader::new(body)?;
    let nick = form.nullable_text("nick", limits::NICK_CHARS_MAX).flatten();
    form.finish()?;
    Ok(nick)
}

fn timeout(form: &FormReader<'_>) -> Option<Option<u64>> {
    const FIELD: &str = "communication_disabled_until";
    if !form.has(FIELD) {
        return None;
    }
    let Some(text) = form.text(FIELD, 0, limits::DATE_CHARS_MAX) else { return Some(None) };
    let Ok(moment) = OffsetDateTime::parse(&text, &Rfc3339) else {
        form.fault(&[FIELD], "DATE_TIME_TYPE_PARSE", format!("Could not parse {text}. Should be ISO8601."));
        return None;
    };
    let until = u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    if until > clock::now().millis() + limits::TIMEOUT_MAX.as_millis() as u64 {
        form.fault(&[FIELD], "DATE_TIME_TYPE_TOO_FAR", "Must be at most 28 days in the future.");
    }
    Some(Some(until))
}
