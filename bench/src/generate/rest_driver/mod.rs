//! Plays the part of a trace that goes over REST, each action at its intended time; [`crate::generate::clients`] plays
//! what sessions do.

pub mod assignment;
pub mod connections;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use crate::base::times::{microseconds, record};
use crate::base::{clock, http, limits};
use crate::generate::rest_driver::assignment::{Assignment, NO_MARK};
use crate::generate::rest_driver::connections::{HttpPool, HttpRequest, HttpResult};
use crate::model::fixture::{Fixture, user_of};
use crate::model::script::{Kind, Mark, Named, Script, Stream};
use crate::model::trace::{Action, Trace};
use crate::verify::marker::Marker;

/// The longest that the driver sleeps, so that it sees an order to stop.
const NAP: Duration = Duration::from_millis(50);

/// What is asked of the server, as far as answers are distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// POST messages.
    Message,
    /// PATCH a message.
    Edit,
    /// DELETE a message.
    Delete,
    /// PUT or DELETE a reaction.
    Reaction,
    /// POST typing.
    Typing,
    /// GET messages.
    History,
    /// POST an invite.
    Join,
    /// DELETE oneself from a guild.
    Leave,
    /// POST channels.
    ChannelCreate,
    /// DELETE a channel.
    ChannelDelete,
}

impl Route {
    /// All of them.
    pub const ALL: [Route; 10] = [
        Route::Message,
        Route::Edit,
        Route::Delete,
        Route::Reaction,
        Route::Typing,
        Route::History,
        Route::Join,
        Route::Leave,
        Route::ChannelCreate,
        Route::ChannelDelete,
    ];

    /// As reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Route::Message => "POST message",
            Route::Edit => "PATCH message",
            Route::Delete => "DELETE message",
            Route::Reaction => "reaction",
            Route::Typing => "POST typing",
            Route::History => "GET messages",
            Route::Join => "POST invite",
            Route::Leave => "DELETE guild of mine",
            Route::ChannelCreate => "POST channel",
            Route::ChannelDelete => "DELETE channel",
        }
    }
}

/// What came of a route.
#[derive(Debug)]
pub struct RouteTally {
    /// Requests that were answered with 2xx.
    pub done: u64,
    /// Requests that were answered otherwise, or not at all.
    pub errors: u64,
    /// From the intended time to the answer.
    pub answer: Histogram<u64>,
}

/// How far the driver is; it can also be told to stop.
#[derive(Debug, Default)]
pub struct DriverProgress {
    /// Requests answered with 2xx.
    pub done: AtomicU32,
    /// Requests that failed.
    pub errors: AtomicU32,
    /// No further action is begun.
    pub stop: AtomicBool,
}

/// Which events the server has accepted; those who wait for deliveries read along.
#[derive(Debug)]
pub struct Accepted {
    streams: Vec<Vec<AtomicBool>>,
}

impl Accepted {
    /// None of a script's events yet.
    pub fn new(script: &Script) -> Accepted {
        let none = |stream: &Stream| stream.kinds.iter().map(|_| AtomicBool::new(false)).collect();
        Accepted { streams: script.streams.iter().map(none).collect() }
    }

    /// Whether an event was accepted.
    pub fn has(&self, stream: u32, index: u32) -> bool {
        self.streams[stream as usize][index as usize].load(Ordering::Acquire)
    }

    fn add(&self, stream: u32, index: u32) {
        self.streams[stream as usize][index as usize].store(true, Ordering::Release);
    }
}

/// What came of playing.
#[derive(Debug)]
pub struct DriverResult {
    /// By route.
    pub routes: HashMap<Route, RouteTally>,
    /// Actions that could not be asked, since what they need had failed before.
    pub skipped: u64,
    /// The first errors.
    pub faults: Vec<String>,
    /// From the intended time to the request being handed to the kernel: how late the driver itself was.
    pub lag: Histogram<u64>,
    /// When the last request was answered, in nanoseconds since 1970.
    pub last_ns: u64,
}

