//! What is asked of a guild about the messages of its channels.
//!
//! Lives on: every core.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::base::id::{ChannelId, MessageId};
use crate::mail::ask::actor::Actor;
use crate::mail::ask::claim::{Claim, Claims};
use crate::store::Anchor;
use crate::wire::request::message::{MessageDraft, MessagePatch};

/// A request about messages.
#[derive(Debug, Clone, PartialEq)]
pub enum MessageRequest {
    /// SEND_MESSAGES. → `Json` 200.
    Create(ChannelId, MessageDraft),
    /// The author (others: flags only, with MANAGE_MESSAGES). → `Json` 200.
    Edit(ChannelId, MessageId, MessagePatch),
    /// The author, or MANAGE_MESSAGES. → `Done`.
    Delete(ChannelId, MessageId),
    /// MANAGE_MESSAGES; 2 to 100 ids, each not older than two weeks. → `Done`.
    BulkDelete(ChannelId, Vec<MessageId>),
    /// READ_MESSAGE_HISTORY. → `Read`.
    Get(ChannelId, MessageId),
    /// → `Read`; without READ_MESSAGE_HISTORY `Json` 200 with none.
    List {
        /// Of which channel.
        channel: ChannelId,
        /// From where.
        anchor: Anchor,
        /// 1 to 100.
        limit: u32,
    },
    /// PIN_MESSAGES; nothing happens if it is pinned. → `Done`.
    Pin(ChannelId, MessageId),
    /// PIN_MESSAGES; nothing happens if it is not pinned. → `Done`.
    Unpin(ChannelId, MessageId),
    /// → `Read`; without READ_MESSAGE_HISTORY `Json` 200 with none.
    Pins {
        /// Of which channel.
        channel: ChannelId,
        /// Pinned before this Unix millisecond.
        before_ms: Option<u64>,
        /// 1 to 50.
        limit: u32,
    },
    /// The newest 50 pinned messages, as the old route has them. → as `Pins`
    PinnedMessages(ChannelId),
    /// SEND_MESSAGES. → `Done`.
    Typing(ChannelId),
}

impl MessageRequest {
    /// What must not change meanwhile.
    pub fn claims(&self, _actor: Actor) -> Claims {
        match self {
            MessageRequest::Create(channel, draft) => nonce_claim(*channel, draft).into_iter().collect(),
            MessageRequest::Edit(_, message, _) | MessageRequest::Delete(_, message) => {
                [Claim::Message(*message)].into_iter().collect()
            }
            MessageRequest::Pin(channel, message) | MessageRequest::Unpin(channel, message) => {
                [Claim::Message(*message), Claim::Pins(*channel)].into_iter().collect()
            }
            MessageRequest::BulkDelete(..)
            | MessageRequest::Get(..)
            | MessageRequest::List { .. }
            | MessageRequest::Pins { .. }
            | MessageRequest::PinnedMessages(_)
            | MessageRequest::Typing(_) => Claims::new(),
        }
    }
}

/// What a repeat of the same message has in common with it.
fn nonce_claim(channel: ChannelId, draft: &MessageDraft) -> Option<Claim> {
    let nonce = draft.nonce.as_ref().filter(|_| draft.enforce_nonce)?;
    let mut hasher = DefaultHasher::new();
    (channel.get(), nonce.to_string()).hash(&mut hasher);
    Some(Claim::Nonce(hasher.finish()))
}
