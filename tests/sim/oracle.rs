//! The oracle: what every session should have seen, worked out from what was committed and from nothing else.
//!
//! It is told of a commit at the moment when the guild's core hears of it, since that is when the guild publishes; of a
//! snapshot, or a refused join, when the guild's core posts it, since that is where a session enters the guild's order;
//! and of typing, which is never written, when it is published. Everything else follows from the writes: which events
//! they are, what is in them, and, by its own model of permissions, who may know.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use guildhall::base::clock::iso8601;
use guildhall::store::Write;

use crate::essence::{self, MessageMarks};
use crate::lists::list_id;
use crate::model::{ChannelModel, GuildModel, MANAGE_CHANNELS, MemberModel, RoleModel};
use crate::passive::{self, Item};
use crate::presence::is_small;
use crate::report::Report;
use crate::user_notes::UserNotes;

const GUILDS: u32 = 1;
const GUILD_MEMBERS: u32 = 1 << 1;
const GUILD_INVITES: u32 = 1 << 6;
const GUILD_MESSAGES: u32 = 1 << 9;
const GUILD_MESSAGE_TYPING: u32 = 1 << 11;
pub const MESSAGE_CONTENT: u32 = 1 << 15;

/// Something that a session should see, if its intents ask for it.
#[derive(Debug)]
struct Expected {
    /// Which intent asks for it.
    intent: u32,
    /// Whose sessions get it whatever their intents.
    always_to: Option<u64>,
    line: String,
    /// Without text, and who gets the text all the same.
    blank: Option<(String, Vec<u64>)>,
    /// A new message.
    mark: Option<Mark>,
    special: Special,
}

/// What a new message is to passive sessions.
#[derive(Debug)]
struct Mark {
    channel: u64,
    message: u64,
    everyone: bool,
    roles: Vec<u64>,
}

/// Something that happened before one session.
#[derive(Debug)]
struct Entry {
    /// None when a channel goes out of sight.
    expected: Option<Rc<Expected>>,
    hides: Option<u64>,
    /// The guild is large for the session.
    limited: bool,
    /// It comes to the session while it is passive, together with its whole audience.
    comes_to_all: bool,
    /// Every subscription was in force.
    last: bool,
    /// Member lists that are in the session's sight from here on.
    sight: Sight,
}

/// Member lists, by id.
type Sight = Rc<BTreeSet<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    None,
    /// GUILD_CREATE: says whether READY had announced it.
    Entrance,
    /// The guild did not let the session in: GUILD_DELETE if READY had announced it.
    Refused,
}

/// Who may know of an event.
enum Reach {
    Members,
    Viewers(u64),
    Managers(u64),
}

/// What a session is, as its client knows it.
#[derive(Debug)]
pub struct SessionView<'a> {
    pub secret: u64,
    pub user: u64,
    pub intents: u32,
    pub announced: &'a [u64],
    /// By sequence number.
    pub received: &'a [(Option<u64>, String)],
    /// Alive at rest: then nothing may be missing.
    pub complete: bool,
    /// It can read PASSIVE_UPDATE_V2.
    pub deltas: bool,
    /// Guilds of which it has asked for all messages.
    pub asked: &'a BTreeSet<u64>,
    /// Whom it follows, by guild.
    pub follows: &'a BTreeMap<u64, BTreeSet<u64>>,
    /// Whom it ever followed: guild and user.
    pub ever_followed: &'a BTreeSet<(u64, u64)>,
    /// What it was told of member lists: guild and list, behind so many events.
    pub lists: &'a [(usize, u64, String)],
}

