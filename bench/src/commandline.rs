//! The command line.

use std::fmt::Display;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::ceiling::{self, Ceiling};
use crate::chat::{self, Chat};
use crate::clock;
use crate::fanout::{self, Against, Fanout};
use crate::http::Mailbox;
use crate::idle;
use crate::limits;
use crate::marker::Marker;
use crate::million::{self, command::MillionArgs};
use crate::peers::flags::{self, PeerArgs};
use crate::pulse::Pulse;
use crate::raw;
use crate::replay::{self, ReplayArgs, RunArgs};
use crate::report::compare::{self, CompareArgs};
use crate::results::{self, ResultsArgs};
use crate::scenario::command::{self, SynthArgs, TraceArgs};
use crate::script::Script;
use crate::swarm;
use crate::town::read_tokens;

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

/// Sessions of a server, in all commands that connect some.
#[derive(Debug, Args)]
pub struct SwarmArgs {
    /// The server's address, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// A file with one user token per line.
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
    /// How many sessions; tokens are used again if they do not suffice, but for `million`.
    #[arg(long, value_name = "N")]
    pub sessions: u32,
    /// New connections per second; 4,000 unless said, and for `million` as many as there can be.
    #[arg(long, value_name = "PER_SECOND")]
    pub connect_rate: Option<f64>,
    /// Threads of the swarm; 0: half as many as there are CPUs, or more if the limit of open files asks for them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: u32,
    /// `zlib-stream`.
    #[arg(long, value_name = "WHAT", value_parser = ["zlib-stream"])]
    pub compress: Option<String>,
    /// What chance depends on: cuts, first heartbeats.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The server's process, whose CPU time and memory are read from /proc.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<i32>,
    /// Writes everything to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
}

/// Messages in one channel.
#[derive(Debug, Args)]
pub struct PostArgs {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    pub channel: u64,
    /// Who posts: a user's token, or `Bot` and a bot's. Left out: the first of the file.
    #[arg(long, value_name = "TOKEN")]
    pub poster_token: Option<String>,
    /// Bytes of a message's content.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
}

