//! The gateway door: WebSocket connections in, commands to the shard, bytes out.
//!
//! Lives on: every core; each core accepts for itself.
//! What a client says is understood by [`conversation`], which is synchronous and knows no socket; [`door`] reads,
//! and moves sockets about, in one task for all; [`socket_table`] is the table of sockets, through which the shard writes.

pub mod commands;
pub mod conversation;
pub mod door;
pub mod handshake;
pub mod socket_table;
