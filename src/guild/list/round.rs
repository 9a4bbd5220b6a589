//! One member list: its order, its subscribed windows, and the updates that they are sent.
//!
//! Lives on: the guild's core.
//! In rounds the windows that may have changed are compared with what they were told. Which rows a window has is a walk
//! through the order; what has changed of those that stay is remembered with the members who have changed since; only
//! rows that come, or look different, are rendered.
//! Invariant: a window that this round and the next one skip was last sent its true rows, or has not been answered yet.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::guild::list::Post;
use crate::guild::list::all_members::AllMembers;
use crate::guild::list::grouping::Grouping;
use crate::guild::list::name_key::NameKey;
use crate::guild::list::order::{MovedRows, RowKey, RowOrder, Rows, range};
use crate::guild::list::roster::{MemberState, Roster};
use crate::guild::list::window::{LastSent, RowChange, Window, steps};
use crate::limits;
use crate::mail::listing::{Addressee, ListSubscription, Viewers, Windows};
use crate::mail::site::Site;
use crate::model::kept_member::KeptMember;
use crate::wire::model::listing::{Group, GroupId, Update};
use crate::wire::model::member::write_row;
use crate::wire::model::presence::Presence;

/// One list.
#[derive(Debug)]
pub(super) struct List {
    viewers: Viewers,
    /// As clients know it.
    id: String,
    pub order: RowOrder,
    /// It is being made, and has everybody up to this one.
    pub making: Option<Option<UserId>>,
    /// It is not made yet: there is no budget for its members.
    pub waits: bool,
    pub windows: BTreeMap<u32, Window>,
    /// Who has not been answered yet.
    pub looks: VecDeque<ListSubscription>,
    /// Windows that may have changed since the last round.
    touched: BTreeSet<u32>,
    /// Rows from here on may have moved since the last round.
    shifted: Option<usize>,
    /// Windows that this round still has to look at.
    round: BTreeSet<u32>,
    changes: MemberChanges,
    /// Since when it has no subscriber.
    pub unseen_since: Option<Time>,
}

/// Members who have changed since windows were told of them.
#[derive(Debug, Default)]
struct MemberChanges {
    count: u64,
    of: BTreeMap<UserId, MemberChange>,
    /// Windows that have seen fewer are sent again: what has changed was not remembered.
    forgotten: u64,
}

#[derive(Debug)]
struct MemberChange {
    /// What the count was then.
    at: u64,
    /// It left the list, and was last like this: rows that were told of it may have to be sent again.
    gone: Option<KeptMember>,
}

impl MemberChanges {
    fn note(&mut self, user: UserId, gone: Option<KeptMember>) {
        self.count += 1;
        self.of.insert(user, MemberChange { at: self.count, gone });
        if self.of.len() > limits::LIST_CHANGES_MAX {
            self.forget();
        }
    }

    /// All may have changed.
    fn forget(&mut self) {
        self.count += 1;
        self.of.clear();
        self.forgotten = self.count;
    }

    fn since(&self, seen: u64, user: UserId) -> bool {
        seen < self.count && self.of.get(&user).is_some_and(|changed| changed.at > seen)
    }
}

/// What a list is shown with.
pub(super) struct RenderContext<'a, R> {
    pub now: Time,
    pub guild: GuildId,
    pub everybody: &'a AllMembers,
    pub roster: &'a R,
    /// Between two updates of a window that a crowd looks at.
    pub cooldown: Duration,
}

/// What may be done in this turn, and what that comes to.
#[derive(Debug)]
pub(super) struct RenderBudget {
    /// Windows that may be rendered, times [`limits::LIST_COMPARISONS`].
    pub left: usize,
    /// For how long lists then rest.
    pub rest: Duration,
}

impl RenderBudget {
    fn take(&mut self, some: usize) {
        self.left = self.left.saturating_sub(some);
    }
}

impl List {
    /// A list that is to be made.
    pub fn new(viewers: Viewers, grouping: Grouping) -> List {
        List {
            id: viewers.list_id(),
            viewers,
            order: RowOrder::new(grouping),
            making: Some(None),
            waits: true,
            windows: BTreeMap::new(),
            looks: VecDeque::new(),
            touched: BTreeSet::new(),
            shifted: None,
            round: BTreeSet::new(),
            changes: MemberChanges::default(),
            unseen_since: None,
        }
    }

