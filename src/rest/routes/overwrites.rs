//! Permission overwrites. Source: Discord docs, Resources/Channel/Edit Channel Permissions.
//!
//! Lives on: every core.

use crate::base::id::{Id, kind};
use crate::mail::ask::GuildRequest;
use crate::rest::call::Call;
use crate::rest::respond::Outcome;
use crate::wire::model::channel::{Overwrite, OverwriteKind};

/// `PUT /channels/{channel.id}/permissions/{overwrite.id}`.
pub async fn put(call: Call) -> Outcome {
    let channel = call.id(0)?;
    let id: Id<kind::User> = call.id(1)?;
    let form = call.form()?;
    let kind: Option<OverwriteKind> = form.parsed("type", "BASE_TYPE_CHOICES", "Value must be one of {0, 1}.");
    if !form.has("type") {
        form.fault(&["type"], "BASE_TYPE_REQUIRED", "This field is required");
    }
    let permissions = |name| form.parsed(name, "PERMISSIONS_INVALID", "Not a set of permissions.").unwrap_or_default();
    let (allow, deny) = (permissions("allow"), permissions("deny"));
    form.finish()?;
    let overwrite = Overwrite { id: id.get(), kind: kind.unwrap_or(OverwriteKind::Role), allow, deny };
    call.ask_channel(channel, GuildRequest::PutOverwrite(channel, overwrite)).await
}

/// `DELETE /channels/{channel.id}/permissions/{overwrite.id}`.
pub async fn delete(call: Call) -> Outcome {
    let channel = call.id(0)?;
    let id: Id<kind::User> = call.id(1)?;
    call.ask_channel(channel, GuildRequest::DeleteOverwrite(channel, id.get())).await
}
