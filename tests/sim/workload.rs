//! The workload: who is there at the beginning, what is asked of the server, and what goes wrong, all of it drawn from
//! the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use guildhall::base::id::{ChannelId, GuildId, Id, MessageId, Mint, RoleId, UserId};
use guildhall::base::prng::Prng;
use guildhall::guild::founding;
use guildhall::limits;
use guildhall::mail::ask::channel::ChannelRequest;
use guildhall::mail::ask::guild::SettingsRequest;
use guildhall::mail::ask::invite::InviteRequest;
use guildhall::mail::ask::member::MemberRequest;
use guildhall::mail::ask::message::MessageRequest;
use guildhall::mail::ask::role::RoleRequest;
use guildhall::mail::ask::{Actor, GuildRequest, Request};
use guildhall::mail::placement::VirtualShard;
use guildhall::model::account::Account;
use guildhall::model::channel::{ChannelKind, Overwrite, OverwriteKind};
use guildhall::model::member::Member;
use guildhall::model::permissions::Permissions;
use guildhall::model::user::User;
use guildhall::model::user_note::UserNote;
use guildhall::net::compression::Format;
use guildhall::shard::home::admission::Pace;
use guildhall::store::{Found, Query, Write};
use guildhall::wire::request::channel::{ChannelDraft, ChannelMove, ChannelPatch};
use guildhall::wire::request::guild::{GuildDraft, GuildPatch};
use guildhall::wire::request::invite::InviteDraft;
use guildhall::wire::request::member::MemberPatch;
use guildhall::wire::request::message::{MessageDraft, MessagePatch};
use guildhall::wire::request::role::{RoleMove, RolePatch};
use serde_json::json;

use crate::asking::{Question, What};
use crate::client::{Client, payload};
use crate::ledger::Asked;
use crate::model::GuildModel;
use crate::oracle::MESSAGE_CONTENT;
use crate::presence::Shown;
use crate::world::World;

/// All intents that this server knows an event for, and the one for text.
const INTENTS: u32 = 0b1111 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 11 | MESSAGE_CONTENT;

/// Members of a guild that has thousands: a few pages.
pub const CROWD: u64 = 2_300;

/// Members of a guild whose lists show all of them, over some windows.
const HALL: u64 = 950;

/// The intent with which a bot may ask for all members.
const GUILD_MEMBERS: u32 = 1 << 1;

/// What kind of a world a seed makes.
#[derive(Debug, Clone)]
pub struct Temper {
    pub cores_max: u64,
    pub rounds: u64,
    pub lane_capacity: usize,
    pub socket_bits: u64,
    /// Of a thousand commits so many fail.
    pub failing: u64,
    pub longest_pause_ms: u64,
    pub longest_absence_ms: u64,
    pub users: u64,
    pub clients: u64,
    pub guilds: u64,
    /// Of a thousand rounds so many end in a crash.
    pub crashing: u64,
    /// Messages are huge and somebody does not read.
    pub flood: bool,
    /// Members above which a guild is large for people.
    pub passive_above: u64,
    /// So many members of one guild besides the others.
    pub crowd: u64,
    /// Windows of member lists may take up so many bytes on a core.
    pub window_bytes: u64,
    /// How many may come: all, or so few that they wait and are sent away.
    pub pace: Pace,
    /// At rest everybody is asked what they believe of the others.
    pub presences: bool,
    /// Members up to which lists show who is offline.
    pub offline_up_to: u64,
    /// Members that a list takes in in one turn.
    pub list_slice: usize,
}

impl Temper {
    pub fn of(prng: &mut Prng) -> Temper {
        let flood = prng.chance(1, 20);
        let crowd = match prng.below(30) {
            0 if !flood => CROWD,
            1 if !flood => HALL,
            _ => 0,
        };
        Temper {
            cores_max: 4,
            rounds: if flood { 100 } else { 150 + prng.below(250) },
            lane_capacity: 1 + prng.below(6) as usize,
            socket_bits: if flood || crowd > 0 { 20 } else { 1 + prng.below(14) },
            failing: [0, 10, 60][prng.below(3) as usize],
            longest_pause_ms: [2_000, 10_000, 20_000][prng.below(3) as usize],
            longest_absence_ms: [2_000, 60_000, 300_000][prng.below(3) as usize],
            users: 2 + prng.below(7),
            clients: if flood { 3 } else { 2 + prng.below(9) },
            guilds: 1 + prng.below(3),
            crashing: if prng.chance(1, 3) { 6 } else { 0 },
            flood,
            crowd,
            window_bytes: if prng.chance(1, 6) { 4_000 } else { limits::LIST_BYTES_MAX },
            passive_above: if flood || prng.chance(1, 2) { u64::MAX } else { prng.below(5) },
            pace: if prng.chance(1, 2) {
                Pace::default()
            } else {
                Pace { identifies: 1 + prng.below(6), resumes: 1 + prng.below(6), line: prng.below(4) as usize }
            },
            presences: !flood && (crowd == HALL || prng.chance(1, 2)),
            offline_up_to: if crowd != HALL && prng.chance(1, 3) { 0 } else { 1_000 },
            list_slice: if crowd > 0 { 500 } else { 1 + prng.below(4) as usize },
        }
    }
}

