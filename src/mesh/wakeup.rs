//! A core's bell: others ring it when they have put something into its lanes while it slept.
//!
//! Lives on: the core that it wakes; its clapper in every other core's hands.
//! A socket pair, since glommio waits for sockets. A byte is sent only to a core that has said that it sleeps, once per sleep,
//! so a busy mesh makes no system calls. (glommio's own channels wake a sleeping executor without a task that waits for the
//! wake-up, which is one way to make it oversleep: see [`super::reactor`].)

use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// The sleeper's end.
#[derive(Debug)]
pub struct Bell {
    clapper: Arc<Clapper>,
    socket: Option<UnixStream>,
}

/// The others' end.
#[derive(Debug)]
pub struct Clapper {
    asleep: AtomicBool,
    socket: UnixStream,
}

/// A bell and its clapper.
pub fn cast() -> io::Result<(Bell, Arc<Clapper>)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let clapper = Arc::new(Clapper { asleep: AtomicBool::new(false), socket: theirs });
    Ok((Bell { clapper: Arc::clone(&clapper), socket: Some(ours) }, clapper))
}

impl Bell {
    /// About to sleep. Look into the lanes once more after this: what came before may not have rung.
    pub fn muffle(&self) {
        self.clapper.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Awake again.
    pub fn unmuffle(&self) {
        self.clapper.asleep.store(false, Ordering::Relaxed);
    }

    /// The descriptor that only the sleeper needs, until it listens.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The socket on which a byte arrives for each ring, on the executor. Once.
    pub fn listen(&mut self) -> glommio::net::UnixStream {
        let socket = self.socket.take().expect("a bell is listened to once");
        // SAFETY: the descriptor comes straight out of the socket, which gives up its ownership.
        unsafe { glommio::net::UnixStream::from_raw_fd(socket.into_raw_fd()) }
    }

    #[cfg(test)]
    pub(super) fn wait_blocking(&self) {
        use std::io::Read;
        let mut socket = self.socket.as_ref().expect("not listened to");
        socket.set_nonblocking(false).unwrap();
        assert_eq!(socket.read(&mut [0; 1]).unwrap(), 1);
        socket.set_nonblocking(true).unwrap();
    }
}

impl Clapper {
    /// Wakes the core if it sleeps. Whatever was put into its lanes before is seen.
    pub fn strike(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            // Full only if rung thousands of times without being heard; closed only while the process ends.
            let _ = (&self.socket).write(&[1]);
        }
    }
}
