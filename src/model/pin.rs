//! A pin: a message that stands out in its channel.
//!
//! Lives on: every core.

use crate::base::id::{ChannelId, MessageId};

/// A pin as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Where.
    pub channel_id: ChannelId,
    /// What.
    pub message_id: MessageId,
    /// Unix milliseconds; no two pins of a channel have the same.
    pub pinned_at_ms: u64,
}
