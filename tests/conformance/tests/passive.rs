//! Passive sessions: what people's clients get of large guilds before and after they subscribe.

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::{Server, admin};
use guildhall_conformance::socket::Socket;
use guildhall_conformance::town::Town;
use serde_json::{Value, json};

/// Identifies as people's clients do: no intents, and perhaps the capability of reading deltas.
fn person(server: &Server, token: &str, capabilities: u64) -> Socket {
    let mut socket = Socket::greeted(server.address);
    socket.send(json!({ "op": 2, "d": { "token": token, "capabilities": capabilities, "properties": {} } }));
    socket.event("GUILD_CREATE");
    socket
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// A town with a second person, where every guild of two members is large.
fn large() -> (Town, (String, String), Server) {
    let town = Town::found();
    let carl = admin(town.data.path(), &["user", "create", "carl"]);
    admin(town.data.path(), &["guild", "add", &town.guild, &text(&carl["user_id"])]);
    let flags = ["--rate-limits", "false", "--passive-above", "1", "--passive-update-seconds", "1"];
    let server = Server::start(town.data.path(), 2, &flags);
    (town, (text(&carl["user_id"]), text(&carl["token"])), server)
}

#[test]
fn a_passive_session_gets_marks_and_mentions_and_an_active_one_everything() {
    let (town, carl, server) = large();
    let ann = town.ann(&server);
    let mut deltas = person(&server, &carl.1, 1 << 14);
    let mut plain = person(&server, &carl.1, 0);
    let (mut bot, _) = Socket::identified(server.address, &town.bot.1, 1 | 1 << 9 | 1 << 15);
    bot.event("GUILD_CREATE");

    town.say(&ann, "not for the passive");
    let last = text(&town.say(&ann, "nor this")["id"]);
    let update = deltas.payload();
    assert_eq!(update["t"], "PASSIVE_UPDATE_V2");
    let marks = json!([{ "id": town.channel, "last_message_id": last }]);
    assert_eq!((&update["d"]["guild_id"], &update["d"]["updated_channels"]), (&json!(town.guild), &marks));
    let update = plain.payload();
    assert_eq!((&update["t"], &update["d"]["channel_unread_updates"]), (&json!("CHANNEL_UNREAD_UPDATE"), &marks));

    for content in [format!("you, <@{}>", carl.0), "@everyone".to_owned()] {
        town.say(&ann, &content);
        assert_eq!(deltas.event("MESSAGE_CREATE")["d"]["content"], json!(content));
    }
    // What one writes oneself comes as well.
    let own = Rest::new(server.address, &carl.1);
    town.say(&own, "mine");
    assert_eq!(plain.event("MESSAGE_CREATE")["d"]["content"], json!(format!("you, <@{}>", carl.0)));
    assert_eq!(plain.event("MESSAGE_CREATE")["d"]["content"], "@everyone");
    assert_eq!(plain.event("MESSAGE_CREATE")["d"]["content"], "mine");
    // Structure is for everybody.
    ann.done("PATCH", &format!("/channels/{}", town.channel), Some(json!({ "topic": "new" })));
    assert_eq!(plain.event("CHANNEL_UPDATE")["d"]["topic"], "new");

    let unread = text(&town.say(&ann, "told by a mark when one subscribes")["id"]);
    // When the bot has it, it has been published.
    while bot.event("MESSAGE_CREATE")["d"]["id"] != json!(unread) {}
    plain.send(json!({ "op": 37, "d": { "subscriptions": { &town.guild: { "typing": true } } } }));
    loop {
        let payload = plain.payload();
        if payload["t"] == "CHANNEL_UNREAD_UPDATE"
            && payload["d"]["channel_unread_updates"][0]["last_message_id"] == json!(unread)
        {
            break;
        }
        assert_ne!(payload["t"], "MESSAGE_CREATE");
    }
    // An answer to a heartbeat comes behind the subscription.
    plain.send(json!({ "op": 1, "d": null }));
    while plain.payload()["op"] != 11 {}
    town.say(&ann, "active");
    assert_eq!(plain.event("MESSAGE_CREATE")["d"]["content"], "active");
    ann.done("POST", &format!("/channels/{}/typing", town.channel), None);
    plain.event("TYPING_START");
    server.stop();
}

#[test]
fn the_old_form_subscribes_even_before_the_guild_has_come() {
    let (town, carl, server) = large();
    let ann = town.ann(&server);
    let mut socket = Socket::greeted(server.address);
    socket.send(json!({ "op": 2, "d": { "token": carl.1, "properties": {} } }));
    assert_eq!(socket.payload()["t"], "READY");
    let ask = json!({ "guild_id": town.guild, "typing": true, "threads": true, "activities": true, "members": [] });
    socket.send(json!({ "op": 14, "d": ask }));
    socket.send(json!({ "op": 1, "d": null }));
    while socket.payload()["op"] != 11 {}
    town.say(&ann, "at once");
    assert_eq!(socket.event("MESSAGE_CREATE")["d"]["content"], "at once");
    // A form that says nothing is a mistake, a guild that nobody knows is not.
    socket.send(json!({ "op": 14, "d": { "guild_id": "1", "typing": true } }));
    socket.send(json!({ "op": 37, "d": {} }));
    assert_eq!(socket.closed(), 4001);
    server.stop();
}
