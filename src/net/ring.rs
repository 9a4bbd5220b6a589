//! Rings for writes: many sockets are written to in one system call.
//!
//! Lives on: each core whose writes are batched. Sockets with descriptors are written to through one ring of the core's
//! own ([`WriteRing`]), registered files through the rings that they are in (`src/net/registered_files.rs`). Bytes are
//! copied when they are staged, so the caller's buffer is free at once. A commit returns when the kernel has reported
//! each write; it does not wait for a socket, since no write may.
//! Invariant: staged bytes do not move between submission and the last completion.

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
pub struct WriteRing {
    ring: [IoUring; 1],
    batch: Batch,
}

impl fmt::Debug for WriteRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteRing").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl WriteRing {
    /// A ring. It takes one descriptor.
    pub fn new() -> io::Result<WriteRing> {
        Ok(WriteRing { ring: [IoUring::new(limits::BATCH as u32)?], batch: Batch::default() })
    }

    /// Whether nothing more can be staged before a commit.
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Copies bytes to be written to a socket by the next commit, until which it stays open.
    ///
    /// # Panics
    /// If it is full.
    pub fn stage(&mut self, socket: BorrowedFd<'_>, bytes: &[u8]) {
        self.batch.stage(0, WriteTarget::Descriptor(socket.as_raw_fd()), bytes);
    }

    /// Writes what is staged. Hands each write's bytes to `each`, in the order of staging, with how many of them were
    /// taken.
    pub fn commit(&mut self, each: impl FnMut(&[u8], Result<usize, Errno>)) {
        self.batch.commit(&mut self.ring, each);
    }
}

/// Where a write goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum WriteTarget {
    /// To a descriptor.
    Descriptor(RawFd),
    /// To the file in this slot of the ring's own table.
    Fixed(u32),
}

/// A write that does not wait, for a ring. The bytes stay where they are until it is over.
pub(super) fn write(to: WriteTarget, bytes: &[u8]) -> squeue::Entry {
    let (start, length, flags) = (bytes.as_ptr(), bytes.len() as u32, FLAGS.bits() as i32);
    match to {
        WriteTarget::Descriptor(descriptor) => {
            opcode::Send::new(types::Fd(descriptor), start, length).flags(flags).build()
        }
        WriteTarget::Fixed(slot) => opcode::Send::new(types::Fixed(slot), start, length).flags(flags).build(),
    }
}

/// Writes that are staged, for one ring or for several.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    staged: Vec<StagedBytes>,
    results: Vec<i32>,
    /// Rings that have something to do, and how much.
    busy: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct StagedBytes {
    ring: usize,
    to: WriteTarget,
    range: Range<usize>,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.staged.len() == limits::BATCH
    }

    /// Copies bytes to be written through the ring with this index.
    pub(super) fn stage(&mut self, ring: usize, to: WriteTarget, bytes: &[u8]) {
        assert!(!self.is_full(), "a full batch is committed first");
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.staged.push(StagedBytes { ring, to, range: from..self.bytes.len() });
    }

    /// Writes what is staged. Each ring has room for a whole batch, and nothing else in it.
    pub(super) fn commit(&mut self, rings: &mut [IoUring], mut each: impl FnMut(&[u8], Result<usize, Errno>)) {
        for (at, StagedBytes { ring, to, range }) in self.staged.iter().enumerate() {
            let entry = write(*to, &self.bytes[range.clone()]).user_data(at as u64);
            // SAFETY: the bytes are not touched before the last completion is here, which is before this function
            // returns; and nothing in here unwinds before that.
            unsafe { rings[*ring].submission().push(&entry) }.expect("a batch fits into the ring");
            match self.busy.iter_mut().find(|(busy, _)| busy == ring) {
                Some((_, count)) => *count += 1,
                None => self.busy.push((*ring, 1)),
            }
        }
        self.results.clear();
        self.results.resize(self.staged.len(), 0);
        for (ring, count) in self.busy.drain(..) {
            // One system call for all of them instead of one each; decision 0022 has the figures.
            carry_out(&mut rings[ring], count, |at, result| self.results[at as usize] = result);
        }
        for (StagedBytes { range, .. }, result) in self.staged.drain(..).zip(&self.results) {
            each(&self.bytes[range], outcome(*result).map(|taken| taken as usize));
        }
        self.bytes.clear();
    }
}

