//! Member lists: what people's clients are sent of them, applied as those clients do.

use std::collections::BTreeMap;

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::{Server, admin};
use guildhall_conformance::socket::Socket;
use guildhall_conformance::town::Town;
use serde_json::{Value, json};

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Identifies as people's clients do. Returns the session's id too.
fn person(server: &Server, token: &str) -> (Socket, String) {
    let mut socket = Socket::greeted(server.address);
    socket.send(json!({ "op": 2, "d": { "token": token, "properties": {} } }));
    let session = text(&socket.event("READY")["d"]["session_id"]);
    socket.event("GUILD_CREATE");
    (socket, session)
}

/// The lists of one client: rows by list, each as a line.
#[derive(Default)]
struct Lists {
    rows: BTreeMap<String, Vec<Option<String>>>,
    /// The last event's.
    last: Value,
    ops: Vec<String>,
    seq: u64,
}

impl Lists {
    /// Applies an event.
    fn apply(&mut self, payload: &Value) {
        self.seq = payload["s"].as_u64().unwrap_or(self.seq);
        if payload["t"] != "GUILD_MEMBER_LIST_UPDATE" {
            return;
        }
        let d = &payload["d"];
        let rows = self.rows.entry(text(&d["id"])).or_default();
        for op in d["ops"].as_array().expect("ops are a list") {
            let name = text(&op["op"]);
            let index = op["index"].as_u64().unwrap_or(0) as usize;
            match name.as_str() {
                "SYNC" | "INVALIDATE" => {
                    let (first, last) =
                        (op["range"][0].as_u64().unwrap() as usize, op["range"][1].as_u64().unwrap() as usize);
                    rows.resize(rows.len().max(last + 1), None);
                    rows[first..=last].fill(None);
                    for (place, item) in op["items"].as_array().into_iter().flatten().enumerate() {
                        rows[first + place] = Some(line(item));
                    }
                }
                "INSERT" => rows.insert(index, Some(line(&op["item"]))),
                "UPDATE" => rows[index] = Some(line(&op["item"])),
                "DELETE" => drop(rows.remove(index)),
                other => panic!("{other}"),
            }
            self.ops.push(name);
        }
        self.last = d.clone();
    }

    fn seen(&self, id: &str) -> Vec<&str> {
        self.rows.get(id).into_iter().flatten().flatten().map(String::as_str).collect()
    }

    /// Reads until a list looks so.
    fn until(&mut self, socket: &mut Socket, id: &str, rows: &[&str]) {
        while self.seen(id) != rows {
            let payload = socket.payload();
            self.apply(&payload);
        }
    }
}

fn line(item: &Value) -> String {
    if let Some(group) = item.get("group") {
        return format!("{}: {}", text(&group["id"]), group["count"]);
    }
    let member = &item["member"];
    assert_eq!(member["presence"]["user"]["id"], member["user"]["id"]);
    let name = member["nick"].as_str().unwrap_or_else(|| member["user"]["username"].as_str().unwrap());
    format!("{name} {}", text(&member["presence"]["status"]))
}

struct Place {
    town: Town,
    server: Server,
    carl: (String, String),
    /// Somebody who is no member yet: her token.
    dora: String,
    ann: Rest,
    captains: String,
    hidden: String,
}

/// A town with ann, who owns it, carl, who is a captain, and a bot; and with a channel that captains alone may view.
fn place() -> Place {
    let town = Town::found();
    let carl = admin(town.data.path(), &["user", "create", "carl"]);
    let carl = (text(&carl["user_id"]), text(&carl["token"]));
    admin(town.data.path(), &["guild", "add", &town.guild, &carl.0]);
    let dora = text(&admin(town.data.path(), &["user", "create", "dora"])["token"]);
    let server = town.serve(2);
    let ann = town.ann(&server);
    let guild = format!("/guilds/{}", town.guild);
    let form = json!({ "name": "captains", "hoist": true, "permissions": "0" });
    let captains = text(&ann.done("POST", &format!("{guild}/roles"), Some(form))["id"]);
    ann.done("PUT", &format!("{guild}/members/{}/roles/{captains}", carl.0), None);
    let hides = json!({ "id": town.guild, "type": 0, "deny": "1024", "allow": "0" });
    let opens = json!({ "id": captains, "type": 0, "deny": "0", "allow": "1024" });
    let form = json!({ "name": "bridge", "type": 0, "permission_overwrites": [hides, opens] });
    let hidden = text(&ann.done("POST", &format!("{guild}/channels"), Some(form))["id"]);
    Place { town, server, carl, dora, ann, captains, hidden }
}

