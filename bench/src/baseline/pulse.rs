//! The raw loop over the same sockets: the server is instructed to write so many bytes to each of its connections, by
//! the plainest way there is.
//!
//! The instruction is no part of the wire, so it is a command, such as `guildhall admin --data DIR --json pulse
//! --bytes`; the number of bytes follows as its last word. What comes are unsolicited pongs, which clients ignore (RFC
//! 6455, section 5.5.3). The command says how many it has written.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::generate::clients::pool::ClientPool;

/// Between looks.
const PAUSE: Duration = Duration::from_millis(2);
/// Connections that a round may pass over, since their sockets are full or about to close: one in so many. What is
/// passed over makes the raw loop faster, not the server.
const SKIPPED_ONE_IN: u64 = 100;

/// The command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSendCommand(Vec<String>);

/// What the server says of it.
#[derive(Debug, Deserialize)]
struct Told {
    frames: u64,
    rounds: Vec<Round>,
}

#[derive(Debug, Deserialize)]
struct Round {
    written: u64,
    cut_short: u64,
    skipped: u64,
    wall_ms: f64,
    cpu_ms: f64,
    ordered_at_ns: u64,
}

/// What one took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawSendTiming {
    /// From the order to the last byte on the last session, in seconds.
    pub seconds: f64,
    /// From the order to the last send, in seconds, as the server says.
    pub sent_seconds: f64,
    /// The server's CPU time of its loops for one connection, in microseconds.
    pub cpu_us: f64,
}

impl RawSendCommand {
    /// The command's words, separated by spaces.
    pub fn new(command: &str) -> Option<RawSendCommand> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then_some(RawSendCommand(words))
    }

    /// Has so many bytes written to each connection, and waits until they are all here; without a further one for so
    /// long, they are lost.
    pub fn run(&self, pool: &ClientPool, bytes: usize, patience: Duration) -> Result<RawSendTiming, String> {
        let (before, _) = pool.pongs();
        let [program, arguments @ ..] = &self.0[..] else { return Err("there is no command for the raw loop".into()) };
        let mut command = Command::new(program);
        command.args(arguments).arg(bytes.to_string()).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("{program}: {error}"))?;
        if !output.status.success() {
            return Err(format!("the raw loop: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let told: Told =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("the raw loop says {error}"))?;
        let Some(round) = told.rounds.last() else { return Err("a raw loop without a round".into()) };
        let written = round.written + round.cut_short;
        if round.skipped * SKIPPED_ONE_IN > written {
            return Err(format!(
                "the raw loop passed over {} connections of {}",
                round.skipped,
                written + round.skipped
            ));
        }
        let expected = before + told.frames * written;
        let (mut last, mut changed) = (before, Instant::now());
        loop {
            let (now, last_ns) = pool.pongs();
            if now >= expected {
                let seconds = last_ns.saturating_sub(round.ordered_at_ns) as f64 / 1e9;
                let cpu_us = round.cpu_ms * 1e3 / written.max(1) as f64;
                return Ok(RawSendTiming { seconds, sent_seconds: round.wall_ms / 1e3, cpu_us });
            }
            if now != last {
                (last, changed) = (now, Instant::now());
            }
            if changed.elapsed() > patience {
                return Err(format!("of the raw loop {} of {} pongs are missing", expected - now, expected - before));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_its_words() {
        assert_eq!(RawSendCommand::new("a  --b c"), Some(RawSendCommand(vec!["a".into(), "--b".into(), "c".into()])));
        assert_eq!(RawSendCommand::new("  "), None);
    }
}