/// What the sessions of this run should see.
#[derive(Debug, Default)]
pub struct Oracle {
    guilds: BTreeMap<u64, GuildModel>,
    /// Who sees a guild: sessions by secret, with their users.
    seated: BTreeMap<u64, BTreeMap<u64, u64>>,
    expected: BTreeMap<(u64, u64), Vec<Entry>>,
    /// Sessions, with the guilds that are large for them.
    limited: BTreeSet<(u64, u64)>,
    /// For which sessions, by secret and guild, the guild was small, always and ever.
    small: BTreeMap<(u64, u64), (bool, bool)>,
    bots: BTreeSet<u64>,
    /// By channel: pinned messages, and since when.
    pins: BTreeMap<u64, BTreeMap<u64, u64>>,
    /// Who joined or left which guild, or 0 for a guild that went, in order.
    pub changes: Vec<(u64, u64)>,
    /// Usernames.
    pub names: BTreeMap<u64, String>,
    /// Members above which a guild is large for people.
    pub passive_above: u64,
    /// Every subscription is in force.
    pub last: bool,
    /// What users have written about others.
    pub notes: UserNotes,
}

impl Oracle {
    /// Who is a bot.
    pub fn bot(&mut self, user: u64) {
        self.bots.insert(user);
    }

    /// Whether a user is a bot.
    pub fn is_bot(&self, user: u64) -> bool {
        self.bots.contains(&user)
    }

    /// Whether the guild was small as long as the session has seen it.
    pub fn always_small(&self, secret: u64, guild: u64) -> bool {
        self.small.get(&(secret, guild)).is_some_and(|(always, _)| *always)
    }

    /// Whether the guild was small at some time while the session saw it.
    pub fn ever_small(&self, secret: u64, guild: u64) -> bool {
        self.small.get(&(secret, guild)).is_some_and(|(_, ever)| *ever)
    }

    fn note_sizes(&mut self) {
        for (guild, model) in &self.guilds {
            let small = is_small(model.members.len() as u64, self.passive_above);
            for secret in self.seated.get(guild).into_iter().flat_map(BTreeMap::keys) {
                if let Some((always, ever)) = self.small.get_mut(&(*secret, *guild)) {
                    (*always, *ever) = (*always && small, *ever || small);
                }
            }
        }
    }

    /// Guilds as committed.
    pub fn guilds(&self) -> &BTreeMap<u64, GuildModel> {
        &self.guilds
    }

    /// The process has died, and all sessions with it.
    pub fn crash(&mut self) {
        self.seated.clear();
    }

    /// The user of a session that sees a guild.
    pub fn user_of(&self, guild: u64, secret: u64) -> Option<u64> {
        self.seated.get(&guild)?.get(&secret).copied()
    }

    /// The guilds that a session sees.
    pub fn seats_of(&self, secret: u64) -> BTreeSet<u64> {
        self.seated.iter().filter(|(_, seated)| seated.contains_key(&secret)).map(|(guild, _)| *guild).collect()
    }

    /// A guild has posted a snapshot to a session of a user.
    pub fn snapshot(&mut self, guild: u64, secret: u64, user: u64, report: &mut Report) {
        let Some(model) = self.guilds.get(&guild) else {
            panic!("judge oracle: a snapshot of guild {guild}, which does not exist");
        };
        assert!(
            model.members.contains_key(&user),
            "judge oracle: user {user} is let into guild {guild} without being a member"
        );
        if self.seated.entry(guild).or_default().insert(secret, user).is_some() {
            return; // it is there already, and ignores the second one
        }
        report.snapshots += 1;
        let small = is_small(model.members.len() as u64, self.passive_above);
        let ever = self.ever_small(secret, guild) || small;
        self.small.insert((secret, guild), (small, ever));
        if model.members.len() as u64 > self.passive_above && !self.bots.contains(&user) {
            self.limited.insert((secret, guild));
        } else {
            self.limited.remove(&(secret, guild));
        }
        let line = essence::guild_create(model, user);
        let entrance = Expected { special: Special::Entrance, ..Expected::plain(GUILDS, line) };
        let sight = self.sight(guild, user);
        self.push(guild, secret, entrance, sight);
    }

    /// A guild has refused a session.
    pub fn join_refused(&mut self, guild: u64, secret: u64, report: &mut Report) {
        report.joins_refused += 1;
        let expected = Expected { special: Special::Refused, ..Expected::plain(GUILDS, "GUILD_DELETE".to_owned()) };
        self.push(guild, secret, expected, Sight::default());
    }

