//! What a door asks an owner to do, and the answers.
//!
//! Lives on: every core.
//! An [`Ask`] goes to the core that owns its target; exactly one [`Answer`] with the same ticket comes back, after what was
//! written is committed. A door that gave up waiting ignores the answer.

use bytes::Bytes;

use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::mail::placement::VirtualShard;
use crate::mail::site::Site;
use crate::wire::model::account::Account;
use crate::wire::model::channel::{Overwrite, OverwriteKind};
use crate::wire::refusal::Refusal;
use crate::wire::request::channel::{ChannelDraft, ChannelMove, ChannelPatch};
use crate::wire::request::guild::{GuildDraft, GuildPatch};
use crate::wire::request::invite::InviteDraft;
use crate::wire::request::member::MemberPatch;
use crate::wire::request::message::{MessageDraft, MessagePatch};
use crate::wire::request::role::{RoleMove, RolePatch};

/// Names a waiting caller at one core's door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in user; permissions apply.
    User(UserId),
    /// The operator; everything is permitted.
    Operator,
}

/// A request on its way to the owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The core whose door waits.
    pub from: Site,
    /// What the answer will carry.
    pub ticket: Ticket,
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub request: Request,
}

/// What is asked, by owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Something about one guild. → as [`GuildRequest`] says
    Guild(GuildId, GuildRequest),
    /// Something about the guild that this channel is in: the channel's id says who owns it. → as [`GuildRequest`] says
    Channel(ChannelId, GuildRequest),
    /// A new guild, at a virtual shard chosen by hash, owned by the actor (or `owner` when the operator asks).
    /// → [`Reply::Json`] 201 with the guild
    FoundGuild {
        /// Where it will live.
        shard: VirtualShard,
        /// Its owner.
        owner: UserId,
        /// Its settings.
        draft: GuildDraft,
    },
    /// A new account, at a virtual shard chosen by hash. → [`Reply::Account`]
    CreateAccount {
        /// Where its sessions will be known.
        shard: VirtualShard,
        /// Username, checked for form.
        username: String,
        /// Display name.
        global_name: Option<String>,
        /// Argon2 hash; none for bots.
        password: Option<String>,
        /// For bots: privileged intents enabled.
        bot: Option<u32>,
        /// For bots: whose.
        owner: Option<UserId>,
    },
    /// Void all tokens of the user issued until now. → [`Reply::Done`]
    RevokeTokens(UserId),
}

