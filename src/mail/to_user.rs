//! Letters to the owner of a user.
//!
//! Lives on: the user's core reads them; homes, guilds and doors write them.
//! Each variant says its sender, its answer, and what its loss would mean. Lanes never lose a letter: a loss is a bug.

use crate::base::id::{GuildId, UserId};
use crate::mail::ask::Ask;
use crate::mail::session_id::SessionId;

/// Letters to the owner of a user.
#[derive(Debug)]
pub enum ToUser {
    /// Door → owner of the user: a request. Answered by `Letter::Answer`. Lost: a REST call hangs until its door gives
    /// up.
    Ask(Box<Ask>),
    /// Home → owner of the user: a session wants to start. Answered by `Attached` or `AttachRefused`.
    /// Lost: identify hangs; the client gives up and tries again.
    Attach {
        /// The session.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// When its token was issued, in Unix milliseconds.
        issued_ms: u64,
    },
    /// Home → owner of the user: a session is over. Lost: the owner would announce new guilds to an ended session; a
    /// leak.
    Detach {
        /// The session.
        session: SessionId,
        /// Whose.
        user: UserId,
    },
    /// Guild → owner of the user: the user has become a member. Lost: running sessions do not see the guild.
    Gained {
        /// Whose.
        user: UserId,
        /// Which guild.
        guild: GuildId,
    },
    /// Guild → owner of the user: the user is no member any more. Lost: a later READY lists the guild, which refuses.
    Parted {
        /// Whose.
        user: UserId,
        /// Which guild.
        guild: GuildId,
    },
}