    /// Somebody types.
    pub fn typing(&mut self, guild: u64, channel: u64, user: u64, report: &mut Report) {
        let line = format!("TYPING_START {user} in {channel}");
        self.happen(guild, Reach::Viewers(channel), Expected::plain(GUILD_MESSAGE_TYPING, line), report, |_| ());
    }

    /// A commit was made, and its core has heard of it.
    pub fn committed(&mut self, writes: &[Write], report: &mut Report) {
        if let Some(Write::PutGuild(guild)) = writes.first()
            && !self.guilds.contains_key(&guild.id.get())
        {
            return self.found(writes);
        }
        let gone: Vec<(u64, u64)> = writes
            .iter()
            .filter_map(|write| match write {
                Write::DeleteMessage(channel, message) => Some((channel.get(), message.get())),
                _ => None,
            })
            .collect();
        if let Some((channel, _)) = gone.first().copied() {
            let ids: Vec<u64> = gone.iter().map(|(_, id)| *id).collect();
            if let Some(guild) = self.guild_of(channel) {
                let expected = Expected::plain(GUILD_MESSAGES, essence::messages_gone(channel, &ids));
                self.happen(guild, Reach::Viewers(channel), expected, report, |_| ());
            }
            for (channel, message) in gone {
                report.pins_deleted += u64::from(self.unpin(channel, message));
            }
            return;
        }
        for write in writes {
            self.apply(write, report);
        }
        self.note_sizes();
    }

    /// The member lists of a guild that a user may see now.
    pub fn sight(&self, guild: u64, user: u64) -> Rc<BTreeSet<String>> {
        self.guilds.get(&guild).map_or_else(Sight::default, |model| sight(model, user))
    }

    /// Judges what a session was told of member lists: each event by the lists that were in its sight at its place
    /// among the others.
    pub fn judge_sight(&self, session: &SessionView<'_>, report: &mut Report) {
        let guilds: BTreeSet<u64> = session.lists.iter().map(|(_, guild, _)| *guild).collect();
        for guild in guilds {
            let entries: &[Entry] = self.expected.get(&(session.secret, guild)).map(Vec::as_slice).unwrap_or_default();
            let received = || session.received.iter().enumerate().filter(|(_, (of, _))| *of == Some(guild));
            // What came before is at the latest where it was first expected, what came behind at the earliest where it
            // was last.
            let (mut at, mut from) = (0, BTreeMap::new());
            for (place, (_, line)) in received() {
                if let Some(found) = entries[at..].iter().position(|entry| entry.reads(line)) {
                    at += found + 1;
                    from.insert(place, at - 1);
                }
            }
            let (mut at, mut to) = (entries.len(), BTreeMap::new());
            for (place, (_, line)) in received().collect::<Vec<_>>().into_iter().rev() {
                if let Some(found) = entries[..at].iter().rposition(|entry| entry.reads(line)) {
                    at = found;
                    to.insert(place, at);
                }
            }
            for (place, _, id) in session.lists.iter().filter(|(_, of, _)| *of == guild) {
                let first = from.range(..place).next_back().map_or(0, |(_, at)| *at);
                let end = to.range(place..).next().map_or(entries.len(), |(_, at)| *at).max(first + 1);
                let seen = entries.get(first..end).unwrap_or_default().iter().any(|entry| entry.sight.contains(id));
                assert!(
                    seen && !self.bots.contains(&session.user),
                    "judge sight: session {:016x} of user {} was told of list {id} of guild {guild}, which was not in its sight \
                     behind event {place}",
                    session.secret,
                    session.user
                );
                report.lists_in_sight += 1;
            }
        }
    }

    /// Messages pinned in a channel.
    pub fn pins_in(&self, channel: u64) -> BTreeSet<u64> {
        self.pins.get(&channel).map(|pins| pins.keys().copied().collect()).unwrap_or_default()
    }

