//! Letters between cores, what a turn wants sent, and who owns an id. Plain data: no queues, no state.
//!
//! Lives on: every core.

pub mod ask;
pub mod event;
pub mod facts;
pub mod letter;
pub mod listing;
pub mod local;
pub mod mailbox;
pub mod outbox;
pub mod placement;
pub mod plan;
pub mod presence;
pub mod record;
pub mod session_id;
pub mod site;
pub mod terms;
pub mod to_guild;
pub mod to_home;
pub mod to_user;
