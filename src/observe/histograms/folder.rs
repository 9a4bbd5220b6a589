//! One run's directory: `<start>/` for the end of the run, `<start>/snapshot-N/` for what was asked for before.
//!
//! Lives on: the main thread.
//! Nothing is overwritten: the directory is claimed by creating it, and a run that finds its name taken takes a suffix.
//! Files are written to `<start>/.part/` and renamed, so readers never see half a file. They are not forced to the
//! disk: that would delay the commits of the store, whose latency is one of the things measured.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::base::clock::Time;
use crate::observe::histograms::{Dump, Rendered, render};

/// Runs that may start in one second in one directory.
const SAME_SECOND_MAX: u32 = 1_000;
/// Snapshots of one run; bounds what a forgotten timer that sends SIGUSR1 puts on the disk, some 100 KiB each.
const SNAPSHOTS_MAX: u32 = 10_000;
/// Where files are written before they are renamed.
const PART: &str = ".part";

/// Where one run of the server writes its histograms. Nothing is created before the first writing.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    name: String,
    /// `root/name`, or that with a suffix; ours since we created it.
    claimed: Option<PathBuf>,
    snapshots: u32,
}

impl Folder {
    /// For a server that started at `started`. `root` is created when it is needed.
    pub fn new(root: PathBuf, started: Time) -> Folder {
        Folder { root, name: name(started), claimed: None, snapshots: 0 }
    }

    /// Writes what was measured so far to `<start>/snapshot-1/`, then `snapshot-2/` and so on; says where.
    pub fn snapshot(&mut self, dump: &Dump<'_>) -> io::Result<PathBuf> {
        if self.snapshots == SNAPSHOTS_MAX {
            return Err(io::Error::other(format!("{SNAPSHOTS_MAX} snapshots of this run are written already")));
        }
        let files = render(dump)?;
        let claimed = self.claim()?;
        let part = write_part(&claimed, &files)?;
        let number = self.snapshots + 1;
        let path = claimed.join(format!("snapshot-{number}"));
        fs::rename(&part, &path)?;
        self.snapshots = number;
        Ok(path)
    }

    /// Writes the last measurements to `<start>/` itself, `summary.json` last; says where.
    pub fn finish(mut self, dump: &Dump<'_>) -> io::Result<PathBuf> {
        let files = render(dump)?;
        let claimed = self.claim()?;
        let part = write_part(&claimed, &files)?;
        for (name, _) in &files {
            fs::rename(part.join(name), claimed.join(name))?;
        }
        fs::remove_dir(part)?;
        Ok(claimed)
    }

    fn claim(&mut self) -> io::Result<PathBuf> {
        if let Some(claimed) = &self.claimed {
            return Ok(claimed.clone());
        }
        fs::create_dir_all(&self.root)?;
        for number in 1..=SAME_SECOND_MAX {
            let path = match number {
                1 => self.root.join(&self.name),
                more => self.root.join(format!("{}-{more}", self.name)),
            };
            match fs::create_dir(&path) {
                Ok(()) => {
                    self.claimed = Some(path.clone());
                    return Ok(path);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let taken =
            format!("{SAME_SECOND_MAX} directories {}-N are there already", self.root.join(&self.name).display());
        Err(io::Error::new(ErrorKind::AlreadyExists, taken))
    }
}

/// Writes the files to the hidden folder, replacing what a failed write may have left there.
fn write_part(claimed: &Path, files: &[Rendered]) -> io::Result<PathBuf> {
    let part = claimed.join(PART);
    match fs::remove_dir_all(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir(&part)?;
    for (name, content) in files {
        fs::write(part.join(name), content)?;
    }
    Ok(part)
}

/// `2026-11-23T21-06-22Z`: sorts by time and needs no quoting.
fn name(started: Time) -> String {
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(started.nanos()))
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}-{:02}-{:02}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::histograms::{minute, sample};
    use crate::store::scratch::Scratch;

    #[test]
    fn snapshots_and_the_end_lie_side_by_side() {
        let (scratch, cores) = (Scratch::new(), sample());
        let root = scratch.join("histograms");
        let (early, late) = (minute(&cores[..1]), minute(&cores));
        let mut folder = Folder::new(root.clone(), early.started);
        let start = root.join("2026-11-23T21-06-22Z");

        let first = folder.snapshot(&early).unwrap();
        assert_eq!(first, start.join("snapshot-1"));
        let summary = fs::read(first.join("summary.json")).unwrap();
        assert_eq!(folder.snapshot(&late).unwrap(), start.join("snapshot-2"));
        assert_eq!(folder.finish(&late).unwrap(), start);

        assert_eq!(fs::read(first.join("summary.json")).unwrap(), summary);
        for path in [start.clone(), start.join("snapshot-2")] {
            assert_ne!(fs::read(path.join("summary.json")).unwrap(), summary);
            assert!(path.join("lane_hop.hgrm").exists() && path.join("histograms.svg").exists());
        }
        assert!(!start.join(PART).exists());
    }

    #[test]
    fn runs_of_one_second_do_not_meet() {
        let (scratch, cores) = (Scratch::new(), sample());
        let dump = minute(&cores);
        let paths: Vec<PathBuf> =
            (0..3).map(|_| Folder::new(scratch.join(""), dump.started).finish(&dump).unwrap()).collect();
        assert_eq!(paths[0], scratch.join("2026-11-23T21-06-22Z"));
        assert_eq!(paths[1], scratch.join("2026-11-23T21-06-22Z-2"));
        assert_eq!(paths[2], scratch.join("2026-11-23T21-06-22Z-3"));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_and_later_writings_work() {
        let (scratch, cores) = (Scratch::new(), sample());
        let dump = minute(&cores);
        let root = scratch.join("root");
        fs::write(&root, "a file").unwrap();
        let mut folder = Folder::new(root.clone(), dump.started);
        assert!(folder.snapshot(&dump).is_err());

        fs::remove_file(&root).unwrap();
        let start = root.join("2026-11-23T21-06-22Z");
        assert_eq!(folder.snapshot(&dump).unwrap(), start.join("snapshot-1"));
        // Remains of an interrupted write do not disturb the next one.
        fs::create_dir(start.join(PART)).unwrap();
        fs::write(start.join(PART).join("summary.json"), "{").unwrap();
        assert_eq!(folder.snapshot(&dump).unwrap(), start.join("snapshot-2"));
    }
}
