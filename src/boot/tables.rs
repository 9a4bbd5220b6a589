//! Descriptor tables: one that all threads share, or one for each core, or one without sockets; and how much room they
//! have.
//!
//! Lives on: the main thread, which lays the split out, and each core, which carries it out for itself.
//! The limit of open files counts per table, and a thread may have a table of its own. What a core opens after the
//! split is its alone: other threads cannot even name it. What was opened before is in all tables, so each one closes
//! its copies of what only one core may have. All other threads (store, control socket, signals, recorder) stay with
//! the original table.
//! Source: unshare(2), getrlimit(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use rustix::process::{Resource, getrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::Deserialize;

use crate::base::clock;
use crate::base::fatal::Fatal;
use crate::limits;
use crate::net::registered_files::FixedFiles;

/// Who has which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tables {
    /// One for the process.
    Shared,
    /// One for each core.
    Private,
    /// One for the process; gateway sockets are registered files.
    Direct,
    /// Direct if the kernel lets us; else private if there are several cores; else shared.
    Auto,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Laid {
    /// One table, with all sockets.
    Shared,
    /// A table for each core.
    Private,
    /// One table, without the gateway's sockets: they are registered files, of which each core has room for so many.
    Direct(u64),
}

impl Tables {
    /// What the kernel lets us have of it, found out by trying.
    pub fn lay(self, cores: usize) -> Result<Laid, Fatal> {
        let unshared = || {
            // A thread of its own: it ends with its table.
            let thread = std::thread::spawn(unshare);
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
        };
        match self {
            Tables::Shared => Ok(Laid::Shared),
            Tables::Private => unshared().map(|()| Laid::Private).map_err(|error| {
                Fatal(format!(
                    "a thread cannot have a descriptor table of its own here ({error}): a seccomp profile must allow \
                     unshare(CLONE_FILES), or use --descriptor-tables shared"
                ))
            }),
            Tables::Direct => FixedFiles::new().map(|files| Laid::Direct(files.room())).map_err(|error| {
                Fatal(format!(
                    "this kernel does not keep sockets outside of the descriptor table ({error}): that needs Linux 6.8; \
                     use --descriptor-tables private or shared"
                ))
            }),
            Tables::Auto => Ok(match FixedFiles::new() {
                Ok(files) => Laid::Direct(files.room()),
                Err(_) if cores > 1 && unshared().is_ok() => Laid::Private,
                Err(_) => Laid::Shared,
            }),
        }
    }
}

fn unshare() -> io::Result<()> {
    // SAFETY: a copied table has the same numbers for all that is open now. What is opened later by one thread is never
    // named to another: sockets go to other cores by `mesh::fd_passing`, and wake-ups through descriptors opened
    // before.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }.map_err(io::Error::from)
}

/// The way from one table to one for each core.
#[derive(Debug)]
pub struct Split {
    /// All executors, with their rings and event descriptors, exist when this opens: threads of the original table wake
    /// them by numbers of that table.
    everybody: Barrier,
    /// What only one core may have, by core: its listener, and its ends of sockets from which it alone reads.
    own: Vec<Vec<RawFd>>,
}

impl Split {
    /// For cores that have these descriptors for themselves.
    pub fn new(own: Vec<Vec<RawFd>>) -> Split {
        Split { everybody: Barrier::new(own.len()), own }
    }

    /// Gives the core that runs this a table of its own. Waits for all others, so call it before anything is under way.
    pub fn separate(&self, me: usize) -> io::Result<()> {
        self.everybody.wait();
        unshare()?;
        for (_, descriptors) in self.own.iter().enumerate().filter(|(core, _)| *core != me) {
            close(descriptors);
        }
        Ok(())
    }

    /// Closes the original table's copies, once all cores have separated: a listener that is still open in any table
    /// keeps receiving connections that no core accepts.
    pub fn leave_to_cores(&self) {
        for descriptors in &self.own {
            close(descriptors);
        }
    }
}

