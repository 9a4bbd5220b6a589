//! One session as its client sees it: bytes in, bytes out, and what to do next. It has no socket and no clock.
//!
//! A million of them have to fit into memory: what few sessions need at a time is in [`Rare`], and what each needs per
//! stream is in [`crate::verify::entitlement`]. Source: Discord docs, Gateway/Connection Lifecycle.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::generate::clients::settings::Commands;
use crate::generate::clients::task_run::TaskRun;
use crate::model::script::{Kind as EventKind, Named, View};
use crate::model::tokens::Tokens;
use crate::verify::entitlement::{Ending, Entitlements, EventVerdict};
use crate::verify::marker::Marker;
use crate::verify::receipts::{Sequence, Step, Taken};
use crate::verify::session::{SessionId, SessionRecord};
use crate::verify::tally::{Fault, FaultKind, Tally};
use crate::wire::frames::{Broken, Kind};
use crate::wire::inflate::Inflate;
use crate::wire::payload::Names;
use crate::wire::{frames, payload, upgrade};

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
    /// It has said goodbye and waits for the server to close.
    Parting,
    /// Given up.
    Dead,
}

/// What the reactor has to do, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent {
    /// HELLO came: beat every so many milliseconds.
    RawSendTiming(u64),
    /// The session became live; `true` if it was resumed.
    Live(bool),
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disconnect {
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

impl From<Broken> for Disconnect {
    fn from(Broken(why): Broken) -> Disconnect {
        Disconnect::Broken(why.to_owned())
    }
}

/// What all clients of a thread share while they read.
#[derive(Debug)]
pub struct ClientContext {
    /// Which events are of this run.
    pub marker: Marker,
    /// Where the last marker was in its payload, counted from `d`.
    pub place: usize,
    /// Who may see what, and who has.
    pub entitlements: Entitlements,
    /// The sessions' tokens.
    pub tokens: Arc<Tokens>,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// What the server understands.
    pub commands: Commands,
    /// Where sessions are resumed: few addresses, so that each session has only a number.
    pub addresses: Vec<SocketAddr>,
    /// What happened so far.
    pub tally: Tally,
    /// What the sessions are asked to do.
    pub task_run: TaskRun,
    /// The last upgrade's request, and to whom: nearly all are alike.
    pub request: Option<(SocketAddr, Vec<u8>)>,
    /// Bytes to be sent by the client that reads.
    pub out: Vec<u8>,
    /// What it wants done.
    pub client_events: Vec<ClientEvent>,
    /// When the bytes were received, in nanoseconds since 1970.
    pub now_ns: u64,
    /// Where payloads are inflated.
    pub inflated: Vec<u8>,
    /// Masks of outgoing frames; they protect proxies, of which there are none here, so any will do.
    pub mask: [u8; 4],
}

impl ClientContext {
    /// Queues a payload.
    pub fn queue(&mut self, payload: &serde_json::Value) {
        self.queue_text(payload.to_string().as_bytes());
    }

    /// Queues a payload that is text already.
    pub fn queue_text(&mut self, text: &[u8]) {
        frames::write(&mut self.out, Kind::Text, text, self.mask);
    }

    /// The request for an upgrade.
    pub fn upgrade(&mut self, host: SocketAddr) -> &[u8] {
        if self.request.as_ref().is_none_or(|(other, _)| *other != host) {
            let mut request = Vec::new();
            upgrade::write(&mut request, host, self.zlib);
            self.request = Some((host, request));
        }
        self.request.as_ref().map_or(&[], |(_, request)| request)
    }

    fn number_of(&mut self, address: SocketAddr) -> Option<u16> {
        let known = self.addresses.iter().position(|other| *other == address);
        let at = known.unwrap_or_else(|| {
            self.addresses.push(address);
            self.addresses.len() - 1
        });
        // With more addresses than that, the others resume at the front door.
        u16::try_from(at).ok()
    }
}

/// What a client has only for a while.
#[derive(Debug, Default)]
struct Rare {
    /// The front of a frame that is not yet whole.
    partial: Vec<u8>,
    /// The front of a message whose other fragments are awaited.
    fragments: Option<(Kind, Vec<u8>)>,
    inflate: Option<Inflate>,
}

/// One session.
#[derive(Debug)]
pub struct Client {
    /// What the verifier needs of it.
    pub record: SessionRecord,
    rare: Option<Box<Rare>>,
    /// Whose session it is, as READY says; 0 before.
    pub user: u64,
    /// How far its connection has come.
    pub stage: Stage,
    /// Where it is resumed.
    address: Option<u16>,
    /// Whether the last heartbeat was acknowledged.
    pub acknowledged: bool,
    /// Acknowledgements until the server surely knows at which guilds the session looks; 0: it does, or the session
    /// does not look.
    fence: u8,
}

impl Client {
    /// A client that has never been connected.
    pub fn new(index: u32) -> Client {
        Client {
            record: SessionRecord::new(index),
            rare: None,
            user: 0,
            stage: Stage::Down,
            address: None,
            acknowledged: true,
            fence: 0,
        }
    }

    /// Whether it waits for the server to notice at which guilds it looks.
    pub fn is_fenced(&self) -> bool {
        self.fence > 0
    }

    /// A new connection begins: [`ClientContext::upgrade`] is the first to be said.
    pub fn connect(&mut self, zlib: bool) {
        self.stage = Stage::Upgrading;
        self.acknowledged = true;
        self.rare = zlib.then(|| Box::new(Rare { inflate: Some(Inflate::default()), ..Rare::default() }));
    }

    /// The connection is over; what was half read is void.
    pub fn disconnect(&mut self) {
        self.stage = Stage::Down;
        self.rare = None;
    }

    /// Where the session is resumed, if READY named an address.
    pub fn resume_address(&self, context: &ClientContext) -> Option<SocketAddr> {
        self.address.filter(|_| self.has_session()).map(|number| context.addresses[usize::from(number)])
    }

    /// Whether there is a session that could be resumed.
    pub fn has_session(&self) -> bool {
        !matches!(self.record.id, SessionId::None)
    }

    /// The session cannot be resumed: what it was entitled to is over.
    pub fn forget(&mut self, context: &mut ClientContext, ending: Ending) {
        self.record.id = SessionId::None;
        self.record.sequence = Sequence::default();
        self.fence = 0;
        context.entitlements.end_all(self.record.index, context.now_ns, ending);
    }

    /// Says a heartbeat.
    pub fn heartbeat(&mut self, context: &mut ClientContext) {
        self.acknowledged = false;
        match self.record.sequence.last() {
            0 => context.queue_text(br#"{"op":1,"d":null}"#),
            // Twenty digits at the most. A million sessions beat 24,000 times a second.
            last => {
                let (mut text, room) = ([0; 32], 32);
                let mut rest = &mut text[..];
                write!(rest, r#"{{"op":1,"d":{last}}}"#).expect("there is room for every number");
                let length = room - rest.len();
                context.queue_text(&text[..length]);
            }
        }
    }

    /// Takes the front of a frame that was left over, into the front of `buffer`; says how long it is. If it does not
    /// leave half of the buffer free, it stays here.
    pub fn take_partial(&mut self, buffer: &mut [u8]) -> usize {
        let Some(rare) = &mut self.rare else { return 0 };
        let length = rare.partial.len();
        if length == 0 || length > buffer.len() / 2 {
            return 0;
        }
        buffer[..length].copy_from_slice(&rare.partial);
        rare.partial = Vec::new();
        self.tidy();
        length
    }

    /// Keeps the front of a frame, which [`Client::take_partial`] gave.
    pub fn keep(&mut self, front: &[u8]) {
        self.rare().partial = front.to_vec();
    }

    /// Takes what was read. What is no whole frame is kept.
    pub fn read(&mut self, bytes: &[u8], context: &mut ClientContext) -> Result<(), Disconnect> {
        let kept = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.partial)).unwrap_or_default();
        if kept.is_empty() {
            let used = self.understand(bytes, context)?;
            if used < bytes.len() {
                self.rare().partial = bytes[used..].to_vec();
            }
        } else {
            let mut partial = kept;
            partial.extend_from_slice(bytes);
            let used = self.understand(&partial, context)?;
            if used < partial.len() {
                partial.drain(..used);
                self.rare().partial = partial;
            }
        }
        self.tidy();
        Ok(())
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Gives back what is no longer needed.
    fn tidy(&mut self) {
        let is_empty = |rare: &Rare| rare.partial.is_empty() && rare.fragments.is_none() && rare.inflate.is_none();
        if self.rare.as_deref().is_some_and(is_empty) {
            self.rare = None;
        }
    }

    /// Takes all that is whole at the front; says how much that was.
    fn understand(&mut self, bytes: &[u8], context: &mut ClientContext) -> Result<usize, Disconnect> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            match upgrade::read(bytes)? {
                None => return Ok(0),
                Some(head) => used = head,
            }
            self.stage = Stage::Greeting;
        }
        while let Some(frame) = frames::next(&bytes[used..])? {
            used += frame.length;
            match (frame.kind, frame.last) {
                (Kind::Text, true) if self.rare.is_none() => self.payload(frame.payload, frame.length, context)?,
                (Kind::Ping, _) => frames::write(&mut context.out, Kind::Pong, frame.payload, context.mask),
                // No client here pings: it is a raw send of the server's.
                (Kind::Pong, _) => context.tally.pong(context.now_ns),
                (Kind::Close, _) => {
                    if self.stage != Stage::Parting {
                        frames::write(&mut context.out, Kind::Close, frame.payload, context.mask);
                    }
                    let code = frame.payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                    return Err(Disconnect::Closed(code));
                }
                (Kind::Continuation, last) => {
                    let Some((kind, mut message)) = self.rare().fragments.take() else {
                        return Err(Disconnect::Broken("a continuation of nothing".into()));
                    };
                    message.extend_from_slice(frame.payload);
                    if last {
                        self.message(kind, &message, frame.length, context)?;
                    } else {
                        self.rare().fragments = Some((kind, message));
                    }
                }
                (Kind::Text | Kind::Binary, _) if self.rare().fragments.is_some() => {
                    return Err(Disconnect::Broken("a message within a fragmented message".into()));
                }
                (kind, true) => self.message(kind, frame.payload, frame.length, context)?,
                (kind, false) => self.rare().fragments = Some((kind, frame.payload.to_vec())),
            }
        }
        Ok(used)
    }

    fn message(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        wire: usize,
        context: &mut ClientContext,
    ) -> Result<(), Disconnect> {
        let Some(inflate) = self.rare.as_mut().and_then(|rare| rare.inflate.as_mut()) else {
            if kind == Kind::Binary {
                return Err(Disconnect::Broken("binary without compression".into()));
            }
            return self.payload(bytes, wire, context);
        };
        let mut inflated = std::mem::take(&mut context.inflated);
        let result = match inflate.take(bytes, &mut inflated) {
            Ok(true) => self.payload(&inflated, wire, context),
            Ok(false) => Ok(()),
            Err(broken) => Err(broken.into()),
        };
        context.inflated = inflated;
        result
    }

    /// One gateway payload, which took `wire` bytes.
    fn payload(&mut self, payload: &[u8], wire: usize, context: &mut ClientContext) -> Result<(), Disconnect> {
        if self.stage == Stage::Parting {
            return Ok(()); // whatever is said now, it is over
        }
        let Some(envelope) = payload::envelope(payload) else {
            return Err(Disconnect::Broken("no gateway payload".into()));
        };
        match envelope.op {
            0 => {
                let Some(s) = envelope.s else { return Err(Disconnect::Broken("a dispatch without a number".into())) };
                let step = self.record.sequence.take(s);
                if step != Step::Next {
                    context.tally.fault(Fault::step(&self.record, step, s, envelope.name));
                }
                self.dispatch(envelope.name, envelope.d, wire, context)
            }
            1 => {
                self.heartbeat(context);
                Ok(())
            }
            7 => Err(Disconnect::Asked),
            9 => Err(Disconnect::Invalid(envelope.d.starts_with(b"true"))),
            10 => self.hello(envelope.d, context),
            11 => {
                self.acknowledged = true;
                if self.fence > 0 && self.stage == Stage::Live {
                    self.fence -= 1;
                    if self.fence == 0 {
                        let guilds = context.entitlements.guilds_of(self.record.index);
                        context.entitlements.begin_looking(self.record.index, &guilds, context.now_ns);
                    }
                }
                context.task_run.acknowledge(self.record.index, context.now_ns);
                Ok(())
            }
            op => Err(Disconnect::Broken(format!("unknown opcode {op}"))),
        }
    }

    fn hello(&mut self, d: &[u8], context: &mut ClientContext) -> Result<(), Disconnect> {
        #[derive(Deserialize)]
        struct Hello {
            heartbeat_interval: u64,
        }
        let Some(Hello { heartbeat_interval: interval @ 1.. }) = payload::front(d) else {
            return Err(Disconnect::Broken("HELLO without an interval".into()));
        };
        if self.stage != Stage::Greeting {
            return Err(Disconnect::Broken("a second HELLO".into()));
        }
        context.client_events.push(ClientEvent::RawSendTiming(interval));
        let tokens = context.tokens.clone();
        let token = tokens.get(self.record.index);
        if let Some(id) = self.record.id.id() {
            self.stage = Stage::Resuming;
            context
                .queue(&json!({"op": 6, "d": {"token": token, "session_id": id, "seq": self.record.sequence.last()}}));
        } else {
            self.stage = Stage::Identifying;
            self.record.sequence = Sequence::default();
            let properties = json!({"os": "linux", "browser": "guildhall-bench", "device": "guildhall-bench"});
            let intents = context.entitlements.script().intents;
            context.queue(&json!({"op": 2, "d": {"token": token, "intents": intents, "properties": properties}}));
        }
        Ok(())
    }

    fn dispatch(&mut self, name: &str, d: &[u8], wire: usize, context: &mut ClientContext) -> Result<(), Disconnect> {
        match name {
            "MESSAGE_CREATE" => self.marked(EventKind::Message, d, wire, context),
            "MESSAGE_UPDATE" => self.marked(EventKind::Edit, d, wire, context),
            "CHANNEL_CREATE" => self.marked(EventKind::ChannelCreate, d, wire, context),
            "MESSAGE_DELETE" => self.named(EventKind::Delete, d, wire, context, |names| names.id),
            "CHANNEL_DELETE" => self.named(EventKind::ChannelDelete, d, wire, context, |names| names.id),
            "MESSAGE_REACTION_ADD" => self.named(EventKind::React, d, wire, context, Names::reaction),
            "MESSAGE_REACTION_REMOVE" => self.named(EventKind::Unreact, d, wire, context, Names::reaction),
            "TYPING_START" => self.named(EventKind::Typing, d, wire, context, Names::typing),
            "PRESENCE_UPDATE" => self.named(EventKind::Presence, d, wire, context, |names| names.user),
            "GUILD_MEMBER_ADD" => self.named(EventKind::Join, d, wire, context, |names| names.user),
            "GUILD_MEMBER_REMOVE" => self.named(EventKind::Leave, d, wire, context, |names| names.user),
            "VOICE_STATE_UPDATE" => self.named(EventKind::Voice, d, wire, context, |names| names.user),
            "READY" => self.ready(d, context)?,
            "GUILD_CREATE" => self.guild_came(d, context),
            "GUILD_DELETE" => self.guild_went(d, context),
            "CHANNEL_UNREAD_UPDATE" | "PASSIVE_UPDATE_V2" => {
                context.task_run.note_unread(self.record.index, d, context.now_ns)
            }
            "GUILD_MEMBER_LIST_UPDATE" => self.list_changed(d, context),
            "RESUMED" if self.stage == Stage::Resuming => {
                self.stage = Stage::Live;
                context.client_events.push(ClientEvent::Live(true));
                // It was cut before it was known whether the server had heard it.
                if std::mem::take(&mut self.fence) > 0 {
                    let guilds = context.entitlements.guilds_of(self.record.index);
                    self.look(&guilds, context);
                }
            }
            // Whatever else the server tells: its number has been checked, and nothing else is of interest here.
            _ => {}
        }
        Ok(())
    }

    /// An event that carries a marker, if it is of this run.
    fn marked(&mut self, kind: EventKind, d: &[u8], wire: usize, context: &mut ClientContext) {
        if let Some(mark) = context.marker.find_near(d, &mut context.place) {
            let verdict = context.entitlements.take(self.record.index, kind, mark);
            // What it has written itself, it may see wherever it looks.
            let verdict =
                verdict.filter(|verdict| verdict.taken != Taken::Leaked || payload::author(d) != Some(self.user));
            self.count(verdict, wire, context);
        }
    }

    /// An event that is known by what it names.
    fn named(
        &mut self,
        kind: EventKind,
        d: &[u8],
        wire: usize,
        context: &mut ClientContext,
        id: fn(&Names) -> Option<u64>,
    ) {
        // Before the driver has asked for anything there is nothing to look for, and guilds may be full of it.
        if context.entitlements.script().ledger.is_empty() {
            return;
        }
        let names = payload::names(d);
        if let Some(id) = id(&names) {
            let verdict = context.entitlements.take_named(self.record.index, Named { kind, id }, names.guild);
            let own = names.user == Some(self.user);
            let verdict = verdict.filter(|verdict| verdict.taken != Taken::Leaked || !own);
            self.count(verdict, wire, context);
        }
    }

    fn count(&mut self, verdict: Option<EventVerdict>, wire: usize, context: &mut ClientContext) {
        let Some(EventVerdict { taken, mark, kind }) = verdict else { return };
        match taken {
            Taken::New => {
                let group = context.entitlements.script().group_of.get(mark.stream as usize).copied();
                context.tally.delivered(kind, group, mark, context.now_ns, wire, context.entitlements.events());
            }
            Taken::Early => context.tally.counts.early += 1,
            Taken::Idle => {}
            Taken::Again | Taken::Leaked => context.tally.unwanted(&self.record, taken, kind, mark),
        }
    }

    fn ready(&mut self, d: &[u8], context: &mut ClientContext) -> Result<(), Disconnect> {
        #[derive(Deserialize)]
        struct Ready<'a> {
            #[serde(borrow)]
            session_id: Cow<'a, str>,
            #[serde(default)]
            resume_gateway_url: String,
            #[serde(default)]
            guilds: Vec<serde::de::IgnoredAny>,
            #[serde(default)]
            user: User,
        }
        #[derive(Default, Deserialize)]
        struct User {
            #[serde(default)]
            id: String,
        }
        if self.stage != Stage::Identifying {
            return Err(Disconnect::Broken("a READY that nobody asked for".into()));
        }
        let Some(terms) = payload::front::<Ready<'_>>(d) else {
            return Err(Disconnect::Broken("READY without a session".into()));
        };
        let authority = terms.resume_gateway_url.trim_start_matches("ws://");
        let address = authority.split('/').next().and_then(|authority| authority.parse().ok());
        self.address = address.and_then(|address| context.number_of(address));
        self.record.id = SessionId::new(&terms.session_id);
        self.user = terms.user.id.parse().unwrap_or(0);
        self.await_guilds(terms.guilds.len() as u32, context);
        Ok(())
    }

    fn guild_came(&mut self, d: &[u8], context: &mut ClientContext) {
        let guild = payload::guild_id(d).and_then(|id| context.entitlements.guild(id));
        if let Some(guild) = guild {
            context.entitlements.begin_guild(self.record.index, guild, context.now_ns);
        }
        match (self.stage, guild) {
            (Stage::Gathering(missing), _) => self.await_guilds(missing - 1, context),
            // Joined later.
            (Stage::Live, Some(guild)) => self.look(&[guild], context),
            _ => {}
        }
    }

    fn guild_went(&mut self, d: &[u8], context: &mut ClientContext) {
        let names = payload::names(d);
        // A guild that is out of order for a while is still the session's: what it misses is lost.
        if !names.unavailable
            && let Some(guild) = names.id.and_then(|id| context.entitlements.guild(id))
        {
            context.entitlements.end_guild(self.record.index, guild, context.now_ns);
        }
        if let Stage::Gathering(missing) = self.stage {
            self.await_guilds(missing - 1, context);
        }
    }

    fn list_changed(&self, d: &[u8], context: &mut ClientContext) {
        let came = context.task_run.lists.take(self.record.index, d, context.now_ns);
        let counts = &mut context.tally.counts;
        counts.rows_checked += u64::from(came.checked);
        counts.ranges_synced += came.ops.synced;
        counts.ranges_invalidated += came.ops.invalidated;
        counts.rows_inserted += came.ops.inserted;
        counts.rows_updated += came.ops.updated;
        counts.rows_deleted += came.ops.deleted;
        if came.took_ns.is_some() {
            context.task_run.complete(self.record.index, context.now_ns, came.took_ns);
        }
        if let Some(wrong) = came.wrong {
            context.tally.fault(Fault::new(FaultKind::Inconsistent, &self.record, wrong));
        }
    }

    fn await_guilds(&mut self, missing: u32, context: &mut ClientContext) {
        if missing > 0 {
            self.stage = Stage::Gathering(missing);
            return;
        }
        self.stage = Stage::Live;
        context.entitlements.begin_all(self.record.index, context.now_ns);
        context.client_events.push(ClientEvent::Live(false));
        if context.entitlements.script().is_looking(self.record.index) {
            let guilds = context.entitlements.guilds_of(self.record.index);
            self.look(&guilds, context);
        }
    }

    /// Says that the session has these guilds open, if it is one that looks.
    fn look(&mut self, guilds: &[u32], context: &mut ClientContext) {
        let script = context.entitlements.script().clone();
        if !script.is_looking(self.record.index) {
            return;
        }
        let mut said = false;
        for View { guild, channel } in guilds.iter().filter_map(|guild| script.views.get(*guild as usize)) {
            if !context.commands.look {
                context.tally.counts.skipped += 1;
                continue;
            }
            let mut wants = json!({"typing": true, "activities": true, "threads": true, "member_updates": true});
            if context.commands.scroll {
                wants["channels"] = json!({channel.to_string(): [[0, 99]]});
            }
            context.queue(&json!({"op": 37, "d": {"subscriptions": {guild.to_string(): wants}}}));
            said = true;
        }
        // Commands are taken in their order: when a heartbeat behind it is acknowledged, the server has heard it.
        if said && script.looked_at.contains(&true) {
            self.fence += if self.acknowledged || self.fence > 0 { 1 } else { 2 };
            self.heartbeat(context);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::script::Script;
    use crate::verify::delivery_table::DeliveryTable;

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
            r#"{"t":"READY","s":1,"op":0,"d":{"user":{"id":"77"},"session_id":"abc","resume_gateway_url":"ws://127.0.0.1:5","guilds":[{"id":"1","unavailable":true}]}}"#,
        ));
        bytes.extend(text(r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"id":"1"}}"#));
        bytes
    }

    /// The context of one client, which sees one channel with four messages.
    fn context() -> ClientContext {
        let script = Arc::new(Script::of_channel(1, 4, 1.0));
        let events = Arc::new(DeliveryTable::new(&script));
        ClientContext {
            marker: Marker::new("r"),
            place: 0,
            entitlements: Entitlements::new(script, events, 0, 1),
            tokens: Arc::new(["t"].into_iter().collect()),
            zlib: false,
            commands: Commands::NONE,
            addresses: Vec::new(),
            tally: Tally::default(),
            task_run: TaskRun::new(0),
            request: None,
            out: Vec::new(),
            client_events: Vec::new(),
            now_ns: 2_000_000,
            inflated: Vec::new(),
            mask: [0; 4],
        }
    }

    fn connected(context: &ClientContext) -> Client {
        let mut client = Client::new(0);
        client.connect(context.zlib);
        client
    }

    /// A message's dispatch.
    fn message(s: u64, index: u32) -> String {
        format!(r#"{{"t":"MESSAGE_CREATE","s":{s},"op":0,"d":{{"content":"gh r 0 {index} 1000000 x"}}}}"#)
    }

    fn has(context: &ClientContext) -> Vec<u32> {
        let (_, receipt) = context.entitlements.of(0).next().expect("it sees a stream");
        (0..4).filter(|index| receipt.has(*index)).collect()
    }

    #[test]
    fn a_session_comes_up_however_the_bytes_are_split() {
        let mut bytes = greeting();
        bytes.extend(text(&message(3, 1)));
        for size in [1, 2, 3, 7, 64, bytes.len()] {
            let mut context = context();
            let mut client = connected(&context);
            // As the reactor reads: what is left over goes to the front of its buffer.
            let mut buffer = [0; 1024];
            for piece in bytes.chunks(size) {
                let kept = client.take_partial(&mut buffer);
                buffer[kept..kept + piece.len()].copy_from_slice(piece);
                client.read(&buffer[..kept + piece.len()], &mut context).expect("sound");
            }
            assert_eq!(client.stage, Stage::Live);
            assert_eq!(context.client_events, [ClientEvent::RawSendTiming(1_000), ClientEvent::Live(false)]);
            assert_eq!((client.record.sequence.last(), has(&context)), (3, vec![1]));
            assert_eq!((client.record.id.id(), client.user), (Some("abc"), 77));
            assert_eq!(client.resume_address(&context).map(|to| to.port()), Some(5));
            assert!(client.rare.is_none(), "an idle client holds no buffer");
        }
    }

    #[test]
    fn a_frame_that_is_longer_than_half_of_the_buffer_waits_with_its_client() {
        let mut context = context();
        let mut client = connected(&context);
        client.read(&greeting(), &mut context).expect("sound");
        let bytes = text(&message(3, 2));
        let mut buffer = [0; 64];
        for piece in bytes.chunks(32) {
            let kept = client.take_partial(&mut buffer);
            assert!(kept <= 32);
            buffer[kept..kept + piece.len()].copy_from_slice(piece);
            client.read(&buffer[..kept + piece.len()], &mut context).expect("sound");
        }
        assert_eq!(has(&context), [2]);
        assert!(client.rare.is_none());
    }

    #[test]
    fn a_heartbeat_names_the_last_dispatch_or_null() {
        let mut context = context();
        let mut client = connected(&context);
        client.heartbeat(&mut context);
        client.record.sequence = Sequence::default();
        let said = |context: &mut ClientContext| {
            // Two bytes of head, and a mask that is all zeros here.
            let said = String::from_utf8(context.out.split_off(6)).expect("text");
            context.out.clear();
            said
        };
        assert_eq!(said(&mut context), r#"{"op":1,"d":null}"#);
        for s in [1, 2] {
            client.record.sequence.take(s);
        }
        client.heartbeat(&mut context);
        assert_eq!(said(&mut context), r#"{"op":1,"d":2}"#);
        client.record.sequence.take(u64::from(u32::MAX));
        client.heartbeat(&mut context);
        assert_eq!(said(&mut context), r#"{"op":1,"d":4294967295}"#);
    }

    #[test]
    fn fragments_and_pings_between_them_are_understood() {
        let mut context = context();
        let mut client = connected(&context);
        client.read(&greeting(), &mut context).expect("sound");
        context.out.clear();
        let payload = message(3, 0).into_bytes();
        let (front, back) = payload.split_at(20);
        let mut bytes = vec![0x01, front.len() as u8];
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(&[0x89, 2, b'h', b'i', 0x80, back.len() as u8]);
        bytes.extend_from_slice(back);
        client.read(&bytes, &mut context).expect("sound");
        assert_eq!(has(&context), [0]);
        assert_eq!(context.out, [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert!(client.rare.is_none(), "an idle client holds no buffer");
    }

    #[test]
    fn a_message_that_comes_twice_is_a_fault() {
        let mut context = context();
        let mut client = connected(&context);
        client.read(&greeting(), &mut context).expect("sound");
        for s in [3, 4] {
            client.read(&text(&message(s, 0)), &mut context).expect("sound");
        }
        let counts = context.tally.counts;
        assert_eq!((counts.delivered, counts.duplicated, counts.sequence_duplicates), (1, 1, 0));
        assert_eq!(context.tally.again[EventKind::Message as usize], 1);
    }

    #[test]
    fn a_session_keeps_what_it_has_when_it_is_resumed_and_not_when_it_is_forgotten() {
        let mut context = context();
        let mut client = connected(&context);
        client.read(&greeting(), &mut context).expect("sound");
        client.read(&text(&message(3, 0)), &mut context).expect("sound");
        client.disconnect();
        client.connect(context.zlib);
        let mut again = upgrade::answer();
        again.extend(text(r#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":1000}}"#));
        context.out.clear();
        client.read(&again, &mut context).expect("sound");
        assert_eq!(client.stage, Stage::Resuming);
        // The mask of the client's frames is all zeros here.
        let start = context.out.iter().position(|byte| *byte == b'{').expect("JSON");
        let said: serde_json::Value = serde_json::from_slice(&context.out[start..]).expect("JSON");
        assert_eq!(said, json!({"op": 6, "d": {"token": "t", "session_id": "abc", "seq": 3}}));
        client.read(&text(&message(4, 1)), &mut context).expect("sound");
        client.read(&text(r#"{"t":"RESUMED","s":5,"op":0,"d":null}"#), &mut context).expect("sound");
        assert_eq!((client.stage, has(&context)), (Stage::Live, vec![0, 1]));
        client.forget(&mut context, Ending::Wanted);
        assert!(!client.has_session() && has(&context).is_empty());
        let (_, receipt) = context.entitlements.of(0).next().expect("it sees a stream");
        assert_eq!(receipt.past().len(), 1);
    }
}
