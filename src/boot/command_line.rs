//! The command line.
//!
//! Lives on: the main thread.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::boot::config::ServeArgs;
use crate::boot::serve;
use crate::operate::admin::{self, AdminArgs};

/// A realtime community server that speaks Discord's API v10, one thread per core.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Manage users, bots and guilds, with the server running or not.
    Admin(AdminArgs),
}

/// Runs what the command line says. Errors are one sentence on stderr.
pub fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Serve(args) => serve::serve(args),
        Command::Admin(args) => admin::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            eprintln!("guildhall: {fatal}");
            ExitCode::FAILURE
        }
    }
}
