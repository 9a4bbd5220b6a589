//! The checker of peers checked: against a broadcast server that does one thing wrong it must report exactly that, and
//! nothing otherwise.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guildhall_bench::runs::peers::peer::{Peer, Publish, Shape};
use guildhall_bench::runs::peers::report::Report;
use guildhall_bench::runs::peers::run::Settings;
use guildhall_bench::runs::peers::target::Target;
use guildhall_bench::runs::peers::{nchan, run};
use tungstenite::{Message, WebSocket};

const SUBSCRIBERS: u32 = 6;
const MESSAGES: u64 = 30;
/// How often a connection looks for something to do.
const TICK: Duration = Duration::from_millis(5);

/// What goes wrong, with message `.1` to subscriber `.0`, both by the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mischief {
    None,
    Drop(usize, usize),
    Duplicate(usize, usize),
    /// It comes after its successor.
    Reorder(usize, usize),
    /// Its last byte is missing.
    Cut(usize, usize),
    /// The connection ends instead.
    End(usize, usize),
    /// The request is refused, and no subscriber gets it.
    Refuse(usize),
    /// Each message takes so many milliseconds.
    Slow(u64),
    /// Each is wrapped into JSON, after a greeting.
    Wrap,
}

#[derive(Debug, Default)]
struct Broadcast {
    subscribers: Vec<Sender<Option<String>>>,
    published: usize,
    held: Option<String>,
}

/// A broadcast server with a thread per connection. It lives as long as the test's process.
#[derive(Debug, Clone)]
struct Server {
    address: SocketAddr,
    mischief: Mischief,
    hall: Arc<Mutex<Broadcast>>,
}

impl Server {
    fn open(mischief: Mischief) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server { address, mischief, hall: Arc::default() };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    fn serve(&self, stream: TcpStream) {
        let mut first = [0; 8];
        while stream.peek(&mut first).is_ok_and(|read| (1..8).contains(&read)) {}
        match &first {
            b"GET /pub" => self.serve_publisher(tungstenite::accept(stream).expect("an upgrade")),
            b"GET /sub" => self.serve_subscriber(tungstenite::accept(stream).expect("an upgrade")),
            _ => self.serve_requests(stream),
        }
    }

    fn serve_requests(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let status = if self.publish(String::from_utf8(body).expect("text")) { "201 Created" } else { "503 No" };
            if write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }

    fn serve_publisher(&self, mut socket: WebSocket<TcpStream>) {
        while let Ok(message) = socket.read() {
            if let Message::Text(text) = message {
                self.publish(text.as_str().to_owned());
            }
        }
    }

