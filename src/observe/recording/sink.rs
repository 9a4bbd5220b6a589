//! The file of a recording: zstd frames, one behind the other, each of whole lines.
//!
//! Lives on: the recorder's thread.
//! Each frame is written at once and stands for itself, so what was written can be read however the process ends. A
//! frame that does not fit on the disk is taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zstd::bulk::Compressor;

/// A file being written.
pub struct TraceSink {
    file: File,
    compressor: Compressor<'static>,
    /// Bytes of whole frames.
    length: u64,
}

impl TraceSink {
    /// A new file, for its owner alone. One that is there already is an error.
    pub fn create(path: &Path) -> io::Result<TraceSink> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(TraceSink { file, compressor, length: 0 })
    }

    /// On a file that is open already.
    #[cfg(test)]
    pub fn over(file: File) -> TraceSink {
        TraceSink {
            file,
            compressor: Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL).expect("a compressor"),
            length: 0,
        }
    }

    /// Writes some lines as one frame.
    pub fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        let frame = self.compressor.compress(lines)?;
        self.file.write_all(&frame).inspect_err(|_| {
            // Half a frame would make readers stumble. If even this fails they say so.
            let _ = self.file.set_len(self.length);
        })?;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Waits until everything is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;

    #[test]
    fn frames_stand_for_themselves_and_nothing_is_overwritten() {
        let folder = Scratch::new();
        let path = folder.join("x.jsonl.zst");
        let mut sink = TraceSink::create(&path).unwrap();
        sink.put(b"one\n").unwrap();
        let first = std::fs::read(&path).unwrap();
        sink.put(b"two\n").unwrap();
        let both = std::fs::read(&path).unwrap();
        assert_eq!(zstd::decode_all(&first[..]).unwrap(), b"one\n");
        assert_eq!(zstd::decode_all(&both[..]).unwrap(), b"one\ntwo\n");
        assert_eq!(TraceSink::create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), both);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sink = TraceSink::over(file);
        assert_eq!(sink.put(b"one\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
