//! The commands that measure what is around the server: `raw`, `raw-gateway` and `ceiling`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::base::limits;
use crate::baseline::raw;
use crate::cli::arguments::{Failure, print_report};
use crate::runs::ceiling;
use crate::runs::ceiling::Ceiling;

/// Arguments of `raw`.
#[derive(Debug, Args)]
pub struct RawArgs {
    /// How many sockets.
    #[arg(long, value_name = "N")]
    sockets: u32,
    /// Bytes of each send.
    #[arg(long, value_name = "B", default_value_t = 600)]
    bytes: usize,
    /// Sends to each socket.
    #[arg(long, value_name = "R", default_value_t = 100)]
    rounds: u32,
    /// How bytes are handed to the kernel; `send,uring`: both, taking turns.
    #[arg(long, value_name = "HOW", value_delimiter = ',', default_value = "send")]
    how: Vec<raw::How>,
    /// Writes everything to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Arguments of `raw-gateway`.
#[derive(Debug, Args)]
pub struct RawGatewayArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads, each with a descriptor table of its own; `auto`: as many as `--sockets` take.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    threads: String,
    /// How many connections `--threads auto` makes room for.
    #[arg(long, value_name = "N", default_value_t = 15_000)]
    sockets: u32,
    /// How messages are handed to the kernel.
    #[arg(long, value_name = "HOW", default_value = "send")]
    batch: raw::How,
    /// Joins messages that wait together to one send.
    #[arg(long)]
    coalesce: bool,
    /// Makes up so many messages per second.
    #[arg(long, value_name = "PER_SECOND", requires = "run")]
    generate: Option<f64>,
    /// Bytes of a made-up message's content.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// The run's name in made-up messages: letters and digits.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// How many messages are made up.
    #[arg(long, value_name = "M", default_value_t = limits::EVENTS_MAX)]
    messages: u32,
    /// Begins to make them up when so many sessions are there.
    #[arg(long, value_name = "N", default_value_t = 1)]
    after: u32,
    /// Ends when stdin does.
    #[arg(long)]
    until_eof: bool,
}

/// Arguments of `ceiling`.
#[derive(Debug, Args)]
pub struct CeilingArgs {
    /// Sessions, all of one thread.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    sessions: u32,
    /// Messages per second, more than can be checked.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 1_300.0)]
    rate: f64,
    /// Messages in all.
    #[arg(long, value_name = "M", default_value_t = 13_000)]
    messages: u32,
    /// Bytes of a message's content.
    #[arg(long, value_name = "BYTES", default_value_t = 60)]
    size: usize,
    /// Writes everything to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// Runs `ceiling`.
pub fn run_ceiling(args: &CeilingArgs) -> Result<bool, Failure> {
    let CeilingArgs { sessions, rate, messages, size, quiet, .. } = *args;
    let report = ceiling::run(&Ceiling { sessions, rate, messages, size, quiet })?;
    print_report(args.json.as_deref(), &report)?;
    Ok(report.sound)
}

/// Runs `raw`.
pub fn run_raw(args: &RawArgs) -> Result<bool, Failure> {
    let mut senders = raw::RawSenders::open(args.sockets)?;
    let mut turns = vec![raw::SendCost::default(); args.how.len()];
    for how in &args.how {
        senders.turn(*how, args.bytes, 1)?; // the first round pays for what the kernel allocates
    }
    for _ in 0..args.rounds {
        for (how, turn) in args.how.iter().zip(&mut turns) {
            turn.add(&senders.turn(*how, args.bytes, 1)?);
        }
    }
    for (how, turn) in args.how.iter().zip(&turns) {
        println!(
            "{} sends of {} bytes to {} sockets: {:.3} µs CPU of the sending thread each, {:.0} sends/s ({how:?})",
            turn.sends,
            args.bytes,
            args.sockets,
            turn.cpu_us_per_send(),
            turn.sends as f64 / turn.seconds
        );
    }
    if let [one, other] = &turns[..] {
        println!("ratio of the second's CPU to the first's: {:.3}", other.cpu_us_per_send() / one.cpu_us_per_send());
    }
    if let Some(path) = &args.json {
        let turns = args.how.iter().zip(&turns).map(|(how, turn)| {
            let rate = turn.sends as f64 / turn.seconds;
            json!({"how": how, "cpu_us_per_send": turn.cpu_us_per_send(), "sends_per_second": rate})
        });
        let turns: Vec<_> = turns.collect();
        std::fs::write(path, json!({"sockets": args.sockets, "bytes": args.bytes, "turns": turns}).to_string())?;
    }
    Ok(true)
}

/// Runs `raw-gateway`.
pub fn run_raw_gateway(args: RawGatewayArgs) -> Result<bool, Failure> {
    let threads = match args.threads.as_str() {
        "auto" => args.sockets.div_ceil(limits::SOCKETS_PER_TABLE_PLANNED).max(1),
        number => number.parse().map_err(|_| format!("{number} is no number of threads"))?,
    };
    if !(1..=limits::GATEWAY_THREADS_MAX).contains(&threads) {
        return Err(format!("{threads} threads: 1 to {} are possible", limits::GATEWAY_THREADS_MAX).into());
    }
    let plan = match (args.generate, args.run) {
        (Some(rate), Some(run)) => {
            if rate.is_nan() || rate <= 0.0 || args.size > limits::CONTENT_MAX || args.messages > limits::EVENTS_MAX {
                return Err("the rate must be above 0, the size and the messages within their limits".into());
            }
            if run.is_empty() || !run.chars().all(|letter| letter.is_ascii_alphanumeric()) {
                return Err("the run's name has letters and digits".into());
            }
            let (size, messages, sessions) = (args.size, args.messages, args.after);
            Some(raw::generator::GeneratorPlan { rate, size, run, messages, sessions })
        }
        _ => None,
    };
    let settings = raw::gateway::Settings { listen: args.listen, threads, how: args.batch, coalesce: args.coalesce };
    raw::gateway::serve(&settings, plan, args.until_eof)?;
    Ok(true)
}
