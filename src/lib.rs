//! Guildhall: a realtime community server that speaks Discord's API, one thread per core.
//!
//! A connection talks to a session; sessions sit behind relays; relays listen to guilds; guilds live on exactly one
//! shard; shards exchange letters.
//!
//! This file is the floor plan. Imports only run downward, never to a neighbour on the same floor; `tests/tidy.rs`
//! holds the code to it. `docs/ARCHITECTURE.md` walks through it.

// ── the process ──
pub mod boot;
// ── the operator's commands / histograms and traces ──
pub mod observe;
pub mod operate;
// ── the two doors: async; nothing below this line awaits ──
pub mod gateway;
pub mod rest;
// ── what the doors of one core share ──
pub mod desk;
// ── everything one core owns ──
pub mod shard;
// ── one guild's sessions on one core ──
pub mod relay;
// ── what is true; siblings never import each other ──
pub mod guild;
pub mod session;
pub mod user;
// ── letters, outbox, who owns an id ──
pub mod mail;
// ── what is kept ──
pub mod store;
// ── Discord's words ──
pub mod wire;
// ── records ──
pub mod model;
// ── lanes between cores / bytes in, bytes out ──
pub mod mesh;
pub mod net;
// ── every bound / ids, clock, seeded randomness ──
pub mod base;
pub mod limits;
