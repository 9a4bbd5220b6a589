//! The shard: everything that one core owns, as a synchronous state machine.
//!
//! Lives on: its core.
//! [`Shard::receive`] takes a letter and leaves letters, store jobs and answers in the outbox; it reads no clock, touches no
//! socket and draws no randomness of its own. [`Shard::flush`] writes to sockets through a trait, in slices. The doors and
//! the simulator drive it in the same way.
//! Read next: `asking` (requests to guilds), `attaching` (identify), `seating` (snapshots and events), `flushing`.

pub mod guilds;
pub mod home;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, Mint, UserId};
use crate::base::idmap::IdMap;
use crate::base::metrics::Metrics;
use crate::base::prng::Prng;
use crate::base::slab::{Key, Slab};
use crate::guild::Guild;
use crate::guild::list::Listing;
use crate::guild::plan::Claim;
use crate::mail::ask::{Ask, Ticket};
use crate::mail::letter::Letter;
use crate::mail::outbox::{Outbox, StoreJob, StoreWork};
use crate::mail::placement::{CoreId, Placement};
use crate::mail::presence::JoinRequest;
use crate::mail::session_id::SessionId;
use crate::relay::{Aftermath, Relay};
use crate::session::assembly::Assemblies;
use crate::session::connection::Connection;
use crate::session::packing::Packer;
use crate::session::{Session, Stage};
use crate::shard::home::admission::{Admission, Pace};
use crate::shard::home::subscriptions::Passivity;
use crate::store::{Found, Query, StoreError};
use crate::user::OnlineUser;

/// What a shard is told when it is made.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// Which core it is.
    pub me: CoreId,
    /// All cores.
    pub placement: Placement,
    /// All its randomness.
    pub prng: Prng,
    /// Who gets no messages until it subscribes.
    pub passivity: Passivity,
    /// How many may come.
    pub pace: Pace,
    /// How member lists are made.
    pub listing: Listing,
    /// Users with revoked tokens, and from which Unix millisecond on tokens are good.
    pub revoked: Vec<(UserId, u64)>,
}

/// Everything that one core owns.
#[derive(Debug)]
pub struct Shard {
    me: CoreId,
    placement: Placement,
    prng: Prng,
    mint: Mint,
    guilds: IdMap<GuildId, GuildSlot>,
    /// A tree, like everything here with a place for each session: a table that doubles stops its core meanwhile.
    users: BTreeMap<UserId, UserSlot>,
    /// In which guild a channel is, for those that were asked about.
    channels: IdMap<ChannelId, GuildId>,
    relays: IdMap<GuildId, Relay>,
    sessions: Slab<Session>,
    connections: Slab<Connection>,
    revoked: IdMap<UserId, u64>,
    jobs: IdMap<u64, Waiting>,
    next_job: u64,
    flushing: home::flush::Flushing,
    sweeping: home::sweep::Sweeping,
    pages: home::member_pages::Pages,
    passivity: Passivity,
    admission: Admission,
    /// Guilds in which something is unread, and when those who get no messages are told.
    unread: VecDeque<(Time, GuildId)>,
    /// Guilds here of whose members something has changed in this turn.
    stirred: Vec<GuildId>,
    listing: guilds::lists::Lists,
    shown: home::list_subscriptions::Shown,
    /// Sessions whose READY waits for their first guild, until the next tick.
    held: Vec<Key>,
    packer: Packer,
    assemblies: Assemblies,
    draining: bool,
    recording: bool,
    /// What this core measured.
    pub metrics: Metrics,
}

/// A guild that this core owns, loaded or about to be.
#[derive(Debug)]
enum GuildSlot {
    /// The store was asked; these wait.
    Loading(VecDeque<Pending>),
    /// Here.
    Here(Box<Hosted>),
}

/// A guild with what is under way in it.
#[derive(Debug)]
struct Hosted {
    guild: Guild,
    /// Changes being committed.
    claims: BTreeSet<Claim>,
    /// Requests that wait for one of them.
    waiting: VecDeque<Pending>,
    /// Changes of existing messages so far: what was looked up before one may be stale after it.
    messages_changed: u64,
    /// The recorder has been told what the guild is like.
    declared: bool,
}

/// A user that this core owns, loaded or about to be.
#[derive(Debug)]
enum UserSlot {
    /// The store was asked; letters about the user wait.
    #[expect(clippy::box_collection, reason = "what is loading is rare, and each user has the room for it")]
    Loading(Box<Vec<Letter>>),
    /// Here.
    Here(Box<OnlineUser>),
}

/// Something for a guild that could not be done at once.
#[derive(Debug)]
enum Pending {
    Ask(Box<guilds::requests::PendingAsk>),
    Join(Box<JoinRequest>),
}

