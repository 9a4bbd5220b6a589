//! Power failures: the server is killed under load, again and again; what it acknowledged is there, once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use guildhall_conformance::rest::Rest;
use guildhall_conformance::town::Town;
use serde_json::{Value, json};

/// Times that the server is killed.
const KILLS: usize = 6;
/// Writers at a time.
const WRITERS: usize = 8;

#[test]
fn whatever_was_acknowledged_is_there_once_after_a_power_failure() {
    let town = Town::found();
    let acknowledged: Mutex<BTreeSet<(String, String)>> = Mutex::default();
    let number = AtomicUsize::new(0);
    for kill in 0..KILLS {
        // Another number of cores each time.
        let mut server = town.serve([2, 5, 1][kill % 3]);
        let address = server.address;
        let stop = AtomicBool::new(false);
        let before = acknowledged.lock().expect("no writer panics").len();
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let rest = Rest::new(address, &town.ann.1);
                    while !stop.load(Ordering::Relaxed) {
                        let content = format!("number {}", number.fetch_add(1, Ordering::Relaxed));
                        let body = json!({ "content": content });
                        let path = format!("/channels/{}/messages", town.channel);
                        match rest.try_call("POST", &path, Some(body)) {
                            Ok((200, message)) => {
                                let id = message["id"].as_str().expect("an id").to_owned();
                                acknowledged.lock().expect("no writer panics").insert((id, content));
                            }
                            Ok((status, answer)) => panic!("{status} {answer}"),
                            // Killed: nothing was promised about this one.
                            Err(_) => return,
                        }
                    }
                });
            }
            // At another moment each time.
            std::thread::sleep(Duration::from_millis(250 + 61 * kill as u64));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        let after = acknowledged.lock().expect("no writer panics").len();
        assert!(after > before + WRITERS, "there was load when it was killed");

        let server = town.serve([1, 2, 5][kill % 3]);
        let ann = town.ann(&server);
        let mut found = Vec::new();
        let mut last = "0".to_owned();
        loop {
            let path = format!("/channels/{}/messages?limit=100&after={last}", town.channel);
            let page = ann.done("GET", &path, None);
            let page: Vec<&Value> = page.as_array().expect("a list").iter().rev().collect();
            let Some(newest) = page.last() else { break };
            last = newest["id"].as_str().expect("an id").to_owned();
            found.extend(page.iter().map(|message| {
                let text = |key: &str| message[key].as_str().expect("text").to_owned();
                (text("id"), text("content"))
            }));
        }
        let all: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(all.len(), found.len(), "no message is there twice");
        let contents: BTreeSet<_> = found.iter().map(|(_, content)| content).collect();
        assert_eq!(contents.len(), found.len(), "and none under two ids");
        for message in acknowledged.lock().expect("no writer panics").iter() {
            assert!(all.contains(message), "{message:?} was acknowledged and is gone after kill {kill}");
        }
        assert_eq!(server.stop().code, Some(0));
    }
}
