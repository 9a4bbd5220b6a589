//! Did every session get everything once and in order? Markers, entitlement, receipts, and the verdict.

pub mod delivery_table;
pub mod entitlement;
pub mod marker;
pub mod receipts;
pub mod run_result;
pub mod session;
pub mod tally;
pub mod verifier;
