//! The oracle of notes: what a user has written about others, and which of its sessions must hear of it.
//!
//! Notes are committed by the user's owner, each with an event for all running sessions of the user. A session must get
//! each that was committed after the owner had attached it. It may get earlier ones too, from the moment when it asked.

use std::collections::BTreeMap;

use guildhall::base::id::UserId;
use guildhall::model::user_note::UserNote;
use guildhall::store::{Found, Query};

use crate::essence::{self, USER_NOTE_UPDATE};
use crate::oracle::SessionView;
use crate::report::Report;
use crate::store::SimStore;

/// Notes as committed.
#[derive(Debug, Default)]
pub struct UserNotes {
    /// By author: the lines of all updates, in the order of their commits.
    updates: BTreeMap<u64, Vec<String>>,
    /// By author and subject.
    kept: BTreeMap<(u64, u64), String>,
    /// By session: updates of its user that were committed before it was attached.
    attached: BTreeMap<u64, usize>,
}

impl UserNotes {
    /// A note was committed.
    pub fn committed(&mut self, note: &UserNote, report: &mut Report) {
        let (author, about) = (note.author.get(), note.about.get());
        report.notes += 1;
        self.updates.entry(author).or_default().push(essence::user_note(about, &note.text));
        if note.text.is_empty() {
            self.kept.remove(&(author, about));
        } else {
            self.kept.insert((author, about), note.text.clone());
        }
    }

    /// The owner of a user has attached a session.
    pub fn attached(&mut self, secret: u64, user: u64) {
        self.attached.insert(secret, self.updates.get(&user).map_or(0, Vec::len));
    }

    /// Judges which updates a session has got: a stretch of its user's, without a gap, from where
    /// it was attached or before.
    pub fn judge(&self, session: &SessionView<'_>, report: &mut Report) {
        let got = session.received.iter().map(|(_, line)| line);
        let got: Vec<&String> = got.filter(|line| line.starts_with(USER_NOTE_UPDATE)).collect();
        let all = self.updates.get(&session.user).map(Vec::as_slice).unwrap_or_default();
        let Some(must) = self.attached.get(&session.secret).copied() else {
            panic!("judge own events: session {:016x} is there without having been attached", session.secret);
        };
        let fits = |from: usize| {
            let end = from + got.len();
            end <= all.len() && all[from..end].iter().eq(got.iter().copied()) && (!session.complete || end == all.len())
        };
        let Some(from) = (0..=must).rev().find(|from| fits(*from)) else {
            panic!(
                "judge own events: session {:016x} of user {}, complete {}, attached behind {must} notes\n  got {got:#?}\n  of {all:#?}",
                session.secret, session.user, session.complete
            );
        };
        report.note_updates += got.len() as u64;
        report.note_updates_early += (must - from).min(got.len()) as u64;
    }

    /// Judges the store.
    pub fn judge_store(&self, users: impl Iterator<Item = u64>, store: &mut SimStore, report: &mut Report) {
        for user in users {
            let query = Query::Notes { author: UserId::new(user), about: None };
            let Found::Notes(found) = store.look(&query) else { unreachable!("notes were asked for") };
            let found: Vec<(u64, String)> = found.into_iter().map(|note| (note.about.get(), note.text)).collect();
            let kept = self.kept.range((user, 0)..=(user, u64::MAX));
            let kept: Vec<(u64, String)> = kept.map(|((_, about), text)| (*about, text.clone())).collect();
            assert_eq!(found, kept, "judge durability: the notes of user {user}");
            report.notes_found += found.len() as u64;
        }
    }
}
