//! A glommio socket in the shape that hyper wants, with bytes that were already read in front.
//!
//! Lives on: every core.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};

use crate::limits;

/// A socket for hyper.
#[derive(Debug)]
pub struct HyperIo {
    stream: TcpStream,
    /// Read before hyper came: the head of the first request.
    ahead: Vec<u8>,
    taken: usize,
}

impl HyperIo {
    /// A socket of which `ahead` was already read.
    pub fn new(stream: TcpStream, ahead: Vec<u8>) -> HyperIo {
        // hyper has no such timeout: a peer that asks and does not read would never lose its connection.
        let _ = stream.set_write_timeout(Some(limits::KEEP_ALIVE_TIME));
        HyperIo { stream, ahead, taken: 0 }
    }

    /// The socket, and what hyper has not taken of the bytes ahead.
    pub fn into_inner(mut self) -> (TcpStream, Vec<u8>) {
        let _ = self.stream.set_write_timeout(None);
        (self.stream, self.ahead.split_off(self.taken))
    }
}

impl Read for HyperIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken < self.ahead.len() {
            let count = cursor.remaining().min(self.ahead.len() - self.taken);
            cursor.put_slice(&self.ahead[self.taken..self.taken + count]);
            self.taken += count;
            if self.taken == self.ahead.len() {
                self.ahead = Vec::new();
                self.taken = 0;
            }
            return Poll::Ready(Ok(()));
        }
        let mut buffer = [0; 8 * 1024];
        let room = cursor.remaining().min(buffer.len());
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer[..room]))?;
        cursor.put_slice(&buffer[..read]);
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperIo {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

/// glommio's timers for hyper's timeouts.
#[derive(Debug, Clone, Copy, Default)]
pub struct GlommioTimer;

struct Nap {
    timer: glommio::timer::Timer,
}

// SAFETY: hyper's trait asks for Send and Sync because of executors that move tasks between threads. glommio never
// does: a connection, its timeouts among it, is polled and dropped on the core that made it.
unsafe impl Send for Nap {}
// SAFETY: as above.
unsafe impl Sync for Nap {}

impl std::future::Future for Nap {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.timer).poll(context).map(drop)
    }
}

impl Sleep for Nap {}

impl Timer for GlommioTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap { timer: glommio::timer::Timer::new(duration) })
    }
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}
