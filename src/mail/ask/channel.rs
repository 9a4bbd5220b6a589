//! What is asked of a guild about its channels.
//!
//! Lives on: every core.

use crate::base::id::ChannelId;
use crate::mail::ask::actor::Actor;
use crate::mail::ask::claim::{Claim, Claims};
use crate::model::channel::Overwrite;
use crate::wire::request::channel::{ChannelDraft, ChannelMove, ChannelPatch};

/// A request about channels.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelRequest {
    /// → `Json` 200, array.
    List,
    /// MANAGE_CHANNELS. → `Json` 201.
    Create(ChannelDraft),
    /// MANAGE_CHANNELS. → `Done`.
    Move(Vec<ChannelMove>),
    /// VIEW_CHANNEL. → `Json` 200.
    Get(ChannelId),
    /// MANAGE_CHANNELS in the channel. → `Json` 200.
    Modify(ChannelId, ChannelPatch),
    /// MANAGE_CHANNELS in the channel. → `Json` 200, the channel as it was.
    Delete(ChannelId),
    /// MANAGE_ROLES in the channel. → `Done`.
    PutOverwrite(ChannelId, Overwrite),
    /// MANAGE_ROLES in the channel. → `Done`.
    DeleteOverwrite(ChannelId, u64),
}

impl ChannelRequest {
    /// What must not change meanwhile.
    pub fn claims(&self, _actor: Actor) -> Claims {
        match self {
            ChannelRequest::Create(_)
            | ChannelRequest::Move(_)
            | ChannelRequest::Modify(..)
            | ChannelRequest::Delete(_)
            | ChannelRequest::PutOverwrite(..)
            | ChannelRequest::DeleteOverwrite(..) => [Claim::Structure].into_iter().collect(),
            ChannelRequest::List | ChannelRequest::Get(_) => Claims::new(),
        }
    }
}
