//! MemberLists against the list as anybody would write it down.
//!
//! Lives on: the guild's core, in tests alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::base::id::{ChannelId, RoleId};
use crate::base::prng::Prng;
use crate::base::slab::Key;
use crate::guild::list::name_key::NameKey;
use crate::guild::list::order::range;
use crate::mail::event::Change;
use crate::mail::listing::{Addressee, Exception};
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::model::guild::GuildSettings;
use crate::model::kept_member::KeptMember;
use crate::model::permissions::Permissions;
use crate::model::role::Role;
use crate::model::user::User;
use crate::wire::model::member::Listed;
use crate::wire::model::presence::{Activities, Platform, Presence, Status};

const GUILD: u64 = 7;
const OWNER: u64 = 1_000;
const LISTING: ListSettings = ListSettings { offline_up_to: 0, slice: 100, lines: 1_000_000 };
const ROLES: [u64; 4] = [10, 11, 12, 13];

#[derive(Default)]
struct Hall {
    members: BTreeMap<UserId, (KeptMember, Presence)>,
}

impl Roster for Hall {
    fn counts(&self) -> (u64, u64) {
        let online = self.members.values().filter(|(_, presence)| presence.is_visible()).count();
        (self.members.len() as u64, online as u64)
    }

    fn shown<T>(&self, user: UserId, show: impl FnOnce(Option<&KeptMember>, &Presence) -> T) -> T {
        match self.members.get(&user) {
            Some((member, presence)) => show(Some(member), presence),
            None => show(None, &Presence::OFFLINE),
        }
    }

    fn visit(&self, after: Option<UserId>, limit: usize, mut each: impl FnMut(&KeptMember, bool)) -> Option<UserId> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut last, mut count) = (None, 0);
        for (user, (member, presence)) in self.members.range((behind, Bound::Unbounded)).take(limit) {
            each(member, presence.is_visible());
            (last, count) = (Some(*user), count + 1);
        }
        last.filter(|_| count == limit)
    }
}

impl Hall {
    fn new(members: impl IntoIterator<Item = (KeptMember, Presence)>) -> Hall {
        Hall { members: members.into_iter().map(|(member, presence)| (member.user(), (member, presence))).collect() }
    }

    fn state_before(&self, user: UserId) -> Option<(KeptMember, bool)> {
        let (member, presence) = self.members.get(&user)?;
        Some((member.clone(), presence.is_visible()))
    }

    /// MemberLists take over what has become of a member.
    fn update_lists(&self, lists: &mut MemberLists, user: UserId, before: Option<(KeptMember, bool)>) {
        let after = self.state_before(user);
        if before.is_some() || after.is_some() {
            lists.change(user, before.as_ref().map(of_stood), after.as_ref().map(of_stood));
        }
    }

    /// A member comes online, or goes offline.
    fn flip(&mut self, lists: &mut MemberLists, user: UserId) {
        let before = self.state_before(user);
        let (_, presence) = self.members.get_mut(&user).unwrap();
        *presence = if presence.is_visible() { Presence::OFFLINE } else { online() };
        self.update_lists(lists, user, before);
    }
}

/// One array for a list, as clients have it.
#[derive(Default)]
struct Client {
    rows: BTreeMap<Viewers, Vec<Option<String>>>,
    heads: BTreeMap<Viewers, String>,
    /// With the number of the look, and whether its rows have come.
    looks: BTreeMap<(Viewers, u32), (u32, bool)>,
    number: u32,
    ops: BTreeMap<String, u64>,
}

