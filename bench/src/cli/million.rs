//! `million` on the command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::base::limits;
use crate::baseline::pulse::RawSendCommand;
use crate::cli::arguments::{Failure, PostArgs, SessionArgs, print_report, server};
use crate::model::fixture::read_tokens;
use crate::runs::million::run;
use crate::runs::million::settings::{Million, Step};

/// A guild and its sessions, each of whom has a token of its own.
#[derive(Debug, Args)]
pub struct MillionArgs {
    /// The sessions.
    #[command(flatten)]
    pub pool: SessionArgs,
    #[command(flatten)]
    post: PostArgs,
    /// The guild's id. It must be large for the server: its people get no messages until they subscribe.
    #[arg(long, value_name = "ID")]
    guild: u64,
    /// What is done once all have come, in the order of this list.
    #[arg(long, value_name = "STEP", value_delimiter = ',', default_value = "tenth,all,resume,presence,list,stall")]
    steps: Vec<Step>,
    /// The command that has the server write bytes to all its connections; their number is added to it.
    #[arg(long, value_name = "COMMAND")]
    pulse: Option<String>,
    /// The same, while it goes on answering heartbeats as it does while a message goes out.
    #[arg(long, value_name = "COMMAND")]
    paced_pulse: Option<String>,
    /// Turns of message and raw loop.
    #[arg(long, value_name = "N", default_value_t = 3)]
    turns: u32,
    /// How long passive sessions are waited for until all know what is unread: more than the server's interval.
    #[arg(long, value_name = "S", default_value_t = 90.0)]
    unread_seconds: f64,
    /// How long those who stop reading are waited for until the server has cut them: more than one and a half
    /// heartbeats.
    #[arg(long, value_name = "S", default_value_t = 75.0)]
    stall_seconds: f64,
    /// How long server and pool are watched at rest, once all have come: what heartbeats take is distinguished from
    /// what steps take.
    #[arg(long, value_name = "S", default_value_t = 15.0)]
    rest_seconds: f64,
    /// Handshakes at a time, in all.
    #[arg(long, value_name = "N", default_value_t = limits::HANDSHAKES_CROWD_MAX)]
    handshakes: u32,
    /// Writes everything to a file, as Markdown.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Runs `million`.
pub fn run_million(args: &MillionArgs) -> Result<bool, Failure> {
    let MillionArgs { pool, post, .. } = args;
    let tokens = read_tokens(&pool.tokens)?;
    pool.check(post)?;
    if args.handshakes == 0 || tokens.len() < pool.sessions as usize {
        let (count, at_a_time) = (tokens.len(), args.handshakes);
        return Err(format!("{} sessions, {count} tokens, {at_a_time} handshakes at a time", pool.sessions).into());
    }
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    let million = Million {
        server: server(&pool.server)?,
        server_pid: pool.server_pid,
        tokens: Arc::new(tokens),
        author: post.poster_token.clone(),
        sessions: pool.sessions,
        guild: args.guild,
        channel: post.channel,
        steps: args.steps.clone(),
        pulse: args.pulse.as_deref().and_then(RawSendCommand::new),
        paced_pulse: args.paced_pulse.as_deref().and_then(RawSendCommand::new),
        size: post.size,
        turns: args.turns.max(1),
        unread: seconds(args.unread_seconds)?,
        stall: seconds(args.stall_seconds)?,
        rest: seconds(args.rest_seconds)?,
        zlib: pool.compress.is_some(),
        connect_rate: pool.connect_rate.unwrap_or(1e9),
        handshakes: args.handshakes,
        threads: pool.threads,
        patience: limits::MILLION_PATIENCE,
        seed: pool.seed,
        quiet: pool.quiet,
    };
    let report = run::run(&million)?;
    if let Some(path) = &args.page {
        std::fs::write(path, report.page()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    print_report(pool.json.as_deref(), &report)?;
    Ok(report.sound)
}
