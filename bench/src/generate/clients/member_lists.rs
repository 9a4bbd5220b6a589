//! The member lists that a thread's sessions look at: which rows are awaited, and, of some sessions, all rows as a
//! client keeps them.

use std::collections::HashMap;

use memchr::memmem;

use crate::base::random;
use crate::generate::clients::list_rows::{AnnouncedStatuses, Ops, Range, Rows};
use crate::generate::clients::task::Scroll;
use crate::wire::payload;

/// Rows of a page: clients ask for whole ones.
pub const PAGE: u32 = 100;

/// All of a thread's lists, by session.
#[derive(Debug, Default)]
pub struct Lists {
    lists: HashMap<u32, List>,
}

/// What one session looks at.
#[derive(Debug)]
struct List {
    ranges: Vec<Range>,
    awaited: Vec<Range>,
    asked_ns: u64,
    rows: Option<Rows>,
}

/// What came of an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    /// All that was awaited is here now; it took so long since it was asked for.
    pub took_ns: Option<u64>,
    /// It was checked row by row.
    pub checked: bool,
    /// What it told, if it was checked.
    pub ops: Ops,
    /// What does not add up.
    pub wrong: Option<String>,
}

impl Lists {
    /// A session looks at other rows. Says which, and how many of them are awaited.
    pub fn ask(&mut self, session: u32, scroll: &Scroll, now_ns: u64) -> (Vec<Range>, usize) {
        let ranges = ranges(session, scroll);
        let list = self.lists.entry(session).or_insert_with(|| List {
            ranges: Vec::new(),
            awaited: Vec::new(),
            asked_ns: 0,
            // The sessions that look are a part of all, evenly spread: a hash of their number chooses among them
            // evenly.
            rows: random::mix(u64::from(session)).is_multiple_of(u64::from(scroll.checked.max(1))).then(Rows::default),
        });
        list.awaited = ranges.iter().copied().filter(|range| !list.ranges.contains(range)).collect();
        list.ranges.clone_from(&ranges);
        list.asked_ns = now_ns;
        if let Some(rows) = &mut list.rows {
            rows.look_at(&ranges);
        }
        (ranges, list.awaited.len())
    }

    /// A session has received a change of its list.
    pub fn take(&mut self, session: u32, d: &[u8], now_ns: u64) -> ListChange {
        let Some(list) = self.lists.get_mut(&session) else { return ListChange::default() };
        let mut came = ListChange::default();
        let mut arrived = |range: Range| {
            let before = list.awaited.len();
            list.awaited.retain(|awaited| *awaited != range);
            if before > 0 && list.awaited.is_empty() {
                came.took_ns = Some(now_ns.saturating_sub(list.asked_ns));
            }
        };
        match &mut list.rows {
            Some(rows) => {
                came.checked = true;
                match rows.apply(d, &mut came.ops) {
                    Ok(synced) => synced.into_iter().for_each(&mut arrived),
                    Err(wrong) => came.wrong = Some(wrong),
                }
            }
            // What is not checked costs little: a page has some 30 KB.
            None => {
                if memmem::find(d, b"\"SYNC\"").is_some() {
                    payload::ranges(d).for_each(&mut arrived);
                }
            }
        }
        came
    }

    /// What does not add up when everything has come to rest; `known`: how all appear, and how many there are in the
    /// list.
    pub fn at_rest(&self, known: Option<(&AnnouncedStatuses, u32)>) -> Vec<(u32, String)> {
        let all = self.lists.iter().filter_map(|(session, list)| Some((*session, list.rows.as_ref()?.at_rest(known)?)));
        all.collect()
    }
}

/// The top, which clients always keep, and two pages that move on with each turn.
fn ranges(session: u32, scroll: &Scroll) -> Vec<Range> {
    let page = |number: u32| (number * PAGE, number * PAGE + PAGE - 1);
    // The last page may not be full, or not be there when a member leaves.
    let pages = (scroll.rows / PAGE).saturating_sub(1);
    let mut ranges = vec![page(0)];
    if pages >= 3 {
        // Between the top and the end.
        let places = pages - 1;
        let start = (random::mix(u64::from(session) ^ 0x5eed) % u64::from(places)) as u32;
        let at = |step: u32| page(1 + (start + step) % places);
        ranges.extend([at(2 * scroll.turn), at(2 * scroll.turn + 1)]);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scroll(turn: u32, rows: u32, checked: u32) -> Scroll {
        Scroll { guild: 1, channel: 2, turn, rows, checked, flapping: 8 }
    }

    #[test]
    fn windows_move_on_and_stay_on_the_list() {
        for session in 0..500 {
            for turn in 0..20 {
                let ranges = ranges(session, &scroll(turn, 1_050, 1));
                assert_eq!((ranges.len(), ranges[0]), (3, (0, 99)));
                assert!(ranges[1..].iter().all(|(first, last)| *first >= 100 && *last < 1_000 && last - first == 99));
                assert_ne!(ranges[1], ranges[2]);
            }
        }
        assert_eq!(ranges(5, &scroll(3, 120, 1)), [(0, 99)]);
    }

    #[test]
    fn it_is_known_when_everything_that_was_asked_for_is_here() {
        let mut lists = Lists::default();
        // No rows are kept: only the ranges are read.
        let (asked, count) = lists.ask(3, &scroll(0, 10_000, u32::MAX), 1_000);
        assert_eq!((asked.len(), count), (3, 3));
        let sync =
            |range: Range| format!(r#"{{"ops":[{{"op":"SYNC","range":[{},{}],"items":[]}}]}}}}"#, range.0, range.1);
        let gone = format!(r#"{{"ops":[{{"op":"INVALIDATE","range":[{},{}]}}]}}}}"#, asked[2].0, asked[2].1);
        assert!(lists.at_rest(Some((&AnnouncedStatuses::default(), 1))).is_empty());
        assert_eq!(lists.take(3, sync(asked[0]).as_bytes(), 2_000), ListChange::default());
        assert_eq!(lists.take(3, sync(asked[1]).as_bytes(), 2_000), ListChange::default());
        assert_eq!(lists.take(3, gone.as_bytes(), 3_000), ListChange::default());
        assert_eq!(lists.take(4, sync(asked[2]).as_bytes(), 3_000), ListChange::default(), "it looks at nothing");
        assert_eq!(lists.take(3, sync(asked[2]).as_bytes(), 4_000).took_ns, Some(3_000));
        let (_, count) = lists.ask(3, &scroll(1, 10_000, u32::MAX), 5_000);
        assert_eq!(count, 2, "the top is here already");
    }
}
