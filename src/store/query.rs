//! Queries: every question to what is kept, with its answer.
//!
//! Lives on: guilds, users and doors ask; the store's readers answer. Read next: `backend`.

use crate::base::id::{ChannelId, GuildId, MessageId, UserId};
use crate::model::account::Account;
use crate::model::channel::Channel;
use crate::model::guild::GuildSettings;
use crate::model::invite::Invite;
use crate::model::member::Member;
use crate::model::message::Message;
use crate::model::pin::Pin;
use crate::model::role::Role;
use crate::model::user::User;
use crate::model::user_note::UserNote;

/// Which messages of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The newest.
    Newest,
    /// Older than this id.
    Before(MessageId),
    /// Newer than this id; the ones nearest to it.
    After(MessageId),
    /// About half of them on each side, the message itself included.
    Around(MessageId),
}

/// One question to what is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// A guild with channels (each with `last_message_id`), roles and the count of members. → [`Found::Guild`]
    Guild(GuildId),
    /// One member with its user; roles that are gone left out. → [`Found::Member`]
    Member(GuildId, UserId),
    /// Members by ascending user id, after one. → [`Found::Members`]
    Members {
        /// Of which guild.
        guild: GuildId,
        /// After which user.
        after: UserId,
        /// 1 to 1,000.
        limit: u32,
    },
    /// Members whose username or nickname starts with the text, without regard to case: up to so
    /// many of them, by user id. → [`Found::Members`]
    MembersByPrefix {
        /// Of which guild.
        guild: GuildId,
        /// The start of a name.
        prefix: String,
        /// 1 to 1,000.
        limit: u32,
    },
    /// The next [`crate::limits::MEMBERS_CHUNK`] members by ascending user id, after one, for a reader of the whole
    /// guild.
    /// → [`Found::Listed`]
    MembersListed {
        /// Of which guild.
        guild: GuildId,
        /// After which user.
        after: UserId,
    },
    /// Members among these users. → [`Found::Members`]
    MembersAmong(GuildId, Vec<UserId>),
    /// An account. → [`Found::Account`]
    Account(UserId),
    /// An account and the guilds it is a member of, ascending. → [`Found::AccountWithGuilds`]
    AccountWithGuilds(UserId),
    /// The guilds a user is a member of, by ascending id, after one. → [`Found::Guilds`]
    GuildsOf {
        /// Whose.
        user: UserId,
        /// After which guild.
        after: GuildId,
        /// 1 to 200.
        limit: u32,
    },
    /// The guild that a channel is in. → [`Found::GuildOf`]
    GuildOfChannel(ChannelId),
    /// One message. → [`Found::Message`]
    Message(ChannelId, MessageId),
    /// Messages, newest first. → [`Found::Messages`]
    Messages {
        /// Of which channel.
        channel: ChannelId,
        /// From where.
        anchor: Anchor,
        /// 1 to 100.
        limit: u32,
    },
    /// Pinned messages, the newest pin first. → [`Found::Pins`]
    Pins {
        /// Of which channel.
        channel: ChannelId,
        /// Pinned before this Unix millisecond.
        before_ms: Option<u64>,
        /// 1 to 50.
        limit: u32,
    },
    /// Notes of a user, by whom they are about. → [`Found::Notes`]
    Notes {
        /// Whose.
        author: UserId,
        /// Only the one about this user.
        about: Option<UserId>,
    },
    /// One invite, spent or not. → [`Found::Invite`]
    Invite(String),
    /// Invites of a guild. → [`Found::Invites`]
    Invites(GuildId),
    /// A person by username, for signing in. → [`Found::Login`]
    Login(String),
    /// All users whose tokens were ever revoked. → [`Found::Revocations`]
    Revocations,
    /// Users by id. → [`Found::Users`]
    Users(Vec<UserId>),
}