impl Client {
    fn apply(&mut self, windows: &Windows) {
        let event: Value = serde_json::from_slice(&windows.body).unwrap();
        let rows = self.rows.entry(windows.viewers.clone()).or_default();
        for op in event["ops"].as_array().unwrap() {
            let number = |value: &Value| value.as_u64().unwrap() as usize;
            let item = || op["item"].to_string();
            *self.ops.entry(op["op"].as_str().unwrap().to_owned()).or_default() += 1;
            match op["op"].as_str().unwrap() {
                name @ ("SYNC" | "INVALIDATE") => {
                    let (first, last) = (number(&op["range"][0]), number(&op["range"][1]));
                    rows.resize(rows.len().max(last + 1), None);
                    let items = op["items"].as_array().cloned().unwrap_or_default();
                    assert!(name == "SYNC" || items.is_empty());
                    let mut group = None;
                    for item in &items {
                        let offline = item["member"]["presence"]["status"] == "offline";
                        group = item["group"]["id"].as_str().or(group);
                        let fits = group.is_none_or(|group| offline == (group == "offline"));
                        assert!(fits || item.get("group").is_some(), "{item} is in the group {group:?}");
                    }
                    for (place, row) in rows[first..=last].iter_mut().enumerate() {
                        *row = items.get(place).map(Value::to_string);
                    }
                }
                "INSERT" => rows.insert(number(&op["index"]), Some(item())),
                "UPDATE" => {
                    let row = &mut rows[number(&op["index"])];
                    assert!(row.is_some(), "an update changes a row that is there");
                    *row = Some(item());
                }
                "DELETE" => assert!(rows.remove(number(&op["index"])).is_some(), "what goes was there"),
                other => panic!("{other}"),
            }
        }
        let mut head = event;
        head.as_object_mut().unwrap().remove("ops");
        self.heads.insert(windows.viewers.clone(), head.to_string());
    }
}

fn role(id: u64, position: i32, hoist: bool, permissions: Permissions) -> Arc<Role> {
    Arc::new(Role {
        id: RoleId::new(id),
        name: String::new(),
        position,
        hoist,
        permissions,
        ..Role::everyone(GuildId::new(1))
    })
}

fn facts(prng: &mut Prng) -> Facts {
    let guild = Arc::new(GuildSettings::new(GuildId::new(GUILD), "g".to_owned(), UserId::new(OWNER)));
    let mut roles = BTreeMap::new();
    roles.insert(RoleId::new(GUILD), role(GUILD, 0, false, Permissions::VIEW_CHANNEL));
    for (place, id) in ROLES.into_iter().enumerate() {
        roles.insert(RoleId::new(id), role(id, place as i32, prng.chance(1, 2), Permissions::empty()));
    }
    Facts { guild, roles, channels: BTreeMap::<ChannelId, _>::new() }
}

fn person(id: u64, prng: &mut Prng) -> KeptMember {
    let username = format!(
        "{}{}",
        ["ann", "Bob", "ANN", "a long name, of many letters: "][prng.below(4) as usize],
        prng.below(40)
    );
    let user = User { id: UserId::new(id), username, global_name: None, avatar: None, bot: false };
    let mut member = Member::new(user, 1);
    member.roles = ROLES.into_iter().filter(|_| prng.chance(1, 6)).map(RoleId::new).collect();
    if prng.chance(1, 4) {
        member.nick = Some(format!("Nick {}", prng.below(30)));
    }
    KeptMember::new(&member)
}

fn of_stood((member, online): &(KeptMember, bool)) -> MemberState<'_> {
    MemberState { member, online: *online }
}

fn online() -> Presence {
    let mut presence = Presence::OFFLINE;
    presence.add(Status::Online, Platform::Web, &Activities::default());
    presence
}

fn presence(prng: &mut Prng) -> Presence {
    let mut presence = Presence::OFFLINE;
    let status = [Status::Online, Status::Idle, Status::Offline][prng.below(3) as usize];
    presence.add(status, Platform::Web, &Activities::default());
    presence
}

