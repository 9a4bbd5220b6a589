//! Clients that stop reading: they are cut off and can resume, and nobody else notices.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use guildhall_conformance::server::admin;
use guildhall_conformance::socket::{Said, Socket};
use guildhall_conformance::town::Town;
use serde_json::{Value, json};

/// GUILDS, GUILD_MEMBERS, GUILD_MESSAGES, MESSAGE_CONTENT.
const INTENTS: u64 = 1 | 1 << 1 | 1 << 9 | 1 << 15;
/// Messages of some 8 KB: together more than may wait for one client and what kernels take for it.
const MESSAGES: usize = 1_600;
const READERS: usize = 100;
const STALLED: usize = 6;

/// A client whose kernel takes little for it.
fn small(server: SocketAddr, token: &str, target: &str) -> (Socket, String) {
    let stream = TcpStream::connect(server).expect("the server listens");
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 16 * 1024).expect("a socket has a buffer");
    let mut socket = Socket::upgrade(stream, server, target);
    assert_eq!(socket.payload()["op"], 10);
    socket.identify(token, INTENTS);
    let ready = socket.payload();
    let session = ready["d"]["session_id"].as_str().expect("READY names the session").to_owned();
    assert_eq!(socket.payload()["t"], "GUILD_CREATE");
    (socket, session)
}

/// What a message says first: its number.
fn number(message: &Value) -> usize {
    let content = message["d"]["content"].as_str().expect("a message has content");
    content.split(' ').next().and_then(|number| number.parse().ok()).expect("it begins with its number")
}

#[test]
fn who_does_not_read_is_cut_off_resumably_and_nobody_else_notices() {
    let town = Town::found();
    let server = town.serve(2);
    let token = &town.bot.1;
    let mut stalled: Vec<(Socket, String)> = (0..STALLED)
        .map(|number| {
            let compression = if number % 2 == 0 { "" } else { "&compress=zlib-stream" };
            small(server.address, token, &format!("/?v=10&encoding=json{compression}"))
        })
        .collect();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (mut socket, _) = Socket::identified(server.address, token, INTENTS);
            socket.event("GUILD_CREATE");
            thread::spawn(move || {
                for expected in 0..MESSAGES {
                    let message = socket.event("MESSAGE_CREATE");
                    assert_eq!((number(&message), &message["s"]), (expected, &json!(expected + 3)));
                }
            })
        })
        .collect();
    let ann = town.ann(&server);
    // Texts that nothing makes small: letters of four bytes, in an order of their own.
    let mut seed = 1u64;
    for message in 0..MESSAGES {
        let rest = (0..1_990).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from_u32(0x20000 + (seed >> 33) as u32 % 0x8000).expect("a letter")
        });
        town.say(&ann, &format!("{message} {}", rest.collect::<String>()));
    }
    for reader in readers {
        reader.join().expect("a client that reads gets everything, once, in order");
    }
    let mut resumed = Vec::new();
    for (socket, session) in &mut stalled {
        let mut seen = 2;
        // What was on its way still comes; then, amid a frame or not, the connection is at its end.
        loop {
            match socket.hear() {
                Said::Payload(message) if message["t"] == "MESSAGE_CREATE" => {
                    assert_eq!((number(&message), &message["s"]), (seen - 2, &json!(seen + 1)));
                    seen += 1;
                }
                Said::Payload(other) => panic!("nothing else was said: {other}"),
                Said::Cut => break,
                Said::Closed(code) => panic!("there was no room for a word, but {code} came"),
            }
        }
        assert!(seen - 2 < MESSAGES, "it was cut off");
        let mut again = Socket::greeted(server.address);
        again.resume(token, session, seen as u64);
        for expected in seen - 2..MESSAGES {
            let message = again.payload();
            assert_eq!((number(&message), &message["s"]), (expected, &json!(expected + 3)));
        }
        let end = again.payload();
        assert_eq!((&end["t"], &end["s"]), (&json!("RESUMED"), &json!(MESSAGES + 3)));
        resumed.push(again);
    }
    town.say(&ann, "0 live again");
    for socket in &mut resumed {
        let message = socket.payload();
        assert_eq!((&message["d"]["content"], &message["s"]), (&json!("0 live again"), &json!(MESSAGES + 4)));
    }
    server.stop();
}

/// What has come of a guild's members.
#[derive(Default)]
struct Listed {
    chunks: usize,
    members: usize,
    last: u64,
    done: bool,
}

impl Listed {
    fn take(&mut self, chunk: &Value) {
        let d = &chunk["d"];
        assert_eq!((&d["chunk_index"], &d["nonce"]), (&json!(self.chunks), &json!("everybody")));
        self.chunks += 1;
        for member in d["members"].as_array().expect("a list") {
            let id: u64 = member["user"]["id"].as_str().expect("an id").parse().expect("a number");
            assert!(id > self.last, "members come by ascending id, each once");
            self.last = id;
            self.members += 1;
        }
        assert!(!self.done, "nothing comes behind the last chunk");
        self.done = d["chunk_count"] == json!(self.chunks);
    }
}

#[test]
fn all_members_come_once_and_in_order_across_slow_reading_and_resumes() {
    let town = Town::found();
    let tokens = town.data.path().join("tokens.txt");
    let tokens = tokens.to_str().expect("a path of ours");
    admin(town.data.path(), &["guild", "fill", &town.guild, "--members", "12000", "--tokens", tokens]);
    let server = town.serve(2);
    let token = &town.bot.1;
    for target in ["/?v=10&encoding=json", "/?v=10&encoding=json&compress=zlib-stream", "/?compress=zstd-stream"] {
        let (mut socket, session) = small(server.address, token, target);
        let asked =
            json!({ "guild_id": [town.guild], "query": "", "limit": 0, "nonce": "everybody", "presences": false });
        socket.send(json!({ "op": 8, "d": asked }));
        let (mut seen, mut listed) = (2, Listed::default());
        while !listed.done {
            let chunk = socket.payload();
            assert_eq!((&chunk["t"], &chunk["s"]), (&json!("GUILD_MEMBERS_CHUNK"), &json!(seen + 1)));
            seen += 1;
            listed.take(&chunk);
            if listed.chunks % 4 == 0 {
                // It reads nothing for a while, then breaks off, amid a chunk perhaps.
                thread::sleep(Duration::from_millis(300));
                socket = Socket::connect(server.address, target);
                assert_eq!(socket.payload()["op"], 10);
                socket.resume(token, &session, seen);
                // What was under way comes again, RESUMED behind it, then the rest.
                loop {
                    let replayed = socket.payload();
                    assert_eq!(replayed["s"], json!(seen + 1));
                    seen += 1;
                    if replayed["t"] == "RESUMED" {
                        break;
                    }
                    listed.take(&replayed);
                }
            }
        }
        assert_eq!((listed.members, listed.chunks), (12_002, 13));
    }
    server.stop();
}
