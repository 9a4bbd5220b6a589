//! A user: a person or a bot.
//!
//! Lives on: every core.

use serde::{Deserialize, Serialize};

use crate::base::id::UserId;
use crate::model::is_default;

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id; a bot's application has the same.
    pub id: UserId,
    /// 2 to 32 characters, unique among people and bots alike.
    pub username: String,
    /// The name shown instead, if set.
    #[serde(default, skip_serializing_if = "is_default")]
    pub global_name: Option<String>,
    /// 32 hexadecimal digits, `a_` before them if animated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub avatar: Option<String>,
    /// Whether this is a bot.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bot: bool,
}

impl User {
    /// A person with a name and nothing else.
    pub fn person(id: UserId, username: impl Into<String>) -> User {
        User { id, username: username.into(), global_name: None, avatar: None, bot: false }
    }
}
