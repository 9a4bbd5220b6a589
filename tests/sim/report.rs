//! What happened in a run: a simulator that checks nothing passes too, so the tests ask for these numbers.

use std::fmt;
use std::ops::AddAssign;

macro_rules! report {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of what happened.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Report {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl AddAssign for Report {
            fn add_assign(&mut self, other: Report) {
                $(self.$name += other.$name;)*
            }
        }

        impl Report {
            /// All counts with their names.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

report! {
    /// Events of guilds that were compared with what the oracle expects.
    events_checked,
    /// Sessions compared.
    sessions_checked,
    /// Sessions alive at rest, of which not one event may be missing.
    sessions_complete,
    /// Snapshots taken by sessions.
    snapshots,
    /// Events that a seated session was not to see.
    events_hidden,
    /// Messages whose text was taken away.
    texts_blanked,
    /// Channels that came into sight because of roles, owners or overwrites.
    channels_revealed,
    /// Resumes that went well.
    resumes,
    /// Resumes that replayed something.
    resumes_with_replay,
    /// Events that came a second time by a resume, and were the same.
    replayed_again,
    /// Identifies and resumes that waited in line.
    admissions_delayed,
    /// Identifies and resumes that were told to come back.
    admissions_refused,
    /// Resumes that were told to come back, and tried again.
    resumes_retried,
    /// Resumes refused, as they had to be.
    resumes_refused,
    /// Sockets that went to another core.
    hand_overs,
    /// Connections cut by the network.
    cuts,
    /// Cuts that left a frame unfinished at the client.
    cuts_amid_frames,
    /// Connections closed by clients with 1000.
    farewells,
    /// Clients that stopped reading for a while.
    stalls,
    /// Writes that a socket took only a part of.
    blocked,
    /// Letters that found their lane full.
    lanes_full,
    /// Clients cut off because they did not read.
    backlog_disconnects,
    /// Connections cut off because they sent no heartbeats.
    zombies,
    /// Commits made.
    commits,
    /// Commits that failed.
    commits_failed,
    /// Requests asked.
    asks,
    /// Requests that were answered well.
    asks_granted,
    /// Requests that were refused.
    asks_refused,
    /// Crashes of the whole process.
    crashes,
    /// Acknowledged messages found in the store.
    messages_found,
    /// Pins made.
    pins,
    /// Pins taken away.
    unpins,
    /// Pins that went with their messages.
    pins_deleted,
    /// Pins at rest, found with the flag of their message.
    pins_found,
    /// Notes about users, written, changed or deleted.
    notes,
    /// Updates of notes that sessions got.
    note_updates,
    /// Of these, such as were committed before the session was attached, and came behind READY.
    note_updates_early,
    /// Notes at rest.
    notes_found,
    /// Guilds compared with the store.
    guilds_compared,
    /// Tokens revoked.
    revocations,
    /// All clients cut at once.
    storms,
    /// Rounds.
    rounds,
    /// Joins refused by a guild.
    joins_refused,
    /// Messages that passive sessions were not sent.
    messages_skipped,
    /// Marks that told passive sessions of what is unread.
    unread_marks,
    /// Passive sessions that became active.
    activations,
    /// Requests for members that were answered to the end.
    members_answers,
    /// Such answers of more than one chunk.
    members_in_chunks,
    /// Members in all of them.
    members_listed,
    /// Requests for members that came too soon after another.
    members_limited,
    /// Presence updates that came.
    presences_told,
    /// Presences of somebody who is there, believed as they are.
    presences_right,
    /// Of these, of members who are followed in a guild that is not small.
    presences_followed,
    /// Presences that came with members who were asked for.
    presences_asked,
    /// Users who always hide.
    hidden,
    /// Changes of members told to who follows them.
    changes_followed,
    /// Rows of member lists that were as they should be.
    rows_checked,
    /// Of these, of windows behind the first.
    rows_far,
    /// Rows that were inserted into such windows.
    rows_shifted_far,
    /// Events of member lists that were in sight where they came.
    lists_in_sight,
    /// Windows of member lists that were sent as a whole.
    windows_synced,
    /// Windows that were left.
    windows_left,
    /// Rows that came, went or changed.
    rows_moved,
    /// Connections with `zlib-stream` that ended.
    zlib_streams,
    /// Connections with `zstd-stream` that ended.
    zstd_streams,
    /// Texts compressed by themselves.
    texts_alone,
    /// Texts compressed behind the event before them.
    texts_behind,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.all().into_iter().enumerate() {
            let end = if index % 4 == 3 { "\n" } else { "  " };
            write!(f, "{count:>9} {name:<20}{end}")?;
        }
        Ok(())
    }
}
