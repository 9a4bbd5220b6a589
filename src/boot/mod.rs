//! The process: command line, configuration, cores, listeners, signals, drain, histograms at shutdown, the operator's commands.
//!
//! Lives on: the main thread, unless a file says otherwise.

pub mod admin;
pub mod commandline;
pub mod config;
pub mod control;
pub mod core;
pub mod histograms;
pub mod listener;
pub mod preflight;
pub mod pulse;
pub mod recording;
pub mod serve;
pub mod signals;
pub mod tables;
pub mod turn;

use std::fmt;

/// Why the process cannot go on: one sentence for the operator, saying what to do.
#[derive(Debug)]
pub struct Fatal(pub String);

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

impl From<crate::store::StoreError> for Fatal {
    fn from(error: crate::store::StoreError) -> Self {
        Fatal(error.to_string())
    }
}