/// The driver; it lives on a thread of its own.
#[derive(Debug)]
pub struct RestDriver {
    /// Where.
    pub server: SocketAddr,
    /// What is done.
    pub trace: Arc<Trace>,
    /// By whom, and as which event.
    pub assignment: Arc<Assignment>,
    /// On which ids.
    pub fixture: Arc<Fixture>,
    /// Who posts all messages in place of the trace's people.
    pub author: Option<String>,
    /// Where it is written down what was accepted.
    pub accepted: Arc<Accepted>,
    /// The run's marker.
    pub marker: Marker,
    /// When the trace begins, in nanoseconds since 1970.
    pub start_ns: u64,
    /// How many times faster than written.
    pub speed: f64,
}

/// What the driver knows of the fixture while it plays.
struct State {
    /// By message: its id, once it is posted.
    ids: Vec<u64>,
    /// Actions whose time has come, while all connections are busy. Not their requests: if a server stands still, there
    /// are millions.
    ready: VecDeque<usize>,
    /// By message: what waits for the id.
    waiting: HashMap<u32, Vec<usize>>,
    /// By message: it was refused.
    refused: Vec<bool>,
    /// By guild and channel.
    channels: Vec<Vec<Option<u64>>>,
    /// By action: which message or channel it makes.
    made: HashMap<usize, u32>,
    /// By action: what the ledger expects of it.
    named: HashMap<usize, (Named, Mark)>,
    messages: u32,
}

/// An action in the form of a request.
struct Asked {
    method: &'static str,
    path: String,
    body: Option<String>,
    token: String,
    /// What the event that it makes will be known by, if it carries no marker.
    named: Option<Named>,
}

impl RestDriver {
    /// Plays everything whose turn `supported` says it is; blocks until all is answered or given up.
    pub fn play(&self, supported: impl Fn(&Action) -> bool, advance: &DriverProgress) -> std::io::Result<DriverResult> {
        let mut pool = HttpPool::new(self.server)?;
        let mut played = DriverResult {
            routes: HashMap::new(),
            skipped: 0,
            faults: Vec::new(),
            lag: microseconds(),
            last_ns: self.start_ns,
        };
        let channels = self.fixture.guilds.iter().map(|place| place.channels.iter().copied().map(Some).collect());
        let mut state = State {
            ids: vec![0; self.assignment.messages.len()],
            ready: VecDeque::new(),
            waiting: HashMap::new(),
            refused: vec![false; self.assignment.messages.len()],
            channels: channels.collect(),
            made: HashMap::new(),
            named: HashMap::new(),
            messages: 0,
        };
        let mut done = Vec::new();
        let mut next = 0;
        let mut give_up = u64::MAX;
        loop {
            let now = clock::now_ns();
            if advance.stop.load(Ordering::Relaxed) {
                next = self.trace.actions.len();
            }
            while next < self.trace.actions.len() && self.intended(next) <= now {
                self.begin(next, &supported, &mut state, &mut pool, &mut played, &mut done);
                next += 1;
            }
            if next >= self.trace.actions.len() && give_up == u64::MAX {
                give_up = now + limits::ANSWER_TIME.as_nanos() as u64;
            }
            let waits = !state.waiting.is_empty();
            if next >= self.trace.actions.len()
                && pool.outstanding() == 0
                && state.ready.is_empty()
                && done.is_empty()
                && !waits
            {
                break;
            }
            if now > give_up {
                pool.give_up(&mut done);
                let never = |number| HttpResult {
                    number,
                    intended_ns: self.intended(number),
                    sent_ns: 0,
                    done_ns: now,
                    answer: Err("never sent, since all connections were busy".to_owned()),
                };
                done.extend(state.ready.drain(..).map(never));
            }
            let due = if next < self.trace.actions.len() { self.intended(next) } else { give_up };
            let nap = Duration::from_nanos(due.saturating_sub(clock::now_ns())).min(NAP);
            pool.turn(nap, &mut done);
            loop {
                while let Some(one) = done.pop() {
                    self.end(one, &mut state, &mut pool, &mut played, &mut done, advance);
                }
                if !pool.has_room() {
                    break;
                }
                let Some(number) = state.ready.pop_front() else { break };
                self.ask(number, &mut state, &mut pool, &mut played, &mut done);
            }
            if now > give_up {
                played.skipped += state.waiting.drain().map(|(_, waiting)| waiting.len() as u64).sum::<u64>();
                break;
            }
        }
        Ok(played)
    }