/// The list as anybody would write it down.
fn naive(hall: &Hall, facts: &Facts, viewers: &Viewers, offline: bool) -> Vec<String> {
    let views = |user: u64, roles: &[RoleId]| match viewers {
        Viewers::Everyone => true,
        Viewers::But(_) => {
            user == OWNER
                || user == 5
                || roles.contains(&RoleId::new(ROLES[0]))
                || roles.contains(&RoleId::new(ROLES[2]))
        }
    };
    let mut headings: Vec<Arc<Role>> =
        facts.roles.values().filter(|role| role.hoist && views(0, &[role.id])).cloned().collect();
    headings.sort_by_key(|role| (-role.position, role.id));
    let heading = |member: &Member, presence: &Presence| {
        if !presence.is_visible() {
            return "offline".to_owned();
        }
        headings.iter().find(|role| member.has(role.id)).map_or("online".to_owned(), |role| role.id.to_string())
    };
    let mut all = Vec::new();
    let mut groups: Vec<String> = headings.iter().map(|role| role.id.to_string()).collect();
    groups.push("online".to_owned());
    if offline {
        groups.push("offline".to_owned());
    }
    for group in groups {
        let mut members: Vec<(String, UserId, Value)> = Vec::new();
        for (user, (kept, presence)) in &hall.members {
            let member = kept.member();
            if views(user.get(), &member.roles) && heading(&member, presence) == group {
                let name = member.nick.as_ref().unwrap_or(&member.user.username).to_lowercase();
                let item = serde_json::json!({ "member": Listed(kept, presence) });
                members.push((name, *user, item));
            }
        }
        members.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        if !members.is_empty() {
            all.push(serde_json::json!({ "group": { "id": group, "count": members.len() } }).to_string());
            all.extend(members.into_iter().map(|(_, _, item)| item.to_string()));
        }
    }
    all
}

