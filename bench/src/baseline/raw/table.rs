//! Descriptor tables of threads: the limit of open files is one of tables, and a thread may have a table of its own.
//!
//! On many machines the limit cannot be raised above some ten thousand. With tables of their own, threads have it each; they
//! also no longer share a lock with each other. The price: a descriptor means something only in the thread that opened it.

use std::io;
use std::os::fd::RawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::base::limits;

/// Gives the calling thread a table of its own, in which nothing is open but standard streams and `kept`.
///
/// Those are copies: what is closed here stays open elsewhere, and the other way round. So nothing that owns a descriptor of
/// another thread's may be dropped in this one, and what this thread opens must be dropped in it.
pub fn split(kept: &[RawFd]) -> io::Result<()> {
    // SAFETY: only this thread sees the new table. What it opened before is still open under the same numbers if it is kept;
    // what others own is left alone in theirs.
    unsafe { unshare_unsafe(UnshareFlags::FILES)? };
    // Copies of other threads' sockets would keep these open after their owners have closed them.
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/thread-self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for number in open {
        if number > 2 && !kept.contains(&number) {
            // Not rustix's `close`, which insists that there is something to close: the folder's own descriptor was in the list
            // and is closed already.
            // SAFETY: nobody owns this copy, and no other thread can have opened one under its number in this table.
            unsafe { libc::close(number) };
        }
    }
    Ok(())
}

/// Raises the limit of open files as far as it goes; says how many sockets a table may then hold.
pub fn room() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If that is forbidden, what is allowed now counts.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    allowed.saturating_sub(limits::TABLE_SPARE).clamp(1, limits::SOCKETS_PER_TABLE)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_thread_has_its_own_table_and_only_what_it_keeps() {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let (kept, mut other) = UnixStream::pair().expect("a pair");
        let (kept_number, theirs_number) = (kept.as_raw_fd(), theirs.as_raw_fd());
        let inside = std::thread::spawn(move || {
            split(&[kept_number])?;
            let path = |number: RawFd| std::fs::symlink_metadata(format!("/proc/thread-self/fd/{number}"));
            Ok::<_, io::Error>((path(kept_number).is_ok(), path(theirs_number).is_ok()))
        });
        assert_eq!(inside.join().expect("no panic").expect("it may unshare"), (true, false));
        // Neither end was touched by what the thread closed.
        (&theirs).write_all(b"a").expect("open");
        ours.read_exact(&mut [0]).expect("open");
        (&kept).write_all(b"a").expect("open");
        other.read_exact(&mut [0]).expect("open");
    }
}