    fn intended(&self, number: usize) -> u64 {
        self.start_ns + (self.trace.actions[number].at as f64 * 1e3 / self.speed) as u64
    }

    /// An action's time has come.
    fn begin(
        &self,
        number: usize,
        supported: &impl Fn(&Action) -> bool,
        state: &mut State,
        pool: &mut HttpPool,
        played: &mut DriverResult,
        done: &mut Vec<HttpResult>,
    ) {
        let action = &self.trace.actions[number].action;
        if let Action::Message { .. } = action {
            state.made.insert(number, state.messages);
            state.messages += 1;
        }
        if let Action::ChannelCreate { guild } = action {
            let channels = &mut state.channels[*guild as usize];
            channels.push(None);
            state.made.insert(number, channels.len() as u32 - 1);
        }
        if !supported(action) {
            if let Some(message) = state.made.remove(&number).filter(|_| matches!(action, Action::Message { .. })) {
                state.refused[message as usize] = true;
            }
            return;
        }
        match needs(action) {
            Some(message) if state.refused[message as usize] => played.skipped += 1,
            Some(message) if state.ids[message as usize] == 0 => {
                state.waiting.entry(message).or_default().push(number);
            }
            _ => self.ask_in_turn(number, state, pool, played, done),
        }
    }

    /// Asks, or waits until a connection is free.
    fn ask_in_turn(
        &self,
        number: usize,
        state: &mut State,
        pool: &mut HttpPool,
        played: &mut DriverResult,
        done: &mut Vec<HttpResult>,
    ) {
        if route(&self.trace.actions[number].action).is_none() {
            return; // the client pool does it
        }
        if pool.has_room() && state.ready.is_empty() {
            self.ask(number, state, pool, played, done);
        } else {
            state.ready.push_back(number);
        }
    }

    /// A message will never have an id: what is about it cannot be asked.
    fn refuse(message: u32, state: &mut State, played: &mut DriverResult) {
        state.refused[message as usize] = true;
        played.skipped += state.waiting.remove(&message).map_or(0, |waiting| waiting.len() as u64);
    }

    /// Asks; a connection must be free.
    fn ask(
        &self,
        number: usize,
        state: &mut State,
        pool: &mut HttpPool,
        played: &mut DriverResult,
        done: &mut Vec<HttpResult>,
    ) {
        let intended_ns = self.intended(number);
        let asked = match self.asked(number, intended_ns, state) {
            Ok(Some(asked)) => asked,
            // The client pool does it.
            Ok(None) => return,
            Err(()) => {
                played.skipped += 1;
                let made = state.made.remove(&number);
                if let (Some(message), Action::Message { .. }) = (made, &self.trace.actions[number].action) {
                    RestDriver::refuse(message, state, played);
                }
                return;
            }
        };
        let mut request = Vec::with_capacity(512);
        let Asked { method, path, body, token, named } = &asked;
        if let Some(named) = named {
            let (stream, index) = self.assignment.marks[number];
            let mark = Mark { stream, index, intended_ns };
            // Before anybody can have seen it.
            self.assignment.script.ledger.expect(*named, mark);
            state.named.insert(number, (*named, mark));
        }
        http::write(&mut request, self.server, method, path, token, body.as_deref());
        pool.ask(HttpRequest { number, intended_ns, request }, done);
    }

