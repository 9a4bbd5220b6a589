//! Handlers, one REST resource a file: the form read, the owner or the store asked, the answer given.
//!
//! Lives on: every core.

pub mod auth;
pub mod channels;
pub mod gateway;
pub mod guilds;
pub mod invites;
pub mod members;
pub mod messages;
pub mod notes;
pub mod overwrites;
pub mod pins;
pub mod roles;
pub mod site;
pub mod users;