    /// Members are grouped in another way, or are others. Windows keep what they were told until the list is made
    /// again.
    pub fn start_over(&mut self, grouping: Grouping) {
        self.order = RowOrder::new(grouping);
        self.making = Some(None);
        self.touched.clear();
        self.shifted = None;
        self.round.clear();
        self.changes.forget();
    }

    /// Whether there is anything to be done now.
    pub fn is_busy(&self) -> bool {
        !self.waits && (self.making.is_some() || !self.round.is_empty() || !self.looks.is_empty())
    }

    /// Takes in some more members, if it is not made yet. Says whether it is made now.
    pub fn take_in(&mut self, everybody: &AllMembers, roster: &impl Roster, slice: usize) -> bool {
        let Some(made) = self.making else { return true };
        let mut lines: Vec<Vec<NameKey>> = self.order.grouping().groups().iter().map(|_| Vec::new()).collect();
        let grouping = self.order.grouping();
        let mut put = |member: &KeptMember, online: bool| {
            if let Some(group) = grouping.place(member, online) {
                lines[group].push(NameKey::of(member));
            }
        };
        let stopped = match everybody.members() {
            Some(_) => everybody.visit(made, slice, |member| {
                put(member, roster.shown(member.user(), |_, presence| presence.is_visible()));
            }),
            None => roster.visit(made, slice, put),
        };
        self.order.take_in(lines);
        self.making = stopped.map(Some);
        if self.making.is_none() {
            self.round.extend(self.windows.keys());
        }
        self.making.is_none()
    }

    /// A member has come, gone, or become another, or its presence has.
    pub fn change(&mut self, user: UserId, before: Option<MemberState<'_>>, after: Option<MemberState<'_>>) {
        if self.making.is_some_and(|made| made.is_none_or(|made| user > made)) {
            return; // it is taken in when its turn comes
        }
        let place = |standing: MemberState<'_>| self.order.grouping().place(standing.member, standing.online);
        let from = before.and_then(|before| Some((place(before)?, before.member)));
        let to = after.and_then(|after| Some((place(after)?, after.member)));
        let Some(moved) = self.order.put(from, to) else { return };
        self.changes.note(user, from.filter(|_| to.is_none()).map(|(_, member)| member.clone()));
        match moved {
            MovedRows::Within(from, to) => {
                let blocks = from as u32 / limits::LIST_BLOCK..=to as u32 / limits::LIST_BLOCK;
                self.touched.extend(self.windows.range(blocks).map(|(block, _)| block));
            }
            MovedRows::Behind(row) => self.shifted = Some(self.shifted.map_or(row, |shifted| shifted.min(row))),
        }
    }

    /// Records whether the list has subscribers, and releases full syncs that were not requested lately; they are
    /// rendered again on demand.
    pub fn tick(&mut self, now: Time) {
        if self.windows.is_empty() && self.looks.is_empty() {
            self.unseen_since.get_or_insert(now);
        } else {
            self.unseen_since = None;
        }
        for told in self.windows.values_mut().filter_map(|window| window.last_sent.as_mut()) {
            told.whole = told.whole.take().filter(|(_, asked)| *asked).map(|(whole, _)| (whole, false));
        }
    }

    /// Begins a round, if the last one is done: or what is at the end of the list would never have its turn.
    pub fn begin_round<R: Roster>(&mut self, context: &RenderContext<'_, R>) {
        if self.making.is_some() || !self.round.is_empty() {
            return;
        }
        self.round.append(&mut self.touched);
        if let Some(row) = self.shifted.take() {
            self.round.extend(self.windows.range(row as u32 / limits::LIST_BLOCK..).map(|(block, _)| block));
        }
        let head = self.head(context);
        let count = self.changes.count;
        let mut oldest = count;
        for (block, window) in &mut self.windows {
            let Some(told) = &mut window.last_sent else { continue };
            if self.round.contains(block) {
                oldest = oldest.min(told.seen);
                continue;
            }
            // Nothing has touched it: the members that changed are not in it.
            told.seen = count;
            if told.head != head && told.numbers_are_due(context.now) {
                self.round.insert(*block);
            }
        }
        if !self.changes.of.is_empty() {
            self.changes.of.retain(|_, changed| changed.at > oldest);
        }
    }

