//! Recording: what people did is in the trace, in order; what they said, and who they are, is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use guildhall_bench::model::trace::Header;
use guildhall_bench::model::trace::line;
use guildhall_bench::model::trace::line::Parsed;
use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::{Server, admin, program};
use guildhall_conformance::socket::Socket;
use guildhall_conformance::town::Town;
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

/// Guilds, members, messages, typing.
const INTENTS: u64 = 1 | 1 << 1 | 1 << 9 | 1 << 11;

fn record(town: &Town, cores: usize, trace: &Path) -> Server {
    let trace = trace.to_str().expect("a path in UTF-8");
    Server::start(town.data.path(), cores, &["--rate-limits", "false", "--record-trace", trace])
}

/// The text of a trace; every line must be what the load generator reads.
fn read(trace: &Path) -> String {
    let bytes = std::fs::read(trace).expect("there is a trace");
    let text = zstd::decode_all(&bytes[..]).expect("the frames are whole");
    let text = String::from_utf8(text).expect("it is text");
    let mut lines = text.lines();
    let header: Header = serde_json::from_str(lines.next().expect("a header")).expect("a header");
    assert_eq!((&*header.trace, &*header.by, header.version), ("guildhall", "record", 1));
    assert!(header.began > 1_600_000_000_000);
    let mut last = 0;
    for text in lines {
        let parsed = line::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let Parsed::Line(read) = parsed else { panic!("{text}: unknown to the load generator") };
        assert!(read.at >= last, "time goes back");
        last = read.at;
    }
    text
}

