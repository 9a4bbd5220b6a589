//! What a session asks of one guild besides its intents.
//!
//! Lives on: the session's home. Part of the access class, so that it is decided once for all sessions with the same
//! answer. In a guild that is not large, and for bots anywhere, nothing is limited. A person's session in a large guild
//! is *passive* until it subscribes: it gets what shows unread marks and mentions, and not the rest.

use bitflags::bitflags;

use crate::wire::event::{EventName, LimitedReach};

bitflags! {
    /// What a session asks of a guild. Empty: everything, as bots get it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Interest: u8 {
        /// Only what the other bits say.
        const LIMITED = 1;
        /// Messages, typing, invites: the session is active.
        const SUBSCRIBED = 1 << 1;
        /// Changes of all members.
        const MEMBERS = 1 << 2;
        /// While passive: PASSIVE_UPDATE_V2 rather than CHANNEL_UNREAD_UPDATE. An active session does not have it, so
        /// that it makes no classes of its own.
        const DELTAS = 1 << 3;
        /// It is a person's: presences come in a small guild, and of the members that it follows.
        const PERSON = 1 << 4;
    }
}

impl Interest {
    /// Of a session that enters a large guild; `deltas`: it can read PASSIVE_UPDATE_V2.
    pub fn passive(deltas: bool) -> Interest {
        let limited = Interest::LIMITED | Interest::PERSON;
        if deltas { limited | Interest::DELTAS } else { limited }
    }

    /// Whether it gets unread marks in place of messages.
    pub fn is_passive(self) -> bool {
        self.contains(Interest::LIMITED) && !self.contains(Interest::SUBSCRIBED)
    }

    /// This, and what a subscription adds or takes away.
    pub fn subscribed(self, typing: Option<bool>, member_updates: Option<bool>) -> Interest {
        let mut interest = self;
        if !interest.contains(Interest::LIMITED) {
            return interest;
        }
        if typing == Some(true) {
            interest.insert(Interest::SUBSCRIBED);
            interest.remove(Interest::DELTAS);
        }
        if let Some(wanted) = member_updates {
            interest.set(Interest::MEMBERS, wanted);
        }
        interest
    }

    /// Whether events of this name come to all sessions of the class, whichever member they are about.
    pub fn takes(self, name: EventName) -> bool {
        !self.contains(Interest::LIMITED)
            || match name.limited_reach() {
                LimitedReach::Always => true,
                LimitedReach::Members => self.contains(Interest::MEMBERS),
                LimitedReach::Subscribed => self.contains(Interest::SUBSCRIBED),
                LimitedReach::Never => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passive_session_gets_what_the_guild_is_made_of_and_no_messages() {
        let passive = Interest::passive(true);
        assert!(passive.is_passive() && passive.takes(EventName::ChannelUpdate));
        assert!(!passive.takes(EventName::MessageCreate) && !passive.takes(EventName::GuildMemberAdd));
        let active = passive.subscribed(Some(true), None);
        assert!(
            !active.is_passive() && active.takes(EventName::MessageCreate) && !active.takes(EventName::GuildMemberAdd)
        );
        assert_eq!(active, Interest::passive(false).subscribed(Some(true), None), "one class");
        assert!(active.subscribed(Some(false), Some(true)).takes(EventName::GuildMemberAdd));
        assert!(active.subscribed(Some(false), None).takes(EventName::TypingStart), "it stays so");
    }

    #[test]
    fn nothing_is_limited_where_nothing_was() {
        let everything = Interest::PERSON.subscribed(Some(true), Some(false));
        assert_eq!(everything, Interest::PERSON);
        assert!(everything.takes(EventName::GuildMemberAdd) && !everything.is_passive());
    }
}