fn close(descriptors: &[RawFd]) {
    for descriptor in descriptors {
        // SAFETY: these are this table's copies of descriptors that another thread owns in its own table; this thread
        // does not use them, and their owner closes nothing here.
        unsafe { rustix::io::close(*descriptor) };
    }
}

/// How much room there is for connections in the calling thread's descriptor table.
#[derive(Debug, Clone)]
pub struct Room {
    /// Descriptors from this number on are kept for what must not fail: sockets handed over, the database, errands.
    ceiling: RawFd,
    /// Up to this number of these, they may go to connections that wait already when the ceiling is reached.
    last_ceiling: RawFd,
    /// Who has which table.
    laid: Laid,
    told: Arc<Told>,
}

/// When it was last said that there is no room, and how often that has happened since.
#[derive(Debug, Default)]
struct Told {
    at: AtomicU64,
    unsaid: AtomicU64,
}

impl Room {
    /// By the limit of open files as it is now.
    pub fn new(laid: Laid) -> Room {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let kept = (limit / limits::DESCRIPTORS_KEPT_PART).max(limits::DESCRIPTORS_KEPT_MIN);
        // The kernel's numbers are below this anyhow.
        let number = |limit: u64| RawFd::try_from(limit).unwrap_or(RawFd::MAX);
        let ceiling = number(limit.saturating_sub(kept));
        let last_ceiling = number(limit.saturating_sub(kept / 2));
        Room { ceiling, last_ceiling, laid, told: Arc::default() }
    }

    /// Whether each core fills a table of its own.
    pub fn is_private(&self) -> bool {
        self.laid == Laid::Private
    }

    /// Whether gateway sockets are registered files.
    pub fn is_direct(&self) -> bool {
        matches!(self.laid, Laid::Direct(_))
    }

    /// Whether a connection that got this descriptor is the last one for now: the kernel gives the lowest number that
    /// is free.
    pub fn ends_with(&self, descriptor: &impl AsRawFd) -> bool {
        descriptor.as_raw_fd() >= self.ceiling
    }

    /// The same for those that wait already when accepting stops: half of what is kept is for them.
    pub fn ends_even_with(&self, descriptor: &impl AsRawFd) -> bool {
        descriptor.as_raw_fd() >= self.last_ceiling
    }

