//! The spool: files of requests under way, on disk and without a name.
//!
//! Lives on: every core, with a share of the bytes of its own.
//! A spooled file is unlinked as soon as it is created, so it ends with its last user, also when the process is killed.
//! A name that a crash left between the two is removed at start, with the folder. Writes go through io_uring: the core
//! goes on meanwhile.

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use glommio::GlommioError;
use glommio::io::{BufferedFile, OpenOptions};

use crate::limits;

/// One core's share of the spool.
#[derive(Debug, Clone)]
pub struct Spool(Rc<SpoolShare>);

#[derive(Debug)]
struct SpoolShare {
    folder: PathBuf,
    /// Tells the files of this core from those of others.
    core: usize,
    bytes_max: u64,
    bytes: Cell<u64>,
    next: Cell<u64>,
}

/// Why a file could not be spooled.
#[derive(Debug)]
pub enum SpoolError {
    /// The core's share is used up.
    Full,
    /// The disk says why.
    Disk(io::Error),
}

impl From<GlommioError<()>> for SpoolError {
    fn from(error: GlommioError<()>) -> Self {
        SpoolError::Disk(error.into())
    }
}

/// A file of the spool. Dropping it frees its bytes.
#[derive(Debug)]
pub struct SpooledFile {
    file: Rc<BufferedFile>,
    /// Written, or in the buffer.
    length: u64,
    buffer: Vec<u8>,
    spool: Spool,
}

impl Spool {
    /// The share of a core, in a folder that is there and empty.
    pub fn new(folder: PathBuf, core: usize, bytes_max: u64) -> Spool {
        Spool(Rc::new(SpoolShare { folder, core, bytes_max, bytes: Cell::new(0), next: Cell::new(0) }))
    }

    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.get()
    }

    /// A new file, empty.
    pub async fn create(&self) -> Result<SpooledFile, SpoolError> {
        let number = self.0.next.get();
        self.0.next.set(number + 1);
        let path = self.0.folder.join(format!("{}-{number}", self.0.core));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).buffered_open(&path).await?;
        file.remove().await?;
        Ok(SpooledFile { file: Rc::new(file), length: 0, buffer: Vec::new(), spool: self.clone() })
    }
}

impl SpooledFile {
    /// Appends. What is short of a chunk waits in memory for [`SpooledFile::finish`].
    pub async fn append(&mut self, mut bytes: &[u8]) -> Result<(), SpoolError> {
        let share = &self.spool.0;
        let used = share.bytes.get() + bytes.len() as u64;
        if used > share.bytes_max {
            return Err(SpoolError::Full);
        }
        share.bytes.set(used);
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(limits::FILE_CHUNK_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == limits::FILE_CHUNK_BYTES {
                self.write(bytes.len() as u64).await?;
            }
        }
        Ok(())
    }

    /// Writes what has waited. After it the file can be read.
    pub async fn finish(&mut self) -> Result<(), SpoolError> {
        if self.buffer.is_empty() { Ok(()) } else { self.write(0).await }
    }

    /// Writes the buffer; `later` bytes of the length are not yet in it.
    async fn write(&mut self, later: u64) -> Result<(), SpoolError> {
        let buffer = std::mem::take(&mut self.buffer);
        let (size, at) = (buffer.len(), self.length - later - buffer.len() as u64);
        // A regular file takes less than it is given only when the disk is full.
        match self.file.write_at(buffer, at).await? {
            written if written == size => Ok(()),
            _ => Err(SpoolError::Disk(io::ErrorKind::StorageFull.into())),
        }
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file, to be read.
    pub fn file(&self) -> &Rc<BufferedFile> {
        &self.file
    }
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        let share = &self.spool.0;
        share.bytes.set(share.bytes.get() - self.length);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::rest::content::{FileStretch, RestBody};
    use crate::store::scratch::Scratch;
    use http_body_util::BodyExt;

    /// Runs a test on an executor, with a folder.
    pub fn on_core<F: Future<Output = ()> + 'static>(test: impl FnOnce(PathBuf) -> F + Send + 'static) {
        let scratch = Scratch::new();
        let folder = scratch.join("spool");
        std::fs::create_dir(&folder).unwrap();
        let executor = glommio::LocalExecutorBuilder::new(glommio::Placement::Unbound);
        executor.spawn(move || test(folder)).unwrap().join().unwrap();
    }

    pub fn spool(folder: &Path, bytes_max: u64) -> Spool {
        Spool::new(folder.to_owned(), 0, bytes_max)
    }

    #[test]
    fn spooled_file_returns_what_was_appended() {
        on_core(|folder| async move {
            let spool = spool(&folder, 1 << 20);
            let mut file = spool.create().await.unwrap();
            let bytes: Vec<u8> = (0..3 * limits::FILE_CHUNK_BYTES + 7).map(|number| (number * 31) as u8).collect();
            for piece in bytes.chunks(50_001) {
                file.append(piece).await.unwrap();
            }
            file.finish().await.unwrap();
            let (start, end) = (limits::FILE_CHUNK_BYTES as u64 - 3, bytes.len() as u64 - 2);
            let stretch = FileStretch::new(Rc::clone(file.file()), start, end);
            let mut body = RestBody::File(stretch);
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                let chunk = frame.unwrap().into_data().unwrap();
                assert!(chunk.len() <= limits::FILE_CHUNK_BYTES, "a chunk at a time");
                read.extend_from_slice(&chunk);
            }
            assert_eq!(read, bytes[start as usize..end as usize]);
            assert!(matches!(file.append(&[0; 1 << 20]).await, Err(SpoolError::Full)));
            let beyond = FileStretch::new(Rc::clone(file.file()), bytes.len() as u64, bytes.len() as u64 + 1);
            let error = RestBody::File(beyond).collect().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}
