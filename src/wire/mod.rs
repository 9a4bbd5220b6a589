//! Discord's words: permissions, intents, opcodes, close codes, models, requests, events. No state, no I/O.
//!
//! Lives on: every core.
//! Source: Discord docs, API v10.

pub mod close;
pub mod event;
pub mod intents;
pub mod model;
pub mod opcode;
pub mod refusal;
pub mod request;
