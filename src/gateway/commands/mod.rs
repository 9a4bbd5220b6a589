//! Commands of clients, one opcode a file; and how each ends.
//!
//! Lives on: the core that has the socket.

use crate::base::id::UserId;
use crate::desk::settings::Settings;
use crate::mail::session_id::SessionId;
use crate::store::token::Signer;
use crate::wire::close::CloseCode;

pub(super) mod heartbeat;
pub(super) mod identify;
pub(super) mod members;
pub(super) mod presence;
pub(super) mod resume;
pub(super) mod subscriptions;

/// What commands need to know besides the shard.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// Verifies tokens.
    pub signer: &'a Signer,
    /// What the operator has set.
    pub settings: &'a Settings,
}

/// How one command ended.
pub(super) enum Verdict {
    /// Well.
    Done,
    /// The connection is closed.
    Close(CloseCode),
    /// The socket moves.
    Move(Move),
}

/// A resume whose session lives on another core.
#[derive(Debug, PartialEq, Eq)]
pub struct Move {
    /// The session.
    pub session: SessionId,
    /// Whose token came with it, verified.
    pub user: UserId,
    /// The last sequence number that the client has received.
    pub seq: u64,
}
