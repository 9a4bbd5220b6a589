//! What the member list of a million online members costs its guild's core: `cargo bench --bench lists`.
//!
//! The questions: how long does it take to make the list, and how long do others wait meanwhile? How many bytes is a
//! member? What does a join or a leave cost while 100 windows are subscribed, and 10,000? What does it cost to scroll
//! to a window? Beside it, in the same run, the simplest list: sort all members again.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall::base::clock::Time;
use guildhall::base::id::{ChannelId, GuildId, RoleId, UserId};
use guildhall::base::prng::Prng;
use guildhall::base::slab::Key;
use guildhall::guild::list::name_key::NameKey;
use guildhall::guild::list::{ListSettings, MemberLists, MemberState, Roster};
use guildhall::limits;
use guildhall::mail::facts::Facts;
use guildhall::mail::listing::{ListSubscription, Viewers};
use guildhall::mail::session_id::SessionId;
use guildhall::mail::site::Site;
use guildhall::model::guild::GuildSettings;
use guildhall::model::kept_member::KeptMember;
use guildhall::model::member::Member;
use guildhall::model::role::Role;
use guildhall::model::user::User;
use guildhall::wire::model::presence::{Activities, Platform, Presence, Status};

const GUILD: GuildId = GuildId::new(1);

/// Members by id, from 1 on, in a tree as a guild has them.
struct Hall {
    members: BTreeMap<UserId, (KeptMember, bool)>,
    online: Presence,
}

impl Roster for Hall {
    fn counts(&self) -> (u64, u64) {
        (self.members.len() as u64, self.members.len() as u64)
    }

    fn shown<T>(&self, user: UserId, show: impl FnOnce(Option<&KeptMember>, &Presence) -> T) -> T {
        let (member, online) = &self.members[&user];
        show(Some(member), if *online { &self.online } else { &Presence::OFFLINE })
    }

    fn visit(&self, after: Option<UserId>, limit: usize, mut each: impl FnMut(&KeptMember, bool)) -> Option<UserId> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut last, mut count) = (None, 0);
        for (user, (member, online)) in self.members.range((behind, Bound::Unbounded)).take(limit) {
            each(member, *online);
            (last, count) = (Some(*user), count + 1);
        }
        last.filter(|_| count == limit)
    }
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

struct Bench {
    hall: Hall,
    facts: Facts,
    lists: MemberLists,
    now: Time,
    posted: u64,
    bytes: u64,
}

impl Bench {
    /// All that is to be done now. How often, how long it took, and how long the longest part.
    fn attend(&mut self) -> (u64, Duration, Duration) {
        let (mut parts, mut sum, mut longest) = (0, Duration::ZERO, Duration::ZERO);
        let mut posts = Vec::new();
        loop {
            let began = Instant::now();
            let more = self.lists.advance(self.now, &self.hall, GUILD, ListSettings::default(), &mut posts);
            let took = began.elapsed();
            (parts, sum, longest) = (parts + 1, sum + took, longest.max(took));
            self.posted += posts.len() as u64;
            self.bytes += posts.drain(..).map(|(_, windows)| windows.body.len() as u64).sum::<u64>();
            if !more {
                return (parts, sum, longest);
            }
        }
    }

    fn look(&mut self, opened: &[u32]) {
        let session = SessionId { home: Site::new(0, 0), key: Key { index: 0, generation: 0 }, secret: 0 };
        let opened = opened.iter().map(|block| (*block, 1)).collect();
        let (viewers, number, through) = (Viewers::Everyone, 1, ChannelId::new(1));
        let (closed, unseen) = Default::default();
        let look = ListSubscription { guild: GUILD, viewers, session, number, through, opened, closed, unseen };
        self.lists.look(look, &self.facts, self.hall.counts(), ListSettings::default());
    }

    fn tick(&mut self) {
        self.now = self.now + limits::TICK;
        self.lists.begin_round(self.now, &self.hall, &self.facts, ListSettings::default());
    }

    /// Time passes until a round may begin.
    fn rest(&mut self) {
        self.now = self.now + Duration::from_secs(60);
        self.tick();
    }

