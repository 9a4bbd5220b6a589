//! `guildhall serve`: everything started, in order; everything stopped, in order.
//!
//! Lives on: the main thread, which waits for signals in between. Read next: `cores.rs`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use flume::Receiver;
use tracing_subscriber::EnvFilter;

use crate::base::clock::{self, Time};
use crate::base::fatal::Fatal;
use crate::base::id::UserId;
use crate::base::metrics::Metrics;
use crate::boot::config::{Config, LogFormat, ServeArgs};
use crate::boot::cores::{CoreSet, CoresPlan};
use crate::boot::signals::{self, Signal};
use crate::boot::tables::Room;
use crate::boot::{listener, preflight};
use crate::observe::histograms::{self, Dump, Folder};
use crate::observe::recording::{Recorder, Recording};
use crate::operate::control;
use crate::store::database;
use crate::store::directory::DataDir;
use crate::store::service::{Outcome, Service, Work};
use crate::store::token::Signer;
use crate::store::{Found, Query};

/// Runs the server until a signal ends it.
pub fn serve(args: ServeArgs) -> Result<(), Fatal> {
    let config = Config::read(args)?;
    log_to_stderr(&config)?;
    preflight::io_uring()?;
    preflight::raise_open_files();
    let laid = config.descriptor_tables.lay(config.cores)?;
    let directory = DataDir::lock(&config.data)?;
    let spool = directory.empty_spool()?;
    let (listeners, address) = listener::listen(config.listen, config.cores)?;
    let (panic_signals, signals) = signals::listen()?;
    let started = clock::now();
    let mut folder = Folder::new(directory.histograms(), started);

    let (service, store_ends) = Service::start(database::open(&directory.database())?, config.cores)?;
    let signer = Signer::new(service.secret());
    let (recording, recorders) = begin_recording(&config)?;
    let room = Room::new(laid);
    let cores = CoreSet::start(CoresPlan {
        config: &config,
        laid,
        room: room.clone(),
        signer: &signer,
        revoked: revocations(&service)?,
        store_ends,
        spool,
        listeners,
        address,
        recorders,
        signals: panic_signals,
    })?;
    let control = control::start(&directory, &service, &cores.commands, &signer)?;
    let (count, data) = (config.cores, config.data.display());
    say(&format!("guildhall: serving on http://{address} with {count} cores, data in {data}"));
    tracing::info!(%address, cores = count, %data, "serving");
    let (connections, bound) = room.estimate(count);
    say(&format!("guildhall: room for {connections} connections: {bound}"));
    tracing::info!(connections, bound, "room");

    if await_stop(&signals, &cores, &mut folder, started) == Signal::CoreLost {
        // What was acknowledged is on the disk; what is under way was never acknowledged.
        let _ = service.stop();
        return Err(Fatal("a core has panicked (the log says where); start the server again".to_owned()));
    }

    tracing::info!("draining");
    cores.drain(Duration::from_secs(config.drain_seconds));
    control.stop();
    let measured = cores.stop();
    let stopped = service.stop();
    if let Some((path, lines)) = recording.and_then(Recording::finish) {
        say(&format!("guildhall: trace of {lines} lines written to {}", path.display()));
    }
    let dump = dump(started, &measured);
    say(&histograms::table(&dump).to_string());
    say_where(folder.finish(&dump));
    stopped?;
    tracing::info!("stopped");
    Ok(())
}

/// Writes histograms on demand until the process has to end. Returns the signal that ends it.
fn await_stop(signals: &Receiver<Signal>, cores: &CoreSet, folder: &mut Folder, started: Time) -> Signal {
    for signal in signals.iter() {
        match signal {
            Signal::Dump => say_where(folder.snapshot(&dump(started, &cores.measure()))),
            Signal::Stop | Signal::CoreLost => return signal,
        }
    }
    Signal::Stop
}

fn revocations(service: &Service) -> Result<Vec<(UserId, u64)>, Fatal> {
    match service.caller().call(Work::Query(Query::Revocations))? {
        Outcome::Found(Found::Revocations(revoked)) => Ok(revoked),
        other => Err(Fatal(format!("the store answered {other:?} to a question about tokens"))),
    }
}

fn begin_recording(config: &Config) -> Result<(Option<Recording>, Vec<Recorder>), Fatal> {
    let Some(path) = &config.record_trace else { return Ok((None, Vec::new())) };
    let (recording, recorders) = Recording::begin(path, config.cores)?;
    Ok((Some(recording), recorders))
}

fn dump(started: Time, cores: &[Metrics]) -> Dump<'_> {
    Dump { started, ended: clock::now(), version: env!("CARGO_PKG_VERSION"), cores }
}

/// Prints a line. A closed pipe (`guildhall serve | head -1`) is no reason to end without a drain.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn say_where(written: io::Result<PathBuf>) {
    match written {
        Ok(path) => say(&format!("guildhall: histograms written to {}", path.display())),
        Err(error) => tracing::error!(%error, "the histograms could not be written"),
    }
}

fn log_to_stderr(config: &Config) -> Result<(), Fatal> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| Fatal(format!("the log filter {:?} is wrong: {error}", config.log)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Colours are for terminals, not for files.
    let builder = builder.with_ansi(io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