fn look(socket: &mut Socket, guild: &str, channels: Value) {
    socket.send(json!({ "op": 14, "d": { "guild_id": guild, "typing": true, "channels": channels } }));
}

#[test]
fn a_list_follows_names_roles_and_presences_across_a_resume() {
    let Place { town, server, carl, ann, captains, .. } = place();
    let guild = format!("/guilds/{}", town.guild);
    let (mut socket, session) = person(&server, &carl.1);
    let mut lists = Lists::default();
    look(&mut socket, &town.guild, json!({ &town.channel: [[0, 99]] }));
    let captain = format!("{captains}: 1");
    lists.until(&mut socket, "everyone", &[&captain, "carl online", "offline: 2", "ann offline", "bob offline"]);
    assert_eq!((&lists.last["member_count"], &lists.last["online_count"]), (&json!(3), &json!(1)));
    let groups = json!([{ "id": captains, "count": 1 }, { "id": "offline", "count": 2 }]);
    assert_eq!(lists.last["groups"], groups);
    assert_eq!(lists.ops, ["SYNC"]);

    let (mut of_ann, _) = person(&server, &town.ann.1);
    let all = [captain.as_str(), "carl online", "online: 1", "ann online", "offline: 1", "bob offline"];
    lists.until(&mut socket, "everyone", &all);
    of_ann.send(json!({ "op": 3, "d": { "since": null, "activities": [], "status": "idle", "afk": false } }));
    ann.done("PATCH", &format!("{guild}/members/@me"), Some(json!({ "nick": "Zoe" })));
    let all = [captain.as_str(), "carl online", "online: 1", "Zoe idle", "offline: 1", "bob offline"];
    lists.until(&mut socket, "everyone", &all);

    // The role's position decides no more when nobody stands apart.
    drop(socket);
    ann.done("DELETE", &format!("{guild}/members/{}/roles/{captains}", carl.0), None);
    let (mut bot, _) = Socket::identified(server.address, &town.bot.1, 1);
    bot.event("GUILD_CREATE");
    let mut socket = Socket::greeted(server.address);
    socket.resume(&carl.1, &session, lists.seq);
    lists.until(&mut socket, "everyone", &["online: 3", "bob online", "carl online", "Zoe idle"]);
    assert_eq!(lists.last["groups"], json!([{ "id": "online", "count": 3 }, { "id": "offline", "count": 0 }]));
    for op in ["SYNC", "INSERT", "DELETE", "UPDATE"] {
        assert!(lists.ops.iter().any(|it| it == op), "{op}: {:?}", lists.ops);
    }

    // A bot is not answered; nor is whoever asks nonsense.
    bot.send(
        json!({ "op": 14, "d": { "guild_id": town.guild, "typing": true, "channels": { &town.channel: [[0, 99]] } } }),
    );
    look(&mut of_ann, &town.guild, json!({ "1": [[0, 99]], &town.channel: [[99, 0]] }));
    ann.done("PATCH", &format!("{guild}/members/@me"), Some(json!({ "nick": "Amy" })));
    lists.until(&mut socket, "everyone", &["online: 3", "Amy idle", "bob online", "carl online"]);
    for other in [&mut bot, &mut of_ann] {
        other.send(json!({ "op": 1, "d": null }));
        loop {
            let payload = other.payload();
            assert_ne!(payload["t"], "GUILD_MEMBER_LIST_UPDATE");
            if payload["op"] == 11 {
                break;
            }
        }
    }
    server.stop();
}

#[test]
fn whoever_scrolls_on_is_told_what_it_has_left() {
    let Place { town, server, carl, .. } = place();
    let (mut socket, _) = person(&server, &carl.1);
    let mut lists = Lists::default();
    look(&mut socket, &town.guild, json!({ &town.channel: [[0, 99], [100, 199]] }));
    while lists.ops.len() < 2 {
        let payload = socket.payload();
        lists.apply(&payload);
    }
    assert_eq!(lists.last["ops"], json!([{ "op": "SYNC", "range": [100, 199], "items": [] }]));
    look(&mut socket, &town.guild, json!({ &town.channel: [[100, 199]] }));
    lists.until(&mut socket, "everyone", &[]);
    assert_eq!(lists.last["ops"], json!([{ "op": "INVALIDATE", "range": [0, 99] }]));
    server.stop();
}

