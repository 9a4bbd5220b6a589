//! What the raw gateway says and understands: as much HTTP, WebSocket and gateway as a client needs to be served.
//!
//! Source: RFC 9112; RFC 6455; Discord docs, Gateway/Connection Lifecycle and Resources/Message.

use std::io::Cursor;

use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::base::limits;

/// The one guild.
pub const GUILD: u64 = 1_000_000_000_000_000_001;
/// Its one channel.
pub const CHANNEL: u64 = 1_000_000_000_000_000_002;
/// The author of everything, and the user of all sessions.
const USER: u64 = 1_000_000_000_000_000_003;
/// Discord's own interval.
const HEARTBEAT_MS: u64 = 41_250;
/// READY and GUILD_CREATE have the numbers 1 and 2.
const FIRST_MESSAGE: u32 = 3;
/// The first millisecond of snowflakes, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// Why a connection is closed: WebSocket's and Discord's codes.
pub mod close {
    /// Not WebSocket as the raw gateway understands it.
    pub const PROTOCOL: u16 = 1002;
    /// Unknown opcode.
    pub const OPCODE: u16 = 4001;
    /// No JSON, or no payload.
    pub const DECODE: u16 = 4002;
    /// A command before op 2.
    pub const STRANGER: u16 = 4003;
    /// A second op 2.
    pub const AGAIN: u16 = 4005;
}

// ── HTTP ──

/// An HTTP request.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Wants to be a WebSocket; what to answer to its key.
    Upgrade(String),
    /// Posts a message with this content.
    Post(String),
    /// Cannot be served: status, and why.
    Refused(u16, &'static str),
}

/// The request at the front, once it is whole, and its length. An error says that this is no HTTP.
pub fn request(bytes: &[u8]) -> Result<Option<(Request, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let body = match request.parse(bytes) {
        Ok(httparse::Status::Complete(body)) => body,
        Ok(httparse::Status::Partial) if bytes.len() < limits::HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err("no HTTP"),
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    if header("transfer-encoding").is_some() {
        return Err("a body without a length");
    }
    let length: usize = header("content-length").unwrap_or("0").parse().map_err(|_| "a length that is no number")?;
    if length > limits::BODY_BYTES_MAX {
        return Err("the body is too long");
    }
    let Some(content) = bytes.get(body..body + length) else { return Ok(None) };
    let (path, query) = request.path.unwrap_or("").split_once('?').unwrap_or((request.path.unwrap_or(""), ""));
    let understood = match request.method {
        Some("GET") if header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")) => {
            match header("sec-websocket-key") {
                Some(_) if query.contains("compress=") => Request::Refused(400, "no compression here"),
                Some(key) => Request::Upgrade(derive_accept_key(key.as_bytes())),
                None => Request::Refused(400, "an upgrade needs a Sec-WebSocket-Key"),
            }
        }
        Some("POST") if is_messages(path) => posted(content),
        _ => Request::Refused(404, "only the gateway and POST /api/v10/channels/{id}/messages are here"),
    };
    Ok(Some((understood, body + length)))
}

fn is_messages(path: &str) -> bool {
    let id = path.strip_prefix("/api/v10/channels/").and_then(|rest| rest.strip_suffix("/messages"));
    id.is_some_and(|id| id.parse::<u64>().is_ok())
}

fn posted(body: &[u8]) -> Request {
    #[derive(Deserialize)]
    struct Form {
        content: String,
    }
    match serde_json::from_slice::<Form>(body) {
        Ok(Form { content }) if (1..=limits::CONTENT_MAX).contains(&content.chars().count()) => Request::Post(content),
        Ok(_) => Request::Refused(400, "content has 1 to 2,000 characters"),
        Err(_) => Request::Refused(400, "the body is no JSON with a content"),
    }
}

