//! Other servers that broadcast over WebSockets, measured on the wire as Guildhall is.
//!
//! A [`peer`] says how one subscribes to a server and publishes on it; [`run`] connects a [`subscriber_pool`] of plain
//! WebSocket clients, publishes at fixed times and judges that every one of them got every message once, and all in one
//! order.

pub mod frames;
pub mod message_format;
pub mod messages;
pub mod nchan;
pub mod peer;
pub mod poster;
pub mod rate_search;
pub mod report;
pub mod run;
pub mod subscriber_pool;
pub mod subscribers;
pub mod target;
