//! What a server supports, found out by asking before the traffic begins: what it does not is left out of a run.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::base::http::{HttpConnection, MessageTarget};
use crate::base::{http, limits};
use crate::model::fixture::{Fixture, user_of};
use crate::model::trace;
use crate::model::trace::{Action, Channel, ChannelKind, Trace};
use crate::wire::payload;

/// Actions that a server may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Reactions over REST.
    Reactions,
    /// Op 3, and PRESENCE_UPDATE for others.
    Presences,
    /// Op 4, and VOICE_STATE_UPDATE.
    Voice,
    /// Op 14, and GUILD_MEMBER_LIST_UPDATE.
    MemberLists,
}

impl Feature {
    /// What an action needs, if a server may lack it.
    pub fn of(action: &Action) -> Option<Feature> {
        match action {
            Action::React { .. } | Action::Unreact { .. } => Some(Feature::Reactions),
            Action::Presence { .. } => Some(Feature::Presences),
            Action::Voice { .. } => Some(Feature::Voice),
            Action::Scroll { .. } => Some(Feature::MemberLists),
            _ => None,
        }
    }

    /// As warnings call it.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Reactions => "reactions",
            Feature::Presences => "presences",
            Feature::Voice => "voice states",
            Feature::MemberLists => "member lists",
        }
    }
}

/// The features that a trace needs and the server lacks.
pub fn lacking(server: SocketAddr, fixture: &Fixture, trace: &Trace) -> Result<Vec<Feature>, String> {
    let mut lacking = Vec::new();
    let mut asked = Vec::new();
    for trace::Line { action, .. } in &trace.actions {
        let Some(feature) = Feature::of(action).filter(|feature| !asked.contains(feature)) else { continue };
        asked.push(feature);
        if !has(server, fixture, trace, feature)? {
            lacking.push(feature);
        }
    }
    Ok(lacking)
}

/// Whether the server has a feature. It is asked in a guild that has two sessions, and a channel of the kind that it
/// takes.
pub fn has(server: SocketAddr, fixture: &Fixture, trace: &Trace, feature: Feature) -> Result<bool, String> {
    ask(server, fixture, trace, feature).map_err(|error| format!("asking for {}: {error}", feature.name()))
}

/// By guild, whether those get no messages who do not look at it. Guilds of the same size are alike, and so are all
/// that are larger.
pub fn passive(server: SocketAddr, fixture: &Fixture, trace: &Trace) -> Result<Vec<bool>, String> {
    let mut sizes: Vec<u64> = trace
        .guilds
        .iter()
        .map(|guild| guild.members)
        .filter(|members| *members >= limits::LARGE_MEMBERS_MIN)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    // From the largest down by halves: the first size that is passive.
    let mut failure = None;
    let mut is_passive = |members: u64| {
        let found =
            trace.guilds.iter().position(|guild| guild.members == members && guild.sessions - guild.joining >= 2);
        let answer = found.map_or(Ok(false), |guild| passes_over(server, fixture, trace, guild));
        answer.unwrap_or_else(|error| {
            failure.get_or_insert(format!("asking who gets messages: {error}"));
            false
        })
    };
    let least = match sizes.split_last() {
        Some((largest, smaller)) if is_passive(*largest) => {
            let at = smaller.partition_point(|members| !is_passive(*members));
            smaller.get(at).copied().unwrap_or(*largest)
        }
        _ => u64::MAX,
    };
    failure.map_or_else(|| Ok(trace.guilds.iter().map(|guild| guild.members >= least).collect()), Err)
}

/// Whether a message in a guild passes over those who do not look at it.
fn passes_over(server: SocketAddr, fixture: &Fixture, trace: &Trace, guild: usize) -> io::Result<bool> {
    let (place, first) = (&fixture.guilds[guild], trace.firsts()[guild]);
    let open = |channel: &Channel| channel.kind == ChannelKind::Text && channel.share.is_none();
    let channel = trace.guilds[guild].channels.iter().position(open).and_then(|channel| place.channels.get(channel));
    let (Some(channel), false) = (channel, place.id == 0) else { return Ok(false) };
    let mut one = ProbeSession::open(server, fixture.tokens.get(first))?;
    let mut other = ProbeSession::open(server, fixture.tokens.get(first + 1))?;
    one.send(&json!({"op": 37, "d": {"subscriptions": {place.id.to_string(): {"typing": true}}}}));
    // A server that does not know the op closes the connection, or says nothing about it.
    one.receives("GUILD_CREATE")?;
    other.receives("GUILD_CREATE")?;
    let target = MessageTarget { server, channel: channel.to_string(), token: fixture.tokens.get(first).to_owned() };
    HttpConnection::open(target)?.post("who gets this?")?;
    one.receives("MESSAGE_CREATE")?;
    let receives = other.wait("MESSAGE_CREATE", Instant::now() + limits::PASSIVE_TIME)?;
    one.close()?;
    other.close()?;
    Ok(!receives)
}

