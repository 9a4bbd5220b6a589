//! REST's edges: error bodies, headers, rate limits, passwords and tokens.
//!
//! Source: Discord docs, Reference, Rate Limits, Opcodes and Status Codes (JSON).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::Server;
use guildhall_conformance::town::Town;
use serde_json::{Value, json};

/// Sends bytes and reads until the server closes.
fn raw(server: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("it can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is text");
    answer
}

/// Asks without a client library: the status, the head in lower case, and the body.
fn ask(server: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{headers}{length}\r\n");
    let answer = raw(server, &format!("{head}{body}"));
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head ends");
    let status = head[9..12].parse().expect("a status");
    (status, head.to_lowercase(), body.to_owned())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn errors_have_discords_bodies() {
    let town = Town::found();
    let server = town.serve(2);
    let (ann, nobody) = (town.ann(&server), Rest::new(server.address, ""));
    let messages = format!("/channels/{}/messages", town.channel);
    let expect = |who: &Rest, method: &str, path: &str, body: Option<Value>, status: u16, code: u64| {
        let (got, answer) = who.call(method, path, body);
        assert_eq!((got, answer["code"].as_u64()), (status, Some(code)), "{method} {path}: {answer}");
        assert!(answer["message"].is_string(), "{answer}");
        answer
    };
    expect(&nobody, "GET", "/users/@me", None, 401, 0);
    expect(&Rest::new(server.address, "Bot nonsense"), "GET", "/users/@me", None, 401, 0);
    expect(&ann, "GET", "/nonsense", None, 404, 0);
    expect(&ann, "PUT", "/users/@me", None, 405, 0);
    expect(&ann, "GET", "/channels/1/messages", None, 404, 10_003);
    expect(&ann, "GET", "/guilds/1", None, 404, 10_004);
    expect(&ann, "GET", &format!("{messages}/1"), None, 404, 10_008);
    expect(&ann, "GET", "/users/1", None, 404, 10_013);
    expect(&ann, "GET", "/invites/nonsense", None, 404, 10_006);
    expect(&ann, "GET", &format!("/guilds/{}/members/1", town.guild), None, 404, 10_007);
    expect(&ann, "POST", &messages, Some(json!({ "content": "" })), 400, 50_006);
    let long = expect(&ann, "POST", &messages, Some(json!({ "content": "x".repeat(2_001) })), 400, 50_035);
    assert_eq!(long["errors"]["content"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH", "{long}");
    let wrong = expect(&ann, "POST", &messages, Some(json!({ "content": [1] })), 400, 50_035);
    assert!(wrong["errors"]["content"]["_errors"][0]["message"].is_string(), "{wrong}");
    expect(&ann, "POST", &format!("/guilds/{}/roles", town.guild), Some(json!({ "color": -1 })), 400, 50_035);
    expect(&town.bot(&server), "DELETE", &format!("/guilds/{}", town.guild), None, 403, 50_013);
    expect(
        &town.bot(&server),
        "PATCH",
        &format!("/guilds/{}", town.guild),
        Some(json!({ "name": "mine" })),
        403,
        50_013,
    );

    let host = format!("Host: {}\r\nConnection: close\r\n", server.address);
    let answer = raw(server.address, &format!("GET /api/v10/gateway HTTP/1.1\r\n{host}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let types: Vec<&str> = answer.lines().filter(|line| line.to_lowercase().starts_with("content-type")).collect();
    assert_eq!(types.len(), 1, "{answer}");
    assert_eq!(types[0].split_once(": ").map(|(_, value)| value), Some("application/json"), "without a charset");
    for path in ["/api/v9/gateway", "/api/gateway", "/healthz"] {
        let answer = raw(server.address, &format!("GET {path} HTTP/1.1\r\n{host}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let bad = format!(
        "POST /api/v10{messages} HTTP/1.1\r\n{host}Authorization: {}\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{{bad}}",
        town.ann.1
    );
    let answer = raw(server.address, &bad);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("50109"), "{answer}");
    assert!(raw(server.address, "NONSENSE\r\n\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn rate_limits_are_told_and_kept() {
    let town = Town::found();
    let server = Server::start(town.data.path(), 1, &[]);
    let ann = town.ann(&server);
    let path = format!("/channels/{}/messages", town.channel);
    let statuses: Vec<(u16, Value)> =
        (0..8).map(|number| ann.call("POST", &path, Some(json!({ "content": format!("{number}") })))).collect();
    assert!(statuses[..5].iter().all(|(status, _)| *status == 200), "{statuses:?}");
    let (status, body) = &statuses[7];
    assert_eq!(*status, 429);
    assert!(body["retry_after"].as_f64().is_some_and(|after| after > 0.0) && body["global"] == false, "{body}");
    assert!(body["message"].is_string());
    let request = format!(
        "POST /api/v10{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{{\"content\":\"x\"}}",
        town.ann.1
    );
    let answer = raw(server.address, &request).to_lowercase();
    for header in [
        "x-ratelimit-limit",
        "x-ratelimit-remaining: 0",
        "x-ratelimit-reset-after",
        "x-ratelimit-bucket",
        "retry-after",
        "via",
    ] {
        assert!(answer.contains(header), "{header} is missing: {answer}");
    }
}

#[test]
fn a_body_that_trickles_is_given_up() {
    let town = Town::found();
    let server = town.serve(1);
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    let head = "POST /api/v10/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it can be sent");
    let mut trickle = stream.try_clone().expect("descriptors");
    std::thread::spawn(move || {
        while trickle.write_all(b" ").is_ok() {
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
    });
    stream.set_read_timeout(Some(std::time::Duration::from_secs(40))).expect("a socket has timeouts");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("the server gives up");
    assert_eq!(&answer, b"HTTP/1.1 408");
}

/// One address cannot use up the sign-ins of all: another one has its own.
#[test]
fn strangers_are_limited_by_address() {
    let town = Town::found();
    let server = Server::start(town.data.path(), 1, &[]);
    let login = |from: [u8; 4]| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("descriptors");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("all of 127/8 is this host");
        socket.connect(&server.address.into()).expect("the server listens");
        let mut stream = TcpStream::from(socket);
        let request = "POST /api/v10/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(request.as_bytes()).expect("it can be sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    let statuses: Vec<String> = (0..7).map(|_| login([127, 0, 0, 1])).collect();
    assert_eq!(statuses.iter().filter(|status| *status == "429").count(), 2, "{statuses:?}");
    assert_eq!(login([127, 0, 0, 2]), "400");
}

/// An overwrite that denies cannot be taken away by those whom it denies.
#[test]
fn an_overwrite_is_taken_away_only_by_those_who_could_set_it() {
    let town = Town::found();
    let server = town.serve(1);
    let (ann, bot) = (town.ann(&server), town.bot(&server));
    let (manage_roles, mention_everyone) = ((1_u64 << 28).to_string(), (1_u64 << 17).to_string());
    let role = json!({ "name": "keeper", "permissions": manage_roles });
    let role = ann.done("POST", &format!("/guilds/{}/roles", town.guild), Some(role))["id"].clone();
    let role = role.as_str().expect("an id");
    ann.done("PUT", &format!("/guilds/{}/members/{}/roles/{role}", town.guild, town.bot.0), None);
    let overwrite = format!("/channels/{}/permissions/{}", town.channel, town.guild);
    let denial = json!({ "type": 0, "allow": "0", "deny": mention_everyone });
    ann.done("PUT", &overwrite, Some(denial));
    assert_eq!(bot.call("DELETE", &overwrite, None).0, 403);
    ann.done("DELETE", &overwrite, None);
    let harmless = json!({ "type": 0, "allow": "0", "deny": "2048" });
    ann.done("PUT", &overwrite, Some(harmless));
    ann.done("DELETE", &overwrite, None);
}

#[test]
fn people_register_sign_in_and_sign_out() {
    let town = Town::found();
    let server = town.serve(2);
    let open = Rest::new(server.address, "");
    let short = json!({ "username": "eve", "password": "short" });
    let (status, answer) = open.call("POST", "/auth/register", Some(short));
    assert_eq!((status, &answer["code"]), (400, &json!(50_035)), "{answer}");
    let account = json!({ "username": "eve", "password": "a long enough word" });
    let token = open.done("POST", "/auth/register", Some(account.clone()))["token"].clone();
    assert_eq!(open.call("POST", "/auth/register", Some(account)).0, 400, "the name is taken");
    let eve = Rest::new(server.address, token.as_str().expect("a token"));
    assert_eq!(eve.done("GET", "/users/@me", None)["username"], "eve");
    let wrong = json!({ "login": "eve", "password": "another long word" });
    assert_eq!(open.call("POST", "/auth/login", Some(wrong)).0, 400);
    let right = json!({ "login": "eve", "password": "a long enough word" });
    let again = open.done("POST", "/auth/login", Some(right))["token"].clone();
    let again = Rest::new(server.address, again.as_str().expect("a token"));
    assert_eq!(again.done("GET", "/users/@me", None)["username"], "eve");
    // A guild of her own.
    let guild = eve.done("POST", "/guilds", Some(json!({ "name": "Eve's" })));
    let id = guild["id"].as_str().expect("an id");
    assert_eq!(eve.done("GET", "/users/@me/guilds", None)[0]["id"], id);
    eve.done("DELETE", &format!("/guilds/{id}"), None);
    assert_eq!(eve.call("GET", &format!("/guilds/{id}"), None).0, 404);
}

#[test]
fn history_pages_in_every_direction() {
    let town = Town::found();
    let server = town.serve(2);
    let ann = town.ann(&server);
    let ids: Vec<String> =
        (0..30).map(|number| town.say(&ann, &number.to_string())["id"].as_str().expect("an id").to_owned()).collect();
    let page = |query: &str| -> Vec<usize> {
        let list = ann.done("GET", &format!("/channels/{}/messages?{query}", town.channel), None);
        let place = |one: &Value| ids.iter().position(|id| one["id"] == *id).expect("one of ours");
        list.as_array().expect("a list").iter().map(place).collect()
    };
    assert_eq!(page("limit=3"), [29, 28, 27]);
    assert_eq!(page(&format!("limit=3&before={}", ids[10])), [9, 8, 7]);
    assert_eq!(page(&format!("limit=3&after={}", ids[10])), [13, 12, 11]);
    assert_eq!(page(&format!("limit=5&around={}", ids[10])), [12, 11, 10, 9, 8]);
    assert_eq!(page("limit=2&after=0"), [1, 0]);
    assert_eq!(ann.call("GET", &format!("/channels/{}/messages?limit=101", town.channel), None).0, 400);
}

#[test]
fn edits_at_the_same_moment_do_not_undo_each_other() {
    let town = Town::found();
    let server = town.serve(2);
    let ann = town.ann(&server);
    for round in 0..150 {
        let id = town.say(&ann, "first")["id"].as_str().expect("an id").to_owned();
        let path = format!("/channels/{}/messages/{id}", town.channel);
        let content = json!({ "content": format!("edited {round}") });
        let embeds = json!({ "embeds": [{ "title": "added" }] });
        std::thread::scope(|scope| {
            for body in [content, embeds] {
                let (ann, path) = (ann.clone(), path.clone());
                scope.spawn(move || ann.done("PATCH", &path, Some(body)));
            }
        });
        let read = ann.done("GET", &path, None);
        assert_eq!(read["content"], format!("edited {round}"), "{read}");
        assert_eq!(read["embeds"][0]["title"], "added", "{read}");
    }
}

#[test]
fn a_message_that_is_sent_again_with_its_nonce_is_written_once() {
    let town = Town::found();
    let server = town.serve(2);
    let ann = town.ann(&server);
    for round in 0..50 {
        let path = format!("/channels/{}/messages", town.channel);
        let body = json!({ "content": "once", "nonce": format!("round {round}"), "enforce_nonce": true });
        let ids: Vec<Value> = std::thread::scope(|scope| {
            let send = || scope.spawn(|| ann.clone().done("POST", &path, Some(body.clone()))["id"].clone());
            [send(), send(), send()].map(|sent| sent.join().expect("it is answered")).into()
        });
        assert!(ids.windows(2).all(|two| two[0] == two[1]), "{ids:?}");
    }
    let list = ann.done("GET", &format!("/channels/{}/messages?limit=100", town.channel), None);
    assert_eq!(list.as_array().map(Vec::len), Some(50));
    let pins = ann.done("GET", &format!("/channels/{}/messages/pins", town.channel), None);
    assert_eq!(pins, json!({ "items": [], "has_more": false }));
}

#[test]
fn root_is_a_page_that_answers_ranges_and_conditions() {
    let town = Town::found();
    let server = town.serve(1);
    let get = |headers: &str| ask(server.address, "GET", "/", headers, "");
    let (status, head, page) = get("");
    assert_eq!((status, header(&head, "content-type")), (200, Some("text/html; charset=utf-8")), "{head}");
    assert_eq!(header(&head, "x-content-type-options"), Some("nosniff"));
    assert!(header(&head, "content-security-policy").is_some_and(|rule| rule.contains("default-src 'none'")), "{head}");
    assert!(page.contains(&format!("ws://{}", server.address)), "{page}");
    let length = page.len();
    assert_eq!(header(&head, "content-length"), Some(&*length.to_string()));

    let (status, of_head, nothing) = ask(server.address, "HEAD", "/", "", "");
    assert_eq!((status, nothing.as_str()), (200, ""));
    assert_eq!(header(&of_head, "content-length"), header(&head, "content-length"));

    let (status, head, part) = get("Range: bytes=2-8\r\n");
    assert_eq!((status, part.as_str()), (206, &page[2..9]));
    assert_eq!(header(&head, "content-range"), Some(&*format!("bytes 2-8/{length}")));
    let (status, head, nothing) = get(&format!("Range: bytes={length}-\r\n"));
    assert_eq!((status, nothing.as_str()), (416, ""));
    assert_eq!(header(&head, "content-range"), Some(&*format!("bytes */{length}")));
    let etag = header(&head, "etag").expect("an etag");
    assert_eq!(get(&format!("If-None-Match: {etag}\r\n")).0, 304);
    assert_eq!(get(&format!("Range: bytes=0-1\r\nIf-Range: {etag}\r\n")).0, 206);
    assert_eq!(get("Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").0, 200);

    let (status, head, robots) = ask(server.address, "GET", "/robots.txt", "", "");
    assert_eq!((status, header(&head, "content-type")), (200, Some("text/plain; charset=utf-8")));
    assert!(robots.contains("Disallow"), "{robots}");
}

#[test]
fn bad_upgrade_is_answered_with_426() {
    let town = Town::found();
    let server = town.serve(1);
    for (path, headers) in
        [("/?v=10&encoding=json", ""), ("/", "Sec-WebSocket-Version: 13\r\n"), ("/", "Upgrade: h2c\r\n")]
    {
        let (status, head, _) = ask(server.address, "GET", path, headers, "");
        assert_eq!((status, header(&head, "upgrade")), (426, Some("websocket")), "{path} {headers}");
    }
}

#[test]
fn wrong_method_is_answered_with_the_allowed_ones() {
    let town = Town::found();
    let server = town.serve(1);
    for (method, path, allowed) in [
        ("POST", "/", "get, head, options"),
        ("PUT", "/api/v10/users/@me", "get, head, options"),
        ("PUT", "/api/v10/channels/1/messages/2", "get, head, patch, delete, options"),
    ] {
        let (status, head, body) = ask(server.address, method, path, "", "{}");
        assert_eq!((status, header(&head, "allow")), (405, Some(allowed)), "{method} {path}");
        assert!(body.contains("405: Method Not Allowed"), "{body}");
    }
    let (_, of_get, _) = ask(server.address, "GET", "/api/v10/gateway", "", "");
    let (status, of_head, nothing) = ask(server.address, "HEAD", "/api/v10/gateway", "", "");
    assert_eq!((status, nothing.as_str()), (200, ""));
    assert_eq!(header(&of_head, "content-length"), header(&of_get, "content-length"));
    let (status, _, body) = ask(server.address, "GET", "/api/v10/nonsense", "", "");
    assert_eq!((status, body.contains("404: Not Found")), (404, true), "{body}");
}

#[test]
fn multipart_takes_fields_in_any_order_and_refuses_files() {
    let town = Town::found();
    let server = town.serve(1);
    let messages = format!("/api/v10/channels/{}/messages", town.channel);
    let post = |path: &str, parts: &[String]| {
        let headers = format!("Authorization: {}\r\nContent-Type: multipart/form-data; boundary=x\r\n", town.ann.1);
        let (status, _, body) = ask(server.address, "POST", path, &headers, &format!("{}--x--\r\n", parts.concat()));
        (status, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let part = |head: &str, text: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n");
    let payload = part("name=\"payload_json\"", r#"{"content":"by payload"}"#);
    let (status, message) = post(&messages, &[part("name=\"tts\"", "false"), payload.clone()]);
    assert_eq!((status, &message["content"]), (200, &json!("by payload")), "{message}");
    let file = |length: usize| part("name=\"files[0]\"; filename=\"a.txt\"", &"x".repeat(length));
    let (status, refusal) = post(&messages, &[file(10), payload.clone()]);
    assert_eq!(status, 400, "{refusal}");
    assert_eq!(refusal["errors"]["files[0]"]["_errors"][0]["code"], "ATTACHMENTS_UNSUPPORTED", "{refusal}");
    // The rest of a refused body is read, so that the client reads the refusal.
    let (status, refusal) = post(&messages, &[file(3 * 1024 * 1024), payload]);
    assert_eq!((status, &refusal["code"]), (413, &json!(40_005)), "{refusal}");
    let (status, refusal) = post("/api/v10/guilds", &[part("name=\"name\"", "guild")]);
    assert_eq!((status, &refusal["errors"]["_errors"][0]["code"]), (400, &json!("CONTENT_TYPE_INVALID")), "{refusal}");
}

#[test]
fn pins_are_made_listed_in_pages_and_taken_away() {
    let town = Town::found();
    let server = town.serve(2);
    let (ann, bot) = (town.ann(&server), town.bot(&server));
    let channel = format!("/channels/{}", town.channel);
    let id = |message: &Value| message["id"].as_str().expect("messages have ids").to_owned();
    let messages: Vec<String> = (0..3).map(|number| id(&town.say(&ann, &format!("message {number}")))).collect();
    for (message, path) in messages.iter().zip(["pins", "messages/pins", "messages/pins"]) {
        assert_eq!(ann.call("PUT", &format!("{channel}/{path}/{message}"), None), (204, Value::Null));
    }
    let again = format!("{channel}/messages/pins/{}", messages[0]);
    assert_eq!(ann.call("PUT", &again, None).0, 204, "it is pinned");
    let (status, refusal) = bot.call("PUT", &again, None);
    assert_eq!((status, &refusal["code"]), (403, &json!(50_013)), "{refusal}");
    let (status, refusal) = ann.call("PUT", &format!("{channel}/pins/1"), None);
    assert_eq!((status, &refusal["code"]), (404, &json!(10_008)), "{refusal}");

    let listed = bot.done("GET", &format!("{channel}/pins"), None);
    let ids: Vec<String> = listed.as_array().expect("an array").iter().map(id).collect();
    assert_eq!(ids, messages.iter().rev().cloned().collect::<Vec<_>>(), "newest pin first");
    assert!(listed.as_array().expect("an array").iter().all(|message| message["pinned"] == true), "{listed}");
    let page = bot.done("GET", &format!("{channel}/messages/pins?limit=2"), None);
    assert_eq!((page["items"].as_array().map(Vec::len), &page["has_more"]), (Some(2), &json!(true)), "{page}");
    assert_eq!(id(&page["items"][0]["message"]), messages[2]);
    let newest = page["items"][0]["pinned_at"].as_str().expect("a time");
    assert_eq!(ann.done("GET", &channel, None)["last_pin_timestamp"], newest);
    let before = page["items"][1]["pinned_at"].as_str().expect("a time").replace('+', "%2B");
    let rest = bot.done("GET", &format!("{channel}/messages/pins?limit=2&before={before}"), None);
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["has_more"]), (Some(1), &json!(false)), "{rest}");
    assert_eq!(id(&rest["items"][0]["message"]), messages[0]);
    assert_eq!(bot.call("GET", &format!("{channel}/messages/pins?limit=51"), None).1["code"], 50_035);
    assert_eq!(bot.call("GET", &format!("{channel}/messages/pins?before=soon"), None).1["code"], 50_035);

    // The notices of three pins lie above the messages.
    let history = ann.done("GET", &format!("{channel}/messages?limit=3"), None);
    for (notice, message) in history.as_array().expect("an array").iter().zip(messages.iter().rev()) {
        assert_eq!((&notice["type"], &notice["author"]["id"]), (&json!(6), &json!(town.ann.0)), "{notice}");
        assert_eq!(notice["message_reference"]["message_id"], *message, "{notice}");
    }
    let (status, refusal) = ann.call("PUT", &format!("{channel}/pins/{}", id(&history[0])), None);
    assert_eq!((status, &refusal["code"]), (403, &json!(50_021)), "{refusal}");

    assert_eq!(ann.call("DELETE", &format!("{channel}/pins/{}", messages[2]), None).0, 204);
    assert_eq!(ann.call("DELETE", &format!("{channel}/messages/pins/{}", messages[2]), None).0, 204, "not pinned");
    assert_eq!(ann.done("GET", &format!("{channel}/messages/{}", messages[2]), None)["pinned"], false);
    ann.done("DELETE", &format!("{channel}/messages/{}", messages[1]), None);
    let left = bot.done("GET", &format!("{channel}/pins"), None);
    assert_eq!(left.as_array().expect("an array").iter().map(id).collect::<Vec<_>>(), messages[..1]);
    // Kept, in the channel too.
    let last = bot.done("GET", &format!("{channel}/messages/pins"), None)["items"][0]["pinned_at"].clone();
    drop(server);
    let server = town.serve(1);
    assert_eq!(town.bot(&server).done("GET", &channel, None)["last_pin_timestamp"], last);
}