impl World {
    /// Accounts, guilds and clients as they are at the beginning.
    pub fn prepare(&mut self) {
        let mut mint = Mint::outside();
        let start = self.now.millis() - 1_000_000;
        let users: Vec<User> = (0..self.temper.users)
            .map(|number| User {
                id: mint.mint(start, VirtualShard::hashed(self.prng.next_u64()).number()),
                // Among the crowd, not before or behind it.
                username: if self.temper.crowd == HALL {
                    format!("crowd-{:04}-user", 113 * number)
                } else {
                    format!("user{number}")
                },
                global_name: None,
                avatar: None,
                bot: number % 3 == 2,
            })
            .collect();
        self.oracle.passive_above = self.temper.passive_above;
        let crowd: Vec<User> = (0..self.temper.crowd)
            .map(|number| User {
                id: mint.mint(start, VirtualShard::hashed(number).number()),
                username: format!("crowd-{number:04}"),
                global_name: None,
                avatar: None,
                bot: false,
            })
            .collect();
        let names = users.iter().chain(&crowd).map(|user| (user.id.get(), user.username.clone()));
        self.oracle.names = names.collect();
        let accounts = crowd.iter().map(|user| Write::CreateAccount {
            account: Box::new(Account { user: user.clone(), owner: None, privileged: 0, tokens_valid_from_ms: 0 }),
            password: None,
        });
        self.store.prepare(accounts.collect());
        for user in users.iter().filter(|user| user.bot) {
            self.oracle.bot(user.id.get());
        }
        for user in &users {
            let account =
                Box::new(Account { user: user.clone(), owner: None, privileged: u32::MAX, tokens_valid_from_ms: 0 });
            self.store.prepare(vec![Write::CreateAccount { account, password: None }]);
        }
        for number in 0..self.temper.guilds {
            let owner = users[if self.temper.flood { 0 } else { self.prng.below(users.len() as u64) as usize }].clone();
            let shard = VirtualShard::hashed(self.prng.next_u64());
            let (record, mut writes) =
                founding::found(shard, owner.clone(), format!("guild {number}"), start, &mut mint);
            for user in users.iter().filter(|user| user.id != owner.id) {
                if self.prng.chance(3, 4) {
                    let member = Box::new(Member::new(user.clone(), start));
                    writes.push(Write::PutMember(record.guild.id, member));
                }
            }
            if number == 0 {
                let member = |user: &User| Box::new(Member::new(user.clone(), start));
                writes.extend(crowd.iter().map(|user| Write::PutMember(record.guild.id, member(user))));
            }
            self.store.prepare(writes.clone());
            self.oracle.committed(&writes, &mut self.report);
        }
        for number in 0..self.temper.clients {
            let user = &users[(number % users.len() as u64) as usize];
            let token = self.signer.issue(user.id, start);
            let compression = [None, Some(Format::Zlib), Some(Format::Zstd)][self.prng.below(3) as usize];
            let sharding = (user.bot && self.prng.chance(1, 3)).then(|| (self.prng.below(2) as u32, 2));
            let mut client = Client::new(user.id.get(), compression, sharding, token, self.some_intents());
            client.lenient = self.temper.flood || self.temper.window_bytes < limits::LIST_BYTES_MAX;
            client.deltas = self.prng.chance(1, 2);
            client.bot = user.bot;
            // All clients of a user hide, or none.
            client.hides = user.id.get().is_multiple_of(7);
            if !user.bot && self.prng.chance(1, 2) {
                client.shows.on = "desktop";
            }
            client.shows = self.some_presence(client.hides, client.shows.on);
            if self.temper.flood {
                client.intents = INTENTS;
            }
            client.reconnect_at = self.now + Duration::from_millis(self.prng.below(3_000));
            self.clients.push(client);
        }
    }

    fn some_intents(&mut self) -> u32 {
        if self.prng.chance(1, 2) {
            return INTENTS;
        }
        let few = self.prng.next_u64() as u32 & INTENTS;
        // Without GUILDS there is little to see.
        few | u32::from(self.prng.chance(4, 5))
    }

