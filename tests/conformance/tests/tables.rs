//! Descriptor tables of their own for all cores: everything that crosses from one core to another still does.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use guildhall_conformance::server::Server;
use guildhall_conformance::socket::{Said, Socket};
use guildhall_conformance::town::Town;
use rustix::process::Signal;
use serde_json::{Value, json};
use tungstenite::Message;

const CONTENT: u64 = 1 | 1 << 9 | 1 << 15;

/// How many descriptors each thread of a server has, the first thread's first.
fn tables(server: &Server) -> Vec<usize> {
    let count = |task: PathBuf| std::fs::read_dir(task.join("fd")).map_or(0, Iterator::count);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let mut tasks: Vec<PathBuf> = tasks.map(|entry| entry.expect("readable").path()).collect();
    tasks.sort_by_key(|task| task.to_str().map(|path| (path.len(), path.to_owned())));
    tasks.into_iter().map(count).collect()
}

fn session(ready: &Value) -> String {
    ready["d"]["session_id"].as_str().expect("a session id").to_owned()
}

#[test]
fn sessions_live_and_move_between_tables() {
    let town = Town::found();
    // Where sockets take no descriptors there are more of them than open files.
    let with_tables = |cores: usize| ("private", cores, 20_000, 60, format!("{cores} descriptor tables"));
    let without = ("direct", 2, 160, 200, "outside of the descriptor table".to_owned());
    for (which, cores, files, sessions, words) in [with_tables(2), with_tables(5), without] {
        let flags = ["--rate-limits", "false", "--descriptor-tables", which];
        let mut server = Server::start_with_open_files(town.data.path(), cores, files, &flags);
        let before = tables(&server)[0];
        let ann = town.ann(&server);
        let mut sessions: Vec<(Socket, String)> = (0..sessions)
            .map(|_| {
                let (mut socket, ready) = Socket::identified(server.address, &town.bot.1, CONTENT);
                socket.event("GUILD_CREATE");
                (socket, session(&ready))
            })
            .collect();
        let counts = tables(&server);
        assert!(counts[0] < before + 30, "the first table has none of them: {before}, {counts:?}");
        let others = counts.iter().filter(|count| **count > counts[0]).count();
        assert_eq!(others > 1, which == "private", "several others have: {counts:?}");
        town.say(&ann, "to all");
        for (socket, _) in &mut sessions {
            assert_eq!(socket.event("MESSAGE_CREATE")["s"], 3);
        }

        // Each comes back on whatever core the kernel chooses; with so many most land on a foreign one.
        let sessions: Vec<String> = sessions.into_iter().map(|(_, session)| session).collect();
        town.say(&ann, "while they are away");
        let mut back: Vec<Socket> = sessions
            .iter()
            .map(|session| {
                let mut socket = Socket::greeted(server.address);
                socket.resume(&town.bot.1, session, 3);
                socket
            })
            .collect();
        for socket in &mut back {
            let missed = socket.payload();
            assert_eq!((&missed["s"], &missed["d"]["content"]), (&json!(4), &json!("while they are away")));
            assert_eq!(socket.payload()["t"], "RESUMED");
        }
        town.say(&ann, "live again");
        for socket in &mut back {
            assert_eq!(socket.payload()["s"], 6);
        }

        // Sockets on which the server has said its last wait for their clients, and take no more than others do.
        let mut over = back.split_off(back.len() / 2);
        for socket in &mut over {
            socket.send_raw(Message::text("nonsense"));
        }
        for socket in &mut over {
            assert_eq!(socket.closed(), 4002);
        }
        let counts = tables(&server);
        assert!(counts[0] < before + 30, "{before}, {counts:?}");

        server.signal(Signal::TERM);
        for socket in &mut back {
            let mut told = false;
            let code = loop {
                match socket.hear() {
                    Said::Payload(payload) => told |= payload["op"] == 7,
                    Said::Closed(code) => break code,
                    Said::Cut => break 1006,
                }
            };
            assert!(told && code == 4000, "told {told}, {code}");
        }
        let ended = server.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(&words), "{}", ended.stdout);
        let lost = ended.stdout.split_once("hand_overs_lost").and_then(|(_, rest)| rest.split_whitespace().next());
        assert_eq!(lost, Some("0"), "{}", ended.stdout);
    }
}

#[test]
fn a_full_server_keeps_what_it_has_and_serves_again_when_there_is_room() {
    let town = Town::found();
    for which in ["shared", "private"] {
        let flags = ["--rate-limits", "false", "--descriptor-tables", which];
        let server = Server::start_with_open_files(town.data.path(), 3, 160, &flags);
        let (mut here, _) = Socket::identified(server.address, &town.bot.1, CONTENT);
        here.event("GUILD_CREATE");
        let mut filling: Vec<TcpStream> = Vec::new();
        let mut refused = 0;
        let began = Instant::now();
        // Shared: the kernel goes on connecting, and they wait. Private: when all are full, nobody listens.
        let patience = Duration::from_secs(if which == "private" { 60 } else { 8 });
        while filling.len() < 700 && refused < 50 && began.elapsed() < patience {
            match TcpStream::connect(server.address) {
                Ok(stream) => filling.push(stream),
                Err(_) => {
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        let counts = tables(&server);
        assert!(counts.iter().all(|count| *count < 155), "some are kept: {which}, {counts:?}");
        if which == "private" {
            assert!(refused > 0, "{counts:?}");
        } else {
            assert_eq!(refused, 0, "{counts:?}");
        }
        // Who is here is served, and the store and the control socket work.
        let ann = loop {
            filling.truncate(filling.len().saturating_sub(200));
            let ann = town.ann(&server);
            if ann.try_call("GET", "/users/@me", None).is_ok() {
                break ann;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        town.say(&ann, "still here");
        assert_eq!(here.event("MESSAGE_CREATE")["d"]["content"], "still here");
        drop(filling);
        for _ in 0..100 {
            if let Ok(stream) = TcpStream::connect(server.address) {
                drop(Socket::upgrade(stream, server.address, "/?v=10&encoding=json"));
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut another = Socket::greeted(server.address);
        another.identify(&town.bot.1, CONTENT);
        assert_eq!(another.payload()["t"], "READY");
        assert_eq!(server.stop().code, Some(0));
    }
}
