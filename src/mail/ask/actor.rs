//! Who asks.
//!
//! Lives on: every core.

use crate::base::id::{UserId, WebhookId};

/// Who asks. Whether a user is a bot its account says, not the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in user; permissions apply.
    User(UserId),
    /// A webhook, named by the token in the path; it may do what its own routes allow.
    Webhook(WebhookId),
    /// The operator; everything is permitted.
    Operator,
    /// The server itself, for a rule of its own or a caller without an account; everything is permitted.
    System,
}

impl Actor {
    /// The user, if one asks.
    pub fn user(self) -> Option<UserId> {
        match self {
            Actor::User(user) => Some(user),
            Actor::Webhook(_) | Actor::Operator | Actor::System => None,
        }
    }
}
