//! The things that Discord's API names, one file each.
//!
//! Lives on: every core.
//! Each type's `Serialize` writes the wire form with every key that client libraries look for; `Deserialize` reads the same
//! form back and ignores the constant keys, so one form serves the wire and the store.

pub mod account;
pub mod arrival;
pub mod channel;
pub mod guild;
pub mod invite;
pub mod kept;
pub mod listing;
pub mod member;
pub mod message;
pub mod presence;
pub mod role;
pub mod user;
