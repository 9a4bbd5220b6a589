//! An event of a guild on its way to the relays: rendered once, with what a relay needs to choose the audience.
//!
//! Lives on: made on the guild's core, read on every core that watches the guild.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::wire::event::EventName;
use crate::wire::model::channel::Channel;
use crate::wire::model::guild::Guild;
use crate::wire::model::member::Member;
use crate::wire::model::role::Role;

/// Something that happened in a guild.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where.
    pub guild: GuildId,
    /// `t`, which also names the intents that ask for it.
    pub name: EventName,
    /// `d`, as JSON.
    pub body: Bytes,
    /// `d` without text, for those who may not read it; `None` when there is nothing to hide.
    pub blank: Option<Bytes>,
    /// Users who get the full body all the same.
    pub open_to: SmallVec<[UserId; 2]>,
    /// Who may know.
    pub scope: Scope,
    /// A user whose own sessions get it whatever their intents.
    pub always_to: Option<UserId>,
    /// What it is to those who get no messages, if it is a new message.
    pub mark: Option<Box<Mark>>,
    /// What it changes in the relays' facts.
    pub change: Option<Change>,
    /// When it was published: after the commit, before the lanes.
    pub published: Time,
}

/// A new message, as those need it who get no messages: an unread mark, and whom it mentions besides single users, who are
/// in [`Event::open_to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The message, which is then its channel's newest.
    pub message: MessageId,
    /// It mentions everybody.
    pub everyone: bool,
    /// The roles that it mentions.
    pub roles: SmallVec<[RoleId; 2]>,
}

impl Mark {
    /// Whether it mentions everybody who has these roles.
    pub fn mentions(&self, roles: &[RoleId]) -> bool {
        self.everyone || self.roles.iter().any(|role| roles.contains(role))
    }
}

/// Who may know of an event, besides intents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every member.
    Guild,
    /// Those who may view the channel, before or after the event's change.
    Channel(ChannelId),
    /// Those who may manage the channel.
    ChannelManagers(ChannelId),
}

/// What an event changes in a guild. The guild and its relays apply the same one.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// New settings.
    Guild(Arc<Guild>),
    /// A new or changed channel.
    Channel(Arc<Channel>),
    /// A channel is gone.
    ChannelGone(ChannelId),
    /// A new or changed role.
    Role(Arc<Role>),
    /// A role is gone.
    RoleGone(RoleId),
    /// A new or changed member.
    Member(Arc<Member>),
    /// A member is gone.
    MemberLeft(UserId),
    /// The guild is gone.
    Deleted,
}
