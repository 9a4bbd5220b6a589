//! The command line.

pub mod arguments;
pub mod million;
pub mod one_channel;
pub mod peer;
pub mod raw;
pub mod replay;
pub mod scenario;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::arguments::Failure;
use crate::cli::million::MillionArgs;
use crate::cli::one_channel::{ChatArgs, FanoutArgs, IdleArgs};
use crate::cli::peer::PeerArgs;
use crate::cli::raw::{CeilingArgs, RawArgs, RawGatewayArgs};
use crate::cli::replay::{ReplayArgs, RunArgs};
use crate::cli::scenario::{SynthArgs, TraceArgs};
use crate::report::compare::CompareArgs;
use crate::report::results::ResultsArgs;
use crate::report::{compare, results};

/// Load generator for Guildhall, or any server that speaks Discord's API v10.
#[derive(Debug, Parser)]
#[command(name = "guildhall-bench", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sessions in one channel, messages at a steady rate: was everything delivered once and in order, and how fast?
    Chat(ChatArgs),
    /// Sessions that do nothing: what does one cost the server?
    Idle(IdleArgs),
    /// One message at a time to all sessions, in turn with `raw`: how far is the server from the kernel's limit?
    Fanout(FanoutArgs),
    /// A guild of a million sessions, step by step.
    Million(Box<MillionArgs>),
    /// Plays a scenario: makes a trace of it, plays it on a server, judges and reports.
    Run(RunArgs),
    /// Plays a trace, made up or recorded.
    Replay(ReplayArgs),
    /// Lists the scenarios that come with the program.
    Scenarios,
    /// Makes a trace of a scenario, and tells what is in it.
    Synth(SynthArgs),
    /// Tells what is in a trace.
    Trace(TraceArgs),
    /// Plain `send` to many loopback sockets: the kernel's limit.
    Raw(RawArgs),
    /// Two reports of replays side by side: what got worse by more than noise?
    Compare(CompareArgs),
    /// Puts what `scripts/bench` measured into one file for programs and one for people.
    Results(ResultsArgs),
    /// How many deliveries a second can one thread of the load generator check?
    Ceiling(CeilingArgs),
    /// The gateway's wire without a server behind it: the kernel's limit, and the load generator's.
    RawGateway(RawGatewayArgs),
    /// Another server that broadcasts over WebSockets: the same questions, so that tables are comparable.
    Peer(Box<PeerArgs>),
    /// The reading end of `raw`.
    #[command(hide = true)]
    RawReader {
        /// Where the sender listens.
        address: SocketAddr,
        /// How many sockets.
        sockets: u32,
        /// How many sockets other readers have.
        first: u32,
    },
}

/// Runs what the command line says. Fails if a run is not sound.
pub fn main() -> ExitCode {
    let sound = match CommandLine::parse().command {
        Command::Chat(args) => one_channel::run_chat(&args),
        Command::Idle(args) => one_channel::run_idle(&args),
        Command::Fanout(args) => one_channel::run_fanout(&args),
        Command::Million(args) => million::run_million(&args),
        Command::Run(args) => replay::run_scenario(&args),
        Command::Replay(args) => replay::run_trace(&args),
        Command::Scenarios => scenario::run_scenarios(),
        Command::Synth(args) => scenario::run_synth(&args),
        Command::Trace(args) => scenario::run_trace(&args),
        Command::Raw(args) => raw::run_raw(&args),
        Command::Compare(args) => compare::run(&args).map(|()| true).map_err(Failure::from),
        Command::Results(args) => results::run(&args),
        Command::Ceiling(args) => raw::run_ceiling(&args),
        Command::RawGateway(args) => raw::run_raw_gateway(args),
        Command::RawReader { address, sockets, first } => {
            crate::baseline::raw::read(address, sockets, first).map(|()| true).map_err(Failure::from)
        }
        Command::Peer(args) => peer::run_peer(&args),
    };
    match sound {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("guildhall-bench: {failure}");
            ExitCode::from(2)
        }
    }
}