    /// Answers those who have begun to look.
    pub fn answer<R: Roster>(
        &mut self,
        context: &RenderContext<'_, R>,
        budget: &mut RenderBudget,
        kept: usize,
        buffer: &mut Vec<u8>,
        out: &mut Vec<Post>,
    ) {
        let mut head = None;
        // What is rendered already costs next to nothing.
        for _ in 0..limits::TURN_LETTERS {
            if budget.left <= kept {
                return;
            }
            let Some(look) = self.looks.pop_front() else { return };
            let head = head.get_or_insert_with(|| self.head(context)).clone();
            if !look.closed.is_empty() {
                let mut update = Update::new(&head, buffer);
                look.closed.iter().for_each(|block| update.invalidate(range(*block)));
                out.push(self.post(
                    context,
                    look.core(),
                    Addressee::Closer(look.session, look.through),
                    update.finish(),
                ));
            }
            for (block, _) in &look.opened {
                let forgotten = self.changes.forgotten;
                // Looked away again meanwhile, the last of those who did.
                let Some(window) = self.windows.get_mut(block) else { continue };
                let to = Addressee::Opener(look.session, *block, look.number);
                if let Some((body, asked)) = window.last_sent.as_mut().and_then(|told| told.whole.as_mut()) {
                    *asked = true;
                    let body = body.clone();
                    out.push(self.post(context, look.core(), to, body));
                    continue;
                }
                if window.last_sent.as_ref().is_some_and(|told| told.seen < forgotten) {
                    // The changes since its last update were forgotten, so the whole window is sent again.
                    self.compare_one(*block, &head, context, budget, buffer, out);
                }
                if self.windows[block].last_sent.is_none() {
                    let rows = self.order.rows(*block);
                    let told =
                        LastSent { rows, head: head.clone(), at: context.now, seen: self.changes.count, whole: None };
                    self.windows.get_mut(block).expect("found just now").last_sent = Some(told);
                }
                budget.take(limits::LIST_COMPARISONS);
                let told = self.windows[block].last_sent.as_ref().expect("set just now");
                let body = self.whole(*block, &told.rows, &told.head, context, buffer);
                let window = self.windows.get_mut(block).expect("found just now");
                if window.lookers() > 1 {
                    window.last_sent.as_mut().expect("set just now").whole = Some((body.clone(), true));
                }
                out.push(self.post(context, look.core(), to, body));
            }
        }
    }

    /// Looks at windows that may have changed, until there is only so much budget.
    pub fn compare<R: Roster>(
        &mut self,
        context: &RenderContext<'_, R>,
        budget: &mut RenderBudget,
        kept: usize,
        buffer: &mut Vec<u8>,
        out: &mut Vec<Post>,
    ) {
        if self.round.is_empty() {
            return;
        }
        let head = self.head(context);
        while budget.left > kept
            && let Some(block) = self.round.pop_first()
        {
            let Some(window) = self.windows.get(&block) else { continue };
            let Some(told) = &window.last_sent else { continue };
            if window.is_crowded() && context.now.since(told.at) < context.cooldown {
                self.touched.insert(block);
                continue;
            }
            self.compare_one(block, &head, context, budget, buffer, out);
        }
    }

    /// Compares a window with what was last sent of it, and sends its subscribers the difference.
    fn compare_one<R: Roster>(
        &mut self,
        block: u32,
        head: &Bytes,
        context: &RenderContext<'_, R>,
        budget: &mut RenderBudget,
        buffer: &mut Vec<u8>,
        out: &mut Vec<Post>,
    ) {
        budget.take(1);
        let rows = self.order.rows(block);
        let rest = self.windows.range(1..).filter_map(|(_, window)| window.last_sent.as_ref());
        let whole = block == 0 && rest.into_iter().all(|told| told.rows.keys.is_empty());
        let Some(window) = self.windows.get(&block) else { return };
        let Some(told) = &window.last_sent else { return };
        let (lookers, crowded) = (window.lookers(), window.is_crowded());
        if !crowded {
            budget.rest += limits::LIST_COMPARED_TIME;
        }
        let steps = match told.seen < self.changes.forgotten {
            true => None,
            false => steps(&told.rows, &rows, whole, |user| self.changes.since(told.seen, user)),
        };
        let body = match &steps {
            Some(steps) => {
                let of_group = |step: &RowChange| match *step {
                    RowChange::Update(place) => matches!(rows.keys[place], RowKey::Group(_)),
                    RowChange::Delete(_) | RowChange::Insert(_) => false,
                };
                let due = told.numbers_are_due(context.now) && (*head != told.head || !steps.is_empty());
                if !due && steps.iter().all(of_group) {
                    let count = self.changes.count;
                    self.windows
                        .get_mut(&block)
                        .and_then(|window| window.last_sent.as_mut())
                        .expect("found just now")
                        .seen = count;
                    return;
                }
                let first = range(block).0;
                let mut update = Update::new(head, buffer);
                for step in steps {
                    match *step {
                        RowChange::Delete(place) => update.delete(first + place as u32),
                        RowChange::Insert(place) => {
                            update.insert(first + place as u32, |out| {
                                self.write(rows.keys[place], None, &rows, context, out)
                            });
                        }
                        RowChange::Update(place) => {
                            update.update(first + place as u32, |out| {
                                self.write(rows.keys[place], None, &rows, context, out)
                            });
                        }
                    }
                }
                update.finish()
            }
            None => {
                budget.take(limits::LIST_COMPARISONS);
                self.whole(block, &rows, head, context, buffer)
            }
        };
        if !crowded {
            budget.rest += limits::LIST_LOOKER_TIME * lookers;
        }
        let told = LastSent { rows, head: head.clone(), at: context.now, seen: self.changes.count, whole: None };
        let shared = self.post(context, Site::new(0, 0), Addressee::Block(block), body).1;
        let window = self.windows.get_mut(&block).expect("found just now");
        window.last_sent = Some(told);
        out.extend(window.cores.iter().map(|(core, _)| (*core, Arc::clone(&shared))));
    }

