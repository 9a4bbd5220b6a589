//! The directory that a server keeps its things in, and the lock that lets one process at a time use it.
//!
//! Lives on: the main thread, from start to end.
//! The lock is the kernel's (`flock`) on the file `lock`: it ends with the process, however that ends. The process id
//! in the file is for people.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::store::StoreError;

/// A data directory that this process holds. Dropping it lets it go.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Holds the lock as long as it is open; closed in programs that this process starts.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, and creates it, for its owner alone, if it is missing. Fails with one sentence when another
    /// process has it or when it cannot be written.
    pub fn lock(path: &Path) -> Result<DataDir, StoreError> {
        let unusable = |error: &dyn std::fmt::Display| {
            StoreError::Failed(format!("the data directory {} cannot be used: {error}", path.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(&error))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(|error| unusable(&error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // The holder may not have written yet; then its number stays unknown.
                let _ = lock.read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "?" } else { holder.trim() };
                return Err(StoreError::Failed(format!(
                    "the data directory {} is in use by process {holder}: stop it, or choose another with --data",
                    path.display()
                )));
            }
            Err(error) => return Err(unusable(&error)),
        }
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(|error| unusable(&error))?;
        let directory = DataDir { path: path.to_owned(), _lock: lock };
        // SQLite would create it readable by every user, in a directory that may be older than this lock; it holds the
        // secret that signs tokens. The files beside it take over its mode.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(directory.database())
            .map_err(|error| unusable(&error))?;
        Ok(directory)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file. SQLite puts `-wal` and `-shm` beside it.
    pub fn database(&self) -> PathBuf {
        self.path.join("guildhall.sqlite3")
    }

    /// The socket on which the operator's commands reach the running server.
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Where latency histograms are written when the server stops. Not created here.
    pub fn histograms(&self) -> PathBuf {
        self.path.join("histograms")
    }

    /// The folder for files of requests under way: created, and emptied of what an earlier process left.
    pub fn empty_spool(&self) -> Result<PathBuf, StoreError> {
        let spool = self.path.join("spool");
        let emptied = match std::fs::remove_dir_all(&spool) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => DirBuilder::new().mode(0o700).create(&spool),
        };
        match emptied {
            Ok(()) => Ok(spool),
            Err(error) => Err(StoreError::Failed(format!("the folder {} cannot be emptied: {error}", spool.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::store::scratch::Scratch;

    #[test]
    fn a_directory_is_created_for_its_owner_and_taken_by_one_at_a_time() {
        let scratch = Scratch::new();
        let path = scratch.join("a/b");
        let held = DataDir::lock(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(held.database(), path.join("guildhall.sqlite3"));
        std::fs::create_dir(path.join("spool")).unwrap();
        std::fs::write(path.join("spool/0-1"), "left by a crash").unwrap();
        assert_eq!(std::fs::read_dir(held.empty_spool().unwrap()).unwrap().count(), 0);

        let sentence = DataDir::lock(&path).unwrap_err().to_string();
        let expected =
            format!("the data directory {} is in use by process {}: stop it", path.display(), std::process::id());
        assert!(sentence.starts_with(&expected), "{sentence}");

        drop(held);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn the_database_is_its_owners_alone_also_in_a_directory_that_others_may_read() {
        let scratch = Scratch::new();
        let path = scratch.join("open");
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        let held = DataDir::lock(&path).unwrap();
        let mut store = crate::store::database::open(&held.database()).unwrap();
        store.secret().unwrap();
        for name in ["guildhall.sqlite3", "guildhall.sqlite3-wal", "guildhall.sqlite3-shm"] {
            assert_eq!(std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_refused_with_its_name() {
        let scratch = Scratch::new();
        std::fs::write(scratch.join("file"), "").unwrap();
        for path in [scratch.join("file"), scratch.join("file/below")] {
            let sentence = DataDir::lock(&path).unwrap_err().to_string();
            assert!(sentence.starts_with(&format!("the data directory {} cannot be used: ", path.display())));
            assert!(!sentence.contains('\n'));
        }
    }

    /// Not a test: the other process of the one below.
    #[test]
    #[ignore = "started by another test"]
    fn holds_the_directory_until_killed() {
        let Some(path) = std::env::var_os("GUILDHALL_TEST_DIRECTORY") else { return };
        let _held = DataDir::lock(Path::new(&path)).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_killed_holder_leaves_the_directory_free() {
        let scratch = Scratch::new();
        let path = scratch.join("data");
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "store::directory::tests::holds_the_directory_until_killed"])
            .env("GUILDHALL_TEST_DIRECTORY", &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        let pid = format!("{}\n", holder.id());
        while std::fs::read_to_string(path.join("lock")).unwrap_or_default() != pid {
            assert!(Instant::now() < end, "the holder did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        let sentence = DataDir::lock(&path).unwrap_err().to_string();
        assert!(sentence.contains(&format!("in use by process {}:", holder.id())), "{sentence}");

        holder.kill().unwrap();
        holder.wait().unwrap();
        DataDir::lock(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("lock")).unwrap(), format!("{}\n", std::process::id()));
    }
}
