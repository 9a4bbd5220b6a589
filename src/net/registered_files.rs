//! Drawers: sockets that are open without a number in the descriptor table.
//!
//! Lives on: its core.
//! The limit of open files counts the numbers of a table. A file that is registered with an io_uring instance is open without
//! one, in a table of the instance's own, which may have as many places as the limit allows numbers. So a core that has
//! several instances, *drawers*, holds as many sockets as it likes, whatever the limit is.
//! An operation goes through its drawer's ring and is over when the call returns, as with the plain system call; or writes are
//! staged and go together, one call for each drawer that has some.
//! Invariant: a place holds one file from [`Drawers::put`] to [`Drawers::take`] or [`Drawers::discard`].
//! Source: io_uring_register(2), IORING_REGISTER_FILES; io_uring_enter(2), IOSQE_FIXED_FILE.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, shutdown};
use rustix::process::{Resource, getrlimit};

use crate::limits;
use crate::net::ring::{self, Batch, Target};

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
    /// Places whose files the kernel could not let go of.
    stuck: Vec<u32>,
    /// Writes that are staged.
    batch: Batch,
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
        let (drawers, most) = (Vec::new(), limits::DRAWERS_MAX);
        let (free, stuck, batch) = (Vec::new(), Vec::new(), Batch::default());
        let mut drawers = Drawers { drawers, each, most, free, used: 0, stuck, batch };
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
        if let Some(place) = self.stuck.pop() {
            self.discard(place);
        }
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
        let file = self.install(place);
        self.discard(place);
        Ok(file?)
    }

    /// Closes a file. If the kernel has no memory for that just now, it is done when the next one is put in.
    ///
    /// # Panics
    /// If the kernel refuses for another reason.
    pub fn discard(&mut self, place: u32) {
        let (drawer, offset) = self.whereabouts(place);
        match self.drawers[drawer].submitter().register_files_update(offset, &[-1]) {
            Ok(_) => self.free.push(place),
            Err(error) if ring::is_shortage(&error) => self.stuck.push(place),
            Err(error) => panic!("a place can be emptied: {error}"),
        }
    }

    /// Ends the outgoing half of a socket: its peer reads what was written, then the end.
    pub fn shut(&mut self, place: u32) -> Result<(), Errno> {
        // The ring's own shutdown is done by a thread of the kernel's that must be woken; a number for as long as the call takes
        // costs less.
        shutdown(self.install(place)?, Shutdown::Write)
    }

    /// One more number for a file, beside its place.
    fn install(&mut self, place: u32) -> Result<OwnedFd, Errno> {
        // With flags 0 it is closed in programs that this one starts.
        let number = self.carry_out(place, |file| opcode::FixedFdInstall::new(file, 0).build())?;
        // SAFETY: the kernel has made this number for us just now.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// Sends without waiting.
    pub fn send(&mut self, place: u32, bytes: &[u8]) -> Result<usize, Errno> {
        self.carry_out(place, |file| ring::write(Target::Place(file.0), bytes)).map(|sent| sent as usize)
    }

    /// Whether nothing more can be staged before a commit.
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Has bytes written to the socket at a place, which stays there until the commit.
    ///
    /// # Panics
    /// If it is full.
    pub fn stage(&mut self, place: u32, bytes: &[u8]) {
        let (drawer, offset) = self.whereabouts(place);
        self.batch.stage(drawer, Target::Place(offset), bytes);
    }

    /// Writes what is staged. Hands each write's bytes to `each`, in the order of staging, with how many of them were taken.
    pub fn commit(&mut self, each: impl FnMut(&[u8], Result<usize, Errno>)) {
        self.batch.commit(&mut self.drawers, each);
    }

    /// Receives without waiting.
    pub fn receive(&mut self, place: u32, bytes: &mut [u8]) -> Result<usize, Errno> {
        let (start, length) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let flags = RecvFlags::DONTWAIT.bits() as i32;
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
        let mut result = 0;
        ring::carry_out(ring, 1, |_, told| result = told);
        ring::outcome(result)
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

    /// Drawers with two places each.
    fn small(most: usize) -> Drawers {
        let mut drawers = Drawers::new().expect("Linux 6.8 or newer");
        (drawers.each, drawers.most) = (2, most);
        drawers.drawers.clear();
        (drawers.used, drawers.free) = (0, Vec::new());
        drawers
    }

    #[test]
    fn a_batch_goes_to_several_drawers_and_is_told_of_in_the_order_of_staging() {
        let mut drawers = small(limits::BATCH);
        let mut all: Vec<_> = (0..limits::BATCH).map(|_| pair(&mut drawers)).map(Some).collect();
        // One is gone.
        let gone = 5;
        let (left, _) = all[gone].take().expect("it is there");
        // Not drawer by drawer.
        let order: Vec<usize> = (0..limits::BATCH).step_by(2).chain((1..limits::BATCH).step_by(2)).collect();
        for round in 0..3 {
            for at in &order {
                let place = all[*at].as_ref().map_or(left, |(place, _)| *place);
                assert!(!drawers.is_full());
                drawers.stage(place, format!("{round}: {at}").as_bytes());
            }
            assert!(drawers.is_full());
            // Others are served in between as ever.
            let (place, peer) = all[0].as_mut().expect("it is there");
            assert_eq!(drawers.send(*place, b"before"), Ok(6));
            peer.read_exact(&mut [0; 6]).expect("it came");
            let mut told = Vec::new();
            drawers.commit(|bytes, result| told.push((bytes.to_vec(), result)));
            assert_eq!(told.len(), order.len());
            for (at, (bytes, result)) in order.iter().zip(&told) {
                assert_eq!(bytes, format!("{round}: {at}").as_bytes());
                assert_eq!(*result, if *at == gone { Err(Errno::PIPE) } else { Ok(bytes.len()) });
                let Some((_, peer)) = &mut all[*at] else { continue };
                let mut read = vec![0; bytes.len()];
                peer.read_exact(&mut read).expect("it was written");
                assert_eq!(read, *bytes);
            }
            drawers.commit(|_, _| panic!("nothing is staged"));
        }
    }

    #[test]
    fn a_socket_that_is_shut_is_still_read_and_takes_no_number() {
        let mut drawers = Drawers::new().expect("Linux 6.8 or newer");
        let (place, mut peer) = pair(&mut drawers);
        assert_eq!(drawers.send(place, b"the last word"), Ok(13));
        assert_eq!(drawers.shut(place), Ok(()));
        let mut read = Vec::new();
        peer.read_to_end(&mut read).expect("the outgoing half has ended");
        assert_eq!(read, b"the last word");
        peer.write_all(b"bye").expect("the other half is open");
        let mut bytes = [0; 8];
        assert_eq!(drawers.receive(place, &mut bytes), Ok(3));
        assert_eq!(drawers.send(place, b"x"), Err(Errno::PIPE));
        drawers.discard(place);
        assert!(peer.write_all(b"x").is_err(), "nobody has it open any more");
    }

    #[test]
    fn a_file_that_could_not_be_let_go_of_goes_when_the_next_one_comes() {
        let mut drawers = Drawers::new().expect("Linux 6.8 or newer");
        let (place, mut peer) = pair(&mut drawers);
        // As a kernel without memory leaves it.
        drawers.stuck.push(place);
        let (next, _peer) = pair(&mut drawers);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).expect("it is closed");
        assert_eq!((next, drawers.stuck.len()), (place, 0), "and its place is free");
    }

    #[test]
    fn places_go_on_from_drawer_to_drawer_and_are_used_again() {
        let mut drawers = small(3);
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
