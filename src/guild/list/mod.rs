//! Member lists: who may view a channel, online members first by role, the windows of it that somebody looks at.
//!
//! Lives on: the guild's core. Source: what people's clients send and read (ops 14 and 37, GUILD_MEMBER_LIST_UPDATE).
//! A list is made when somebody looks at it, in slices, and forgotten when nobody has for a while. It is kept in order as members
//! change; what that means for the windows is worked out once per round, for those windows alone that may have changed, and told
//! once for everybody who looks.
//! Invariant: what a window was told, followed by all that came since, is what a client sees.
//! Read next: `line` (the order), `grouping` (the headings), `window` (what is sent).

pub mod grouping;
pub mod line;
mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::base::ranked::Ranked;
use crate::guild::Guild;
use crate::guild::list::grouping::Grouping;
use crate::guild::list::line::Line;
use crate::guild::list::window::{Row, Told, Window, event, range};
use crate::limits;
use crate::mail::facts::Facts;
use crate::mail::listing::{Addressee, Look, Viewers, Windows};
use crate::mail::placement::CoreId;
use crate::wire::model::kept::KeptMember;
use crate::wire::model::listing::{Group, GroupId, Op};
use crate::wire::model::member::Member;
use crate::wire::model::presence::Presence;

/// What lists ask of the guild.
pub trait Roster {
    /// How many members there are, and how many are seen to be online.
    fn counts(&self) -> (u64, u64);
    /// What is seen of a user, and the member, if it is in memory.
    fn shown(&self, user: UserId) -> (Option<KeptMember>, Presence);
    /// Hands over up to `limit` members who are in memory, behind one of them, in the order of ids, each with whether it is seen
    /// online. Says where it stopped; `None` at the end.
    fn visit(&self, after: Option<UserId>, limit: usize, each: impl FnMut(&Member, bool)) -> Option<UserId>;
}

/// How lists are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// Members up to which a guild's lists show who is offline.
    pub offline_up_to: u64,
    /// Members that a list takes in before others get their turn.
    pub slice: usize,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing { offline_up_to: limits::LIST_OFFLINE_MAX, slice: limits::LIST_SLICE }
    }
}

/// A member as lists have it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Who.
    pub member: Arc<Member>,
    /// Whether it is seen online.
    pub online: bool,
}

/// All lists of a guild that somebody looks at.
#[derive(Debug, Default)]
pub struct Lists {
    of: BTreeMap<Viewers, List>,
    everybody: Everybody,
}

/// All members, for guilds whose lists show who is offline.
#[derive(Debug, Default)]
enum Everybody {
    /// Only who is online is shown.
    #[default]
    Unwanted,
    /// They are being looked up.
    Awaited,
    Here(BTreeMap<UserId, Arc<Member>>),
}

/// One list.
#[derive(Debug)]
struct List {
    grouping: Grouping,
    /// As many as the grouping has.
    groups: Vec<Ranked<Line>>,
    /// It is being made, and has everybody up to this one.
    making: Option<Option<UserId>>,
    windows: BTreeMap<u32, Window>,
    /// Who has not been answered yet.
    looks: VecDeque<Look>,
    /// Windows that may have changed since the last round.
    touched: BTreeSet<u32>,
    /// Rows from here on may have moved since the last round.
    shifted: Option<usize>,
    /// Windows that this round still has to look at.
    round: BTreeSet<u32>,
    /// Since when nobody looks.
    unseen_since: Option<Time>,
}

/// What is to be sent.
pub type Post = (CoreId, Arc<Windows>);

