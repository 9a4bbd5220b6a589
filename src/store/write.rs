//! Writes: every change to what is kept, and commits of them.
//!
//! Lives on: guilds and users decide them, the store's writer carries them out.
//! Invariant: the writes of a [`Commit`] happen together or not at all. Read next: `backend`.

use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::base::virtual_shard::VirtualShard;
use crate::model::account::Account;
use crate::model::channel::Channel;
use crate::model::guild::GuildSettings;
use crate::model::invite::Invite;
use crate::model::member::Member;
use crate::model::message::Message;
use crate::model::pin::Pin;
use crate::model::role::Role;
use crate::model::user_note::UserNote;

/// One change to what is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A new account. Refused with [`Conflict::NameTaken`](crate::store::Conflict::NameTaken) when the username is in
    /// use.
    CreateAccount {
        /// The account.
        account: Box<Account>,
        /// Argon2 hash as a PHC string, for people.
        password: Option<String>,
    },
    /// Voids all tokens of a user issued before the Unix millisecond.
    RevokeTokens {
        /// Whose.
        user: UserId,
        /// Tokens issued at or after this moment stay good.
        valid_from_ms: u64,
    },
    /// A new or changed guild.
    PutGuild(Box<GuildSettings>),
    /// A guild and everything in it: no query finds any of it after the commit. Its rows are swept later.
    DeleteGuild(GuildId),
    /// A new or changed channel.
    PutChannel(Box<Channel>),
    /// A channel with its messages and invites, as [`Write::DeleteGuild`].
    DeleteChannel(GuildId, ChannelId),
    /// A new or changed role.
    PutRole(GuildId, Box<Role>),
    /// A role. Members keep the id in their rows; reading leaves it out.
    DeleteRole(GuildId, RoleId),
    /// A new or changed member. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone) without the user or the
    /// guild.
    PutMember(GuildId, Box<Member>),
    /// A member leaves.
    RemoveMember(GuildId, UserId),
    /// A new message.
    CreateMessage(Box<Message>),
    /// A changed message. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone) when it is not there any more.
    EditMessage(Box<Message>),
    /// A deleted message, and its pin. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone) when it is not
    /// there any more.
    DeleteMessage(ChannelId, MessageId),
    /// A message is pinned; its flag goes with an [`Write::EditMessage`]. Refused with
    /// [`Conflict::Gone`](crate::store::Conflict::Gone) without the channel.
    Pin(Pin),
    /// A message is not pinned any more. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone) if it was not.
    Unpin(ChannelId, MessageId),
    /// A new or changed note; an empty one is deleted. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone)
    /// without the user whom it is about, with [`Conflict::Full`](crate::store::Conflict::Full) if it is one too many.
    SetNote(UserNote),
    /// A new invite.
    PutInvite(Box<Invite>),
    /// One more use. Refused with [`Conflict::Gone`](crate::store::Conflict::Gone) when the invite is gone, has ended
    /// by `unix_ms`, or is used up.
    UseInvite {
        /// Which.
        code: String,
        /// Now.
        unix_ms: u64,
    },
    /// A withdrawn invite.
    DeleteInvite(String),
}

impl Write {
    /// Whether it can leave rows behind that [`Backend::sweep`](crate::store::backend::Backend::sweep) deletes later.
    pub fn leaves_rows(&self) -> bool {
        matches!(self, Write::DeleteGuild(_) | Write::DeleteChannel(..))
    }
}

/// How often a virtual shard has changed hands. One host never hands one over, so it commits with [`Epoch::FIRST`]; a
/// backend that several hosts write to refuses commits of an epoch that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The only one while there is one host.
    pub const FIRST: Epoch = Epoch(0);
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The virtual shard that decided them: a guild's or a user's.
    pub owner: VirtualShard,
    /// The owner's epoch when it decided. No backend compares it yet.
    pub epoch: Epoch,
    /// The changes, in order.
    pub writes: Vec<Write>,
}

impl Commit {
    /// A commit of the only host.
    pub fn of(owner: VirtualShard, writes: Vec<Write>) -> Commit {
        Commit { owner, epoch: Epoch::FIRST, writes }
    }
}
