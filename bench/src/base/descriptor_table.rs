//! More sockets than a process may have: the limit of open files counts per descriptor table, and a thread can have its own.
//! Source: unshare(2), close_range(2), getrlimit(2).

use std::io;

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

/// Gives the calling thread a table of its own, with standard input, output and error and nothing else: a copy of a socket
/// would keep its connection open when the thread that has it closes it.
///
/// The thread must not use any descriptor that was opened before.
pub fn separate() -> io::Result<()> {
    // SAFETY: the numbers that the call closes are closed in the new table alone, which no other thread has; the caller promises
    // that this thread uses none of them.
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE as libc::c_int) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_table_of_its_own_has_no_copies_and_closes_nothing_elsewhere() {
        assert!(room() > 1);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut near = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
        let (far, _) = listener.accept().expect("somebody connects");
        let number = far.as_raw_fd();
        let thread = std::thread::spawn(move || {
            separate().expect("the kernel can");
            std::fs::read_link(format!("/proc/thread-self/fd/{number}")).is_err()
        });
        assert!(thread.join().expect("no panic"), "the thread still has the socket");
        drop(far);
        assert_eq!(near.read(&mut [0; 1]).expect("an end"), 0, "nobody else holds it, so this is its end");
    }
}
