//! Messages remembered for `enforce_nonce`: a repeat is answered like the first, and writes nothing.
//!
//! Lives on: the guild's core.
//! A message is remembered when it is durable. While it is being committed a repeat waits for its claim.

use serde_json::Value;

use crate::base::id::{ChannelId, UserId};
use crate::guild::Guild;
use crate::limits;
use crate::mail::ask::Reply;

/// A message remembered for `enforce_nonce`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub(super) author: UserId,
    pub(super) channel: ChannelId,
    pub(super) nonce: Value,
    pub(super) reply: Reply,
}

impl Guild {
    /// Remembers a message that is durable now.
    pub(super) fn remember_sent(&mut self, sent: &Sent) {
        self.nonces.push_back(sent.clone());
        if self.nonces.len() > limits::NONCES_MAX {
            self.nonces.pop_front();
        }
    }

    /// What was answered to the same message.
    pub(super) fn sent_before(&self, author: UserId, channel: ChannelId, nonce: &Value) -> Option<&Reply> {
        let same = |sent: &&Sent| (sent.author, sent.channel) == (author, channel) && sent.nonce == *nonce;
        self.nonces.iter().find(same).map(|sent| &sent.reply)
    }
}
