//! All cores of the process: started together, commanded together, joined together.
//!
//! Lives on: the main thread.
//! Invariant: everything that cores share by descriptor is made here, before any descriptor table is split.
//! Read next: `core.rs` for one core, `tables.rs` for the split.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flume::{Receiver, Sender};
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement as Pinning};
use socket2::Socket;

use crate::base::fatal::Fatal;
use crate::base::id::UserId;
use crate::base::metrics::Metrics;
use crate::base::prng::Prng;
use crate::boot::config::Config;
use crate::boot::core::{self, CoreParts, PanicGuard};
use crate::boot::signals::Signal;
use crate::boot::tables::{Laid, Room, Split};
use crate::boot::turn::LaneMail;
use crate::guild::list::ListSettings;
use crate::limits;
use crate::mail::placement::Placement;
use crate::mail::site::Site;
use crate::mesh::fd_passing::{self, FdPassing};
use crate::mesh::{self, LaneEnds};
use crate::observe::recording::Recorder;
use crate::operate::core_command::CoreCommand;
use crate::operate::entropy::entropy;
use crate::shard::ShardSettings;
use crate::store::service::StoreEnd;
use crate::store::token::Signer;

/// What each core gets a copy or a part of.
pub struct CoresPlan<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Who has which descriptor table.
    pub laid: Laid,
    /// Room for connections.
    pub room: Room,
    /// Checks and issues tokens.
    pub signer: &'a Signer,
    /// Users with revoked tokens, and the Unix millisecond from which their tokens are valid.
    pub revoked: Vec<(UserId, u64)>,
    /// One end of the store for each core.
    pub store_ends: Vec<StoreEnd>,
    /// The folder for files of requests under way.
    pub spool: PathBuf,
    /// One listener for each core.
    pub listeners: Vec<Socket>,
    /// Where they listen.
    pub address: SocketAddr,
    /// One recorder for each core; none without a recording.
    pub recorders: Vec<Recorder>,
    /// Receives a signal when a core panics.
    pub signals: Sender<Signal>,
}

/// The running cores.
pub struct CoreSet {
    /// Where each core takes its commands, by number.
    pub commands: Vec<Sender<CoreCommand>>,
    executors: Vec<ExecutorJoinHandle<Metrics>>,
}

impl CoreSet {
    /// Starts all cores and waits until they serve.
    pub fn start(plan: CoresPlan<'_>) -> Result<CoreSet, Fatal> {
        let (count, private_tables) = (plan.config.cores, plan.laid == Laid::Private);
        let no_lanes = |error: io::Error| Fatal(format!("no descriptors for the lanes: {error}"));
        let lanes = mesh::connect(count).map_err(no_lanes)?;
        let passings = fd_passing::connect(count, private_tables).map_err(no_lanes)?;
        let split = private_tables.then(|| Arc::new(Split::new(own_descriptors(&lanes, &passings, &plan.listeners))));
        let (ready, readiness) = flume::bounded(count);
        let parts = parts(plan, lanes, passings, split.as_ref(), &ready)?;
        let mut cores = CoreSet { commands: Vec::with_capacity(count), executors: Vec::with_capacity(count) };
        for (parts, sender) in parts {
            cores.commands.push(sender);
            cores.executors.push(spawn(parts, count)?);
        }
        await_all(&readiness, count)?;
        if let Some(split) = &split {
            split.leave_to_cores();
        }
        Ok(cores)
    }

    /// What each core has measured so far; nothing for a core that does not answer.
    pub fn measure(&self) -> Vec<Metrics> {
        let ask = |core: &Sender<CoreCommand>| {
            let (reply, metrics) = flume::bounded(1);
            core.send(CoreCommand::Measure(reply)).ok()?;
            metrics.recv_timeout(Duration::from_secs(5)).ok()
        };
        let answer = |(index, core)| {
            ask(core).unwrap_or_else(|| {
                tracing::warn!(core = index, "a core did not say what it measured");
                Metrics::default()
            })
        };
        self.commands.iter().enumerate().map(answer).collect()
    }

    /// Drains all cores, within the time.
    pub fn drain(&self, time: Duration) {
        let (done, drained) = flume::bounded(self.commands.len());
        for core in &self.commands {
            let _ = core.send(CoreCommand::Drain(time, done.clone()));
        }
        for _ in &self.commands {
            // A core that hangs must not keep the others from ending.
            let _ = drained.recv_timeout(time + Duration::from_secs(2));
        }
    }

