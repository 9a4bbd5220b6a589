//! What a run plays: scenarios, the traces made of them, and what each session may see and do.

pub mod fixture;
pub mod scenario;
pub mod script;
pub mod tokens;
pub mod trace;
