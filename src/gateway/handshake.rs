//! The handshake: is this a gateway connection, and what are its terms?
//!
//! Lives on: every core. tungstenite checks the upgrade; the query has the terms.
//! Source: Discord docs, Gateway/Connecting (query parameters).

use http::HeaderMap;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};

use crate::limits;
use crate::mail::terms::Terms;
use crate::net::compression::Format;
use crate::wire::close::CloseCode;

/// What comes of the request's head.
#[derive(Debug)]
pub struct Opening {
    /// The bytes of the HTTP answer.
    pub response: Vec<u8>,
    /// The terms, or why the connection is closed at once.
    pub terms: Result<Terms, Objection>,
    /// The host that the client connected to.
    pub host: String,
}

/// Why a connection is closed as soon as it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// With one of Discord's codes.
    Code(CloseCode),
    /// With WebSocket's own 1003, "unsupported data": Discord's table has no code for an encoding that a server lacks.
    Unsupported(&'static str),
}

/// Parses a request's head, and returns its length too; `None` if it is incomplete.
pub fn head(bytes: &[u8]) -> Result<Option<(usize, Request)>, tungstenite::Error> {
    if !bytes.starts_with(b"GET ?") {
        return Request::try_parse(bytes);
    }
    // Libraries that join `ws://host` and `?v=10` without a slash ask for an empty path.
    let slashed = [b"GET /", &bytes[4..]].concat();
    Ok(Request::try_parse(&slashed)?.map(|(length, request)| (length - 1, request)))
}

/// Whether a request wants to become a WebSocket.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get("upgrade")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Answers an upgrade. An error is the bytes of an HTTP answer that refuses.
pub fn open(request: &Request) -> Result<Opening, Vec<u8>> {
    let path = request.uri().path();
    if !path.trim_matches('/').is_empty() {
        return Err(refusal("404 Not Found", r#"{"message":"404: Not Found","code":0}"#));
    }
    let Ok(accepted) = create_response(request) else {
        return Err(refusal("400 Bad Request", r#"{"message":"Not a valid WebSocket handshake.","code":0}"#));
    };
    let mut response = Vec::with_capacity(160);
    if write_response(&mut response, &accepted).is_err() {
        return Err(refusal("400 Bad Request", r#"{"message":"Not a valid WebSocket handshake.","code":0}"#));
    }
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost").to_owned();
    if host.len() > limits::HOST_BYTES_MAX {
        return Err(refusal("400 Bad Request", r#"{"message":"No host has so long a name.","code":0}"#));
    }
    Ok(Opening { response, terms: terms(request.uri().query().unwrap_or("")), host })
}

/// Reads the query. Missing parameters have defaults, unknown ones are ignored.
fn terms(query: &str) -> Result<Terms, Objection> {
    let mut terms = Terms { version: 10, compression: None };
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (key, value) {
            ("v", "9") => terms.version = 9,
            ("v", "10") => terms.version = 10,
            ("v", _) => return Err(Objection::Code(CloseCode::InvalidApiVersion)),
            ("encoding", "json") => {}
            ("encoding", _) => return Err(Objection::Unsupported("Only encoding=json is supported.")),
            ("compress", "zlib-stream") => terms.compression = Some(Format::Zlib),
            ("compress", "") => {}
            ("compress", "zstd-stream") => terms.compression = Some(Format::Zstd),
            ("compress", _) => {
                return Err(Objection::Unsupported("Unknown compression; use zstd-stream, zlib-stream or none."));
            }
            _ => {}
        }
    }
    Ok(terms)
}

/// Refuses an upgrade for a while.
pub fn retry_later(seconds: u64) -> Vec<u8> {
    let body = r#"{"message":"API resource is currently overloaded. Try again a little later","code":130000}"#;
    refusal(&format!("503 Service Unavailable\r\nRetry-After: {seconds}"), body)
}

fn refusal(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_with_an_empty_path_is_parsed() {
        let (length, request) = head(b"GET ?v=9 HTTP/1.1\r\nHost: x\r\n\r\nrest").unwrap().unwrap();
        assert_eq!((length, request.uri().query()), (b"GET ?v=9 HTTP/1.1\r\nHost: x\r\n\r\n".len(), Some("v=9")));
        assert!(head(b"GET ?v=9 HTTP/1.1\r\nHost").unwrap().is_none());
        assert_eq!(head(b"GET //?v=9 HTTP/1.1\r\n\r\n").unwrap().unwrap().1.uri().query(), Some("v=9"));
    }

    #[test]
    fn a_host_over_its_limit_is_refused() {
        let open = |length: usize| {
            let text = format!(
                "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                "h".repeat(length)
            );
            super::open(&head(text.as_bytes()).unwrap().unwrap().1)
        };
        assert_eq!(open(limits::HOST_BYTES_MAX).unwrap().host.len(), limits::HOST_BYTES_MAX);
        assert!(open(limits::HOST_BYTES_MAX + 1).unwrap_err().starts_with(b"HTTP/1.1 400 "));
    }

    #[test]
    fn terms_of_all_libraries_are_parsed() {
        let plain = Terms { version: 10, compression: None };
        assert_eq!(terms(""), Ok(plain));
        assert_eq!(terms("v=10"), Ok(plain));
        assert_eq!(terms("encoding=json&v=10&foo=bar"), Ok(plain));
        assert_eq!(
            terms("encoding=json&v=9&compress=zlib-stream"),
            Ok(Terms { version: 9, compression: Some(Format::Zlib) })
        );
        assert_eq!(terms("v=10&compress=zstd-stream"), Ok(Terms { compression: Some(Format::Zstd), ..plain }));
        assert_eq!(terms("v=3"), Err(Objection::Code(CloseCode::InvalidApiVersion)));
        assert!(matches!(terms("v=10&compress=brotli"), Err(Objection::Unsupported(_))));
        assert!(matches!(terms("v=10&encoding=etf"), Err(Objection::Unsupported(_))));
    }
}
