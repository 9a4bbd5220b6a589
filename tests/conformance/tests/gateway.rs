//! The gateway's edges: what no library does on purpose.
//!
//! Source: Discord docs, Gateway and Opcodes and Status Codes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::admin;
use guildhall_conformance::socket::{Said, Socket};
use guildhall_conformance::town::Town;
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// GUILDS, GUILD_MESSAGES.
const PLAIN: u64 = 1 | 1 << 9;
/// And MESSAGE_CONTENT.
const CONTENT: u64 = PLAIN | 1 << 15;

#[test]
fn every_way_to_say_hello_is_understood() {
    let town = Town::found();
    let server = town.serve(2);
    for target in
        ["/?v=10&encoding=json", "/?v=9&encoding=json", "/?encoding=json", "/", "//?v=10", "?v=10", "/?v=10&x=y"]
    {
        let mut socket = Socket::connect(server.address, target);
        let hello = socket.payload();
        assert_eq!((&hello["op"], &hello["d"]["heartbeat_interval"]), (&json!(10), &json!(41_250)), "{target}");
        socket.send(json!({ "op": 1, "d": null }));
        assert_eq!(socket.payload(), json!({ "op": 11, "d": null, "s": null, "t": null }), "{target}");
    }
    for (target, code) in [("/?v=5", 4012), ("/?v=10&encoding=etf", 1003), ("/?v=10&compress=brotli-stream", 1003)] {
        assert_eq!(Socket::connect(server.address, target).closed(), code, "{target}");
    }
}

#[test]
fn compressed_streams_say_the_same() {
    let town = Town::found();
    let server = town.serve(2);
    let mut plain = Socket::connect(server.address, "/?v=10&encoding=json");
    let mut zlib = Socket::connect(server.address, "/?v=10&encoding=json&compress=zlib-stream");
    let mut zstd = Socket::connect(server.address, "/?v=10&encoding=json&compress=zstd-stream");
    for socket in [&mut plain, &mut zlib, &mut zstd] {
        assert_eq!(socket.payload()["op"], 10, "HELLO is already compressed");
        socket.identify(&town.ann.1, CONTENT);
        assert_eq!(socket.payload()["t"], "READY");
        let created = socket.payload();
        assert_eq!((&created["t"], &created["s"]), (&json!("GUILD_CREATE"), &json!(2)));
    }
    let ann = town.ann(&server);
    for number in 0..50 {
        town.say(&ann, &format!("number {number} äöü"));
        let message = plain.payload();
        assert_eq!(message["d"]["content"], format!("number {number} äöü"));
        assert_eq!(message["s"], number + 3);
        for socket in [&mut zlib, &mut zstd] {
            assert_eq!(socket.payload(), message);
            if number % 7 == 3 {
                socket.send(json!({ "op": 1, "d": message["s"] }));
                assert_eq!(socket.payload()["op"], 11);
            }
        }
    }
}

