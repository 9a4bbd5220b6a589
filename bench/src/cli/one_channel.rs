//! The commands that need no scenario: `chat`, `idle` and `fanout`, on one channel of a server that is there.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::base::http::MessageTarget;
use crate::base::{clock, limits};
use crate::baseline::pulse::RawSendCommand;
use crate::cli::arguments::{Failure, PostArgs, SessionArgs, print_report, server};
use crate::generate::clients;
use crate::model::fixture::read_tokens;
use crate::model::script::Script;
use crate::runs::chat::Chat;
use crate::runs::fanout::{Against, Fanout};
use crate::runs::{chat, fanout};
use crate::verify::marker::Marker;

/// New connections per second, unless said.
const CONNECT_RATE: f64 = 4_000.0;

/// Arguments of `chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    #[command(flatten)]
    pool: SessionArgs,
    #[command(flatten)]
    post: PostArgs,
    /// Messages per second.
    #[arg(long, value_name = "PER_SECOND")]
    rate: f64,
    /// For how long.
    #[arg(long, value_name = "S")]
    seconds: f64,
    /// The share of the sessions that is cut at random times and resumes.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    cut: f64,
    /// What the server is called in the report; its address if absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Appends the main numbers as a line of JSON, in the form that `peer` writes too.
    #[arg(long, value_name = "FILE")]
    row: Option<PathBuf>,
}

/// Arguments of `idle`.
#[derive(Debug, Args)]
pub struct IdleArgs {
    #[command(flatten)]
    pool: SessionArgs,
    /// How long the sessions stay.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
}

/// Arguments of `fanout`.
#[derive(Debug, Args)]
pub struct FanoutArgs {
    #[command(flatten)]
    pool: SessionArgs,
    #[command(flatten)]
    post: PostArgs,
    /// Messages per turn.
    #[arg(long, value_name = "M", default_value_t = 10)]
    messages: u32,
    /// Turns of server and kernel.
    #[arg(long, value_name = "N", default_value_t = 10)]
    turns: u32,
    /// Compares with plain sends of the server's own, over the same sockets: the command that has it write bytes to all
    /// its connections; their number is added to it.
    #[arg(long, value_name = "COMMAND")]
    pulse: Option<String>,
}

/// Runs `chat`.
pub fn run_chat(args: &ChatArgs) -> Result<bool, Failure> {
    if !(args.rate > 0.0 && args.seconds > 0.0 && (0.0..=1.0).contains(&args.cut)) {
        return Err("the rate and the time must be above 0, and the cut from 0 to 1".into());
    }
    let chat = Chat { rate: args.rate, seconds: args.seconds, cut: args.cut, ..chat_of(&args.pool, &args.post)? };
    let mut report = chat::run(&chat)?.report;
    if let Some(name) = &args.name {
        report.header.server.clone_from(name);
    }
    print_report(args.pool.json.as_deref(), &report)?;
    if let Some(path) = &args.row {
        report.row(args.post.size as u64).append(path)?;
    }
    Ok(report.sound)
}

/// Runs `idle`.
pub fn run_idle(args: &IdleArgs) -> Result<bool, Failure> {
    // No message is posted, so no channel is needed.
    let nowhere = PostArgs { channel: 0, poster_token: None, size: 0 };
    let chat = Chat { seconds: args.seconds, ..chat_of(&args.pool, &nowhere)? };
    let report = chat::run_idle(&chat)?.report;
    print_report(args.pool.json.as_deref(), &report)?;
    Ok(report.sound)
}

/// Runs `fanout`.
pub fn run_fanout(args: &FanoutArgs) -> Result<bool, Failure> {
    let Chat { server, tokens, sessions, zlib, connect_rate, threads, seed, .. } = chat_of(&args.pool, &args.post)?;
    let (messages, turns) = (args.messages.max(1), args.turns.max(1));
    let token = args.post.poster_token.clone().unwrap_or_else(|| tokens.get(0).to_owned());
    let fanout = Fanout {
        target: MessageTarget { server, channel: args.post.channel.to_string(), token },
        size: args.post.size,
        pool: clients::settings::Settings {
            server,
            tokens,
            sessions,
            // One more than the turns have: the first pays for what is allocated.
            script: Arc::new(Script::of_channel(sessions, messages * turns + 1, 1e9)),
            marker: Marker::new(&format!("{:x}", clock::now_ns())),
            commands: clients::settings::Commands::NONE,
            zlib,
            connect_rate,
            handshakes: limits::HANDSHAKES_MAX,
            threads,
            seed,
        },
        messages,
        turns,
        server_pid: args.pool.server_pid.ok_or("--server-pid is needed: the server's CPU time is the question")?,
        against: args.pulse.as_deref().and_then(RawSendCommand::new).map_or(Against::Raw, Against::RawSendCommand),
        quiet: args.pool.quiet,
    };
    let report = fanout::run(&fanout)?;
    print_report(args.pool.json.as_deref(), &report)?;
    Ok(report.sound)
}

/// What all runs on one channel have in common; without traffic.
fn chat_of(args: &SessionArgs, post: &PostArgs) -> Result<Chat, Failure> {
    args.check(post)?;
    Ok(Chat {
        server: server(&args.server)?,
        tokens: Arc::new(read_tokens(&args.tokens)?),
        sessions: args.sessions,
        channel: post.channel,
        author: post.poster_token.clone(),
        rate: 0.0,
        seconds: 0.0,
        size: post.size as u32,
        cut: 0.0,
        zlib: args.compress.is_some(),
        connect_rate: args.connect_rate.unwrap_or(CONNECT_RATE),
        threads: args.threads,
        seed: args.seed,
        server_pid: args.server_pid,
        patience: limits::STALL_TIME,
        quiet: args.quiet,
    })
}