#[test]
fn what_clients_see_is_the_list() {
    let mut ops: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..12 {
        let mut prng = Prng::new(seed);
        let mut facts = facts(&mut prng);
        let size = [12, 90, 130, 350][seed as usize % 4];
        let listing = ListSettings {
            offline_up_to: if seed % 3 == 0 { 0 } else { 1_000 },
            slice: 1 + prng.below(60) as usize,
            ..LISTING
        };
        let mut hall = Hall::default();
        for id in (0..size).filter(|id| id % 7 > 0).chain([OWNER]) {
            hall.members.insert(UserId::new(id), (person(id, &mut prng), presence(&mut prng)));
        }
        let exception = |id, of_member, allow| Exception { id, of_member, allow };
        let mut exceptions = vec![exception(GUILD, false, false), exception(5, true, true)];
        exceptions.extend([ROLES[0], ROLES[2]].map(|role| exception(role, false, true)));
        let kinds = [Viewers::Everyone, Viewers::But(exceptions.into())];
        let mut lists = MemberLists::default();
        let mut clients: Vec<Client> = (0..4).map(|_| Client::default()).collect();
        let mut now = Time::from_millis(1);
        let mut posts = Vec::new();
        for step in 0..300 {
            let calm = step >= 200;
            for _ in 0..if calm { 0 } else { prng.below(4) } {
                let user = UserId::new(prng.below(size));
                let before = hall.state_before(user);
                match prng.below(6) {
                    0 => drop(hall.members.remove(&user)),
                    1 => drop(hall.members.insert(user, (person(user.get(), &mut prng), Presence::OFFLINE))),
                    2 if prng.chance(1, 5) => {
                        let id = ROLES[prng.below(4) as usize];
                        let changed = role(id, prng.below(3) as i32, prng.chance(2, 3), Permissions::empty());
                        facts.apply(&Change::Role(changed));
                        lists.regroup(&facts);
                    }
                    _ => {
                        if let Some((_, shown)) = hall.members.get_mut(&user) {
                            *shown = presence(&mut prng);
                        }
                    }
                }
                hall.update_lists(&mut lists, user, before);
            }
            if !calm || step == 200 {
                let which = prng.below(4) as u32;
                let everyone: Vec<Viewers> = kinds.to_vec();
                let viewers = everyone[prng.below(2) as usize].clone();
                let home = Site::new(0, which as u8 % 2);
                let session = SessionId { home, key: Key { index: which, generation: 0 }, secret: 0 };
                let client = &mut clients[which as usize];
                client.number += 1;
                let wanted: BTreeSet<u32> = (0..4).filter(|_| prng.chance(1, 3)).collect();
                let had: BTreeSet<u32> =
                    client.looks.keys().filter(|(of, _)| *of == viewers).map(|(_, block)| *block).collect();
                let opened: Vec<(u32, u32)> = wanted.difference(&had).map(|block| (*block, 1)).collect();
                let closed: Vec<u32> = had.difference(&wanted).copied().collect();
                for block in &closed {
                    client.looks.remove(&(viewers.clone(), *block));
                }
                for (block, _) in &opened {
                    client.looks.insert((viewers.clone(), *block), (client.number, false));
                }
                let number = client.number;
                let other = &clients[(which as usize + 2) % 4];
                let unseen = closed.iter().filter(|block| !other.looks.contains_key(&(viewers.clone(), **block)));
                let unseen = unseen.copied().collect();
                let look = ListSubscription {
                    guild: GuildId::new(GUILD),
                    viewers,
                    session,
                    number,
                    through: ChannelId::new(1),
                    opened: opened.into(),
                    closed: closed.into(),
                    unseen,
                };
                lists.look(look, &facts, hall.counts(), listing);
                // Sometimes the store was written beside the server.
                if prng.chance(1, 40) {
                    lists.renew_all_members();
                }
                if lists.want_all_members() && prng.chance(9, 10) {
                    let all: Vec<Arc<Member>> =
                        hall.members.values().map(|(member, _)| Arc::new(member.member())).collect();
                    lists.know_all_members(Some(&all), &facts);
                } else if prng.chance(1, 20) {
                    lists.know_all_members(None, &facts);
                }
            }
            now = now + std::time::Duration::from_millis(250);
            if calm {
                lists.know_all_members(None, &facts);
            }
            lists.begin_round(now, &hall, &facts, listing);
            while lists.advance(now, &hall, GuildId::new(GUILD), listing, &mut posts) && (calm || prng.chance(1, 2)) {}
            lists.invariants();
            for (core, windows) in posts.drain(..) {
                for (which, client) in
                    clients.iter_mut().enumerate().filter(|(which, _)| which % 2 == usize::from(core.core))
                {
                    let viewers = &windows.viewers;
                    let comes = match windows.to {
                        Addressee::Block(block) => {
                            client.looks.get(&(viewers.clone(), block)).is_some_and(|(_, shown)| *shown)
                        }
                        Addressee::Closer(session, _) => session.key.index as usize == which,
                        Addressee::Opener(session, block, number) => {
                            let look = client.looks.get_mut(&(viewers.clone(), block));
                            session.key.index as usize == which
                                && look.is_some_and(|look| look.0 == number && !std::mem::replace(&mut look.1, true))
                        }
                    };
                    if comes {
                        client.apply(&windows);
                    }
                }
            }
            // Rows are right at once, the numbers above them some time later.
            let due = match step {
                203 => false,
                299 => true,
                _ => continue,
            };
            let numbered = |row: Option<&String>| match row {
                Some(row) if !due && row.contains("\"group\"") => Some(row.split(',').next_back().unwrap().to_owned()),
                row => row.cloned(),
            };
            for client in &clients {
                for ((viewers, block), (_, shown)) in &client.looks {
                    assert!(shown, "seed {seed}: whoever looks is shown the window");
                    let all = naive(&hall, &facts, viewers, lists.everybody.is_shown());
                    let (first, last) = range(*block);
                    for place in first as usize..=last as usize {
                        let seen = client.rows[viewers].get(place).and_then(Option::as_ref);
                        assert_eq!(numbered(seen), numbered(all.get(place)), "seed {seed}, row {place}");
                    }
                }
            }
        }
        for client in &clients {
            for (op, count) in &client.ops {
                *ops.entry(op.clone()).or_default() += count;
            }
            for (viewers, _) in client.looks.keys() {
                let (guild, everybody) = (GuildId::new(GUILD), &lists.everybody);
                let context = RenderContext { now, guild, everybody, roster: &hall, cooldown: Duration::ZERO };
                let head = lists.of[viewers].head(&context);
                let head: Value = serde_json::from_str(&format!("{}}}", String::from_utf8_lossy(&head))).unwrap();
                assert_eq!(client.heads[viewers], head.to_string(), "seed {seed}: the numbers are right");
            }
        }
    }
    for op in ["SYNC", "INSERT", "UPDATE", "DELETE", "INVALIDATE"] {
        assert!(ops.get(op).is_some_and(|count| *count > 20), "{op} happens: {ops:?}");
    }
}

