//! What clients ask for over REST: bodies after checking their form. Whether it may be done is the guild's business.
//!
//! Lives on: every core.

pub mod channel;
pub mod guild;
pub mod invite;
pub mod member;
pub mod message;
pub mod presence;
pub mod role;
pub mod subscription;
