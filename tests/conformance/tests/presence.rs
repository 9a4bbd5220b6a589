//! Presences over real sockets: who is told of whom, in a small guild and in a large one.

use guildhall_conformance::server::{Server, admin};
use guildhall_conformance::socket::{Said, Socket};
use guildhall_conformance::town::Town;
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

const GUILDS: u64 = 1;
const MEMBERS: u64 = 1 << 1;
const PRESENCES: u64 = 1 << 8;

/// Signs in as people's clients do, and says how it is there. Returns its GUILD_CREATE.
fn person(server: &Server, token: &str, presence: Value) -> (Socket, Value) {
    let mut socket = Socket::greeted(server.address);
    let properties = json!({ "os": "Linux", "browser": "Discord Client" });
    socket.send(json!({ "op": 2, "d": { "token": token, "properties": properties, "presence": presence } }));
    let create = socket.event("GUILD_CREATE");
    (socket, create["d"].clone())
}

fn bot(server: &Server, token: &str, intents: u64) -> (Socket, Value) {
    let (mut socket, _) = Socket::identified(server.address, token, intents);
    let create = socket.event("GUILD_CREATE");
    (socket, create["d"].clone())
}

fn present(socket: &mut Socket, status: &str) {
    socket.send(json!({ "op": 3, "d": { "since": null, "activities": [], "status": status, "afk": false } }));
}

fn leave(mut socket: Socket, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    socket.send_raw(Message::Close(Some(frame)));
    while matches!(socket.hear(), Said::Payload(_)) {}
}

/// All that came until an answer to a heartbeat, which comes behind what was said before.
fn until_now(socket: &mut Socket) -> Vec<Value> {
    socket.send(json!({ "op": 1, "d": null }));
    let mut came = Vec::new();
    loop {
        let payload = socket.payload();
        if payload["op"] == 11 {
            return came;
        }
        came.push(payload);
    }
}

fn presences(came: &[Value]) -> usize {
    came.iter().filter(|payload| payload["t"] == "PRESENCE_UPDATE").count()
}

/// The last status of a user that comes before a presence of another.
fn last_of(socket: &mut Socket, user: &str, other: &str) -> Option<Value> {
    let mut last = None;
    loop {
        let update = socket.event("PRESENCE_UPDATE")["d"].clone();
        if update["user"]["id"] == other {
            return last;
        }
        assert_eq!(update["user"]["id"], user);
        last = Some(update["status"].clone());
    }
}

/// A town with a second person.
fn two() -> (Town, (String, String)) {
    let town = Town::found();
    let carl = admin(town.data.path(), &["user", "create", "carl"]);
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    admin(town.data.path(), &["guild", "add", &town.guild, &text(&carl["user_id"])]);
    (town, (text(&carl["user_id"]), text(&carl["token"])))
}

#[test]
fn in_a_small_guild_people_see_each_other() {
    let (town, carl) = two();
    let server = town.serve(2);
    let chess = json!({ "status": "idle", "activities": [{ "name": "chess", "type": 0 }], "since": 1, "afk": true });
    let (mut ann, _) = person(&server, &town.ann.1, chess);
    let (mut carl, create) = person(&server, &carl.1, json!({ "status": "no such status" }));
    let seen = &create["presences"][0];
    assert_eq!((&seen["user"]["id"], &seen["status"]), (&json!(town.ann.0), &json!("idle")), "{create}");
    assert_eq!(seen["client_status"], json!({ "desktop": "idle" }));
    let activity = &seen["activities"][0];
    assert_eq!((&activity["name"], &activity["type"]), (&json!("chess"), &json!(0)));
    assert!(activity["created_at"].is_u64() && activity["id"].is_string());
    assert_eq!(create["members"].as_array().map(Vec::len), Some(2), "who is seen is known");
    // Carl was seen to come. What was no presence counts as none.
    let came = ann.event("PRESENCE_UPDATE");
    assert_eq!(came["d"]["status"], "online", "{came}");

    present(&mut ann, "dnd");
    let update = carl.event("PRESENCE_UPDATE")["d"].clone();
    let nothing: [Value; 0] = [];
    assert_eq!((&update["status"], &update["guild_id"]), (&json!("dnd"), &json!(town.guild)));
    assert_eq!(update["activities"], json!(nothing));
    assert_eq!(presences(&until_now(&mut ann)), 0, "nobody is told of his own");

    present(&mut ann, "invisible");
    let update = carl.event("PRESENCE_UPDATE")["d"].clone();
    assert_eq!((&update["status"], &update["client_status"]), (&json!("offline"), &json!({})));
    present(&mut ann, "online");
    assert_eq!(carl.event("PRESENCE_UPDATE")["d"]["status"], "online");

    // A second client of Ann's, which is idle, changes only what she is there with; when it is gone, so is that.
    let (phone, _) = {
        let mut socket = Socket::greeted(server.address);
        let properties = json!({ "$os": "Android", "$browser": "Discord Android" });
        let presence = json!({ "status": "idle", "activities": null, "since": {}, "afk": 0 });
        socket.send(json!({ "op": 2, "d": { "token": town.ann.1, "properties": properties, "presence": presence } }));
        let create = socket.event("GUILD_CREATE");
        (socket, create)
    };
    let update = carl.event("PRESENCE_UPDATE")["d"].clone();
    assert_eq!((&update["status"], &update["client_status"]["mobile"]), (&json!("online"), &json!("idle")));
    // Cut off it can be resumed, and stays; closed it is gone.
    leave(phone, 1000);
    assert_eq!(carl.event("PRESENCE_UPDATE")["d"]["client_status"], json!({ "desktop": "online" }));
    leave(ann, 4000);
    assert_eq!(presences(&until_now(&mut carl)), 0, "who can come back is not gone");

    present(&mut carl, "idle");
    carl.send(json!({ "op": 3, "d": { "status": "away" } }));
    assert_eq!(carl.closed(), 4001);
    server.stop();
}

