//! Registered files: sockets that are open in io_uring instances, without a descriptor.
//!
//! Lives on: its core. The limit of open files counts descriptors. A file that is registered with an io_uring instance
//! is open in a table of the instance's own, which may have as many slots as the limit allows descriptors. So a core
//! with several instances (*rings*) holds as many sockets as it likes, whatever the limit is. An operation goes through
//! the file's ring and is over when the call returns, as with the plain system call; or writes are staged and go
//! together, one call for each ring that has some.
//! Invariant: a slot holds one file from [`FixedFiles::register`] to [`FixedFiles::detach`] or [`FixedFiles::close`].
//! Source: io_uring_register(2), IORING_REGISTER_FILES; io_uring_enter(2), IOSQE_FIXED_FILE.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, shutdown};
use rustix::process::{Resource, getrlimit};

use crate::limits;
use crate::net::ring::{self, Batch, WriteTarget};

/// One core's registered files. An index counts the slots of all rings.
pub struct FixedFiles {
    rings: Vec<IoUring>,
    /// Slots of one ring.
    ring_slots: u32,
    /// Rings at most.
    rings_max: usize,
    /// Indices that were given back.
    free: Vec<u32>,
    /// Indices that were ever taken.
    used: u32,
    /// Indices whose files the kernel had no memory to unregister.
    unreleased: Vec<u32>,
    /// Writes that are staged.
    batch: Batch,
}

impl fmt::Debug for FixedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FixedFiles({} rings of {}, {} used)", self.rings.len(), self.ring_slots, self.used)
    }
}