impl Lists {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// A session looks at windows, or away. Says whether all members must be looked up: then [`Lists::know_everybody`].
    pub fn look(&mut self, look: Look, facts: &Facts, members: u64, listing: Listing) -> bool {
        let mut ask = false;
        if self.of.is_empty() && !look.opened.is_empty() {
            ask = members <= listing.offline_up_to;
            self.everybody = if ask { Everybody::Awaited } else { Everybody::Unwanted };
        }
        let offline = self.shows_offline();
        let list = match self.of.get_mut(&look.viewers) {
            Some(list) => list,
            // Whoever only looks away has been forgotten meanwhile.
            None if look.opened.is_empty() => return false,
            None => {
                let list = List::new(Grouping::of(facts, &look.viewers, offline));
                self.of.entry(look.viewers.clone()).or_insert(list)
            }
        };
        for block in &look.unseen {
            if let Some(window) = list.windows.get_mut(block) {
                window.cores.retain(|(core, _)| *core != look.core());
                if window.cores.is_empty() {
                    list.windows.remove(block);
                }
            }
        }
        for (block, lookers) in &look.opened {
            let window = list.windows.entry(*block).or_default();
            match window.cores.iter_mut().find(|(core, _)| *core == look.core()) {
                Some((_, known)) => *known = *lookers,
                None => window.cores.push((look.core(), *lookers)),
            }
        }
        if !look.opened.is_empty() || !look.closed.is_empty() {
            list.looks.push_back(look);
        }
        ask
    }

    /// All members were looked up, or could not be: then nobody who is offline is shown.
    pub fn know_everybody(&mut self, found: Option<&[Arc<Member>]>, facts: &Facts) {
        if !matches!(self.everybody, Everybody::Awaited) {
            return;
        }
        self.everybody = match found {
            Some(found) => Everybody::Here(found.iter().map(|member| (member.user.id, Arc::clone(member))).collect()),
            None => Everybody::Unwanted,
        };
        self.regroup(facts);
    }

    /// Roles, their permissions or the owner are others now.
    pub fn regroup(&mut self, facts: &Facts) {
        let offline = self.shows_offline();
        for (viewers, list) in &mut self.of {
            let grouping = Grouping::of(facts, viewers, offline);
            if grouping != list.grouping {
                list.start_over(grouping);
            }
        }
    }

    /// A member has come, gone, or become another, or its presence has.
    pub fn change(&mut self, user: UserId, mut before: Option<Standing>, after: Option<Standing>) {
        if let Everybody::Here(everybody) = &mut self.everybody {
            let online = before.as_ref().is_some_and(|before| before.online);
            // Whoever is not online may have been out of the guild's memory.
            before = match &after {
                Some(after) => everybody.insert(user, Arc::clone(&after.member)),
                None => everybody.remove(&user),
            }
            .map(|member| Standing { member, online });
        }
        for list in self.of.values_mut() {
            list.change(user, before.as_ref(), after.as_ref());
        }
    }

    /// Begins a round: what has changed since the last one is worked out by [`Lists::attend`]. Says whether there are lists left.
    pub fn begin_round(&mut self, now: Time, roster: &impl Roster, facts: &Facts, listing: Listing) -> bool {
        // Some room, so that a guild at the bound does not go to and fro.
        if matches!(self.everybody, Everybody::Here(_)) && roster.counts().0 > listing.offline_up_to * 5 / 4 {
            self.everybody = Everybody::Unwanted;
            self.regroup(facts);
        }
        for (viewers, list) in &mut self.of {
            list.begin_round(now, facts.id(), viewers, roster);
        }
        self.of.retain(|_, list| list.unseen_since.is_none_or(|since| now.since(since) < limits::LIST_UNSEEN_TIME));
        if self.of.is_empty() {
            self.everybody = Everybody::Unwanted;
        }
        !self.of.is_empty()
    }

    /// Whether there is anything to be done now.
    pub fn are_busy(&self) -> bool {
        let busy = |list: &List| list.making.is_some() || !list.round.is_empty() || !list.looks.is_empty();
        !matches!(self.everybody, Everybody::Awaited) && self.of.values().any(busy)
    }

