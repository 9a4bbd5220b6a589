//! A small gateway that does exactly one thing wrong: what it delivers is known, so the checker can be checked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// How often a connection looks for something to send.
const TICK: Duration = Duration::from_millis(5);

/// Short enough that every run has heartbeats, long enough that a busy machine answers in time.
const BEAT_MS: u64 = 1_000;

/// What goes wrong, at message `.1` on the session of the `.0`th token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Nothing.
    None,
    /// The dispatch is numbered, but not sent.
    Drop(usize, usize),
    /// The dispatch is sent twice.
    Duplicate(usize, usize),
    /// The dispatch is sent after its successor.
    Reorder(usize, usize),
    /// The message is never dispatched; the numbers do not show it.
    Forget(usize, usize),
    /// The message is dispatched twice, with two numbers.
    Repeat(usize, usize),
    /// The message is dispatched after its successor, and numbered so.
    Swap(usize, usize),
    /// The message is refused, and nobody gets it.
    Refuse(usize),
    /// Everybody is asked to reconnect before this message.
    AskToReconnect(usize),
    /// Resumes are refused.
    NoResumes,
}

#[derive(Debug)]
enum Say {
    Dispatch(String),
    Other(String),
    HangUp,
}

#[derive(Debug, Default)]
struct Session {
    token: String,
    /// All dispatches ever; the first has number 1.
    log: Vec<String>,
    connection: Option<Sender<Say>>,
    /// A dispatch that waits for its successor.
    held: Option<Say>,
}

#[derive(Debug, Default)]
struct Hall {
    sessions: Vec<Session>,
    posted: usize,
    /// Messages that wait to be swapped.
    swapped: Option<String>,
    resumes: usize,
}

/// The gateway. It lives as long as the test's process.
#[derive(Debug, Clone)]
pub struct Fake {
    /// Where it listens.
    pub address: SocketAddr,
    mischief: Mischief,
    hall: Arc<Mutex<Hall>>,
}

