//! Mail inside one process: store answers, and sockets that change their core. Not letters: they cannot leave the host.
//!
//! Lives on: every core.

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::mail::session_id::SessionId;
use crate::mail::terms::{Conduct, Terms};
use crate::store::{Found, StoreError};

/// Mail inside one process.
#[derive(Debug)]
pub enum Local {
    /// The store → the core that gave it the job. Lost: its requester waits without end.
    Stored {
        /// The job.
        job: u64,
        /// What came of it. A commit finds nothing.
        result: Result<Option<Found>, StoreError>,
    },
    /// A door on another core → home: a socket whose client resumes a session that lives there.
    /// Lost: the socket would leak open; the client times out.
    HandOver(Box<HandOver>),
}

/// A socket on its way to the core where its session lives.
#[derive(Debug)]
pub struct HandOver {
    /// Which session.
    pub session: SessionId,
    /// The fd ticket of the socket, which was sent before the letter. Its holder owns the socket.
    pub socket: i32,
    /// Whose token came with the resume, already verified.
    pub user: UserId,
    /// The last sequence number that the client saw.
    pub seq: u64,
    /// What the connection has agreed on.
    pub terms: Terms,
    /// Bytes that were read but not yet understood.
    pub unread: Vec<u8>,
    /// Bytes that were not yet sent.
    pub unsent: Vec<u8>,
    /// When the resume was read.
    pub asked: Time,
    /// How the client has behaved: who resumes here and there by turns is limited all the same.
    pub conduct: Conduct,
}