    /// One round's work and mishaps.
    pub fn work(&mut self) {
        if self.prng.below(1_000) < self.temper.crashing {
            return self.crash();
        }
        for _ in 0..self.prng.below(4) {
            self.request();
        }
        if self.prng.chance(1, 10) {
            self.mishap();
        }
        if self.prng.chance(1, 25) {
            self.subscription();
        }
        if self.prng.chance(1, 8) {
            self.look_somewhere();
        }
        if self.temper.crowd > 0 && self.prng.chance(1, 8) {
            let client = self.prng.below(self.clients.len() as u64) as usize;
            self.ask_members(client, None);
        }
        if self.prng.chance(1, 12) {
            self.presence();
        }
        if self.prng.chance(1, 8) {
            self.note();
        }
        if self.temper.flood && self.prng.chance(1, 5) {
            self.huge_message();
        }
    }

    /// Somebody asks for all messages of a guild. Bots may say it as well; it changes nothing.
    fn subscription(&mut self) {
        let client = self.prng.below(self.clients.len() as u64) as usize;
        let guilds: Vec<u64> = self.oracle.guilds().keys().copied().collect();
        if let Some(guild) = self.pick(&guilds)
            && self.clients[client].is_live()
        {
            let old_form = self.prng.chance(1, 2);
            let bytes = self.clients[client].subscribe(guild, old_form);
            self.write(client, &bytes);
        }
    }

    /// Somebody scrolls through the member lists of a guild, or looks elsewhere. Bots may, and get nothing.
    fn look_somewhere(&mut self) {
        let client = self.prng.below(self.clients.len() as u64) as usize;
        let guilds: Vec<u64> = self.oracle.guilds().keys().copied().collect();
        let Some(guild) = self.pick(&guilds).filter(|_| self.clients[client].is_live()) else { return };
        let all: Vec<u64> = self.oracle.guilds()[&guild].channels.keys().copied().collect();
        let mut channels = BTreeMap::new();
        for _ in 0..self.prng.below(4) {
            let ranges = match self.prng.below(8) {
                0 => vec![(100, 199), (0, 99)],
                1 => vec![(0, 99), (100, 199), (2_200, 2_299), (900, 999)],
                2 => vec![(50, 149), (7, 3)],
                3 => vec![(0, u32::MAX)],
                _ => vec![(0, 99)],
            };
            if let Some(channel) = self.pick(&all) {
                channels.insert(channel, ranges);
            }
        }
        let old_form = self.prng.chance(1, 2);
        let bytes = self.clients[client].look(guild, &channels, old_form);
        self.write(client, &bytes);
    }

    /// Everybody looks at some lists of each guild that it sees, while nothing else happens.
    pub fn look_at_rest(&mut self) {
        for client in 0..self.clients.len() {
            let secret = self.clients[client].session.as_ref().map_or(0, |session| session.secret);
            for guild in self.oracle.seats_of(secret) {
                let all: Vec<u64> = self.oracle.guilds()[&guild].channels.keys().copied().collect();
                let windows: Vec<usize> = if self.prng.chance(1, 2) { vec![0] } else { vec![0, 1, 5, 9, 22] };
                let channels: BTreeSet<u64> = (0..3).filter_map(|_| self.pick(&all)).collect();
                let range = |window: &usize| (100 * *window as u32, 100 * *window as u32 + 99);
                let ranges: Vec<(u32, u32)> = windows.iter().map(range).collect();
                let asked = channels.iter().map(|channel| (*channel, ranges.clone())).collect();
                let bytes = self.clients[client].look(guild, &asked, true);
                self.write(client, &bytes);
                let bot = self.oracle.is_bot(self.clients[client].user);
                if let Some(session) = self.clients[client].session.as_mut().filter(|_| !bot) {
                    let looks = channels.into_iter().map(|channel| (channel, windows.clone())).collect();
                    session.lists.looks.insert(guild, looks);
                }
            }
        }
    }

    /// A client asks who is a member of a guild; `sees`: those that its session sees, and nothing stands in the way.
    fn ask_members(&mut self, client: usize, sees: Option<&[u64]>) {
        if !self.clients[client].is_live() {
            return;
        }
        let all: Vec<u64> = self.oracle.guilds().keys().copied().collect();
        let Some(guild) = self.pick(sees.unwrap_or(&all)) else { return };
        let model = &self.oracle.guilds()[&guild];
        let (owner, members): (u64, BTreeSet<u64>) = (model.owner, model.members.keys().copied().collect());
        let user = self.clients[client].user;
        let bot = self.oracle.is_bot(user);
        // The owner may lose the guild meanwhile.
        let may = if bot { self.clients[client].intents & GUILD_MEMBERS != 0 } else { owner == user };
        let what = match self.prng.below(4) {
            0..2 if may => What::Everybody,
            0..3 => {
                What::Named(["user", "user1", "u", "nick", "crowd-00", "x"][self.prng.below(6) as usize].to_owned())
            }
            _ => {
                let known: Vec<u64> = self.oracle.names.keys().copied().collect();
                let some = (0..1 + self.prng.below(40)).filter_map(|_| self.pick(&known));
                What::Users(some.chain([1]).collect())
            }
        };
        self.questions += 1;
        let nonce = format!("q{}", self.questions);
        let must = sees.is_some() && (bot || what != What::Everybody);
        let changes = self.oracle.changes.len();
        let question = Question { nonce, guild, what, members, changes, must };
        let bytes = question.payload(self.prng.chance(1, 3));
        if let Some(session) = &mut self.clients[client].session {
            session.asking.questions.push(question);
        }
        self.write(client, &bytes);
    }