#[test]
fn what_is_said_right_behind_identify_counts() {
    let (town, carl) = two();
    let server = town.serve(2);
    let (mut ann, _) = person(&server, &town.ann.1, json!(null));
    let mut socket = Socket::greeted(server.address);
    // In one piece, so that there is no READY between them.
    let identify = json!({ "op": 2, "d": { "token": carl.1, "properties": {}, "presence": { "status": "online" } } });
    let idle = json!({ "op": 3, "d": { "since": null, "activities": [], "status": "idle", "afk": false } });
    for payload in [identify, idle] {
        socket.stream.write(Message::text(payload.to_string())).expect("the connection is open");
    }
    socket.stream.flush().expect("the connection is open");
    socket.event("GUILD_CREATE");
    assert_eq!(ann.event("PRESENCE_UPDATE")["d"]["status"], "idle");
    server.stop();
}

#[test]
fn in_a_large_guild_people_see_whom_they_follow_and_bots_see_everybody() {
    let (town, carl) = two();
    let flags = ["--rate-limits", "false", "--passive-above", "1"];
    let server = Server::start(town.data.path(), 2, &flags);
    let (mut ann, create) = person(&server, &town.ann.1, json!({ "status": "idle", "activities": [] }));
    assert_eq!(create["presences"], json!([]));
    let (mut carl_here, create) = person(&server, &carl.1, json!(null));
    assert_eq!((&create["presences"], create["members"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    let (mut seer, create) = bot(&server, &town.bot.1, GUILDS | PRESENCES);
    let seen: Vec<&Value> = create["presences"].as_array().into_iter().flatten().collect();
    assert_eq!(seen.len(), 2, "{create}");
    assert_eq!(create["members"].as_array().map(Vec::len), Some(3), "all of a guild that is not large for it");
    let (mut blind, create) = bot(&server, &town.bot.1, GUILDS | MEMBERS);
    assert_eq!(create["presences"], json!([]));

    present(&mut ann, "dnd");
    assert_eq!(seer.event("PRESENCE_UPDATE")["d"]["status"], "dnd");
    assert_eq!(presences(&until_now(&mut carl_here)), 0, "nobody asked");

    carl_here.send(json!({ "op": 14, "d": { "guild_id": town.guild, "members": [town.ann.0, carl.0] } }));
    let update = carl_here.event("PRESENCE_UPDATE")["d"].clone();
    assert_eq!((&update["user"]["id"], &update["status"]), (&json!(town.ann.0), &json!("dnd")), "how it stands");
    present(&mut ann, "online");
    assert_eq!(carl_here.event("PRESENCE_UPDATE")["d"]["status"], "online");
    assert_eq!(seer.event("PRESENCE_UPDATE")["d"]["status"], "online");
    // What changes of her otherwise comes as well, though Carl is passive.
    let nick = format!("/guilds/{}/members/@me", town.guild);
    town.ann(&server).done("PATCH", &nick, Some(json!({ "nick": "Annie" })));
    assert_eq!(carl_here.event("GUILD_MEMBER_UPDATE")["d"]["nick"], "Annie");
    blind.event("GUILD_MEMBER_UPDATE");

    // Followed no more, she is not heard of.
    carl_here.send(json!({ "op": 37, "d": { "subscriptions": { &town.guild: { "members": [] } } } }));
    until_now(&mut carl_here);
    leave(ann, 1000);
    let update = seer.event("PRESENCE_UPDATE")["d"].clone();
    assert_eq!((&update["user"]["id"], &update["status"]), (&json!(town.ann.0), &json!("offline")));
    assert_eq!(presences(&until_now(&mut carl_here)), 0);
    assert_eq!(presences(&until_now(&mut blind)), 0);

    seer.send(json!({ "op": 8, "d": { "guild_id": town.guild, "user_ids": [carl.0, town.ann.0], "presences": true } }));
    let chunk = seer.event("GUILD_MEMBERS_CHUNK")["d"].clone();
    assert_eq!(chunk["members"].as_array().map(Vec::len), Some(2));
    assert_eq!(chunk["presences"].as_array().map(Vec::len), Some(1), "{chunk}");
    assert_eq!(chunk["presences"][0]["user"]["id"], json!(carl.0));
    blind.send(json!({ "op": 8, "d": { "guild_id": town.guild, "query": "", "limit": 0, "presences": true } }));
    let chunk = blind.event("GUILD_MEMBERS_CHUNK")["d"].clone();
    assert_eq!((chunk["members"].as_array().map(Vec::len), chunk.get("presences")), (Some(3), None));

    // Five in twenty seconds count; what is more is dropped without a word.
    for number in 0..9 {
        present(&mut carl_here, if number % 2 == 0 { "idle" } else { "online" });
    }
    until_now(&mut carl_here);
    // Ann comes back behind that, so when she is seen all of it was.
    let (mut ann, _) = person(&server, &town.ann.1, json!({ "status": "idle" }));
    assert_eq!(last_of(&mut seer, &carl.0, &town.ann.0), Some(json!("idle")));
    present(&mut carl_here, "invisible");
    until_now(&mut carl_here);
    present(&mut ann, "dnd");
    assert_eq!(last_of(&mut seer, &carl.0, &town.ann.0), None);
    server.stop();
}
