//! A model of a client: reads what the server wrote, keeps `s`, resumes after cuts with the last number that it really
//! saw, sends heartbeats or forgets to.
//!
//! It trusts nothing: numbers must rise by one, what is replayed must be what was seen before, and an Invalid Session
//! must have a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use guildhall::base::clock::Time;
use guildhall::base::prng::Prng;
use guildhall::limits;
use guildhall::net::compression::Format;
use serde_json::{Value, json};

use crate::asking::{Asking, Circumstances};
use crate::essence;
use crate::lists::Lists;
use crate::oracle::{Oracle, SessionView};
use crate::presence::{Beliefs, Shown};
use crate::report::Report;
use crate::stream::{Said, Stream, masked};

/// A session as its client knows it.
#[derive(Debug)]
pub struct Known {
    pub id: String,
    pub secret: u64,
    intents: u32,
    announced: Vec<u64>,
    /// Guilds of which it has asked for all messages.
    pub asked: BTreeSet<u64>,
    deltas: bool,
    /// What it last said of itself.
    pub said: Shown,
    pub beliefs: Beliefs,
    /// What it asked about members, and was told.
    pub asking: Asking,
    /// Member lists, as far as they have come.
    pub lists: Lists,
    /// Of which guild's lists it was told, behind so many events.
    told_lists: Vec<(usize, u64, String)>,
    /// By sequence number, from 1.
    received: Vec<(Option<u64>, String)>,
    /// The last number seen on the present connection or claimed by a resume.
    pub cursor: u64,
    /// The highest number ever acknowledged by a heartbeat or a resume.
    acknowledged: u64,
    /// When its connection was lost.
    lost_at: Option<Time>,
    /// The client has given the server a reason to refuse the next resume.
    doomed: bool,
    /// The server may have ended it: it crashed, or the token was revoked.
    pub dead: bool,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Greeting,
    Identifying,
    Resuming,
    Live,
}

/// A connection, as the client has it.
#[derive(Debug)]
pub struct Link {
    pub wire: usize,
    stream: Stream,
    pub phase: Phase,
    /// No heartbeats: the server should take it for a zombie.
    pub mute: bool,
    /// Reads nothing before.
    pub stalled_until: Time,
    next_beat: Time,
    /// Events that came after a resume and before RESUMED.
    replayed: u64,
    /// The server has died since: what still comes is from before.
    orphaned: bool,
    /// The close frame's code.
    closed: Option<u16>,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    pub user: u64,
    /// What its connections are compressed with.
    pub compression: Option<Format>,
    /// Discord's `[shard_id, shard_count]`.
    pub sharding: Option<(u32, u32)>,
    pub token: String,
    pub intents: u32,
    /// It can read PASSIVE_UPDATE_V2.
    pub deltas: bool,
    /// How it shows itself.
    pub shows: Shown,
    /// It never shows itself.
    pub hides: bool,
    pub bot: bool,
    pub link: Option<Link>,
    pub session: Option<Known>,
    past: Vec<Known>,
    pub reconnect_at: Time,
    /// A session that cannot be resumed for reasons of volume is no fault.
    pub lenient: bool,
    /// The token is void: a new one is needed.
    pub needs_token: bool,
    /// Revocations asked for that have not led to a new token yet: whatever is begun meanwhile may end.
    pub revocations: u32,
}

/// How a client meddles with its next resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// Not at all.
    None,
    /// Claims to have seen less.
    Less,
    /// Claims to have seen what has not been sent.
    More,
    /// Names a session that never was.
    Stranger,
    /// Leaves one event out; only when planted.
    SkipsOne,
}

/// What a client wants done with its connection.
#[derive(Debug, Default)]
pub struct Wish {
    /// Bytes to send.
    pub send: Vec<u8>,
    /// Closes the connection.
    pub leave: bool,
}

impl Client {
    pub fn new(
        user: u64,
        compression: Option<Format>,
        sharding: Option<(u32, u32)>,
        token: String,
        intents: u32,
    ) -> Client {
        Client {
            user,
            compression,
            sharding,
            token,
            intents,
            deltas: false,
            shows: Shown::default(),
            hides: false,
            bot: false,
            link: None,
            session: None,
            past: Vec::new(),
            reconnect_at: Time::default(),
            lenient: false,
            needs_token: false,
            revocations: 0,
        }
    }

    /// A connection was made.
    pub fn connected(&mut self, wire: usize, now: Time) {
        self.link = Some(Link {
            wire,
            stream: Stream::new(self.compression),
            phase: Phase::Greeting,
            mute: false,
            stalled_until: now,
            next_beat: now + limits::HEARTBEAT_INTERVAL,
            replayed: 0,
            orphaned: false,
            closed: None,
        });
    }

