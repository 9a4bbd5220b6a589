//! The raw send test: the same bytes to every open connection, by plain sends in a tight loop. It measures what this
//! host's kernel needs to write once to every socket.
//!
//! Lives on: the control thread, which starts it; each core, which writes.
//! The bytes are unsolicited pongs: clients ignore them (RFC 6455, 5.5.3) and they are no part of a compressed stream.
//! The server renders, numbers and stores nothing for them, so a message to all sessions cannot be faster.
//! Invariant: the pongs stand between two whole frames. Connections whose sockets are full are skipped; pending bytes
//! that were never offered to the socket, such as a heartbeat's answer, go out first, in the same send.

use std::time::Duration;

use bytes::Bytes;
use flume::Sender;
use serde_json::{Value, json};

use crate::base::clock;
use crate::base::fatal::Fatal;
use crate::gateway::door::{Door, RawSendOutcome};
use crate::limits;
use crate::mesh::reactor::Rounds;
use crate::net::frames::{self, FrameKind};
use crate::operate::core_command::{CoreCommand, RawSendReport};

/// Payload bytes of a control frame. Source: RFC 6455, 5.5.
const CONTROL_MAX: usize = 125;
/// Its head.
const HEAD: usize = 2;

/// Runs the test on all cores, `rounds` times; a round begins when all cores have finished the one before. Each core
/// writes to `slice` connections between two turns of other work.
pub fn run(cores: &[Sender<CoreCommand>], bytes: usize, rounds: u32, slice: u32) -> Result<Value, Fatal> {
    if cores.is_empty() {
        return Err(Fatal("no server is running: a pulse is written to its connections".to_owned()));
    }
    if !(HEAD..=limits::RAW_SEND_BYTES_MAX).contains(&bytes) || !(1..=limits::RAW_SEND_ROUNDS_MAX).contains(&rounds) {
        let (most, often) = (limits::RAW_SEND_BYTES_MAX, limits::RAW_SEND_ROUNDS_MAX);
        return Err(Fatal(format!("a pulse has {HEAD} to {most} bytes and 1 to {often} rounds")));
    }
    let (frames, count) = pongs(bytes);
    let mut results = Vec::new();
    for _ in 0..rounds {
        results.push(round(cores, &frames, slice)?);
    }
    Ok(json!({ "bytes": bytes, "frames": count, "rounds": results }))
}

fn round(cores: &[Sender<CoreCommand>], frames: &Bytes, slice: u32) -> Result<Value, Fatal> {
    let (reply, reports) = flume::bounded(cores.len());
    let started = clock::now();
    for core in cores {
        let _ = core.send(CoreCommand::RawSend(frames.clone(), slice, reply.clone()));
    }
    drop(reply);
    let mut sum = RawSendReport { outcome: RawSendOutcome::default(), last_write: started, cpu: Duration::ZERO };
    for _ in cores {
        let report = reports.recv_timeout(limits::RAW_SEND_TIME);
        let report = report.map_err(|_| Fatal("a core did not say how its part of the pulse went".to_owned()))?;
        sum.outcome.add(report.outcome);
        sum.last_write = sum.last_write.max(report.last_write);
        sum.cpu += report.cpu;
    }
    let RawSendOutcome { written, cut_short, skipped } = sum.outcome;
    Ok(json!({
        "written": written,
        "cut_short": cut_short,
        "skipped": skipped,
        "wall_ms": sum.last_write.since(started).as_secs_f64() * 1e3,
        "cpu_ms": sum.cpu.as_secs_f64() * 1e3,
        "ordered_at_ns": started.nanos(),
    }))
}

/// Writes the frames to this core's connections.
pub async fn write_to_all(door: &Door, frames: &Bytes, slice: u32) -> RawSendReport {
    let mut rounds = Rounds::default();
    let mut report =
        RawSendReport { outcome: RawSendOutcome::default(), last_write: clock::now(), cpu: Duration::ZERO };
    let mut next = Some(0);
    while let Some(from) = next {
        if from > 0 {
            rounds.round().await;
        }
        let before = clock::thread_cpu();
        next = door.raw_send(from, slice, frames, &mut report.outcome);
        report.last_write = clock::now();
        report.cpu += clock::thread_cpu().saturating_sub(before);
    }
    report
}

/// `bytes` bytes of whole pongs, and the number of pongs.
fn pongs(bytes: usize) -> (Bytes, usize) {
    let (mut out, mut count) = (Vec::with_capacity(bytes), 0);
    while out.len() < bytes {
        let left = bytes - out.len();
        let whole = HEAD + CONTROL_MAX;
        // A single byte cannot be a frame, so the pong before it is one byte shorter.
        let length = if left == whole + 1 { whole - 1 } else { left.min(whole) } - HEAD;
        frames::write_head(&mut out, FrameKind::Pong, length);
        out.resize(out.len() + length, b' ');
        count += 1;
    }
    (out.into(), count)
}

#[cfg(test)]
mod tests {
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    #[test]
    fn pongs_of_every_size_are_whole_and_ignored() {
        for bytes in (HEAD..800).chain([limits::RAW_SEND_BYTES_MAX]) {
            let (mut stream, count) = pongs(bytes);
            assert_eq!(stream.len(), bytes);
            let mut pongs = 0;
            let mut socket = WebSocket::from_raw_socket(Pipe(&mut stream), Role::Client, None);
            while let Ok(message) = socket.read() {
                assert!(matches!(message, Message::Pong(_)), "{bytes}: {message:?}");
                pongs += 1;
            }
            assert_eq!(pongs, count, "{bytes}");
        }
    }

    #[test]
    fn sizes_and_rounds_out_of_bounds_are_refused() {
        let (core, _commands) = flume::bounded(1);
        let refused =
            |cores: &[Sender<CoreCommand>], bytes, rounds| run(cores, bytes, rounds, 1).unwrap_err().to_string();
        assert!(refused(&[], 100, 1).contains("no server"));
        for (bytes, rounds) in
            [(1, 1), (limits::RAW_SEND_BYTES_MAX + 1, 1), (100, 0), (100, limits::RAW_SEND_ROUNDS_MAX + 1)]
        {
            assert!(refused(std::slice::from_ref(&core), bytes, rounds).contains("bytes and"), "{bytes} {rounds}");
        }
    }

    struct Pipe<'a>(&'a mut Bytes);

    impl std::io::Read for Pipe<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            let read = self.0.len().min(buffer.len());
            buffer[..read].copy_from_slice(&self.0.split_to(read));
            Ok(read)
        }
    }

    impl std::io::Write for Pipe<'_> {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("a pong is not answered");
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