/// The lines of a trace behind the header, without their times.
fn deeds(text: &str) -> Vec<Value> {
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line.as_object_mut().expect("an object").remove("at").expect("a time");
        line
    };
    text.lines().skip(1).map(line).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_trace_says_what_was_done_and_not_what_was_said() {
    for cores in [1, 2, 5] {
        let town = Town::found();
        let trace = town.data.path().join("day.jsonl.zst");
        let server = record(&town, cores, &trace);
        let (ann, guild, channel) = (town.ann(&server), &town.guild, &town.channel);
        let messages = format!("/channels/{channel}/messages");

        let (mut socket, _) = Socket::identified(server.address, &town.ann.1, INTENTS);
        socket.event("GUILD_CREATE");
        let mut numbers = BTreeMap::new();
        let list = ann.done("GET", &format!("/guilds/{guild}/channels"), None);
        for channel in list.as_array().expect("a list").iter().filter(|channel| channel["type"] != 4) {
            numbers.insert(id(channel).parse::<u64>().expect("a number"), channel["type"] == 2);
        }
        let number = numbers.keys().position(|other| other.to_string() == *channel).expect("it is one of them");

        let said = id(&town.say(&ann, "a wörd in confidence"));
        ann.done("PATCH", &format!("{messages}/{said}"), Some(json!({ "content": "two words in confidence" })));
        ann.done("POST", &format!("/channels/{channel}/typing"), None);
        ann.done("GET", &format!("{messages}?limit=7"), None);
        ann.done("GET", &format!("{messages}?limit=7&before={said}"), None);
        ann.done("DELETE", &format!("{messages}/{said}"), None);
        let draft = json!({
            "name": "confidential",
            "permission_overwrites": [{ "id": guild, "type": 0, "deny": "1024", "allow": "0" }],
        });
        let hidden = id(&ann.done("POST", &format!("/guilds/{guild}/channels"), Some(draft)));
        ann.done("POST", &format!("/channels/{hidden}/messages"), Some(json!({ "content": "ok" })));

        let (mut bob, ready) = Socket::identified(server.address, &town.bot.1, INTENTS);
        let seq = bob.event("GUILD_CREATE")["s"].as_u64().expect("a number");
        drop(bob);
        let mut again = Socket::greeted(server.address);
        again.resume(&town.bot.1, ready["d"]["session_id"].as_str().expect("an id"), seq);
        again.event("RESUMED");

        let carol = admin(town.data.path(), &["user", "create", "carol"]);
        let carol = Rest::new(server.address, carol["token"].as_str().expect("a token"));
        let invite = ann.done("POST", &format!("/channels/{channel}/invites"), Some(json!({})));
        let code = invite["code"].as_str().expect("a code").to_owned();
        carol.done("POST", &format!("/invites/{code}"), Some(json!({})));
        carol.done("DELETE", &format!("/users/@me/guilds/{guild}"), None);

        let bye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        socket.send_raw(Message::Close(Some(bye)));
        socket.closed();
        wait_until("ann's end", || {
            ann.done("GET", &format!("/guilds/{guild}?with_counts=true"), None)["approximate_presence_count"] == 1
        });
        let (mut socket, _) = Socket::identified(server.address, &town.ann.1, INTENTS);
        socket.event("GUILD_CREATE");
        ann.done("DELETE", &format!("/channels/{hidden}"), None);
        let ended = server.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");

        let channels: Vec<Value> =
            numbers.values().map(|voice| json!({ "kind": if *voice { "voice" } else { "text" } })).collect();
        let secret = channels.len();
        let text = read(&trace);
        let expected = [
            json!({ "do": "guild", "guild": 0, "members": 2, "sessions": 0, "present": 0, "roles": 0, "channels": channels }),
            json!({ "do": "connect", "guild": 0, "who": 0 }),
            json!({ "do": "message", "guild": 0, "channel": number, "who": 0, "size": 20 }),
            json!({ "do": "edit", "of": 0, "size": 23 }),
            json!({ "do": "typing", "guild": 0, "channel": number, "who": 0 }),
            json!({ "do": "history", "guild": 0, "channel": number, "who": 0, "limit": 7 }),
            json!({ "do": "delete", "of": 0 }),
            json!({ "do": "channel_create", "guild": 0, "kind": "text", "share": 1.0 }),
            json!({ "do": "message", "guild": 0, "channel": secret, "who": 0, "size": 2 }),
            json!({ "do": "connect", "guild": 0, "who": 1 }),
            json!({ "do": "cut", "guild": 0, "who": 1 }),
            json!({ "do": "join", "guild": 0, "who": 2 }),
            json!({ "do": "leave", "guild": 0, "who": 2 }),
            json!({ "do": "close", "guild": 0, "who": 0 }),
            json!({ "do": "connect", "guild": 0, "who": 0, "sees": [secret] }),
            json!({ "do": "channel_delete", "guild": 0, "channel": secret }),
        ];
        let deeds = deeds(&text);
        for (deed, expected) in deeds.iter().zip(&expected) {
            assert_eq!(deed, expected, "with {cores} cores:\n{text}");
        }
        assert_eq!(deeds.len(), expected.len(), "with {cores} cores:\n{text}");
        let count = format!("trace of {} lines written to", expected.len());
        assert!(ended.stdout.contains(&count), "{}", ended.stdout);

        for given in [&town.ann.0, &town.bot.0, guild, channel, &hidden, &said, &code] {
            assert!(!text.contains(given.as_str()), "{given:?} is in the trace:\n{text}");
        }
        let words: BTreeSet<&str> = text.split(|letter: char| !letter.is_alphanumeric()).collect();
        for word in ["wörd", "confidence", "confidential", "ok", "ann", "bob", "carol", "Town", "hall", "general"] {
            assert!(!words.contains(word), "{word:?} is in the trace:\n{text}");
        }
    }
}

#[test]
fn a_killed_server_leaves_a_trace_that_can_be_read() {
    let town = Town::found();
    let trace = town.data.path().join("day.jsonl.zst");
    let mut server = record(&town, 2, &trace);
    let ann = town.ann(&server);
    for number in 0..5 {
        town.say(&ann, &"x".repeat(number + 1));
    }
    let written = |trace: &Path| deeds(&read(trace)).iter().filter(|deed| deed["do"] == "message").count();
    wait_until("the messages", || written(&trace) == 5);
    server.kill();
    assert_eq!(written(&trace), 5);

    // Nothing is overwritten.
    let before = std::fs::read(&trace).expect("there is a trace");
    let output = Command::new(program())
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(town.data.path())
        .env("GUILDHALL_RECORD_TRACE", &trace)
        .output()
        .expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert!(!output.status.success() && said.contains("exists already"), "{said}");
    assert_eq!(std::fs::read(&trace).expect("there is a trace"), before);
}