    /// Everybody asks about the members of a guild that it sees, while nothing else happens.
    pub fn ask_members_at_rest(&mut self) {
        for client in 0..self.clients.len() {
            let secret = self.clients[client].session.as_ref().map_or(0, |session| session.secret);
            let sees: Vec<u64> = self.oracle.seats_of(secret).into_iter().collect();
            self.ask_members(client, Some(&sees));
        }
    }

    fn some_presence(&mut self, hides: bool, on: &'static str) -> Shown {
        let status = match self.prng.below(8) {
            _ if hides => ["invisible", "offline"][self.prng.below(2) as usize],
            0..3 => "online",
            3..5 => "idle",
            5..7 => "dnd",
            _ => "invisible",
        };
        let does = self.prng.chance(1, 3).then(|| format!("game {}", self.prng.below(5)));
        Shown { status, does, on }
    }

    /// Somebody shows itself in another way, or follows others.
    fn presence(&mut self) {
        let client = self.prng.below(self.clients.len() as u64) as usize;
        if !self.clients[client].is_live() {
            return;
        }
        if self.prng.chance(2, 3) {
            self.present(client);
        } else {
            let guilds: Vec<u64> = self.oracle.guilds().keys().copied().collect();
            let Some(guild) = self.pick(&guilds) else { return };
            let users = self.some_people(guild);
            let bytes = self.clients[client].follow(guild, users);
            self.write(client, &bytes);
        }
    }

    /// Some of those who have clients and are members: no more than one payload has room for.
    fn some_people(&mut self, guild: u64) -> BTreeSet<u64> {
        let members = &self.oracle.guilds()[&guild].members;
        let people: BTreeSet<u64> = self.clients.iter().map(|client| client.user).collect();
        let here: Vec<u64> = people.into_iter().filter(|user| members.contains_key(user)).collect();
        here.into_iter().filter(|_| self.prng.chance(1, 2)).collect()
    }

    fn present(&mut self, client: usize) {
        let (hides, on) = (self.clients[client].hides, self.clients[client].shows.on);
        let said = self.some_presence(hides, on);
        let bytes = self.clients[client].present(said);
        self.write(client, &bytes);
    }

    /// Everybody says once more what it is like, and whom it follows.
    pub fn present_again(&mut self) {
        for client in 0..self.clients.len() {
            self.present(client);
            let Some(session) = &self.clients[client].session else { continue };
            let mut follows = session.beliefs.follows.clone();
            for guild in self.oracle.seats_of(session.secret) {
                if self.prng.chance(1, 2) {
                    follows.insert(guild, self.some_people(guild));
                }
            }
            for (guild, users) in follows {
                let bytes = self.clients[client].follow(guild, users);
                self.write(client, &bytes);
            }
        }
    }

    fn mishap(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let client = self.prng.below(self.clients.len() as u64) as usize;
        match self.prng.below(100) {
            0..45 => self.cut(client),
            45..52 => {
                // A clean close: the session is over.
                if self.clients[client].link.is_some() {
                    let intents = self.some_intents();
                    self.report.farewells += 1;
                    self.write(client, &crate::stream::masked(8, &1000u16.to_be_bytes()));
                    self.hang_up(client, Duration::ZERO);
                    self.clients[client].end_session();
                    self.clients[client].intents = intents;
                }
            }
            52..60 => {
                // Closed by the client, resumably.
                self.write(client, &crate::stream::masked(8, &4000u16.to_be_bytes()));
                self.hang_up(client, Duration::ZERO);
            }
            60..72 => {
                let stall = Duration::from_millis(self.prng.below(20_000));
                let until = self.now + stall;
                if let Some(link) = &mut self.clients[client].link {
                    link.stalled_until = until;
                    self.report.stalls += 1;
                }
            }
            72..82 => {
                if let Some(link) = &mut self.clients[client].link {
                    link.mute = true;
                }
            }
            82..86 => {
                self.report.storms += 1;
                for client in 0..self.clients.len() {
                    self.cut(client);
                    self.clients[client].reconnect_at = self.now;
                }
            }
            86..92 => self.ask_members(client, None),
            92..94 => {
                let user = self.clients[client].user;
                self.report.revocations += 1;
                for client in self.clients.iter_mut().filter(|client| client.user == user) {
                    client.revocations += 1;
                    if let Some(session) = &mut client.session {
                        session.dead = true;
                    }
                }
                self.ask(Actor::Operator, Request::RevokeTokens(UserId::new(user)), Asked::Other);
            }
            _ => {
                let nonsense = self.clients[client].link.is_some() && self.prng.chance(1, 4);
                if nonsense {
                    self.write(client, &payload(&json!({ "op": 1, "d": "x" })));
                }
            }
        }
    }

