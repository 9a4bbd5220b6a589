//! Member lists between cores: which list a channel has, which windows of it are looked at, and what is in them.
//!
//! Lives on: every core.
//! A window is a block of [`limits::LIST_BLOCK`] rows: no two of a session overlap, and sessions that show the same
//! rows have the same window.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId};
use crate::base::murmur::murmur3_32;
use crate::mail::facts::Facts;
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::model::channel::{Channel, OverwriteKind};
use crate::model::permissions::Permissions;

/// Who may view a channel, so far as the channel decides it. Channels with equal ones have one member list.
///
/// Not the list's id on the wire, which is a hash with twins: a list must not be had through another channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Viewers {
    /// Everybody.
    Everyone,
    /// Whom roles let view channels, but for these exceptions, ascending.
    But(Arc<[Exception]>),
}

/// An overwrite, so far as it is about viewing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exception {
    /// A role's or a user's id.
    pub id: u64,
    /// It is a user's.
    pub of_member: bool,
    /// It lets view; else it forbids.
    pub allow: bool,
}

impl Viewers {
    /// Of a channel.
    pub fn of(facts: &Facts, channel: &Channel) -> Viewers {
        let view = Permissions::VIEW_CHANNEL;
        let touching = channel.overwrites.iter().filter(|entry| (entry.allow | entry.deny).contains(view));
        let mut exceptions: Vec<Exception> = touching
            .map(|entry| Exception {
                id: entry.id,
                of_member: entry.kind == OverwriteKind::Member,
                // What is both allowed and denied is allowed.
                allow: entry.allow.contains(view),
            })
            .collect();
        let everyone = facts.roles.get(&facts.id().cast()).is_some_and(|role| role.permissions.contains(view));
        if everyone && exceptions.iter().all(|exception| exception.allow) {
            return Viewers::Everyone;
        }
        exceptions.sort_unstable();
        Viewers::But(exceptions.into())
    }

    /// The list's id as clients know it. Source: what people's clients work out.
    pub fn list_id(&self) -> String {
        let Viewers::But(exceptions) = self else { return "everyone".to_owned() };
        let mut tokens: Vec<String> = exceptions
            .iter()
            .map(|Exception { id, allow, .. }| format!("{}:{id}", if *allow { "allow" } else { "deny" }))
            .collect();
        tokens.sort_unstable();
        murmur3_32(tokens.join(",").as_bytes(), 0).to_string()
    }
}

/// What a session, and its core, look at from now on in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSubscription {
    /// Of which guild.
    pub guild: GuildId,
    /// Which list.
    pub viewers: Viewers,
    /// The session; its home is the core.
    pub session: SessionId,
    /// Comes back with what the session gets by this.
    pub number: u32,
    /// The channel by which the session knows the list. Comes back with the answer to an unsubscription.
    pub through: ChannelId,
    /// New windows, whose rows it gets, each with the number of this core's sessions that have it now.
    pub opened: SmallVec<[(u32, u32); 4]>,
    /// Windows that it had, to be confirmed as closed.
    pub closed: SmallVec<[u32; 4]>,
    /// Windows that no session on this core has any more.
    pub unseen: SmallVec<[u32; 4]>,
}

/// What has become of windows.
#[derive(Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of which guild.
    pub guild: GuildId,
    /// Of which list.
    pub viewers: Viewers,
    /// For whom.
    pub to: Addressee,
    /// `d` of GUILD_MEMBER_LIST_UPDATE.
    pub body: Bytes,
    /// When it was rendered.
    pub published: Time,
}

/// Who gets what has become of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressee {
    /// All sessions that look at this window and have its rows.
    Block(u32),
    /// One session, which begins to look at this window by its look of this number.
    Opener(SessionId, u32, u32),
    /// One session that has closed a list known through this channel. It holds the list's numbers and no rows, so only
    /// a session that still views the channel gets it.
    Closer(SessionId, ChannelId),
}

impl ListSubscription {
    /// The session's home.
    pub fn core(&self) -> Site {
        self.session.home
    }
}