    /// Does some of what is to be done. Says whether there is more.
    pub fn attend(
        &mut self,
        now: Time,
        roster: &impl Roster,
        guild: GuildId,
        listing: Listing,
        out: &mut Vec<Post>,
    ) -> bool {
        let mut room = limits::LIST_WINDOWS;
        for (viewers, list) in &mut self.of {
            if matches!(self.everybody, Everybody::Awaited) {
                return false;
            }
            if let Some(made) = list.making {
                list.making = list.take_in(made, &self.everybody, roster, listing.slice);
                if list.making.is_some() {
                    return true;
                }
                list.round.extend(list.windows.keys());
            }
            let scene = Scene { now, guild, viewers, everybody: &self.everybody };
            if list.answer(&scene, roster, &mut room, out) || list.compare(&scene, roster, &mut room, out) {
                return true;
            }
        }
        false
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        for list in self.of.values() {
            assert_eq!(list.groups.len(), list.grouping.groups().len());
            list.groups.iter().for_each(Ranked::invariants);
            assert!(list.windows.values().all(|window| !window.cores.is_empty()), "somebody looks at every window");
        }
    }

    fn shows_offline(&self) -> bool {
        !matches!(self.everybody, Everybody::Unwanted)
    }
}

/// What a list is shown with.
struct Scene<'a> {
    now: Time,
    guild: GuildId,
    viewers: &'a Viewers,
    everybody: &'a Everybody,
}

impl Scene<'_> {
    fn post(&self, core: CoreId, to: Addressee, body: Bytes) -> Post {
        let (guild, viewers) = (self.guild, self.viewers.clone());
        (core, Arc::new(Windows { guild, viewers, to, body, published: self.now }))
    }
}

impl List {
    fn new(grouping: Grouping) -> List {
        let groups = grouping.groups().iter().map(|_| Ranked::default()).collect();
        List {
            grouping,
            groups,
            making: Some(None),
            windows: BTreeMap::new(),
            looks: VecDeque::new(),
            touched: BTreeSet::new(),
            shifted: None,
            round: BTreeSet::new(),
            unseen_since: None,
        }
    }

    /// Members are grouped in another way. Windows keep what they were told until the list is made again.
    fn start_over(&mut self, grouping: Grouping) {
        self.groups = grouping.groups().iter().map(|_| Ranked::default()).collect();
        self.grouping = grouping;
        self.making = Some(None);
        self.touched.clear();
        self.shifted = None;
        self.round.clear();
    }

    /// Takes in some more members. Says how far it is, unless it has them all.
    fn take_in(
        &mut self,
        made: Option<UserId>,
        everybody: &Everybody,
        roster: &impl Roster,
        slice: usize,
    ) -> Option<Option<UserId>> {
        let mut lines: Vec<Vec<Line>> = self.groups.iter().map(|_| Vec::new()).collect();
        let grouping = &self.grouping;
        let mut put = |member: &Member, online: bool| {
            if let Some(group) = grouping.place(member, online) {
                lines[group].push(Line::of(member));
            }
        };
        let stopped = match everybody {
            Everybody::Here(members) => {
                let behind = made.map_or(Bound::Unbounded, Bound::Excluded);
                let (mut last, mut count) = (None, 0);
                for (user, member) in members.range((behind, Bound::Unbounded)).take(slice) {
                    put(member, roster.shown(*user).1.is_visible());
                    (last, count) = (Some(*user), count + 1);
                }
                last.filter(|_| count == slice)
            }
            Everybody::Unwanted | Everybody::Awaited => roster.visit(made, slice, put),
        };
        for (group, mut lines) in self.groups.iter_mut().zip(lines) {
            if group.is_empty() {
                lines.sort_unstable();
                *group = Ranked::from_ascending(lines);
            } else {
                for line in lines {
                    group.insert(line);
                }
            }
        }
        stopped.map(Some)
    }