    fn request(&mut self) {
        let all: Vec<u64> = self.oracle.guilds().keys().copied().collect();
        let Some(guild) = self.pick(&all) else { return self.found_guild() };
        let model = self.oracle.guilds()[&guild].clone();
        let members: Vec<u64> = model.members.keys().copied().collect();
        let Some(member) = self.pick(&members) else { return };
        // The owner may do everything, others what they may.
        let actor = if self.prng.chance(4, 5) { model.owner } else { member };
        match self.prng.below(100) {
            0..40 => self.message(&model, member),
            40..47 => self.edit(&model),
            47..53 => self.delete(&model),
            53..55 => self.typing(&model, member),
            55..60 => self.pin(&model, actor),
            60..68 => self.overwrite(&model, actor),
            68..73 => self.channel(&model, actor),
            73..81 => self.role(&model, actor),
            81..90 => self.member_roles(&model, actor, member),
            90..98 => self.membership(&model, actor, member),
            98 => self.settings(&model, actor, member),
            _ => {
                if self.prng.chance(1, 4) {
                    self.ask_guild(model.owner, guild, SettingsRequest::Delete);
                } else if all.len() < 6 {
                    self.found_guild();
                }
            }
        }
    }

    /// A person writes a note about a user, or deletes it.
    fn note(&mut self) {
        let people: Vec<u64> = self.clients.iter().filter(|client| !client.bot).map(|client| client.user).collect();
        let all: Vec<u64> = self.oracle.names.keys().copied().take(10).collect();
        let (Some(author), Some(known)) = (self.pick(&people), self.pick(&all)) else { return };
        let about = if self.prng.chance(1, 20) { 1 } else { known };
        let deletes = self.prng.chance(1, 5);
        let text = if deletes { String::new() } else { format!("note {} of {author}", self.report.asks) };
        let note = UserNote { author: UserId::new(author), about: UserId::new(about), text };
        self.ask(Actor::User(note.author), Request::SetNote(note), Asked::Other);
    }

    fn pick(&mut self, list: &[u64]) -> Option<u64> {
        (!list.is_empty()).then(|| list[self.prng.below(list.len() as u64) as usize])
    }

    fn ask_guild(&mut self, actor: u64, guild: u64, request: impl Into<GuildRequest>) {
        let request = Request::Guild(GuildId::new(guild), request.into());
        self.ask(Actor::User(UserId::new(actor)), request, Asked::Other);
    }

    fn ask_channel(&mut self, actor: u64, channel: u64, request: impl Into<GuildRequest>, asked: Asked) {
        let request = Request::Channel(ChannelId::new(channel), request.into());
        self.ask(Actor::User(UserId::new(actor)), request, asked);
    }

    fn found_guild(&mut self) {
        let users: Vec<u64> = self.clients.iter().map(|client| client.user).collect();
        let Some(owner) = self.pick(&users) else { return };
        let shard = VirtualShard::hashed(self.prng.next_u64());
        let draft = GuildDraft { name: format!("guild of {owner}") };
        let owner = UserId::new(owner);
        self.ask(Actor::User(owner), Request::FoundGuild { shard, owner, draft }, Asked::Other);
    }

    fn some_channel(&mut self, model: &GuildModel) -> Option<u64> {
        let channels: Vec<u64> = model.channels.keys().copied().collect();
        self.pick(&channels)
    }

    fn message(&mut self, model: &GuildModel, author: u64) {
        let Some(channel) = self.some_channel(model) else { return };
        let members: Vec<u64> = model.members.keys().copied().collect();
        let mut rest = String::from("hello");
        if self.prng.chance(1, 4)
            && let Some(mentioned) = self.pick(&members)
        {
            rest = format!("hello <@{mentioned}>");
        }
        let roles: Vec<u64> = model.roles.keys().copied().filter(|role| *role != model.id).collect();
        match self.prng.below(20) {
            0 => rest.push_str(" @everyone"),
            1..3 => {
                if let Some(role) = self.pick(&roles) {
                    rest = format!("hello <@&{role}>");
                }
            }
            _ => {}
        }
        if self.prng.chance(1, 10) {
            rest.push_str(&" word".repeat(self.prng.below(350) as usize));
        }
        let (tag, content) = self.ledger.tag(channel, &rest);
        let draft = MessageDraft { content, ..MessageDraft::default() };
        let id = ChannelId::new(channel);
        self.ask_channel(author, channel, MessageRequest::Create(id, draft), Asked::Message { tag });
    }

