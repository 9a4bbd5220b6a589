//! Permission overwrites. Source: Discord docs, Resources/Channel/Edit Channel Permissions.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::model::channel::{Overwrite, OverwriteKind};
use crate::rest::form::reader::FormReader;
use crate::wire::refusal::Refusal;

/// `PUT /channels/{channel.id}/permissions/{overwrite.id}`.
pub fn overwrite(id: u64, body: &Value) -> Result<Overwrite, Refusal> {
    let form = FormReader::new(body)?;
    let kind: Option<OverwriteKind> = form.parsed("type", "BASE_TYPE_CHOICES", "Value must be one of {0, 1}.");
    if !form.has("type") {
        form.fault(&["type"], "BASE_TYPE_REQUIRED", "This field is required");
    }
    let permissions = |name| form.parsed(name, "PERMISSIONS_INVALID", "Not a set of permissions.").unwrap_or_default();
    let (allow, deny) = (permissions("allow"), permissions("deny"));
    form.finish()?;
    Ok(Overwrite { id, kind: kind.unwrap_or(OverwriteKind::Role), allow, deny })
}