    /// Stops and joins all cores. Returns what they measured, by number.
    pub fn stop(self) -> Vec<Metrics> {
        for core in &self.commands {
            let _ = core.send(CoreCommand::Stop);
        }
        let join = |(index, executor): (usize, ExecutorJoinHandle<Metrics>)| {
            executor.join().unwrap_or_else(|error| {
                tracing::error!(core = index, %error, "a core ended badly");
                // An empty entry keeps the others at their numbers.
                Metrics::default()
            })
        };
        self.executors.into_iter().enumerate().map(join).collect()
    }
}

/// The descriptors that only one core may have, by core: its listener, and its ends of sockets that it alone reads.
fn own_descriptors(
    lanes: &[LaneEnds<LaneMail>],
    passings: &[FdPassing],
    listeners: &[Socket],
) -> Vec<Vec<std::os::fd::RawFd>> {
    let own = lanes.iter().zip(passings).zip(listeners).map(|((lanes, fd_passing), listener)| {
        let reading = [lanes.wakeup.descriptor(), fd_passing.descriptor()];
        reading.into_iter().flatten().chain([listener.as_raw_fd()]).collect()
    });
    own.collect()
}

/// What each core is started with, and where it takes its commands.
fn parts(
    plan: CoresPlan<'_>,
    lanes: Vec<LaneEnds<LaneMail>>,
    passings: Vec<FdPassing>,
    split: Option<&Arc<Split>>,
    ready: &Sender<io::Result<()>>,
) -> Result<Vec<(CoreParts, Sender<CoreCommand>)>, Fatal> {
    let config = plan.config;
    let placement = Placement::over(config.cores);
    let is_crowded = config.cores > cpus() * limits::CROWD;
    let longest_sleep = if is_crowded { limits::SLEEP_MAX_CROWDED } else { limits::SLEEP_MAX };
    let recorders = plan.recorders.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
    let ends = lanes.into_iter().zip(passings).zip(plan.store_ends).zip(plan.listeners).zip(recorders);
    let part = |(index, ((((lanes, fd_passing), store), listener), recorder))| {
        let (sender, commands) = flume::bounded(limits::CORE_COMMANDS);
        let shard = ShardSettings {
            me: Site::new(0, index as u8),
            placement: placement.clone(),
            prng: Prng::from_entropy(entropy()?),
            passivity: config.passivity,
            pace: config.pace,
            listing: ListSettings::default(),
            revoked: plan.revoked.clone(),
        };
        let parts = CoreParts {
            shard,
            settings: config.settings.clone(),
            signer: plan.signer.clone(),
            store,
            spool: plan.spool.clone(),
            lanes,
            fd_passing,
            listener,
            address: plan.address,
            room: plan.room.clone(),
            longest_sleep,
            flush: config.flush,
            split: split.cloned(),
            recorder,
            commands,
            ready: ready.clone(),
            panic_guard: PanicGuard(plan.signals.clone()),
        };
        Ok((parts, sender))
    };
    ends.enumerate().map(part).collect()
}

fn spawn(parts: CoreParts, cores: usize) -> Result<ExecutorJoinHandle<Metrics>, Fatal> {
    let index = usize::from(parts.shard.me.core);
    // With more shards than CPUs the kernel spreads them. No executor spins, so they do not waste each other's time.
    let pinning = if cores <= cpus() { Pinning::Fixed(index) } else { Pinning::Unbound };
    LocalExecutorBuilder::new(pinning)
        .name(&format!("core-{index}"))
        .ring_depth(limits::RING_DEPTH)
        .io_memory(limits::RING_IO_MEMORY)
        .preempt_timer(limits::PREEMPT)
        .spawn(move || core::run(parts))
        .map_err(|error| Fatal(format!("core {index} could not be started: {error}")))
}

fn await_all(readiness: &Receiver<io::Result<()>>, cores: usize) -> Result<(), Fatal> {
    for _ in 0..cores {
        readiness
            .recv_timeout(Duration::from_secs(30))
            .map_err(|_| Fatal("a core did not come up within 30 seconds".to_owned()))?
            .map_err(|error| Fatal(format!("a core could not begin: {error}")))?;
    }
    Ok(())
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
