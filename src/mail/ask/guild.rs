//! What is asked of a guild about its own settings.
//!
//! Lives on: every core.

use crate::mail::ask::actor::Actor;
use crate::mail::ask::claim::{Claim, Claims};
use crate::wire::request::guild::GuildPatch;

/// A request about a guild's own settings.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingsRequest {
    /// → `Json` 200, the REST guild.
    Get {
        /// Add the counts.
        with_counts: bool,
    },
    /// MANAGE_GUILD. → `Json` 200, the REST guild.
    Modify(GuildPatch),
    /// The owner. → `Done`.
    Delete,
    /// The operator changed members in the store beside the server: load what is not in use anew. → `Done`.
    Refresh,
}

impl SettingsRequest {
    /// What must not change meanwhile.
    pub fn claims(&self, _actor: Actor) -> Claims {
        match self {
            // A new owner must not leave while the guild is handed over.
            SettingsRequest::Modify(patch) => {
                [Claim::Structure].into_iter().chain(patch.owner_id.map(Claim::Member)).collect()
            }
            SettingsRequest::Delete | SettingsRequest::Refresh => [Claim::Structure].into_iter().collect(),
            SettingsRequest::Get { .. } => Claims::new(),
        }
    }
}
