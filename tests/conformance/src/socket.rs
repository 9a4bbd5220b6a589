//! A bare gateway client, for what no library does: bad input, odd frames, exact close codes.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use serde_json::{Value, json};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

/// A gateway connection.
pub struct Socket {
    /// The WebSocket.
    pub stream: WebSocket<TcpStream>,
    decoder: Decoder,
}

/// The context that a connection has for all its messages.
enum Decoder {
    None,
    Zlib(Decompress),
    Zstd(DCtx<'static>),
}

impl Decoder {
    /// What one message says: all of it is there as soon as the message is.
    fn read(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut json = vec![0; 1 << 20];
        let length = match self {
            Decoder::None => panic!("binary frames come only to those who asked"),
            Decoder::Zlib(inflate) => {
                let before = inflate.total_out();
                inflate.decompress(bytes, &mut json, FlushDecompress::Sync).expect("it inflates");
                (inflate.total_out() - before) as usize
            }
            Decoder::Zstd(context) => {
                let (mut input, mut output) = (InBuffer::around(bytes), OutBuffer::around(json.as_mut_slice()));
                while input.pos < bytes.len() {
                    context.decompress_stream(&mut output, &mut input).expect("it can be read");
                }
                output.pos()
            }
        };
        json.truncate(length);
        json
    }
}

/// What a connection says.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A payload.
    Payload(Value),
    /// Its end, with its code.
    Closed(u16),
    /// Its end, without a close frame.
    Cut,
}

impl Socket {
    /// Connects with a path and query such as `/?v=10&encoding=json`.
    pub fn connect(server: SocketAddr, target: &str) -> Socket {
        let stream = TcpStream::connect(server).expect("the server listens");
        Socket::upgrade(stream, server, target)
    }

    /// The same, on a connection that may have served before.
    pub fn upgrade(stream: TcpStream, server: SocketAddr, target: &str) -> Socket {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has timeouts");
        let url = format!("ws://{server}{target}");
        let (stream, _) = tungstenite::client(url, stream).expect("the server upgrades");
        let decoder = if target.contains("zlib-stream") {
            Decoder::Zlib(Decompress::new(true))
        } else if target.contains("zstd-stream") {
            Decoder::Zstd(DCtx::create())
        } else {
            Decoder::None
        };
        Socket { stream, decoder }
    }

    /// Connects, takes HELLO.
    pub fn greeted(server: SocketAddr) -> Socket {
        let mut socket = Socket::connect(server, "/?v=10&encoding=json");
        assert_eq!(socket.payload()["op"], 10);
        socket
    }

    /// Connects, identifies, takes READY; returns it.
    pub fn identified(server: SocketAddr, token: &str, intents: u64) -> (Socket, Value) {
        let mut socket = Socket::greeted(server);
        socket.identify(token, intents);
        let ready = socket.payload();
        assert_eq!(ready["t"], "READY", "{ready}");
        (socket, ready)
    }

    /// Identifies.
    pub fn identify(&mut self, token: &str, intents: u64) {
        self.send(json!({ "op": 2, "d": { "token": token, "intents": intents, "properties": {} } }));
    }

    /// Resumes.
    pub fn resume(&mut self, token: &str, session: &str, seq: u64) {
        self.send(json!({ "op": 6, "d": { "token": token, "session_id": session, "seq": seq } }));
    }

    /// Sends a payload.
    pub fn send(&mut self, payload: Value) {
        self.stream.send(Message::text(payload.to_string())).expect("the connection is open");
    }

    /// Closes for good, and waits until the server has done the same.
    pub fn leave(&mut self) {
        let frame = CloseFrame { code: 1000u16.into(), reason: "".into() };
        self.send_raw(Message::Close(Some(frame)));
        while matches!(self.hear(), Said::Payload(_)) {}
    }

    /// Sends anything.
    pub fn send_raw(&mut self, message: Message) {
        // The server may have closed already: what it said is what counts.
        let _ = self.stream.send(message);
    }

    /// The next thing it says.
    pub fn hear(&mut self) -> Said {
        loop {
            match self.stream.read() {
                Ok(Message::Text(text)) => {
                    return Said::Payload(serde_json::from_str(&text).expect("payloads are JSON"));
                }
                Ok(Message::Binary(bytes)) => {
                    let json = self.decoder.read(&bytes);
                    return Said::Payload(serde_json::from_slice(&json).expect("payloads are JSON"));
                }
                Ok(Message::Close(frame)) => return Said::Closed(frame.map_or(1005, |frame| frame.code.into())),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(_) => return Said::Cut,
            }
        }
    }

    /// The next payload.
    pub fn payload(&mut self) -> Value {
        match self.hear() {
            Said::Payload(payload) => payload,
            other => panic!("a payload was expected, not {other:?}"),
        }
    }

    /// The next event of a name, skipping other payloads.
    pub fn event(&mut self, name: &str) -> Value {
        loop {
            let payload = self.payload();
            if payload["t"] == name {
                return payload;
            }
        }
    }

    /// The code it is closed with, skipping payloads.
    pub fn closed(&mut self) -> u16 {
        loop {
            match self.hear() {
                Said::Payload(_) => {}
                Said::Closed(code) => return code,
                Said::Cut => return 1006,
            }
        }
    }
}
