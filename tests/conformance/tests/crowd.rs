//! A guild of thousands, asked about its members by discord.py and discord.js.
//!
//! `GUILDHALL_PYTHON` and `GUILDHALL_NODE_MODULES` as for `discord_py.rs` and `discord_js.rs`.

use std::path::Path;
use std::process::Command;

use guildhall_conformance::server::{Server, admin};
use guildhall_conformance::town::Town;

/// Whom a town has of itself, and some more: several chunks, the last of which is not full.
const MEMBERS: usize = 2 + 3_500;

fn look_around(client: impl FnOnce(&Server) -> Command) {
    let town = Town::found();
    let tokens = town.data.path().join("tokens.txt");
    let tokens = tokens.to_str().expect("a path of ours");
    admin(town.data.path(), &["guild", "fill", &town.guild, "--members", "3500", "--tokens", tokens]);
    let server = town.serve(2);
    let output = client(&server)
        .args([&town.bot.1, &town.guild, &MEMBERS.to_string()])
        .output()
        .expect("the client's language is installed");
    let words = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.trim() == "DONE", "{words}{complaints}");
    server.stop();
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

#[test]
fn discord_py_finds_everybody_some_by_name_and_some_by_id() {
    let python = std::env::var_os("GUILDHALL_PYTHON").expect("GUILDHALL_PYTHON is set: run scripts/test");
    look_around(|server| {
        let mut python = Command::new(python);
        python.arg(script("crowd_py.py"));
        python.arg(format!("http://{}/api/v10", server.address)).arg(format!("ws://{}/", server.address));
        python
    });
}

#[test]
fn discord_js_finds_everybody_some_by_name_and_some_by_id() {
    let modules = std::env::var_os("GUILDHALL_NODE_MODULES").expect("GUILDHALL_NODE_MODULES is set: run scripts/test");
    look_around(|server| {
        let mut node = Command::new("node");
        node.arg(script("crowd_js.mjs")).arg(format!("http://{}", server.address));
        node.env("GUILDHALL_NODE_MODULES", modules);
        node
    });
}