    /// A message is not pinned any more. Says whether it was.
    fn unpin(&mut self, channel: u64, message: u64) -> bool {
        let Some(pins) = self.pins.get_mut(&channel) else { return false };
        let was = pins.remove(&message).is_some();
        let last_pin = pins.values().max().copied().map(iso8601);
        if let Some(model) = self.guilds.values_mut().find_map(|guild| guild.channels.get_mut(&channel)) {
            model.last_pin = last_pin;
        }
        was
    }

    fn pins_changed(&mut self, channel: u64, report: &mut Report) {
        let Some(guild) = self.guild_of(channel) else { return };
        let last_pin = self.pins.get(&channel).and_then(|pins| pins.values().max().copied()).map(iso8601);
        let expected = Expected::plain(GUILDS, essence::pins_update(channel));
        self.happen(guild, Reach::Viewers(channel), expected, report, |model| {
            if let Some(model) = model.channels.get_mut(&channel) {
                model.last_pin = last_pin;
            }
        });
    }

    fn guild_of(&self, channel: u64) -> Option<u64> {
        self.guilds.values().find(|guild| guild.channels.contains_key(&channel)).map(|guild| guild.id)
    }

    /// A new guild: nobody sees it yet.
    fn found(&mut self, writes: &[Write]) {
        let Some(Write::PutGuild(guild)) = writes.first() else { unreachable!("checked by the caller") };
        let mut model = GuildModel::new(guild);
        for write in writes {
            match write {
                Write::PutRole(_, role) => drop(model.roles.insert(role.id.get(), RoleModel::from(&**role))),
                Write::PutChannel(channel) => {
                    model.channels.insert(channel.id.get(), ChannelModel::from(&**channel));
                }
                Write::PutMember(_, member) => {
                    model.members.insert(member.user.id.get(), MemberModel::from(&**member));
                }
                Write::PutGuild(_) => {}
                other => panic!("judge oracle: a guild is founded with {other:?}"),
            }
        }
        self.guilds.insert(model.id, model);
    }

