//! Bytes to many sockets, without waiting for any: by a `send` each, or by io_uring, many in one system call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use clap::ValueEnum;
use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;
use rustix::net::SendFlags;
use serde::Serialize;

use crate::base::limits;

/// The flags that a server uses.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// How bytes are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// One `send` per socket.
    #[default]
    Send,
    /// io_uring: a batch of sends per system call.
    Uring,
}

/// What a socket is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The socket.
    pub socket: BorrowedFd<'a>,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A piece of which not everything was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The socket's number.
    pub socket: i32,
    /// How much was taken; [`Errno::AGAIN`] is reported as 0.
    pub taken: Result<usize, Errno>,
}

/// Sends, one way or the other.
pub enum Sender {
    /// One `send` per socket.
    Plain,
    /// Batches.
    Uring(Box<IoUring>),
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sender::Plain => "Plain",
            Sender::Uring(_) => "Uring",
        })
    }
}

impl Sender {
    /// Makes a ring, if one is needed. It belongs to the calling thread's table.
    pub fn new(how: How) -> io::Result<Sender> {
        match how {
            How::Send => Ok(Sender::Plain),
            How::Uring => {
                let ring = IoUring::new(limits::URING_BATCH as u32)
                    .map_err(|error| io::Error::new(error.kind(), format!("io_uring: {error}")))?;
                Ok(Sender::Uring(Box::new(ring)))
            }
        }
    }

    /// Sends all pieces; says how many there were. Those that were not taken whole are appended to `rests`.
    pub fn send<'a>(&mut self, pieces: impl Iterator<Item = Piece<'a>>, rests: &mut Vec<Rest>) -> io::Result<u64> {
        match self {
            Sender::Plain => Ok(send_each(pieces, rests)),
            Sender::Uring(ring) => send_batches(ring, pieces, rests),
        }
    }
}

fn send_each<'a>(pieces: impl Iterator<Item = Piece<'a>>, rests: &mut Vec<Rest>) -> u64 {
    let mut count = 0;
    for Piece { socket, bytes } in pieces {
        count += 1;
        let taken = rustix::net::send(socket, bytes, FLAGS);
        note(socket.as_raw_fd(), bytes.len(), taken, rests);
    }
    count
}

fn send_batches<'a>(
    ring: &mut IoUring,
    mut pieces: impl Iterator<Item = Piece<'a>>,
    rests: &mut Vec<Rest>,
) -> io::Result<u64> {
    let mut batch: Vec<Piece<'a>> = Vec::with_capacity(limits::URING_BATCH);
    let mut entries = Vec::with_capacity(limits::URING_BATCH);
    let mut count = 0;
    loop {
        batch.clear();
        entries.clear();
        batch.extend(pieces.by_ref().take(limits::URING_BATCH));
        if batch.is_empty() {
            return Ok(count);
        }
        count += batch.len() as u64;
        for (at, Piece { socket, bytes }) in batch.iter().enumerate() {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            let entry = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length);
            entries.push(entry.flags(FLAGS.bits() as i32).build().user_data(at as u64));
        }
        // SAFETY: sockets and bytes live as long as `'a`, and this function does not return before the last completion.
        // If the kernel refuses the call, it has taken nothing.
        unsafe { ring.submission().push_multiple(&entries) }.map_err(io::Error::other)?;
        let mut missing = batch.len();
        while missing > 0 {
            match ring.submit_and_wait(missing) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            for done in ring.completion() {
                missing -= 1;
                let Piece { socket, bytes } = batch[done.user_data() as usize];
                let taken = match done.result() {
                    taken @ 0.. => Ok(taken as usize),
                    error => Err(Errno::from_raw_os_error(-error)),
                };
                note(socket.as_raw_fd(), bytes.len(), taken, rests);
            }
        }
    }
}

fn note(socket: i32, length: usize, taken: Result<usize, Errno>, rests: &mut Vec<Rest>) {
    match taken {
        Ok(taken) if taken == length => {}
        Err(Errno::AGAIN | Errno::INTR) => rests.push(Rest { socket, taken: Ok(0) }),
        taken => rests.push(Rest { socket, taken }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn both_ways_send_the_same_and_say_what_was_left() {
        for how in [How::Send, How::Uring] {
            let pairs: Vec<_> = (0..limits::URING_BATCH * 2 + 1).map(|_| UnixStream::pair().expect("a pair")).collect();
            drop(pairs[3].1.try_clone()); // a copy that goes changes nothing
            let texts: Vec<String> = (0..pairs.len()).map(|at| format!("to {at}")).collect();
            let mut sender = Sender::new(how).expect("io_uring is allowed");
            let mut rests = Vec::new();
            let pieces = pairs.iter().zip(&texts);
            let pieces = pieces.map(|((socket, _), text)| Piece { socket: socket.as_fd(), bytes: text.as_bytes() });
            assert_eq!(sender.send(pieces, &mut rests).expect("sent"), pairs.len() as u64);
            assert_eq!(rests, []);
            for ((_, reader), text) in pairs.iter().zip(&texts) {
                let mut read = vec![0; text.len()];
                (&*reader).read_exact(&mut read).expect("it was sent");
                assert_eq!(&read, text.as_bytes());
            }
            // A full socket takes nothing, one that is gone takes nothing any more.
            let large = vec![0; 64 << 20];
            let (full, _reader) = &pairs[0];
            let (gone, _) = UnixStream::pair().expect("a pair");
            let piece = |socket, bytes| Piece { socket, bytes };
            sender.send([piece(full.as_fd(), &large[..])].into_iter(), &mut rests).expect("sent");
            let again = [piece(full.as_fd(), &large[..]), piece(gone.as_fd(), b"x")];
            sender.send(again.into_iter(), &mut rests).expect("sent");
            assert!(matches!(rests[0], Rest { taken: Ok(1..), .. }), "{rests:?}");
            assert_eq!(rests[1].taken, Ok(0));
            assert_eq!(rests[2], Rest { socket: gone.as_raw_fd(), taken: Err(Errno::PIPE) });
        }
    }
}
