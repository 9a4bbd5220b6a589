//! One day in the life of a script: it prints a word when it wants something to happen, and the town does it.
//!
//! `LOOK`: Ann, who was idle, is not to be disturbed. `SHOWN`: she sees the bot idle and at chess, and leaves. `READY`:
//! the operator has a pulse written, Ann writes. `CUT`: the proxy cuts all connections, and Ann writes [`MISSED`]
//! messages meanwhile. `PROMOTE`: Ann makes the bot an administrator. `DONE`: it was a good day.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::proxy::Proxy;
use crate::server::{Server, admin};
use crate::socket::Socket;
use crate::town::Town;

/// Messages written while the client is cut off.
pub const MISSED: usize = 40;

/// Founds a town on so many cores and has a script live there; `script` is told the town, the server and the proxy
/// before it.
pub fn live_through(cores: usize, script: impl FnOnce(&Town, &Server, &Proxy) -> Command) {
    let town = Town::found();
    let server = town.serve(cores);
    let proxy = Proxy::before(server.address);
    let ann = town.ann(&server);
    // Ann is there, idle, before the bot comes.
    let mut here = Socket::greeted(server.address);
    let idle = json!({ "status": "idle", "activities": [{ "name": "gardening", "type": 0 }] });
    here.send(json!({ "op": 2, "d": { "token": town.ann.1, "properties": {}, "presence": idle } }));
    here.event("GUILD_CREATE");
    let mut bot = script(&town, &server, &proxy)
        .args([&town.bot.1, &town.guild, &town.channel, &town.ann.0])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter runs");
    let mut words = Vec::new();
    for word in BufReader::new(bot.stdout.take().expect("it was piped")).lines() {
        let word = word.expect("it is text");
        match word.as_str() {
            "LOOK" => {
                let update = json!({ "since": null, "activities": [], "status": "dnd", "afk": false });
                here.send(json!({ "op": 3, "d": update }));
            }
            "SHOWN" => {
                // The bot shows itself, too.
                let mut shown = here.event("PRESENCE_UPDATE")["d"].clone();
                while shown["status"] != "idle" {
                    shown = here.event("PRESENCE_UPDATE")["d"].clone();
                }
                assert_eq!(shown["user"]["id"], json!(town.bot.0));
                assert_eq!(shown["activities"][0]["name"], "chess", "{shown}");
                assert_eq!(shown["client_status"], json!({ "web": "idle" }));
                here.leave();
            }
            "READY" => {
                // A pulse is nothing to a client, whatever library it is.
                let pulse = admin(town.data.path(), &["pulse", "--bytes", "300", "--rounds", "3"]);
                assert_eq!(pulse["rounds"][2]["written"], 1, "{pulse}");
                town.say(&ann, "from ann");
            }
            "CUT" => {
                proxy.cut();
                for number in 0..MISSED {
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
    assert!(status.success(), "it failed after {words:?}");
    assert_eq!(words, ["LOOK", "SHOWN", "READY", "CUT", "PROMOTE", "DONE"]);
    assert_eq!(server.stop().code, Some(0));
}