    fn apply(&mut self, write: &Write, report: &mut Report) {
        match write {
            Write::PutGuild(guild) => {
                let line = format!("GUILD_UPDATE {:?} owner={}", guild.name, guild.owner_id.get());
                let (name, owner) = (guild.name.clone(), guild.owner_id.get());
                self.happen(guild.id.get(), Reach::Members, Expected::plain(GUILDS, line), report, |model| {
                    model.name = name;
                    model.owner = owner;
                });
            }
            Write::DeleteGuild(guild) => {
                let guild = guild.get();
                let line = "GUILD_DELETE".to_owned();
                self.happen(guild, Reach::Members, Expected::plain(GUILDS, line), report, |_| ());
                self.guilds.remove(&guild);
                self.seated.remove(&guild);
                self.changes.push((guild, 0));
            }
            Write::PutChannel(channel) => {
                let (guild, id) = (channel.guild_id.get(), channel.id.get());
                let Some(model) = self.guilds.get(&guild) else { return };
                let name = if model.channels.contains_key(&id) { "CHANNEL_UPDATE" } else { "CHANNEL_CREATE" };
                // A pin may have been made since the change was planned.
                let last_pin = model.channels.get(&id).and_then(|before| before.last_pin.clone());
                let after = ChannelModel { last_pin, ..ChannelModel::from(&**channel) };
                let expected = Expected::plain(GUILDS, essence::channel(name, id, &after));
                self.happen(guild, Reach::Viewers(id), expected, report, |model| {
                    model.channels.insert(id, after);
                });
            }
            Write::DeleteChannel(guild, channel) => {
                let (guild, id) = (guild.get(), channel.get());
                let Some(before) = self.guilds.get(&guild).and_then(|model| model.channels.get(&id)) else { return };
                let expected = Expected::plain(GUILDS, essence::channel("CHANNEL_DELETE", id, before));
                self.happen(guild, Reach::Viewers(id), expected, report, |model| {
                    model.channels.remove(&id);
                });
            }
            Write::PutRole(guild, role) => {
                let (guild, id) = (guild.get(), role.id.get());
                let Some(model) = self.guilds.get(&guild) else { return };
                let name = if model.roles.contains_key(&id) { "GUILD_ROLE_UPDATE" } else { "GUILD_ROLE_CREATE" };
                let after = RoleModel::from(&**role);
                let expected = Expected::plain(GUILDS, essence::role(name, id, &after));
                self.happen(guild, Reach::Members, expected, report, |model| {
                    model.roles.insert(id, after);
                });
            }
            Write::DeleteRole(guild, role) => {
                let id = role.get();
                let expected = Expected::plain(GUILDS, format!("GUILD_ROLE_DELETE {id}"));
                self.happen(guild.get(), Reach::Members, expected, report, |model| {
                    model.roles.remove(&id);
                });
            }
            Write::PutMember(guild, member) => {
                let (guild, id) = (guild.get(), member.user.id.get());
                let Some(model) = self.guilds.get(&guild) else { return };
                let new = !model.members.contains_key(&id);
                if new {
                    self.changes.push((guild, id));
                }
                let after = MemberModel::from(&**member);
                let name = if new { "GUILD_MEMBER_ADD" } else { "GUILD_MEMBER_UPDATE" };
                let line = essence::member(name, id, &after);
                let always_to = (!new).then_some(id);
                let expected = Expected { always_to, ..Expected::plain(GUILD_MEMBERS, line) };
                self.happen(guild, Reach::Members, expected, report, |model| {
                    model.members.insert(id, after);
                });
            }
            Write::RemoveMember(guild, user) => {
                let (guild, id) = (guild.get(), user.get());
                self.changes.push((guild, id));
                let expected = Expected::plain(GUILD_MEMBERS, format!("GUILD_MEMBER_REMOVE {id}"));
                self.happen(guild, Reach::Members, expected, report, |model| {
                    model.members.remove(&id);
                });
                let seated = self.seated.entry(guild).or_default();
                let leaving: Vec<u64> = seated.iter().filter(|(_, user)| **user == id).map(|(it, _)| *it).collect();
                for secret in leaving {
                    self.seated.entry(guild).or_default().remove(&secret);
                    self.push(guild, secret, Expected::plain(GUILDS, "GUILD_DELETE".to_owned()), Sight::default());
                }
            }
            Write::CreateMessage(message) | Write::EditMessage(message) => {
                let name = if matches!(write, Write::CreateMessage(_)) { "MESSAGE_CREATE" } else { "MESSAGE_UPDATE" };
                let (id, channel, author) = (message.id.get(), message.channel_id.get(), message.author.id.get());
                let marks = MessageMarks {
                    kind: u64::from(message.extra.kind),
                    pinned: message.extra.pinned,
                    refers_to: message.extra.replies_to.map(|id| id.get()),
                };
                let line = essence::message(name, id, channel, author, &marks, &message.content);
                let blank = essence::message(name, id, channel, author, &marks, "");
                let mut open: Vec<u64> = message.extra.mentions.iter().map(|user| user.id.get()).collect();
                open.push(author);
                let mark = matches!(write, Write::CreateMessage(_)).then(|| Mark {
                    channel,
                    message: id,
                    everyone: message.extra.mention_everyone,
                    roles: message.extra.mention_roles.iter().map(|role| role.get()).collect(),
                });
                let expected = Expected { blank: Some((blank, open)), mark, ..Expected::plain(GUILD_MESSAGES, line) };
                self.happen(message.guild_id.get(), Reach::Viewers(channel), expected, report, |_| ());
            }
            Write::Pin(pin) => {
                let (channel, message) = (pin.channel_id.get(), pin.message_id.get());
                // The channel may have been deleted meanwhile.
                if self.guild_of(channel).is_none() {
                    return;
                }
                let before = self.pins.entry(channel).or_default().insert(message, pin.pinned_at_ms);
                assert!(before.is_none(), "judge oracle: message {message} is pinned twice");
                report.pins += 1;
                self.pins_changed(channel, report);
            }
            Write::Unpin(channel, message) => {
                if self.unpin(channel.get(), message.get()) {
                    report.unpins += 1;
                    self.pins_changed(channel.get(), report);
                }
            }
            Write::PutInvite(invite) => {
                let expected = Expected::plain(GUILD_INVITES, format!("INVITE_CREATE {}", invite.code));
                let reach = Reach::Managers(invite.channel_id.get());
                self.happen(invite.guild_id.get(), reach, expected, report, |_| ());
            }
            Write::SetNote(note) => self.notes.committed(note, report),
            Write::UseInvite { .. } | Write::CreateAccount { .. } | Write::RevokeTokens { .. } => {}
            Write::DeleteInvite(code) => panic!("judge oracle: the workload withdraws no invites: {code}"),
            Write::DeleteMessage(..) => unreachable!("seen to by the caller"),
        }
    }

