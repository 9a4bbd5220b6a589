//! One session as its client sees it: bytes in, bytes out, and what to do next. It has no socket and no clock.
//!
//! Source: Discord docs, Gateway/Connection Lifecycle.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::check::{Receipts, Sequence, Step};
use crate::marker::Marker;
use crate::swarm::framing::{self, Broken, Kind};
use crate::swarm::inflate::Inflate;
use crate::swarm::scan;
use crate::swarm::tally::{Fault, Tally};
use crate::swarm::upgrade;

/// GUILDS, GUILD_MESSAGES and MESSAGE_CONTENT.
const INTENTS: u64 = 1 | 1 << 9 | 1 << 15;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No connection.
    Down,
    /// The kernel connects, or the upgrade is not yet answered.
    Upgrading,
    /// HELLO is awaited.
    Greeting,
    /// READY is awaited.
    Identifying,
    /// READY is here; so many guilds are not.
    Gathering(u32),
    /// What was missed is on its way; RESUMED ends it.
    Resuming,
    /// All is well.
    Live,
    /// Given up.
    Dead,
}

/// What a resume needs.
#[derive(Debug)]
pub struct Identity {
    /// The session's id.
    pub id: Box<str>,
    /// Where it is resumed, if READY names an address.
    pub address: Option<SocketAddr>,
}

/// What the reactor has to do, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// HELLO came: beat every so many milliseconds.
    Beat(u64),
    /// The session became live; `true` if it was resumed.
    Live(bool),
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hangup {
    /// The run wants it so.
    Cut,
    /// The socket ended without a close frame.
    Gone,
    /// The server sent a close frame.
    Closed(Option<u16>),
    /// Op 7.
    Asked,
    /// Op 9; `true` if the session may be resumed.
    Invalid(bool),
    /// A heartbeat was not acknowledged.
    Zombie,
    /// The handshake took too long.
    Late,
    /// It could not be understood.
    Broken(String),
}

impl From<Broken> for Hangup {
    fn from(Broken(why): Broken) -> Hangup {
        Hangup::Broken(why.to_owned())
    }
}

/// What all clients of a thread share while they read.
#[derive(Debug)]
pub struct Desk {
    /// Which messages are of this run.
    pub marker: Marker,
    /// What happened so far.
    pub tally: Tally,
    /// Bytes to be sent by the client that reads.
    pub out: Vec<u8>,
    /// What it wants done.
    pub wishes: Vec<Wish>,
    /// When the bytes were received, in nanoseconds since 1970.
    pub now_ns: u64,
    /// Where payloads are inflated.
    pub inflated: Vec<u8>,
    /// Masks of outgoing frames; they protect proxies, of which there are none here, so any will do.
    pub mask: [u8; 4],
}

/// One session.
#[derive(Debug)]
pub struct Client {
    /// Its number in the swarm.
    pub index: u32,
    /// How far its connection has come.
    pub stage: Stage,
    /// What a resume needs.
    pub identity: Option<Box<Identity>>,
    /// Judges the numbers of the dispatches.
    pub sequence: Sequence,
    /// Judges the messages.
    pub receipts: Receipts,
    /// Whether the last heartbeat was acknowledged.
    pub acknowledged: bool,
    /// Whether it ever became live, and so had to receive the run's messages.
    pub was_live: bool,
    token: Arc<str>,
    /// The front of a frame that is not yet whole.
    partial: Vec<u8>,
    /// The front of a message whose other fragments are awaited.
    fragments: Option<(Kind, Vec<u8>)>,
    zlib: bool,
    inflate: Option<Box<Inflate>>,
}

impl Client {
    /// A client that has never been connected.
    pub fn new(index: u32, token: Arc<str>, zlib: bool) -> Client {
        Client {
            index,
            stage: Stage::Down,
            identity: None,
            sequence: Sequence::default(),
            receipts: Receipts::default(),
            acknowledged: true,
            was_live: false,
            token,
            partial: Vec::new(),
            fragments: None,
            zlib,
            inflate: None,
        }
    }

