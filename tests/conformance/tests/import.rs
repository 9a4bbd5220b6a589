//! `guildhall admin import`: what it makes is what a server then serves.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use guildhall_conformance::rest::Rest;
use guildhall_conformance::server::{Server, admin, import};
use guildhall_conformance::socket::Socket;
use serde_json::{Value, json};
use tempfile::TempDir;

/// GUILDS, GUILD_MEMBERS, GUILD_MESSAGES and MESSAGE_CONTENT.
const INTENTS: u64 = 1 | 1 << 1 | 1 << 9 | 1 << 15;

/// Ten people. Alpha has 0 to 7: staff are 2, 3 and 4, vips 4 to 7. Beta has 7, 8 and its owner 9.
const PLAN: &str = r#"
{"users":{"count":6,"prefix":"user"}}
{"users":{"count":4,"prefix":"Late"}}

{"guild":{"name":"Alpha","owner":0,"roles":[{"name":"staff","permissions":"0"},{"name":"vip","permissions":"32","hoist":true}],"channels":[{"name":"den","type":0,"visible_to":[0]},{"name":"talk","type":2},{"name":"hall","type":0}],"members":[{"first":0,"count":6},{"first":2,"count":3,"roles":[0]},{"first":4,"count":4,"roles":[1]}]}}
{"guild":{"name":"Beta","owner":9,"channels":[{"name":"hall","type":0}],"members":[{"first":7,"count":2,"roles":[]}]}}
"#;