/// Looks at windows, each of which so many sessions look at.
fn look(viewers: &Viewers, opened: impl IntoIterator<Item = u32>, lookers: u32) -> ListSubscription {
    let session = SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret: 0 };
    let opened = opened.into_iter().map(|block| (block, lookers)).collect();
    let (guild, viewers, number, through) = (GuildId::new(GUILD), viewers.clone(), 1, ChannelId::new(1));
    ListSubscription {
        guild,
        viewers,
        session,
        number,
        through,
        opened,
        closed: Default::default(),
        unseen: Default::default(),
    }
}

/// Unsubscribes from windows, as their last subscriber.
fn look_away(viewers: &Viewers, unseen: impl IntoIterator<Item = u32>) -> ListSubscription {
    ListSubscription { unseen: unseen.into_iter().collect(), ..look(viewers, [], 0) }
}

/// A guild of so many members who are online.
struct Guildhall {
    hall: Hall,
    facts: Facts,
    lists: MemberLists,
    now: Time,
    posts: Vec<Post>,
}

impl Guildhall {
    fn new(members: u64) -> Guildhall {
        let mut prng = Prng::new(1);
        let facts = facts(&mut prng);
        let hall = Hall::new((1..=members).map(|id| (person(id, &mut prng), online())));
        Guildhall { hall, facts, lists: MemberLists::default(), now: Time::from_millis(1), posts: Vec::new() }
    }

    fn look(&mut self, look: ListSubscription, listing: ListSettings) {
        self.lists.look(look, &self.facts, self.hall.counts(), listing);
    }

    fn turn(&mut self, listing: ListSettings) -> bool {
        let more = self.lists.advance(self.now, &self.hall, GuildId::new(GUILD), listing, &mut self.posts);
        self.lists.invariants();
        more
    }

    fn tick(&mut self, listing: ListSettings) {
        self.now = self.now + limits::TICK;
        self.lists.begin_round(self.now, &self.hall, &self.facts, listing);
    }

    fn count_sent(&self, of: impl Fn(Addressee) -> bool) -> usize {
        self.posts.iter().filter(|(_, windows)| of(windows.to)).count()
    }
}

fn updates(to: Addressee) -> bool {
    matches!(to, Addressee::Block(_))
}

fn answers(to: Addressee) -> bool {
    matches!(to, Addressee::Opener(..))
}

/// A list that only some may view: one for each number.
fn hidden(number: u64) -> Viewers {
    let exception = |id, of_member, allow| Exception { id, of_member, allow };
    let mut exceptions = vec![exception(GUILD, false, false), exception(number, true, true)];
    exceptions.extend((1..50).map(|user| exception(1_000 * number + user, true, true)));
    exceptions.extend((1..=100).map(|user| exception(user, true, true)));
    Viewers::But(exceptions.into())
}

#[test]
fn a_window_that_many_look_at_is_updated_less_often() {
    let mut guild = Guildhall::new(2);
    guild.look(look(&Viewers::Everyone, [0], 100_000), LISTING);
    for _ in 0..120 {
        guild.hall.flip(&mut guild.lists, UserId::new(1));
        guild.tick(LISTING);
        while guild.turn(LISTING) {}
    }
    let updates = guild.count_sent(updates);
    assert!((2..=3).contains(&updates), "{updates} in half a minute, of 100,000 writes each");
}

#[test]
fn a_crowd_does_not_hold_up_who_looks_elsewhere() {
    let mut guild = Guildhall::new(400);
    guild.look(look(&Viewers::Everyone, [0], 100_000), LISTING);
    guild.look(look(&Viewers::Everyone, [2], 1), LISTING);
    for _ in 0..40 {
        guild.hall.flip(&mut guild.lists, UserId::new(1));
        guild.tick(LISTING);
        while guild.turn(LISTING) {}
    }
    assert!(guild.count_sent(|to| to == Addressee::Block(2)) > 35, "at every tick");
}

