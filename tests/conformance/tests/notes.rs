//! Notes: what a person writes about others, and how its other clients hear of it.
//!
//! Source: Discord's clients (USER_NOTE_UPDATE; `/users/@me/notes`).

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::admin;
use guildhall_conformance::socket::Socket;
use guildhall_conformance::town::Town;
use serde_json::json;

#[test]
fn notes_are_written_read_and_deleted_by_people() {
    let town = Town::found();
    let server = town.serve(2);
    let (ann, bot) = (town.ann(&server), town.bot(&server));
    let path = format!("/users/@me/notes/{}", town.bot.0);
    let code = |rest: &Rest, method: &str, path: &str, body| {
        let (status, answer) = rest.call(method, path, body);
        (status, answer["code"].as_u64().unwrap_or(0))
    };
    assert_eq!(code(&ann, "GET", &path, None), (404, 10_013), "there is none");
    assert_eq!(ann.done("GET", "/users/@me/notes", None), json!({}));
    assert_eq!(ann.call("PUT", &path, Some(json!({ "note": "a bot" }))).0, 204);
    let note = json!({ "user_id": town.ann.0, "note_user_id": town.bot.0, "note": "a bot" });
    assert_eq!(ann.done("GET", &path, None), note);
    let mut all = serde_json::Map::new();
    all.insert(town.bot.0.clone(), json!("a bot"));
    assert_eq!(ann.done("GET", "/users/@me/notes", None), json!(all));
    let long = |length: usize| Some(json!({ "note": "ä".repeat(length) }));
    assert_eq!(code(&ann, "PUT", &path, long(257)), (400, 50_035));
    assert_eq!(ann.call("PUT", &path, long(256)).0, 204);
    assert_eq!(code(&ann, "PUT", "/users/@me/notes/1234", long(1)), (404, 10_013));
    for nothing in [json!({ "note": null }), json!({ "note": "" })] {
        assert_eq!(ann.call("PUT", &path, Some(nothing)).0, 204);
        assert_eq!(code(&ann, "GET", &path, None), (404, 10_013));
    }
    for (method, path) in [("GET", "/users/@me/notes"), ("GET", path.as_str()), ("PUT", path.as_str())] {
        assert_eq!(code(&bot, method, path, (method == "PUT").then(|| json!({}))), (403, 20_001), "{method} {path}");
    }
}

#[test]
fn sessions_of_the_author_get_note_updates_across_a_resume() {
    let town = Town::found();
    let eve = admin(town.data.path(), &["user", "create", "eve", "--password", "correct horse"]);
    admin(town.data.path(), &["guild", "add", &town.guild, eve["user_id"].as_str().expect("an id")]);
    for cores in [1, 2, 5] {
        let server = town.serve(cores);
        let ann = town.ann(&server);
        let token = &town.ann.1;
        let (mut here, _) = Socket::identified(server.address, token, 0);
        let (cut, ready) = Socket::identified(server.address, token, 0);
        let session = ready["d"]["session_id"].as_str().expect("a session id").to_owned();
        let (mut other, _) = Socket::identified(server.address, eve["token"].as_str().expect("a token"), 0);
        drop(cut);
        let write = |text: &str| {
            let path = format!("/users/@me/notes/{}", town.bot.0);
            assert_eq!(ann.call("PUT", &path, Some(json!({ "note": text }))).0, 204);
        };
        for text in ["first", "second", ""] {
            write(text);
            let update = here.payload();
            assert_eq!(update["t"], "USER_NOTE_UPDATE", "no intents are needed: {update}");
            assert_eq!(update["d"], json!({ "id": town.bot.0, "note": text }));
        }
        let mut back = Socket::greeted(server.address);
        back.resume(token, &session, 1);
        for (seq, text) in [(2, "first"), (3, "second"), (4, "")] {
            let update = back.payload();
            assert_eq!((&update["t"], &update["s"]), (&json!("USER_NOTE_UPDATE"), &json!(seq)));
            assert_eq!(update["d"]["note"], text);
        }
        assert_eq!(back.payload()["t"], "RESUMED");
        write("live again");
        assert_eq!(back.payload()["d"]["note"], "live again");
        other.send(json!({ "op": 1, "d": null }));
        assert_eq!(other.payload()["op"], 11, "no other user hears of it");
        assert_eq!(server.stop().code, Some(0));
    }
}
