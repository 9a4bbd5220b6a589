//! The gateway's wire as a client reads and writes it: frames, upgrades, compression, payloads.

pub mod frames;
pub mod inflate;
pub mod payload;
pub mod upgrade;
