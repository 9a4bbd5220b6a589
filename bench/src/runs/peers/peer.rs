//! A server that brings what one publishes to all who have subscribed: how one does either, and how a message looks.

use std::net::SocketAddr;

use crate::runs::peers::target::Target;
use crate::wire::upgrade;

/// HTTP headers: name and value.
pub type Headers = Vec<(String, String)>;

/// Such a server.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it is called in tables.
    pub name: String,
    /// Where one subscribes.
    pub subscribe: Target,
    /// Headers of the upgrade request.
    pub headers: Headers,
    /// What a subscriber says first.
    pub first_frame: Option<String>,
    /// How one publishes.
    pub publish: Publish,
    /// How a message looks when it is delivered.
    pub shape: Shape,
}

/// How one publishes.
#[derive(Debug, Clone)]
pub enum Publish {
    /// A request whose body is the message.
    Request {
        /// `POST` or `PUT`.
        method: String,
        /// Where.
        target: Target,
        /// Further headers.
        headers: Headers,
    },
    /// A text frame, which is the message, on a WebSocket there.
    Frame(Target),
}

impl Publish {
    /// Reads `METHOD URL`, or `FRAME URL` for frames. A colon will do in place of the space: scripts pass flags in one
    /// string.
    pub fn parse(text: &str, headers: Headers) -> Result<Publish, String> {
        let Some((method, url)) = text.split_once([' ', ':']) else {
            return Err(format!("{text:?}: must be a method and a URL, such as POST http://127.0.0.1/pub"));
        };
        match method {
            "POST" | "PUT" => {
                let target = Target::parse(url.trim(), "http")?;
                Ok(Publish::Request { method: method.to_owned(), target, headers })
            }
            "FRAME" => Ok(Publish::Frame(Target::parse(url.trim(), "ws")?)),
            _ => Err(format!("{text:?}: the method must be POST, PUT or FRAME")),
        }
    }
}

/// Reads `Name: value`.
pub fn header(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("{text:?}: must be a name, a colon and a value");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let is_token =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_token(name) || value.contains(['\r', '\n']) {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// How messages are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By HTTP requests to this address; each must be answered by 2xx.
    Request(SocketAddr),
    /// By text frames on a WebSocket: its address, and the upgrade request. Nothing answers.
    Frame(SocketAddr, Vec<u8>),
}

/// How a message looks when it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The payload is the message, byte for byte.
    Whole,
    /// The message is somewhere in the payload.
    Within,
}

impl Peer {
    /// Where subscribers connect.
    pub fn address(&self) -> SocketAddr {
        self.subscribe.address
    }

    /// Appends the upgrade request of a subscriber.
    pub fn subscribe(&self, out: &mut Vec<u8>) {
        upgrade::write_to(out, &self.subscribe.host, &self.subscribe.path, &self.headers);
    }

    /// How messages are published.
    pub fn way(&self) -> Way {
        match &self.publish {
            Publish::Request { target, .. } => Way::Request(target.address),
            Publish::Frame(target) => {
                let mut request = Vec::new();
                upgrade::write_to(&mut request, &target.host, &target.path, &self.headers);
                Way::Frame(target.address, request)
            }
        }
    }

    /// Appends what publishes a message: the HTTP request, or the frame's text.
    pub fn publish(&self, out: &mut Vec<u8>, message: &str) {
        match &self.publish {
            Publish::Request { method, target, headers } => {
                let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let Target { host, path, .. } = target;
                let length = message.len();
                out.extend_from_slice(
                    format!(
                        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n\
                         Content-Length: {length}\r\n{more}\r\n{message}"
                    )
                    .as_bytes(),
                );
            }
            Publish::Frame(_) => out.extend_from_slice(message.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_what_the_flags_say() {
        let headers = vec![header("X-Key: a:b").expect("sound")];
        let plain = Peer {
            name: "p".into(),
            subscribe: Target::parse("ws://127.0.0.1:5/s", "ws").expect("sound"),
            headers: headers.clone(),
            first_frame: None,
            publish: Publish::parse("POST:http://127.0.0.1:6/p?id=1", headers).expect("sound"),
            shape: Shape::Whole,
        };
        let (mut subscribe, mut publish) = (Vec::new(), Vec::new());
        plain.subscribe(&mut subscribe);
        plain.publish(&mut publish, "hello");
        let (subscribe, publish) = (String::from_utf8_lossy(&subscribe), String::from_utf8_lossy(&publish));
        assert!(subscribe.starts_with("GET /s HTTP/1.1\r\nHost: 127.0.0.1:5\r\n"), "{subscribe}");
        assert!(subscribe.ends_with("\r\nX-Key: a:b\r\n\r\n"), "{subscribe}");
        assert!(publish.starts_with("POST /p?id=1 HTTP/1.1\r\nHost: 127.0.0.1:6\r\n"), "{publish}");
        assert!(publish.ends_with("\r\nContent-Length: 5\r\nX-Key: a:b\r\n\r\nhello"), "{publish}");
    }

    #[test]
    fn flags_that_make_no_request_are_refused() {
        for text in ["http://127.0.0.1/", "GET http://127.0.0.1/", "FRAME http://127.0.0.1/", "POST ws://127.0.0.1/"] {
            assert!(Publish::parse(text, Vec::new()).is_err(), "{text}");
        }
        for text in ["a", ": b", "a b: c", "a: b\r\nc: d"] {
            assert!(header(text).is_err(), "{text:?}");
        }
    }
}