    /// The request of an action; nothing if it goes another way, an error if what it needs is not there.
    // A table: one arm for each action.
    fn asked(&self, number: usize, intended_ns: u64, state: &State) -> Result<Option<Asked>, ()> {
        let (stream, index) = self.assignment.marks[number];
        let mark = Mark { stream, index, intended_ns };
        let channel = |guild: u32, channel: u32| {
            state.channels[guild as usize].get(channel as usize).copied().flatten().ok_or(())
        };
        let session = |guild: u32, who: u32| self.assignment.firsts[guild as usize] + who;
        let token = |session: u32| self.fixture.tokens.get(session).to_owned();
        let user = |guild: u32, who: u32| {
            let token = token(session(guild, who));
            let user = user_of(&token).unwrap_or_default();
            (token, user)
        };
        let place = |of: u32| -> Result<String, ()> {
            let posted = self.assignment.messages[of as usize];
            let id = state.ids[of as usize];
            Ok(format!("/api/v10/channels/{}/messages/{id}", channel(posted.guild, posted.channel)?))
        };
        let content = |size: u32| json!({"content": self.marker.content(mark, size as usize)}).to_string();
        let writer = |session: u32| self.author.clone().unwrap_or_else(|| token(session));
        let author = |of: u32| writer(self.assignment.messages[of as usize].session);
        let asked = |method, path, body, token| Ok(Some(Asked { method, path, body, token, named: None }));
        let named = |kind, id, asked: Result<Option<Asked>, ()>| {
            asked.map(|asked| asked.map(|asked| Asked { named: Some(Named { kind, id }), ..asked }))
        };
        match self.trace.actions[number].action {
            Action::Message { guild, channel: to, who, size } => {
                let path = format!("/api/v10/channels/{}/messages", channel(guild, to)?);
                asked("POST", path, Some(content(size)), writer(session(guild, who)))
            }
            Action::Edit { of, size } => asked("PATCH", place(of)?, Some(content(size)), author(of)),
            Action::Delete { of } => {
                named(Kind::Delete, state.ids[of as usize], asked("DELETE", place(of)?, None, author(of)))
            }
            Action::React { of, guild, who, emoji } | Action::Unreact { of, guild, who, emoji } => {
                let adds = matches!(self.trace.actions[number].action, Action::React { .. });
                let (who, user) = user(guild, who);
                let (kind, method) = if adds { (Kind::React, "PUT") } else { (Kind::Unreact, "DELETE") };
                let path = format!("{}/reactions/{}/@me", place(of)?, emoji_path(emoji));
                named(kind, Named::pair(state.ids[of as usize], user), asked(method, path, None, who))
            }
            Action::Typing { guild, channel: to, who } => {
                let (who, user) = user(guild, who);
                let id = channel(guild, to)?;
                let path = format!("/api/v10/channels/{id}/typing");
                named(Kind::Typing, Named::pair(id, user), asked("POST", path, None, who))
            }
            Action::History { guild, channel: to, who, limit } => {
                let path = format!("/api/v10/channels/{}/messages?limit={limit}", channel(guild, to)?);
                asked("GET", path, None, token(session(guild, who)))
            }
            Action::Join { guild, who } => {
                let code = self.fixture.guilds[guild as usize].invite.as_deref().ok_or(())?;
                let (who, user) = user(guild, who);
                let path = format!("/api/v10/invites/{code}");
                named(Kind::Join, user, asked("POST", path, Some("{}".into()), who))
            }
            Action::Leave { guild, who } => {
                let (who, user) = user(guild, who);
                let path = format!("/api/v10/users/@me/guilds/{}", self.fixture.guilds[guild as usize].id);
                named(Kind::Leave, user, asked("DELETE", path, None, who))
            }
            Action::ChannelCreate { guild } => {
                let name = format!("channel-{}", state.made.get(&number).copied().unwrap_or_default());
                let body = json!({"name": name, "type": 0, "topic": self.marker.content(mark, 0)}).to_string();
                let path = format!("/api/v10/guilds/{}/channels", self.fixture.guilds[guild as usize].id);
                asked("POST", path, Some(body), self.fixture.owner.clone())
            }
            Action::ChannelDelete { guild, channel: which } => {
                let id = channel(guild, which)?;
                let path = format!("/api/v10/channels/{id}");
                named(Kind::ChannelDelete, id, asked("DELETE", path, None, self.fixture.owner.clone()))
            }
            Action::Guild(_)
            | Action::Presence { .. }
            | Action::Voice { .. }
            | Action::Scroll { .. }
            | Action::Connect { .. }
            | Action::Close { .. }
            | Action::Cut { .. }
            | Action::Storm { .. }
            | Action::Lost { .. } => Ok(None),
        }
    }