    /// The connection is gone. The client will be back after a while.
    pub fn disconnected(&mut self, now: Time, pause: Duration, report: &mut Report) {
        let Some(link) = self.link.take() else { return };
        match self.compression {
            None => {}
            Some(Format::Zlib) => report.zlib_streams += 1,
            Some(Format::Zstd) => report.zstd_streams += 1,
        }
        if let Some(session) = &mut self.session
            && session.lost_at.is_none()
        {
            session.lost_at = Some(now);
        }
        match link.closed {
            // A bad token: sessions that were started with it are over.
            Some(4004) => {
                self.needs_token = true;
                self.end_session();
            }
            Some(4007) => self.end_session(),
            Some(code) if (4010..=4014).contains(&code) => panic!("judge wire: closed with {code} for no reason"),
            Some(_) | None => {}
        }
        self.reconnect_at = now + pause;
    }

    /// Forgets the session; a new one will be begun.
    pub fn end_session(&mut self) {
        self.past.extend(self.session.take());
    }

    /// The process of the server has died.
    pub fn crashed(&mut self) {
        if let Some(session) = &mut self.session {
            session.dead = true;
        }
        if let Some(link) = &mut self.link {
            link.orphaned = true;
        }
    }

    /// Whether the session goes on and everything is as it should be at rest.
    pub fn is_live(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.phase == Phase::Live)
    }

    /// Reads bytes, and answers what they ask for.
    pub fn read(&mut self, now: Time, bytes: &[u8], meddling: Meddling, prng: &mut Prng, report: &mut Report) -> Wish {
        let mut wish = Wish::default();
        let Some(link) = &mut self.link else { return wish };
        for said in link.stream.feed(bytes) {
            match said {
                Said::Payload(text) => {
                    let payload: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
                        panic!("judge wire: no JSON: {}", text.chars().take(200).collect::<String>())
                    });
                    self.take(now, &payload, meddling, prng, &mut wish, report);
                }
                Said::Close(code) => {
                    if let Some(link) = &mut self.link {
                        link.closed = Some(code);
                    }
                    wish.leave = true;
                }
            }
        }
        wish
    }

    /// A heartbeat, when it is time for one.
    pub fn beat(&mut self, now: Time, wish: &mut Wish) {
        let Some(link) = &mut self.link else { return };
        if link.mute || link.phase == Phase::Greeting || now < link.next_beat {
            return;
        }
        link.next_beat = now + limits::HEARTBEAT_INTERVAL;
        let seq = match (&mut self.session, link.phase) {
            (Some(session), Phase::Live) => {
                session.acknowledged = session.acknowledged.max(session.cursor);
                Some(session.cursor)
            }
            _ => None,
        };
        wish.send.extend(payload(&json!({ "op": 1, "d": seq })));
    }

    fn take(
        &mut self,
        now: Time,
        payload: &Value,
        meddling: Meddling,
        prng: &mut Prng,
        wish: &mut Wish,
        report: &mut Report,
    ) {
        let Some(link) = &mut self.link else { return };
        assert!(link.closed.is_none(), "judge wire: nothing comes behind a close frame");
        let op = payload["op"].as_u64().expect("judge wire: every payload has an op");
        assert!(
            (op == 10) == (link.phase == Phase::Greeting),
            "judge wire: HELLO comes first, and once; op {op} in {:?}",
            link.phase
        );
        match op {
            10 => {
                assert_eq!(payload["d"]["heartbeat_interval"], limits::HEARTBEAT_INTERVAL.as_millis() as u64);
                // Some clients start to beat at once.
                link.next_beat = now + Duration::from_millis(prng.below(limits::HEARTBEAT_INTERVAL.as_millis() as u64));
                match (&self.session, meddling) {
                    (Some(_), _) | (None, Meddling::Stranger) => self.resume(meddling, prng, wish),
                    (None, _) => self.identify(wish),
                }
            }
            9 => {
                if link.phase == Phase::Identifying {
                    // Not its turn yet: it tries again.
                    assert_eq!(payload["d"], false, "judge wire: there is no session yet to be resumed");
                    return self.identify(wish);
                }
                assert!(
                    matches!(link.phase, Phase::Resuming | Phase::Live),
                    "judge wire: Invalid Session in {:?}",
                    link.phase
                );
                if payload["d"] == true {
                    assert_eq!(link.phase, Phase::Resuming, "judge wire: nobody asked for a resume");
                    report.resumes_retried += 1;
                    return self.resume(meddling, prng, wish);
                }
                report.resumes_refused += 1;
                if let Some(session) = &self.session {
                    let away = session.lost_at.map_or(Duration::ZERO, |lost_at| now.since(lost_at));
                    let excused = session.doomed || session.dead || self.lenient || away > limits::RESUME_WINDOW;
                    assert!(excused, "judge resume: refused for no reason, {away:?} after it was lost: {session:?}");
                }
                self.end_session();
                self.identify(wish);
            }
            7 => wish.leave = true,
            11 => {}
            0 => self.dispatch(payload, report),
            other => panic!("judge wire: op {other}"),
        }
    }

    fn identify(&mut self, wish: &mut Wish) {
        let Some(link) = &mut self.link else { return };
        link.phase = Phase::Identifying;
        let mut d = json!({ "token": self.token, "intents": self.intents, "properties": {} });
        if self.shows.on == "desktop" {
            d["properties"] = json!({ "os": "Linux", "browser": "Discord Client" });
        }
        if self.shows.status != "online" || self.shows.does.is_some() {
            d["presence"] = presence(&self.shows);
        }
        if self.deltas {
            d["capabilities"] = json!(1 << 14);
        }
        if let Some((shard, count)) = self.sharding {
            d["shard"] = json!([shard, count]);
        }
        wish.send.extend(self::payload(&json!({ "op": 2, "d": d })));
    }

    fn resume(&mut self, meddling: Meddling, prng: &mut Prng, wish: &mut Wish) {
        let Some(link) = &mut self.link else { return };
        link.phase = Phase::Resuming;
        link.replayed = 0;
        let (mut id, mut seq) = (format!("{:032x}", prng.next_u64()), prng.below(9));
        if let Some(session) = &mut self.session
            && meddling != Meddling::Stranger
        {
            id.clone_from(&session.id);
            seq = match meddling {
                Meddling::Less => prng.below(session.cursor + 1),
                Meddling::More => session.cursor + 1_000_000,
                Meddling::SkipsOne => session.cursor + 1,
                Meddling::None | Meddling::Stranger => session.cursor,
            };
            // READY is never sent again: who knows the session has it.
            if seq < session.acknowledged.max(1) {
                session.doomed = true;
            }
            if matches!(meddling, Meddling::None | Meddling::Less) {
                session.cursor = seq;
                session.acknowledged = session.acknowledged.max(seq);
            }
        } else if let Some(session) = &mut self.session {
            session.doomed = true;
        }
        let d = json!({ "token": self.token, "session_id": id, "seq": seq });
        wish.send.extend(payload(&json!({ "op": 6, "d": d })));
    }

    fn dispatch(&mut self, payload: &Value, report: &mut Report) {
        let Some(link) = &mut self.link else { return };
        let name = payload["t"].as_str().expect("judge wire: an event has a name");
        let s = payload["s"].as_u64().expect("judge wire: an event has a number");
        let (guild, line) = essence::of_dispatch(name, &payload["d"], self.user);
        if name == "READY" {
            assert_eq!(link.phase, Phase::Identifying, "judge wire: READY answers an identify");
            assert_eq!(s, 1, "judge sequence: READY is the first event of a session");
            let d = &payload["d"];
            assert_eq!(essence::id(&d["user"]["id"]), Some(self.user), "judge oracle: READY is for another user");
            let id = d["session_id"].as_str().expect("judge wire: READY names the session").to_owned();
            let secret = u64::from_str_radix(&id[16..], 16).expect("judge wire: hexadecimal digits");
            let announced = d["guilds"].as_array().into_iter().flatten().filter_map(|it| essence::id(&it["id"]));
            link.phase = Phase::Live;
            let dead = self.revocations > 0 || link.orphaned;
            self.end_session();
            self.session = Some(Known {
                id,
                secret,
                intents: self.intents,
                asked: BTreeSet::new(),
                deltas: self.deltas,
                said: self.shows.clone(),
                beliefs: Beliefs::default(),
                asking: Asking::default(),
                announced: announced.collect(),
                lists: Lists::default(),
                told_lists: Vec::new(),
                received: vec![(None, line)],
                cursor: 1,
                acknowledged: 0,
                lost_at: None,
                doomed: false,
                dead,
            });
            return;
        }
        let Some(session) = &mut self.session else { panic!("judge wire: {name} without a session") };
        assert!(matches!(link.phase, Phase::Live | Phase::Resuming), "judge wire: {name} comes in {:?}", link.phase);
        assert_eq!(s, session.cursor + 1, "judge sequence: {name} of session {}", session.id);
        session.cursor = s;
        match session.received.get(s as usize - 1) {
            Some(before) => {
                assert_eq!(*before, (guild, line), "judge sequence: event {s} of session {} has changed", session.id);
                report.replayed_again += 1;
            }
            None => {
                session.received.push((guild, line));
                session.asking.hear(name, &payload["d"]);
                session.beliefs.hear(name, &payload["d"], (self.user, self.bot), session.intents, report);
                if name == "GUILD_MEMBER_LIST_UPDATE" {
                    let id = payload["d"]["id"].as_str().unwrap_or_default().to_owned();
                    let guild = essence::id(&payload["d"]["guild_id"]).unwrap_or(0);
                    session.told_lists.push((session.received.len(), guild, id));
                    session.lists.apply(&payload["d"]);
                }
            }
        }
        if link.phase == Phase::Resuming {
            link.replayed += 1;
            if name == "RESUMED" {
                link.phase = Phase::Live;
                session.lost_at = None;
                session.doomed = false;
                report.resumes += 1;
                report.resumes_with_replay += u64::from(link.replayed > 1);
            }
        }
    }

    /// All sessions that this client ever had; the last may be alive.
    pub fn sessions(&self, at_rest: bool) -> Vec<SessionView<'_>> {
        let user = self.user;
        let view = |known: &'_ Known, complete: bool| -> (u64, u32, bool) { (known.secret, known.intents, complete) };
        let all = self.past.iter().map(|known| (known, false)).chain(self.session.iter().map(|it| (it, at_rest)));
        all.map(|(known, complete)| {
            let (secret, intents, complete) = view(known, complete);
            SessionView {
                secret,
                user,
                intents,
                announced: &known.announced,
                received: &known.received,
                complete,
                deltas: known.deltas,
                asked: &known.asked,
                follows: &known.beliefs.follows,
                ever_followed: &known.beliefs.ever_followed,
                lists: &known.told_lists,
            }
        })
        .collect()
    }
}