#[test]
fn the_list_of_a_hidden_channel_is_for_those_who_view_it() {
    let Place { town, server, carl, dora, ann, captains, hidden } = place();
    let guild = format!("/guilds/{}", town.guild);
    join(&server, (&ann, &town.channel), &dora);
    let (mut of_dora, _) = person(&server, &dora);
    let (mut socket, _) = person(&server, &carl.1);
    let mut lists = Lists::default();
    look(&mut socket, &town.guild, json!({ &hidden: [[0, 99]] }));
    look(&mut of_dora, &town.guild, json!({ &hidden: [[0, 99]] }));
    while lists.ops.is_empty() {
        let payload = socket.payload();
        lists.apply(&payload);
    }
    let id = text(&lists.last["id"]);
    assert!(id.parse::<u32>().is_ok(), "{id} is a hash");
    let captain = format!("{captains}: 1");
    lists.until(&mut socket, &id, &[&captain, "carl online", "offline: 1", "ann offline"]);

    // Another channel with the same overwrites has the same list.
    let overwrites = ann.done("GET", &format!("/channels/{hidden}"), None)["permission_overwrites"].clone();
    let form = json!({ "name": "deck", "type": 0, "permission_overwrites": overwrites });
    let deck = text(&ann.done("POST", &format!("{guild}/channels"), Some(form))["id"]);
    socket.event("CHANNEL_CREATE");
    let before = lists.ops.len();
    look(&mut socket, &town.guild, json!({ &deck: [[0, 99], [100, 199]] }));
    while lists.ops.len() == before {
        let payload = socket.payload();
        lists.apply(&payload);
    }
    assert_eq!((&lists.last["id"], &lists.last["ops"][0]["range"]), (&json!(id), &json!([100, 199])));

    // Whoever is no captain any more gets nothing more of it, without looking elsewhere; whoever owns the guild does.
    let (mut of_ann, _) = person(&server, &town.ann.1);
    let mut seen_by_ann = Lists::default();
    look(&mut of_ann, &town.guild, json!({ &hidden: [[0, 99]] }));
    seen_by_ann.until(&mut of_ann, &id, &[&captain, "carl online", "online: 1", "ann online"]);
    ann.done("DELETE", &format!("{guild}/members/{}/roles/{captains}", carl.0), None);
    socket.event("GUILD_MEMBER_UPDATE");
    seen_by_ann.until(&mut of_ann, &id, &["online: 1", "ann online"]);
    ann.done("PATCH", &format!("{guild}/members/@me"), Some(json!({ "nick": "Zoe" })));
    seen_by_ann.until(&mut of_ann, &id, &["online: 1", "Zoe online"]);
    socket.send(json!({ "op": 1, "d": null }));
    loop {
        let payload = socket.payload();
        assert_ne!(payload["d"]["id"], json!(id), "{payload}");
        if payload["op"] == 11 {
            break;
        }
    }
    look(&mut socket, &town.guild, json!({ &town.channel: [[0, 99]], &hidden: [[0, 99]] }));
    let mut everyone = Lists::default();
    while everyone.ops.is_empty() {
        let payload = socket.payload();
        assert_ne!(payload["d"]["id"], json!(id), "{payload}");
        everyone.apply(&payload);
    }
    assert_eq!(everyone.last["id"], "everyone");
    of_dora.send(json!({ "op": 1, "d": null }));
    loop {
        let payload = of_dora.payload();
        assert_ne!(payload["t"], "GUILD_MEMBER_LIST_UPDATE");
        if payload["op"] == 11 {
            break;
        }
    }
    server.stop();
}

/// Somebody joins by invite.
fn join(server: &Server, place: (&Rest, &str), token: &str) {
    let (ann, channel) = place;
    let invite = ann.done("POST", &format!("/channels/{channel}/invites"), Some(json!({})));
    let code = text(&invite["code"]);
    Rest::new(server.address, token).done("POST", &format!("/invites/{code}"), Some(json!({})));
}
