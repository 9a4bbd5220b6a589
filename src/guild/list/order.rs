//! The order of one member list: groups, and in each the members by name.
//!
//! Lives on: the guild's core.
//! Invariant: there are as many groups as the grouping has.

use smallvec::SmallVec;

use crate::base::id::UserId;
use crate::base::ranked::Ranked;
use crate::guild::list::grouping::Grouping;
use crate::guild::list::name_key::NameKey;
use crate::limits;
use crate::model::kept_member::KeptMember;
use crate::wire::model::listing::{Group, GroupId};

/// The members of a list, in order.
#[derive(Debug)]
pub(super) struct RowOrder {
    grouping: Grouping,
    groups: Vec<Ranked<NameKey>>,
}

/// What tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKey {
    Group(GroupId),
    Member(UserId),
}

/// Which rows a window has. What they look like is found out when they are sent.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub keys: Vec<RowKey>,
    /// The headings among them, in order.
    pub groups: SmallVec<[Group; 1]>,
    /// The group of the first row, if that is no heading.
    pub first: Option<GroupId>,
}

impl Rows {
    /// The heading of a group, if it is among the rows.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.iter().find(|group| group.id == id).copied()
    }
}

/// What taking a member elsewhere has come to: rows, as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MovedRows {
    /// Rows from one to another are others, and no more.
    Within(usize, usize),
    /// All rows from one on.
    Behind(usize),
}

/// First and last place of a window.
pub(super) fn range(block: u32) -> (u32, u32) {
    let first = block * limits::LIST_BLOCK;
    (first, first + limits::LIST_BLOCK - 1)
}

impl RowOrder {
    /// An order without members, in these groups.
    pub fn new(grouping: Grouping) -> RowOrder {
        let groups = grouping.groups().iter().map(|_| Ranked::default()).collect();
        RowOrder { grouping, groups }
    }

    /// How members are grouped.
    pub fn grouping(&self) -> &Grouping {
        &self.grouping
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(Ranked::len).sum()
    }

    /// Members who come into a list that is being made.
    pub fn take_in(&mut self, lines: Vec<Vec<NameKey>>) {
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
    }

    /// A member who was in one group, or in none, is in another, or has another name. Says which rows are others now.
    pub fn put(
        &mut self,
        before: Option<(usize, &KeptMember)>,
        after: Option<(usize, &KeptMember)>,
    ) -> Option<MovedRows> {
        if let (Some((from, was)), Some((to, is))) = (before, after)
            && from == to
            && was.name() == is.name()
        {
            let row = self.row(to, &NameKey::of(is));
            return Some(MovedRows::Within(row, row));
        }
        let headings = self.headings();
        let from = before.map(|(group, member)| {
            let line = NameKey::of(member);
            let row = self.row(group, &line);
            let known = self.groups[group].remove(&line);
            debug_assert!(known, "who goes was there");
            row
        });
        let to = after.map(|(group, member)| {
            let line = NameKey::of(member);
            self.groups[group].insert(line.clone());
            self.row(group, &line)
        });
        Some(match (from, to) {
            (None, None) => return None,
            // A heading may have come or gone above each of them.
            (Some(from), Some(to)) if headings == self.headings() => {
                MovedRows::Within(from.min(to).saturating_sub(1), from.max(to) + 1)
            }
            (Some(from), Some(to)) => MovedRows::Behind(from.min(to).saturating_sub(1)),
            (Some(row), None) | (None, Some(row)) => MovedRows::Behind(row.saturating_sub(1)),
        })
    }

    /// Groups with members. The offline heading is listed even if the group is empty.
    pub fn headed(&self, told: bool) -> impl Iterator<Item = (Group, &Ranked<NameKey>)> {
        self.grouping
            .groups()
            .iter()
            .zip(&self.groups)
            .filter(move |(id, members)| !members.is_empty() || (told && **id == GroupId::Offline))
            .map(|(id, members)| (Group { id: *id, count: members.len() as u32 }, members))
    }

    /// The rows of a window as they are now.
    pub fn rows(&self, block: u32) -> Rows {
        let (mut skip, wanted) = (range(block).0 as usize, limits::LIST_BLOCK as usize);
        let mut rows = Rows { keys: Vec::with_capacity(wanted), groups: SmallVec::new(), first: None };
        for (group, members) in self.headed(false) {
            if rows.keys.len() >= wanted {
                break;
            }
            if skip > members.len() {
                skip -= members.len() + 1;
                continue;
            }
            if skip == 0 {
                rows.keys.push(RowKey::Group(group.id));
                rows.groups.push(group);
            } else {
                rows.first = Some(group.id);
            }
            let budget = wanted - rows.keys.len();
            rows.keys.extend(members.from(skip.saturating_sub(1)).take(budget).map(|line| RowKey::Member(line.user())));
            skip = 0;
        }
        rows
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        assert_eq!(self.groups.len(), self.grouping.groups().len());
        self.groups.iter().for_each(Ranked::invariants);
    }

    fn headings(&self) -> usize {
        self.headed(false).count()
    }

    /// The row of a line that is there or is about to be.
    fn row(&self, group: usize, line: &NameKey) -> usize {
        let above = self.groups[..group].iter().filter(|members| !members.is_empty()).map(|members| members.len() + 1);
        let (Ok(rank) | Err(rank)) = self.groups[group].rank(line);
        above.sum::<usize>() + 1 + rank
    }
}