#[test]
fn a_connection_that_served_rest_can_become_a_gateway() {
    let town = Town::found();
    let server = town.serve(2);
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    for _ in 0..2 {
        write!(stream, "GET /api/v10/gateway HTTP/1.1\r\nHost: x\r\n\r\n").expect("it takes requests");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("it answers");
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let mut socket = Socket::upgrade(stream, server.address, "/?v=10&encoding=json&compress=zlib-stream");
    assert_eq!(socket.payload()["op"], 10);
    socket.identify(&town.bot.1, CONTENT);
    assert_eq!(socket.payload()["t"], "READY");
    assert_eq!(socket.payload()["t"], "GUILD_CREATE");
    town.say(&town.ann(&server), "over the old connection");
    assert_eq!(socket.payload()["d"]["content"], "over the old connection");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn bad_input_is_closed_with_the_documented_code() {
    let town = Town::found();
    let poor = admin(town.data.path(), &["bot", "create", "poor"])["token"].as_str().expect("a token").to_owned();
    let server = town.serve(2);
    let token = &town.bot.1;
    let identify = |d: Value| {
        let mut socket = Socket::greeted(server.address);
        socket.send(json!({ "op": 2, "d": d }));
        socket.closed()
    };
    assert_eq!(identify(json!({ "token": "wrong", "intents": 1, "properties": {} })), 4004);
    assert_eq!(identify(json!({ "token": format!("{token}x"), "intents": 1, "properties": {} })), 4004);
    assert_eq!(identify(json!({ "token": token, "intents": 1u64 << 40, "properties": {} })), 4013);
    assert_eq!(identify(json!({ "token": poor, "intents": 1 << 1, "properties": {} })), 4014);
    assert_eq!(identify(json!({ "token": poor, "intents": 1 << 15, "properties": {} })), 4014);
    assert_eq!(identify(json!({ "token": token, "intents": 1, "properties": {}, "shard": [2, 2] })), 4010);
    assert_eq!(identify(json!({ "token": token, "intents": 1, "properties": {}, "shard": [0, 0] })), 4010);
    assert_eq!(identify(json!(["not", "an", "object"])), 4001);

    let raw = |message: Message| {
        let mut socket = Socket::greeted(server.address);
        socket.send_raw(message);
        socket.closed()
    };
    assert_eq!(raw(Message::text("this is not JSON")), 4002);
    assert_eq!(raw(Message::text("[]")), 4002);
    assert_eq!(raw(Message::text("x".repeat(16 * 1024))), 4002);
    assert_eq!(raw(Message::binary(vec![0xff, 0xfe, 0x00])), 4002);
    assert_eq!(raw(Message::text(r#"{"op":99,"d":null}"#)), 4001);
    assert_eq!(raw(Message::text(r#"{"op":0,"d":null}"#)), 4001);
    assert_eq!(raw(Message::text(r#"{"op":3,"d":{}}"#)), 4003);
    assert_eq!(raw(Message::text(r#"{"op":8,"d":{}}"#)), 4003);

    let (mut socket, _) = Socket::identified(server.address, token, PLAIN);
    socket.identify(token, PLAIN);
    assert_eq!(socket.closed(), 4005);
    let (mut socket, ready) = Socket::identified(server.address, token, PLAIN);
    let session = ready["d"]["session_id"].as_str().expect("a session id").to_owned();
    socket.send(json!({ "op": 8, "d": "nonsense" }));
    assert_eq!(socket.closed(), 4001);
    let mut socket = Socket::greeted(server.address);
    socket.resume(token, &session, 1_000_000);
    assert_eq!(socket.closed(), 4007);

    let mut socket = Socket::greeted(server.address);
    for _ in 0..130 {
        socket.send_raw(Message::text(r#"{"op":1,"d":null}"#));
    }
    assert_eq!(socket.closed(), 4008);
}

/// Pings and parts of messages are no commands, but they are work, and pongs that nobody reads are memory.
#[test]
fn a_flood_of_frames_that_say_nothing_is_cut_short_and_delays_nobody() {
    let town = Town::found();
    let server = town.serve(1);
    for (kind, part) in [(0x89, [b'x'; 100].as_slice()), (0x01, &[]), (0x8a, &[])] {
        let mut flood = Vec::new();
        for number in 0..100_000 {
            let kind = if kind == 0x01 && number > 0 { 0x00 } else { kind };
            flood.extend_from_slice(&[kind, 0x80 | part.len() as u8, 0, 0, 0, 0]);
            flood.extend_from_slice(part);
        }
        let mut socket = Socket::greeted(server.address);
        let mut other = socket.stream.get_ref().try_clone().expect("descriptors");
        let flooding = std::thread::spawn(move || {
            // The server stops reading, then shuts the socket.
            while other.write_all(&flood).is_ok() {}
        });
        assert_eq!(socket.closed(), 4008);
        assert_eq!(town.ann(&server).call("GET", "/users/@me", None).0, 200);
        drop(socket);
        flooding.join().expect("it only writes");
    }
    server.stop();
}

#[test]
fn a_list_of_guilds_to_search_is_as_many_commands() {
    let town = Town::found();
    let server = town.serve(1);
    let (mut socket, _) = Socket::identified(server.address, &town.ann.1, PLAIN);
    let guilds = vec![town.guild.clone(); 200];
    socket.send(json!({ "op": 8, "d": { "guild_id": guilds, "query": "a", "limit": 1 } }));
    assert_eq!(socket.closed(), 4008);
}

#[test]
fn a_session_survives_every_end_but_a_clean_one() {
    let town = Town::found();
    for cores in [1, 2, 5] {
        let server = town.serve(cores);
        let ann = town.ann(&server);
        let token = &town.bot.1;
        for code in [Some(4000), Some(3000), Some(4200), Some(1012), None, Some(1000), Some(1001)] {
            let (mut socket, ready) = Socket::identified(server.address, token, CONTENT);
            socket.event("GUILD_CREATE");
            let session = ready["d"]["session_id"].as_str().expect("a session id").to_owned();
            match code {
                Some(code) => {
                    let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
                    socket.stream.close(Some(frame)).expect("it can be said");
                    socket.closed();
                }
                None => drop(socket),
            }
            let said = town.say(&ann, &format!("while away after {code:?}"));
            let mut socket = Socket::greeted(server.address);
            socket.resume(&format!("Bot {token}"), &session, 2);
            if matches!(code, Some(1000 | 1001)) {
                let refused = socket.payload();
                assert_eq!((&refused["op"], &refused["d"]), (&json!(9), &json!(false)), "after {code:?}");
                // The connection stays for a new beginning.
                socket.identify(token, CONTENT);
                assert_eq!(socket.payload()["t"], "READY");
            } else {
                let message = socket.payload();
                assert_eq!((&message["t"], &message["s"]), (&json!("MESSAGE_CREATE"), &json!(3)), "after {code:?}");
                assert_eq!(message["d"]["id"], said["id"]);
                let resumed = socket.payload();
                assert_eq!((&resumed["t"], &resumed["s"]), (&json!("RESUMED"), &json!(4)));
                assert!(resumed["d"].is_object());
                town.say(&ann, "live again");
                assert_eq!(socket.payload()["s"], 5);
            }
        }
        // Somebody else's session, a session that never was, and a word that is no session.
        let (_other, ready) = Socket::identified(server.address, token, PLAIN);
        let session = ready["d"]["session_id"].as_str().expect("a session id").to_owned();
        for session in [session.as_str(), "00000000000000000000000000000000", "nonsense", ""] {
            let mut socket = Socket::greeted(server.address);
            socket.resume(&town.ann.1, session, 1);
            let refused = socket.payload();
            assert_eq!((&refused["op"], &refused["d"]), (&json!(9), &json!(false)), "{session:?}");
        }
        assert_eq!(server.stop().code, Some(0));
    }
}

#[test]
fn the_newer_connection_takes_a_session_over() {
    let town = Town::found();
    let server = town.serve(2);
    let (mut first, ready) = Socket::identified(server.address, &town.bot.1, CONTENT);
    first.event("GUILD_CREATE");
    let session = ready["d"]["session_id"].as_str().expect("a session id").to_owned();
    let mut second = Socket::greeted(server.address);
    second.resume(&town.bot.1, &session, 2);
    assert_eq!(second.payload()["t"], "RESUMED");
    assert_ne!(first.closed(), 1000, "the older one may not think that its session is over in good order");
    town.say(&town.ann(&server), "to the newer one");
    assert_eq!(second.payload()["d"]["content"], "to the newer one");
}

#[test]
fn frames_of_every_kind_carry_commands() {
    let town = Town::found();
    let server = town.serve(1);
    let mut socket = Socket::greeted(server.address);
    // JSON in a binary frame.
    socket.send_raw(Message::binary(br#"{"op":1,"d":0}"#.to_vec()));
    assert_eq!(socket.payload()["op"], 11);
    // In three fragments, with a ping between two of them.
    let identify = json!({ "op": 2, "d": { "token": town.bot.1, "intents": PLAIN, "properties": {} } }).to_string();
    let (a, rest) = identify.as_bytes().split_at(7);
    let (b, c) = rest.split_at(11);
    let fragment = |bytes: &[u8], opcode: Data, last: bool| {
        let header = FrameHeader { is_final: last, opcode: OpCode::Data(opcode), ..FrameHeader::default() };
        Message::Frame(Frame::from_payload(header, bytes.to_vec().into()))
    };
    socket.send_raw(fragment(a, Data::Text, false));
    socket.send_raw(fragment(b, Data::Continue, false));
    socket.send_raw(Message::Ping(b"are you there".to_vec().into()));
    socket.send_raw(fragment(c, Data::Continue, true));
    match socket.stream.read().expect("it stays open") {
        Message::Pong(echo) => assert_eq!(&echo[..], b"are you there"),
        other => panic!("a pong comes first, not {other:?}"),
    }
    assert_eq!(socket.payload()["t"], "READY");
}

#[test]
fn intents_filter_and_content_is_blanked_without_its_intent() {
    let town = Town::found();
    let server = town.serve(2);
    let ann = town.ann(&server);
    let bot = town.bot(&server);
    let (mut deaf, _) = Socket::identified(server.address, &town.bot.1, 1);
    let (mut blind, _) = Socket::identified(server.address, &town.bot.1, PLAIN);
    let (mut whole, _) = Socket::identified(server.address, &town.bot.1, CONTENT);
    for socket in [&mut deaf, &mut blind, &mut whole] {
        socket.event("GUILD_CREATE");
    }
    town.say(&ann, "for those who may read");
    town.say(&bot, "my own words");
    town.say(&ann, &format!("hello <@{}>", town.bot.0));
    ann.done("POST", &format!("/guilds/{}/channels", town.guild), Some(json!({ "name": "after", "type": 0 })));
    let contents = |socket: &mut Socket| {
        let three: Vec<Value> = (0..3).map(|_| socket.event("MESSAGE_CREATE")).collect();
        three.iter().map(|message| message["d"]["content"].as_str().unwrap_or("missing").to_owned()).collect::<Vec<_>>()
    };
    let mention = format!("hello <@{}>", town.bot.0);
    assert_eq!(contents(&mut whole), ["for those who may read", "my own words", mention.as_str()]);
    assert_eq!(contents(&mut blind), ["", "my own words", mention.as_str()]);
    assert_eq!(deaf.payload()["t"], "CHANNEL_CREATE", "no message before it");
}

#[test]
fn a_hidden_channel_is_silent_from_the_moment_it_is_hidden() {
    let town = Town::found();
    for cores in [1, 2, 5] {
        let server = town.serve(cores);
        let ann = town.ann(&server);
        let made = json!({ "name": "plans", "type": 0 });
        let plans = ann.done("POST", &format!("/guilds/{}/channels", town.guild), Some(made));
        let plans = plans["id"].as_str().expect("an id");
        let (mut bot, _) = Socket::identified(server.address, &town.bot.1, CONTENT);
        let (mut owner, _) = Socket::identified(server.address, &town.ann.1, CONTENT);
        bot.event("GUILD_CREATE");
        owner.event("GUILD_CREATE");
        let post = |content: &str| {
            ann.done("POST", &format!("/channels/{plans}/messages"), Some(json!({ "content": content })));
        };
        post("seen");
        let hide = json!({ "type": 0, "deny": "1024", "allow": "0" });
        ann.done("PUT", &format!("/channels/{plans}/permissions/{}", town.guild), Some(hide));
        post("hidden");
        ann.done("PATCH", &format!("/channels/{plans}"), Some(json!({ "topic": "hidden too" })));
        let (status, refused) = town.bot(&server).call("GET", &format!("/channels/{plans}/messages"), None);
        assert_eq!((status, &refused["code"]), (403, &json!(50_001)));
        // An overwrite of its own lets the bot see again.
        let show = json!({ "type": 1, "allow": "1024", "deny": "0" });
        ann.done("PUT", &format!("/channels/{plans}/permissions/{}", town.bot.0), Some(show));
        post("seen again");
        town.say(&ann, "the end");
        let (mut heard, mut topics) = (Vec::new(), Vec::new());
        while heard.last().is_none_or(|last| last != "the end") {
            let payload = bot.payload();
            match payload["t"].as_str() {
                Some("MESSAGE_CREATE") => heard.push(payload["d"]["content"].as_str().expect("text").to_owned()),
                Some("CHANNEL_UPDATE") => topics.push(payload["d"]["topic"].clone()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, ["seen", "seen again", "the end"]);
        // Its hiding, and its showing with all that changed meanwhile; nothing between.
        assert_eq!(topics, [Value::Null, json!("hidden too")]);
        let mut heard = Vec::new();
        while heard.len() < 4 {
            let message = owner.event("MESSAGE_CREATE");
            heard.push(message["d"]["content"].as_str().expect("text").to_owned());
        }
        assert_eq!(heard, ["seen", "hidden", "seen again", "the end"]);
    }
}

#[test]
fn a_newcomer_sees_the_guild_and_one_who_leaves_sees_nothing_more() {
    let town = Town::found();
    let server = town.serve(2);
    let ann = town.ann(&server);
    let open = Rest::new(server.address, "");
    let account = json!({ "username": "carl", "password": "correct horse battery" });
    let token = open.done("POST", "/auth/register", Some(account))["token"].as_str().expect("a token").to_owned();
    let carl = Rest::new(server.address, &token);
    let (mut socket, _) = Socket::identified(server.address, &token, CONTENT | 2);
    let invite = ann.done("POST", &format!("/channels/{}/invites", town.channel), Some(json!({})));
    let code = invite["code"].as_str().expect("a code");
    carl.done("POST", &format!("/invites/{code}"), Some(json!({})));
    let created = socket.payload();
    assert_eq!((&created["t"], &created["d"]["id"]), (&json!("GUILD_CREATE"), &json!(town.guild)));
    assert!(created["d"].get("unavailable").is_none(), "one who joins is told so by the key's absence");
    town.say(&ann, "welcome");
    assert_eq!(socket.event("MESSAGE_CREATE")["d"]["content"], "welcome");
    carl.done("DELETE", &format!("/users/@me/guilds/{}", town.guild), None);
    town.say(&ann, "gone?");
    assert_eq!(socket.event("GUILD_DELETE")["d"]["id"], town.guild);
    socket.send(json!({ "op": 1, "d": null }));
    sleep(Duration::from_millis(200));
    let Said::Payload(ack) = socket.hear() else { panic!("it stays connected") };
    assert_eq!(ack["op"], 11, "nothing of the guild comes behind its deletion");
}

#[test]
fn members_are_asked_for_in_chunks() {
    let town = Town::found();
    let tokens = town.data.path().join("tokens");
    let tokens = tokens.to_str().expect("a path in UTF-8");
    admin(town.data.path(), &["guild", "fill", &town.guild, "--members", "2500", "--tokens", tokens]);
    let server = town.serve(2);
    let (mut socket, _) = Socket::identified(server.address, &town.bot.1, CONTENT | 2);
    assert_eq!(socket.event("GUILD_CREATE")["d"]["member_count"], 2_502);
    let ask = json!({ "guild_id": [town.guild], "query": "", "limit": 0, "nonce": "n" });
    socket.send(json!({ "op": 8, "d": ask }));
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..3 {
        let chunk = socket.event("GUILD_MEMBERS_CHUNK");
        assert_eq!((&chunk["d"]["chunk_index"], &chunk["d"]["chunk_count"]), (&json!(index), &json!(3)));
        assert_eq!(chunk["d"]["nonce"], "n");
        for member in chunk["d"]["members"].as_array().expect("a list") {
            assert!(seen.insert(member["user"]["id"].as_str().expect("an id").to_owned()), "each member comes once");
        }
    }
    assert_eq!(seen.len(), 2_502);
    let ask = json!({ "guild_id": town.guild, "user_ids": [town.ann.0, "1"], "limit": 0 });
    socket.send(json!({ "op": 8, "d": ask }));
    let chunk = socket.event("GUILD_MEMBERS_CHUNK");
    assert_eq!(chunk["d"]["members"][0]["user"]["id"], town.ann.0);
    assert_eq!(chunk["d"]["not_found"], json!(["1"]));
}

#[test]
fn a_bot_with_presences_gets_a_small_guild_with_all_its_members() {
    let town = Town::found();
    let server = town.serve(2);
    let members = |intents: u64| {
        let (mut socket, _) = Socket::identified(server.address, &town.bot.1, intents);
        let created = socket.event("GUILD_CREATE")["d"].clone();
        assert_eq!((&created["member_count"], &created["large"]), (&json!(2), &json!(false)));
        let members = created["members"].as_array().expect("a list").clone();
        members.iter().map(|member| member["user"]["id"].clone()).collect::<Vec<_>>()
    };
    // GUILDS, GUILD_PRESENCES; with the second it never asks for them.
    assert_eq!(members(1 | 1 << 8), [json!(town.ann.0), json!(town.bot.0)]);
    assert_eq!(members(1), [json!(town.bot.0)]);
}

#[test]
fn who_resumes_here_and_there_by_turns_is_limited_all_the_same() {
    let town = Town::found();
    let server = town.serve(2);
    let mut socket = Socket::greeted(server.address);
    let mut refused = 0;
    let code = loop {
        // Sessions that never were, on either core by turns.
        socket.resume(&town.bot.1, &format!("{:04x}{:012x}{:016x}", refused % 2, 7, 7), 1);
        match socket.hear() {
            Said::Payload(payload) => assert_eq!((&payload["op"], &payload["d"]), (&json!(9), &json!(false))),
            Said::Closed(code) => break code,
            Said::Cut => panic!("it is told why"),
        }
        refused += 1;
        assert!(refused < 200, "nobody stops it");
    };
    assert_eq!(code, 4008);
}
