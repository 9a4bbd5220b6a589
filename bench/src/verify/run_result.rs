//! What the threads of a run leave behind: the evidence that the verifier reads.

use std::sync::Arc;

use crate::verify::delivery_table::DeliveryTable;
use crate::verify::entitlement::Entitlements;
use crate::verify::receipts::Receipt;
use crate::verify::session::SessionRecord;
use crate::verify::tally::{Latencies, Tally};

/// What one thread leaves behind.
#[derive(Debug)]
pub struct ThreadResult {
    /// Its counts.
    pub tally: Tally,
    /// Its sessions.
    pub sessions: Vec<SessionRecord>,
    /// What they were entitled to, and what they received.
    pub entitlements: Entitlements,
}

impl ThreadResult {
    /// One session's streams and what it received of them.
    pub fn receipts(&self, session: &SessionRecord) -> impl Iterator<Item = (u32, &Receipt)> {
        self.entitlements.of(session.index)
    }
}

/// What a whole run leaves behind.
#[derive(Debug)]
pub struct RunResult {
    /// By thread.
    pub threads: Vec<ThreadResult>,
    /// All latencies.
    pub latencies: Latencies,
    /// By event, who had to get it and who did.
    pub events: Arc<DeliveryTable>,
}