/// Appends the answer to an upgrade.
pub fn upgraded(out: &mut Vec<u8>, accept: &str) {
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(accept.as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends the answer to a post.
pub fn accepted(out: &mut Vec<u8>, id: u64) {
    answer(out, "200 OK", &json!({"id": id.to_string(), "channel_id": CHANNEL.to_string()}).to_string());
}

/// Appends a refusal.
pub fn refused(out: &mut Vec<u8>, status: u16, why: &str) {
    let line = match status {
        400 => "400 Bad Request",
        404 => "404 Not Found",
        _ => "503 Service Unavailable",
    };
    answer(out, line, &json!({"message": why, "code": 0}).to_string());
}

fn answer(out: &mut Vec<u8>, line: &str, body: &str) {
    let length = body.len();
    out.extend_from_slice(
        format!("HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            .as_bytes(),
    );
}

// ── WebSocket ──

/// What a client's frame says.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// A gateway command.
    Command(Vec<u8>),
    /// A ping, to be answered with the same.
    Ping(Vec<u8>),
    /// A pong, of no interest.
    Pong,
    /// The end, to be answered with the same.
    Close(Vec<u8>),
}

/// The frame at the front, once it is whole, and its length. An error is the code to close with.
pub fn frame(bytes: &[u8]) -> Result<Option<(ClientFrame, usize)>, u16> {
    let mut cursor = Cursor::new(bytes);
    let Some((head, length)) = FrameHeader::parse(&mut cursor).map_err(|_| close::PROTOCOL)? else { return Ok(None) };
    let start = cursor.position() as usize;
    // Clients must mask; and none of those that matter here splits a command over frames.
    let (true, Some(mask), true) = (length <= limits::COMMAND_BYTES_MAX as u64, head.mask, head.is_final) else {
        return Err(close::PROTOCOL);
    };
    let end = start + length as usize;
    let Some(masked) = bytes.get(start..end) else { return Ok(None) };
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let said = match head.opcode {
        OpCode::Data(Data::Text | Data::Binary) => ClientFrame::Command(payload),
        OpCode::Control(Control::Ping) => ClientFrame::Ping(payload),
        OpCode::Control(Control::Pong) => ClientFrame::Pong,
        OpCode::Control(Control::Close) => ClientFrame::Close(payload),
        OpCode::Data(Data::Continue | Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            return Err(close::PROTOCOL);
        }
    };
    Ok(Some((said, end)))
}

fn write(out: &mut Vec<u8>, opcode: OpCode, pieces: &[&[u8]]) {
    let head = FrameHeader { opcode, ..FrameHeader::default() };
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    head.format(length as u64, out).expect("memory takes everything");
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    write(out, OpCode::Data(Data::Text), &[text.as_bytes()]);
}

/// Appends a close frame.
pub fn closing(out: &mut Vec<u8>, code: u16) {
    closed(out, &code.to_be_bytes());
}

/// Appends a close frame that says what the client's said.
pub fn closed(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, OpCode::Control(Control::Close), &[payload]);
}

/// Appends a pong.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, OpCode::Control(Control::Pong), &[payload]);
}

// ── gateway ──

/// A command's opcode. An error is the code to close with.
pub fn opcode(command: &[u8]) -> Result<u64, u16> {
    #[derive(Deserialize)]
    struct Command {
        op: u64,
    }
    serde_json::from_slice::<Command>(command).map(|command| command.op).map_err(|_| close::DECODE)
}

