//! A small server with the guilds of a trace that does exactly one thing wrong: what it delivers is known, so the
//! checker can be checked.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use guildhall_bench::model::fixture::{Fixture, FixtureGuild, user_of};
use guildhall_bench::model::trace::Trace;
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// Bytes of a client's commands, which are short.
const READ_BUFFER: usize = 1_024;
/// How often a connection looks for something to send.
const TICK: Duration = Duration::from_millis(5);
/// Short enough that every run has heartbeats, long enough that a busy machine answers in time.
const BEAT_MS: u64 = 1_000;
/// The user of the pool's session 0; the others follow.
const FIRST_USER: u64 = 10_000;
/// The first message's id; the others follow.
const FIRST_MESSAGE: u64 = 1_000_000;
/// Whichever session is the first.
pub const ANYBODY: u32 = u32::MAX;
/// The owner's token.
const OWNER: &str = "owner";

/// What can go wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Nothing.
    None,
    /// The dispatch is numbered, but not sent.
    Drop,
    /// The dispatch is sent twice.
    Duplicate,
    /// The dispatch is sent after its successor.
    Reorder,
    /// The event is never dispatched; the numbers do not show it.
    Forget,
    /// The event is dispatched twice, with two numbers.
    Repeat,
    /// The event is dispatched after its successor of the same name, and numbered so.
    Swap,
    /// The session gets the event though it may not see it.
    Leak,
    /// No session gets the event, though it was accepted.
    Swallow,
    /// The request is refused, and no session gets the event.
    Refuse,
    /// All sessions are asked to reconnect before the event.
    AskToReconnect,
    /// Resumes are refused.
    NoResumes,
    /// The first message that the session is sent again when it resumes is left out.
    ForgetInReplay,
    /// The connection is closed before the event, as if the server were tired of it.
    HangUp,
    /// A session that looks at a member list gets the rows, and is never told of a change.
    OnlySync,
    /// The session is not told of the first change of the rows that it looks at.
    ForgetChange,
}

impl Mischief {
    /// Done to the event of this name that has this number (the first is 0), on this session of the pool.
    pub fn at(self, session: u32, event: &'static str, number: usize) -> Plot {
        Plot { mischief: self, session, event, number }
    }
}

/// What goes wrong, where and when.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    mischief: Mischief,
    session: u32,
    event: &'static str,
    number: usize,
}

impl Plot {
    fn is(&self, mischief: Mischief, event: &str, number: usize) -> bool {
        self.mischief == mischief && self.event == event && self.number == number
    }
}

#[derive(Debug)]
enum Say {
    Dispatch(String),
    Other(String),
    Pong(usize),
    HangUp,
}

#[derive(Debug)]
struct Session {
    /// Its number in the pool.
    who: u32,
    /// All dispatches ever; the first has number 1.
    log: Vec<String>,
    connection: Option<Sender<Say>>,
    /// A dispatch that waits for its successor.
    held: Option<Say>,
    /// An event that waits for its successor.
    swapped: Option<Value>,
    /// It has subscribed to the guilds.
    looks: bool,
    /// How it appears.
    status: String,
    /// What it sees of the member list, and what it was last told of that.
    windows: Vec<list::Window>,
}

#[derive(Debug)]
struct Channel {
    guild: usize,
    /// Who of the members may view it; `None`: all.
    viewers: Option<BTreeSet<u32>>,
}

#[derive(Debug, Default)]
struct Hall {
    sessions: Vec<Session>,
    /// By guild.
    members: Vec<BTreeSet<u32>>,
    /// By id.
    channels: BTreeMap<u64, Channel>,
    messages: u64,
    /// By event's name: how many there were.
    events: BTreeMap<&'static str, usize>,
    resumes: usize,
    left_out: usize,
    /// Who has not subscribed gets no messages.
    large: bool,
    /// A session that has not sent a heartbeat for so long is cut.
    patience: Option<Duration>,
    /// Raw loops fail.
    pulseless: bool,
    /// Something has changed in the member list.
    stale: bool,
    /// A change was kept from the plot's session.
    kept_back: bool,
}

/// The server. It lives as long as the test's process.
#[derive(Debug, Clone)]
pub struct Fake {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its guilds.
    pub fixture: Fixture,
    plot: Plot,
    hall: Arc<Mutex<Hall>>,
}

