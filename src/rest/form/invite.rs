//! Invites. Source: Discord docs, Resources/Channel/Create Channel Invite.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::wire::refusal::Refusal;
use crate::wire::request::invite::InviteDraft;

/// `POST /channels/{channel.id}/invites`.
pub fn draft(body: &Value) -> Result<InviteDraft, Refusal> {
    let form = FormReader::new(body)?;
    let age = form.number("max_age", 0, limits::INVITE_AGE_SECONDS_MAX);
    let draft = InviteDraft {
        max_age: age.unwrap_or(limits::INVITE_AGE_SECONDS_DEFAULT) as u64,
        max_uses: form.number("max_uses", 0, limits::INVITE_USES_MAX).unwrap_or(0) as u32,
        temporary: form.flag("temporary").unwrap_or(false),
        unique: form.flag("unique").unwrap_or(false),
    };
    form.finish()?;
    Ok(draft)
}
