//! Letters to the owner of a guild.
//!
//! Lives on: the guild's core reads them; homes and doors write them.
//! Each variant says its sender, its answer, and what its loss would mean. Lanes never lose a letter: a loss is a bug.

use crate::base::id::{GuildId, UserId};
use crate::mail::ask::Ask;
use crate::mail::listing::ListSubscription;
use crate::mail::presence::JoinRequest;
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::wire::model::presence::Showing;

/// Letters to the owner of a guild.
#[derive(Debug)]
pub enum ToGuild {
    /// Door → guild: a request. Answered by `Letter::Answer`. Lost: a REST call hangs until its door gives up.
    Ask(Box<Ask>),
    /// Home → guild: a session of a member wants to see the guild. Answered by `Snapshot` or `JoinRefused`.
    /// Lost: the session never sees this guild.
    Join {
        /// Which guild.
        guild: GuildId,
        /// Which session, and how it shows itself.
        coming: JoinRequest,
    },
    /// Home → guild: a session of a member is over or has left the guild. Lost: the member would stay online.
    Leave {
        /// Which guild.
        guild: GuildId,
        /// Whose.
        user: UserId,
        /// The session.
        session: SessionId,
        /// When the member had joined, if a snapshot was of no use. A member that has joined anew since is not meant.
        joined_ms: Option<u64>,
    },
    /// Home → guild: a session that sees it shows itself in another way. Lost: others go on seeing what it was like.
    Show {
        /// Which guild.
        guild: GuildId,
        /// Whose.
        user: UserId,
        /// The session.
        session: SessionId,
        /// What it is like.
        showing: Showing,
    },
    /// Relay → guild: the first session here follows a user, which `Presences` answers, or the last one does no more.
    /// Lost: followers get nothing, or letters come for no session.
    Follow {
        /// Which guild.
        guild: GuildId,
        /// The relay's core.
        core: Site,
        /// Who is followed.
        user: UserId,
        /// Or no more.
        follows: bool,
    },
    /// Home → guild: members were found for a session that may know their presences. Answered by `PresencesFound`.
    /// Lost: the session's requests for members hang.
    FindPresences {
        /// Which guild.
        guild: GuildId,
        /// The session's home.
        core: Site,
        /// The home's job, which the answer names.
        job: u64,
        /// The members.
        users: Vec<UserId>,
    },
    /// Relay → guild: a session subscribes to windows of a member list, or unsubscribes. Answered by `Windows`. Lost: a
    /// client waits for its list without end, or windows are sent that no session has.
    ListSubscription(Box<ListSubscription>),
    /// Relay → guild: no session is left here. `seen` counts the snapshots that came, so that one on its way is
    /// noticed. Answered by `Unwatched` unless one is. Lost: events go on coming for no session.
    Unwatch {
        /// Which guild.
        guild: GuildId,
        /// The relay's core.
        core: Site,
        /// Snapshots that this relay has ever seen.
        seen: u64,
    },
}
