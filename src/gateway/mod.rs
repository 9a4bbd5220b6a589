//! The gateway door: WebSocket connections in, commands to the shard, bytes out.
//!
//! Lives on: every core; each core accepts for itself.
//! What a client says is understood by [`conversation`], which is synchronous and knows no socket; [`socket`] is the one
//! task that each connection has; [`sockets`] is the table through which the shard writes.

pub mod commands;
pub mod conversation;
pub mod handshake;
pub mod socket;
pub mod sockets;
