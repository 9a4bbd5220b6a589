//! The command line's `peer`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::base::{limits, proc};
use crate::cli::arguments::{Failure, print_report};
use crate::runs::peers::peer::{Peer, Publish, Shape};
use crate::runs::peers::run::Settings;
use crate::runs::peers::target::Target;
use crate::runs::peers::{nchan, peer, run};

/// What is measured, and how.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Where one subscribes, such as ws://127.0.0.1:7000/sub.
    #[arg(long, value_name = "URL", required_unless_present = "nchan", conflicts_with = "nchan")]
    subscribe: Option<String>,
    /// How one publishes: `POST http://...` (the body is the message) or `FRAME ws://...` (a text frame is).
    /// A colon may stand for the space.
    #[arg(long, value_name = "HOW", conflicts_with_all = ["publish_frame", "nchan"])]
    publish: Option<String>,
    /// Publishes by text frames on a WebSocket where one subscribes.
    #[arg(long, conflicts_with = "nchan")]
    publish_frame: bool,
    /// An nginx with nchan, such as http://127.0.0.1:8099, with /sub/NAME and /pub/NAME.
    #[arg(long, value_name = "URL")]
    nchan: Option<String>,
    /// A further header of the upgrade requests, `Name: value`.
    #[arg(long, value_name = "HEADER", value_parser = peer::header)]
    header: Vec<(String, String)>,
    /// A further header of the requests that publish.
    #[arg(long, value_name = "HEADER", value_parser = peer::header)]
    publish_header: Vec<(String, String)>,
    /// What a subscriber says in a text frame as soon as it is connected.
    #[arg(long, value_name = "TEXT")]
    first_frame: Option<String>,
    /// A delivery contains the message. Otherwise it must be the message, byte for byte.
    #[arg(long)]
    within: bool,
    /// The server's name in tables.
    #[arg(long, value_name = "NAME", default_value = "peer")]
    name: String,
    /// How many subscribers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Messages per second.
    #[arg(long, value_name = "PER_SECOND")]
    rate: f64,
    /// For how long; with --saturate, also how long each step takes.
    #[arg(long, value_name = "S")]
    seconds: f64,
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value_t = 300)]
    size: usize,
    /// Threads of the subscribers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: u32,
    /// New connections per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 4_000.0)]
    connect_rate: f64,
    /// Afterwards raises the rate in steps, to find the highest that the server keeps up with.
    #[arg(long)]
    saturate: bool,
    /// A process of the server, whose CPU time and memory are read from /proc. May be given several times.
    #[arg(long, value_name = "PID")]
    server_pid: Vec<i32>,
    /// A process of the server that counts together with its children.
    #[arg(long, value_name = "PID")]
    server_pid_of_children: Option<i32>,
    /// Writes everything to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Appends a line to a file, as JSON: this server's in a table of several.
    #[arg(long, value_name = "FILE")]
    row: Option<PathBuf>,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// Runs `peer`.
pub fn run_peer(args: &PeerArgs) -> Result<bool, Failure> {
    let report = run::run(&settings(args)?)?;
    if let Some(path) = &args.row {
        report.row().append(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    print_report(args.json.as_deref(), &report)?;
    Ok(report.sound)
}

fn settings(args: &PeerArgs) -> Result<Settings, Failure> {
    let is_positive = |number: f64| number.is_finite() && number > 0.0;
    if !is_positive(args.rate) || !is_positive(args.seconds) || !is_positive(args.connect_rate) {
        return Err("the rate, the time and the connect rate must be above 0".into());
    }
    if args.rate > limits::PEER_RATE_MAX {
        return Err(format!("the rate may be at most {}", limits::PEER_RATE_MAX).into());
    }
    if !(limits::PEER_BYTES_MIN..=limits::PEER_BYTES_MAX).contains(&args.size) {
        let (least, most) = (limits::PEER_BYTES_MIN, limits::PEER_BYTES_MAX);
        return Err(format!("a message has from {least} to {most} bytes").into());
    }
    let mut server_pids = args.server_pid.clone();
    if let Some(parent) = args.server_pid_of_children {
        server_pids.push(parent);
        server_pids.extend(proc::children(parent));
    }
    server_pids.sort_unstable();
    server_pids.dedup();
    Ok(Settings {
        peer: peer(args)?,
        subscribers: args.sessions,
        rate: args.rate,
        seconds: args.seconds,
        size: args.size,
        threads: args.threads,
        connect_rate: args.connect_rate,
        server_pids,
        saturate: args.saturate,
        patience: limits::STALL_TIME,
        quiet: args.quiet,
    })
}

fn peer(args: &PeerArgs) -> Result<Arc<Peer>, Failure> {
    if let Some(url) = &args.nchan {
        return Ok(Arc::new(nchan::at(url)?));
    }
    let url = args.subscribe.as_deref().unwrap_or_default();
    let subscribe = Target::parse(url, "ws")?;
    let publish = match &args.publish {
        Some(how) => Publish::parse(how, args.publish_header.clone())?,
        None if args.publish_frame => Publish::Frame(subscribe.clone()),
        None => return Err("one of --publish and --publish-frame is needed".into()),
    };
    Ok(Arc::new(Peer {
        name: args.name.clone(),
        subscribe,
        headers: args.header.clone(),
        first_frame: args.first_frame.clone(),
        publish,
        shape: if args.within { Shape::Within } else { Shape::Whole },
    }))
}
