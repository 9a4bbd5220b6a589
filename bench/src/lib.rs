//! Load generator for Guildhall. It speaks only the wire, so it measures any server that speaks Discord's API v10.
//!
//! The folders from the top down; imports only run downward. [`cli`] is the command line. [`runs`] has one entry for
//! each kind of run. [`report`] is what they write. [`baseline`] is the kernel's own limit, [`generate`] the load,
//! [`verify`] the checker, [`wire`] the client's side of the protocol, [`model`] what is played, and [`base`] the
//! ground.

pub mod cli;

pub mod runs;

pub mod report;

pub mod baseline;

pub mod generate;

pub mod verify;

pub mod wire;

pub mod model;

pub mod base;