    /// An action was answered.
    fn end(
        &self,
        one: HttpResult,
        state: &mut State,
        pool: &mut HttpPool,
        played: &mut DriverResult,
        done: &mut Vec<HttpResult>,
        advance: &DriverProgress,
    ) {
        let number = one.number;
        let action = &self.trace.actions[number].action;
        let Some(route) = route(action) else { return };
        if one.sent_ns > 0 {
            record(&mut played.lag, one.sent_ns.saturating_sub(one.intended_ns));
        }
        played.last_ns = played.last_ns.max(one.done_ns);
        let tally =
            played.routes.entry(route).or_insert_with(|| RouteTally { done: 0, errors: 0, answer: microseconds() });
        let made = state.made.remove(&number);
        let named = state.named.remove(&number);
        let body = match one.answer {
            Ok((200..300, body)) => {
                record(&mut tally.answer, one.done_ns.saturating_sub(one.intended_ns));
                tally.done += 1;
                advance.done.fetch_add(1, Ordering::Relaxed);
                let (stream, index) = self.assignment.marks[number];
                if (stream, index) != NO_MARK {
                    self.accepted.add(stream, index);
                }
                Some(body)
            }
            Ok((status, body)) => {
                tally.errors += 1;
                let words = String::from_utf8_lossy(&body);
                self.fault(played, advance, format!("action {number}, {}: {status} {words}", route.name()));
                None
            }
            Err(why) => {
                tally.errors += 1;
                self.fault(played, advance, format!("action {number}, {}: {why}", route.name()));
                None
            }
        };
        if let (None, Some((named, mark))) = (&body, named) {
            self.assignment.script.ledger.forget(named, mark);
        }
        let id = body.as_deref().and_then(http::id_of);
        match (action, made) {
            (Action::Message { .. }, Some(message)) => {
                let Some(id) = id else { return RestDriver::refuse(message, state, played) };
                state.ids[message as usize] = id;
                for waiting in state.waiting.remove(&message).unwrap_or_default() {
                    self.ask_in_turn(waiting, state, pool, played, done);
                }
            }
            (Action::ChannelCreate { guild }, Some(channel)) => {
                state.channels[*guild as usize][channel as usize] = id;
            }
            _ => {}
        }
    }

    fn fault(&self, played: &mut DriverResult, advance: &DriverProgress, what: String) {
        advance.errors.fetch_add(1, Ordering::Relaxed);
        if played.faults.len() < limits::FAULTS_TOLD {
            played.faults.push(what);
        }
    }
}

/// The message without whose id an action cannot be asked.
fn needs(action: &Action) -> Option<u32> {
    match action {
        Action::Edit { of, .. } | Action::Delete { of } | Action::React { of, .. } | Action::Unreact { of, .. } => {
            Some(*of)
        }
        _ => None,
    }
}

/// Which route an action takes; `None` if it goes over a gateway.
pub fn route(action: &Action) -> Option<Route> {
    Some(match action {
        Action::Message { .. } => Route::Message,
        Action::Edit { .. } => Route::Edit,
        Action::Delete { .. } => Route::Delete,
        Action::React { .. } | Action::Unreact { .. } => Route::Reaction,
        Action::Typing { .. } => Route::Typing,
        Action::History { .. } => Route::History,
        Action::Join { .. } => Route::Join,
        Action::Leave { .. } => Route::Leave,
        Action::ChannelCreate { .. } => Route::ChannelCreate,
        Action::ChannelDelete { .. } => Route::ChannelDelete,
        Action::Guild(_)
        | Action::Presence { .. }
        | Action::Voice { .. }
        | Action::Scroll { .. }
        | Action::Connect { .. }
        | Action::Close { .. }
        | Action::Cut { .. }
        | Action::Storm { .. }
        | Action::Lost { .. } => return None,
    })
}

/// An emoji in a path: one of Unicode's, percent-encoded.
fn emoji_path(number: u32) -> String {
    let emoji = char::from_u32(0x1f600 + number % 64).expect("a block of emojis");
    let mut bytes = [0; 4];
    emoji.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emojis_are_percent_encoded() {
        assert_eq!(emoji_path(0), "%F0%9F%98%80");
        assert_eq!(emoji_path(64), emoji_path(0));
    }
}
