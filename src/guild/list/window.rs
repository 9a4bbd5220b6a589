//! A window of a member list: the rows that whoever looks at it was last sent, and the way from there to what is true now.
//!
//! Lives on: the guild's core. A window is a block of rows, the same for everybody who looks at it, so a change is rendered once.
//! Clients keep one array for a list and apply what they are sent to it. So rows are inserted and deleted only in equal numbers,
//! or where the whole list is in the first window: nothing that stands elsewhere is moved, whatever else a client looks at.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::limits;
use crate::mail::placement::CoreId;
use crate::wire::model::kept::KeptMember;
use crate::wire::model::listing::{Group, GroupId, Item, Listed, Op};
use crate::wire::model::presence::Presence;

/// A row.
#[derive(Debug, Clone)]
pub(super) enum Row {
    /// A heading.
    Group(Group),
    /// A member.
    Member(KeptMember, Presence),
}

/// What tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Group(GroupId),
    Member(u64),
}

impl Row {
    fn identity(&self) -> Identity {
        match self {
            Row::Group(group) => Identity::Group(group.id),
            Row::Member(member, _) => Identity::Member(member.user().get()),
        }
    }

    /// Whether a row of the same identity looks the same.
    fn looks_like(&self, other: &Row) -> bool {
        match (self, other) {
            (Row::Group(one), Row::Group(other)) => one == other,
            (Row::Member(one, shows), Row::Member(other, showed)) => one == other && shows == showed,
            (Row::Group(_), Row::Member(..)) | (Row::Member(..), Row::Group(_)) => false,
        }
    }

    fn item(&self) -> Item<'_> {
        match self {
            Row::Group(group) => Item::Group(*group),
            Row::Member(member, presence) => Item::Member(Listed(member, presence)),
        }
    }
}

/// A window that somebody looks at.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Cores where somebody does, and how many at most since the last of them began.
    pub cores: SmallVec<[(CoreId, u32); 2]>,
    /// What they were last sent; `None` until somebody was.
    pub told: Option<Told>,
}

/// What those who look at a window were last sent.
#[derive(Debug)]
pub(super) struct Told {
    pub rows: Vec<Row>,
    /// The numbers that came with it.
    pub head: Bytes,
    /// When.
    pub at: Time,
    /// All of it, rendered, for whoever looks too; and whether anybody has since the last round.
    pub whole: Option<(Bytes, bool)>,
}

impl Window {
    /// How long there must be between two updates: in a crowd each is a great many writes.
    pub fn pace(&self) -> Duration {
        let lookers: u32 = self.cores.iter().map(|(_, lookers)| lookers).sum();
        limits::LIST_LOOKER_TIME * lookers
    }
}

/// First and last place of a window.
pub(super) fn range(block: u32) -> (u32, u32) {
    let first = block * limits::LIST_BLOCK;
    (first, first + limits::LIST_BLOCK - 1)
}

impl Told {
    /// All of it, as one event.
    pub fn whole(&mut self, block: u32) -> Bytes {
        let rendered = match self.whole.take() {
            Some((rendered, _)) => rendered,
            None => event(&self.head, &[sync(block, &self.rows)]),
        };
        self.whole = Some((rendered.clone(), true));
        rendered
    }

    /// Takes over what is true now. The event that tells of it; `None` if there is nothing to tell, or only numbers, and those
    /// are not `due`. `whole`: nobody has been sent rows of the list elsewhere.
    pub fn become_now(
        &mut self,
        block: u32,
        rows: Vec<Row>,
        head: &Bytes,
        now: Time,
        (due, whole): (bool, bool),
    ) -> Option<Bytes> {
        let told = {
            let ops = match steps(block, &self.rows, &rows, whole) {
                Some(ops) => ops,
                None => vec![sync(block, &rows)],
            };
            let only_numbers = ops.iter().all(|op| matches!(op, Op::Update { item: Item::Group(_), .. }));
            if only_numbers && !(due && (*head != self.head || !ops.is_empty())) {
                return None;
            }
            event(head, &ops)
        };
        *self = Told { rows, head: head.clone(), at: now, whole: None };
        Some(told)
    }
}

/// An event: the numbers, and what has happened to rows.
pub(super) fn event(head: &Bytes, ops: &[Op<'_>]) -> Bytes {
    let mut body = Vec::with_capacity(head.len() + 32 + 64 * ops.len());
    body.extend_from_slice(head);
    body.extend_from_slice(b",\"ops\":");
    serde_json::to_writer(&mut body, ops).expect("rows are JSON");
    body.push(b'}');
    Bytes::from(body)
}

fn sync(block: u32, rows: &[Row]) -> Op<'_> {
    Op::Sync { range: range(block), items: rows.iter().map(Row::item).collect() }
}

/// The way from rows to other rows; `None` if it is simpler to send all of them.
fn steps<'a>(block: u32, before: &[Row], after: &'a [Row], whole: bool) -> Option<Vec<Op<'a>>> {
    let full = limits::LIST_BLOCK as usize;
    let whole = whole && before.len() < full && after.len() < full;
    if before.len() != after.len() && !whole {
        return None;
    }
    let (first, _) = range(block);
    let places: BTreeMap<Identity, usize> =
        before.iter().enumerate().map(|(place, row)| (row.identity(), place)).collect();
    let origins: Vec<Option<usize>> = after.iter().map(|row| places.get(&row.identity()).copied()).collect();
    let kept = longest_ascending(&origins);
    let mut stays = vec![false; before.len()];
    for (place, origin) in origins.iter().enumerate().filter(|(place, _)| kept[*place]) {
        stays[origin.unwrap_or_else(|| unreachable!("what is kept at {place} was there"))] = true;
    }
    let mut ops: Vec<Op<'a>> = Vec::new();
    // From behind, so that no deletion moves what another one names.
    for place in (0..before.len()).rev().filter(|place| !stays[*place]) {
        ops.push(Op::Delete { index: first + place as u32 });
    }
    let mut written = 0;
    for (place, row) in after.iter().enumerate() {
        let index = first + place as u32;
        match origins[place].filter(|_| kept[place]) {
            None => ops.push(Op::Insert { index, item: row.item() }),
            Some(origin) if !row.looks_like(&before[origin]) => ops.push(Op::Update { index, item: row.item() }),
            Some(_) => continue,
        }
        written += 1;
    }
    (4 * written <= 3 * after.len().max(8)).then_some(ops)
}

/// Which entries are part of a longest ascending sequence of those that are there.
fn longest_ascending(origins: &[Option<usize>]) -> Vec<bool> {
    // Entry `n`: where the best sequence of length `n + 1` ends. Each place knows the one before it in its own best sequence.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = vec![None; origins.len()];
    for (place, origin) in origins.iter().enumerate() {
        let Some(origin) = origin else { continue };
        let length = ends.partition_point(|end| origins[*end] < Some(*origin));
        previous[place] = length.checked_sub(1).map(|before| ends[before]);
        if length == ends.len() {
            ends.push(place);
        } else {
            ends[length] = place;
        }
    }
    let mut kept = vec![false; origins.len()];
    let mut at = ends.last().copied();
    while let Some(place) = at {
        kept[place] = true;
        at = previous[place];
    }
    kept
}
