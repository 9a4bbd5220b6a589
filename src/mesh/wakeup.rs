//! Wakes a core that sleeps: other cores notify it when they have put something into its lanes.
//!
//! Lives on: the core that is woken; its [`Waker`] on every other core. A socket pair, since glommio waits for sockets.
//! A byte is sent only to a core that has parked, once per sleep, so a busy mesh makes no system calls. (glommio's own
//! channels wake a sleeping executor without a task that waits for the wake-up, which is one way to make it oversleep:
//! see [`super::reactor`].)
//! Invariant: an item that was put into a lane before [`Waker::notify`] is either seen by the check after
//! [`Wakeup::park`] or wakes the core. The two fences keep that: park stores, then reads lanes; notify writes a lane,
//! then reads the flag.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// The end of the core that sleeps.
#[derive(Debug)]
pub struct Wakeup {
    waker: Arc<Waker>,
    socket: Option<UnixStream>,
}

/// The end of the cores that wake it.
#[derive(Debug)]
pub struct Waker {
    asleep: AtomicBool,
    socket: UnixStream,
}

impl Wakeup {
    /// Both ends.
    pub fn new() -> io::Result<(Wakeup, Arc<Waker>)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let waker = Arc::new(Waker { asleep: AtomicBool::new(false), socket: theirs });
        Ok((Wakeup { waker: Arc::clone(&waker), socket: Some(ours) }, waker))
    }

    /// About to sleep. Check the lanes once more after this: what came before may not have notified.
    pub fn park(&self) {
        self.waker.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Awake again.
    pub fn unpark(&self) {
        self.waker.asleep.store(false, Ordering::Relaxed);
    }

    /// The descriptor that only this core needs, until [`Wakeup::listen`].
    pub fn descriptor(&self) -> Option<RawFd> {
        self.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The socket on which a byte arrives for each wake-up, on the executor. Once.
    pub fn listen(&mut self) -> glommio::net::UnixStream {
        let socket = self.socket.take().expect("a core listens to its wake-ups once");
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

impl Waker {
    /// Wakes the core if it sleeps. What was put into its lanes before is seen.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            // Full only after thousands of unread wake-ups; closed only while the process ends.
            let _ = (&self.socket).write(&[1]);
        }
    }
}
