//! Letters between cores, what a turn wants sent, and who owns an id. Plain data: no queues, no state.
//!
//! Lives on: every core.

pub mod ask;
pub mod event;
pub mod facts;
pub mod letter;
pub mod listing;
pub mod note;
pub mod outbox;
pub mod placement;
pub mod presence;
pub mod session_id;
pub mod site;
