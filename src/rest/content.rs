//! The body of an HTTP response: bytes, or a stretch of a file that is read as the client takes it.
//!
//! Lives on: every core.
//! A file is read on io_uring, so the core goes on meanwhile. One chunk is read at a time, and hyper asks for the next
//! one when it has room: a response holds [`limits::FILE_CHUNK_BYTES`] and hyper's own buffer, whatever the file's
//! length.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use glommio::io::BufferedFile;
use hyper::body::{Body, Frame, SizeHint};

use crate::limits;

/// A response's body.
#[derive(Debug)]
pub enum RestBody {
    /// Bytes that are there.
    Whole(Bytes),
    /// A stretch of a file.
    File(FileStretch),
}

impl Default for RestBody {
    fn default() -> Self {
        RestBody::Whole(Bytes::new())
    }
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>>>>;

/// What is still to be read of a file. Reading past its end is an error: the length was announced.
pub struct FileStretch {
    file: Rc<BufferedFile>,
    next: u64,
    end: u64,
    reading: Option<Reading>,
}

impl FileStretch {
    /// The bytes from `start` up to, but not including, `end`.
    pub fn new(file: Rc<BufferedFile>, start: u64, end: u64) -> FileStretch {
        FileStretch { file, next: start, end, reading: None }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        let (file, at) = (Rc::clone(&self.file), self.next);
        let size = (self.end - at).min(limits::FILE_CHUNK_BYTES as u64) as usize;
        let reading = self.reading.get_or_insert_with(|| {
            Box::pin(async move {
                let read = file.read_at(at, size).await.map_err(io::Error::from)?;
                Ok(Bytes::copy_from_slice(&read))
            })
        });
        let read = ready!(reading.as_mut().poll(context));
        self.reading = None;
        let read =
            read.and_then(|read| if read.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) });
        match &read {
            Ok(read) => self.next += read.len() as u64,
            Err(_) => self.next = self.end,
        }
        Poll::Ready(Some(read))
    }
}

impl fmt::Debug for FileStretch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileStretch").field("next", &self.next).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Body for RestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            RestBody::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            RestBody::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            RestBody::File(stretch) => stretch.poll_chunk(context).map(|chunk| chunk.map(|read| read.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RestBody::Whole(bytes) => bytes.is_empty(),
            RestBody::File(stretch) => stretch.next >= stretch.end,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            RestBody::Whole(bytes) => bytes.len() as u64,
            RestBody::File(stretch) => stretch.end - stretch.next,
        })
    }
}