    /// Something happens in a guild: whoever may know of it before or after expects it, and then hears of the channels
    /// that have come into sight by it.
    fn happen(
        &mut self,
        guild: u64,
        reach: Reach,
        expected: Expected,
        report: &mut Report,
        change: impl FnOnce(&mut GuildModel),
    ) {
        let Some(model) = self.guilds.get_mut(&guild) else { return };
        let seated = self.seated.entry(guild).or_default().clone();
        let users: BTreeSet<u64> = seated.values().copied().collect();
        let knows = |model: &GuildModel, user: u64| match reach {
            Reach::Members => model.members.contains_key(&user),
            Reach::Viewers(channel) => model.views(user, channel),
            Reach::Managers(channel) => model.in_channel(user, channel) & MANAGE_CHANNELS != 0,
        };
        let before: BTreeMap<u64, (bool, BTreeSet<u64>)> =
            users.iter().map(|user| (*user, (knows(model, *user), model.viewed_by(*user)))).collect();
        change(model);
        let expected = Rc::new(expected);
        let mut revealed: BTreeMap<u64, Vec<Rc<Expected>>> = BTreeMap::new();
        for user in users {
            let (_, seen) = &before[&user];
            let lines = model.viewed_by(user).into_iter().filter(|channel| !seen.contains(channel));
            // A channel that is changed itself is told by its own event.
            let lines = lines.filter(|channel| !matches!(reach, Reach::Viewers(own) if own == *channel));
            let told = lines
                .map(|id| {
                    Rc::new(Expected::plain(GUILDS, essence::channel("CHANNEL_UPDATE", id, &model.channels[&id])))
                })
                .collect();
            revealed.insert(user, told);
        }
        // Nothing else has to do with who sees what.
        let same = expected.intent & (GUILD_MESSAGES | GUILD_MESSAGE_TYPING | GUILD_INVITES) != 0;
        let mut sights: BTreeMap<u64, Sight> = BTreeMap::new();
        for (secret, user) in seated {
            let list = self.expected.entry((secret, guild)).or_default();
            let before_it = list.last().filter(|_| same).map(|entry| Rc::clone(&entry.sight));
            let now = before_it.unwrap_or_else(|| Rc::clone(sights.entry(user).or_insert_with(|| sight(model, user))));
            let limited = self.limited.contains(&(secret, guild));
            let last = self.last;
            let entry = |expected: &Rc<Expected>, comes_to_all| Entry {
                expected: Some(Rc::clone(expected)),
                hides: None,
                limited,
                comes_to_all,
                last,
                sight: Rc::clone(&now),
            };
            if before[&user].0 || knows(model, user) {
                // A role that was deleted while the message was being committed counts still.
                let roles = model.members.get(&user).map(|member| member.roles.clone()).unwrap_or_default();
                let mentioned = |mark: &Mark| mark.everyone || mark.roles.iter().any(|role| roles.contains(role));
                list.push(entry(&expected, expected.mark.as_ref().is_some_and(mentioned)));
            } else {
                report.events_hidden += 1;
            }
            report.channels_revealed += revealed[&user].len() as u64;
            list.extend(revealed[&user].iter().map(|expected| entry(expected, true)));
            let views = model.viewed_by(user);
            let hidden = before[&user].1.iter().filter(|channel| !views.contains(channel));
            list.extend(hidden.map(|channel| Entry {
                expected: None,
                hides: Some(*channel),
                limited,
                comes_to_all: true,
                last,
                sight: Rc::clone(&now),
            }));
        }
    }

