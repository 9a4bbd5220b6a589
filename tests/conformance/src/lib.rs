//! A real server process, a proxy that can cut its connections, and a town to test in.
//!
//! Lives on: test threads. Nothing here links the server; it is started, asked and killed like any other program.

pub mod day;
pub mod proxy;
pub mod rest;
pub mod server;
pub mod socket;
pub mod town;