impl Client {
    /// Judges what it was told about members.
    pub fn judge_asking(&self, oracle: &Oracle, report: &mut Report) {
        let all = self.past.iter().map(|known| (known, false)).chain(self.session.iter().map(|it| (it, true)));
        for (known, complete) in all {
            let (changes, names) = (oracle.changes.as_slice(), &oracle.names);
            known.asking.judge(&Circumstances { changes, names, user: self.user, complete }, report);
        }
    }

    /// Asks for all messages of a guild.
    pub fn subscribe(&mut self, guild: u64, old_form: bool) -> Vec<u8> {
        let Some(session) = &mut self.session else { return Vec::new() };
        session.asked.insert(guild);
        if old_form {
            payload(&json!({ "op": 14, "d": { "guild_id": guild.to_string(), "typing": true, "threads": true } }))
        } else {
            let what = json!({ "typing": true, "activities": true });
            payload(&json!({ "op": 37, "d": { "subscriptions": { guild.to_string(): what } } }))
        }
    }
}

impl Client {
    /// Says what it is like from now on.
    pub fn present(&mut self, said: Shown) -> Vec<u8> {
        let Some(session) = &mut self.session else { return Vec::new() };
        session.said = said.clone();
        self.shows = said;
        payload(&json!({ "op": 3, "d": presence(&self.shows) }))
    }

