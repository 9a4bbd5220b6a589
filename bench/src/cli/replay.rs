//! The commands that play a trace: `run`, which makes it of a scenario first, and `replay`, which reads it.
//!
//! Both play it on a server that is there (`--server`, `--town`), or start a Guildhall of their own for it
//! (`--guildhall`).

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::base::{descriptor_table, limits};
use crate::baseline::raw::{How, RawSenders};
use crate::cli::arguments::{Failure, server};
use crate::cli::scenario::ScenarioArgs;
use crate::model::fixture::Fixture;
use crate::model::trace::{Trace, file};
use crate::report::findings::Findings;
use crate::report::folder;
use crate::report::run::Baseline;
use crate::runs::replay::Run;
use crate::runs::server_process::{ServerOptions, ServerProcess};
use crate::runs::{replay, server_process};

/// Rounds of each way to send, in turn.
const BASELINE_ROUNDS: u32 = 10;

/// A scenario to be played.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// A trace to be played.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A trace, made up or recorded.
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// How many times faster than written.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    #[command(flatten)]
    how: HowArgs,
}

/// On what, and with what.
#[derive(Debug, Args)]
struct HowArgs {
    /// Starts this Guildhall for the run, with guilds of its own, and stops it afterwards.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["server", "fixture", "tokens", "server_pid"])]
    guildhall: Option<PathBuf>,
    /// Shards of that Guildhall.
    #[arg(long, value_name = "N", requires = "guildhall")]
    cores: Option<u32>,
    /// A further argument of that Guildhall's `serve`; can be repeated.
    #[arg(long = "serve-arg", value_name = "ARGUMENT", requires = "guildhall", allow_hyphen_values = true)]
    serve: Vec<String>,
    /// A server that is there, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", required_unless_present = "guildhall", requires = "fixture")]
    server: Option<String>,
    /// The trace's guilds on that server: a JSON file.
    #[arg(long, alias = "town", value_name = "FILE")]
    fixture: Option<PathBuf>,
    /// A file with one token per line, in place of those in the fixture.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// That server's process, whose CPU time and memory are read from /proc.
    #[arg(long, value_name = "PID")]
    server_pid: Option<i32>,
    /// The folder of the report. What an earlier run wrote there is replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Compares with what the kernel alone takes, after the run, on the same number of sockets.
    #[arg(long, value_name = "WHAT", value_parser = ["raw"])]
    baseline: Option<String>,
    /// New connections per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 4_000.0)]
    connect_rate: f64,
    /// Threads of the pool; 0: as many as the limit of open files asks for.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: u32,
    /// `zlib-stream`.
    #[arg(long, value_name = "WHAT", value_parser = ["zlib-stream"])]
    compress: Option<String>,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// Makes a trace of a scenario and plays it.
pub fn run_scenario(args: &RunArgs) -> Result<bool, Failure> {
    let made = args.scenario.make()?;
    for (what, count) in &made.skipped {
        eprintln!("guildhall-bench: {count} × {what} left out, since nobody was there who could");
    }
    play(made.trace, 1.0, &args.how)
}

/// Reads a trace and plays it.
pub fn run_trace(args: &ReplayArgs) -> Result<bool, Failure> {
    if !args.speed.is_finite() || args.speed <= 0.0 {
        return Err("the speed must be above 0".into());
    }
    let reading = file::read(&args.trace)?;
    for warning in &reading.warnings {
        eprintln!("guildhall-bench: {warning}");
    }
    play(reading.trace, args.speed, &args.how)
}

fn play(trace: Trace, speed: f64, how: &HowArgs) -> Result<bool, Failure> {
    if how.connect_rate.is_nan() || how.connect_rate <= 0.0 {
        return Err("the connect rate must be above 0".into());
    }
    std::fs::create_dir_all(&how.out).map_err(|error| format!("{}: {error}", how.out.display()))?;
    let trace = Arc::new(trace);
    let (fixture, host) = match &how.guildhall {
        Some(program) => {
            let (fixture, host) = start_server(&trace, program, how)?;
            (fixture, Some(host))
        }
        None => {
            let path = how.fixture.as_deref().ok_or("--fixture is needed")?;
            (Fixture::read(path, how.tokens.as_deref())?, None)
        }
    };
    let (address, label, server_pid): (SocketAddr, String, Option<i32>) = match (&host, &how.server) {
        (Some(host), _) => (host.address, host.label.clone(), Some(host.pid())),
        (None, Some(url)) => (server(url)?, url.clone(), how.server_pid),
        (None, None) => return Err("--server or --guildhall is needed".into()),
    };
    let fixture = Arc::new(fixture);
    let run = Run {
        trace: trace.clone(),
        fixture,
        server: address,
        label,
        server_pid,
        author: None,
        speed,
        zlib: how.compress.is_some(),
        connect_rate: how.connect_rate,
        threads: how.threads,
        seed: trace.header.seed.unwrap_or(1),
        patience: limits::STALL_TIME,
        quiet: how.quiet,
    };
    let mut findings = replay::run(&run)?;
    if let Some(host) = host {
        findings.report.server_histograms = stop_server(host, how)?;
    }
    if how.baseline.is_some() {
        compare_with_kernel(&mut findings, how.quiet)?;
    }
    folder::write(&findings, &how.out)?;
    writeln!(std::io::stdout(), "{}\n\nreport: {}/", findings.report, how.out.display())?;
    Ok(findings.report.sound)
}

/// Makes a data directory with the trace's guilds, and starts a server on it.
fn start_server(trace: &Trace, program: &Path, how: &HowArgs) -> Result<(Fixture, ServerProcess), Failure> {
    let data = how.out.join("host");
    // Only what an earlier run has left: a folder with a fixture.
    if data.join(server_process::TOWN).exists() {
        std::fs::remove_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    }
    let terms = ServerOptions { program: program.to_owned(), data, cores: how.cores, arguments: how.serve.clone() };
    if !how.quiet {
        let members: u64 = trace.guilds.iter().map(|guild| guild.members).sum();
        eprintln!("making {} guilds with {members} members", trace.guilds.len());
    }
    let fixture = server_process::create_fixture(&terms, trace)?;
    let host = ServerProcess::start(&terms)?;
    Ok((fixture, host))
}

/// Stops the server and keeps what it wrote about itself; its data go.
fn stop_server(host: ServerProcess, how: &HowArgs) -> Result<Option<String>, Failure> {
    let histograms = host.stop()?;
    let data = how.out.join("host");
    let log = how.out.join("server.log");
    std::fs::rename(data.join(server_process::LOG), &log).map_err(|error| format!("{}: {error}", log.display()))?;
    let kept = how.out.join("server-histograms");
    let mut found = None;
    if let Some(histograms) = histograms {
        if kept.exists() {
            std::fs::remove_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        }
        std::fs::rename(histograms, &kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        found = Some("server-histograms".to_owned());
    }
    std::fs::remove_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    Ok(found)
}

/// Sends as many bytes to as many sockets by the kernel alone.
fn compare_with_kernel(findings: &mut Findings, quiet: bool) -> Result<(), Failure> {
    let report = &mut findings.report;
    let sockets = report.arrival.live.clamp(1, descriptor_table::room().max(1));
    let bytes = (report.traffic.bytes_per_delivery as usize).max(1);
    if !quiet {
        eprintln!("comparing with plain sends of {bytes} bytes to {sockets} sockets");
    }
    let mut senders = RawSenders::open(sockets)?;
    for (how, name) in [(How::Send, "raw send"), (How::Uring, "raw io_uring")] {
        senders.turn(how, bytes, 1)?; // the first round pays for what the kernel allocates
        let value = senders.turn(how, bytes, BASELINE_ROUNDS)?.cpu_us_per_send();
        let ratio = report.server.cpu_us_per_delivery.map(|server| server / value);
        let what = "CPU per delivery".to_owned();
        report.baselines.push(Baseline { name: name.into(), what, value, unit: "µs".into(), ratio });
    }
    Ok(())
}
