//! `million` on the command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::commandline::server;
use crate::limits;
use crate::million::figures::Report;
use crate::million::{self, Million, Step};
use crate::pulse::Pulse;
use crate::town::read_tokens;

/// A guild and its sessions.
#[derive(Debug, Args)]
pub struct MillionArgs {
    /// The server's address, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    server: String,
    /// Its process, whose CPU time and memory are read from /proc.
    #[arg(long, value_name = "PID")]
    server_pid: Option<i32>,
    /// A file with one user token per line: one for each session, all of members of the guild.
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// How many sessions.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    sessions: u32,
    /// The guild's id. It must be large for the server: its people get no messages until they subscribe.
    #[arg(long, value_name = "ID")]
    guild: u64,
    /// The id of a channel that all see.
    #[arg(long, value_name = "ID")]
    channel: u64,
    /// Who posts: a user's token, or `Bot` and a bot's, of somebody who has no session. Left out: the first of the file.
    #[arg(long, value_name = "TOKEN")]
    poster_token: Option<String>,
    /// What is done once all have come, in the order of this list.
    #[arg(long, value_name = "STEP", value_delimiter = ',', default_value = "tenth,all,resume,presence,list,stall")]
    steps: Vec<Step>,
    /// The command that has the server write bytes to all its connections; their number is added to it.
    #[arg(long, value_name = "COMMAND")]
    pulse: Option<String>,
    /// Bytes of a message's content.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// Turns of message and raw loop.
    #[arg(long, value_name = "N", default_value_t = 3)]
    turns: u32,
    /// How long passive sessions are waited for until all know what is unread: more than the server's interval.
    #[arg(long, value_name = "S", default_value_t = 90.0)]
    unread_seconds: f64,
    /// How long those who stop reading are waited for until the server has cut them: more than one and a half heartbeats.
    #[arg(long, value_name = "S", default_value_t = 75.0)]
    stall_seconds: f64,
    /// How long server and swarm are watched at rest, once all have come: what heartbeats take is told apart from what steps take.
    #[arg(long, value_name = "S", default_value_t = 15.0)]
    rest_seconds: f64,
    /// New connections per second; without it, as many as there can be.
    #[arg(long, value_name = "PER_SECOND")]
    connect_rate: Option<f64>,
    /// Handshakes at a time, in all.
    #[arg(long, value_name = "N", default_value_t = limits::HANDSHAKES_CROWD_MAX)]
    handshakes: u32,
    /// Threads of the swarm; 0: half as many as there are CPUs, or more if the limit of open files asks for them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: u32,
    /// `zlib-stream`: an inflater of some 40 KiB for each session.
    #[arg(long, value_name = "WHAT", value_parser = ["zlib-stream"])]
    compress: Option<String>,
    /// What chance depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes everything to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes everything to a file, as Markdown.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// Runs it.
pub fn run(args: &MillionArgs) -> Result<Report, Box<dyn std::error::Error>> {
    let tokens = read_tokens(&args.tokens)?;
    if args.sessions == 0 || args.handshakes == 0 || tokens.len() < args.sessions as usize {
        let count = tokens.len();
        return Err(
            format!("{} sessions, {count} tokens, {} handshakes at a time", args.sessions, args.handshakes).into()
        );
    }
    if args.size > limits::CONTENT_MAX {
        return Err(format!("a message has at most {} bytes", limits::CONTENT_MAX).into());
    }
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    let connect_rate = args.connect_rate.unwrap_or(1e9);
    if connect_rate.is_nan() || connect_rate <= 0.0 {
        return Err("the connect rate must be above 0".into());
    }
    let million = Million {
        server: server(&args.server)?,
        server_pid: args.server_pid,
        tokens: Arc::new(tokens),
        author: args.poster_token.clone(),
        sessions: args.sessions,
        guild: args.guild,
        channel: args.channel,
        steps: args.steps.clone(),
        pulse: args.pulse.as_deref().and_then(Pulse::new),
        size: args.size,
        turns: args.turns.max(1),
        unread: seconds(args.unread_seconds)?,
        stall: seconds(args.stall_seconds)?,
        rest: seconds(args.rest_seconds)?,
        zlib: args.compress.is_some(),
        connect_rate,
        handshakes: args.handshakes,
        threads: args.threads,
        patience: limits::MILLION_PATIENCE,
        seed: args.seed,
        quiet: args.quiet,
    };
    let report = million::run(&million)?;
    if let Some(path) = &args.page {
        std::fs::write(path, report.page()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report)
}
