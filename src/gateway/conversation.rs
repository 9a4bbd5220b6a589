//! What a client says, understood: frames to payloads to commands.
//!
//! Lives on: the core that has the socket. Synchronous; knows no socket, so tests and the simulator can talk to it.
//! Source: Discord docs, Gateway/Sending Events, Opcodes and Status Codes.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::clock::Time;
use crate::base::metrics::Counter;
use crate::base::slab::Key;
use crate::desk::settings::Settings;
use crate::gateway::commands::{heartbeat, identify, members, presence, resume, subscriptions};
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::net::frames::{Broken, Inbox, Incoming};
use crate::shard::Shard;
use crate::store::token::Signer;
use crate::wire::close::CloseCode;
use crate::wire::opcode::Opcode;

/// One client's side of a connection.
#[derive(Debug)]
pub struct Conversation {
    key: Key,
    inbox: Inbox,
    /// The host that the client came by, for READY. Most clients come by the same.
    host: Rc<str>,
}

/// What a conversation needs to know besides the shard.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// Verifies tokens.
    pub signer: &'a Signer,
    /// What the operator has set.
    pub settings: &'a Settings,
}

/// What the door has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on reading.
    Read,
    /// Take the socket to the core where this session lives.
    Move(Move),
}

/// A resume whose session lives on another core.
#[derive(Debug, PartialEq, Eq)]
pub struct Move {
    /// The session.
    pub session: SessionId,
    /// Whose token came with it, verified.
    pub user: crate::base::id::UserId,
    /// The last number that the client saw.
    pub seq: u64,
}

/// How one command ended.
pub(super) enum Verdict {
    /// Well.
    Done,
    /// The connection is closed.
    Close(CloseCode),
    /// The socket moves.
    Move(Move),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    op: u64,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

impl Conversation {
    /// A conversation on a connection that the shard has opened or adopted.
    pub fn new(key: Key, host: Rc<str>) -> Conversation {
        Conversation { key, inbox: Inbox::default(), host }
    }

    /// Whose it is.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Bytes read but not understood, to go with a socket that moves.
    pub fn unread(&self) -> Vec<u8> {
        self.inbox.unread().map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Takes what was read from the socket.
    pub fn read(&mut self, now: Time, bytes: &[u8], gate: Gate<'_>, shard: &mut Shard, out: &mut Outbox) -> Next {
        let key = self.key;
        let host = &self.host;
        let mut replies = Vec::new();
        let mut next = Next::Read;
        let mut rest: Vec<u8> = Vec::new();
        let mut client_closes = false;
        if shard.connection(key).is_none_or(|connection| connection.closing) {
            return next; // whatever else it says, nobody listens
        }
        let fed = self.inbox.feed(bytes, limits::PAYLOAD_BYTES_MAX, &mut replies, |incoming| {
            let Some(connection) = shard.connection(key) else { return };
            if connection.closing {
                return;
            }
            if next != Next::Read {
                // The socket moves: what comes behind the resume is for its new core. Only payloads can follow here.
                if let Incoming::Payload(payload) = incoming {
                    masked(&mut rest, &payload);
                }
                return;
            }
            match incoming {
                Incoming::Close(code) => {
                    client_closes = true;
                    shard.closed_by_client(now, key, code, out);
                }
                // It costs as much as a command and may be answered by a pong that is never read.
                Incoming::Aside => {
                    if !connection.count_command(now) {
                        shard.metrics.count(Counter::ProtocolErrors, 1);
                        shard.close_connection(now, key, CloseCode::RateLimited, None, out);
                    }
                }
                Incoming::Payload(payload) => match understand(now, key, host, &payload, gate, shard, out) {
                    Verdict::Done => {}
                    Verdict::Close(code) => {
                        shard.metrics.count(Counter::ProtocolErrors, 1);
                        shard.close_connection(now, key, code, None, out);
                    }
                    Verdict::Move(to) => next = Next::Move(to),
                },
            }
        });
        // Behind our own close frame nothing is said; the answer to the client's is in the replies.
        if !replies.is_empty() {
            shard.say(key, |connection| {
                if client_closes || !connection.closing {
                    connection.pending.append(&mut replies);
                }
            });
        }
        if let Err(broken) = fed {
            shard.metrics.count(Counter::ProtocolErrors, 1);
            let code = match broken {
                Broken::TooLong | Broken::NotUtf8 | Broken::Protocol => CloseCode::DecodeError,
            };
            shard.close_connection(now, key, code, None, out);
        }
        if next != Next::Read && !rest.is_empty() {
            self.inbox.prepend(&rest);
        }
        next
    }
}

/// One payload.
fn understand(
    now: Time,
    key: Key,
    host: &str,
    payload: &[u8],
    gate: Gate<'_>,
    shard: &mut Shard,
    out: &mut Outbox,
) -> Verdict {
    let Some(connection) = shard.connection(key) else { return Verdict::Done };
    if !connection.count_command(now) {
        return Verdict::Close(CloseCode::RateLimited);
    }
    let identified = connection.session.is_some();
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(payload) else {
        return Verdict::Close(CloseCode::DecodeError);
    };
    let Some(opcode) = Opcode::from_client(envelope.op) else { return Verdict::Close(CloseCode::UnknownOpcode) };
    let d = envelope.d.map_or("null", RawValue::get);
    match opcode {
        Opcode::Heartbeat => heartbeat::take(now, key, d, shard),
        Opcode::Identify => identify::take(now, key, host, d, gate, shard, out),
        Opcode::Resume => resume::take(now, key, d, gate, shard, out),
        _ if !identified => Verdict::Close(CloseCode::NotAuthenticated),
        Opcode::RequestGuildMembers => members::take(now, key, d, shard, out),
        Opcode::GuildSubscriptions => subscriptions::take_one(now, key, d, shard, out),
        Opcode::GuildSubscriptionsBulk => subscriptions::take_many(now, key, d, shard, out),
        Opcode::PresenceUpdate => presence::take(now, key, d, shard, out),
        // Understood, and without effect: there are no voice states or sounds yet.
        Opcode::VoiceStateUpdate | Opcode::RequestSoundboardSounds | Opcode::RequestChannelInfo => {
            if d.starts_with('{') { Verdict::Done } else { Verdict::Close(CloseCode::UnknownOpcode) }
        }
        // Never sent by clients; `from_client` does not give them.
        Opcode::Dispatch | Opcode::Reconnect | Opcode::InvalidSession | Opcode::Hello | Opcode::HeartbeatAck => {
            Verdict::Close(CloseCode::UnknownOpcode)
        }
    }
}

/// Wraps a payload that was understood as a frame again, masked with zeros, as a client would send it.
fn masked(out: &mut Vec<u8>, payload: &[u8]) {
    let start = out.len();
    crate::net::frames::write_head(out, crate::net::frames::FrameKind::Text, payload.len());
    out[start + 1] |= 0x80;
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}
