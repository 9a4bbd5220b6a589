//! The machine that a run was made on, and the time of day. Source: proc(5).

use std::fs;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use serde::{Deserialize, Serialize};

/// A machine, as [`describe`] sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: u32,
    /// Memory in all, in bytes.
    pub memory_bytes: u64,
    /// The kernel's name and release.
    pub kernel: String,
    /// The CPU's model.
    pub cpu_model: String,
}

/// This machine. What cannot be seen is 0 or `unknown`.
pub fn describe() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    Machine {
        cpus: std::thread::available_parallelism().map_or(0, |cpus| cpus.get() as u32),
        memory_bytes: memory(&read("/proc/meminfo")).unwrap_or_default(),
        kernel: format!("Linux {}", if release.trim().is_empty() { "unknown" } else { release.trim() }),
        cpu_model: model(&read("/proc/cpuinfo")).unwrap_or("unknown").to_owned(),
    }
}

/// The commit that is checked out where the program runs, if it runs in a repository.
pub fn commit() -> Option<String> {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|commit| !commit.is_empty())
}

/// A time as text, to the second: `2026-11-24T00:14:13Z`.
pub fn date(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|date| date.format(&Rfc3339).ok());
    date.unwrap_or_else(|| "unknown".into())
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cpus_memory_and_a_kernel() {
        let machine = describe();
        assert!(machine.cpus > 0 && machine.memory_bytes > 1 << 20);
        assert!(machine.kernel.len() > "Linux ".len() && machine.kernel != "Linux unknown");
    }

    #[test]
    fn the_fields_of_proc_are_found() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:   2048 kB\n"), Some(2_097_152));
        assert_eq!(model("processor : 0\nmodel name\t: Some CPU @ 2 GHz\nflags : a\n"), Some("Some CPU @ 2 GHz"));
        assert_eq!((memory(""), model("Features : fp")), (None, None));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(1_795_479_253_999), "2026-11-24T00:14:13Z");
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(u64::MAX), "unknown");
    }
}
