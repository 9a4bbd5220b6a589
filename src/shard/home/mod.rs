//! Sessions and connections that live on a core.

pub mod admission;
pub mod attach;
pub mod connections;
pub mod flush;
pub mod list_subscriptions;
pub mod member_pages;
pub mod memory_limit;
pub mod presence;
pub mod seats;
pub mod subscriptions;
pub mod sweep;