/// Who waits for the store.
#[derive(Debug)]
enum Waiting {
    /// A guild to be loaded.
    Guild(GuildId),
    /// A user to be loaded.
    User(UserId),
    /// Another session of a user, whose account must be looked up.
    Attach { session: SessionId, user: UserId, issued_ms: u64 },
    /// A plan that needs something looked up.
    Ask(Box<guilds::requests::PendingAsk>, Query),
    /// A session that comes to see a guild, whose member, or all members, must be looked up.
    Join { guild: GuildId, coming: Box<JoinRequest> },
    /// A plan being committed.
    Commit(Box<guilds::requests::Committing>),
    /// A request about a channel whose guild must be looked up.
    Channel(Box<Ask>),
    /// A guild to be made, whose owner must be looked up.
    Founding(Box<guilds::requests::Founding>),
    /// A new account, or revoked tokens, being committed.
    Own(Box<guilds::requests::OwnCommit>),
    /// Lists of a guild that show who is offline: all its members must be looked up.
    Everybody(GuildId),
    /// A session that asked for members.
    Members(Key),
    /// A caller at this core's door.
    Door(Ticket),
}

impl Shard {
    /// A shard that owns nothing yet.
    pub fn new(settings: ShardSettings) -> Shard {
        Shard {
            me: settings.me,
            placement: settings.placement,
            prng: settings.prng,
            mint: Mint::inside(),
            guilds: IdMap::default(),
            users: BTreeMap::new(),
            channels: IdMap::default(),
            relays: IdMap::default(),
            sessions: Slab::default(),
            connections: Slab::default(),
            revoked: settings.revoked.into_iter().collect(),
            jobs: IdMap::default(),
            next_job: 1,
            flushing: home::flush::Flushing::default(),
            sweeping: home::sweep::Sweeping::default(),
            pages: home::member_pages::Pages::default(),
            passivity: settings.passivity,
            admission: Admission::new(settings.pace),
            unread: VecDeque::new(),
            stirred: Vec::new(),
            listing: guilds::lists::Lists::new(settings.listing),
            shown: home::list_subscriptions::Shown::default(),
            held: Vec::new(),
            packer: Packer::default(),
            assemblies: Assemblies::default(),
            draining: false,
            recording: false,
            metrics: Metrics::default(),
        }
    }

    /// Takes a letter.
    pub fn receive(&mut self, now: Time, letter: Letter, out: &mut Outbox) {
        match letter {
            Letter::Ask(ask) => self.ask(now, *ask, out),
            Letter::Answer(ticket, answer) => out.answers.push((ticket, *answer)),
            Letter::Attach { session, user, issued_ms } => self.attach(session, user, issued_ms, out),
            Letter::Attached { session, account, guilds } => self.attached(now, session, &account, &guilds, out),
            Letter::AttachRefused { session, bad_token } => self.attach_refused(now, session, bad_token, out),
            Letter::Detach { session, user } => self.detach(session, user),
            Letter::Join { guild, coming } => self.join(now, guild, coming, out),
            Letter::Snapshot(snapshot) => self.seat(now, *snapshot, out),
            Letter::JoinRefused { guild, session, unavailable } => self.join_refused(now, guild, session, unavailable),
            Letter::Leave { guild, user, session, joined_ms } => {
                self.leave(now, guild, (user, joined_ms), session, out)
            }
            Letter::Show { guild, user, session, showing } => self.show_in(guild, user, session, &showing),
            Letter::Follow { guild, core, user, follows } => self.follow(now, guild, core, user, follows, out),
            Letter::Presences(presences) => self.tell_presences(now, &presences, out),
            Letter::FindPresences { guild, core, job, found } => self.find_presences(guild, core, job, found, out),
            Letter::PresencesFound { job, found, presences } => {
                self.presences_found(now, job, *found, &presences, out);
            }
            Letter::Publish(event) => self.fan_out(now, &event, out),
            Letter::Look(look) => self.look(*look, out),
            Letter::Windows(windows) => self.show_windows(now, &windows, out),
            Letter::Unwatch { guild, core, seen } => self.unwatch(guild, core, seen, out),
            Letter::Unwatched { guild } => self.unwatched(guild),
            Letter::Gained { user, guild } => self.gained(user, guild, out),
            Letter::Parted { user, guild } => self.parted(user, guild),
            Letter::JoinNow { session, guild } => self.join_now(session, guild, out),
            Letter::HandOver(hand_over) => out.arrivals.push(*hand_over),
            Letter::Revoked { user, valid_from_ms } => self.revoke(now, user, valid_from_ms, out),
            Letter::Stored { job, result } => self.stored(now, job, result, out),
        }
    }

    /// Asks the store on behalf of a caller at this core's door; the finding comes with the ticket.
    pub fn read(&mut self, ticket: Ticket, query: Query, out: &mut Outbox) {
        self.query(query, Waiting::Door(ticket), out);
    }

    /// Whether tokens of this user issued at `issued_ms` are good, so far as this core knows.
    pub fn accepts_token(&self, user: UserId, issued_ms: u64) -> bool {
        self.revoked.get(&user).is_none_or(|valid_from| issued_ms >= *valid_from)
    }

    /// 64 bits from the shard's own generator; for ids that need not be secret.
    pub fn random(&mut self) -> u64 {
        self.prng.next_u64()
    }

    /// Sessions and connections that live here.
    pub fn population(&self) -> (usize, usize) {
        (self.sessions.len(), self.connections.len())
    }

