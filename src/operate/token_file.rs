//! Files of tokens: one per line, readable by their owner alone.
//!
//! Lives on: a command's process.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::base::fatal::Fatal;

/// An open, empty token file. It is opened before the work, so that a path that cannot be written fails first.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl TokenFile {
    /// Creates or truncates the file.
    pub fn create(path: &Path) -> Result<TokenFile, Fatal> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
        let file = file.map_err(|error| cannot_write(path, &error))?;
        Ok(TokenFile { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all tokens and flushes them.
    pub fn write<T: AsRef<str>>(mut self, tokens: impl IntoIterator<Item = T>) -> Result<(), Fatal> {
        let write_all = || {
            tokens.into_iter().try_for_each(|token| writeln!(self.file, "{}", token.as_ref()))?;
            self.file.flush()
        };
        write_all().map_err(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Fatal {
    Fatal(format!("cannot write the tokens to {}: {error}", path.display()))
}
