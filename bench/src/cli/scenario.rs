//! The commands that concern scenarios and traces, and no server: `scenarios`, `synth`, `trace`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::arguments::Failure;
use crate::model::scenario::load::{BUILT_IN, load};
use crate::model::scenario::synth::{Made, Options, synth};
use crate::model::trace::file;
use crate::model::trace::summary::summary;

/// A scenario, and what a trace is made of it with.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// A scenario that `scenarios` lists, or a TOML file.
    #[arg(value_name = "NAME|FILE")]
    scenario: String,
    /// What all chances depend on: the same seed makes the same trace.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How large: 0.01 is a hundredth of the people, with the same traffic for each.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// How long, instead of what the scenario says.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Multiplies messages and reactions.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    rate: f64,
}

impl ScenarioArgs {
    /// Makes the trace.
    pub fn make(&self) -> Result<Made, Failure> {
        let options = Options { seed: self.seed, scale: self.scale, seconds: self.seconds, rate: self.rate };
        Ok(synth(&load(&self.scenario)?, &options)?)
    }
}

/// How a trace is made.
#[derive(Debug, Args)]
pub struct SynthArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Where the trace goes. Left out: it is only counted.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A trace to look at.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The trace.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Makes a trace, writes it if there is somewhere to, and tells what is in it.
pub fn run_synth(args: &SynthArgs) -> Result<bool, Failure> {
    let made = args.scenario.make()?;
    if let Some(path) = &args.out {
        file::write(&made.trace, path)?;
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", summary(&made.trace))?;
    for (what, count) in &made.skipped {
        writeln!(out, "left out: {count} × {what}, since nobody was there who could")?;
    }
    Ok(true)
}

/// Tells what is in a trace.
pub fn run_trace(args: &TraceArgs) -> Result<bool, Failure> {
    let reading = file::read(&args.file)?;
    for warning in &reading.warnings {
        eprintln!("guildhall-bench: {warning}");
    }
    writeln!(std::io::stdout(), "{}", summary(&reading.trace))?;
    Ok(true)
}

/// Lists the scenarios that come with the program.
pub fn run_scenarios() -> Result<bool, Failure> {
    let mut out = std::io::stdout();
    for (name, _) in BUILT_IN {
        writeln!(out, "{name:<20} {}", load(name)?.about)?;
    }
    Ok(true)
}