/// What an import that must succeed printed, and the tokens.
fn imported(data: &Path, lines: &str) -> (Vec<Value>, Vec<String>) {
    let tokens = data.with_extension("tokens");
    let output = import(data, lines, &["--tokens", tokens.to_str().expect("a path in UTF-8")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).expect("it is text");
    let told = told.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!(std::fs::metadata(&tokens).expect("written").permissions().mode() & 0o777, 0o600);
    let tokens = std::fs::read_to_string(&tokens).expect("written");
    (told, tokens.lines().map(str::to_owned).collect())
}

/// The sentence of an import that must not succeed, and what it told before.
fn refused(data: &Path, lines: &str) -> (String, Vec<Value>) {
    let output = import(data, lines, &[]);
    assert_eq!(output.status.code(), Some(1));
    let sentence = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    let told = String::from_utf8(output.stdout).expect("it is text");
    (sentence, told.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("text was expected, not {value}"))
}

fn serve(data: &Path, cores: usize) -> Server {
    Server::start(data, cores, &["--rate-limits", "false"])
}

#[test]
fn an_imported_plan_is_what_the_server_serves() {
    let scratch = TempDir::new().expect("a temporary directory");
    let data = scratch.path().join("data");
    let (told, tokens) = imported(&data, PLAN);
    let [alpha, beta, summary] = &told[..] else { panic!("two guilds and a summary: {told:?}") };
    assert_eq!((&summary["users"], &summary["guilds"], tokens.len()), (&json!(10), &json!(2), 10));
    assert!(summary["seconds"].is_f64(), "{summary}");
    assert_eq!((&alpha["name"], &alpha["members"]), (&json!("Alpha"), &json!(8)));
    assert_eq!((&beta["name"], &beta["members"]), (&json!("Beta"), &json!(3)));
    let (alpha_id, beta_id) = (text(&alpha["guild_id"]), text(&beta["guild_id"]));
    let (den, hall) = (text(&alpha["channels"][0]), text(&alpha["channels"][2]));
    let (staff, vip) = (&alpha["roles"][0], &alpha["roles"][1]);

    let server = serve(&data, 2);
    let people: Vec<Rest> = tokens.iter().map(|token| Rest::new(server.address, token)).collect();
    let me: Vec<Value> = people.iter().map(|one| one.done("GET", "/users/@me", None)).collect();
    let names: Vec<&str> = [0, 5, 6, 9].map(|user| text(&me[user as usize]["username"])).to_vec();
    assert_eq!(names, ["user-000000", "user-000005", "Late-000000", "Late-000003"]);

    // The guild, as anybody in it finds it.
    let guild = people[1].done("GET", &format!("/guilds/{alpha_id}?with_counts=true"), None);
    assert_eq!((&guild["approximate_member_count"], &guild["owner_id"]), (&json!(8), &me[0]["id"]));
    assert_eq!(guild["system_channel_id"], hall);
    let roles = guild["roles"].as_array().expect("roles");
    let shown = |role: &Value| (role["id"].clone(), role["name"].clone(), role["permissions"].clone());
    assert_eq!(shown(&roles[1]), (staff.clone(), json!("staff"), json!("0")));
    assert_eq!(shown(&roles[2]), (vip.clone(), json!("vip"), json!("32")));
    assert_eq!((roles.len(), &roles[1]["hoist"], &roles[2]["hoist"]), (3, &json!(false), &json!(true)));
    let usual = people[1].done("POST", "/guilds", Some(json!({ "name": "usual" })));
    assert_eq!(roles[0]["permissions"], usual["roles"][0]["permissions"], "@everyone as in any new guild");
    for user in [1, 2] {
        let channels = people[user].done("GET", &format!("/guilds/{alpha_id}/channels"), None);
        let channels: Vec<_> = channels.as_array().expect("channels").iter().collect();
        let listed: Vec<_> = channels.iter().map(|one| (text(&one["name"]), one["type"].as_u64())).collect();
        assert_eq!(listed, [("den", Some(0)), ("talk", Some(2)), ("hall", Some(0))]);
        assert_eq!(
            channels.iter().map(|one| &one["id"]).collect::<Vec<_>>(),
            [0, 1, 2].map(|at| &alpha["channels"][at])
        );
    }

    // Who has which role, and so sees what is hidden.
    for (user, expected) in
        [vec![], vec![], vec![staff], vec![staff], vec![staff, vip], vec![vip], vec![vip], vec![vip]]
            .into_iter()
            .enumerate()
    {
        let member = people[1].done("GET", &format!("/guilds/{alpha_id}/members/{}", text(&me[user]["id"])), None);
        assert_eq!(member["roles"], json!(expected), "user {user}");
        let sees = user == 0 || expected.contains(&staff);
        let status = if sees { 200 } else { 403 };
        assert_eq!(people[user].call("GET", &format!("/channels/{den}"), None).0, status, "user {user}");
        assert_eq!(people[user].call("GET", &format!("/channels/{hall}"), None).0, 200, "user {user}");
    }
    assert_eq!(people[1].call("GET", &format!("/guilds/{alpha_id}/members/{}", text(&me[8]["id"])), None).0, 404);
    assert_ne!(people[8].call("GET", &format!("/channels/{hall}"), None).0, 200, "not a member");

    // READY and GUILD_CREATE of somebody in both.
    let (mut seven, ready) = Socket::identified(server.address, &tokens[7], INTENTS);
    let mut listed: Vec<&str> =
        ready["d"]["guilds"].as_array().expect("guilds").iter().map(|one| text(&one["id"])).collect();
    listed.sort_unstable();
    let mut both = [alpha_id, beta_id];
    both.sort_unstable();
    assert_eq!(listed, both);
    for _ in both {
        let created = seven.event("GUILD_CREATE")["d"].clone();
        let expected = if created["id"] == alpha_id { 8 } else { 3 };
        assert_eq!(created["member_count"], expected, "{}", created["name"]);
    }

    // What is said in the hidden channel reaches those with the role alone.
    let (mut one, _) = Socket::identified(server.address, &tokens[1], INTENTS);
    let (mut two, _) = Socket::identified(server.address, &tokens[2], INTENTS);
    // The first is in the guild that it founded above as well.
    one.event("GUILD_CREATE");
    one.event("GUILD_CREATE");
    two.event("GUILD_CREATE");
    let say = |channel: &str, content: &str| {
        people[0].done("POST", &format!("/channels/{channel}/messages"), Some(json!({ "content": content })))
    };
    say(den, "hidden");
    say(hall, "public");
    assert_eq!(one.event("MESSAGE_CREATE")["d"]["content"], "public");
    assert_eq!(two.event("MESSAGE_CREATE")["d"]["content"], "hidden");
    assert_eq!(two.event("MESSAGE_CREATE")["d"]["content"], "public");

    // The invite lets others in, and leads to a channel that they see.
    let path = format!("/invites/{}", text(&alpha["invite"]));
    let shown = Rest::new(server.address, "").done("GET", &format!("{path}?with_counts=true"), None);
    assert_eq!((&shown["guild"]["id"], &shown["channel"]["id"]), (&json!(alpha_id), &json!(hall)));
    assert_eq!((&shown["expires_at"], &shown["approximate_member_count"]), (&Value::Null, &json!(8)));
    assert_eq!(shown["inviter"]["id"], me[0]["id"]);
    let (mut nine, _) = Socket::identified(server.address, &tokens[9], INTENTS);
    assert_eq!(nine.event("GUILD_CREATE")["d"]["id"], beta_id);
    people[9].done("POST", &path, Some(json!({})));
    let created = nine.event("GUILD_CREATE")["d"].clone();
    assert_eq!((&created["id"], &created["member_count"]), (&json!(alpha_id), &json!(9)));
    assert_eq!(one.event("GUILD_MEMBER_ADD")["d"]["user"]["id"], me[9]["id"]);
    assert_eq!(server.stop().code, Some(0));

    // With another number of cores it is still the same guild.
    let server = serve(&data, 5);
    let guild =
        Rest::new(server.address, &tokens[9]).done("GET", &format!("/guilds/{alpha_id}?with_counts=true"), None);
    assert_eq!(guild["approximate_member_count"], 9);
}

#[test]
fn a_second_import_goes_on_beside_what_is_there() {
    let scratch = TempDir::new().expect("a temporary directory");
    let data = scratch.path().join("data");
    let ann = admin(&data, &["user", "create", "User-000007"]);
    let (first, _) = imported(&data, PLAN);
    let (second, tokens) = imported(&data, PLAN);
    assert_ne!(first[0]["guild_id"], second[0]["guild_id"]);
    let filled = data.with_extension("filled");
    let fill = ["--members", "5", "--tokens", filled.to_str().expect("a path in UTF-8")];
    admin(&data, &[&["guild", "fill", text(&first[0]["guild_id"])], &fill[..]].concat());
    let server = serve(&data, 1);
    let rest = |token: &str| Rest::new(server.address, token);
    // 6 is the next number; 7 is somebody else's.
    let names: Vec<Value> =
        tokens[..2].iter().map(|token| rest(token).done("GET", "/users/@me", None)["username"].clone()).collect();
    assert_eq!(names, ["user-000006", "user-000008"]);
    let counts = |guild: &Value, token: &str| {
        let path = format!("/guilds/{}?with_counts=true", text(guild));
        rest(token).done("GET", &path, None)["approximate_member_count"].clone()
    };
    assert_eq!(counts(&second[0]["guild_id"], &tokens[0]), 8);
    let of_the_first = std::fs::read_to_string(&filled).expect("written");
    assert_eq!(counts(&first[0]["guild_id"], of_the_first.lines().next().expect("five")), 13);
    assert_eq!(rest(text(&ann["token"])).done("GET", "/users/@me/guilds", None), json!([]));

    let (sentence, told) = refused(&data, PLAN);
    assert!(
        sentence.contains("an import needs a stopped server") && sentence.contains("in use by process"),
        "{sentence}"
    );
    assert!(told.is_empty());
}

#[test]
fn a_wrong_line_is_named_and_what_stands_above_it_is_whole() {
    let scratch = TempDir::new().expect("a temporary directory");
    let data = scratch.path().join("data");
    let wrong = r#"{"guild":{"name":"Gamma","owner":3,"channels":[{"name":"hall","type":0}],"members":[{"first":3,"count":8}]}}"#;
    let (sentence, told) = refused(&data, &format!("{PLAN}{wrong}\n{wrong}"));
    let expected = "guildhall: -, line 7: guild.members[0]: 8 users from 3 on: only 10 are declared above\n";
    assert_eq!(sentence, expected);
    let [alpha, beta] = &told[..] else { panic!("two guilds stand above it: {told:?}") };

    let file = scratch.path().join("plan.jsonl");
    std::fs::write(&file, PLAN.replace("\"owner\":9", "\"owner\":9,\"colour\":1")).expect("it can be written");
    let tokens = scratch.path().join("tokens");
    let output = std::process::Command::new(guildhall_conformance::server::program())
        .args(["admin", "--data"])
        .arg(&data)
        .arg("import")
        .arg(&file)
        .arg("--tokens")
        .arg(&tokens)
        .args(["--tokens-for", "2"])
        .output()
        .expect("the program runs");
    let sentence = String::from_utf8(output.stderr).expect("it is text");
    assert!(sentence.contains("plan.jsonl, line 6: guild.colour: unknown field `colour`"), "{sentence}");
    assert!(String::from_utf8(output.stdout).expect("it is text").starts_with("channels "), "a line for people");

    // Each guild that was told of has its members, and nobody has one that was not.
    let owners: Vec<String> = [alpha, beta]
        .iter()
        .map(|guild| {
            let server = serve(&data, 1);
            let shown =
                Rest::new(server.address, "").done("GET", &format!("/invites/{}", text(&guild["invite"])), None);
            assert_eq!(server.stop().code, Some(0));
            text(&admin(&data, &["token", text(&shown["inviter"]["id"])])["token"]).to_owned()
        })
        .collect();
    let server = serve(&data, 2);
    for (guild, owner) in [alpha, beta].into_iter().zip(owners) {
        let (mut socket, ready) = Socket::identified(server.address, &owner, INTENTS);
        assert_eq!(ready["d"]["guilds"].as_array().map(Vec::len), Some(1));
        assert_eq!(socket.event("GUILD_CREATE")["d"]["member_count"], guild["members"]);
    }
}

#[test]
fn tokens_are_written_for_as_many_as_asked() {
    let scratch = TempDir::new().expect("a temporary directory");
    let data = scratch.path().join("data");
    let tokens = scratch.path().join("tokens");
    let path = tokens.to_str().expect("a path in UTF-8");
    let output = import(&data, PLAN, &["--tokens", path, "--tokens-for", "3"]);
    assert!(output.status.success());
    assert_eq!(std::fs::read_to_string(&tokens).expect("written").lines().count(), 3);
    assert_ne!(import(&data, PLAN, &["--tokens-for", "3"]).status.code(), Some(0), "no file to write them to");
    let output = import(&data, "", &["--tokens", scratch.path().join("no/folder").to_str().expect("a path")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the tokens to"));
}
