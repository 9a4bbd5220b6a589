//! A note: what a user has written about another, for its own eyes.
//!
//! Lives on: every core.

use crate::base::id::UserId;

/// A note as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNote {
    /// Who wrote it, and alone reads it.
    pub author: UserId,
    /// About whom.
    pub about: UserId,
    /// Empty: there is none.
    pub text: String,
}