/// Appends HELLO.
pub fn hello(out: &mut Vec<u8>) {
    text(out, &format!(r#"{{"t":null,"s":null,"op":10,"d":{{"heartbeat_interval":{HEARTBEAT_MS}}}}}"#));
}

/// Appends the answer to a heartbeat.
pub fn acknowledgement(out: &mut Vec<u8>) {
    text(out, r#"{"t":null,"s":null,"op":11,"d":null}"#);
}

/// Appends op 9: the session is not resumed.
pub fn invalid(out: &mut Vec<u8>) {
    text(out, r#"{"t":null,"s":null,"op":9,"d":false}"#);
}

/// Appends READY and GUILD_CREATE.
pub fn ready(out: &mut Vec<u8>, session_id: &str) {
    // Without a `resume_gateway_url`: there is nothing to be resumed, and a client that came through a proxy comes back
    // through it.
    text(
        out,
        &format!(
            r#"{{"t":"READY","s":1,"op":0,"d":{{"v":10,"user":{{"id":"{USER}","username":"raw","discriminator":"0","global_name":null,"avatar":null,"bot":false}},"guilds":[{{"id":"{GUILD}","unavailable":true}}],"session_id":"{session_id}","application":{{"id":"{USER}","flags":0}}}}}}"#
        ),
    );
    text(
        out,
        &format!(
            r#"{{"t":"GUILD_CREATE","s":2,"op":0,"d":{{"id":"{GUILD}","name":"Raw","owner_id":"{USER}","icon":null,"joined_at":"2020-01-01T00:00:00+00:00","large":false,"unavailable":false,"member_count":1,"roles":[{{"id":"{GUILD}","name":"@everyone","color":0,"hoist":false,"position":0,"permissions":"3072","managed":false,"mentionable":false}}],"emojis":[],"features":[],"channels":[{{"id":"{CHANNEL}","type":0,"name":"general","position":0,"permission_overwrites":[]}}],"members":[],"presences":[],"voice_states":[],"threads":[],"stage_instances":[],"guild_scheduled_events":[]}}}}"#
        ),
    );
}

/// A message's id: its time, and its number within the run so that no two are the same.
pub fn message_id(number: u32, now_ns: u64) -> u64 {
    let milliseconds = (now_ns / 1_000_000).saturating_sub(EPOCH_MS);
    milliseconds << 22 | u64::from(number & 0x3f_ffff)
}

/// A message as JSON.
pub fn message(id: u64, content: &str, now_ns: u64) -> Vec<u8> {
    let when = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_ns)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let when = when.replace_nanosecond(when.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(when);
    let body = json!({
        "id": id.to_string(),
        "channel_id": CHANNEL.to_string(),
        "guild_id": GUILD.to_string(),
        "author": {
            "id": USER.to_string(), "username": "raw", "discriminator": "0", "global_name": null, "avatar": null
        },
        "member": {"roles": [], "joined_at": "2020-01-01T00:00:00+00:00", "deaf": false, "mute": false, "flags": 0},
        "content": content,
        "timestamp": when.format(&Rfc3339).unwrap_or_default(),
        "edited_timestamp": null,
        "tts": false,
        "mention_everyone": false,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": false,
        "type": 0,
    });
    body.to_string().into_bytes()
}

/// Appends the MESSAGE_CREATE of the run's message `number`, for sessions that identified after the first `offset`
/// messages.
pub fn message_create(out: &mut Vec<u8>, body: &[u8], number: u32, offset: u32) {
    let s = FIRST_MESSAGE + (number - offset);
    let front = format!(r#"{{"t":"MESSAGE_CREATE","s":{s},"op":0,"d":"#);
    write(out, OpCode::Data(Data::Text), &[front.as_bytes(), body, b"}"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frames;
    use crate::wire::payload;

    fn post(path: &str, body: &str) -> Vec<u8> {
        format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn posts_are_read_only_when_whole() {
        let bytes = post("/api/v10/channels/7/messages", r#"{"content":"a\nb"}"#);
        for cut in 0..bytes.len() {
            assert_eq!(request(&bytes[..cut]), Ok(None), "{cut}");
        }
        let whole = Some((Request::Post("a\nb".into()), bytes.len()));
        assert_eq!(request(&bytes), Ok(whole));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        let refusal = |bytes: &[u8]| match request(bytes) {
            Ok(Some((Request::Refused(status, _), length))) if length == bytes.len() => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal(&post("/api/v10/channels/7/messages", "{}")), 400);
        assert_eq!(refusal(&post("/api/v10/channels/7/messages", r#"{"content":""}"#)), 400);
        assert_eq!(refusal(&post("/api/v10/channels/x/messages", r#"{"content":"a"}"#)), 404);
        assert_eq!(refusal(b"GET / HTTP/1.1\r\n\r\n"), 404);
        assert_eq!(refusal(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), 400);
        let zlib = b"GET /?compress=zlib-stream HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
        assert_eq!(refusal(zlib), 400);
        assert!(request(b"\x16\x03\x01").is_err());
        assert!(request(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n").is_err());
        assert!(request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_clients_frames_are_read_only_when_whole() {
        for length in [0, 125, 126, limits::COMMAND_BYTES_MAX] {
            let payload = vec![b'x'; length];
            let mut bytes = Vec::new();
            frames::write(&mut bytes, frames::Kind::Text, &payload, [1, 2, 3, 4]);
            for cut in 0..bytes.len() {
                assert_eq!(frame(&bytes[..cut]), Ok(None));
            }
            assert_eq!(frame(&bytes), Ok(Some((ClientFrame::Command(payload), bytes.len()))));
        }
    }

    #[test]
    fn what_no_client_may_send_is_refused() {
        let mut long = Vec::new();
        frames::write(&mut long, frames::Kind::Text, &vec![b'x'; limits::COMMAND_BYTES_MAX + 1], [0; 4]);
        assert_eq!(frame(&long), Err(close::PROTOCOL));
        assert_eq!(frame(&[0x81, 1, b'x']), Err(close::PROTOCOL), "not masked");
        assert_eq!(frame(&[0x01, 0x80, 0, 0, 0, 0]), Err(close::PROTOCOL), "a fragment");
        assert_eq!(frame(&[0x83, 0x80, 0, 0, 0, 0]), Err(close::PROTOCOL), "a reserved opcode");
        assert_eq!(opcode(b"what?"), Err(close::DECODE));
        assert_eq!(opcode(br#"{"op":-1}"#), Err(close::DECODE));
    }

    #[test]
    fn dispatches_are_numbered_from_where_the_session_began() {
        let body = message(message_id(7, 1_700_000_000_000_000_000), "\"quoted\" ü", 1_700_000_000_123_456_789);
        let parsed: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(parsed["timestamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!(parsed["content"], "\"quoted\" ü");
        for (offset, s) in [(0, 10), (5, 5), (7, 3)] {
            let mut out = Vec::new();
            message_create(&mut out, &body, 7, offset);
            let frame = frames::next(&out).expect("sound").expect("whole");
            let envelope = payload::envelope(frame.payload).expect("a payload");
            assert_eq!((envelope.name, envelope.s), ("MESSAGE_CREATE", Some(s)));
            let whole: serde_json::Value = serde_json::from_slice(frame.payload).expect("JSON");
            assert_eq!(whole["d"], parsed);
        }
    }

    #[test]
    fn ids_ascend() {
        let ids: Vec<u64> = (0..5).map(|number| message_id(number, 1_700_000_000_000_000_000)).collect();
        assert!(ids.is_sorted_by(|one, other| one < other));
    }
}
