//! What is asked of a guild about its invites.
//!
//! Lives on: every core.

use crate::base::id::ChannelId;
use crate::mail::ask::actor::Actor;
use crate::mail::ask::claim::{Claim, Claims};
use crate::wire::request::invite::InviteDraft;

/// A request about invites.
#[derive(Debug, Clone, PartialEq)]
pub enum InviteRequest {
    /// CREATE_INSTANT_INVITE in the channel. → `Json` 200.
    Create(ChannelId, InviteDraft),
    /// Public. `code` was found in the store and belongs to this guild. → `Json` 200.
    Get {
        /// Which.
        code: String,
        /// Add the counts.
        with_counts: bool,
    },
    /// A user who is not banned joins. → `Json` 200, the invite.
    Accept {
        /// Which.
        code: String,
    },
    /// MANAGE_CHANNELS in the channel, or MANAGE_GUILD. → `Json` 200, the invite as it was.
    Delete {
        /// Which.
        code: String,
    },
    /// MANAGE_GUILD; with a channel MANAGE_CHANNELS in it. → `Json` 200, array.
    List(Option<ChannelId>),
}

impl InviteRequest {
    /// What must not change meanwhile.
    pub fn claims(&self, actor: Actor) -> Claims {
        match self {
            InviteRequest::Accept { .. } => actor.user().map(Claim::Member).into_iter().collect(),
            InviteRequest::Create(..)
            | InviteRequest::Get { .. }
            | InviteRequest::Delete { .. }
            | InviteRequest::List(_) => Claims::new(),
        }
    }
}
