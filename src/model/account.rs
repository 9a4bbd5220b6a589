//! What the server keeps of a user besides what others see.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};

use crate::base::id::UserId;
use crate::model::is_default;
use crate::model::user::User;

/// A user with what decides its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The person a bot belongs to; `None` for people, and for bots that the operator made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<UserId>,
    /// Bits of the privileged intents that the operator enabled for this bot. Meaningless for people.
    #[serde(default, skip_serializing_if = "is_default")]
    pub privileged: u32,
    /// Tokens issued before this Unix millisecond are void.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tokens_valid_from_ms: u64,
}

impl Account {
    /// An account that has just been made.
    pub fn of(user: User) -> Account {
        Account { user, owner: None, privileged: 0, tokens_valid_from_ms: 0 }
    }
}