    fn change(&mut self, user: UserId, before: Option<&Standing>, after: Option<&Standing>) {
        if self.making.is_some_and(|made| made.is_none_or(|made| user > made)) {
            return; // it is taken in when its turn comes
        }
        let place = |standing: &Standing| {
            let group = self.grouping.place(&standing.member, standing.online)?;
            Some((group, Line::of(&standing.member)))
        };
        let (before, after) = (before.and_then(place), after.and_then(place));
        if before == after {
            if let Some((group, line)) = after {
                let row = self.row(group, &line);
                self.touch(row, row);
            }
            return;
        }
        let headings = self.headings();
        let from = before.map(|(group, line)| {
            let row = self.row(group, &line);
            let known = self.groups[group].remove(&line);
            debug_assert!(known, "who goes was there");
            row
        });
        let to = after.map(|(group, line)| {
            self.groups[group].insert(line.clone());
            self.row(group, &line)
        });
        match (from, to) {
            // A heading may have come or gone above each of them.
            (Some(from), Some(to)) if headings == self.headings() => {
                self.touch(from.min(to).saturating_sub(1), from.max(to) + 1);
            }
            _ => {
                let row = from.into_iter().chain(to).min().unwrap_or(0).saturating_sub(1);
                self.shifted = Some(self.shifted.map_or(row, |shifted| shifted.min(row)));
            }
        }
    }

    fn begin_round(&mut self, now: Time, guild: GuildId, viewers: &Viewers, roster: &impl Roster) {
        if self.windows.is_empty() && self.looks.is_empty() {
            self.unseen_since.get_or_insert(now);
        } else {
            self.unseen_since = None;
        }
        // A round is finished before the next begins, or what is at the end of the list would never have its turn.
        if self.making.is_some() || !self.round.is_empty() {
            return;
        }
        self.round.append(&mut self.touched);
        if let Some(row) = self.shifted.take() {
            self.round.extend(self.windows.range(row as u32 / limits::LIST_BLOCK..).map(|(block, _)| block));
        }
        let head = self.head(guild, viewers, roster);
        for (block, window) in &mut self.windows {
            let Some(told) = &mut window.told else { continue };
            // What nobody has asked for lately is rendered again when somebody does.
            told.whole = told.whole.take().filter(|(_, asked)| *asked).map(|(whole, _)| (whole, false));
            if told.head != head && told.numbers_are_due(now) {
                self.round.insert(*block);
            }
        }
    }

    /// Answers those who have begun to look. Says whether there are more.
    fn answer(&mut self, scene: &Scene<'_>, roster: &impl Roster, room: &mut usize, out: &mut Vec<Post>) -> bool {
        let mut head = None;
        // What is rendered already costs next to nothing.
        for _ in 0..limits::TURN_LETTERS {
            if *room == 0 {
                break;
            }
            let Some(look) = self.looks.pop_front() else { return false };
            if !look.closed.is_empty() {
                let head = head.get_or_insert_with(|| self.head(scene.guild, scene.viewers, roster));
                let ops: Vec<Op<'_>> =
                    look.closed.iter().map(|block| Op::Invalidate { range: range(*block) }).collect();
                out.push(scene.post(look.core(), Addressee::Closer(look.session, look.through), event(head, &ops)));
            }
            for (block, _) in &look.opened {
                // Looked away again meanwhile, the last of those who did.
                if !self.windows.contains_key(block) {
                    continue;
                }
                let missing = self.windows[block].told.is_none().then(|| {
                    let head = head.get_or_insert_with(|| self.head(scene.guild, scene.viewers, roster)).clone();
                    Told { rows: self.rows(*block, scene.everybody, roster), head, at: scene.now, whole: None }
                });
                let window = self.windows.get_mut(block).expect("found just now");
                let told = match missing {
                    Some(told) => window.told.insert(told),
                    None => window.told.as_mut().expect("not missing"),
                };
                *room -= usize::from(told.whole.is_none()).min(*room);
                let to = Addressee::Opener(look.session, *block, look.number);
                out.push(scene.post(look.core(), to, told.whole(*block)));
            }
        }
        !self.looks.is_empty()
    }

