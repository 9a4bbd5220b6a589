//! discord.js at its published version, uncompressed.
//!
//! `GUILDHALL_NODE_MODULES` names the folder that its packages are in; `scripts/test` installs them
//! (`npm ci` with `clients/package.json`).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use guildhall_conformance::proxy::Proxy;
use guildhall_conformance::town::Town;
use serde_json::json;

fn live_through_a_day(cores: usize) {
    let modules = std::env::var_os("GUILDHALL_NODE_MODULES").expect("GUILDHALL_NODE_MODULES is set: run scripts/test");
    let town = Town::found();
    let server = town.serve(cores);
    let proxy = Proxy::before(server.address);
    let ann = town.ann(&server);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/discord_js.mjs");
    let mut bot = Command::new("node")
        .arg(script)
        // REST and gateway both: the server names the gateway after the host that it was asked by.
        .arg(format!("http://{}", proxy.address))
        .args([&town.bot.1, &town.guild, &town.channel, &town.ann.0])
        .env("GUILDHALL_NODE_MODULES", modules)
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node runs");
    let mut words = Vec::new();
    for word in BufReader::new(bot.stdout.take().expect("it was piped")).lines() {
        let word = word.expect("it is text");
        match word.as_str() {
            "READY" => {
                town.say(&ann, "from ann");
            }
            "CUT" => {
                proxy.cut();
                for number in 0..40 {
                    town.say(&ann, &format!("missed {number}"));
                }
            }
            "PROMOTE" => {
                let staff = json!({ "name": "staff", "permissions": "8" });
                let staff = ann.done("POST", &format!("/guilds/{}/roles", town.guild), Some(staff));
                let staff = staff["id"].as_str().expect("an id");
                ann.done("PUT", &format!("/guilds/{}/members/{}/roles/{staff}", town.guild, town.bot.0), None);
            }
            _ => {}
        }
        words.push(word);
    }
    let status = bot.wait().expect("it is our child");
    assert!(status.success(), "discord.js failed after {words:?}");
    assert_eq!(words, ["READY", "CUT", "PROMOTE", "DONE"]);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn discord_js_lives_through_a_day_on_one_shard() {
    live_through_a_day(1);
}

#[test]
fn discord_js_lives_through_a_day_on_two_shards() {
    live_through_a_day(2);
}

#[test]
fn discord_js_lives_through_a_day_on_five_shards() {
    live_through_a_day(5);
}