fn ask(server: SocketAddr, fixture: &Fixture, trace: &Trace, feature: Feature) -> io::Result<bool> {
    let wanted = if feature == Feature::Voice { ChannelKind::Voice } else { ChannelKind::Text };
    let fitting = trace.guilds.iter().zip(trace.firsts()).zip(&fixture.guilds).find_map(|((guild, first), place)| {
        let open = |channel: &Channel| channel.kind == wanted && channel.share.is_none();
        let channel = guild.channels.iter().position(open)?;
        (guild.sessions - guild.joining >= 2).then_some((first, place.id, *place.channels.get(channel)?))
    });
    let Some((first, guild, channel)) = fitting else { return Ok(false) };
    let token = |session: u32| fixture.tokens.get(session);
    if feature == Feature::Reactions {
        return reacts(server, token(first), channel);
    }
    let mut one = ProbeSession::open(server, token(first))?;
    match feature {
        Feature::Reactions => unreachable!("asked above"),
        Feature::Presences => {
            let mut other = ProbeSession::open(server, token(first + 1))?;
            // In large guilds only sessions that follow the user get it.
            if let Some(user) = user_of(token(first)) {
                let follows = json!({"typing": true, "activities": true, "members": [user.to_string()]});
                other.send(&json!({"op": 37, "d": {"subscriptions": {guild.to_string(): follows}}}));
            }
            let says =
                |status: &str| json!({"op": 3, "d": {"since": 0, "activities": [], "status": status, "afk": false}});
            one.send(&says("idle"));
            let seen = other.receives("PRESENCE_UPDATE")?;
            one.send(&says("online"));
            other.close()?;
            one.close()?;
            Ok(seen)
        }
        Feature::Voice => {
            let says = |channel: Value| {
                let d = json!({"guild_id": guild.to_string(), "channel_id": channel, "self_mute": false, "self_deaf": false});
                json!({"op": 4, "d": d})
            };
            one.send(&says(channel.to_string().into()));
            let seen = one.receives("VOICE_STATE_UPDATE")?;
            one.send(&says(Value::Null));
            one.close()?;
            Ok(seen)
        }
        Feature::MemberLists => {
            let channels = json!({channel.to_string(): [[0, 99]]});
            let wants =
                json!({"typing": true, "threads": false, "activities": true, "members": [], "channels": channels});
            one.send(&json!({"op": 37, "d": {"subscriptions": {guild.to_string(): wants}}}));
            let seen = one.receives("GUILD_MEMBER_LIST_UPDATE")?;
            one.close()?;
            Ok(seen)
        }
    }
}

/// Whether the server knows of reactions: to a message that is not there it says so, and not that the route is unknown.
fn reacts(server: SocketAddr, token: &str, channel: u64) -> io::Result<bool> {
    let mut request = Vec::new();
    let path = format!("/api/v10/channels/{channel}/messages/1/reactions/%F0%9F%98%80/@me");
    http::write(&mut request, server, "PUT", &path, token, None);
    let target = MessageTarget { server, channel: channel.to_string(), token: token.to_owned() };
    let (status, body) = HttpConnection::open(target)?.ask(&request)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    // 10008 is «Unknown Message»; code 0 goes with «404: Not Found» and «405: Method Not Allowed».
    Ok((200..300).contains(&status) || body["code"].as_u64().is_some_and(|code| code != 0))
}

/// A session that blocks.
struct ProbeSession {
    socket: WebSocket<TcpStream>,
    open: bool,
}

impl ProbeSession {
    /// Connects, identifies with all intents, and waits for READY.
    fn open(server: SocketAddr, token: &str) -> io::Result<ProbeSession> {
        let until = Instant::now() + limits::HANDSHAKE_TIME;
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limits::HANDSHAKE_TIME))?;
        let (socket, _) = tungstenite::client(format!("ws://{server}/?v=10&encoding=json"), stream)
            .map_err(|error| io::Error::other(format!("the upgrade: {error}")))?;
        let mut session = ProbeSession { socket, open: true };
        let properties = json!({"os": "linux", "browser": "guildhall-bench", "device": "guildhall-bench"});
        let intents = (1u64 << 17) - 1;
        session.send(&json!({"op": 2, "d": {"token": token, "intents": intents, "properties": properties}}));
        match session.wait("READY", until)? {
            true => Ok(session),
            false => Err(io::Error::other("the server does not take the first tokens")),
        }
    }

    fn send(&mut self, payload: &Value) {
        // A server that does not know an op closes the connection; that is an answer, not a failure.
        self.open = self.open && self.socket.send(Message::text(payload.to_string())).is_ok();
    }

    /// Whether a dispatch of this name comes soon.
    fn receives(&mut self, name: &str) -> io::Result<bool> {
        self.wait(name, Instant::now() + limits::PROBE_TIME)
    }

    fn wait(&mut self, name: &str, until: Instant) -> io::Result<bool> {
        while self.open {
            let left = until.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return Ok(false);
            }
            self.socket.get_ref().set_read_timeout(Some(left))?;
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    if payload::envelope(text.as_bytes()).is_some_and(|envelope| envelope.name == name) {
                        return Ok(true);
                    }
                }
                Ok(message) => self.open = !message.is_close(),
                Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(false);
                }
                Err(_) => self.open = false,
            }
        }
        Ok(false)
    }

    /// Ends the session, so that the server does not keep it.
    fn close(&mut self) -> io::Result<()> {
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // The server closes; the side that closes first keeps the port for a minute.
        if self.open && self.socket.close(Some(normal)).is_ok() {
            self.wait("", Instant::now() + limits::PROBE_TIME)?;
        }
        Ok(())
    }
}