#[test]
fn all_windows_together_take_a_bounded_share_of_a_core() {
    for (lookers, windows) in [(1, 300), (100, 100)] {
        let mut guild = Guildhall::new(100 * windows + 1);
        guild.look(look(&Viewers::Everyone, 0..windows as u32, lookers), LISTING);
        let mut longest = Duration::ZERO;
        for _ in 0..80 {
            // One who flaps moves all others.
            let user = guild.hall.members.values().map(|(member, _)| NameKey::of(member)).min().unwrap().user();
            guild.hall.flip(&mut guild.lists, user);
            guild.tick(LISTING);
            let before = guild.count_sent(updates);
            while guild.turn(LISTING) {}
            let told = (guild.count_sent(updates) - before) as u32;
            let round = told * (limits::LIST_COMPARED_TIME + lookers * limits::LIST_LOOKER_TIME);
            longest = longest.max(round);
        }
        let updates = guild.count_sent(updates) as u32;
        let share = updates * (limits::LIST_COMPARED_TIME + lookers * limits::LIST_LOOKER_TIME);
        let time = 80 * limits::TICK;
        assert!(share <= time + longest, "{updates} updates of {lookers} in {time:?}");
        assert!(2 * share > time.min(80 * longest), "and no smaller one than is there: {share:?} in {time:?}");
    }
}

#[test]
fn those_who_scroll_do_not_hold_up_what_others_look_at() {
    let mut guild = Guildhall::new(5_000);
    guild.look(look(&Viewers::Everyone, [40], 1), LISTING);
    while guild.turn(LISTING) {}
    let mut turns = 0;
    for block in 0..30 {
        guild.look(look(&Viewers::Everyone, [block, block + 1, block + 2], 1), LISTING);
    }
    guild.hall.flip(&mut guild.lists, UserId::new(1));
    guild.tick(LISTING);
    while guild.count_sent(|to| to == Addressee::Block(40)) == 0 {
        guild.look(look(&Viewers::Everyone, turns % 30..turns % 30 + 20, 1), LISTING);
        guild.turn(LISTING);
        turns += 1;
        assert!(turns < 20, "it has its part of every turn");
    }
}

#[test]
fn a_list_that_is_being_made_does_not_hold_up_another_one() {
    let mut guild = Guildhall::new(300);
    let (first, second) = (Viewers::Everyone, hidden(2));
    guild.look(look(&second, [0], 1), LISTING);
    while guild.turn(LISTING) {}
    let slow = ListSettings { slice: 1, ..LISTING };
    guild.look(look(&first, [0], 1), slow);
    guild.posts.clear();
    guild.look(look(&second, [1], 1), slow);
    guild.turn(slow);
    guild.turn(slow);
    assert_eq!(guild.count_sent(answers), 1, "who looks at a list that is there is answered");
    let mut turns = 0;
    guild.look(look(&hidden(3), [0], 1), slow);
    while guild.turn(slow) {
        turns += 1;
        let third = guild.lists.of[&hidden(3)].making.map_or(u64::MAX, |made| made.map_or(0, UserId::get));
        assert!(third + 20 > turns / 2, "two that are being made take turns");
    }
    assert!(guild.lists.of[&hidden(3)].making.is_none());
}

#[test]
fn rows_that_were_rendered_are_kept_only_where_many_look_and_not_for_long() {
    let mut guild = Guildhall::new(1_000);
    guild.look(look(&Viewers::Everyone, [0], 2), LISTING);
    guild.look(look(&Viewers::Everyone, [1, 2], 1), LISTING);
    while guild.turn(LISTING) {}
    let kept = |guild: &Guildhall| {
        let windows = guild.lists.of[&Viewers::Everyone].windows.values();
        windows.filter(|window| window.last_sent.as_ref().is_some_and(|told| told.whole.is_some())).count()
    };
    assert_eq!(kept(&guild), 1);
    // While a round is not finished, and while none may begin.
    guild.lists.rests_until = guild.now + Duration::from_secs(60);
    guild.tick(LISTING);
    guild.tick(LISTING);
    assert_eq!(kept(&guild), 0);
}

