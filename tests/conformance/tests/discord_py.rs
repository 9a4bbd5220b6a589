//! discord.py at its published version, in a virtual environment of its own, over `zstd-stream` and over `zlib-stream`.
//!
//! `GUILDHALL_PYTHON` names the environment's interpreter; `scripts/test` makes it.

use std::path::Path;
use std::process::Command;

use guildhall_conformance::day;

fn live_through_a_day(cores: usize, compress: &str) {
    let python = std::env::var_os("GUILDHALL_PYTHON").expect("GUILDHALL_PYTHON is set: run scripts/test");
    day::live_through(cores, |_, server, proxy| {
        let mut python = Command::new(python);
        python
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/discord_py.py"))
            .arg(format!("http://{}/api/v10", server.address))
            .arg(format!("ws://{}/", proxy.address))
            .env("GUILDHALL_COMPRESS", compress);
        python
    });
}

#[test]
fn discord_py_lives_through_a_day_on_one_shard() {
    live_through_a_day(1, "zstd-stream");
}

#[test]
fn discord_py_lives_through_a_day_on_two_shards() {
    live_through_a_day(2, "zstd-stream");
}

#[test]
fn discord_py_lives_through_a_day_on_five_shards() {
    live_through_a_day(5, "zstd-stream");
}

#[test]
fn discord_py_without_zstandard_lives_through_a_day_on_one_shard() {
    live_through_a_day(1, "zlib-stream");
}

#[test]
fn discord_py_without_zstandard_lives_through_a_day_on_two_shards() {
    live_through_a_day(2, "zlib-stream");
}

#[test]
fn discord_py_without_zstandard_lives_through_a_day_on_five_shards() {
    live_through_a_day(5, "zlib-stream");
}