    fn push(&mut self, guild: u64, secret: u64, expected: Expected, sight: Sight) {
        let limited = self.limited.contains(&(secret, guild));
        let expected = Some(Rc::new(expected));
        let entry = Entry { expected, hides: None, limited, comes_to_all: true, last: self.last, sight };
        self.expected.entry((secret, guild)).or_default().push(entry);
    }

    /// Judges what a session has seen.
    pub fn judge(&self, session: &SessionView<'_>, report: &mut Report) {
        report.sessions_checked += 1;
        report.sessions_complete += u64::from(session.complete);
        let mut received: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for (guild, line) in session.received {
            if let Some(guild) = guild {
                received.entry(*guild).or_default().push(line);
            }
        }
        let nothing = (session.secret, 0)..=(session.secret, u64::MAX);
        let mut guilds: BTreeSet<u64> = self.expected.range(nothing).map(|((_, guild), _)| *guild).collect();
        guilds.extend(received.keys());
        for guild in guilds {
            let items = self.expected_by(session, guild, report);
            let got = received.remove(&guild).unwrap_or_default();
            report.events_checked += got.len() as u64;
            if items.iter().any(|item| item.limited) {
                let got = self.without_followed(session, guild, got, report);
                self.judge_limited(session, guild, &items, &got, report);
                continue;
            }
            let expected: Vec<String> =
                items.into_iter().map(|item| item.line).filter(|line| !line.is_empty()).collect();
            let equal = got.iter().zip(&expected).take_while(|(got, expected)| *got == expected).count();
            let extra = equal < got.len();
            let missing = session.complete && equal < expected.len();
            if extra || missing {
                let from = equal.saturating_sub(3);
                let tail =
                    |list: &[String]| list.iter().skip(from).take(8).cloned().collect::<Vec<_>>().join("\n      ");
                let got: Vec<String> = got.iter().map(|line| (*line).to_owned()).collect();
                panic!(
                    "judge oracle: session {:016x} of user {} with intents {:#x}, guild {guild}, complete {}: \
                     the sequences part at event {equal}\n  got {} events:\n      {}\n  expected {} events:\n      {}",
                    session.secret,
                    session.user,
                    session.intents,
                    session.complete,
                    got.len(),
                    tail(&got),
                    expected.len(),
                    tail(&expected),
                );
            }
        }
    }

