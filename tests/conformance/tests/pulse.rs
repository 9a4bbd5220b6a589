//! Pulses: the operator's way to see what one write to everybody takes. Clients notice nothing.

use guildhall_conformance::server::{Server, admin};
use guildhall_conformance::socket::Socket;
use guildhall_conformance::town::Town;
use serde_json::json;
use tungstenite::Message;

const CONTENT: u64 = 1 | 1 << 9 | 1 << 15;

#[test]
fn a_pulse_reaches_every_connection_between_two_events() {
    let town = Town::found();
    for (cores, tables) in [(1, "shared"), (3, "private")] {
        let server = Server::start(town.data.path(), cores, &["--rate-limits", "false", "--descriptor-tables", tables]);
        let ann = town.ann(&server);
        let mut sockets = Vec::new();
        for compress in ["", "&compress=zlib-stream", "&compress=zstd-stream"] {
            for _ in 0..4 {
                let mut socket = Socket::connect(server.address, &format!("/?v=10&encoding=json{compress}"));
                assert_eq!(socket.payload()["op"], 10);
                socket.identify(&town.bot.1, CONTENT);
                socket.event("GUILD_CREATE");
                sockets.push(socket);
            }
        }
        // A stranger who has not identified is a connection too.
        let mut stranger = Socket::greeted(server.address);
        for turn in 0..3 {
            let paced = if turn == 1 { &["--paced"][..] } else { &[] };
            let words = [&["pulse", "--bytes", "700", "--rounds", "2"], paced].concat();
            let pulse = admin(town.data.path(), &words);
            assert_eq!((&pulse["bytes"], &pulse["frames"]), (&json!(700), &json!(6)));
            for round in pulse["rounds"].as_array().expect("rounds") {
                let told = [&round["written"], &round["skipped"], &round["cut_short"]];
                assert_eq!(told, [&json!(13), &json!(0), &json!(0)]);
                assert!(round["wall_ms"].as_f64() > Some(0.0) && round["cpu_ms"].as_f64() > Some(0.0));
            }
            town.say(&ann, "after a pulse");
            for socket in &mut sockets {
                // `hear` skips pongs, and nothing else.
                let message = socket.payload();
                assert_eq!((&message["t"], &message["s"]), (&json!("MESSAGE_CREATE"), &json!(3 + turn)));
            }
        }
        let mut pongs = 0;
        stranger.send(json!({ "op": 1, "d": null }));
        loop {
            match stranger.stream.read().expect("it is open") {
                Message::Pong(bytes) => pongs += bytes.len() + 2,
                Message::Text(text) => {
                    assert!(text.contains("\"op\":11"), "{text}");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pongs, 3 * 2 * 700);
        assert_eq!(server.stop().code, Some(0));
    }
}

#[test]
fn who_does_not_read_is_left_out_of_a_pulse_and_gets_whole_frames() {
    let town = Town::found();
    let server = town.serve(1);
    let mut socket = Socket::greeted(server.address);
    let mut bytes = 0;
    // Until its socket is full: then the rest of a pulse waits for it, and the next ones leave it out.
    loop {
        let pulse = admin(town.data.path(), &["pulse", "--bytes", "65536", "--rounds", "16"]);
        let rounds = pulse["rounds"].as_array().expect("rounds");
        bytes += rounds.iter().filter(|round| round["skipped"] == 0).count() * 65_536;
        if rounds.iter().any(|round| round["skipped"] == 1) {
            break;
        }
    }
    socket.send(json!({ "op": 1, "d": null }));
    let mut came = 0;
    loop {
        match socket.stream.read().expect("every frame is whole") {
            Message::Pong(bytes) => came += bytes.len() + 2,
            Message::Text(text) => {
                assert!(text.contains("\"op\":11"), "{text}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came, bytes);
}