    /// Whether anything waits for the store.
    pub fn awaits_store(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Panics if something that must hold does not. For tests and the simulator, every turn.
    pub fn invariants(&self) {
        for (key, session) in self.sessions.iter() {
            session.invariants();
            assert_eq!(session.id.key, key);
            if let Some(connection) = session.connection {
                let connection = self.connections.get(connection).expect("a session's connection exists");
                assert_eq!(connection.session(), Some(key), "session and connection name each other");
            }
            for seat in &session.seats {
                assert!(self.relays.contains_key(&seat.guild), "a seat is in a relay");
            }
        }
        let attaching = self.sessions.iter().filter(|(_, session)| session.stage != Stage::Ready).count();
        assert_eq!(attaching, self.admission.underway, "who is not yet ready is counted");
        for (key, connection) in self.connections.iter() {
            assert!(!(connection.waits() && connection.session().is_some()), "who waits carries no session");
            if let Some(session) = connection.session() {
                let session = self.sessions.get(session).expect("a connection's session exists");
                assert_eq!(session.connection, Some(key), "connection and session name each other");
            }
        }
        for relay in self.relays.values() {
            relay.invariants(&self.sessions);
        }
        for slot in self.guilds.values() {
            if let GuildSlot::Here(hosted) = slot {
                hosted.guild.invariants();
            }
        }
        self.page_invariants();
        self.shown_invariants();
    }

    fn query(&mut self, query: Query, waiting: Waiting, out: &mut Outbox) {
        let id = self.job(waiting);
        out.jobs.push(StoreJob { id, work: StoreWork::Query(query) });
    }

    fn job(&mut self, waiting: Waiting) -> u64 {
        let id = self.next_job;
        self.next_job += 1;
        self.jobs.insert(id, waiting);
        id
    }

    fn stored(&mut self, now: Time, job: u64, result: Result<Option<Found>, StoreError>, out: &mut Outbox) {
        let Some(waiting) = self.jobs.remove(&job) else { return };
        match waiting {
            Waiting::Guild(guild) => self.guild_loaded(now, guild, result, out),
            Waiting::User(user) => self.user_loaded(now, user, result, out),
            Waiting::Attach { session, user, issued_ms } => self.account_loaded(session, user, issued_ms, result, out),
            Waiting::Ask(pending, query) => self.looked_up(now, *pending, query, result, out),
            Waiting::Join { guild, coming } => self.member_loaded(now, guild, *coming, result, out),
            Waiting::Commit(committing) => self.committed(now, *committing, result, out),
            Waiting::Channel(ask) => self.channel_found(now, *ask, result, out),
            Waiting::Founding(founding) => self.found_guild(now, *founding, result, out),
            Waiting::Own(own) => self.own_committed(*own, result, out),
            Waiting::Members(session) => self.members_found(now, session, result, None, out),
            Waiting::Everybody(guild) => self.everybody_found(guild, result),
            Waiting::Door(ticket) => {
                let finding = result.and_then(|found| found.ok_or(StoreError::Failed("no finding".to_owned())));
                out.findings.push((ticket, finding));
            }
        }
    }

    /// Does what a relay left to be done.
    fn clear_up(&mut self, now: Time, after: Aftermath, out: &mut Outbox) {
        self.flushing.begun.extend(after.walks);
        for session in after.ready {
            self.list_session(session);
        }
        for session in after.lost {
            self.end_session(now, session, out);
        }
        for (guild, user, follows) in after.follows {
            out.post(self.placement.owner(guild), Letter::Follow { guild, core: self.me, user, follows });
        }
        for look in after.looks {
            out.post(self.placement.owner(look.guild), Letter::Look(Box::new(look)));
        }
        if let Some(guild) = after.blinded {
            self.shown.blind(guild);
        }
        for looker in after.hungry {
            self.show_more(now, looker, out);
        }
        if let Some(guild) = after.unread {
            self.unread.push_back((now + self.passivity.every, guild));
        }
    }

    /// Puts a session's connection on the list of those with something to say.
    fn list_session(&mut self, session: Key) {
        if let Some(connection) = self.sessions.get(session).and_then(|session| session.connection) {
            self.list_connection(connection);
        }
    }

    fn list_connection(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.list()
        {
            self.flushing.ready.push_back(key);
        }
    }

    fn session(&mut self, id: SessionId) -> Option<(Key, &mut Session)> {
        let key = self.session_key(id)?;
        self.sessions.get_mut(key).map(|session| (key, session))
    }

    /// Whether this is the session that a connection carries.
    pub fn carries(&self, connection: Key, session: SessionId) -> bool {
        let carried = self.connections.get(connection).and_then(Connection::session);
        carried.is_some() && carried == self.session_key(session)
    }

    /// Where a session is, if the id is genuine. The wire form cuts the generation, so the place is looked up by index.
    fn session_key(&self, id: SessionId) -> Option<Key> {
        let key = self.sessions.keys_in(id.key.index, 1).next()?;
        let found = self.sessions.get(key)?.id;
        (found.secret == id.secret && found.home == id.home && found.key.index == id.key.index).then_some(key)
    }
}
