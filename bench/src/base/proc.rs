//! What processes and threads use, read from /proc. Source: proc(5).

use std::{fmt, fs};

use serde::{Deserialize, Serialize};

/// CPU ticks per second in /proc; the kernel's USER_HZ, the same on all architectures that matter here.
const TICKS_PER_SECOND: u64 = 100;
/// Bytes of a page, in which sockstat counts.
const PAGE: u64 = 4_096;

/// What a thread has used and wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadUse {
    /// Nanoseconds on a CPU.
    pub ran_ns: u64,
    /// Nanoseconds ready to run, without a CPU.
    pub waited_ns: u64,
}

/// What a process has used.
#[derive(Debug, Clone, Default)]
pub struct ProcessUse {
    /// CPU time, user and system, of all threads that ever were.
    pub cpu_ns: u64,
    /// By thread id.
    pub threads: Vec<(i32, ThreadUse)>,
    /// Anonymous memory in use, in bytes.
    pub anonymous: u64,
}

/// What a process has used until now; `None` if it is gone.
pub fn process(pid: i32) -> Option<ProcessUse> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        if let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(used) = thread(pid, id)
        {
            threads.push((id, used));
        }
    }
    Some(ProcessUse { cpu_ns: cpu_ns(pid)?, threads, anonymous: anonymous(pid)? })
}

/// What a thread has used until now.
pub fn thread(pid: i32, id: i32) -> Option<ThreadUse> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{id}/schedstat")).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(ThreadUse { ran_ns: numbers.next()?.ok()?, waited_ns: numbers.next()?.ok()? })
}

/// CPU time between two looks at a process, in nanoseconds.
///
/// The scheduler's own sums are exact, but go when a thread does; the process's are kept, in ticks of 10 ms.
pub fn cpu_between(before: &ProcessUse, after: &ProcessUse) -> u64 {
    let used =
        |id: i32, of: &ProcessUse| of.threads.iter().find(|(other, _)| *other == id).map(|(_, used)| used.ran_ns);
    if after.threads.is_empty() || before.threads.iter().any(|(id, _)| used(*id, after).is_none()) {
        return after.cpu_ns.saturating_sub(before.cpu_ns);
    }
    let grown = |(id, now): &(i32, ThreadUse)| now.ran_ns.saturating_sub(used(*id, before).unwrap_or(0));
    after.threads.iter().map(grown).sum()
}

/// The processes whose parent this one is, by number.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let texts = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut all: Vec<i32> =
        texts.flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect();
    all.sort_unstable();
    all
}

/// How a thread spent a time, in shares of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Busy {
    /// On a CPU.
    pub ran: f64,
    /// Ready to run, without a CPU.
    pub waited: f64,
}

impl Busy {
    /// Between two looks at a thread.
    pub fn between(before: ThreadUse, after: ThreadUse, wall_ns: u64) -> Busy {
        let share = |before: u64, after: u64| after.saturating_sub(before) as f64 / wall_ns.max(1) as f64;
        Busy { ran: share(before.ran_ns, after.ran_ns), waited: share(before.waited_ns, after.waited_ns) }
    }

    /// Both: a thread that waits for a CPU holds up others just like one that has it.
    pub fn wanted(self) -> f64 {
        self.ran + self.waited
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}% (ran {:.0}%)", self.wanted() * 100.0, self.ran * 100.0)
    }
}

/// The busiest of a process's threads.
pub fn busiest(before: &ProcessUse, after: &ProcessUse, wall_ns: u64) -> Busy {
    let all = after.threads.iter().map(|(id, after)| {
        let before = before.threads.iter().find(|(other, _)| other == id).map(|(_, used)| *used).unwrap_or_default();
        Busy::between(before, *after, wall_ns)
    });
    all.max_by(|one, other| one.wanted().total_cmp(&other.wanted())).unwrap_or_default()
}

/// Memory that the whole machine's kernel spends on objects and on bytes in TCP sockets.
pub fn kernel_bytes() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let slab = kibibytes(&memory, "Slab:")?;
    let sockets = fs::read_to_string("/proc/net/sockstat").ok()?;
    let tcp = sockets.lines().find(|line| line.starts_with("TCP:"))?;
    let pages: u64 = tcp.split_whitespace().last()?.parse().ok()?;
    Some(slab + pages * PAGE)
}

fn cpu_ns(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    cpu_ns_of(&text)
}

fn cpu_ns_of(stat: &str) -> Option<u64> {
    // The name in parentheses may contain anything, so what follows is counted from the last one. utime and stime are
    // the 14th and 15th field of the line.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(ticks * (1_000_000_000 / TICKS_PER_SECOND))
}

fn anonymous(pid: i32) -> Option<u64> {
    kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "RssAnon:")
}

/// A line such as `RssAnon:   123 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_process_names_do_not_shift_the_fields() {
        let line = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0";
        assert_eq!(cpu_ns_of(line), Some(2_000_000_000));
    }

    #[test]
    fn this_process_is_seen() {
        let me = std::process::id() as i32;
        let before = process(me).expect("it runs");
        let start = std::time::Instant::now();
        // However long that takes on a busy machine.
        let begin = crate::base::clock::thread_cpu_ns();
        while crate::base::clock::thread_cpu_ns() < begin + 60_000_000 {}
        let after = process(me).expect("it runs");
        assert!(after.cpu_ns >= before.cpu_ns + 20_000_000);
        assert!(after.anonymous > 0 && kernel_bytes().is_some());
        let wanted = busiest(&before, &after, start.elapsed().as_nanos() as u64).wanted();
        assert!(wanted > 0.0, "the busiest thread wanted {wanted} of a CPU");
    }
}