#[test]
fn whoever_begins_to_look_is_told_what_others_were_told() {
    let mut guild = Guildhall::new(90);
    guild.look(look(&Viewers::Everyone, [0], 1), LISTING);
    while guild.turn(LISTING) {}
    let mut clients = [Client::default(), Client::default()];
    guild.posts.drain(..).for_each(|(_, windows)| clients[0].apply(&windows));
    // One row goes, one changes, and a second session subscribes before that is sent.
    let gone = guild.hall.state_before(UserId::new(7));
    guild.hall.members.remove(&UserId::new(7));
    guild.hall.update_lists(&mut guild.lists, UserId::new(7), gone);
    let before = guild.hall.state_before(UserId::new(8));
    guild.hall.members.get_mut(&UserId::new(8)).unwrap().1.add(
        Status::Online,
        Platform::Mobile,
        &Activities::default(),
    );
    guild.hall.update_lists(&mut guild.lists, UserId::new(8), before);
    guild.look(look(&Viewers::Everyone, [0], 2), LISTING);
    while guild.turn(LISTING) {}
    guild.posts.drain(..).for_each(|(_, windows)| clients[1].apply(&windows));
    guild.tick(LISTING);
    while guild.turn(LISTING) {}
    for (_, windows) in guild.posts.drain(..) {
        clients.iter_mut().for_each(|client| client.apply(&windows));
    }
    let all = naive(&guild.hall, &guild.facts, &Viewers::Everyone, false);
    for client in &clients {
        let rows: Vec<String> = client.rows[&Viewers::Everyone].iter().flatten().cloned().collect();
        let members =
            |rows: &[String]| rows.iter().filter(|row| !row.contains("\"group\"")).cloned().collect::<Vec<_>>();
        assert_eq!(members(&rows), members(&all));
    }
}

#[test]
fn a_list_for_which_there_is_no_room_waits_until_nobody_looks_at_another() {
    let listing = ListSettings { lines: 350, ..LISTING };
    let mut guild = Guildhall::new(100);
    for number in 1..=3 {
        guild.look(look(&hidden(number), [0], 1), listing);
    }
    while guild.turn(listing) {}
    assert_eq!(guild.count_sent(answers), 3);
    guild.look(look(&hidden(4), [0], 1), listing);
    guild.tick(listing);
    assert!(!guild.turn(listing), "nothing to do until there is budget");
    assert_eq!(guild.count_sent(answers), 3);
    guild.look(look_away(&hidden(2), [0]), listing);
    guild.tick(listing);
    while guild.turn(listing) {}
    assert_eq!(guild.count_sent(answers), 4);
    assert!(!guild.lists.of.contains_key(&hidden(2)) && guild.lists.of.len() == 3);
    let lines: usize = guild.lists.of.values().map(|list| list.order.len()).sum();
    assert!(lines <= listing.lines);
}

#[test]
fn one_list_is_made_however_large_it_is() {
    let listing = ListSettings { lines: 10, ..LISTING };
    let mut guild = Guildhall::new(100);
    guild.look(look(&Viewers::Everyone, [0], 1), listing);
    while guild.turn(listing) {}
    assert_eq!(guild.count_sent(answers), 1);
}

#[test]
fn windows_whose_rows_have_no_numbers_are_passed_over() {
    let mut guild = Guildhall::new(100);
    guild.look(look(&Viewers::Everyone, [u32::MAX / limits::LIST_BLOCK], 1), LISTING);
    assert!(guild.lists.is_empty() || !guild.turn(LISTING));
    guild.look(look(&Viewers::Everyone, [limits::LIST_BLOCK_LAST], 1), LISTING);
    while guild.turn(LISTING) {}
    assert_eq!(guild.count_sent(answers), 1);
}
