//! Gateway intents: which events a session asked for.
//!
//! Lives on: every core. Source: Discord docs, Gateway/Gateway Intents.

use bitflags::bitflags;

bitflags! {
    /// A set of intents.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Intents: u32 {
        /// Guilds, roles, channels.
        const GUILDS = 1;
        /// Members joining, changing, leaving. Privileged.
        const GUILD_MEMBERS = 1 << 1;
        /// Bans and the audit log.
        const GUILD_MODERATION = 1 << 2;
        /// Emojis, stickers, sounds.
        const GUILD_EXPRESSIONS = 1 << 3;
        /// Integrations.
        const GUILD_INTEGRATIONS = 1 << 4;
        /// Webhooks.
        const GUILD_WEBHOOKS = 1 << 5;
        /// Invites.
        const GUILD_INVITES = 1 << 6;
        /// Voice states.
        const GUILD_VOICE_STATES = 1 << 7;
        /// Presences. Privileged.
        const GUILD_PRESENCES = 1 << 8;
        /// Messages in guilds.
        const GUILD_MESSAGES = 1 << 9;
        /// Reactions in guilds.
        const GUILD_MESSAGE_REACTIONS = 1 << 10;
        /// Typing in guilds.
        const GUILD_MESSAGE_TYPING = 1 << 11;
        /// Direct messages.
        const DIRECT_MESSAGES = 1 << 12;
        /// Reactions in direct messages.
        const DIRECT_MESSAGE_REACTIONS = 1 << 13;
        /// Typing in direct messages.
        const DIRECT_MESSAGE_TYPING = 1 << 14;
        /// No event of its own: the text of other people's messages. Privileged.
        const MESSAGE_CONTENT = 1 << 15;
        /// Scheduled events.
        const GUILD_SCHEDULED_EVENTS = 1 << 16;
        /// Embedded activities. Undocumented, but released libraries send it.
        const GUILD_EMBEDDED_ACTIVITIES = 1 << 17;
        /// Auto moderation rules.
        const AUTO_MODERATION_CONFIGURATION = 1 << 20;
        /// Auto moderation at work.
        const AUTO_MODERATION_EXECUTION = 1 << 21;
        /// Polls in guilds.
        const GUILD_MESSAGE_POLLS = 1 << 24;
        /// Polls in direct messages.
        const DIRECT_MESSAGE_POLLS = 1 << 25;
    }
}

impl Intents {
    /// Those a bot may only ask for when its application has them enabled (close code 4014 otherwise).
    pub const PRIVILEGED: Intents =
        Intents::GUILD_MEMBERS.union(Intents::GUILD_PRESENCES).union(Intents::MESSAGE_CONTENT);

    /// Bits 18, 19, 22, 23, 26 to 28: known for user accounts, no events here yet, so accepted from them and dropped.
    pub const PERSONAL_BITS: u64 = 1 << 18 | 1 << 19 | 1 << 22 | 1 << 23 | 1 << 26 | 1 << 27 | 1 << 28;

    /// Reads what a client sent; `None` for unknown bits (close code 4013).
    pub fn parse(raw: u64, bot: bool) -> Option<Intents> {
        let known = if bot { raw } else { raw & !Self::PERSONAL_BITS };
        Intents::from_bits(u32::try_from(known).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_call_all_is_accepted_and_unknown_bits_are_not() {
        assert!(Intents::parse(53_608_447, true).is_some());
        assert!(Intents::parse(53_739_519, true).is_some());
        assert!(Intents::parse(1 << 18, true).is_none());
        assert!(Intents::parse(1 << 18, false).is_some());
        assert!(Intents::parse(1 << 40, false).is_none());
    }
}