    /// Whether some connections more have room. Found out by opening as many descriptors.
    pub fn is_there(&self) -> bool {
        let stderr = io::stderr();
        let mut found = Vec::with_capacity(limits::ROOM_ASKED);
        for _ in 0..limits::ROOM_ASKED {
            // The number is the lowest that is free; what it leads to does not matter.
            match stderr.as_fd().try_clone_to_owned() {
                Ok(descriptor) if descriptor.as_raw_fd() < self.ceiling => found.push(descriptor),
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Says that there is no room, once in a while for all cores.
    pub fn complain(&self, core: usize, error: Option<&io::Error>) {
        let unsaid = self.told.unsaid.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, last) = (clock::now().nanos(), self.told.at.load(Ordering::Relaxed));
        let long_ago = u128::from(now.saturating_sub(last)) >= limits::FULL_TOLD.as_nanos();
        let exchange = || self.told.at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        if long_ago && exchange().is_ok() {
            self.told.unsaid.fetch_sub(unsaid, Ordering::Relaxed);
            let why = error.map_or_else(|| "the limit of open files is reached".to_owned(), io::Error::to_string);
            let new_ones = if self.is_private() { "go to other cores" } else { "wait" };
            tracing::warn!(core, times = unsaid, %why, "no room for connections: new ones {new_ones}");
        }
    }

    /// For how many connections `cores` cores have room besides what is open now, and what bounds it, in words.
    pub fn estimate(&self, cores: usize) -> (u64, String) {
        // A core's table has nearly what this thread's has.
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
        let each = u64::try_from(self.ceiling).unwrap_or(0).saturating_sub(open);
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let all = |each: u64| each.saturating_mul(cores as u64);
        let (room, words) = match self.laid {
            Laid::Private => (all(each), format!("{limit} open files in each of {cores} descriptor tables")),
            Laid::Shared => (each, format!("{limit} open files in one descriptor table")),
            Laid::Direct(room) => (all(room), format!("{room} sockets outside of the descriptor table on each core")),
        };
        ["file-max", "epoll/max_user_watches"].into_iter().fold((room, words), |least, bound| {
            let found = std::fs::read_to_string(format!("/proc/sys/fs/{bound}")).ok();
            bounded(least, &format!("fs.{}", bound.replace('/', ".")), found.as_deref())
        })
    }
}

/// The room there is, and what bounds it, where something of the system's bounds it too.
fn bounded((room, words): (u64, String), name: &str, text: Option<&str>) -> (u64, String) {
    match text.and_then(|text| text.trim().parse().ok()) {
        Some(system) if system < room => (system, format!("{name} is {system}")),
        Some(_) | None => (room, words),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Two threads as cores: what one has for itself the other cannot keep open.
    #[test]
    fn a_listener_is_closed_when_its_core_closes_it() {
        let listeners: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let addresses: Vec<_> = listeners.iter().map(|one| one.local_addr().expect("it is bound")).collect();
        let split = Arc::new(Split::new(listeners.iter().map(|one| vec![one.as_raw_fd()]).collect()));
        let (closer, closed) = std::sync::mpsc::channel();
        let [apart, ends] = [3, 3].map(|threads| Arc::new(Barrier::new(threads)));
        let cores: Vec<_> = listeners
            .into_iter()
            .enumerate()
            .map(|(core, listener)| {
                let (split, closer) = (Arc::clone(&split), closer.clone());
                let (apart, ends) = (Arc::clone(&apart), Arc::clone(&ends));
                std::thread::spawn(move || {
                    split.separate(core).expect("the kernel lets us");
                    // What is left to them is closed in the table that they have left.
                    apart.wait();
                    if core == 0 {
                        drop(listener);
                        closer.send(None).expect("the test listens");
                    } else {
                        closer.send(Some(listener.accept().is_ok())).expect("the test listens");
                    }
                    // Both tables live on while the test looks.
                    ends.wait();
                })
            })
            .collect();
        apart.wait();
        assert_eq!(closed.recv().expect("a core says so"), None);
        split.leave_to_cores();
        assert!(TcpStream::connect(addresses[0]).is_err(), "nobody has a copy of it");
        let _kept = TcpStream::connect(addresses[1]).expect("the other one is open");
        assert_eq!(closed.recv().expect("a core says so"), Some(true));
        ends.wait();
        for core in cores {
            core.join().expect("no panic");
        }
    }

    #[test]
    fn there_is_room_below_the_ceiling_and_none_above() {
        let room = Room::new(Laid::Shared);
        assert!(room.is_there());
        let none = Room { ceiling: 0, ..room.clone() };
        assert!(!none.is_there() && none.ends_with(&io::stderr()));
        let (with, words) = room.estimate(4);
        assert!(with > 0 && words.contains("one descriptor table"), "{words}");
        let (all, words) = Room { laid: Laid::Private, ..room }.estimate(4);
        assert!(all > with && words.contains("4 descriptor tables"), "{words}");
    }

    #[test]
    fn the_least_of_all_bounds_is_the_one_that_is_named() {
        let room = (1_000, "open files".to_owned());
        assert_eq!(bounded(room.clone(), "fs.file-max", Some("9223372036854775807\n")), room);
        assert_eq!(bounded(room.clone(), "fs.file-max", None), room);
        let fewer = bounded(room, "fs.epoll.max_user_watches", Some("500\n"));
        assert_eq!(fewer, (500, "fs.epoll.max_user_watches is 500".to_owned()));
    }
}
