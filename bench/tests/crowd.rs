//! The raw gateway with more connections than a descriptor table holds. Ignored unless asked for, as it takes some gigabytes and a
//! minute: `cargo test --release -p guildhall-bench --test crowd -- --ignored --nocapture`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guildhall_bench::base::http::{Line, Mailbox};
use guildhall_bench::base::{limits, proc, source_address};
use guildhall_bench::baseline::raw::table;
use guildhall_bench::wire::frames::Kind;
use guildhall_bench::wire::{frames, payload, upgrade};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use serde_json::Value;

/// Connections, unless `CROWD` says otherwise.
const SESSIONS: u32 = 100_000;
/// Messages, one after the other.
const MESSAGES: u64 = 5;
/// Connections made before what has come is read.
const STRIDE: u32 = 64;

/// What the threads have seen.
#[derive(Debug, Default)]
struct Seen {
    live: AtomicU64,
    messages: AtomicU64,
    /// Nothing is read any more.
    enough: AtomicBool,
    /// The sockets are closed.
    ending: AtomicBool,
}

/// One thread's clients: they connect, identify, and count what they get.
struct Clients {
    epoll: OwnedFd,
    /// By number: the socket, and the number of its last dispatch.
    sockets: Vec<(OwnedFd, u64)>,
    partial: HashMap<usize, Vec<u8>>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
    seen: Arc<Seen>,
}

impl Clients {
    fn run(address: SocketAddr, first: u32, count: u32, seen: Arc<Seen>) {
        table::split(&[]).expect("a table of our own");
        let mut clients = Clients {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll"),
            sockets: Vec::new(),
            partial: HashMap::new(),
            buffer: vec![0; 1 << 16],
            events: vec![epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 1_024],
            seen,
        };
        let mut request = Vec::new();
        upgrade::write(&mut request, address, false);
        for number in 0..count {
            let socket = source_address::connect(address, first + number).expect("it listens");
            poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None).expect("poll");
            send(&socket, &request, SendFlags::NOSIGNAL).expect("connected");
            epoll::add(&clients.epoll, &socket, EventData::new_u64(u64::from(number)), EventFlags::IN).expect("epoll");
            clients.sockets.push((socket, 0));
            if number % STRIDE == 0 {
                clients.read(0);
            }
        }
        while !clients.seen.ending.load(Ordering::Relaxed) {
            if clients.seen.enough.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            } else {
                clients.read(20_000_000);
            }
        }
    }

    fn read(&mut self, nanoseconds: i64) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let count = epoll::wait(&self.epoll, &mut self.events[..], Some(&timeout)).expect("epoll_wait");
        for event in 0..count {
            let data = self.events[event].data;
            let at = data.u64() as usize;
            if self.seen.enough.load(Ordering::Relaxed) {
                return;
            }
            let (socket, last) = &mut self.sockets[at];
            let (read, _) = recv(&*socket, &mut self.buffer[..], RecvFlags::empty()).expect("the gateway stays");
            assert!(read > 0, "client {at} was closed");
            let mut bytes = self.partial.remove(&at).unwrap_or_default();
            bytes.extend_from_slice(&self.buffer[..read]);
            let mut used = 0;
            if bytes.starts_with(b"HTTP") {
                used = upgrade::read(&bytes).expect("an upgrade").unwrap_or(bytes.len());
            }
            while let Some(frame) = frames::next(&bytes[used..]).expect("sound frames") {
                used += frame.length;
                let envelope = payload::envelope(frame.payload).expect("a payload");
                if envelope.op == 10 {
                    let mut out = Vec::new();
                    frames::write(&mut out, Kind::Text, br#"{"op":2,"d":{"token":"t","intents":513}}"#, [1, 2, 3, 4]);
                    send(&*socket, &out, SendFlags::NOSIGNAL).expect("connected");
                    continue;
                }
                assert_eq!(envelope.s, Some(*last + 1), "{}", envelope.name);
                *last += 1;
                let count = match envelope.name {
                    "GUILD_CREATE" => &self.seen.live,
                    "MESSAGE_CREATE" => &self.seen.messages,
                    _ => continue,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
            if used < bytes.len() {
                self.partial.insert(at, bytes.split_off(used));
            }
        }
    }
}

fn wait(count: &AtomicU64, expected: u64) -> Duration {
    let start = Instant::now();
    let mut last = (0, start);
    loop {
        let now = count.load(Ordering::Relaxed);
        if now >= expected {
            return start.elapsed();
        }
        if now > last.0 {
            last = (now, Instant::now());
        }
        assert!(last.1.elapsed() < limits::CONNECT_STALL_TIME, "{now} of {expected}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "takes some gigabytes and a minute: by hand, as bench/README.md says"]
fn a_crowd_gets_everything() {
    let sessions = std::env::var("CROWD").map_or(SESSIONS, |text| text.parse().expect("a number"));
    for how in ["send", "uring"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_guildhall-bench"))
            .args(["raw-gateway", "--until-eof", "--batch", how, "--sockets", &sessions.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut next = || serde_json::from_str::<Value>(&lines.next().expect("a line").expect("text")).expect("JSON");
        let address: SocketAddr = next()["listening"].as_str().expect("an address").parse().expect("an address");
        let mut line = Line::open(Mailbox { server: address, channel: "1".into(), token: "t".into() }).expect("open");

        let room = table::room() as u32;
        let seen = Arc::new(Seen::default());
        let kernel_before = proc::kernel_bytes().unwrap_or_default();
        let threads: Vec<_> = (0..sessions.div_ceil(room))
            .map(|part| {
                let (first, count) = (part * room, room.min(sessions - part * room));
                let seen = seen.clone();
                std::thread::spawn(move || Clients::run(address, first, count, seen))
            })
            .collect();
        let up = wait(&seen.live, u64::from(sessions));
        let kernel = proc::kernel_bytes().unwrap_or_default().saturating_sub(kernel_before) / u64::from(sessions);
        println!(
            "{how}: {sessions} sessions in {up:.1?}, {:.0}/s, kernel {kernel} B each (both ends)",
            f64::from(sessions) / up.as_secs_f64()
        );
        for message in 1..=MESSAGES {
            let start = Instant::now();
            line.post(&"x".repeat(100)).expect("a message is taken");
            wait(&seen.messages, u64::from(sessions) * message);
            println!("{how}: message {message} was everywhere after {:.2?}", start.elapsed());
        }
        // The clients stay until the gateway has counted them.
        seen.enough.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
        drop(child.stdin.take());
        let report = next();
        seen.ending.store(true, Ordering::Relaxed);
        println!("{report:#}");
        assert_eq!(report["counts"]["deliveries"], u64::from(sessions) * MESSAGES);
        assert_eq!(report["connected"], sessions + 1);
        assert!(report["bytes_per_connection"].as_f64().is_some_and(|bytes| bytes < 200.0), "memory");
        assert!(child.wait().expect("it ends").success());
        for thread in threads {
            thread.join().expect("all clients were served");
        }
    }
}
