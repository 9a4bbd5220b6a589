//! A pulse: the same bytes to every open connection, by plain sends in a tight loop. What does this host's kernel need to write
//! once to everybody?
//!
//! Lives on: the control socket's thread, which orders it; each core, which writes.
//! The bytes are unsolicited pongs, which clients ignore (RFC 6455, 5.5.3), and which are no part of a compressed stream. Nothing
//! is rendered, numbered or remembered for them, so a message to everybody cannot be quicker than this.
//! Invariant: a pulse stands between two whole frames. Connections with bytes that their sockets have not taken are left out; what has
//! only not been written yet, such as the answer to a heartbeat, goes out before the pulse, in the same send.

use bytes::Bytes;
use flume::Sender;
use serde_json::{Value, json};
use std::time::Duration;

use crate::base::clock::{self, Time};
use crate::boot::Fatal;
use crate::boot::core::Order;
use crate::gateway::door::{Door, Pulsed};
use crate::limits;
use crate::mesh::reactor::Rounds;
use crate::net::frames::{self, FrameKind};

/// Payload bytes of a control frame. Source: RFC 6455, 5.5.
const CONTROL_MAX: usize = 125;
/// Its head.
const HEAD: usize = 2;

/// One core's part of a pulse.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// How it went.
    pulsed: Pulsed,
    /// When the last write was done.
    last: Time,
    /// CPU time of the writing.
    cpu: Duration,
}

/// Has all cores write, as often as asked, each time when all have done it before. A core writes to `slice` connections, then other work has
/// its turn.
pub fn order(cores: &[Sender<Order>], bytes: usize, rounds: u32, slice: u32) -> Result<Value, Fatal> {
    if cores.is_empty() {
        return Err(Fatal("no server is running: a pulse is written to its connections".to_owned()));
    }
    if !(HEAD..=limits::PULSE_BYTES_MAX).contains(&bytes) || !(1..=limits::PULSE_ROUNDS_MAX).contains(&rounds) {
        let (most, often) = (limits::PULSE_BYTES_MAX, limits::PULSE_ROUNDS_MAX);
        return Err(Fatal(format!("a pulse has {HEAD} to {most} bytes and 1 to {often} rounds")));
    }
    let (frames, count) = pongs(bytes);
    let mut told = Vec::new();
    for _ in 0..rounds {
        let (reply, beats) = flume::bounded(cores.len());
        let ordered = clock::now();
        for core in cores {
            let _ = core.send(Order::Pulse(frames.clone(), slice, reply.clone()));
        }
        drop(reply);
        let mut sum = Beat { pulsed: Pulsed::default(), last: ordered, cpu: Duration::ZERO };
        for _ in cores {
            let beat = beats.recv_timeout(limits::PULSE_TIME);
            let beat = beat.map_err(|_| Fatal("a core did not say how its part of the pulse went".to_owned()))?;
            sum.pulsed.add(beat.pulsed);
            sum.last = sum.last.max(beat.last);
            sum.cpu += beat.cpu;
        }
        let Pulsed { written, cut_short, skipped } = sum.pulsed;
        told.push(json!({
            "written": written,
            "cut_short": cut_short,
            "skipped": skipped,
            "wall_ms": sum.last.since(ordered).as_secs_f64() * 1e3,
            "cpu_ms": sum.cpu.as_secs_f64() * 1e3,
            "ordered_at_ns": ordered.nanos(),
        }));
    }
    Ok(json!({ "bytes": bytes, "frames": count, "rounds": told }))
}

/// Writes the frames to this core's connections.
pub async fn beat(door: &Door, frames: &Bytes, slice: u32) -> Beat {
    let mut rounds = Rounds::default();
    let mut beat = Beat { pulsed: Pulsed::default(), last: clock::now(), cpu: Duration::ZERO };
    let mut next = Some(0);
    while let Some(from) = next {
        if from > 0 {
            rounds.round().await;
        }
        let before = clock::thread_cpu();
        next = door.pulse(from, slice, frames, &mut beat.pulsed);
        beat.last = clock::now();
        beat.cpu += clock::thread_cpu().saturating_sub(before);
    }
    beat
}

/// So many bytes of whole pongs, and how many pongs they are.
fn pongs(bytes: usize) -> (Bytes, usize) {
    let (mut out, mut count) = (Vec::with_capacity(bytes), 0);
    while out.len() < bytes {
        let left = bytes - out.len();
        let whole = HEAD + CONTROL_MAX;
        // One byte is no frame: then this one is a byte shorter.
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
        for bytes in (HEAD..800).chain([limits::PULSE_BYTES_MAX]) {
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
    fn what_no_pulse_can_be_is_refused() {
        let (core, _orders) = flume::bounded(1);
        let refused = |cores: &[Sender<Order>], bytes, rounds| order(cores, bytes, rounds, 1).unwrap_err().to_string();
        assert!(refused(&[], 100, 1).contains("no server"));
        for (bytes, rounds) in [(1, 1), (limits::PULSE_BYTES_MAX + 1, 1), (100, 0), (100, limits::PULSE_ROUNDS_MAX + 1)]
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