    /// Looks at windows that may have changed. Says whether there are more.
    fn compare(&mut self, scene: &Scene<'_>, roster: &impl Roster, room: &mut usize, out: &mut Vec<Post>) -> bool {
        if self.round.is_empty() {
            return false;
        }
        let head = self.head(scene.guild, scene.viewers, roster);
        while let Some(block) = self.round.pop_first() {
            if *room == 0 {
                self.round.insert(block);
                return true;
            }
            let Some(window) = self.windows.get(&block) else { continue };
            let Some(told) = &window.told else { continue };
            if scene.now.since(told.at) < window.pace() {
                self.touched.insert(block);
                continue;
            }
            *room -= 1;
            let rows = self.rows(block, scene.everybody, roster);
            let rest = self.windows.range(1..).filter_map(|(_, window)| window.told.as_ref());
            let whole = block == 0 && rest.into_iter().all(|told| told.rows.is_empty());
            let window = self.windows.get_mut(&block).expect("found just now");
            let told = window.told.as_mut().expect("found just now");
            let due = told.numbers_are_due(scene.now);
            if let Some(body) = told.become_now(block, rows, &head, scene.now, (due, whole)) {
                let shared = scene.post(CoreId(0), Addressee::Block(block), body).1;
                out.extend(window.cores.iter().map(|(core, _)| (*core, Arc::clone(&shared))));
            }
        }
        false
    }

    /// The numbers that every event has: an object without its closing brace.
    fn head(&self, guild: GuildId, viewers: &Viewers, roster: &impl Roster) -> Bytes {
        let (members, online) = roster.counts();
        let groups: Vec<Group> = self.headed(true).map(|(group, _)| group).collect();
        let groups = serde_json::to_string(&groups).expect("groups are JSON");
        Bytes::from(format!(
            r#"{{"guild_id":"{guild}","id":"{}","member_count":{members},"online_count":{online},"groups":{groups}"#,
            viewers.list_id()
        ))
    }

    /// Groups with somebody in them. The heading of the offline ones is told even if there is none.
    fn headed(&self, told: bool) -> impl Iterator<Item = (Group, &Ranked<Line>)> {
        self.grouping
            .groups()
            .iter()
            .zip(&self.groups)
            .filter(move |(id, members)| !members.is_empty() || (told && **id == GroupId::Offline))
            .map(|(id, members)| (Group { id: *id, count: members.len() as u32 }, members))
    }

    fn headings(&self) -> usize {
        self.headed(false).count()
    }

    /// The rows of a window as they are now.
    fn rows(&self, block: u32, everybody: &Everybody, roster: &impl Roster) -> Vec<Row> {
        let (mut skip, wanted) = (range(block).0 as usize, limits::LIST_BLOCK as usize);
        let mut rows = Vec::new();
        for (group, members) in self.headed(false) {
            if rows.len() >= wanted {
                break;
            }
            if skip > members.len() {
                skip -= members.len() + 1;
                continue;
            }
            if skip == 0 {
                rows.push(Row::Group(group));
            }
            for line in members.from(skip.saturating_sub(1)).take(wanted - rows.len()) {
                let (member, presence) = roster.shown(line.user());
                let member = member.or_else(|| match everybody {
                    Everybody::Here(members) => members.get(&line.user()).map(|member| KeptMember::new(member)),
                    Everybody::Unwanted | Everybody::Awaited => None,
                });
                rows.push(Row::Member(member.expect("who is listed is known"), presence));
            }
            skip = 0;
        }
        rows
    }

    /// The row of a line that is there or is about to be.
    fn row(&self, group: usize, line: &Line) -> usize {
        let above = self.groups[..group].iter().filter(|members| !members.is_empty()).map(|members| members.len() + 1);
        let (Ok(rank) | Err(rank)) = self.groups[group].rank(line);
        above.sum::<usize>() + 1 + rank
    }

    /// Rows from one to another have changed, and no others.
    fn touch(&mut self, from: usize, to: usize) {
        let blocks = from as u32 / limits::LIST_BLOCK..=to as u32 / limits::LIST_BLOCK;
        self.touched.extend(self.windows.range(blocks).map(|(block, _)| block));
    }
}

