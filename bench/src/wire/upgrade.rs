//! The HTTP request that becomes a WebSocket. Source: RFC 6455, section 4.

use std::net::SocketAddr;

use crate::base::limits;
use crate::wire::frames::Broken;

/// The RFC's own example: no cache is involved here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server that has read [`KEY`] answers, as the RFC says.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Appends the request for a gateway.
pub fn write(out: &mut Vec<u8>, host: SocketAddr, zlib: bool) {
    let compress = if zlib { "&compress=zlib-stream" } else { "" };
    write_to(out, &host.to_string(), &format!("/?v=10&encoding=json{compress}"), &[]);
}

/// Appends the request for any path, with more headers (name and value).
pub fn write_to(out: &mut Vec<u8>, host: &str, path: &str, headers: &[(String, String)]) {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    out.extend_from_slice(
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
        )
        .as_bytes(),
    );
}

/// How long the answer is, once it is whole.
pub fn read(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < limits::HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Broken("the upgrade's answer is no HTTP")),
    };
    if response.code != Some(101) {
        return Err(Broken("the upgrade was refused"));
    }
    let accepted = response
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept") && header.value == ACCEPT.as_bytes());
    if accepted { Ok(Some(length)) } else { Err(Broken("the upgrade's answer has a wrong key")) }
}

/// A server's answer.
#[cfg(test)]
pub fn answer() -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_checked() {
        let bytes = answer();
        assert_eq!(read(&bytes), Ok(Some(bytes.len())));
        assert_eq!(read(&bytes[..bytes.len() - 1]), Ok(None));
        assert_eq!(tungstenite::handshake::derive_accept_key(KEY.as_bytes()), ACCEPT);
        assert!(read(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: x\r\n\r\n").is_err());
    }
}