    /// Everybody who ever subscribed does so once more.
    pub fn subscribe_again(&mut self) {
        for client in 0..self.clients.len() {
            let asked = self.clients[client].session.as_ref().map(|it| it.asked.clone()).unwrap_or_default();
            for guild in asked {
                let bytes = self.clients[client].subscribe(guild, false);
                self.write(client, &bytes);
            }
            // What it said when it was cut off may not have arrived.
            let follows = self.clients[client].session.as_ref().map(|it| it.beliefs.follows.clone());
            for (guild, users) in follows.unwrap_or_default() {
                let bytes = self.clients[client].follow(guild, users);
                self.write(client, &bytes);
            }
        }
    }

    /// The owner of each guild writes into each of its channels.
    pub fn last_messages(&mut self) {
        self.oracle.last = true;
        for model in self.oracle.guilds().clone().into_values() {
            for channel in model.channels.keys() {
                let (tag, content) = self.ledger.tag(*channel, "the last");
                let draft = MessageDraft { content, ..MessageDraft::default() };
                let request = MessageRequest::Create(ChannelId::new(*channel), draft);
                self.ask_channel(model.owner, *channel, request, Asked::Message { tag });
            }
            // Whoever follows the owner hears of it.
            let patch = MemberPatch { nick: Some(Some("the last".to_owned())), ..MemberPatch::default() };
            let request = MemberRequest::Modify(UserId::new(model.owner), patch);
            self.ask_guild(model.owner, model.id, request);
        }
    }

    /// A message that fills backlogs and journals soon. Doors would not let it in: here it stands for very many.
    fn huge_message(&mut self) {
        // Client 0 is to see it, and then not to read.
        let user = self.clients[0].user;
        let Some(model) = self.oracle.guilds().values().find(|guild| guild.owner == user).cloned() else { return };
        let Some((channel, _)) = model.channels.iter().find(|(_, channel)| channel.kind == 0) else { return };
        let (tag, content) = self.ledger.tag(*channel, &"x".repeat(1_500_000));
        let draft = MessageDraft { content, ..MessageDraft::default() };
        let request = MessageRequest::Create(ChannelId::new(*channel), draft);
        self.ask_channel(model.owner, *channel, request, Asked::Message { tag });
        if self.prng.chance(1, 3) {
            let until = self.now + Duration::from_secs(40);
            if let Some(link) = &mut self.clients[0].link {
                link.stalled_until = until;
                self.report.stalls += 1;
            }
        }
    }

    /// An acknowledged message in one of the guild's channels: its tag, channel, id and author.
    fn some_message(&mut self, model: &GuildModel) -> Option<(u64, u64, u64)> {
        let known: Vec<u64> = self
            .ledger
            .messages
            .iter()
            .rev()
            .filter(|(_, fate)| fate.id.is_some() && model.channels.contains_key(&fate.channel))
            .map(|(tag, _)| *tag)
            .take(10)
            .collect();
        let tag = self.pick(&known)?;
        let fate = &self.ledger.messages[&tag];
        Some((tag, fate.channel, fate.id?))
    }

    fn edit(&mut self, model: &GuildModel) {
        let Some((tag, channel, id)) = self.some_message(model) else { return };
        let query = Query::Message(ChannelId::new(channel), MessageId::new(id));
        let Found::Message(Some(message)) = self.store.look(&query) else { return };
        let content = format!("t{tag} edited {}", self.prng.below(1_000_000));
        let patch = MessagePatch { content: Some(content.clone()), ..MessagePatch::default() };
        let request = MessageRequest::Edit(ChannelId::new(channel), MessageId::new(id), patch);
        self.ask_channel(message.author.id.get(), channel, request, Asked::Edit { tag, content });
    }

    fn delete(&mut self, model: &GuildModel) {
        let Some((tag, channel, id)) = self.some_message(model) else { return };
        let (mut tags, mut ids) = (vec![tag], vec![MessageId::new(id)]);
        for _ in 0..3 {
            if let Some((tag, other, id)) = self.some_message(model)
                && other == channel
                && !tags.contains(&tag)
            {
                tags.push(tag);
                ids.push(MessageId::new(id));
            }
        }
        let place = ChannelId::new(channel);
        let (request, tags) = if ids.len() > 1 && self.prng.chance(1, 2) {
            (MessageRequest::BulkDelete(place, ids), tags)
        } else {
            (MessageRequest::Delete(place, ids[0]), vec![tag])
        };
        self.ask_channel(model.owner, channel, request, Asked::Delete { tags });
    }