#[derive(Debug, Args)]
struct ChatArgs {
    #[command(flatten)]
    swarm: SwarmArgs,
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

#[derive(Debug, Args)]
struct IdleArgs {
    #[command(flatten)]
    swarm: SwarmArgs,
    /// How long the sessions stay.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Debug, Args)]
struct FanoutArgs {
    #[command(flatten)]
    swarm: SwarmArgs,
    #[command(flatten)]
    post: PostArgs,
    /// Messages per turn.
    #[arg(long, value_name = "M", default_value_t = 10)]
    messages: u32,
    /// Turns of server and kernel.
    #[arg(long, value_name = "N", default_value_t = 10)]
    turns: u32,
    /// Compares with plain sends of the server's own, over the same sockets: the command that has it write bytes to all its
    /// connections; their number is added to it.
    #[arg(long, value_name = "COMMAND")]
    pulse: Option<String>,
}

#[derive(Debug, Args)]
struct RawArgs {
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
    /// Takes turns by lines on stdin, as `fanout` wants it.
    #[arg(long, hide = true)]
    turns: bool,
}

#[derive(Debug, Args)]
struct RawGatewayArgs {
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

#[derive(Debug, Args)]
struct CeilingArgs {
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

impl SwarmArgs {
    /// Whether there can be such sessions, and such messages.
    pub fn check(&self, post: &PostArgs) -> Result<(), Failure> {
        if self.sessions == 0 || self.connect_rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return Err("there must be sessions and a connect rate".into());
        }
        if post.size > limits::CONTENT_MAX {
            return Err(format!("a message has at most {} bytes", limits::CONTENT_MAX).into());
        }
        Ok(())
    }
}

/// New connections per second, unless said.
const CONNECT_RATE: f64 = 4_000.0;

/// What went wrong before or in place of a run.
type Failure = Box<dyn std::error::Error>;

/// Runs what the command line says. Fails if a run is not sound.
pub fn main() -> ExitCode {
    let sound = match CommandLine::parse().command {
        Command::Chat(args) => run_chat(&args),
        Command::Idle(args) => run_idle(&args),
        Command::Fanout(args) => run_fanout(&args),
        Command::Million(args) => run_million(&args),
        Command::Run(args) => replay::run_scenario(&args),
        Command::Replay(args) => replay::run_trace(&args),
        Command::Scenarios => command::run_scenarios(),
        Command::Synth(args) => command::run_synth(&args),
        Command::Trace(args) => command::run_trace(&args),
        Command::Raw(args) if args.turns => raw::take_turns(args.sockets).map(|()| true).map_err(Failure::from),
        Command::Raw(args) => run_raw(&args),
        Command::Compare(args) => compare::run(&args).map(|()| true).map_err(Failure::from),
        Command::Results(args) => results::run(&args),
        Command::Ceiling(args) => run_ceiling(&args),
        Command::RawGateway(args) => run_raw_gateway(args),
        Command::RawReader { address, sockets, first } => {
            raw::read(address, sockets, first).map(|()| true).map_err(Failure::from)
        }
        Command::Peer(args) => run_peer(&args),
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

fn run_chat(args: &ChatArgs) -> Result<bool, Failure> {
    if !(args.rate > 0.0 && args.seconds > 0.0 && (0.0..=1.0).contains(&args.cut)) {
        return Err("the rate and the time must be above 0, and the cut from 0 to 1".into());
    }
    let chat = Chat { rate: args.rate, seconds: args.seconds, cut: args.cut, ..chat_of(&args.swarm, &args.post)? };
    let mut report = chat::run(&chat)?.report;
    if let Some(name) = &args.name {
        report.header.server.clone_from(name);
    }
    tell(args.swarm.json.as_deref(), &report)?;
    if let Some(path) = &args.row {
        report.row(args.post.size as u64).append(path)?;
    }
    Ok(report.sound)
}

fn run_idle(args: &IdleArgs) -> Result<bool, Failure> {
    // Nobody posts, so no channel is needed.
    let nowhere = PostArgs { channel: 0, poster_token: None, size: 0 };
    let chat = Chat { seconds: args.seconds, ..chat_of(&args.swarm, &nowhere)? };
    let report = idle::run(&chat)?.report;
    tell(args.swarm.json.as_deref(), &report)?;
    Ok(report.sound)
}

fn run_fanout(args: &FanoutArgs) -> Result<bool, Failure> {
    let Chat { server, tokens, sessions, zlib, connect_rate, threads, seed, .. } = chat_of(&args.swarm, &args.post)?;
    let (messages, turns) = (args.messages.max(1), args.turns.max(1));
    let token = args.post.poster_token.clone().unwrap_or_else(|| tokens.get(0).to_owned());
    let fanout = Fanout {
        mailbox: Mailbox { server, channel: args.post.channel.to_string(), token },
        size: args.post.size,
        swarm: swarm::Settings {
            server,
            tokens,
            sessions,
            // One more than the turns have: the first pays for what is allocated.
            script: Arc::new(Script::of_channel(sessions, messages * turns + 1, 1e9)),
            marker: Marker::new(&format!("{:x}", clock::now_ns())),
            commands: swarm::Commands::NONE,
            zlib,
            connect_rate,
            handshakes: limits::HANDSHAKES_MAX,
            threads,
            seed,
        },
        messages,
        turns,
        server_pid: args.swarm.server_pid.ok_or("--server-pid is needed: the server's CPU time is the question")?,
        against: args.pulse.as_deref().and_then(Pulse::new).map_or(Against::Raw, Against::Pulse),
        quiet: args.swarm.quiet,
    };
    let report = fanout::run(&fanout)?;
    tell(args.swarm.json.as_deref(), &report)?;
    Ok(report.sound)
}

fn run_million(args: &MillionArgs) -> Result<bool, Failure> {
    let report = million::command::run(args)?;
    tell(args.swarm.json.as_deref(), &report)?;
    Ok(report.sound)
}

fn run_ceiling(args: &CeilingArgs) -> Result<bool, Failure> {
    let CeilingArgs { sessions, rate, messages, size, quiet, .. } = *args;
    let report = ceiling::run(&Ceiling { sessions, rate, messages, size, quiet })?;
    tell(args.json.as_deref(), &report)?;
    Ok(report.sound)
}

fn run_raw(args: &RawArgs) -> Result<bool, Failure> {
    let mut crowd = raw::Crowd::open(args.sockets)?;
    let mut turns = vec![raw::Turn::default(); args.how.len()];
    for how in &args.how {
        crowd.turn(*how, args.bytes, 1)?; // the first round pays for what the kernel allocates
    }
    for _ in 0..args.rounds {
        for (how, turn) in args.how.iter().zip(&mut turns) {
            turn.add(&crowd.turn(*how, args.bytes, 1)?);
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

fn run_raw_gateway(args: RawGatewayArgs) -> Result<bool, Failure> {
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
            Some(raw::generator::Plan { rate, size, run, messages, sessions })
        }
        _ => None,
    };
    let settings = raw::gateway::Settings { listen: args.listen, threads, how: args.batch, coalesce: args.coalesce };
    raw::gateway::serve(&settings, plan, args.until_eof)?;
    Ok(true)
}

fn run_peer(args: &PeerArgs) -> Result<bool, Failure> {
    let report = flags::run(args)?;
    tell(args.json.as_deref(), &report)?;
    Ok(report.sound)
}

/// What all runs on one channel have in common; without traffic.
fn chat_of(args: &SwarmArgs, post: &PostArgs) -> Result<Chat, Failure> {
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

/// The address in `http://HOST:PORT`.
pub fn server(url: &str) -> Result<SocketAddr, Failure> {
    let Some(rest) = url.strip_prefix("http://") else { return Err("the server's URL must begin with http://".into()) };
    let authority = rest.split('/').next().unwrap_or(rest);
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    address.to_socket_addrs()?.next().ok_or_else(|| "the server has no address".into())
}

/// Prints a report, and writes it as JSON if that is wanted.
fn tell(json: Option<&Path>, report: &(impl Display + Serialize)) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{report}")?;
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(report)?)?;
    }
    Ok(())
}
