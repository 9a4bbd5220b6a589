//! The kernel's limit: bytes to many sockets, with as little as possible around it.
//!
//! [`baseline`] is plain sends of one process to another; [`gateway`] is the Discord gateway's wire with no server
//! behind it. Both send by [`sender`]; their threads have descriptor tables of their own
//! ([`descriptor_table`](crate::base::descriptor_table)).

pub mod baseline;
pub mod broadcast;
pub mod gateway;
pub mod generator;
pub mod listener;
pub mod sender;
pub mod wire;

pub use baseline::{RawSender, RawSenders, SendCost, read};
pub use sender::How;
