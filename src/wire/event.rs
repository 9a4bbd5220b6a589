//! Names of dispatched events and the intents that ask for them.
//!
//! Lives on: every core. Source: Discord docs, Gateway/Gateway Events and Gateway/List of Intents.

use crate::wire::intents::Intents;

macro_rules! events {
    ($($variant:ident = $name:literal, $intents:expr;)*) => {
        /// An event that this server dispatches.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventName {
            $(#[doc = $name] $variant,)*
        }

        impl EventName {
            /// The `t` of the payload.
            pub const fn as_str(self) -> &'static str {
                match self { $(EventName::$variant => $name,)* }
            }

            /// A session gets the event if it asked for any of these; empty means that nobody needs to ask.
            pub const fn intents(self) -> Intents {
                match self { $(EventName::$variant => $intents,)* }
            }
        }
    };
}

events! {
    Ready = "READY", Intents::empty();
    Resumed = "RESUMED", Intents::empty();
    RateLimited = "RATE_LIMITED", Intents::empty();
    GuildMembersChunk = "GUILD_MEMBERS_CHUNK", Intents::empty();
    GuildCreate = "GUILD_CREATE", Intents::GUILDS;
    GuildUpdate = "GUILD_UPDATE", Intents::GUILDS;
    GuildDelete = "GUILD_DELETE", Intents::GUILDS;
    ChannelCreate = "CHANNEL_CREATE", Intents::GUILDS;
    ChannelUpdate = "CHANNEL_UPDATE", Intents::GUILDS;
    ChannelDelete = "CHANNEL_DELETE", Intents::GUILDS;
    GuildRoleCreate = "GUILD_ROLE_CREATE", Intents::GUILDS;
    GuildRoleUpdate = "GUILD_ROLE_UPDATE", Intents::GUILDS;
    GuildRoleDelete = "GUILD_ROLE_DELETE", Intents::GUILDS;
    GuildMemberAdd = "GUILD_MEMBER_ADD", Intents::GUILD_MEMBERS;
    GuildMemberUpdate = "GUILD_MEMBER_UPDATE", Intents::GUILD_MEMBERS;
    GuildMemberRemove = "GUILD_MEMBER_REMOVE", Intents::GUILD_MEMBERS;
    PresenceUpdate = "PRESENCE_UPDATE", Intents::GUILD_PRESENCES;
    MessageCreate = "MESSAGE_CREATE", Intents::GUILD_MESSAGES;
    MessageUpdate = "MESSAGE_UPDATE", Intents::GUILD_MESSAGES;
    MessageDelete = "MESSAGE_DELETE", Intents::GUILD_MESSAGES;
    MessageDeleteBulk = "MESSAGE_DELETE_BULK", Intents::GUILD_MESSAGES;
    TypingStart = "TYPING_START", Intents::GUILD_MESSAGE_TYPING;
    InviteCreate = "INVITE_CREATE", Intents::GUILD_INVITES;
    InviteDelete = "INVITE_DELETE", Intents::GUILD_INVITES;
    PassiveUpdateV2 = "PASSIVE_UPDATE_V2", Intents::GUILD_MESSAGES;
    ChannelUnreadUpdate = "CHANNEL_UNREAD_UPDATE", Intents::GUILD_MESSAGES;
    GuildMemberListUpdate = "GUILD_MEMBER_LIST_UPDATE", Intents::empty();
}
