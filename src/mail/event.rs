//! An event on its way to sessions: rendered once, with what is needed to choose the audience.
//!
//! Lives on: made on the owner's core (for guilds: the guild's), read on every core with sessions that may get it.
//! Events are built with [`Event::new`] and the methods that follow it; the owner's core adds the time of publishing.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::model::channel::Channel;
use crate::model::guild::GuildSettings;
use crate::model::member::Member;
use crate::model::permissions::Permissions;
use crate::model::role::Role;
use crate::wire::event::EventName;
use crate::wire::intents::Intents;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where.
    pub origin: Origin,
    /// `t`, which with the origin names the intents that ask for it.
    pub name: EventName,
    /// `d`, as JSON.
    pub body: Bytes,
    /// Who may know.
    pub scope: Scope,
    /// What else is to be known of an event with message text.
    pub text: Option<Box<Text>>,
    /// A user whose own sessions get it whatever their intents.
    pub always_to: Option<UserId>,
    /// What it changes in the relays' facts.
    pub change: Option<Change>,
    published: Time,
}

impl Event {
    /// An event that changes nothing and has no text.
    pub fn new(origin: Origin, name: EventName, scope: Scope, body: Bytes) -> Event {
        assert!(origin.intents(name).is_some(), "{} does not come from {origin:?}", name.as_str());
        Event { origin, name, body, scope, text: None, always_to: None, change: None, published: Time::default() }
    }

    /// An event of a user's own, for all its sessions.
    pub fn own(user: UserId, name: EventName, body: Bytes) -> Event {
        Event::new(Origin::User(user), name, Scope::Members([user].into()), body)
    }

    /// Adds the message text's part.
    pub fn with_text(self, text: Text) -> Event {
        Event { text: Some(Box::new(text)), ..self }
    }

    /// Has the user's own sessions get it whatever their intents.
    pub fn always_to(self, user: UserId) -> Event {
        Event { always_to: Some(user), ..self }
    }

    /// Says what it changes.
    pub fn changing(self, change: Change) -> Event {
        Event { change: Some(change), ..self }
    }

    /// The event as it is published: after the commit, before the lanes.
    pub fn published_at(self, now: Time) -> Event {
        Event { published: now, ..self }
    }

    /// When it was published.
    pub fn published(&self) -> Time {
        self.published
    }

    /// The guild whose event it is.
    pub fn guild(&self) -> Option<GuildId> {
        match self.origin {
            Origin::Guild(guild) => Some(guild),
            Origin::Private(_) | Origin::User(_) => None,
        }
    }

    /// The unread mark, if it is a new message.
    pub fn mark(&self) -> Option<&Mark> {
        self.text.as_ref()?.mark.as_ref()
    }

    /// Users who get the full body where others get less.
    pub fn open_to(&self) -> &[UserId] {
        self.text.as_ref().map_or(&[], |text| &text.open_to)
    }
}

/// Where an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// In a guild.
    Guild(GuildId),
    /// In a private channel.
    Private(ChannelId),
    /// To a user, or to one session of it.
    User(UserId),
}

impl Origin {
    /// A session gets such an event from here if it asked for any of these intents; empty: without asking. `None`:
    /// there is no such event here.
    pub fn intents(self, name: EventName) -> Option<Intents> {
        match self {
            Origin::Guild(_) => name.guild_intents(),
            Origin::Private(_) => name.private_intents(),
            Origin::User(_) => name.own_intents(),
        }
    }
}

/// What is to be known of an event with message text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// `d` without text, for those who may not read it.
    pub blank: Bytes,
    /// Users who get the full body all the same, ascending: the author, and who is mentioned by name.
    pub open_to: SmallVec<[UserId; 2]>,
    /// What it is to those who get no messages, if it is a new message.
    pub mark: Option<Mark>,
}

/// A new message for sessions that get no messages: an unread mark, and the mentions besides single users, who are in
/// [`Text::open_to`].
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every member.
    Guild,
    /// Members who may view the channel, before or after the event's change.
    Channel(ChannelId),
    /// Members with a permission, before or after the event's change.
    Permitted {
        /// In this channel; `None`: in the guild as a whole.
        channel: Option<ChannelId>,
        /// What they need.
        permission: Permissions,
    },
    /// These users alone. There are no unread marks for such an event.
    Members(Arc<[UserId]>),
    /// No session: the event only changes facts.
    None,
}

/// What an event changes in a guild. The guild and its relays apply the same one.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// New settings.
    Guild(Arc<GuildSettings>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_intents_for_each_origin_it_can_have() {
        let guild = Origin::Guild(GuildId::new(1));
        let private = Origin::Private(ChannelId::new(2));
        let user = Origin::User(UserId::new(3));
        for name in EventName::ALL.iter().copied() {
            let text = name.as_str();
            let origins = [guild, private, user].map(|origin| origin.intents(name));
            assert!(origins.iter().any(Option::is_some), "{text} comes from somewhere");
            let guilds_own =
                ["GUILD_", "INVITE_", "PASSIVE_", "CHANNEL_UNREAD"].iter().any(|start| text.starts_with(start));
            assert!(!guilds_own || private.intents(name).is_none(), "{text} is no private channel's");
            if let Some(asked) = private.intents(name) {
                let direct =
                    Intents::DIRECT_MESSAGES | Intents::DIRECT_MESSAGE_REACTIONS | Intents::DIRECT_MESSAGE_TYPING;
                assert!(
                    direct.contains(asked) && !asked.is_empty(),
                    "{text} asks for intents of private channels there"
                );
                let in_guilds = guild.intents(name);
                assert!(in_guilds.is_none_or(|asked| !asked.intersects(direct)), "and for others in guilds");
            }
            assert!(
                user.intents(name).is_none_or(|asked| asked.is_empty()),
                "{text}: a user's own events need no intent"
            );
        }
        assert_eq!(guild.intents(EventName::MessageCreate), Some(Intents::GUILD_MESSAGES));
        assert_eq!(private.intents(EventName::TypingStart), Some(Intents::DIRECT_MESSAGE_TYPING));
    }

    #[test]
    #[should_panic(expected = "READY does not come from")]
    fn an_event_from_where_it_cannot_come_is_a_bug() {
        Event::new(Origin::Guild(GuildId::new(1)), EventName::Ready, Scope::Guild, Bytes::new());
    }
}
