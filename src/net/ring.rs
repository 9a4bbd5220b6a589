//! A ring for writes: many sockets are written to in one system call.
//!
//! Lives on: each core that is told to, one ring of its own.
//! Bytes are copied when they are staged, so whoever stages them may go on with its buffer at once. A commit returns when the kernel
//! has said of each write what it has taken; it does not wait for a socket, since each write says that it may not.

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::limits;

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Writes that are staged, and the ring they go through.
pub struct Ring {
    ring: IoUring,
    bytes: Vec<u8>,
    staged: Vec<(RawFd, Range<usize>)>,
    entries: Vec<squeue::Entry>,
    results: Vec<i32>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("staged", &self.staged).finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring. It takes one descriptor.
    pub fn new() -> io::Result<Ring> {
        let ring = IoUring::new(limits::BATCH as u32)?;
        Ok(Ring { ring, bytes: Vec::new(), staged: Vec::new(), entries: Vec::new(), results: Vec::new() })
    }

    /// Whether nothing more can be staged before a commit.
    pub fn is_full(&self) -> bool {
        self.staged.len() == limits::BATCH
    }

    /// Has bytes written to a socket, which stays open until the commit.
    ///
    /// # Panics
    /// If it is full.
    pub fn stage(&mut self, socket: BorrowedFd<'_>, bytes: &[u8]) {
        assert!(!self.is_full(), "a full ring is committed first");
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.staged.push((socket.as_raw_fd(), from..self.bytes.len()));
    }

    /// Writes what is staged. Hands each write's bytes to `each`, in the order of staging, with how many of them were taken.
    ///
    /// # Panics
    /// If the kernel refuses the ring: what is staged would be lost.
    pub fn commit(&mut self, mut each: impl FnMut(&[u8], Result<usize, Errno>)) {
        if self.staged.is_empty() {
            return;
        }
        self.entries.clear();
        for (at, (socket, range)) in self.staged.iter().enumerate() {
            let bytes = &self.bytes[range.clone()];
            let entry = opcode::Send::new(types::Fd(*socket), bytes.as_ptr(), bytes.len() as u32);
            self.entries.push(entry.flags(FLAGS.bits() as i32).build().user_data(at as u64));
        }
        // One system call for a slice instead of one each; decision 0022 has the figures.
        // SAFETY: the bytes are not touched before the last completion is here, which is before this function returns or
        // unwinds; and there are no more entries than the ring has places.
        unsafe { self.ring.submission().push_multiple(&self.entries) }.expect("a batch fits into the ring");
        self.results.clear();
        self.results.resize(self.staged.len(), 0);
        let mut missing = self.staged.len();
        while missing > 0 {
            match self.ring.submit_and_wait(missing) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel may hold pointers into `bytes`: nothing may be unwound that would free them.
                Err(error) => {
                    eprintln!("guildhall: the kernel does not write any more: {error}");
                    std::process::abort();
                }
            }
            for done in self.ring.completion() {
                self.results[done.user_data() as usize] = done.result();
                missing -= 1;
            }
        }
        for ((_, range), result) in self.staged.drain(..).zip(&self.results) {
            let result = match *result {
                taken @ 0.. => Ok(taken as usize),
                error => Err(Errno::from_raw_os_error(-error)),
            };
            each(&self.bytes[range], result);
        }
        self.bytes.clear();
    }
}