/// What is asked of a guild. `None` as a user where the actor is meant is never used: `@me` is resolved at the door.
#[derive(Debug, Clone, PartialEq)]
pub enum GuildRequest {
    /// → `Json` 200, the REST guild.
    Get {
        /// Add the counts.
        with_counts: bool,
    },
    /// MANAGE_GUILD. → `Json` 200, the REST guild.
    Modify(GuildPatch),
    /// The owner. → `Done`.
    Delete,
    /// → `Json` 200, array.
    ListChannels,
    /// MANAGE_CHANNELS. → `Json` 201.
    CreateChannel(ChannelDraft),
    /// MANAGE_CHANNELS. → `Done`.
    MoveChannels(Vec<ChannelMove>),
    /// VIEW_CHANNEL. → `Json` 200.
    GetChannel(ChannelId),
    /// MANAGE_CHANNELS in the channel. → `Json` 200.
    ModifyChannel(ChannelId, ChannelPatch),
    /// MANAGE_CHANNELS in the channel. → `Json` 200, the channel as it was.
    DeleteChannel(ChannelId),
    /// MANAGE_ROLES in the channel. → `Done`.
    PutOverwrite(ChannelId, Overwrite),
    /// MANAGE_ROLES in the channel. → `Done`.
    DeleteOverwrite(ChannelId, u64),
    /// SEND_MESSAGES. → `Json` 200.
    CreateMessage(ChannelId, MessageDraft),
    /// The author (others: flags only, with MANAGE_MESSAGES). → `Json` 200.
    EditMessage(ChannelId, MessageId, MessagePatch),
    /// The author, or MANAGE_MESSAGES. → `Done`.
    DeleteMessage(ChannelId, MessageId),
    /// MANAGE_MESSAGES; 2 to 100 ids, each not older than two weeks. → `Done`.
    BulkDelete(ChannelId, Vec<MessageId>),
    /// May the actor read this channel's messages? → [`Reply::MayRead`]
    ReadMessages(ChannelId),
    /// SEND_MESSAGES. → `Done`.
    Typing(ChannelId),
    /// → `Json` 200, array.
    ListRoles,
    /// → `Json` 200.
    GetRole(RoleId),
    /// MANAGE_ROLES. → `Json` 200.
    CreateRole(RolePatch),
    /// MANAGE_ROLES. → `Json` 200.
    ModifyRole(RoleId, RolePatch),
    /// MANAGE_ROLES. → `Json` 200, all roles.
    MoveRoles(Vec<RoleMove>),
    /// MANAGE_ROLES. → `Done`.
    DeleteRole(RoleId),
    /// MANAGE_ROLES and hierarchy. → `Done`.
    GiveRole(UserId, RoleId),
    /// MANAGE_ROLES and hierarchy. → `Done`.
    TakeRole(UserId, RoleId),
    /// → `Json` 200.
    GetMember(UserId),
    /// May the actor list the members? → [`Reply::MayList`]
    ListMembers,
    /// By field: MANAGE_NICKNAMES / CHANGE_NICKNAME, MANAGE_ROLES, MUTE_MEMBERS, DEAFEN_MEMBERS, MODERATE_MEMBERS. → `Json` 200.
    ModifyMember(UserId, MemberPatch),
    /// KICK_MEMBERS and hierarchy. → `Done`.
    Kick(UserId),
    /// The operator adds a user, or a bot is added. → `Json` 201, or `Done` if already a member.
    AddMember(UserId),
    /// The actor leaves; an owner cannot. → `Done`.
    Leave,
    /// CREATE_INSTANT_INVITE in the channel. → `Json` 200.
    CreateInvite(ChannelId, InviteDraft),
    /// Public. `code` was found in the store and belongs to this guild. → `Json` 200.
    GetInvite {
        /// Which.
        code: String,
        /// Add the counts.
        with_counts: bool,
    },
    /// A user who is not banned joins. → `Json` 200, the invite.
    AcceptInvite {
        /// Which.
        code: String,
    },
    /// MANAGE_CHANNELS in the channel, or MANAGE_GUILD. → `Json` 200, the invite as it was.
    DeleteInvite {
        /// Which.
        code: String,
    },
    /// MANAGE_GUILD; with a channel MANAGE_CHANNELS in it. → `Json` 200, array.
    ListInvites(Option<ChannelId>),
    /// The operator changed members in the store beside the server: load what is not in use anew. → `Done`.
    Refresh,
}

impl GuildRequest {
    /// Whether the operator's or the actor's request may still run when the actor is not a member.
    pub fn is_open_to_strangers(&self) -> bool {
        matches!(self, GuildRequest::GetInvite { .. } | GuildRequest::AcceptInvite { .. })
    }
}

/// Names the kind of a principal in an overwrite request path; re-exported for doors that build [`Overwrite`]s.
pub type PrincipalKind = OverwriteKind;

/// What comes back when it went well.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A status and a JSON body.
    Json(u16, Bytes),
    /// 204.
    Done,
    /// The actor sees the channel; without `history` it sees an empty list.
    MayRead {
        /// READ_MESSAGE_HISTORY.
        history: bool,
    },
    /// The actor may list members.
    MayList,
    /// A new account.
    Account(Box<Account>),
}

/// The answer to an [`Ask`].
pub type Answer = Result<Reply, Refusal>;
