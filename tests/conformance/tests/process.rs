//! The process: boot, refusal to boot, drain, the operator's commands, histograms.

use std::process::Command;
use std::time::Duration;

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::{Server, admin, program};
use guildhall_conformance::socket::{Said, Socket};
use guildhall_conformance::town::Town;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs the server where it cannot; returns the one sentence that it says.
fn refusal(arguments: &[&str]) -> String {
    let output = Command::new(program()).arg("serve").args(arguments).output().expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert!(!output.status.success(), "{arguments:?} started: {said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    said
}

#[test]
fn what_keeps_it_from_starting_is_one_sentence() {
    let town = Town::found();
    let server = town.serve(1);
    let data = town.data.path().to_str().expect("a path in UTF-8");
    let said = refusal(&["--data", data, "--listen", "127.0.0.1:0"]);
    assert!(said.contains("in use by process") && said.contains("--data"), "{said}");
    let other = TempDir::new().expect("a temporary directory");
    let other_path = other.path().to_str().expect("a path in UTF-8");
    let said = refusal(&["--data", other_path, "--listen", &server.address.to_string()]);
    assert!(said.contains("in use"), "{said}");
    let config = other.path().join("guildhall.toml");
    std::fs::write(&config, "lisen = \"127.0.0.1:1\"").expect("it can be written");
    let said = refusal(&["--data", other_path, "--config", config.to_str().expect("a path in UTF-8")]);
    assert!(said.contains("lisen"), "{said}");
    assert!(refusal(&["--listen", "127.0.0.1:0"]).contains("--data"));
    assert!(refusal(&["--data", other_path, "--cores", "0"]).contains("cores"));
    server.stop();

    // A directory written by a newer version.
    let database = std::fs::read_dir(town.data.path())
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sqlite3"))
        .expect("there is a database");
    // The version is a field of SQLite's file header: 4 bytes, big endian, at offset 60.
    let mut bytes = std::fs::read(&database).expect("it can be read");
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    std::fs::write(&database, bytes).expect("it can be written");
    let said = refusal(&["--data", data, "--listen", "127.0.0.1:0"]);
    assert!(said.contains("newer"), "{said}");
}

#[test]
fn a_drain_sends_everybody_away_politely_and_writes_the_histograms() {
    let town = Town::found();
    for cores in [1, 2, 5] {
        let mut server = town.serve(cores);
        let ann = town.ann(&server);
        let mut sockets: Vec<Socket> =
            (0..200).map(|_| Socket::identified(server.address, &town.ann.1, 1 << 9 | 1).0).collect();
        town.say(&ann, "last orders");
        for socket in &mut sockets {
            socket.event("MESSAGE_CREATE");
        }
        server.signal(Signal::USR1);
        std::thread::sleep(Duration::from_millis(300));
        server.signal(Signal::TERM);
        for socket in &mut sockets {
            let mut told = false;
            let code = loop {
                match socket.hear() {
                    Said::Payload(payload) => told |= payload["op"] == 7,
                    Said::Closed(code) => break code,
                    Said::Cut => break 1006,
                }
            };
            assert!(told, "everybody is told to reconnect");
            assert!(!matches!(code, 1000 | 1001 | 1006), "and may resume elsewhere: {code}");
        }
        let ended = server.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.took < Duration::from_secs(13), "{ended:?}");
        assert!(ended.stdout.contains("publish_to_last_flush"), "the table is printed: {}", ended.stdout);

        let histograms = town.data.path().join("histograms");
        let mut runs: Vec<_> =
            std::fs::read_dir(&histograms).expect("written").map(|entry| entry.expect("readable").path()).collect();
        runs.sort();
        let run = runs.last().expect("there is one");
        let summary: Value =
            serde_json::from_slice(&std::fs::read(run.join("summary.json")).expect("written")).expect("JSON");
        let metrics = summary.to_string();
        for metric in ["publish_to_flush", "lane_hop", "turn_length", "store_commit", "identify_to_ready", "resume"] {
            assert!(metrics.contains(metric), "{metric} is missing");
        }
        for file in ["guildhall.hlog", "publish_to_flush.hgrm", "histograms.svg", "snapshot-1/summary.json"] {
            let bytes = std::fs::metadata(run.join(file)).unwrap_or_else(|_| panic!("{file} is missing")).len();
            assert!(bytes > 100, "{file} is empty");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let town = Town::found();
    let mut server = Server::start(town.data.path(), 2, &["--drain-seconds", "60"]);
    // A connection that never answers makes the drain take its time.
    let _silent: Vec<Socket> = (0..50).map(|_| Socket::greeted(server.address)).collect();
    server.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(100));
    server.signal(Signal::INT);
    let ended = server.wait();
    assert!(ended.took < Duration::from_secs(3), "{ended:?}");
}

#[test]
fn the_operator_works_beside_a_running_server() {
    let town = Town::found();
    let server = town.serve(2);
    let dora = admin(town.data.path(), &["user", "create", "dora"]);
    let token = dora["token"].as_str().expect("a token");
    let (mut socket, ready) = Socket::identified(server.address, token, 1 | 1 << 9);
    assert_eq!(ready["d"]["guilds"], json!([]));
    admin(town.data.path(), &["guild", "add", &town.guild, dora["user_id"].as_str().expect("an id")]);
    let created = socket.event("GUILD_CREATE");
    assert_eq!((&created["d"]["id"], &created["d"]["member_count"]), (&json!(town.guild), &json!(3)));
    let tokens = town.data.path().join("tokens");
    let path = tokens.to_str().expect("a path in UTF-8");
    admin(town.data.path(), &["guild", "fill", &town.guild, "--members", "1000", "--tokens", path]);
    let tokens = std::fs::read_to_string(&tokens).expect("written");
    assert_eq!(tokens.lines().count(), 1_000);
    let one = tokens.lines().nth(500).expect("there are a thousand");
    let (mut filled, _) = Socket::identified(server.address, one, 1 | 1 << 9);
    assert_eq!(filled.event("GUILD_CREATE")["d"]["member_count"], 1_003);
    let second = admin(town.data.path(), &["guild", "create", "Second", "--owner", &town.ann.0]);
    let id = second["guild_id"].as_str().expect("an id");
    assert_eq!(town.ann(&server).done("GET", &format!("/guilds/{id}"), None)["name"], "Second");
    let again = admin(town.data.path(), &["token", &town.bot.0]);
    let again = format!("Bot {}", again["token"].as_str().expect("a token"));
    assert_eq!(Rest::new(server.address, &again).done("GET", "/users/@me", None)["id"], town.bot.0);
}

#[test]
fn a_filled_database_serves_with_any_number_of_cores() {
    let town = Town::found();
    let mut written = Vec::new();
    for cores in [2, 5, 1, 8] {
        let server = town.serve(cores);
        let ann = town.ann(&server);
        written.push(town.say(&ann, &format!("with {cores} cores"))["id"].clone());
        let list = ann.done("GET", &format!("/channels/{}/messages?limit=100", town.channel), None);
        let ids: Vec<Value> = list.as_array().expect("a list").iter().rev().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, written);
        assert_eq!(server.stop().code, Some(0));
    }
}

/// `guildhall serve | head -1`: the one who read the first line is gone.
#[test]
fn a_closed_stdout_ends_nothing() {
    let town = Town::found();
    let mut child = std::process::Command::new(guildhall_conformance::server::program())
        .args(["serve", "--listen", "127.0.0.1:0", "--cores", "1", "--data"])
        .arg(town.data.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("it was piped"));
    std::io::BufRead::read_line(&mut stdout, &mut String::new()).expect("it is text");
    drop(stdout);
    let pid = rustix::process::Pid::from_child(&child);
    let signal = |signal| rustix::process::kill_process(pid, signal).expect("it is our child");
    signal(rustix::process::Signal::USR1);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(child.try_wait().expect("it is our child").is_none(), "it ended");
    signal(rustix::process::Signal::TERM);
    assert_eq!(child.wait().expect("it is our child").code(), Some(0));
}