    /// A new connection begins; the upgrade request goes out.
    pub fn connect(&mut self, host: SocketAddr, out: &mut Vec<u8>) {
        self.stage = Stage::Upgrading;
        self.acknowledged = true;
        self.partial = Vec::new();
        self.fragments = None;
        self.inflate = self.zlib.then(Box::default);
        upgrade::write(out, host, self.zlib);
    }

    /// The session cannot be resumed.
    pub fn forget(&mut self) {
        self.identity = None;
        self.sequence = Sequence::default();
    }

    /// Says a heartbeat.
    pub fn beat(&mut self, desk: &mut Desk) {
        self.acknowledged = false;
        let last = self.sequence.last();
        let d = if last == 0 { json!(null) } else { json!(last) };
        say(desk, &json!({"op": 1, "d": d}));
    }

    /// Takes what was read.
    pub fn read(&mut self, bytes: &[u8], desk: &mut Desk) -> Result<(), Hangup> {
        if self.partial.is_empty() {
            let used = self.understand(bytes, desk)?;
            if used < bytes.len() {
                self.partial = bytes[used..].to_vec();
            }
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let used = self.understand(&partial, desk)?;
            if used < partial.len() {
                partial.drain(..used);
                self.partial = partial;
            }
        }
        Ok(())
    }

