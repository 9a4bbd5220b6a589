//! The kernel's limit: bytes to many sockets, with as little as possible around it.
//!
//! [`baseline`] is plain sends of one process to another; [`gateway`] is the Discord gateway's wire with no server behind it.
//! Both send by [`sender`], and have more sockets than a descriptor table holds by [`table`].

pub mod baseline;
pub mod channel;
pub mod gateway;
pub mod generator;
pub mod listener;
pub mod sender;
pub mod table;
pub mod wire;

pub use baseline::{Crowd, Raw, Turn, read, take_turns};
pub use sender::How;
