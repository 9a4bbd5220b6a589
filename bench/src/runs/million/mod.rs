//! A guild of a million sessions, step by step: they come, one message goes to a tenth of them and to all, they are cut
//! and resume, change their status, scroll through the member list, and stop to read. One process, one pool, for all
//! steps.
//!
//! Every message that is posted is judged at the end: each session must have received it once and in order, if it was
//! active then.

pub mod connect;
pub mod figures;
pub mod list;
pub mod presence;
pub mod run;
pub mod settings;
pub mod spread;
pub mod stall;
pub mod step_context;
pub mod storm;
