//! The error that ends the process or an operator's command.
//!
//! Lives on: the main thread and the control thread. Never crosses a core's turn: a core reports it before it serves.

use std::fmt;

/// Why the process or a command cannot go on: one sentence for the operator, saying what to do.
#[derive(Debug)]
pub struct Fatal(pub String);

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}