/// A request.
struct Asked<'a> {
    method: &'a str,
    /// What follows `/api/v10/`, at its slashes.
    path: Vec<&'a str>,
    /// The session whose token it has; `None` is the owner.
    who: Option<u32>,
    form: &'a Value,
}

type Answer = (&'static str, Value);

const DONE: &str = "204 No Content";
const OK: &str = "200 OK";

fn unknown() -> Answer {
    ("404 Not Found", json!({"message": "Unknown Message", "code": 10008}))
}

impl Fake {
    /// Opens a server with the guilds of a trace.
    pub fn open(trace: &Trace, plot: Plot) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut hall = Hall::default();
        let mut guilds = Vec::new();
        for (number, (guild, first)) in trace.guilds.iter().zip(trace.firsts()).enumerate() {
            hall.members.push((first..first + guild.sessions - guild.joining).collect());
            let ids: Vec<u64> = (0..guild.channels.len() as u64).map(|at| 1_000 * (number as u64 + 1) + at).collect();
            for (at, (id, channel)) in ids.iter().zip(&guild.channels).enumerate() {
                let viewers = channel.share.map(|_| (first..first + guild.viewers(at as u32)).collect());
                hall.channels.insert(*id, Channel { guild: number, viewers });
            }
            guilds.push(FixtureGuild { id: guild_id(number), channels: ids, invite: Some(format!("invite-{number}")) });
        }
        let tokens = Arc::new((0..trace.sessions()).map(token).collect());
        let fixture = Fixture { guilds, owner: OWNER.into(), tokens };
        let fake = Fake { address, fixture, plot, hall: Arc::new(Mutex::new(hall)) };
        let serving = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = serving.clone();
                std::thread::spawn(move || fake.serve(stream));
            }
        });
        fake
    }

    /// From now on the guilds are large: who has not subscribed gets no messages, and is notified of what is unread.
    /// Changes of the member list are sent together.
    pub fn grow(&self) {
        self.hall.lock().expect("no panic").large = true;
        let fake = self.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(4 * TICK);
                let mut hall = fake.hall.lock().expect("no panic");
                if std::mem::take(&mut hall.stale) {
                    fake.show(&mut hall);
                }
            }
        });
    }

    /// From now on a session that has not sent a heartbeat for so long is cut.
    pub fn lose_patience(&self, after: Duration) {
        self.hall.lock().expect("no panic").patience = Some(after);
    }

    /// From now on the raw loop passes over all sessions.
    pub fn stop_pulses(&self) {
        self.hall.lock().expect("no panic").pulseless = true;
    }

    /// How many sessions were resumed.
    pub fn resumes(&self) -> usize {
        self.hall.lock().expect("no panic").resumes
    }

    /// How many messages were left out of what was sent again.
    pub fn left_out(&self) -> usize {
        self.hall.lock().expect("no panic").left_out
    }

    fn serve(&self, stream: TcpStream) {
        let mut start = [0; 6];
        while let Ok(read @ 1..) = stream.peek(&mut start) {
            if read == start.len() {
                // The gateway is at the root.
                return if start == *b"GET /?" { self.serve_gateway(stream) } else { self.serve_http(stream) };
            }
            std::thread::sleep(TICK);
        }
    }

    // ── REST ──

    fn serve_http(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        loop {
            let (mut length, mut line, mut who) = (0, String::new(), None);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header).unwrap_or(0) == 0 {
                    return;
                }
                let (name, value) = header.split_once(':').unwrap_or((&header, ""));
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().expect("a number"),
                    "authorization" => who = user_of(value.trim()).map(|user| (user - FIRST_USER) as u32),
                    "\r\n" => break,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let form = serde_json::from_slice(&body).unwrap_or_default();
            let mut words = line.split(' ');
            let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
            let path = path.split('?').next().and_then(|path| path.strip_prefix("/api/v10/")).expect("an API's path");
            let asked = Asked { method, path: path.split('/').collect(), who, form: &form };
            let (status, body) = self.answer(&asked, &mut self.hall.lock().expect("no panic"));
            let body = if status == DONE { String::new() } else { body.to_string() };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, asked: &Asked<'_>, hall: &mut Hall) -> Answer {
        let user = asked.who.map(|who| user_id(who).to_string());
        match (asked.method, &asked.path[..]) {
            // No part of the wire: what the raw loop's command asks for.
            ("POST", ["pulse", bytes]) => {
                let bytes = bytes.parse().expect("a number");
                let now = guildhall_bench::base::clock::now_ns();
                let (written, skipped) =
                    if hall.pulseless { (0, hall.sessions.len()) } else { (hall.sessions.len(), 0) };
                if !hall.pulseless {
                    hall.sessions.iter().for_each(|session| session.say(Say::Pong(bytes)));
                }
                let round = json!({"written": written, "cut_short": 0, "skipped": skipped, "wall_ms": 1.0, "cpu_ms": 1.0, "ordered_at_ns": now});
                ("200 Pulse", json!({"frames": pongs(bytes).count(), "rounds": [round]}))
            }
            ("GET", ["channels", _, "messages"]) => (OK, json!([])),
            (method, ["channels", channel, rest @ ..]) => {
                let id: u64 = channel.parse().expect("an id");
                let Some(Channel { guild, viewers }) = hall.channels.get(&id) else { return unknown() };
                let (guild, viewers) = (*guild, viewers.clone());
                let members = hall.members[guild].clone();
                let sees = |who: u32| members.contains(&who) && viewers.as_ref().is_none_or(|all| all.contains(&who));
                let about = |more: Value| {
                    let mut body = json!({"channel_id": channel, "guild_id": guild_id(guild).to_string()});
                    for (name, value) in more.as_object().expect("an object") {
                        body[name] = value.clone();
                    }
                    body
                };
                if let ["messages", message, ..] = rest
                    && !(FIRST_MESSAGE..FIRST_MESSAGE + hall.messages).contains(&message.parse().expect("an id"))
                {
                    return unknown();
                }
                let content = asked.form["content"].clone();
                match (method, rest) {
                    ("POST", ["messages"]) => {
                        let id = (FIRST_MESSAGE + hall.messages).to_string();
                        hall.messages += 1;
                        let body = about(json!({"id": id, "content": content}));
                        if !hall.large {
                            return self.tell(hall, "MESSAGE_CREATE", sees, body, OK);
                        }
                        let looks: BTreeSet<u32> =
                            hall.sessions.iter().filter(|one| one.looks).map(|one| one.who).collect();
                        let marks = json!([{"id": channel, "last_message_id": id}]);
                        let unread = json!({"guild_id": guild_id(guild).to_string(), "channel_unread_updates": marks});
                        let answer =
                            self.tell(hall, "MESSAGE_CREATE", |who| sees(who) && looks.contains(&who), body, OK);
                        self.tell(hall, "CHANNEL_UNREAD_UPDATE", |who| sees(who) && !looks.contains(&who), unread, OK);
                        answer
                    }
                    ("PATCH", ["messages", id]) => {
                        self.tell(hall, "MESSAGE_UPDATE", sees, about(json!({"id": id, "content": content})), OK)
                    }
                    ("DELETE", ["messages", id]) => {
                        self.tell(hall, "MESSAGE_DELETE", sees, about(json!({"id": id})), DONE)
                    }
                    ("PUT", ["messages", id, "reactions", _, "@me"]) => {
                        let body = about(json!({"message_id": id, "user_id": user}));
                        self.tell(hall, "MESSAGE_REACTION_ADD", sees, body, DONE)
                    }
                    ("DELETE", ["messages", id, "reactions", _, "@me"]) => {
                        let body = about(json!({"message_id": id, "user_id": user}));
                        self.tell(hall, "MESSAGE_REACTION_REMOVE", sees, body, DONE)
                    }
                    ("POST", ["typing"]) => {
                        self.tell(hall, "TYPING_START", sees, about(json!({"user_id": user})), DONE)
                    }
                    ("DELETE", []) => {
                        hall.channels.remove(&id);
                        self.tell(hall, "CHANNEL_DELETE", sees, about(json!({"id": channel})), OK)
                    }
                    other => panic!("the client asks for {other:?}"),
                }
            }
            ("POST", ["guilds", guild, "channels"]) => {
                assert!(asked.who.is_none(), "only the owner makes channels");
                let number =
                    self.fixture.guilds.iter().position(|place| place.id.to_string() == **guild).expect("an id");
                let id = 900_000 + hall.channels.len() as u64;
                hall.channels.insert(id, Channel { guild: number, viewers: None });
                let members = hall.members[number].clone();
                let body = json!({"id": id.to_string(), "guild_id": guild, "topic": asked.form["topic"]});
                self.tell(hall, "CHANNEL_CREATE", |who| members.contains(&who), body, OK)
            }
            ("POST", ["invites", code]) => {
                let guild: usize =
                    code.strip_prefix("invite-").and_then(|guild| guild.parse().ok()).expect("an invite");
                let who = asked.who.expect("somebody");
                let before = hall.members[guild].clone();
                hall.members[guild].insert(who);
                hall.say_to(who, "GUILD_CREATE", &json!({"id": guild_id(guild).to_string()}));
                let body = json!({"user": {"id": user}, "guild_id": guild_id(guild).to_string()});
                self.tell(hall, "GUILD_MEMBER_ADD", |who| before.contains(&who), body, OK)
            }
            ("DELETE", ["users", "@me", "guilds", guild]) => {
                let number =
                    self.fixture.guilds.iter().position(|place| place.id.to_string() == **guild).expect("an id");
                let who = asked.who.expect("somebody");
                hall.members[number].remove(&who);
                hall.say_to(who, "GUILD_DELETE", &json!({"id": guild}));
                let after = hall.members[number].clone();
                let body = json!({"user": {"id": user}, "guild_id": guild});
                self.tell(hall, "GUILD_MEMBER_REMOVE", |who| after.contains(&who), body, DONE)
            }
            other => panic!("the client asks for {other:?}"),
        }
    }

    /// Dispatches an event to the sessions that see it, but for the mischief. The answer is `status` with the event in
    /// it.
    fn tell(
        &self,
        hall: &mut Hall,
        name: &'static str,
        sees: impl Fn(u32) -> bool,
        body: Value,
        status: &'static str,
    ) -> Answer {
        let count = hall.events.entry(name).or_default();
        let number = *count;
        *count += 1;
        let is = |mischief: Mischief| self.plot.is(mischief, name, number);
        if is(Mischief::Refuse) {
            return ("500 Oh", json!({"message": "no", "code": 0}));
        }
        for session in &mut hall.sessions {
            if is(Mischief::AskToReconnect) {
                session.say(Say::Other(payload(7, &Value::Null)));
                session.say(Say::HangUp);
                session.connection = None;
            }
            let victim = session.who == self.plot.session;
            if victim && is(Mischief::HangUp) {
                session.say(Say::HangUp);
                session.connection = None;
            }
            if is(Mischief::Swallow) || !(sees(session.who) || victim && is(Mischief::Leak)) {
                continue;
            }
            let bodies = match self.plot.mischief {
                Mischief::Forget if victim && is(Mischief::Forget) => vec![],
                Mischief::Repeat if victim && is(Mischief::Repeat) => vec![body.clone(); 2],
                Mischief::Swap if victim && is(Mischief::Swap) => {
                    session.swapped = Some(body.clone());
                    vec![]
                }
                Mischief::Swap if victim && name == self.plot.event => {
                    [Some(body.clone()), session.swapped.take()].into_iter().flatten().collect()
                }
                _ => vec![body.clone()],
            };
            let mischief = if victim && is(self.plot.mischief) { self.plot.mischief } else { Mischief::None };
            for body in bodies {
                let text = session.number(name, &body);
                session.deliver(text, mischief);
            }
        }
        (status, body)
    }

    // ── gateway ──

    fn serve_gateway(&self, stream: TcpStream) {
        // Each look zeroes the whole buffer.
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        // Who is cut in the middle of the upgrade comes back.
        let Ok(mut socket) = tungstenite::accept_with_config(stream, Some(config)) else { return };
        let (sender, receiver) = channel();
        let (large, patience, members) = {
            let hall = self.hall.lock().expect("no panic");
            (hall.large, hall.patience, hall.members.iter().map(BTreeSet::len).sum::<usize>())
        };
        // Hundreds of connections would do little but look.
        let tick = if members > 200 { 4 * TICK } else { TICK };
        socket.get_ref().set_read_timeout(Some(tick)).expect("an open socket");
        // Sessions of large guilds are many.
        let beat = if large && patience.is_none() { 20 * BEAT_MS } else { BEAT_MS };
        let beat = patience.map_or(beat, |patience| patience.as_millis() as u64 / 5);
        let hello = json!({"heartbeat_interval": beat});
        sender.send(Say::Other(payload(10, &hello))).expect("the receiver is here");
        // Whatever ends the connection ends this thread; the session stays.
        let _ = self.converse(&mut socket, &sender, &receiver, patience);
    }

    fn converse(
        &self,
        socket: &mut WebSocket<TcpStream>,
        sender: &Sender<Say>,
        receiver: &Receiver<Say>,
        patience: Option<Duration>,
    ) -> Result<(), tungstenite::Error> {
        let (mut who, mut heard) = (None, Instant::now());
        loop {
            if patience.is_some_and(|patience| heard.elapsed() > patience) {
                return Ok(()); // the socket is closed, and the session stays
            }
            for say in receiver.try_iter() {
                match say {
                    Say::Dispatch(text) | Say::Other(text) => socket.send(Message::text(text))?,
                    Say::Pong(bytes) => {
                        for length in pongs(bytes) {
                            socket.send(Message::Pong(vec![0; length].into()))?;
                        }
                    }
                    Say::HangUp => socket.close(None)?,
                }
            }
            match socket.read() {
                Ok(Message::Text(text)) => {
                    heard = Instant::now();
                    self.understand(&text, &mut who, sender);
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn understand(&self, text: &str, who: &mut Option<u32>, sender: &Sender<Say>) {
        let command: Value = serde_json::from_str(text).expect("JSON");
        let d = &command["d"];
        let mut hall = self.hall.lock().expect("no panic");
        let say = |text: String| sender.send(Say::Other(text)).expect("the receiver is here");
        match command["op"].as_u64() {
            Some(1) => say(payload(11, &Value::Null)),
            Some(2) => {
                let user = user_of(d["token"].as_str().expect("a token")).expect("a token that names its user");
                *who = Some((user - FIRST_USER) as u32);
                let who = who.expect("it was just set");
                hall.sessions.retain(|session| session.who != who);
                let connection = Some(sender.clone());
                hall.sessions.push(Session {
                    who,
                    log: Vec::new(),
                    connection,
                    held: None,
                    swapped: None,
                    looks: false,
                    status: "online".into(),
                    windows: Vec::new(),
                });
                let all = hall.members.iter().enumerate();
                let guilds: Vec<String> = all
                    .filter(|(_, members)| members.contains(&who))
                    .map(|(guild, _)| guild_id(guild).to_string())
                    .collect();
                let away: Vec<Value> = guilds.iter().map(|id| json!({"id": id, "unavailable": true})).collect();
                let ready = json!({
                    "session_id": session_id(who),
                    "resume_gateway_url": format!("ws://{}", self.address),
                    "user": {"id": user.to_string()},
                    "guilds": away,
                });
                hall.say_to(who, "READY", &ready);
                guilds.iter().for_each(|id| hall.say_to(who, "GUILD_CREATE", &json!({"id": id})));
            }
            Some(6) => {
                let left_out = hall.left_out;
                let known = hall.sessions.iter_mut().find(|session| d["session_id"] == session_id(session.who));
                let Some(session) = known.filter(|_| self.plot.mischief != Mischief::NoResumes) else {
                    return say(payload(9, &json!(false)));
                };
                *who = Some(session.who);
                session.connection = Some(sender.clone());
                let seen = d["seq"].as_u64().expect("a number") as usize;
                let mut missed = session.log[seen..].to_vec();
                let message = missed.iter().position(|text| text.contains("MESSAGE_CREATE"));
                let is_victim = session.who == self.plot.session || self.plot.session == ANYBODY && left_out == 0;
                let forgets = self.plot.mischief == Mischief::ForgetInReplay && is_victim;
                let left_out = message.filter(|_| forgets).map(|at| missed.remove(at));
                missed.into_iter().for_each(|text| session.say(Say::Dispatch(text)));
                let text = session.number("RESUMED", &json!({}));
                session.deliver(text, Mischief::None);
                hall.resumes += 1;
                hall.left_out += usize::from(left_out.is_some());
            }
            Some(3) => {
                let who = who.expect("it has identified");
                let mut sessions = hall.sessions.iter_mut();
                let session = sessions.find(|session| session.who == who).expect("a session");
                session.status = d["status"].as_str().expect("a status").to_owned();
                self.list_changed(&mut hall);
            }
            Some(37) => {
                let who = who.expect("it has identified");
                let subscriptions = d["subscriptions"].as_object().expect("guilds");
                let mut sessions = hall.sessions.iter_mut();
                let session = sessions.find(|session| session.who == who).expect("a session");
                for wants in subscriptions.values() {
                    session.looks |= wants["typing"] == true;
                    if let Some(channels) = wants["channels"].as_object() {
                        let ranges = channels.values().flat_map(|ranges| ranges.as_array().expect("ranges"));
                        session.windows = list::look(&session.windows, ranges);
                    }
                }
                self.list_changed(&mut hall);
            }
            op => panic!("the client says {op:?}"),
        }
    }

    /// What many have changed is sent together.
    fn list_changed(&self, hall: &mut Hall) {
        if hall.large {
            hall.stale = true;
        } else {
            self.show(hall);
        }
    }

    /// Tells all sessions what has changed in the rows that they see.
    fn show(&self, hall: &mut Hall) {
        let people: Vec<(u32, String)> = hall
            .sessions
            .iter()
            .filter(|one| one.status != "invisible")
            .map(|one| (one.who, one.status.clone()))
            .collect();
        let count = hall.members.first().map_or(0, BTreeSet::len);
        let looking = hall.sessions.iter().filter(|session| !session.windows.is_empty());
        let numbers: BTreeSet<u32> = looking.map(|session| session.who).collect();
        let rows = list::rows(&people);
        for who in numbers {
            let session = hall.sessions.iter_mut().find(|session| session.who == who).expect("a session");
            if let Some(mut update) = list::update(&mut session.windows, &rows, count) {
                let ops = update["ops"].as_array_mut().expect("ops");
                let all = ops.len();
                match self.plot.mischief {
                    Mischief::OnlySync => ops.retain(|op| op["op"] == "SYNC"),
                    Mischief::ForgetChange if who == self.plot.session && !hall.kept_back => {
                        ops.retain(|op| op["op"] == "SYNC");
                        hall.kept_back = ops.len() < all;
                    }
                    _ => {}
                }
                if !ops.is_empty() {
                    self.tell(hall, "GUILD_MEMBER_LIST_UPDATE", |other| other == who, update, OK);
                }
            }
        }
    }
}

impl Hall {
    /// Dispatches something to one session, if it is there.
    fn say_to(&mut self, who: u32, name: &str, body: &Value) {
        for session in self.sessions.iter_mut().filter(|session| session.who == who) {
            let text = session.number(name, body);
            session.deliver(text, Mischief::None);
        }
    }
}

impl Session {
    /// The next dispatch.
    fn number(&mut self, name: &str, body: &Value) -> String {
        let text = format!(r#"{{"t":"{name}","s":{},"op":0,"d":{body}}}"#, self.log.len() + 1);
        self.log.push(text.clone());
        text
    }

    fn deliver(&mut self, text: String, mischief: Mischief) {
        match mischief {
            Mischief::Drop => {}
            Mischief::Reorder => self.held = Some(Say::Dispatch(text)),
            Mischief::Duplicate => {
                self.say(Say::Dispatch(text.clone()));
                self.say(Say::Dispatch(text));
            }
            _ => {
                self.say(Say::Dispatch(text));
                if let Some(held) = self.held.take() {
                    self.say(held);
                }
            }
        }
    }

    fn say(&self, say: Say) {
        if let Some(connection) = &self.connection {
            // What is sent on a connection that is gone is lost; the log keeps it.
            let _ = connection.send(say);
        }
    }
}

/// The lengths of pongs that have so many bytes together: each has two bytes of head, and up to 125 more.
fn pongs(bytes: usize) -> impl Iterator<Item = usize> {
    let whole = bytes / 127;
    std::iter::repeat_n(125, whole).chain((bytes % 127 > 1).then(|| bytes % 127 - 2))
}

/// The id of a pool's session.
pub fn session_id(who: u32) -> String {
    format!("session-{who}")
}

fn guild_id(number: usize) -> u64 {
    100 + number as u64
}

fn user_id(who: u32) -> u64 {
    FIRST_USER + u64::from(who)
}

fn token(who: u32) -> String {
    format!("{}.x.y", STANDARD_NO_PAD.encode(user_id(who).to_string()))
}

fn payload(op: u64, d: &Value) -> String {
    format!(r#"{{"t":null,"s":null,"op":{op},"d":{d}}}"#)
}