    /// Takes out changes of members whom the session follows, which come whether it is passive or not. At the end they
    /// must.
    fn without_followed<'a>(
        &self,
        session: &SessionView<'_>,
        guild: u64,
        got: Vec<&'a str>,
        report: &mut Report,
    ) -> Vec<&'a str> {
        let entries = || self.expected.get(&(session.secret, guild)).into_iter().flatten();
        let changes = entries().filter_map(|entry| Some((entry, entry.expected.as_ref()?)));
        let changes = changes.filter(|(_, expected)| expected.line.starts_with("GUILD_MEMBER_UPDATE"));
        let follows = session.follows.get(&guild);
        let mut known: BTreeMap<&str, bool> = BTreeMap::new();
        for (entry, expected) in changes {
            let user = expected.always_to.unwrap_or(0);
            if !entry.limited || user == session.user || !session.ever_followed.contains(&(guild, user)) {
                continue;
            }
            let must = entry.last && session.complete && follows.is_some_and(|follows| follows.contains(&user));
            let must = must && session.intents & GUILD_MEMBERS != 0;
            *known.entry(&expected.line).or_default() |= must;
        }
        for (line, _) in known.iter().filter(|(_, must)| **must) {
            let came = got.contains(line);
            assert!(came, "judge oracle: {line} did not come to {:016x}, which follows", session.secret);
            report.changes_followed += 1;
        }
        got.into_iter().filter(|line| !known.contains_key(line)).collect()
    }

    /// Judges a session for which the guild was large at some time.
    fn judge_limited(&self, session: &SessionView<'_>, guild: u64, items: &[Item], got: &[&str], report: &mut Report) {
        let viewed = self.guilds.get(&guild).map(|model| model.viewed_by(session.user)).unwrap_or_default();
        let asked = session.asked.contains(&guild);
        let at = passive::Circumstances {
            complete: session.complete,
            deltas: session.deltas,
            asked,
            subscribed: asked && session.complete,
            viewed: &viewed,
        };
        match passive::compare(items, got, &at) {
            Ok(outcome) => {
                report.messages_skipped += outcome.skipped;
                report.unread_marks += outcome.marks;
                report.activations += outcome.activated;
            }
            Err(sentence) => {
                let wanted: Vec<&Item> = items.iter().filter(|item| !item.line.is_empty()).collect();
                let listed: Vec<String> = wanted
                    .iter()
                    .map(|item| format!("{}{}", if item.comes { "" } else { "(active) " }, item.line))
                    .collect();
                panic!(
                    "judge oracle: session {:016x} of user {} with intents {:#x} in large guild {guild}, {at:?}: {sentence}\n  \
                     got:\n      {}\n  should:\n      {}",
                    session.secret,
                    session.user,
                    session.intents,
                    got.join("\n      "),
                    listed.join("\n      "),
                );
            }
        }
    }

    fn expected_by(&self, session: &SessionView<'_>, guild: u64, report: &mut Report) -> Vec<Item> {
        let mut awaited = session.announced.contains(&guild);
        let mut lines = Vec::new();
        for entry in self.expected.get(&(session.secret, guild)).into_iter().flatten() {
            let Some(expected) = &entry.expected else {
                lines.push(Item { limited: entry.limited, comes: true, hides: entry.hides, ..Item::default() });
                continue;
            };
            let wanted = session.intents & expected.intent != 0 || expected.always_to == Some(session.user);
            let line = match (&expected.special, &expected.blank) {
                (Special::Entrance, _) if std::mem::take(&mut awaited) => format!("{} awaited", expected.line),
                (Special::Refused, _) if !std::mem::take(&mut awaited) => continue,
                (_, Some((blank, open))) if session.intents & MESSAGE_CONTENT == 0 && !open.contains(&session.user) => {
                    report.texts_blanked += 1;
                    blank.clone()
                }
                _ => expected.line.clone(),
            };
            if expected.special == Special::Entrance && !wanted {
                lines.push(Item { limited: entry.limited, comes: true, enters: true, ..Item::default() });
            }
            if wanted {
                let own = expected.always_to == Some(session.user);
                let alone = expected.mark.is_some()
                    && expected.blank.as_ref().is_some_and(|(_, open)| open.contains(&session.user));
                // Members' changes would have to be asked for separately.
                if entry.limited && expected.intent == GUILD_MEMBERS && !own {
                    continue;
                }
                // What the guild is made of comes to everybody.
                let comes = expected.intent == GUILDS || entry.comes_to_all || own || alone;
                lines.push(Item {
                    line,
                    limited: entry.limited,
                    comes,
                    enters: expected.special == Special::Entrance,
                    mark: expected.mark.as_ref().map(|mark| (mark.channel, mark.message)),
                    hides: None,
                    last: entry.last,
                });
            }
        }
        lines
    }
}

/// The member lists that a user may see.
fn sight(model: &GuildModel, user: u64) -> Sight {
    Rc::new(model.viewed_by(user).into_iter().map(|channel| list_id(model, channel)).collect())
}

impl Entry {
    /// Whether it may read so to some session.
    fn reads(&self, line: &str) -> bool {
        self.expected.as_ref().is_some_and(|expected| {
            let blank = expected.blank.as_ref().is_some_and(|(blank, _)| blank == line);
            blank || expected.line == line || line.strip_suffix(" awaited") == Some(&expected.line)
        })
    }
}

impl Expected {
    fn plain(intent: u32, line: String) -> Expected {
        Expected { intent, always_to: None, line, blank: None, mark: None, special: Special::None }
    }
}