impl Told {
    fn numbers_are_due(&self, now: Time) -> bool {
        now.since(self.at) >= limits::LIST_NUMBERS_TIME
    }
}

/// A guild and its lists.
impl Guild {
    /// A session looks at windows, or away. Says whether all members must be looked up: then [`Guild::know_everybody`].
    pub fn look(&mut self, look: Look, listing: Listing) -> bool {
        self.lists.look(look, &self.facts, self.member_count, listing)
    }

    /// All members were looked up, or could not be.
    pub fn know_everybody(&mut self, found: Option<&[Member]>) {
        let found = found.map(|found| self.renewed(found));
        self.lists.know_everybody(found.as_deref(), &self.facts);
    }

    /// Begins to work out what has changed in lists. Says whether there are any left.
    pub fn begin_round(&mut self, now: Time, listing: Listing) -> bool {
        let mut lists = std::mem::take(&mut self.lists);
        let left = lists.begin_round(now, self, &self.facts, listing);
        self.lists = lists;
        left
    }

    /// Whether there is anything to be done in lists.
    pub fn lists_are_busy(&self) -> bool {
        self.lists.are_busy()
    }

    /// Does some of what is to be done in lists. What is to be sent, and whether there is more to be done.
    pub fn attend_lists(&mut self, now: Time, listing: Listing) -> (Vec<Post>, bool) {
        let mut lists = std::mem::take(&mut self.lists);
        let mut posts = Vec::new();
        let more = lists.attend(now, self, self.id(), listing, &mut posts);
        self.lists = lists;
        (posts, more)
    }

    /// A member as lists have it now; `None` if it is none, or if there are no lists.
    pub(super) fn standing(&self, user: UserId) -> Option<Standing> {
        if self.lists.is_empty() {
            return None;
        }
        let resident = self.residents.get(&user)?;
        Some(Standing { member: Arc::new(resident.member.as_ref()?.member()), online: resident.is_visible() })
    }

    /// Lists take over what has become of a member.
    pub(super) fn restand(&mut self, user: UserId, before: Option<Standing>) {
        if !self.lists.is_empty() {
            let after = self.standing(user);
            self.lists.change(user, before, after);
        }
    }
}

impl Roster for Guild {
    fn counts(&self) -> (u64, u64) {
        Guild::counts(self)
    }

    fn shown(&self, user: UserId) -> (Option<KeptMember>, Presence) {
        let member = self.residents.get(&user).and_then(|resident| resident.member.clone());
        (member, self.presence_of(user))
    }