impl FixedFiles {
    /// No files yet. An error means that the kernel does not offer what is needed: Linux 6.8.
    pub fn new() -> io::Result<FixedFiles> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let ring_slots = limit.min(u64::from(limits::RING_FILES)) as u32;
        let (rings, rings_max) = (Vec::new(), limits::FILE_RINGS_MAX);
        let (free, unreleased, batch) = (Vec::new(), Vec::new(), Batch::default());
        let mut files = FixedFiles { rings, ring_slots, rings_max, free, used: 0, unreleased, batch };
        // Registers a descriptor and gets it back, so that no operation is found missing later.
        let stderr = io::stderr();
        let index = files.register(&stderr)?;
        files.detach(index)?;
        Ok(files)
    }

    /// How many sockets there is room for.
    pub fn room(&self) -> u64 {
        u64::from(self.ring_slots) * self.rings_max as u64
    }

    /// Registers a file. Its descriptor may then be closed.
    pub fn register(&mut self, file: &impl AsFd) -> io::Result<u32> {
        if let Some(index) = self.unreleased.pop() {
            self.close(index);
        }
        let index = match self.free.last() {
            Some(index) => *index,
            None => self.used,
        };
        let (ring, slot) = self.locate(index);
        if ring == self.rings.len() {
            if ring == self.rings_max {
                return Err(Errno::MFILE.into());
            }
            self.rings.push(self.open_ring()?);
        }
        let registered = self.rings[ring].submitter().register_files_update(slot, &[file.as_fd().as_raw_fd()])?;
        if registered != 1 {
            return Err(Errno::MFILE.into());
        }
        if self.free.pop().is_none() {
            self.used += 1;
        }
        Ok(index)
    }

    /// Gives a file back with a descriptor of its own; its index is free.
    pub fn detach(&mut self, index: u32) -> io::Result<OwnedFd> {
        let file = self.install(index);
        self.close(index);
        Ok(file?)
    }

    /// Closes a file. If the kernel has no memory for that just now, it is done when the next one is registered.
    ///
    /// # Panics
    /// If the kernel refuses for another reason.
    pub fn close(&mut self, index: u32) {
        let (ring, slot) = self.locate(index);
        match self.rings[ring].submitter().register_files_update(slot, &[-1]) {
            Ok(_) => self.free.push(index),
            Err(error) if ring::is_shortage(&error) => self.unreleased.push(index),
            Err(error) => panic!("a slot can be emptied: {error}"),
        }
    }

    /// Ends the outgoing half of a socket: its peer reads what was written, then the end.
    pub fn shut_down(&mut self, index: u32) -> Result<(), Errno> {
        // The ring's own shutdown is done by a thread of the kernel's that must be woken; a descriptor for as long as
        // the call takes costs less.
        shutdown(self.install(index)?, Shutdown::Write)
    }

    /// A descriptor for a file, beside its slot.
    fn install(&mut self, index: u32) -> Result<OwnedFd, Errno> {
        // With flags 0 it is closed in programs that this one starts.
        let descriptor = self.carry_out(index, |file| opcode::FixedFdInstall::new(file, 0).build())?;
        // SAFETY: the kernel has made this descriptor for us just now.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    /// Sends without waiting.
    pub fn send(&mut self, index: u32, bytes: &[u8]) -> Result<usize, Errno> {
        self.carry_out(index, |file| ring::write(WriteTarget::Fixed(file.0), bytes)).map(|sent| sent as usize)
    }

    /// Whether nothing more can be staged before a commit.
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Copies bytes to be written to a socket by the next commit, until which it stays registered.
    ///
    /// # Panics
    /// If it is full.
    pub fn stage(&mut self, index: u32, bytes: &[u8]) {
        let (ring, slot) = self.locate(index);
        self.batch.stage(ring, WriteTarget::Fixed(slot), bytes);
    }

    /// Writes what is staged. Hands each write's bytes to `each`, in the order of staging, with how many of them were
    /// taken.
    pub fn commit(&mut self, each: impl FnMut(&[u8], Result<usize, Errno>)) {
        self.batch.commit(&mut self.rings, each);
    }

    /// Receives without waiting.
    pub fn receive(&mut self, index: u32, bytes: &mut [u8]) -> Result<usize, Errno> {
        let (start, length) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let flags = RecvFlags::DONTWAIT.bits() as i32;
        self.carry_out(index, |file| opcode::Recv::new(file, start, length).flags(flags).build())
            .map(|read| read as usize)
    }

    /// One operation on one file, from the beginning to the end.
    fn carry_out(&mut self, index: u32, operation: impl FnOnce(types::Fixed) -> squeue::Entry) -> Result<i32, Errno> {
        let (ring, slot) = self.locate(index);
        let ring = &mut self.rings[ring];
        let entry = operation(types::Fixed(slot));
        // SAFETY: what the entry points to is borrowed until this returns, and this returns when the operation is over.
        let pushed = unsafe { ring.submission().push(&entry) };
        assert!(pushed.is_ok(), "nothing else is in the ring");
        let mut result = 0;
        ring::carry_out(ring, 1, |_, outcome| result = outcome);
        ring::outcome(result)
    }

    fn open_ring(&self) -> io::Result<IoUring> {
        let ring = IoUring::builder().setup_single_issuer().setup_coop_taskrun().build(limits::FILE_RING_DEPTH)?;
        ring.submitter().register_files_sparse(self.ring_slots)?;
        Ok(ring)
    }

    fn locate(&self, index: u32) -> (usize, u32) {
        ((index / self.ring_slots) as usize, index % self.ring_slots)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair(files: &mut FixedFiles) -> (u32, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("descriptors");
        (files.register(&ours).expect("a slot"), theirs)
    }

    #[test]
    fn fixed_files_are_written_read_and_closed() {
        let mut files = FixedFiles::new().expect("Linux 6.8 or newer");
        let (index, mut peer) = pair(&mut files);
        let mut bytes = [0; 16];
        assert_eq!(files.receive(index, &mut bytes), Err(Errno::AGAIN));
        peer.write_all(b"hello").expect("it is open");
        assert_eq!(files.receive(index, &mut bytes), Ok(5));
        assert_eq!(files.send(index, b"good day"), Ok(8));
        let much = vec![0; 1 << 20];
        let mut taken = 8;
        while let Ok(sent) = files.send(index, &much) {
            taken += sent;
        }
        files.close(index);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).expect("it is closed behind what was sent");
        assert_eq!((read.len(), &read[..8]), (taken, &b"good day"[..]));
    }

    /// With rings of two slots each.
    fn small(rings_max: usize) -> FixedFiles {
        let mut files = FixedFiles::new().expect("Linux 6.8 or newer");
        (files.ring_slots, files.rings_max) = (2, rings_max);
        files.rings.clear();
        (files.used, files.free) = (0, Vec::new());
        files
    }

    #[test]
    fn a_batch_over_several_rings_reports_in_the_order_of_staging() {
        let mut files = small(limits::BATCH);
        let mut all: Vec<_> = (0..limits::BATCH).map(|_| pair(&mut files)).map(Some).collect();
        // One is gone.
        let gone = 5;
        let (left, _) = all[gone].take().expect("it is there");
        // Not ring by ring.
        let order: Vec<usize> = (0..limits::BATCH).step_by(2).chain((1..limits::BATCH).step_by(2)).collect();
        for round in 0..3 {
            for at in &order {
                let index = all[*at].as_ref().map_or(left, |(index, _)| *index);
                assert!(!files.is_full());
                files.stage(index, format!("{round}: {at}").as_bytes());
            }
            assert!(files.is_full());
            // A single write in between goes ahead of the batch.
            let (index, peer) = all[0].as_mut().expect("it is there");
            assert_eq!(files.send(*index, b"before"), Ok(6));
            peer.read_exact(&mut [0; 6]).expect("it came");
            let mut results = Vec::new();
            files.commit(|bytes, result| results.push((bytes.to_vec(), result)));
            assert_eq!(results.len(), order.len());
            for (at, (bytes, result)) in order.iter().zip(&results) {
                assert_eq!(bytes, format!("{round}: {at}").as_bytes());
                assert_eq!(*result, if *at == gone { Err(Errno::PIPE) } else { Ok(bytes.len()) });
                let Some((_, peer)) = &mut all[*at] else { continue };
                let mut read = vec![0; bytes.len()];
                peer.read_exact(&mut read).expect("it was written");
                assert_eq!(read, *bytes);
            }
            files.commit(|_, _| panic!("nothing is staged"));
        }
    }

    #[test]
    fn a_socket_that_is_shut_down_is_still_read() {
        let mut files = FixedFiles::new().expect("Linux 6.8 or newer");
        let (index, mut peer) = pair(&mut files);
        assert_eq!(files.send(index, b"the close frame"), Ok(15));
        assert_eq!(files.shut_down(index), Ok(()));
        let mut read = Vec::new();
        peer.read_to_end(&mut read).expect("the outgoing half has ended");
        assert_eq!(read, b"the close frame");
        peer.write_all(b"bye").expect("the other half is open");
        let mut bytes = [0; 8];
        assert_eq!(files.receive(index, &mut bytes), Ok(3));
        assert_eq!(files.send(index, b"x"), Err(Errno::PIPE));
        files.close(index);
        assert!(peer.write_all(b"x").is_err(), "it is not open any more");
    }

    #[test]
    fn an_unreleased_file_is_closed_when_the_next_is_registered() {
        let mut files = FixedFiles::new().expect("Linux 6.8 or newer");
        let (index, mut peer) = pair(&mut files);
        // As a kernel without memory leaves it.
        files.unreleased.push(index);
        let (next, _peer) = pair(&mut files);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).expect("it is closed");
        assert_eq!((next, files.unreleased.len()), (index, 0), "and its index is free");
    }

    #[test]
    fn indices_go_on_from_ring_to_ring_and_are_used_again() {
        let mut files = small(3);
        let mut all: Vec<(u32, UnixStream)> = (0..6).map(|_| pair(&mut files)).collect();
        assert!(all.iter().map(|(index, _)| *index).eq(0..6));
        let (ours, _theirs) = UnixStream::pair().expect("descriptors");
        assert!(files.register(&ours).is_err(), "they are full");
        let (index, mut peer) = all.remove(3);
        let mut back = UnixStream::from(files.detach(index).expect("it was there"));
        back.write_all(b"x").expect("it is open");
        assert_eq!(files.register(&ours).ok(), Some(3));
        let mut byte = [0];
        peer.read_exact(&mut byte).expect("it came");
    }
}