    fn flip(&mut self, user: UserId) -> Duration {
        let (member, online) = self.hall.members.get_mut(&user).expect("ids are counted");
        *online = !*online;
        let (member, online) = (&*member, *online);
        let began = Instant::now();
        let standing = |online| Some(MemberState { member, online });
        self.lists.change(user, standing(!online), standing(online));
        began.elapsed()
    }
}

fn main() {
    let count = 1_000_000;
    let mut prng = Prng::new(1);
    let role = RoleId::new(2);
    let mut roles = BTreeMap::new();
    roles.insert(GUILD.cast(), Arc::new(Role::everyone(GUILD)));
    roles.insert(role, Arc::new(Role { id: role, hoist: true, position: 1, ..Role::everyone(GUILD) }));
    let guild = Arc::new(GuildSettings::new(GUILD, "hall".to_owned(), UserId::new(1)));
    let members = (1..=count).map(|id| {
        let username = format!("person-{:08x}", prng.next_u64() as u32);
        let user = User { id: UserId::new(id), username, global_name: None, avatar: None, bot: false };
        let mut member = Member::new(user, 1);
        member.roles.extend(prng.chance(1, 50).then_some(role));
        (member.user.id, (KeptMember::new(&member), true))
    });
    let members = members.collect();
    let mut online = Presence::OFFLINE;
    online.add(Status::Online, Platform::Web, &Activities::default());
    let hall = Hall { members, online };
    let facts = Facts { guild, roles, channels: BTreeMap::new() };
    let mut bench =
        Bench { hall, facts, lists: MemberLists::default(), now: Time::from_millis(1), posted: 0, bytes: 0 };
    println!("a list of {count} online members, 2% of them under a role of their own");

    let began = Instant::now();
    let mut all: Vec<NameKey> = bench.hall.members.values().map(|(member, _)| NameKey::of(member)).collect();
    all.sort_unstable();
    let sorted = began.elapsed();
    black_box(&all);
    drop(all);
    println!("  to sort everybody once:                        {:>10.1} ms", sorted.as_secs_f64() * 1e3);

    let before = resident_bytes();
    bench.look(&[0]);
    let (parts, sum, longest) = bench.attend();
    let bytes = resident_bytes().saturating_sub(before) as f64 / count as f64;
    println!(
        "  to make the list, and show its first window:   {:>10.1} ms in {parts} parts, the longest {:.2} ms; {bytes:.1} bytes a member",
        sum.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3
    );

    for windows in [100u32, 10_000] {
        let mut blocks: Vec<u32> = (0..windows).map(|place| place * (count as u32 / 100 / windows)).collect();
        for at in (1..blocks.len()).rev() {
            blocks.swap(at, prng.below(at as u64 + 1) as usize);
        }
        (bench.posted, bench.bytes) = (0, 0);
        let mut scrolled = Duration::ZERO;
        for blocks in blocks.chunks(3) {
            let began = Instant::now();
            bench.look(blocks);
            scrolled += began.elapsed();
            scrolled += bench.attend().1;
        }
        println!(
            "  to scroll to a window, {windows:>6} of them:           {:>10.1} µs each, {} bytes",
            scrolled.as_secs_f64() * 1e6 / f64::from(windows),
            bench.bytes / bench.posted.max(1)
        );
        let (mut change, mut told, mut longest, mut events) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
        let rounds = if windows > 1_000 { 5 } else { 50 };
        for _ in 0..rounds {
            bench.rest();
            bench.attend();
            bench.posted = 0;
            change += bench.flip(UserId::new(1 + prng.below(count)));
            let began = Instant::now();
            bench.rest();
            told += began.elapsed();
            let (_, sum, most) = bench.attend();
            (told, longest, events) = (told + sum, longest.max(most), events + bench.posted);
        }
        println!(
            "  one comes or goes, {windows:>6} windows looked at:     {:>10.1} µs for the list, {:.2} ms for the windows, {} of them changed; the longest part {:.2} ms",
            change.as_secs_f64() * 1e6 / f64::from(rounds),
            told.as_secs_f64() * 1e3 / f64::from(rounds),
            events / u64::from(rounds as u32),
            longest.as_secs_f64() * 1e3
        );
    }
}