    /// Takes all that is whole at the front; says how much that was.
    fn understand(&mut self, bytes: &[u8], desk: &mut Desk) -> Result<usize, Hangup> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            match upgrade::read(bytes)? {
                None => return Ok(0),
                Some(head) => used = head,
            }
            self.stage = Stage::Greeting;
        }
        while let Some(frame) = framing::next(&bytes[used..])? {
            used += frame.length;
            match (frame.kind, frame.last) {
                (Kind::Ping, _) => framing::write(&mut desk.out, Kind::Pong, frame.payload, desk.mask),
                (Kind::Pong, _) => {}
                (Kind::Close, _) => {
                    framing::write(&mut desk.out, Kind::Close, frame.payload, desk.mask);
                    let code = frame.payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                    return Err(Hangup::Closed(code));
                }
                (Kind::Continuation, last) => {
                    let Some((kind, mut message)) = self.fragments.take() else {
                        return Err(Hangup::Broken("a continuation of nothing".into()));
                    };
                    message.extend_from_slice(frame.payload);
                    if last {
                        self.message(kind, &message, frame.length, desk)?;
                    } else {
                        self.fragments = Some((kind, message));
                    }
                }
                (Kind::Text | Kind::Binary, _) if self.fragments.is_some() => {
                    return Err(Hangup::Broken("a message within a fragmented message".into()));
                }
                (kind, true) => self.message(kind, frame.payload, frame.length, desk)?,
                (kind, false) => self.fragments = Some((kind, frame.payload.to_vec())),
            }
        }
        Ok(used)
    }

    fn message(&mut self, kind: Kind, bytes: &[u8], wire: usize, desk: &mut Desk) -> Result<(), Hangup> {
        let Some(inflate) = &mut self.inflate else {
            if kind == Kind::Binary {
                return Err(Hangup::Broken("binary without compression".into()));
            }
            return self.payload(bytes, wire, desk);
        };
        let mut inflated = std::mem::take(&mut desk.inflated);
        let result = match inflate.take(bytes, &mut inflated) {
            Ok(true) => self.payload(&inflated, wire, desk),
            Ok(false) => Ok(()),
            Err(broken) => Err(broken.into()),
        };
        desk.inflated = inflated;
        result
    }

    /// One gateway payload, which took `wire` bytes.
    fn payload(&mut self, payload: &[u8], wire: usize, desk: &mut Desk) -> Result<(), Hangup> {
        let Some(envelope) = scan::envelope(payload) else {
            return Err(Hangup::Broken("no gateway payload".into()));
        };
        match envelope.op {
            0 => {
                let Some(s) = envelope.s else { return Err(Hangup::Broken("a dispatch without a number".into())) };
                let step = self.sequence.take(s);
                if step != Step::Next {
                    desk.tally.fault(Fault::step(self, step, s, envelope.name));
                }
                self.dispatch(envelope.name, payload, wire, desk)
            }
            1 => {
                self.beat(desk);
                Ok(())
            }
            7 => Err(Hangup::Asked),
            9 => Err(Hangup::Invalid(envelope.d.starts_with(b"true"))),
            10 => self.hello(payload, desk),
            11 => {
                self.acknowledged = true;
                Ok(())
            }
            op => Err(Hangup::Broken(format!("unknown opcode {op}"))),
        }
    }

    fn hello(&mut self, payload: &[u8], desk: &mut Desk) -> Result<(), Hangup> {
        #[derive(Deserialize)]
        struct Hello {
            d: Terms,
        }
        #[derive(Deserialize)]
        struct Terms {
            heartbeat_interval: u64,
        }
        let Ok(Hello { d: Terms { heartbeat_interval: interval @ 1.. } }) = serde_json::from_slice(payload) else {
            return Err(Hangup::Broken("HELLO without an interval".into()));
        };
        if self.stage != Stage::Greeting {
            return Err(Hangup::Broken("a second HELLO".into()));
        }
        desk.wishes.push(Wish::Beat(interval));
        let token = &*self.token;
        if let Some(identity) = &self.identity {
            self.stage = Stage::Resuming;
            let d = json!({"token": token, "session_id": identity.id, "seq": self.sequence.last()});
            say(desk, &json!({"op": 6, "d": d}));
        } else {
            self.stage = Stage::Identifying;
            self.sequence = Sequence::default();
            let properties = json!({"os": "linux", "browser": "guildhall-bench", "device": "guildhall-bench"});
            let d = json!({"token": token, "intents": INTENTS, "properties": properties});
            say(desk, &json!({"op": 2, "d": d}));
        }
        Ok(())
    }

    fn dispatch(&mut self, name: &str, payload: &[u8], wire: usize, desk: &mut Desk) -> Result<(), Hangup> {
        match name {
            "MESSAGE_CREATE" => {
                if let Some(marked) = desk.marker.find(payload) {
                    if self.receipts.take(marked.index) {
                        desk.tally.delivered(marked, desk.now_ns, wire);
                    } else {
                        desk.tally.fault(Fault::again(self, marked.index));
                    }
                }
            }
            "READY" => self.ready(payload, desk)?,
            "GUILD_CREATE" | "GUILD_DELETE" => {
                if let Stage::Gathering(missing) = self.stage {
                    self.gather(missing - 1, desk);
                }
            }
            "RESUMED" if self.stage == Stage::Resuming => {
                self.stage = Stage::Live;
                desk.wishes.push(Wish::Live(true));
            }
            // Whatever else the server tells: its number has been checked, and nothing else is of interest here.
            _ => {}
        }
        Ok(())
    }

    fn ready(&mut self, payload: &[u8], desk: &mut Desk) -> Result<(), Hangup> {
        #[derive(Deserialize)]
        struct Ready {
            d: Terms,
        }
        #[derive(Deserialize)]
        struct Terms {
            session_id: Box<str>,
            #[serde(default)]
            resume_gateway_url: String,
            #[serde(default)]
            guilds: Vec<serde::de::IgnoredAny>,
        }
        if self.stage != Stage::Identifying {
            return Err(Hangup::Broken("a READY that nobody asked for".into()));
        }
        let Ok(Ready { d: terms }) = serde_json::from_slice(payload) else {
            return Err(Hangup::Broken("READY without a session".into()));
        };
        let authority = terms.resume_gateway_url.trim_start_matches("ws://");
        let address = authority.split('/').next().and_then(|authority| authority.parse().ok());
        self.identity = Some(Box::new(Identity { id: terms.session_id, address }));
        self.gather(terms.guilds.len() as u32, desk);
        Ok(())
    }

    fn gather(&mut self, missing: u32, desk: &mut Desk) {
        if missing > 0 {
            self.stage = Stage::Gathering(missing);
        } else {
            self.stage = Stage::Live;
            desk.wishes.push(Wish::Live(false));
        }
    }
}