impl Query {
    /// Whether the query may read a guild of any size: pages of it, made into JSON, or a search through all names.
    /// Other queries read at most a thousand rows and do not wait behind these.
    pub fn is_long(&self) -> bool {
        match self {
            Query::MembersListed { .. } | Query::MembersByPrefix { .. } => true,
            Query::Guild(_)
            | Query::Members { .. }
            | Query::Member(..)
            | Query::MembersAmong(..)
            | Query::Account(_)
            | Query::AccountWithGuilds(_)
            | Query::GuildsOf { .. }
            | Query::GuildOfChannel(_)
            | Query::Message(..)
            | Query::Messages { .. }
            | Query::Pins { .. }
            | Query::Notes { .. }
            | Query::Invite(_)
            | Query::Invites(_)
            | Query::Login(_)
            | Query::Revocations
            | Query::Users(_) => false,
        }
    }

    /// Whether it is answered by a row or two, found by key.
    pub fn is_quick(&self) -> bool {
        match self {
            Query::Member(..)
            | Query::Account(_)
            | Query::AccountWithGuilds(_)
            | Query::GuildOfChannel(_)
            | Query::Message(..)
            | Query::Invite(_) => true,
            Query::Guild(_)
            | Query::Members { .. }
            | Query::MembersListed { .. }
            | Query::MembersByPrefix { .. }
            | Query::MembersAmong(..)
            | Query::GuildsOf { .. }
            | Query::Messages { .. }
            | Query::Pins { .. }
            | Query::Notes { .. }
            | Query::Invites(_)
            | Query::Login(_)
            | Query::Revocations
            | Query::Users(_) => false,
        }
    }
}

/// A guild as it is loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct GuildRecord {
    /// Settings.
    pub guild: GuildSettings,
    /// Channels, each with its newest message.
    pub channels: Vec<Channel>,
    /// Roles, `@everyone` among them.
    pub roles: Vec<Role>,
    /// Pins, by channel, oldest first.
    pub pins: Vec<Pin>,
    /// How many members.
    pub member_count: u64,
}

/// A page of a guild's members, as JSON: made where it is read, since a thousand of them take a core's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersPage {
    /// A list of members.
    pub json: Vec<u8>,
    /// Who they are, ascending.
    pub users: Vec<UserId>,
    /// There are others behind it.
    pub more: bool,
    /// Members of the guild.
    pub member_count: u64,
}

/// A page of pinned messages.
#[derive(Debug, Clone, PartialEq)]
pub struct PinsPage {
    /// With the Unix millisecond of the pin; newest pin first.
    pub items: Vec<(u64, Message)>,
    /// There are older ones.
    pub has_more: bool,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    #[allow(missing_docs)]
    Guild(Option<Box<GuildRecord>>),
    #[allow(missing_docs)]
    Member(Option<Box<Member>>),
    #[allow(missing_docs)]
    Members(Vec<Member>),
    /// None if there is no such guild.
    Listed(Option<Box<MembersPage>>),
    #[allow(missing_docs)]
    Account(Option<Box<Account>>),
    #[allow(missing_docs)]
    AccountWithGuilds(Option<Box<(Account, Vec<GuildId>)>>),
    #[allow(missing_docs)]
    Guilds(Vec<GuildSettings>),
    #[allow(missing_docs)]
    GuildOf(Option<GuildId>),
    #[allow(missing_docs)]
    Message(Option<Box<Message>>),
    #[allow(missing_docs)]
    Messages(Vec<Message>),
    #[allow(missing_docs)]
    Pins(PinsPage),
    #[allow(missing_docs)]
    Notes(Vec<UserNote>),
    #[allow(missing_docs)]
    Invite(Option<Box<Invite>>),
    #[allow(missing_docs)]
    Invites(Vec<Invite>),
    /// The account and its argon2 hash.
    Login(Option<Box<(Account, String)>>),
    /// User and the Unix millisecond from which tokens are good.
    Revocations(Vec<(UserId, u64)>),
    #[allow(missing_docs)]
    Users(Vec<User>),
}
