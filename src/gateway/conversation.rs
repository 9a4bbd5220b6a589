//! What a client sends, understood: frames to payloads to commands.
//!
//! Lives on: the core that has the socket. Synchronous; knows no socket, so tests and the simulator can talk to it.
//! Source: Discord docs, Gateway/Sending Events, Opcodes and Status Codes.

use std::ops::ControlFlow;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::clock::Time;
use crate::base::metrics::Counter;
use crate::base::slab::Key;
use crate::gateway::commands::{Gate, Move, Verdict, heartbeat, identify, members, presence, resume, subscriptions};
use crate::gateway::socket_table::Spoken;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::net::frames::{Broken, Incoming, MessageReader};
use crate::session::connection::Connection;
use crate::shard::Shard;
use crate::wire::close::CloseCode;
use crate::wire::opcode::Opcode;

/// One client's side of a connection.
#[derive(Debug)]
pub struct Conversation {
    key: Key,
    reader: MessageReader,
    /// The host that the client connected to, for READY. Most clients have the same.
    host: Rc<str>,
}

/// What the door has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on reading.
    Read,
    /// Take the socket to the core where this session lives.
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
        Conversation { key, reader: MessageReader::default(), host }
    }

    /// Bytes read but not understood, to go with a socket that moves.
    pub fn unread(self) -> Vec<u8> {
        self.reader.unread()
    }

    /// Takes what was read from the socket.
    pub fn read(&mut self, now: Time, bytes: &[u8], gate: Gate<'_>, shard: &mut Shard, out: &mut Outbox) -> Next {
        let key = self.key;
        let host = &self.host;
        let mut replies = Vec::new();
        let mut next = Next::Read;
        let mut client_closes = false;
        if shard.connection(key).is_none_or(Connection::is_closing) {
            return next; // behind the close frame nothing is read
        }
        let fed = self.reader.feed(bytes, limits::PAYLOAD_BYTES_MAX, &mut replies, |incoming| {
            if shard.connection(key).is_none_or(Connection::is_closing) {
                return ControlFlow::Break(());
            }
            match incoming {
                Incoming::Close(code) => {
                    client_closes = true;
                    shard.closed_by_client(now, key, code, out);
                }
                // It costs as much as a command and may be answered by a pong that is never read.
                Incoming::Aside => {
                    if !shard.count_command(now, key) {
                        shard.metrics().count(Counter::ProtocolErrors, 1);
                        shard.close_connection(now, key, CloseCode::RateLimited, None, out);
                    }
                }
                Incoming::Payload(payload) => match understand(now, key, host, &payload, gate, shard, out) {
                    Verdict::Done => {}
                    Verdict::Close(code) => {
                        shard.metrics().count(Counter::ProtocolErrors, 1);
                        shard.close_connection(now, key, code, None, out);
                    }
                    Verdict::Move(to) => {
                        // What comes behind the resume is for the core where the session lives.
                        next = Next::Move(to);
                        return ControlFlow::Break(());
                    }
                },
            }
            ControlFlow::Continue(())
        });
        // Behind our own close frame nothing is said; the answer to the client's is in the replies.
        if !replies.is_empty() {
            shard.queue_replies(key, &mut replies, client_closes);
        }
        if let Err(broken) = fed {
            shard.metrics().count(Counter::ProtocolErrors, 1);
            let code = match broken {
                Broken::TooLong | Broken::NotUtf8 | Broken::Protocol => CloseCode::DecodeError,
            };
            shard.close_connection(now, key, code, None, out);
        }
        next
    }
}

