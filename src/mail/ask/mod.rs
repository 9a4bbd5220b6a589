//! What a door asks an owner to do, and the answers.
//!
//! Lives on: every core.
//! An [`Ask`] goes to the core that owns its target; exactly one [`Answer`] with the same ticket comes back, after the
//! writes are committed. A door that gave up waiting ignores the answer.
//! Requests to a guild are grouped by resource, each with its claims: one file a resource.

pub mod actor;
pub mod channel;
pub mod claim;
pub mod guild;
pub mod invite;
pub mod member;
pub mod message;
pub mod role;

pub use crate::mail::ask::actor::Actor;

use bytes::Bytes;

use crate::base::id::{ChannelId, GuildId, UserId};
use crate::mail::ask::channel::ChannelRequest;
use crate::mail::ask::claim::Claims;
use crate::mail::ask::guild::SettingsRequest;
use crate::mail::ask::invite::InviteRequest;
use crate::mail::ask::member::MemberRequest;
use crate::mail::ask::message::MessageRequest;
use crate::mail::ask::role::RoleRequest;
use crate::mail::placement::VirtualShard;
use crate::mail::site::Site;
use crate::model::account::Account;
use crate::model::user_note::UserNote;
use crate::store::Query;
use crate::wire::refusal::Refusal;
use crate::wire::request::guild::GuildDraft;

/// Names a waiting caller at one core's door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A request on its way to the owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The core whose door waits.
    pub from: Site,
    /// What the answer will carry.
    pub ticket: Ticket,
    /// Who asks.
    pub actor: Actor,
    /// Why, for the audit log, in the caller's words.
    pub reason: Option<Box<str>>,
    /// For what.
    pub request: Request,
}

/// What is asked, by owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Something about one guild. → as [`GuildRequest`] says
    Guild(GuildId, GuildRequest),
    /// Something about this channel's guild; the channel's id says who owns it. → as [`GuildRequest`] says
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
    /// The author's note about a user. → [`Reply::Done`]
    SetNote(UserNote),
}

impl Request {
    /// The virtual shard whose owner decides.
    pub fn shard(&self) -> VirtualShard {
        match self {
            Request::Guild(guild, _) => VirtualShard::of(*guild),
            Request::Channel(channel, _) => VirtualShard::of(*channel),
            Request::FoundGuild { shard, .. } | Request::CreateAccount { shard, .. } => *shard,
            Request::RevokeTokens(user) => VirtualShard::of(*user),
            Request::SetNote(note) => VirtualShard::of(note.author),
        }
    }
}

macro_rules! by_resource {
    ($($(#[doc = $doc:literal])* $variant:ident($request:ty),)*) => {
        /// What is asked of a guild, by resource.
        #[derive(Debug, Clone, PartialEq)]
        pub enum GuildRequest {
            $($(#[doc = $doc])* $variant($request),)*
        }

        impl GuildRequest {
            /// Which other changes the request must not overtake, and which must not overtake it.
            pub fn claims(&self, actor: Actor) -> Claims {
                match self { $(GuildRequest::$variant(request) => request.claims(actor),)* }
            }
        }

        $(impl From<$request> for GuildRequest {
            fn from(request: $request) -> GuildRequest {
                GuildRequest::$variant(request)
            }
        })*
    };
}

by_resource! {
    /// Its own settings.
    Settings(SettingsRequest),
    /// Its channels.
    Channel(ChannelRequest),
    /// Messages in its channels.
    Message(MessageRequest),
    /// Its roles.
    Role(RoleRequest),
    /// Its members.
    Member(MemberRequest),
    /// Its invites.
    Invite(InviteRequest),
}

/// What comes back when it went well.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A status and a JSON body.
    Json(u16, Bytes),
    /// 204.
    Done,
    /// The actor may read this: the door asks the store, and renders what it finds.
    Read(Query, Shape),
    /// A new account.
    Account(Box<Account>),
}

/// How a door renders what the store finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One message; refused as unknown if there is none.
    Message,
    /// An array of messages, or of those that are pinned.
    Messages,
    /// A page of pins.
    Pins,
    /// An array of members.
    Members,
}

/// The answer to an [`Ask`].
pub type Answer = Result<Reply, Refusal>;
