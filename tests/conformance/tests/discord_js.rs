//! discord.js at its published version, uncompressed.
//!
//! `GUILDHALL_NODE_MODULES` names the folder that its packages are in; `scripts/test` installs them
//! (`npm ci` with `clients/package.json`).

use std::path::Path;
use std::process::Command;

use guildhall_conformance::day;

fn live_through_a_day(cores: usize) {
    let modules = std::env::var_os("GUILDHALL_NODE_MODULES").expect("GUILDHALL_NODE_MODULES is set: run scripts/test");
    day::live_through(cores, |_, _, proxy| {
        let mut node = Command::new("node");
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/discord_js.mjs"))
            // REST and gateway both: the server names the gateway after the host that it was asked by.
            .arg(format!("http://{}", proxy.address))
            .env("GUILDHALL_NODE_MODULES", modules);
        node
    });
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