    /// Somebody pins a message, or takes a pin away: mostly the owner, others without the permission too.
    fn pin(&mut self, model: &GuildModel, actor: u64) {
        let Some((_, channel, id)) = self.some_message(model) else { return };
        let pinned: Vec<u64> = self.oracle.pins_in(channel).into_iter().collect();
        let pinned = self.pick(&pinned).filter(|_| self.prng.chance(2, 5));
        let (place, id) = (ChannelId::new(channel), MessageId::new(pinned.unwrap_or(id)));
        let request = match pinned {
            Some(_) => MessageRequest::Unpin(place, id),
            None => MessageRequest::Pin(place, id),
        };
        self.ask_channel(actor, channel, request, Asked::Other);
    }

    fn typing(&mut self, model: &GuildModel, member: u64) {
        let Some(channel) = self.some_channel(model) else { return };
        self.ask_channel(member, channel, MessageRequest::Typing(ChannelId::new(channel)), Asked::Other);
    }

    /// Somebody whom an overwrite may name, `@everyone` and strangers included.
    fn some_principal(&mut self, model: &GuildModel) -> (u64, OverwriteKind) {
        if self.prng.chance(1, 3) {
            let users: Vec<u64> = self.clients.iter().map(|client| client.user).collect();
            return (self.pick(&users).unwrap_or(model.owner), OverwriteKind::Member);
        }
        let roles: Vec<u64> = model.roles.keys().copied().chain([model.id]).collect();
        (self.pick(&roles).unwrap_or(model.id), OverwriteKind::Role)
    }

    fn some_overwrite(&mut self, model: &GuildModel) -> Overwrite {
        let (id, kind) = self.some_principal(model);
        let some = |prng: &mut Prng| match prng.below(5) {
            0 => Permissions::empty(),
            1 => Permissions::SEND_MESSAGES,
            2 => Permissions::VIEW_CHANNEL | Permissions::CONNECT,
            3 => Permissions::MANAGE_CHANNELS,
            _ => Permissions::VIEW_CHANNEL,
        };
        let (allow, deny) = if self.prng.chance(1, 2) {
            (some(&mut self.prng), Permissions::empty())
        } else {
            (Permissions::empty(), some(&mut self.prng))
        };
        Overwrite { id, kind, allow, deny }
    }

    fn overwrite(&mut self, model: &GuildModel, actor: u64) {
        let Some(channel) = self.some_channel(model) else { return };
        let id = ChannelId::new(channel);
        let there = &model.channels[&channel].overwrites;
        let request = if !there.is_empty() && self.prng.chance(2, 5) {
            let ids: Vec<u64> = there.iter().map(|entry| entry.id).collect();
            ChannelRequest::DeleteOverwrite(id, self.pick(&ids).unwrap_or(0))
        } else {
            ChannelRequest::PutOverwrite(id, self.some_overwrite(model))
        };
        self.ask_channel(actor, channel, request, Asked::Other);
    }

    fn channel(&mut self, model: &GuildModel, actor: u64) {
        let categories: Vec<u64> = model.channels.iter().filter(|(_, it)| it.kind == 4).map(|(id, _)| *id).collect();
        let parent = if self.prng.chance(1, 2) { self.pick(&categories).map(ChannelId::new) } else { None };
        match self.prng.below(5) {
            0..2 if model.channels.len() < 9 => {
                let overwrites = self.prng.chance(2, 3).then(|| {
                    let hidden = Overwrite {
                        id: model.id,
                        kind: OverwriteKind::Role,
                        allow: Permissions::empty(),
                        deny: Permissions::VIEW_CHANNEL,
                    };
                    let other = self.some_overwrite(model);
                    let both = (other.kind, other.id) != (hidden.kind, hidden.id);
                    if both { vec![hidden, other] } else { vec![hidden] }
                });
                let kind = [ChannelKind::Text, ChannelKind::Text, ChannelKind::Voice][self.prng.below(3) as usize];
                let draft = ChannelDraft {
                    name: format!("channel-{}", self.prng.below(1_000)),
                    kind,
                    topic: None,
                    position: None,
                    parent_id: parent,
                    nsfw: false,
                    rate_limit_per_user: 0,
                    bitrate: None,
                    user_limit: None,
                    overwrites,
                };
                self.ask_guild(actor, model.id, ChannelRequest::Create(draft));
            }
            0..3 => {
                let Some(channel) = self.some_channel(model) else { return };
                let patch = ChannelPatch {
                    name: Some(format!("renamed-{}", self.prng.below(1_000))),
                    overwrites: self.prng.chance(1, 3).then(|| vec![self.some_overwrite(model)]),
                    ..ChannelPatch::default()
                };
                let request = ChannelRequest::Modify(ChannelId::new(channel), patch);
                self.ask_channel(actor, channel, request, Asked::Other);
            }
            3 => {
                let Some(channel) = self.some_channel(model) else { return };
                let step = ChannelMove {
                    id: ChannelId::new(channel),
                    position: Some(self.prng.below(5) as i32),
                    parent_id: parent.map(Some),
                    lock_permissions: true,
                };
                self.ask_guild(actor, model.id, ChannelRequest::Move(vec![step]));
            }
            _ => {
                if model.channels.len() > 3 {
                    let Some(channel) = self.some_channel(model) else { return };
                    let request = ChannelRequest::Delete(ChannelId::new(channel));
                    self.ask_channel(actor, channel, request, Asked::Other);
                }
            }
        }
    }

