//! The members of a guild and their roles, from ranges that may overlap.
//!
//! Lives on: the command's process. What it holds grows with the number of entries, never with the number of members.

use std::ops::Range;

use crate::operate::import::plan::MemberRange;

/// Ranges of user numbers, ascending, apart, none empty, each with what all entries that have it give it: roles by
/// index, ascending. The owner is always in one.
pub fn runs(owner: usize, entries: &[MemberRange], roles: usize) -> impl Iterator<Item = (Range<usize>, Vec<usize>)> {
    let owns = MemberRange { first: owner, count: 1, roles: Vec::new() };
    let mut edges = Vec::with_capacity(2 * entries.len() + 2);
    for (index, entry) in entries.iter().chain([&owns]).enumerate() {
        edges.push((entry.first, true, index));
        edges.push((entry.first + entry.count, false, index));
    }
    edges.sort_unstable();
    // How many entries are open at this place, and how many of them give each role.
    let (mut open, mut given) = (0_usize, vec![0_usize; roles]);
    let mut begin = 0;
    edges.into_iter().filter_map(move |(at, begins, index)| {
        let run = (at > begin && open > 0).then(|| (begin..at, (0..roles).filter(|role| given[*role] > 0).collect()));
        begin = at;
        // At one place ends come before beginnings, so the end of an empty entry comes first and the counters wrap;
        // when the place is left they are right again.
        let step = |counter: &mut usize| {
            *counter = if begins { counter.wrapping_add(1) } else { counter.wrapping_sub(1) };
        };
        step(&mut open);
        for role in &entries.get(index).unwrap_or(&owns).roles {
            step(&mut given[*role]);
        }
        run
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    fn entry(first: usize, count: usize, roles: &[usize]) -> MemberRange {
        MemberRange { first, count, roles: roles.to_vec() }
    }

    #[test]
    fn overlaps_have_the_union_and_the_owner_is_there() {
        let entries = [entry(0, 10, &[0]), entry(5, 10, &[1]), entry(7, 1, &[2]), entry(7, 0, &[1])];
        let found: Vec<_> = runs(20, &entries, 3).filter(|(run, _)| !run.is_empty()).collect();
        let expected = [
            (0..5, vec![0]),
            (5..7, vec![0, 1]),
            (7..8, vec![0, 1, 2]),
            (8..10, vec![0, 1]),
            (10..15, vec![1]),
            (20..21, vec![]),
        ];
        assert_eq!(found, expected);
        assert_eq!(runs(3, &[], 0).collect::<Vec<_>>(), [(3..4, vec![])]);
    }

    #[test]
    fn runs_say_what_the_entries_say_one_by_one() {
        let mut prng = Prng::new(7);
        for _ in 0..500 {
            let mut below = |bound: u64| prng.below(bound) as usize;
            let owner = below(30);
            let entries: Vec<MemberRange> = (0..below(8))
                .map(|_| {
                    let roles: Vec<usize> = (0..4).filter(|_| below(3) == 0).collect();
                    entry(below(25), below(6), &roles)
                })
                .collect();
            let mut next = 0;
            let mut seen = vec![None; 31];
            for (run, roles) in runs(owner, &entries, 4) {
                assert!(next <= run.start && !run.is_empty(), "ascending and apart");
                next = run.end;
                run.for_each(|user| seen[user] = Some(roles.clone()));
            }
            for (user, seen) in seen.iter().enumerate() {
                let with: Vec<_> =
                    entries.iter().filter(|one| (one.first..one.first + one.count).contains(&user)).collect();
                let union: Vec<usize> = (0..4).filter(|role| with.iter().any(|one| one.roles.contains(role))).collect();
                let expected = (user == owner || !with.is_empty()).then_some(union);
                assert_eq!(*seen, expected, "user {user}, owner {owner}, {entries:?}");
            }
        }
    }
}
