//! Commands of clients, one opcode a file.
//!
//! Lives on: the core that has the socket.

pub(super) mod heartbeat;
pub(super) mod identify;
pub(super) mod members;
pub(super) mod presence;
pub(super) mod resume;
pub(super) mod subscriptions;