impl Spoken for Conversation {
    fn key(&self) -> Key {
        self.key
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
    let identified = connection.session().is_some();
    if !shard.count_command(now, key) {
        return Verdict::Close(CloseCode::RateLimited);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::UserId;
    use crate::base::prng::Prng;
    use crate::desk::settings::Settings;
    use crate::mail::letter::Letter;
    use crate::mail::placement::Placement;
    use crate::mail::session_id::SessionId;
    use crate::mail::site::Site;
    use crate::mail::terms::Terms;
    use crate::mail::to_user::ToUser;
    use crate::shard::ShardSettings;
    use crate::store::token::Signer;

    /// A client of the first of two cores.
    struct Client {
        shard: Shard,
        out: Outbox,
        signer: Signer,
        conversation: Conversation,
    }

    impl Client {
        fn connected() -> Client {
            let mut shard = Shard::new(ShardSettings {
                me: Site::new(0, 0),
                placement: Placement::over(2),
                prng: Prng::new(1),
                passivity: Default::default(),
                pace: Default::default(),
                listing: Default::default(),
                revoked: Vec::new(),
            });
            let key = shard.open(NOW, Terms { version: 10, compression: None });
            let conversation = Conversation::new(key, "here".into());
            Client { shard, out: Outbox::default(), signer: Signer::new([7; 32]), conversation }
        }

        fn sends(&mut self, bytes: &[u8]) -> Next {
            let settings =
                Settings { public_gateway_url: None, registration: false, rate_limits: false, global_rate: 50 };
            let gate = Gate { signer: &self.signer, settings: &settings };
            self.conversation.read(NOW, bytes, gate, &mut self.shard, &mut self.out)
        }

        fn resume(&self, session: SessionId) -> Vec<u8> {
            let token = self.signer.issue(UserId::new(5), 0);
            frame(0x81, format!(r#"{{"op":6,"d":{{"token":"{token}","session_id":"{session}","seq":1}}}}"#).as_bytes())
        }

        fn is_closing(&mut self) -> bool {
            self.shard.connection(self.conversation.key).is_none_or(Connection::is_closing)
        }
    }

    const NOW: Time = Time::from_millis(1_700_000_000_000);

    /// A client's frame, masked with zeros.
    fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u16;
        let head: &[u8] =
            if length < 126 { &[0x80 | length as u8] } else { &[0x80 | 126, (length >> 8) as u8, length as u8] };
        [&[first_byte], head, &[0; 4], payload].concat()
    }

    #[test]
    fn bytes_behind_a_resume_go_with_the_socket() {
        let elsewhere = SessionId { home: Site::new(0, 1), key: Key { index: 0, generation: 0 }, secret: 9 };
        let whole = frame(0x81, br#"{"op":1,"d":1}"#);
        let opened = frame(0x01, br#"{"op":1,"#);
        let closed = frame(0x88, &1000u16.to_be_bytes());
        let cut = &whole[..3];
        for behind in [&[][..], &whole, cut, &closed, &[&whole[..], &opened].concat(), &[&opened[..], cut].concat()] {
            let mut client = Client::connected();
            let resume = client.resume(elsewhere);
            let next = client.sends(&[&resume, behind].concat());
            assert_eq!(next, Next::Move(Move { session: elsewhere, user: UserId::new(5), seq: 1 }));
            assert!(!client.is_closing());
            assert_eq!(client.conversation.unread(), behind);
        }
    }

    #[test]
    fn a_connection_may_resume_only_the_session_that_it_carries() {
        let mut client = Client::connected();
        let token = client.signer.issue(UserId::new(5), 0);
        let d = format!(r#"{{"token":"{token}","intents":0,"properties":{{}}}}"#);
        client.sends(&frame(0x81, format!(r#"{{"op":2,"d":{d}}}"#).as_bytes()));
        let carried = client.out.letters.iter().find_map(|(_, letter)| match letter {
            Letter::ToUser(ToUser::Attach { session, .. }) => Some(*session),
            _ => None,
        });
        let carried = carried.expect("it attaches");
        let again = client.resume(carried);
        client.sends(&again);
        assert!(!client.is_closing(), "some libraries send it twice");
        let other = client.resume(SessionId { home: Site::new(0, 1), secret: carried.secret + 1, ..carried });
        client.sends(&other);
        assert!(client.is_closing(), "it is another one, were it at the same place of its core");
    }
}
