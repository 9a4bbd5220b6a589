//! As much HTTP/1.1 as asking a server takes. Source: RFC 9112.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde::Deserialize;
use serde_json::json;

use crate::base::limits;

/// Where and as whom messages are posted.
#[derive(Debug, Clone)]
pub struct MessageTarget {
    /// The server.
    pub server: SocketAddr,
    /// The channel's id.
    pub channel: String,
    /// The `Authorization` header: a user's token, or `Bot` and a bot's.
    pub token: String,
}

impl MessageTarget {
    /// Appends the request that posts a message.
    fn write(&self, out: &mut Vec<u8>, content: &str) {
        let body = json!({"content": content}).to_string();
        let path = format!("/api/v10/channels/{}/messages", self.channel);
        write(out, self.server, "POST", &path, &self.token, Some(&body));
    }
}

/// Appends a request as `token`, with a JSON body if there is one.
pub fn write(out: &mut Vec<u8>, server: SocketAddr, method: &str, path: &str, token: &str, body: Option<&str>) {
    let body = body.unwrap_or("");
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    out.extend_from_slice(
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: {token}\r\n\
             User-Agent: DiscordBot (guildhall-bench, 0)\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
}

/// An answer at the front of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Where the body begins.
    pub body: usize,
    /// Where the answer ends.
    pub end: usize,
    /// Whether the server closes the connection.
    pub closes: bool,
}

impl Answer {
    /// Whether the message was accepted.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The answer at the front, if it is whole. An error says that this is no HTTP.
pub fn answer(bytes: &[u8]) -> Result<Option<Answer>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let body = match response.parse(bytes) {
        Ok(httparse::Status::Complete(body)) => body,
        Ok(httparse::Status::Partial) if bytes.len() < limits::HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err("no HTTP"),
    };
    let status = response.code.unwrap_or(0);
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let end = if status == 204 || status == 304 {
        Some(body)
    } else if chunked {
        chunks_end(&bytes[body..])?.map(|length| body + length)
    } else {
        let length: usize = header("content-length").and_then(|value| value.parse().ok()).ok_or("no length")?;
        Some(body + length)
    };
    Ok(end.filter(|end| *end <= bytes.len()).map(|end| Answer { status, body, end, closes }))
}

/// Where chunks end, trailers not being expected.
fn chunks_end(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut at = 0;
    loop {
        match httparse::parse_chunk_size(bytes.get(at..).unwrap_or(&[])) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete((head, size))) => {
                at += head + size as usize + 2;
                if size == 0 {
                    return Ok((at <= bytes.len()).then_some(at));
                }
            }
            Err(_) => return Err("no chunk"),
        }
    }
}

/// One connection on which requests are answered one by one.
#[derive(Debug)]
pub struct HttpConnection {
    target: MessageTarget,
    stream: TcpStream,
}

impl HttpConnection {
    /// Connects.
    pub fn open(target: MessageTarget) -> std::io::Result<HttpConnection> {
        let stream = TcpStream::connect(target.server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limits::ANSWER_TIME))?;
        Ok(HttpConnection { target, stream })
    }

    /// Posts a message and waits for the answer: its id, or 0 if there is none. An error has the server's words.
    pub fn post(&mut self, content: &str) -> std::io::Result<u64> {
        let mut request = Vec::new();
        self.target.write(&mut request, content);
        match self.ask(&request)? {
            (200..300, body) => Ok(id_of(&body).unwrap_or(0)),
            (status, body) => Err(Error::other(format!("{status} {}", String::from_utf8_lossy(&body)))),
        }
    }

    /// Sends a request and waits for the answer: its status and body.
    pub fn ask(&mut self, request: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request)?;
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&buffer[..read]);
            let Some(answer) = answer(&bytes).map_err(Error::other)? else { continue };
            if answer.closes {
                *self = HttpConnection::open(self.target.clone())?;
            }
            return Ok((answer.status, bytes[answer.body..answer.end].to_vec()));
        }
    }
}

/// The id of what an answer tells of.
pub fn id_of(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    serde_json::from_slice::<Made>(body).ok()?.id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_answers() {
        assert_eq!(id_of(br#"{"type":0,"id":"123"}"#), Some(123));
        assert_eq!(id_of(br#"{"message":"404: Not Found","code":0}"#), None);
    }

    #[test]
    fn answers_end_where_they_say() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP";
        let expected = Answer { status: 200, body: 38, end: 40, closes: false };
        assert_eq!(answer(plain), Ok(Some(expected)));
        assert_eq!(answer(&plain[..39]), Ok(None));
        let chunked = b"HTTP/1.1 429 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        let found = answer(chunked).expect("sound").expect("whole");
        assert_eq!((found.end, found.closes, found.is_ok()), (chunked.len(), true, false));
        assert_eq!(answer(&chunked[..chunked.len() - 1]), Ok(None));
        assert!(answer(b"SSH-2.0\r\n\r\n").is_err());
        assert!(answer(b"HTTP/1.1 204 No Content\r\n\r\n").expect("sound").expect("whole").is_ok());
    }
}