    fn role(&mut self, model: &GuildModel, actor: u64) {
        let base = Permissions::SEND_MESSAGES;
        let permissions = match self.prng.below(6) {
            0 => base,
            1 => Permissions::ADMINISTRATOR,
            2 => base | Permissions::MANAGE_CHANNELS | Permissions::VIEW_CHANNEL,
            3 => base | Permissions::MANAGE_ROLES | Permissions::KICK_MEMBERS | Permissions::VIEW_CHANNEL,
            _ => base | Permissions::VIEW_CHANNEL | Permissions::CREATE_INSTANT_INVITE,
        };
        let patch = RolePatch {
            name: Some(format!("role-{}", self.prng.below(1_000))),
            permissions: Some(permissions),
            hoist: Some(self.prng.chance(1, 2)),
            ..RolePatch::default()
        };
        let roles: Vec<u64> = model.roles.keys().copied().filter(|role| *role != model.id).collect();
        let some = self.pick(&roles);
        match (self.prng.below(6), some) {
            (0 | 1, _) | (_, None) => {
                if roles.len() < 6 {
                    self.ask_guild(actor, model.id, RoleRequest::Create(patch));
                }
            }
            (2 | 3, Some(role)) => {
                let role = if self.prng.chance(1, 4) { model.id } else { role };
                self.ask_guild(actor, model.id, RoleRequest::Modify(RoleId::new(role), patch));
            }
            (4, Some(role)) => {
                let step = RoleMove { id: RoleId::new(role), position: Some(1 + self.prng.below(5) as i32) };
                self.ask_guild(actor, model.id, RoleRequest::Move(vec![step]));
            }
            (_, Some(role)) => {
                self.ask_guild(actor, model.id, RoleRequest::Delete(RoleId::new(role)));
            }
        }
    }

    fn member_roles(&mut self, model: &GuildModel, actor: u64, member: u64) {
        let roles: Vec<u64> = model.roles.keys().copied().filter(|role| *role != model.id).collect();
        let Some(role) = self.pick(&roles) else { return };
        let (user, role) = (UserId::new(member), RoleId::new(role));
        let request = match self.prng.below(6) {
            0..3 => GuildRequest::from(RoleRequest::Give(user, role)),
            3..5 => RoleRequest::Take(user, role).into(),
            _ => {
                let patch = MemberPatch {
                    nick: Some(Some(format!("nick{}", self.prng.below(100)))),
                    roles: self.prng.chance(1, 2).then(|| vec![role]),
                    ..MemberPatch::default()
                };
                MemberRequest::Modify(user, patch).into()
            }
        };
        self.ask_guild(actor, model.id, request);
    }

    fn membership(&mut self, model: &GuildModel, actor: u64, member: u64) {
        let users: Vec<u64> = self.clients.iter().map(|client| client.user).collect();
        let Some(user) = self.pick(&users) else { return };
        match self.prng.below(10) {
            0 | 1 => self.ask_guild(actor, model.id, MemberRequest::Kick(UserId::new(member))),
            2 | 3 => self.ask_guild(member, model.id, MemberRequest::Leave),
            4 => {
                let Some(channel) = self.some_channel(model) else { return };
                let draft =
                    InviteDraft { max_age: 0, max_uses: self.prng.below(3) as u32, temporary: false, unique: true };
                let request = InviteRequest::Create(ChannelId::new(channel), draft);
                self.ask_channel(actor, channel, request, Asked::Other);
            }
            5..8 => {
                let Found::Invites(invites) = self.store.look(&Query::Invites(Id::new(model.id))) else { return };
                let Some(invite) = invites.first() else {
                    let request = Request::Guild(Id::new(model.id), MemberRequest::Add(UserId::new(user)).into());
                    return self.ask(Actor::Operator, request, Asked::Other);
                };
                let request = InviteRequest::Accept { code: invite.code.clone() };
                self.ask_guild(user, model.id, request);
            }
            _ => {
                let request = Request::Guild(Id::new(model.id), MemberRequest::Add(UserId::new(user)).into());
                self.ask(Actor::Operator, request, Asked::Other);
            }
        }
    }

    fn settings(&mut self, model: &GuildModel, actor: u64, member: u64) {
        let patch = GuildPatch {
            name: Some(format!("renamed {}", self.prng.below(1_000))),
            owner_id: self.prng.chance(1, 3).then(|| UserId::new(member)),
            ..GuildPatch::default()
        };
        self.ask_guild(actor, model.id, SettingsRequest::Modify(patch));
    }
}