    /// Follows these, and nobody else, in a guild.
    pub fn follow(&mut self, guild: u64, users: BTreeSet<u64>) -> Vec<u8> {
        let Some(session) = &mut self.session else { return Vec::new() };
        session.beliefs.ever_followed.extend(users.iter().map(|user| (guild, *user)));
        let named: Vec<String> = users.iter().map(u64::to_string).collect();
        session.beliefs.follows.insert(guild, users);
        payload(&json!({ "op": 14, "d": { "guild_id": guild.to_string(), "members": named } }))
    }

    /// All sessions that it ever had; the last may be alive.
    pub fn all_known(&self, at_rest: bool) -> impl Iterator<Item = (&Known, bool)> {
        self.past.iter().map(|known| (known, false)).chain(self.session.iter().map(move |known| (known, at_rest)))
    }
}

impl Known {
    /// What it asked for.
    pub fn intents(&self) -> u32 {
        self.intents
    }
}

fn presence(said: &Shown) -> Value {
    let activities: Vec<Value> = said.does.iter().map(|name| json!({ "name": name, "type": 0 })).collect();
    json!({ "status": said.status, "activities": activities, "since": null, "afk": false })
}

impl Client {
    /// Looks at windows of member lists of a guild, in place of those that it looked at before: ranges by channel.
    pub fn look(&mut self, guild: u64, channels: &BTreeMap<u64, Vec<(u32, u32)>>, old_form: bool) -> Vec<u8> {
        let channels: serde_json::Map<String, Value> =
            channels.iter().map(|(channel, ranges)| (channel.to_string(), json!(ranges))).collect();
        if old_form {
            payload(&json!({ "op": 14, "d": { "guild_id": guild.to_string(), "channels": channels } }))
        } else {
            payload(&json!({ "op": 37, "d": { "subscriptions": { guild.to_string(): { "channels": channels } } } }))
        }
    }
}

/// A client's payload as a frame.
pub fn payload(json: &Value) -> Vec<u8> {
    masked(1, json.to_string().as_bytes())
}
