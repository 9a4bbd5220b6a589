//! Names of dispatched events, the intents that ask for them, and which limited sessions get them.
//!
//! Lives on: every core. Source: Discord docs, Gateway/Gateway Events and Gateway/List of Intents.
//! One line per event. Read next: `session/interest.rs` (what limits a session), `mail/event.rs` (where events come
//! from).

use crate::wire::intents::Intents;

/// Which sessions that do not get everything of a guild get an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitedReach {
    /// All of them: a session's own affairs, and what a guild consists of.
    Always,
    /// Those that asked for changes of all members.
    Members,
    /// Those that subscribed to the guild.
    Subscribed,
    /// None as a class: the relay picks single sessions.
    Never,
}

macro_rules! intents {
    (_) => { None };
    ([$($intent:ident)?]) => { Some(Intents::empty()$(.union(Intents::$intent))?) };
}

macro_rules! events {
    ($($variant:ident = $name:literal, $guild:tt, $private:tt, $own:tt, $limited:ident;)*) => {
        /// An event that this server dispatches.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventName {
            $(#[doc = $name] $variant,)*
        }

        impl EventName {
            /// All events.
            pub const ALL: &[EventName] = &[$(EventName::$variant,)*];

            /// The `t` of the payload.
            pub const fn as_str(self) -> &'static str {
                match self { $(EventName::$variant => $name,)* }
            }

            /// A session gets the event of a guild if it asked for any of these; empty: without asking.
            /// `None`: guilds have no such event.
            pub const fn guild_intents(self) -> Option<Intents> {
                match self { $(EventName::$variant => intents!($guild),)* }
            }

            /// The same for the event of a private channel.
            pub const fn private_intents(self) -> Option<Intents> {
                match self { $(EventName::$variant => intents!($private),)* }
            }

            /// The same for an event of the user itself, or of one session.
            pub const fn own_intents(self) -> Option<Intents> {
                match self { $(EventName::$variant => intents!($own),)* }
            }

            /// Which limited sessions get the event.
            pub const fn limited_reach(self) -> LimitedReach {
                match self { $(EventName::$variant => LimitedReach::$limited,)* }
            }
        }
    };
}

// Intents by origin, `_` where the origin has no such event: a guild, a private channel, the user or session itself.
events! {
    Ready = "READY", _, _, [], Always;
    Resumed = "RESUMED", _, _, [], Always;
    RateLimited = "RATE_LIMITED", _, _, [], Always;
    GuildMembersChunk = "GUILD_MEMBERS_CHUNK", _, _, [], Always;
    UserNoteUpdate = "USER_NOTE_UPDATE", _, _, [], Always;
    GuildCreate = "GUILD_CREATE", [GUILDS], _, _, Always;
    GuildUpdate = "GUILD_UPDATE", [GUILDS], _, _, Always;
    GuildDelete = "GUILD_DELETE", [GUILDS], _, _, Always;
    ChannelCreate = "CHANNEL_CREATE", [GUILDS], _, _, Always;
    ChannelUpdate = "CHANNEL_UPDATE", [GUILDS], _, _, Always;
    ChannelDelete = "CHANNEL_DELETE", [GUILDS], _, _, Always;
    ChannelPinsUpdate = "CHANNEL_PINS_UPDATE", [GUILDS], [DIRECT_MESSAGES], _, Always;
    GuildRoleCreate = "GUILD_ROLE_CREATE", [GUILDS], _, _, Always;
    GuildRoleUpdate = "GUILD_ROLE_UPDATE", [GUILDS], _, _, Always;
    GuildRoleDelete = "GUILD_ROLE_DELETE", [GUILDS], _, _, Always;
    GuildMemberAdd = "GUILD_MEMBER_ADD", [GUILD_MEMBERS], _, _, Members;
    GuildMemberUpdate = "GUILD_MEMBER_UPDATE", [GUILD_MEMBERS], _, _, Members;
    GuildMemberRemove = "GUILD_MEMBER_REMOVE", [GUILD_MEMBERS], _, _, Members;
    PresenceUpdate = "PRESENCE_UPDATE", [GUILD_PRESENCES], _, _, Never;
    MessageCreate = "MESSAGE_CREATE", [GUILD_MESSAGES], [DIRECT_MESSAGES], _, Subscribed;
    MessageUpdate = "MESSAGE_UPDATE", [GUILD_MESSAGES], [DIRECT_MESSAGES], _, Subscribed;
    MessageDelete = "MESSAGE_DELETE", [GUILD_MESSAGES], [DIRECT_MESSAGES], _, Subscribed;
    MessageDeleteBulk = "MESSAGE_DELETE_BULK", [GUILD_MESSAGES], _, _, Subscribed;
    TypingStart = "TYPING_START", [GUILD_MESSAGE_TYPING], [DIRECT_MESSAGE_TYPING], _, Subscribed;
    InviteCreate = "INVITE_CREATE", [GUILD_INVITES], _, _, Subscribed;
    InviteDelete = "INVITE_DELETE", [GUILD_INVITES], _, _, Subscribed;
    PassiveUpdateV2 = "PASSIVE_UPDATE_V2", [GUILD_MESSAGES], _, _, Always;
    ChannelUnreadUpdate = "CHANNEL_UNREAD_UPDATE", [GUILD_MESSAGES], _, _, Always;
    GuildMemberListUpdate = "GUILD_MEMBER_LIST_UPDATE", [], _, _, Always;
}
