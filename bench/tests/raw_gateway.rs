//! The raw gateway, as clients see it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use guildhall_bench::base::http::{HttpConnection, MessageTarget};
use guildhall_bench::baseline::raw::How;
use guildhall_bench::baseline::raw::gateway::{Gateway, Settings};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(30);

fn open(threads: u32, how: How, coalesce: bool) -> Gateway {
    let listen = "127.0.0.1:0".parse().expect("an address");
    Gateway::open(&Settings { listen, threads, how, coalesce }).expect("a gateway")
}

fn connect(address: SocketAddr) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    let (socket, _) = tungstenite::client(format!("ws://{address}/?v=10&encoding=json"), stream).expect("an upgrade");
    socket
}

fn say(socket: &mut WebSocket<TcpStream>, command: &Value) {
    socket.send(Message::text(command.to_string())).expect("it is open");
}

fn hear(socket: &mut WebSocket<TcpStream>) -> Value {
    match socket.read().expect("it says something") {
        Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("{other:?}"),
    }
}

/// A session; returns its id.
fn identify(address: SocketAddr) -> (WebSocket<TcpStream>, String) {
    let mut socket = connect(address);
    let hello = hear(&mut socket);
    assert!(hello["op"] == 10 && hello["d"]["heartbeat_interval"].is_u64());
    say(&mut socket, &json!({"op": 2, "d": {"token": "t", "intents": 513}}));
    let ready = hear(&mut socket);
    assert_eq!((&ready["t"], &ready["s"]), (&json!("READY"), &json!(1)));
    let guild = hear(&mut socket);
    assert_eq!((&guild["t"], &guild["s"]), (&json!("GUILD_CREATE"), &json!(2)));
    assert_eq!(guild["d"]["id"], ready["d"]["guilds"][0]["id"]);
    (socket, ready["d"]["session_id"].as_str().expect("an id").to_owned())
}

fn line(address: SocketAddr) -> HttpConnection {
    HttpConnection::open(MessageTarget { server: address, channel: "1".into(), token: "t".into() }).expect("it listens")
}

/// The number and the content of the next message.
fn message(socket: &mut WebSocket<TcpStream>) -> (u64, String) {
    let event = hear(socket);
    assert_eq!(event["t"], "MESSAGE_CREATE");
    (event["s"].as_u64().expect("a number"), event["d"]["content"].as_str().expect("content").to_owned())
}

#[test]
fn every_session_has_numbers_of_its_own() {
    for (how, coalesce) in [(How::Send, false), (How::Send, true), (How::Uring, false), (How::Uring, true)] {
        let gateway = open(3, how, coalesce);
        let mut line = line(gateway.address);
        let mut sessions = Vec::new();
        let mut ids = BTreeSet::new();
        for round in 0..4 {
            for _ in 0..4 {
                let (socket, id) = identify(gateway.address);
                sessions.push((round, socket));
                assert!(ids.insert(id), "no two sessions have the same id");
            }
            line.post(&format!("\"{round}\"")).expect("a message is taken");
            // Who came later sees only what was said later.
            for (came, socket) in &mut sessions {
                assert_eq!(message(socket), (3 + round - *came, format!("\"{round}\"")));
            }
        }
        assert_eq!(gateway.identified(), 16);
        let report = gateway.close().expect("no thread failed");
        assert_eq!((report.messages, report.counts.deliveries, report.counts.posts), (4, 4 + 8 + 12 + 16, 4));
        assert!(report.cpu_us_per_send > 0.0);
    }
}

#[test]
fn it_beats_and_parts_and_resumes_nothing() {
    let gateway = open(1, How::Send, false);
    let (mut socket, _) = identify(gateway.address);
    say(&mut socket, &json!({"op": 1, "d": 2}));
    assert_eq!(hear(&mut socket)["op"], 11);
    socket.send(Message::Ping("hi".into())).expect("it is open");
    assert_eq!(socket.read().expect("an answer"), Message::Pong("hi".into()));
    socket.close(None).expect("it is open");
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));

    let mut socket = connect(gateway.address);
    hear(&mut socket);
    say(&mut socket, &json!({"op": 6, "d": {"token": "t", "session_id": "raw-0-0", "seq": 2}}));
    let refusal = hear(&mut socket);
    assert_eq!((&refusal["op"], &refusal["d"]), (&json!(9), &json!(false)));
    say(&mut socket, &json!({"op": 2, "d": {"token": "t"}}));
    assert_eq!(hear(&mut socket)["t"], "READY");
}

#[test]
fn what_it_does_not_understand_ends_the_connection_with_a_code() {
    let gateway = open(1, How::Send, false);
    let code = |socket: &mut WebSocket<TcpStream>| loop {
        match socket.read().expect("a close frame") {
            Message::Close(Some(frame)) => return u16::from(frame.code),
            Message::Close(None) => panic!("no code"),
            _ => {}
        }
    };
    for (command, expected) in
        [("what?", 4002), (r#"{"op":99}"#, 4001), (r#"{"op":3,"d":{}}"#, 4003), (&"x".repeat(5_000), 1002)]
    {
        let mut socket = connect(gateway.address);
        socket.send(Message::text(command)).expect("it is open");
        assert_eq!(code(&mut socket), expected);
    }
    let (mut socket, _) = identify(gateway.address);
    say(&mut socket, &json!({"op": 2, "d": {}}));
    assert_eq!(code(&mut socket), 4005);

    let mut stream = TcpStream::connect(gateway.address).expect("it listens");
    stream.write_all(b"what?\r\n\r\n").expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn who_does_not_read_gets_the_rest_later_or_is_closed() {
    let gateway = open(1, How::Send, true);
    let text = "x".repeat(2_000);
    let publish = |count: u32| {
        for _ in 0..count {
            gateway.publish(&text).expect("there is room");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // How much it takes until one that does not read is closed: what the kernel buffers and what the gateway keeps.
    let (stuck, _) = identify(gateway.address);
    let mut taken = 0u32;
    while gateway.connected() > 0 {
        publish(20);
        taken += 20;
        assert!(taken < 100_000, "it keeps everything");
    }
    drop(stuck);
    // A good part less than that is kept.
    let (mut late, _) = identify(gateway.address);
    let kept = taken - 256;
    (0..kept / 20).for_each(|_| publish(20));
    for number in 0..kept / 20 * 20 {
        assert_eq!(message(&mut late), (u64::from(number) + 3, text.clone()));
    }
    // It is as fast as the others from now on.
    publish(1);
    assert_eq!(message(&mut late).1, text);
    let counts = gateway.close().expect("no thread failed").counts;
    assert!(counts.slow == 1 && counts.blocked >= 2, "{counts:?}");
}

#[test]
fn the_binary_ends_with_its_stdin_and_says_what_it_did() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_guildhall-bench"))
        .args(["raw-gateway", "--threads", "2", "--until-eof", "--coalesce", "--batch", "uring"])
        .args(["--generate", "1000", "--size", "50", "--run", "r1", "--messages", "20", "--after", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().expect("a line").expect("text")).expect("JSON");
    let address = next()["listening"].as_str().expect("an address").parse().expect("an address");
    let mut sessions = [identify(address).0, identify(address).0];
    for index in 0..20 {
        for socket in &mut sessions {
            let (s, content) = message(socket);
            assert!(s == index + 3 && content.starts_with(&format!("gh r1 0 {index} ")) && content.len() == 50);
        }
    }
    drop(child.stdin.take());
    let report = next();
    assert_eq!((&report["generated"], &report["counts"]["deliveries"]), (&json!(20), &json!(40)));
    assert!(child.wait().expect("it ends").success());
}