impl Fake {
    /// Opens a gateway.
    pub fn open(mischief: Mischief) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let fake = Fake { address, mischief, hall: Arc::default() };
        let serving = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = serving.clone();
                std::thread::spawn(move || fake.serve(stream));
            }
        });
        fake
    }

    /// How many sessions were resumed.
    pub fn resumes(&self) -> usize {
        self.hall.lock().expect("no panic").resumes
    }

    fn serve(&self, stream: TcpStream) {
        let mut first = [0; 1];
        if stream.peek(&mut first).is_ok_and(|read| read == 1) {
            if first[0] == b'P' { self.serve_http(stream) } else { self.serve_gateway(stream) }
        }
    }

    // ── REST ──

    fn serve_http(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let form: Value = serde_json::from_slice(&body).expect("JSON");
            let status = if self.post(form["content"].as_str().expect("content")) { "200 OK" } else { "500 Oh" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Dispatches a message to everybody. Says whether it was accepted.
    fn post(&self, content: &str) -> bool {
        let mut hall = self.hall.lock().expect("no panic");
        let number = hall.posted;
        hall.posted += 1;
        if self.mischief == Mischief::Refuse(number) {
            return false;
        }
        let Hall { sessions, swapped, .. } = &mut *hall;
        for session in sessions {
            if self.mischief == Mischief::AskToReconnect(number) {
                session.say(Say::Other(payload(7, &Value::Null)));
                session.say(Say::HangUp);
                session.connection = None;
            }
            let is = |victim: usize| session.token == format!("token-{victim}");
            let contents = match self.mischief {
                Mischief::Forget(victim, at) if is(victim) && number == at => vec![],
                Mischief::Repeat(victim, at) if is(victim) && number == at => vec![content.to_owned(); 2],
                Mischief::Swap(victim, at) if is(victim) && number == at => {
                    *swapped = Some(content.to_owned());
                    vec![]
                }
                Mischief::Swap(victim, at) if is(victim) && number == at + 1 => {
                    vec![content.to_owned(), swapped.take().expect("it was kept")]
                }
                _ => vec![content.to_owned()],
            };
            let mischief = match self.mischief {
                Mischief::Drop(victim, at) | Mischief::Duplicate(victim, at) | Mischief::Reorder(victim, at)
                    if is(victim) && number == at =>
                {
                    self.mischief
                }
                _ => Mischief::None,
            };
            for content in contents {
                let text = session.number("MESSAGE_CREATE", &json!({"id": number.to_string(), "content": content}));
                session.deliver(text, mischief);
            }
        }
        true
    }

    // ── gateway ──

    fn serve_gateway(&self, stream: TcpStream) {
        let mut socket = tungstenite::accept(stream).expect("a WebSocket client");
        socket.get_ref().set_read_timeout(Some(TICK)).expect("an open socket");
        let (sender, receiver) = channel();
        let hello = json!({"heartbeat_interval": BEAT_MS});
        sender.send(Say::Other(payload(10, &hello))).expect("the receiver is here");
        // Whatever ends the connection ends this thread; the session stays.
        let _ = self.converse(&mut socket, &sender, &receiver);
    }

    fn converse(
        &self,
        socket: &mut WebSocket<TcpStream>,
        sender: &Sender<Say>,
        receiver: &Receiver<Say>,
    ) -> Result<(), tungstenite::Error> {
        loop {
            for say in receiver.try_iter() {
                match say {
                    Say::Dispatch(text) | Say::Other(text) => socket.send(Message::text(text))?,
                    Say::HangUp => socket.close(None)?,
                }
            }
            match socket.read() {
                Ok(Message::Text(text)) => self.understand(&text, sender),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn understand(&self, text: &str, sender: &Sender<Say>) {
        let command: Value = serde_json::from_str(text).expect("JSON");
        let d = &command["d"];
        let token = d["token"].as_str().unwrap_or("").to_owned();
        let mut hall = self.hall.lock().expect("no panic");
        let say = |text: String| sender.send(Say::Other(text)).expect("the receiver is here");
        match command["op"].as_u64() {
            Some(1) => say(payload(11, &Value::Null)),
            Some(2) => {
                hall.sessions.retain(|session| session.token != token);
                let mut session = Session { token, connection: Some(sender.clone()), ..Session::default() };
                let ready = json!({
                    "session_id": format!("id-of-{}", session.token),
                    "resume_gateway_url": format!("ws://{}", self.address),
                    "guilds": [{"id": "1", "unavailable": true}],
                });
                for (name, body) in [("READY", ready), ("GUILD_CREATE", json!({"id": "1"}))] {
                    let text = session.number(name, &body);
                    session.deliver(text, Mischief::None);
                }
                hall.sessions.push(session);
            }
            Some(6) => {
                let known =
                    hall.sessions.iter_mut().find(|session| d["session_id"] == format!("id-of-{}", session.token));
                let Some(session) = known.filter(|_| self.mischief != Mischief::NoResumes) else {
                    return say(payload(9, &json!(false)));
                };
                session.connection = Some(sender.clone());
                let seen = d["seq"].as_u64().expect("a number") as usize;
                let missed = session.log[seen..].to_vec();
                missed.into_iter().for_each(|text| session.say(Say::Dispatch(text)));
                let text = session.number("RESUMED", &json!({}));
                session.deliver(text, Mischief::None);
                hall.resumes += 1;
            }
            op => panic!("the client says {op:?}"),
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
            Mischief::Drop(..) => {}
            Mischief::Reorder(..) => self.held = Some(Say::Dispatch(text)),
            Mischief::Duplicate(..) => {
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
            // Nobody hears what is said on a connection that is gone; the log keeps it.
            let _ = connection.send(say);
        }
    }
}

fn payload(op: u64, d: &Value) -> String {
    format!(r#"{{"t":null,"s":null,"op":{op},"d":{d}}}"#)
}