fn say(desk: &mut Desk, payload: &serde_json::Value) {
    let text = payload.to_string();
    framing::write(&mut desk.out, Kind::Text, text.as_bytes(), desk.mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: &str) -> Vec<u8> {
        // Unmasked frames differ from masked ones by one bit and four bytes.
        let mut frame = vec![0x81];
        if payload.len() < 126 {
            frame.push(payload.len() as u8);
        } else {
            frame.push(126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        frame.extend_from_slice(payload.as_bytes());
        frame
    }

    fn greeting() -> Vec<u8> {
        let mut bytes = upgrade::answer();
        bytes.extend(text(r#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":1000}}"#));
        bytes.extend(text(
            r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"abc","resume_gateway_url":"ws://127.0.0.1:5","guilds":[{"id":"1","unavailable":true}]}}"#,
        ));
        bytes.extend(text(r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"id":"1"}}"#));
        bytes
    }

    fn desk() -> Desk {
        Desk {
            marker: Marker::new("r"),
            tally: Tally::default(),
            out: Vec::new(),
            wishes: Vec::new(),
            now_ns: 2_000_000,
            inflated: Vec::new(),
            mask: [0; 4],
        }
    }

    #[test]
    fn a_session_comes_up_however_the_bytes_are_split() {
        let mut bytes = greeting();
        bytes.extend(text(r#"{"t":"MESSAGE_CREATE","s":3,"op":0,"d":{"content":"gh r 0 1000000 xxx"}}"#));
        for size in [1, 2, 3, 7, 64, bytes.len()] {
            let mut desk = desk();
            let mut client = Client::new(0, "t".into(), false);
            client.connect("127.0.0.1:1".parse().expect("an address"), &mut desk.out);
            for piece in bytes.chunks(size) {
                client.read(piece, &mut desk).expect("sound");
            }
            assert_eq!(client.stage, Stage::Live);
            assert_eq!(desk.wishes, [Wish::Beat(1_000), Wish::Live(false)]);
            assert_eq!((client.sequence.last(), client.receipts.count()), (3, 1));
            assert_eq!(client.identity.as_ref().and_then(|identity| identity.address).map(|to| to.port()), Some(5));
            assert!(client.partial.capacity() == 0, "an idle client holds no buffer");
        }
    }

    #[test]
    fn fragments_and_pings_between_them_are_understood() {
        let mut desk = desk();
        let mut client = Client::new(0, "t".into(), false);
        client.connect("127.0.0.1:1".parse().expect("an address"), &mut desk.out);
        client.read(&greeting(), &mut desk).expect("sound");
        desk.out.clear();
        let payload = br#"{"t":"MESSAGE_CREATE","s":3,"op":0,"d":{"content":"gh r 0 1 "}}"#;
        let (front, back) = payload.split_at(20);
        let mut bytes = vec![0x01, front.len() as u8];
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(&[0x89, 2, b'h', b'i', 0x80, back.len() as u8]);
        bytes.extend_from_slice(back);
        client.read(&bytes, &mut desk).expect("sound");
        assert_eq!(client.receipts.count(), 1);
        assert_eq!(desk.out, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }

    #[test]
    fn a_message_that_comes_twice_is_a_fault() {
        let mut desk = desk();
        let mut client = Client::new(0, "t".into(), false);
        client.connect("127.0.0.1:1".parse().expect("an address"), &mut desk.out);
        client.read(&greeting(), &mut desk).expect("sound");
        for s in [3, 4] {
            let payload = format!(r#"{{"t":"MESSAGE_CREATE","s":{s},"op":0,"d":{{"content":"gh r 0 1 "}}}}"#);
            client.read(&text(&payload), &mut desk).expect("sound");
        }
        assert_eq!((desk.tally.counts.duplicated, desk.tally.counts.sequence_duplicates), (1, 0));
    }
}
