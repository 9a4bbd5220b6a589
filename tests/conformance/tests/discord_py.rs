//! discord.py at its published version, in a virtual environment of its own, over `compress=zlib-stream`.
//!
//! `GUILDHALL_PYTHON` names the environment's interpreter; `scripts/test` makes it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use guildhall_conformance::proxy::Proxy;
use guildhall_conformance::town::Town;
use serde_json::json;

fn live_through_a_day(cores: usize) {
    let python = std::env::var_os("GUILDHALL_PYTHON").expect("GUILDHALL_PYTHON is set: run scripts/test");
    let town = Town::found();
    let server = town.serve(cores);
    let proxy = Proxy::before(server.address);
    let ann = town.ann(&server);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/discord_py.py");
    let mut bot = Command::new(python)
        .arg(script)
        .arg(format!("http://{}/api/v10", server.address))
        .arg(format!("ws://{}/", proxy.address))
        .args([&town.bot.1, &town.guild, &town.channel, &town.ann.0])
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
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
    assert!(status.success(), "discord.py failed after {words:?}");
    assert_eq!(words, ["READY", "CUT", "PROMOTE", "DONE"]);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn discord_py_lives_through_a_day_on_one_shard() {
    live_through_a_day(1);
}

#[test]
fn discord_py_lives_through_a_day_on_two_shards() {
    live_through_a_day(2);
}

#[test]
fn discord_py_lives_through_a_day_on_five_shards() {
    live_through_a_day(5);
}