/// The result of an operation, as the system call would return it.
pub(super) fn outcome(result: i32) -> Result<i32, Errno> {
    if result < 0 { Err(Errno::from_raw_os_error(-result)) } else { Ok(result) }
}

/// Submits the `missing` operations in a ring, none of which waits, and returns when all are complete. Hands each one's
/// user data and result to `each`, which does not panic.
///
/// Aborts the process if the kernel refuses the ring for good: it may hold pointers to what would be freed.
pub(super) fn carry_out(ring: &mut IoUring, mut missing: usize, mut each: impl FnMut(u64, i32)) {
    // What does not wait is over when it has been submitted; if it were not, this would wait for it.
    let (mut least, mut tries) = (0, 0);
    while missing > 0 {
        match ring.submit_and_wait(least) {
            Ok(_) => least = missing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Nothing has begun, and the operations are still in the ring. The core waits: its writes are in order, and
            // no other work would fare better now.
            Err(error) if is_shortage(&error) && tries < limits::SHORTAGE_TRIES => {
                tries += 1;
                std::thread::sleep(limits::SHORTAGE_PAUSE);
            }
            Err(error) => {
                eprintln!("guildhall: the kernel does not carry out anything any more: {error}");
                std::process::abort();
            }
        }
        for done in ring.completion() {
            each(done.user_data(), done.result());
            missing -= 1;
            least = missing;
        }
    }
}

/// Whether the kernel lacks something that it may have again in a moment. Source: io_uring_enter(2), errors.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::AGAIN | Errno::BUSY | Errno::NOMEM | Errno::NOBUFS))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_write_ring_reports_in_the_order_of_staging() {
        let mut ring = WriteRing::new().expect("the kernel has io_uring");
        for round in 0..3 {
            let mut pairs: Vec<_> =
                (0..limits::BATCH).map(|_| UnixStream::pair().expect("descriptors")).map(Some).collect();
            // One is gone.
            let gone = 5;
            let (left, _) = pairs[gone].take().expect("it is there");
            let texts: Vec<String> = (0..limits::BATCH).map(|at| format!("{round}: {at}")).collect();
            for (at, pair) in pairs.iter().enumerate() {
                assert!(!ring.is_full());
                let socket = pair.as_ref().map_or(&left, |(ours, _)| ours);
                ring.stage(socket.as_fd(), texts[at].as_bytes());
            }
            assert!(ring.is_full());
            let mut results = Vec::new();
            ring.commit(|bytes, result| results.push((bytes.to_vec(), result)));
            for (at, (bytes, result)) in results.iter().enumerate() {
                assert_eq!(bytes, texts[at].as_bytes());
                assert_eq!(*result, if at == gone { Err(Errno::PIPE) } else { Ok(bytes.len()) });
            }
            for (at, pair) in pairs.iter_mut().enumerate() {
                let Some((_, theirs)) = pair else { continue };
                let mut read = vec![0; texts[at].len()];
                theirs.read_exact(&mut read).expect("it was written");
                assert_eq!(read, texts[at].as_bytes());
            }
            assert!(!ring.is_full());
            ring.commit(|_, _| panic!("nothing is staged"));
        }
    }

    #[test]
    fn transient_errno_is_retried() {
        for number in [Errno::AGAIN, Errno::BUSY, Errno::NOMEM] {
            assert!(is_shortage(&number.into()));
        }
        for number in [Errno::BADF, Errno::INVAL, Errno::INTR] {
            assert!(!is_shortage(&number.into()));
        }
    }
}
