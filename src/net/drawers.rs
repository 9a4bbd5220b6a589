//! Drawers: sockets that are open without a number in the descriptor table.
//!
//! Lives on: its core.
//! The limit of open files counts the numbers of a table. A file that is registered with an io_uring instance is open without
//! one, in a table of the instance's own, which may have as many places as the limit allows numbers. So a core that has
//! several instances, *drawers*, holds as many sockets as it likes, whatever the limit is.
//! An operation goes through its drawer's ring and is over when the call returns, as with the plain system call.
//! Invariant: a place holds one file from [`Drawers::put`] to [`Drawers::take`] or [`Drawers::discard`].
//! Source: io_uring_register(2), IORING_REGISTER_FILES; io_uring_enter(2), IOSQE_FIXED_FILE.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::limits;

/// One core's drawers.
pub struct Drawers {
    drawers: Vec<IoUring>,
    /// Places of one drawer.
    each: u32,
    /// Drawers at most.
    most: usize,
    /// Places that were given back.
    free: Vec<u32>,
    /// Places that were ever taken.
    used: u32,
}

impl fmt::Debug for Drawers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Drawers({} of {} each, {} used)", self.drawers.len(), self.each, self.used)
    }
}

impl Drawers {
    /// Drawers with nothing in them. An error means that the kernel does not offer what they need: Linux 6.8.
    pub fn new() -> io::Result<Drawers> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let each = limit.min(u64::from(limits::DRAWER_PLACES)) as u32;
        let mut drawers = Drawers { drawers: Vec::new(), each, most: limits::DRAWERS_MAX, free: Vec::new(), used: 0 };
        // The whole way of a descriptor, there and back, so that nothing is found missing later.
        let stderr = io::stderr();
        let place = drawers.put(&stderr)?;
        drawers.take(place)?;
        Ok(drawers)
    }

    /// How many sockets there is room for.
    pub fn room(&self) -> u64 {
        u64::from(self.each) * self.most as u64
    }

    /// Registers a file. Its number may then be closed.
    pub fn put(&mut self, file: &impl AsFd) -> io::Result<u32> {
        let place = match self.free.last() {
            Some(place) => *place,
            None => self.used,
        };
        let (drawer, offset) = self.whereabouts(place);
        if drawer == self.drawers.len() {
            if drawer == self.most {
                return Err(Errno::MFILE.into());
            }
            self.drawers.push(self.open()?);
        }
        let registered = self.drawers[drawer].submitter().register_files_update(offset, &[file.as_fd().as_raw_fd()])?;
        if registered != 1 {
            return Err(Errno::MFILE.into());
        }
        if self.free.pop().is_none() {
            self.used += 1;
        }
        Ok(place)
    }

    /// Gives a file back with a number of its own; its place is free.
    pub fn take(&mut self, place: u32) -> io::Result<OwnedFd> {
        // With flags 0 it is closed in programs that this one starts.
        let number = self.carry_out(place, |file| opcode::FixedFdInstall::new(file, 0).build());
        self.discard(place);
        // SAFETY: the kernel has made this number for us just now.
        Ok(unsafe { OwnedFd::from_raw_fd(number?) })
    }

    /// Closes a file.
    pub fn discard(&mut self, place: u32) {
        let (drawer, offset) = self.whereabouts(place);
        let closed = self.drawers[drawer].submitter().register_files_update(offset, &[-1]);
        assert!(closed.is_ok(), "a place can be emptied: {closed:?}");
        self.free.push(place);
    }

    /// Sends without waiting.
    pub fn send(&mut self, place: u32, bytes: &[u8]) -> Result<usize, Errno> {
        let flags = libc_flags::DONTWAIT | libc_flags::NOSIGNAL;
        let (start, length) = (bytes.as_ptr(), bytes.len() as u32);
        self.carry_out(place, |file| opcode::Send::new(file, start, length).flags(flags).build())
            .map(|sent| sent as usize)
    }

    /// Receives without waiting.
    pub fn receive(&mut self, place: u32, bytes: &mut [u8]) -> Result<usize, Errno> {
        let (start, length) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let flags = libc_flags::DONTWAIT;
        self.carry_out(place, |file| opcode::Recv::new(file, start, length).flags(flags).build())
            .map(|read| read as usize)
    }

    /// One operation on one file, from the beginning to the end.
    fn carry_out(&mut self, place: u32, operation: impl FnOnce(types::Fixed) -> squeue::Entry) -> Result<i32, Errno> {
        let (drawer, offset) = self.whereabouts(place);
        let ring = &mut self.drawers[drawer];
        let entry = operation(types::Fixed(offset));
        // SAFETY: what the entry points to is borrowed until this returns, and this returns when the operation is over.
        let pushed = unsafe { ring.submission().push(&entry) };
        assert!(pushed.is_ok(), "nothing else is in the ring");
        let mut least = 0;
        loop {
            match ring.submitter().submit_and_wait(least) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("a ring that was there takes operations: {error}"),
            }
            if let Some(done) = ring.completion().next() {
                let result = done.result();
                return if result < 0 { Err(Errno::from_raw_os_error(-result)) } else { Ok(result) };
            }
            // Nothing that does not wait is left under way by the kernel; if it were, this would wait for it.
            least = 1;
        }
    }

    fn open(&self) -> io::Result<IoUring> {
        let ring = IoUring::builder().setup_single_issuer().setup_coop_taskrun().build(limits::DRAWER_DEPTH)?;
        ring.submitter().register_files_sparse(self.each)?;
        Ok(ring)
    }

    fn whereabouts(&self, place: u32) -> (usize, u32) {
        ((place / self.each) as usize, place % self.each)
    }
}

