//! Admission: whoever comes faster than the server may take them waits, and gets in.

use guildhall_conformance::server::Server;
use guildhall_conformance::socket::Socket;
use guildhall_conformance::town::Town;

const CONTENT: u64 = 1 | 1 << 9 | 1 << 15;

/// A counter as the table at the end has it.
fn counter(table: &str, name: &str) -> u64 {
    let number = table.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
    number.and_then(|number| number.replace(',', "").parse().ok()).unwrap_or_else(|| panic!("no {name} in {table}"))
}

#[test]
fn who_comes_too_fast_waits_in_line_and_is_let_in() {
    let town = Town::found();
    let flags = ["--rate-limits", "false", "--identify-rate", "2", "--resume-rate", "2"];
    let server = Server::start(town.data.path(), 1, &flags);
    let gateway = town.bot(&server).done("GET", "/gateway/bot", None);
    assert_eq!(gateway["session_start_limit"]["max_concurrency"], 10, "as many as it admits in 5 s");
    let mut sockets: Vec<Socket> = (0..6).map(|_| Socket::greeted(server.address)).collect();
    for socket in &mut sockets {
        socket.identify(&town.bot.1, CONTENT);
    }
    let sessions: Vec<String> = sockets
        .iter_mut()
        .map(|socket| {
            let ready = socket.event("READY");
            socket.event("GUILD_CREATE");
            ready["d"]["session_id"].as_str().expect("a session id").to_owned()
        })
        .collect();
    drop(sockets);
    let ann = town.ann(&server);
    town.say(&ann, "while they are away");
    let mut back: Vec<Socket> = (0..6).map(|_| Socket::greeted(server.address)).collect();
    for (socket, session) in back.iter_mut().zip(&sessions) {
        socket.resume(&town.bot.1, session, 2);
    }
    for socket in &mut back {
        assert_eq!(socket.payload()["d"]["content"], "while they are away");
        assert_eq!(socket.payload()["t"], "RESUMED");
    }
    let ended = server.stop();
    assert!(counter(&ended.stdout, "admissions_delayed") >= 6, "{}", ended.stdout);
    assert_eq!(counter(&ended.stdout, "admissions_refused"), 0, "{}", ended.stdout);
    assert_eq!(counter(&ended.stdout, "resumes_refused"), 0, "{}", ended.stdout);
}

/// Who is not let in within five seconds is sent away, a little later and not all at the same time, and may come again.
#[test]
fn who_waits_too_long_gets_invalid_session_and_may_come_again() {
    let town = Town::found();
    let server = Server::start(town.data.path(), 1, &["--rate-limits", "false", "--identify-rate", "1"]);
    let mut sockets: Vec<Socket> = (0..12).map(|_| Socket::greeted(server.address)).collect();
    for socket in &mut sockets {
        socket.identify(&town.bot.1, CONTENT);
    }
    let mut refused = Vec::new();
    for mut socket in sockets {
        let first = socket.payload();
        if first["op"] == 9 {
            assert_eq!(first["d"], false, "there is no session to go on with");
            refused.push(socket);
        } else {
            assert_eq!(first["t"], "READY", "{first}");
        }
    }
    // One at once, and one a second for five seconds; a machine that is busy lets in a few more before it looks at who
    // has waited too long.
    assert!((3..=7).contains(&refused.len()), "{} were sent away", refused.len());
    let mut again = refused.pop().expect("somebody");
    again.identify(&town.bot.1, CONTENT);
    assert_eq!(again.payload()["t"], "READY");
    let ended = server.stop();
    assert_eq!(counter(&ended.stdout, "admissions_refused"), refused.len() as u64 + 1, "{}", ended.stdout);
}

/// The same when they resume: the session stays.
#[test]
fn who_waits_too_long_to_resume_may_try_again() {
    let town = Town::found();
    let server = Server::start(town.data.path(), 1, &["--rate-limits", "false", "--resume-rate", "1"]);
    let sessions: Vec<String> = (0..12)
        .map(|_| {
            let (mut socket, ready) = Socket::identified(server.address, &town.bot.1, CONTENT);
            socket.event("GUILD_CREATE");
            ready["d"]["session_id"].as_str().expect("a session id").to_owned()
        })
        .collect();
    let mut back: Vec<Socket> = sessions.iter().map(|_| Socket::greeted(server.address)).collect();
    for (socket, session) in back.iter_mut().zip(&sessions) {
        socket.resume(&town.bot.1, session, 2);
    }
    let mut refused = Vec::new();
    for (socket, session) in back.iter_mut().zip(&sessions) {
        let first = socket.payload();
        if first["op"] == 9 {
            assert_eq!(first["d"], true, "the session may be resumed");
            refused.push(session);
        } else {
            assert_eq!(first["t"], "RESUMED", "{first}");
        }
    }
    assert!((3..=7).contains(&refused.len()), "{} were sent away", refused.len());
    let mut again = Socket::greeted(server.address);
    again.resume(&town.bot.1, refused[0], 2);
    assert_eq!(again.payload()["t"], "RESUMED");
    let ended = server.stop();
    assert_eq!(counter(&ended.stdout, "admissions_refused"), refused.len() as u64, "{}", ended.stdout);
}

/// Before its turn has come a client has no session: a second identify is one too many, and a second resume none.
#[test]
fn who_waits_in_line_does_not_identify_again() {
    let town = Town::found();
    let server = Server::start(town.data.path(), 1, &["--rate-limits", "false", "--identify-rate", "1"]);
    let (_first, _) = Socket::identified(server.address, &town.bot.1, CONTENT);
    let mut impatient = Socket::greeted(server.address);
    impatient.identify(&town.bot.1, CONTENT);
    impatient.identify(&town.bot.1, CONTENT);
    assert_eq!(impatient.closed(), 4005);
    let (mut next, _) = Socket::identified(server.address, &town.bot.1, CONTENT);
    next.event("GUILD_CREATE");
    assert_eq!(server.stop().code, Some(0));
}