    fn serve_subscriber(&self, mut socket: WebSocket<TcpStream>) {
        let (sender, receiver): (Sender<Option<String>>, Receiver<Option<String>>) = channel();
        if self.mischief == Mischief::Wrap {
            // It subscribes only by what it says first.
            assert_eq!(socket.read().expect("a first frame"), Message::text("hall, please"));
            socket.send(Message::text("welcome")).expect("it is there");
        }
        self.hall.lock().expect("no panic").subscribers.push(sender);
        socket.get_ref().set_read_timeout(Some(TICK)).expect("a timeout");
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(Some(text)) => {
                    if socket.send(Message::text(text)).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(RecvTimeoutError::Timeout) => match socket.read() {
                    Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Ok(_) => {}
                    Err(_) => return,
                },
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Says whether the message is accepted.
    fn publish(&self, text: String) -> bool {
        let mut hall = self.hall.lock().expect("no panic");
        let number = hall.published;
        hall.published += 1;
        if let Mischief::Slow(ms) = self.mischief {
            std::thread::sleep(Duration::from_millis(ms));
        }
        if self.mischief == Mischief::Refuse(number) {
            return false;
        }
        let Broadcast { subscribers, held, .. } = &mut *hall;
        for (at, subscriber) in subscribers.iter().enumerate() {
            let say = |text: &str| drop(subscriber.send(Some(text.to_owned())));
            match self.mischief {
                Mischief::Drop(who, which) if (who, which) == (at, number) => {}
                Mischief::Duplicate(who, which) if (who, which) == (at, number) => {
                    say(&text);
                    say(&text);
                }
                Mischief::Reorder(who, which) if (who, which) == (at, number) => *held = Some(text.clone()),
                Mischief::Reorder(who, which) if (who, which + 1) == (at, number) => {
                    say(&text);
                    say(&held.take().expect("it was held"));
                }
                Mischief::Cut(who, which) if (who, which) == (at, number) => say(&text[..text.len() - 1]),
                Mischief::End(who, which) if (who, which) == (at, number) => drop(subscriber.send(None)),
                Mischief::Wrap => say(&format!("{{\"data\":\"{text}\"}}")),
                _ => say(&text),
            }
        }
        true
    }
}

fn peer(server: &Server, publish: &str) -> Peer {
    let address = server.address;
    let wrapped = server.mischief == Mischief::Wrap;
    Peer {
        name: "test".into(),
        subscribe: Target::parse(&format!("ws://{address}/sub?id=1"), "ws").expect("sound"),
        headers: Vec::new(),
        first_frame: wrapped.then(|| "hall, please".into()),
        publish: Publish::parse(&publish.replace('@', &address.to_string()), Vec::new()).expect("sound"),
        shape: if wrapped { Shape::Within } else { Shape::Whole },
    }
}

fn settings(peer: Peer) -> Settings {
    Settings {
        peer: Arc::new(peer),
        subscribers: SUBSCRIBERS,
        rate: MESSAGES as f64,
        seconds: 1.0,
        size: 120,
        threads: 2,
        connect_rate: 1_000.0,
        server_pids: Vec::new(),
        saturate: false,
        patience: Duration::from_secs(2),
        quiet: true,
    }
}

const BY_REQUEST: &str = "POST http://@/post";
const BY_FRAME: &str = "FRAME ws://@/pub";

fn run(mischief: Mischief, publish: &str) -> Report {
    run::run(&settings(peer(&Server::open(mischief), publish))).expect("a run")
}

/// Lost, duplicated, garbled, out of order, connections ended, messages not published.
fn found(report: &Report) -> [u64; 6] {
    let step = &report.at_rate;
    assert_eq!((step.received + step.lost, step.subscribers), (step.expected, SUBSCRIBERS));
    let (ended, errors) = (u64::from(step.ended), u64::from(step.publish_errors));
    [step.lost, step.duplicated, step.garbled, step.out_of_order, ended, errors]
}

/// The faults name the subscriber. Which one it is the order of arrival decides, so only that there is one can be
/// known.
fn tells(report: &Report, what: &str) -> bool {
    report.at_rate.faults.iter().any(|fault| fault.starts_with("subscriber ") && fault.contains(what))
}

#[test]
fn a_sound_server_is_found_sound_however_one_publishes() {
    for publish in [BY_REQUEST, BY_FRAME] {
        let report = run(Mischief::None, publish);
        assert_eq!(found(&report), [0; 6], "{publish}: {:?}", report.at_rate.faults);
        assert!(report.sound && report.at_rate.faults.is_empty());
        assert_eq!(report.at_rate.expected, MESSAGES * u64::from(SUBSCRIBERS));
        assert_eq!(report.at_rate.latency_ms.count, report.at_rate.expected);
        assert_eq!(report.at_rate.bytes_per_delivery, 122.0);
        let row = report.row();
        assert_eq!((row.subscribers, row.message_bytes, row.sound), (u64::from(SUBSCRIBERS), 120, true));
        assert_eq!((row.cpu_us_per_delivery, row.max_deliveries_per_second), (None, None), "nobody knows");
    }
}

#[test]
fn a_dropped_message_is_one_loss() {
    let report = run(Mischief::Drop(3, 20), BY_REQUEST);
    assert_eq!(found(&report), [1, 0, 0, 0, 0, 0]);
    assert!(!report.sound && tells(&report, "1 messages never came"), "{:?}", report.at_rate.faults);
    let report = run(Mischief::Drop(2, MESSAGES as usize - 1), BY_FRAME);
    assert_eq!(found(&report), [1, 0, 0, 0, 0, 0]);
    assert!(!report.sound && tells(&report, "the first is 29"), "{:?}", report.at_rate.faults);
}

#[test]
fn a_duplicated_message_is_one_duplicate() {
    let report = run(Mischief::Duplicate(4, 20), BY_FRAME);
    assert_eq!(found(&report), [0, 1, 0, 0, 0, 0]);
    assert!(!report.sound && tells(&report, "message 20 came again"), "{:?}", report.at_rate.faults);
}

#[test]
fn a_reordered_message_is_one_subscriber_out_of_order() {
    let report = run(Mischief::Reorder(5, 20), BY_REQUEST);
    assert_eq!(found(&report), [0, 0, 0, 1, 0, 0]);
    assert!(!report.sound && tells(&report, "another order"), "{:?}", report.at_rate.faults);
}

#[test]
fn a_message_that_is_not_whole_is_garbled_and_so_lost() {
    let report = run(Mischief::Cut(1, 20), BY_FRAME);
    assert_eq!(found(&report), [1, 0, 1, 0, 0, 0]);
    assert!(!report.sound && tells(&report, "message 20 came otherwise"), "{:?}", report.at_rate.faults);
}

#[test]
fn an_ended_connection_is_told_and_what_it_missed_is_lost() {
    let report = run(Mischief::End(1, 20), BY_FRAME);
    assert_eq!(found(&report), [10, 0, 0, 0, 1, 0]);
    assert!(!report.sound && tells(&report, "closed the connection"), "{:?}", report.at_rate.faults);
}

#[test]
fn a_refused_message_is_expected_of_nobody() {
    let report = run(Mischief::Refuse(7), BY_REQUEST);
    assert_eq!(found(&report), [0, 0, 0, 0, 0, 1]);
    assert_eq!((report.at_rate.messages, report.sound), (MESSAGES - 1, false));
}

#[test]
fn servers_that_wrap_messages_and_want_to_be_greeted_are_measured_too() {
    let report = run(Mischief::Wrap, BY_REQUEST);
    assert_eq!(found(&report), [0; 6], "{:?}", report.at_rate.faults);
    assert!(report.sound);
}

#[test]
fn the_search_does_not_promise_more_than_a_slow_server_can_do() {
    let server = Server::open(Mischief::Slow(10));
    let settings = Settings { rate: 50.0, seconds: 0.6, saturate: true, ..settings(peer(&server, BY_FRAME)) };
    let report = run::run(&settings).expect("a run");
    let limit = report.limit.expect("a search was asked for");
    assert!(report.search.iter().any(|step| !step.kept_up));
    assert!(report.search.iter().all(|step| step.is_sound()), "it is late, but loses nothing");
    // It sleeps 10 ms for each message: at most 100 a second.
    assert!(limit.messages_per_second < 200.0, "{limit:?}");
    assert!(limit.most_deliveries_per_second <= 101.0 * f64::from(SUBSCRIBERS), "{limit:?}");
    assert_eq!(report.row().max_deliveries_per_second, Some(limit.deliveries_per_second));
}

#[test]
fn nobody_there_is_no_run_but_a_fault() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut settings = settings(peer(&Server::open(Mischief::None), BY_REQUEST));
    settings.peer = Arc::new(nchan::at(&format!("http://{free}")).expect("sound"));
    let report = run::run(&settings).expect("a run");
    assert!(!report.sound && report.arrival.live == 0 && report.at_rate.expected == 0);
}

#[test]
fn the_command_writes_a_row_and_refuses_bad_flags() {
    let server = Server::open(Mischief::None);
    let folder = std::env::temp_dir().join(format!("guildhall-bench-peers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (row, json) = (folder.join("rows.jsonl"), folder.join("report.json"));
    let (subscribe, publish) = (format!("ws://{}/sub", server.address), format!("POST:http://{}/post", server.address));
    let command = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guildhall-bench"));
        command.args(["peer", "--name", "mine", "--sessions", "4", "--rate", "20", "--seconds", "0.5", "--quiet"]);
        command.args(more).output().expect("it runs")
    };
    let me = std::process::id().to_string();
    for _ in 0..2 {
        let output = command(&[
            "--subscribe",
            &subscribe,
            "--publish",
            &publish,
            "--server-pid",
            &me,
            "--row",
            row.to_str().expect("UTF-8"),
            "--json",
            json.to_str().expect("UTF-8"),
        ]);
        assert!(output.status.success(), "{output:?}");
    }
    let rows = std::fs::read_to_string(&row).expect("rows");
    let rows: Vec<serde_json::Value> =
        rows.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect();
    assert_eq!(rows.len(), 2, "rows are appended");
    assert_eq!((&rows[0]["server"], &rows[0]["sound"]), (&"mine".into(), &true.into()));
    assert!(rows[0]["cpu_us_per_delivery"].is_number() && rows[0]["max_deliveries_per_second"].is_null());
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).expect("a report")).expect("it is JSON");
    assert_eq!(report["at_rate"]["received"], 40);
    std::fs::remove_dir_all(&folder).expect("it was made here");
    for bad in [
        &["--subscribe", &subscribe][..],
        &["--subscribe", &subscribe, "--publish", "GET http://127.0.0.1/"],
        &["--subscribe", &publish, "--publish-frame"],
        &["--subscribe", &subscribe, "--publish-frame", "--size", "10"],
        &["--subscribe", &subscribe, "--publish-frame", "--header", "nonsense"],
        &["--subscribe", &subscribe, "--publish-frame", "--server-pid", "1999999999"],
        &[],
    ] {
        let output = command(bad);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}
