//! `guildhall serve`: everything started, in order; everything stopped, in order.
//!
//! Lives on: the main thread, which then waits for signals.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flume::Sender;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement as Pinning};
use tracing_subscriber::EnvFilter;

use crate::base::clock::{self, Time};
use crate::base::metrics::Metrics;
use crate::base::prng::Prng;
use crate::boot::admin::errand;
use crate::boot::config::{Config, LogFormat, ServeArgs};
use crate::boot::core::{self, CoreParts, Lifeline, Order};
use crate::boot::histograms::{self, Dump, Folder};
use crate::boot::recording::Recording;
use crate::boot::signals::{self, Wish};
use crate::boot::tables::{Laid, Room, Split};
use crate::boot::{Fatal, control, listener, preflight};
use crate::guild::list::Listing;
use crate::limits;
use crate::mail::placement::{CoreId, Placement};
use crate::mesh::{self, fd_passing};
use crate::shard::ShardSettings;
use crate::store::directory::DataDir;
use crate::store::service::{Outcome, Service, Work};
use crate::store::token::Signer;
use crate::store::{Found, Query};

/// Runs the server until it is told to stop.
pub fn serve(args: ServeArgs) -> Result<(), Fatal> {
    let config = Config::read(args)?;
    log_to_stderr(&config)?;
    preflight::io_uring()?;
    preflight::raise_open_files();
    let laid = config.descriptor_tables.lay(config.cores)?;
    let private_tables = laid == Laid::Private;
    let directory = DataDir::lock(&config.data)?;
    let (listeners, address) = listener::listen(config.listen, config.cores)?;
    let (wisher, wishes) = signals::listen()?;
    let started = clock::now();
    let mut folder = Folder::new(directory.histograms(), started);

    let (service, store_ends) = Service::start(&directory.database(), config.cores)?;
    let signer = Signer::new(service.secret());
    let revoked = match service.caller().call(Work::Query(Query::Revocations))? {
        Outcome::Found(Found::Revocations(revoked)) => revoked,
        other => return Err(Fatal(format!("the store answered {other:?} to a question about tokens"))),
    };

    let placement = Placement::over(config.cores as u16);
    let (ready, readiness) = flume::bounded(config.cores);
    let mut orders = Vec::new();
    let mut executors: Vec<ExecutorJoinHandle<Metrics>> = Vec::new();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = mesh::connect(config.cores).map_err(|error| Fatal(format!("no descriptors for the lanes: {error}")))?;
    let fd_passings = fd_passing::connect(config.cores, private_tables)
        .map_err(|error| Fatal(format!("no descriptors for the lanes: {error}")))?;
    let owned = lanes.iter().zip(&fd_passings).zip(&listeners).map(|((lanes, fd_passing), listener)| {
        let reading = [lanes.wakeup.descriptor(), fd_passing.descriptor()];
        reading.into_iter().flatten().chain([listener.as_raw_fd()]).collect()
    });
    let split = private_tables.then(|| Arc::new(Split::new(owned.collect())));
    let room = Room::new(laid);
    let is_crowded = config.cores > cpus * limits::CROWD;
    let longest_sleep = if is_crowded { limits::SLEEP_MAX_CROWDED } else { limits::SLEEP_MAX };
    let (recording, recorders) = match &config.record_trace {
        Some(path) => {
            let (recording, recorders) = Recording::begin(path, config.cores)?;
            (Some(recording), recorders.into_iter().map(Some).collect())
        }
        None => (None, Vec::new()),
    };
    let recorders = recorders.into_iter().chain(std::iter::repeat_with(|| None));
    let ends = lanes.into_iter().zip(fd_passings).zip(store_ends).zip(listeners).zip(recorders);
    for (index, ((((lanes, fd_passing), store), listener), recorder)) in ends.enumerate() {
        let (sender, receiver) = flume::bounded(limits::ORDERS);
        orders.push(sender);
        let parts = CoreParts {
            shard: ShardSettings {
                me: CoreId(index as u16),
                placement,
                prng: Prng::from_entropy(errand::entropy()?),
                passivity: config.passivity,
                pace: config.pace,
                listing: Listing::default(),
                revoked: revoked.clone(),
            },
            settings: config.settings.clone(),
            signer: signer.clone(),
            store,
            lanes,
            fd_passing,
            listener,
            address,
            room: room.clone(),
            longest_sleep,
            flush: config.flush,
            split: split.clone(),
            recorder,
            orders: receiver,
            ready: ready.clone(),
            lifeline: Lifeline(wisher.clone()),
        };
        // More shards than CPUs: the kernel spreads them; none spins, so they do not take each other's time in vain.
        let pinning = if config.cores <= cpus { Pinning::Fixed(index) } else { Pinning::Unbound };
        let executor = LocalExecutorBuilder::new(pinning)
            .name(&format!("core-{index}"))
            .ring_depth(limits::RING_DEPTH)
            .io_memory(limits::RING_IO_MEMORY)
            .preempt_timer(limits::PREEMPT)
            .spawn(move || core::run(parts))
            .map_err(|error| Fatal(format!("core {index} could not be started: {error}")))?;
        executors.push(executor);
    }
    for _ in 0..config.cores {
        let served = readiness.recv_timeout(Duration::from_secs(30));
        served
            .map_err(|_| Fatal("a core did not come up within 30 seconds".to_owned()))?
            .map_err(|error| Fatal(format!("a core could not begin: {error}")))?;
    }
    if let Some(split) = &split {
        split.leave_to_cores();
    }
    let control = control::start(&directory, &service, &orders, &signer)?;
    say(&format!(
        "guildhall: serving on http://{address} with {} cores, data in {}",
        config.cores,
        config.data.display()
    ));
    tracing::info!(%address, cores = config.cores, data = %config.data.display(), "serving");
    let (connections, bound) = room.estimate(config.cores);
    say(&format!("guildhall: room for {connections} connections: {bound}"));
    tracing::info!(connections, bound, "room");

    for wish in wishes.iter() {
        match wish {
            Wish::Dump => {
                let measured = measure(&orders);
                say_where(folder.snapshot(&dump(started, &measured)));
            }
            Wish::Stop => break,
            Wish::CoreLost => {
                // What was acknowledged is on the disk; what is under way never was.
                let _ = service.stop();
                return Err(Fatal("a core has panicked (the log says where); start the server again".to_owned()));
            }
        }
    }

    tracing::info!("draining");
    let time = Duration::from_secs(config.drain_seconds);
    let (done, drained) = flume::bounded(config.cores);
    for core in &orders {
        let _ = core.send(Order::Drain(time, done.clone()));
    }
    for _ in &orders {
        // A core that hangs does not keep the others from ending.
        let _ = drained.recv_timeout(time + Duration::from_secs(2));
    }
    control.stop();
    for core in &orders {
        let _ = core.send(Order::Stop);
    }
    let mut measured = Vec::new();
    for (index, executor) in executors.into_iter().enumerate() {
        match executor.join() {
            Ok(metrics) => measured.push(metrics),
            Err(error) => {
                tracing::error!(core = index, %error, "a core ended badly");
                // Its place stays, so that the others keep their numbers.
                measured.push(Metrics::default());
            }
        }
    }
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

/// What each core has measured so far; nothing where a core does not answer.
fn measure(orders: &[Sender<Order>]) -> Vec<Metrics> {
    let ask = |core: &Sender<Order>| {
        let (reply, metrics) = flume::bounded(1);
        core.send(Order::Measure(reply)).ok()?;
        metrics.recv_timeout(Duration::from_secs(5)).ok()
    };
    let answer = |(index, core)| {
        ask(core).unwrap_or_else(|| {
            tracing::warn!(core = index, "a core did not say what it measured");
            Metrics::default()
        })
    };
    orders.iter().enumerate().map(answer).collect()
}

fn dump(started: Time, cores: &[Metrics]) -> Dump<'_> {
    Dump { started, ended: clock::now(), version: env!("CARGO_PKG_VERSION"), cores }
}

/// Prints a line. Nobody may read any more (`guildhall serve | head -1`), which is no reason to end without a drain.
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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people who look on.
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