/// The flags of send(2) and recv(2) as numbers, which the rings take.
mod libc_flags {
    use rustix::net::{RecvFlags, SendFlags};

    pub(super) const DONTWAIT: i32 = RecvFlags::DONTWAIT.bits() as i32;
    pub(super) const NOSIGNAL: i32 = SendFlags::NOSIGNAL.bits() as i32;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair(drawers: &mut Drawers) -> (u32, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("descriptors");
        (drawers.put(&ours).expect("a place"), theirs)
    }

    #[test]
    fn a_socket_without_a_number_is_written_read_and_closed() {
        let mut drawers = Drawers::new().expect("Linux 6.8 or newer");
        let (place, mut peer) = pair(&mut drawers);
        let mut bytes = [0; 16];
        assert_eq!(drawers.receive(place, &mut bytes), Err(Errno::AGAIN));
        peer.write_all(b"hello").expect("it is open");
        assert_eq!(drawers.receive(place, &mut bytes), Ok(5));
        assert_eq!(drawers.send(place, b"good day"), Ok(8));
        let much = vec![0; 1 << 20];
        let mut taken = 8;
        while let Ok(sent) = drawers.send(place, &much) {
            taken += sent;
        }
        drawers.discard(place);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).expect("it is closed behind what was sent");
        assert_eq!((read.len(), &read[..8]), (taken, &b"good day"[..]));
    }

    #[test]
    fn places_go_on_from_drawer_to_drawer_and_are_used_again() {
        let mut drawers = Drawers::new().expect("Linux 6.8 or newer");
        (drawers.each, drawers.most) = (2, 3);
        drawers.drawers.clear();
        (drawers.used, drawers.free) = (0, Vec::new());
        let mut all: Vec<(u32, UnixStream)> = (0..6).map(|_| pair(&mut drawers)).collect();
        assert!(all.iter().map(|(place, _)| *place).eq(0..6));
        let (ours, _theirs) = UnixStream::pair().expect("descriptors");
        assert!(drawers.put(&ours).is_err(), "they are full");
        let (place, mut peer) = all.remove(3);
        let mut back = UnixStream::from(drawers.take(place).expect("it was there"));
        back.write_all(b"x").expect("it is open");
        assert_eq!(drawers.put(&ours).ok(), Some(3));
        let mut byte = [0];
        peer.read_exact(&mut byte).expect("it came");
    }
}
