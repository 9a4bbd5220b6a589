//! More sockets than a process may have: the limit of open files counts per descriptor table, and a thread can have its
//! own. Source: unshare(2), close_range(2), getrlimit(2).

use std::io;
use std::os::fd::RawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::base::limits;

/// How many sessions a descriptor table has room for. The soft limit is raised to the hard one.
pub fn room() -> u32 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    // Where raising is forbidden we go on with what there is.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    let Some(limit) = limit else { return u32::MAX };
    let spared = limit / limits::DESCRIPTORS_SPARED + limits::DESCRIPTORS_OWN;
    u32::try_from(limit.saturating_sub(spared)).unwrap_or(u32::MAX).max(1)
}

/// Gives the calling thread a table of its own, with standard input, output and error and what is `kept`: a copy of a
/// socket would keep its connection open when the thread that has it closes it.
///
/// The thread must not use any other descriptor that was opened before.
pub fn separate(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<libc::c_uint> = kept.iter().filter_map(|number| (*number).try_into().ok()).collect();
    kept.sort_unstable();
    let (mut first, mut flags) = (3, libc::CLOSE_RANGE_UNSHARE as libc::c_int);
    for end in kept.into_iter().chain([libc::c_uint::MAX]) {
        if first < end {
            // SAFETY: the first of these calls makes a new table, which no other thread has, and all close numbers in
            // that one alone; the caller promises that this thread uses none of them.
            if unsafe { libc::close_range(first, end - 1, flags) } != 0 {
                return Err(io::Error::last_os_error());
            }
            flags = 0;
        }
        first = end.saturating_add(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn separate_table_has_only_what_is_kept_and_closes_nothing_elsewhere() {
        assert!(room() > 1);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut near = TcpStream::connect(address).expect("it listens");
        let (far, _) = listener.accept().expect("a connection");
        let (kept, gone) = (listener.as_raw_fd(), far.as_raw_fd());
        let thread = std::thread::spawn(move || {
            separate(&[kept]).expect("the kernel can");
            let is_open = |number: RawFd| std::fs::read_link(format!("/proc/thread-self/fd/{number}")).is_ok();
            (is_open(kept), is_open(gone))
        });
        assert_eq!(thread.join().expect("no panic"), (true, false));
        TcpStream::connect(address).expect("it still listens");
        drop(far);
        assert_eq!(near.read(&mut [0; 1]).expect("an end"), 0, "no other copy is open, so this is its end");
    }
}