    fn visit(&self, after: Option<UserId>, limit: usize, mut each: impl FnMut(&Member, bool)) -> Option<UserId> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut last, mut count) = (None, 0);
        for (user, resident) in self.residents.range((behind, Bound::Unbounded)).take(limit) {
            if let Some(member) = &resident.member {
                each(&member.member(), resident.is_visible());
            }
            (last, count) = (Some(*user), count + 1);
        }
        last.filter(|_| count == limit)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::base::id::{ChannelId, RoleId};
    use crate::base::prng::Prng;
    use crate::base::slab::Key;
    use crate::mail::event::Change;
    use crate::mail::listing::Exception;
    use crate::mail::session_id::SessionId;
    use crate::wire::model::guild::Guild as Settings;
    use crate::wire::model::presence::{Activities, Platform, Status};
    use crate::wire::model::role::Role;
    use crate::wire::model::user::User;
    use crate::wire::permissions::Permissions;

    const GUILD: u64 = 7;
    const OWNER: u64 = 1_000;
    const ROLES: [u64; 4] = [10, 11, 12, 13];

    #[derive(Default)]
    struct Hall {
        members: BTreeMap<UserId, (Arc<Member>, Presence)>,
    }

    impl Roster for Hall {
        fn counts(&self) -> (u64, u64) {
            let online = self.members.values().filter(|(_, presence)| presence.is_visible()).count();
            (self.members.len() as u64, online as u64)
        }

        fn shown(&self, user: UserId) -> (Option<KeptMember>, Presence) {
            match self.members.get(&user) {
                Some((member, presence)) => (Some(KeptMember::new(member)), presence.clone()),
                None => (None, Presence::OFFLINE),
            }
        }

        fn visit(&self, after: Option<UserId>, limit: usize, mut each: impl FnMut(&Member, bool)) -> Option<UserId> {
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
        fn standing(&self, user: UserId) -> Option<Standing> {
            let (member, presence) = self.members.get(&user)?;
            Some(Standing { member: Arc::clone(member), online: presence.is_visible() })
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
                        for (place, row) in rows[first..=last].iter_mut().enumerate() {
                            *row = items.get(place).map(Value::to_string);
                        }
                    }
                    "INSERT" => rows.insert(number(&op["index"]), Some(item())),
                    "UPDATE" => {
                        let row = &mut rows[number(&op["index"])];
                        assert!(row.is_some() && *row != Some(item()), "an update changes a row that is there");
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
        let guild = Arc::new(Settings::new(GuildId::new(GUILD), "g".to_owned(), UserId::new(OWNER)));
        let mut roles = BTreeMap::new();
        roles.insert(RoleId::new(GUILD), role(GUILD, 0, false, Permissions::VIEW_CHANNEL));
        for (place, id) in ROLES.into_iter().enumerate() {
            roles.insert(RoleId::new(id), role(id, place as i32, prng.chance(1, 2), Permissions::empty()));
        }
        Facts { guild, roles, channels: BTreeMap::<ChannelId, _>::new() }
    }

    fn person(id: u64, prng: &mut Prng) -> Arc<Member> {
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
        Arc::new(member)
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
            for (user, (member, presence)) in &hall.members {
                if views(user.get(), &member.roles) && heading(member, presence) == group {
                    let name = member.nick.as_ref().unwrap_or(&member.user.username).to_lowercase();
                    let item = serde_json::to_value(Item::Member(Listed(&KeptMember::new(member), presence))).unwrap();
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

    use crate::wire::model::listing::{Item, Listed};

    #[test]
    fn what_clients_see_is_the_list() {
        let mut ops: BTreeMap<String, u64> = BTreeMap::new();
        for seed in 0..12 {
            let mut prng = Prng::new(seed);
            let mut facts = facts(&mut prng);
            let size = [12, 90, 130, 350][seed as usize % 4];
            let listing =
                Listing { offline_up_to: if seed % 3 == 0 { 0 } else { 1_000 }, slice: 1 + prng.below(60) as usize };
            let mut hall = Hall::default();
            for id in (0..size).filter(|id| id % 7 > 0).chain([OWNER]) {
                hall.members.insert(UserId::new(id), (person(id, &mut prng), presence(&mut prng)));
            }
            let exception = |id, of_member, allow| Exception { id, of_member, allow };
            let mut exceptions = vec![exception(GUILD, false, false), exception(5, true, true)];
            exceptions.extend([ROLES[0], ROLES[2]].map(|role| exception(role, false, true)));
            let kinds = [Viewers::Everyone, Viewers::But(exceptions.into())];
            let mut lists = Lists::default();
            let mut clients: Vec<Client> = (0..4).map(|_| Client::default()).collect();
            let mut now = Time::from_millis(1);
            let mut posts = Vec::new();
            for step in 0..300 {
                let calm = step >= 200;
                for _ in 0..if calm { 0 } else { prng.below(4) } {
                    let user = UserId::new(prng.below(size));
                    let before = hall.standing(user);
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
                    let after = hall.standing(user);
                    if before.is_some() || after.is_some() {
                        lists.change(user, before, after);
                    }
                }
                if !calm || step == 200 {
                    let which = prng.below(4) as u32;
                    let everyone: Vec<Viewers> = kinds.to_vec();
                    let viewers = everyone[prng.below(2) as usize].clone();
                    let home = CoreId(which as u16 % 2);
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
                    let look = Look {
                        guild: GuildId::new(GUILD),
                        viewers,
                        session,
                        number,
                        through: ChannelId::new(1),
                        opened: opened.into(),
                        closed: closed.into(),
                        unseen,
                    };
                    if lists.look(look, &facts, hall.counts().0, listing) && prng.chance(9, 10) {
                        let all: Vec<Arc<Member>> =
                            hall.members.values().map(|(member, _)| Arc::clone(member)).collect();
                        lists.know_everybody(Some(&all), &facts);
                    } else if prng.chance(1, 20) {
                        lists.know_everybody(None, &facts);
                    }
                }
                now = now + std::time::Duration::from_millis(250);
                if calm {
                    lists.know_everybody(None, &facts);
                }
                lists.begin_round(now, &hall, &facts, listing);
                while lists.attend(now, &hall, GuildId::new(GUILD), listing, &mut posts) && (calm || prng.chance(1, 2))
                {
                }
                lists.invariants();
                for (core, windows) in posts.drain(..) {
                    for (which, client) in clients.iter_mut().enumerate().filter(|(which, _)| which % 2 == core.index())
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
                                    && look
                                        .is_some_and(|look| look.0 == number && !std::mem::replace(&mut look.1, true))
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
                    Some(row) if !due && row.contains("\"group\"") => {
                        Some(row.split(',').next_back().unwrap().to_owned())
                    }
                    row => row.cloned(),
                };
                for client in &clients {
                    for ((viewers, block), (_, shown)) in &client.looks {
                        assert!(shown, "seed {seed}: whoever looks is shown the window");
                        let all = naive(&hall, &facts, viewers, lists.shows_offline());
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
                    let head = lists.of[viewers].head(GuildId::new(GUILD), viewers, &hall);
                    let head: Value = serde_json::from_str(&format!("{}}}", String::from_utf8_lossy(&head))).unwrap();
                    assert_eq!(client.heads[viewers], head.to_string(), "seed {seed}: the numbers are right");
                }
            }
        }
        for op in ["SYNC", "INSERT", "UPDATE", "DELETE", "INVALIDATE"] {
            assert!(ops.get(op).is_some_and(|count| *count > 20), "{op} happens: {ops:?}");
        }
    }

    #[test]
    fn a_window_that_many_look_at_is_updated_less_often() {
        let mut prng = Prng::new(1);
        let facts = facts(&mut prng);
        let (guild, listing) = (GuildId::new(GUILD), Listing { offline_up_to: 0, slice: 100 });
        let mut hall = Hall::default();
        let mut lists = Lists::default();
        let session = SessionId { home: CoreId(0), key: Key { index: 0, generation: 0 }, secret: 0 };
        let (opened, viewers) = ([(0, 100_000)].as_slice().into(), Viewers::Everyone);
        let (closed, unseen) = Default::default();
        let through = ChannelId::new(1);
        lists.look(Look { guild, viewers, session, number: 1, through, opened, closed, unseen }, &facts, 1, listing);
        let (mut told, mut updates) = (Vec::new(), 0);
        for quarter in 0..120 {
            let now = Time::from_millis(250 * quarter);
            let user = UserId::new(quarter + 1);
            hall.members.insert(user, (person(user.get(), &mut prng), Presence::OFFLINE));
            if let Some((_, shown)) = hall.members.get_mut(&user) {
                shown.add(Status::Online, Platform::Web, &Activities::default());
            }
            lists.change(user, None, hall.standing(user));
            lists.begin_round(now, &hall, &facts, listing);
            while lists.attend(now, &hall, guild, listing, &mut told) {}
            updates += told.drain(..).filter(|(_, windows)| windows.to == Addressee::Block(0)).count();
        }
        assert!((2..=3).contains(&updates), "{updates} in half a minute, of 100,000 writes each");
    }
}