    /// The numbers that every event has: an object without its closing brace.
    pub fn head<R: Roster>(&self, context: &RenderContext<'_, R>) -> Bytes {
        let (members, online) = context.roster.counts();
        let groups: Vec<Group> = self.order.headed(true).map(|(group, _)| group).collect();
        let groups = serde_json::to_string(&groups).expect("groups are JSON");
        Bytes::from(format!(
            r#"{{"guild_id":"{}","id":"{}","member_count":{members},"online_count":{online},"groups":{groups}"#,
            context.guild, self.id
        ))
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        self.order.invariants();
        assert!(self.windows.values().all(|window| !window.cores.is_empty()), "somebody looks at every window");
        assert!(self.changes.of.len() <= limits::LIST_CHANGES_MAX);
        assert!(!self.waits || self.order.len() == 0, "what waits for budget takes none");
    }

    /// All rows of a window, as one event.
    fn whole<R: Roster>(
        &self,
        block: u32,
        rows: &Rows,
        head: &Bytes,
        context: &RenderContext<'_, R>,
        buffer: &mut Vec<u8>,
    ) -> Bytes {
        let mut update = Update::new(head, buffer);
        let mut group = rows.first;
        update.sync(range(block), &rows.keys, |key, out| {
            if let RowKey::Group(id) = key {
                group = Some(*id);
            }
            self.write(*key, group, rows, context, out);
        });
        update.finish()
    }

    /// Writes a row. A member looks as it does now, or as it last did; but if its group is said, it is online or
    /// offline as that is: the rows may be older, and the next update corrects them.
    fn write<R: Roster>(
        &self,
        key: RowKey,
        group: Option<GroupId>,
        rows: &Rows,
        context: &RenderContext<'_, R>,
        out: &mut Vec<u8>,
    ) {
        let user = match key {
            RowKey::Group(id) => return rows.group(id).expect("its heading is among the rows").write_row(out),
            RowKey::Member(user) => user,
        };
        out.extend_from_slice(b"{\"member\":");
        context.roster.shown(user, |member, presence| match member {
            Some(member) => write_row(member, &as_listed(presence, group), out),
            None => match context.everybody.members().and_then(|members| members.get(&user)) {
                Some(member) => write_row(member, &as_listed(presence, group), out),
                None => {
                    let gone = self.changes.of.get(&user).and_then(|changed| changed.gone.as_ref());
                    let gone = gone.expect("who is listed is known, and who was is remembered");
                    write_row(gone, &as_listed(&Presence::OFFLINE, group), out);
                }
            },
        });
        out.push(b'}');
    }

    fn post<R>(&self, context: &RenderContext<'_, R>, core: Site, to: Addressee, body: Bytes) -> Post {
        let (guild, viewers) = (context.guild, self.viewers.clone());
        (core, Arc::new(Windows { guild, viewers, to, body, published: context.now }))
    }
}

/// A presence as it fits the group that a member is listed in, if that is said.
fn as_listed(presence: &Presence, group: Option<GroupId>) -> Cow<'_, Presence> {
    match group {
        Some(GroupId::Offline) => Cow::Owned(Presence::OFFLINE),
        Some(GroupId::Online | GroupId::Role(_)) if !presence.is_visible() => Cow::Owned(Presence::ONLINE),
        Some(GroupId::Online | GroupId::Role(_)) | None => Cow::Borrowed(presence),
    }
}
