//! What several commands share: the sessions, the messages, the server's address, and how a report is printed.

use std::fmt::Display;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::base::limits;

/// What went wrong before or in place of a run.
pub type Failure = Box<dyn std::error::Error>;

/// Sessions of a server, in all commands that connect some.
#[derive(Debug, Args)]
pub struct SessionArgs {
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
    /// Threads of the pool; 0: half as many as there are CPUs, or more if the limit of open files asks for them.
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

impl SessionArgs {
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

/// The address in `http://HOST:PORT`.
pub fn server(url: &str) -> Result<SocketAddr, Failure> {
    let Some(rest) = url.strip_prefix("http://") else { return Err("the server's URL must begin with http://".into()) };
    let authority = rest.split('/').next().unwrap_or(rest);
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    address.to_socket_addrs()?.next().ok_or_else(|| "the server has no address".into())
}

/// Prints a report, and writes it as JSON if that is wanted.
pub fn print_report(json: Option<&Path>, report: &(impl Display + Serialize)) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{report}")?;
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(report)?)?;
    }
    Ok(())
}
