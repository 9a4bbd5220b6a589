//! The gateway door: WebSocket connections in, commands to the shard, bytes out.
//!
//! Lives on: every core; each core accepts for itself. [`conversation`] understands what a client sends; it is
//! synchronous and knows no socket. [`door`] reads and moves sockets, in one task for all. [`socket_table`] holds them,
//! [`lingering`] those that are shut down, and [`writer`] is how the shard writes.

pub mod commands;
pub mod conversation;
pub mod door;
pub mod handshake;
pub mod lingering;
pub mod socket_table;
pub mod writer;
