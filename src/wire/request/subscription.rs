//! The events and list ranges of a guild that a person's client subscribes to. Source: ops 14 and 37 as clients send
//! them.
//!
//! Lives on: the session's home.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::base::id::{ChannelId, GuildId, UserId};

/// What is asked of one guild; what is left out stays as it was. Other keys (`activities`, `threads`,
/// `thread_member_lists`) are about things that this server does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Subscription {
    /// `true`: all messages and typing, for as long as the session sees the guild. `false` changes nothing.
    pub typing: Option<bool>,
    /// Whether GUILD_MEMBER_ADD, GUILD_MEMBER_UPDATE and GUILD_MEMBER_REMOVE of all members are wanted.
    pub member_updates: Option<bool>,
    /// Members whose presences and changes are wanted.
    pub members: Option<Vec<UserId>>,
    /// Channels whose member lists are looked at, with the ranges of rows, both ends included.
    pub channels: Option<BTreeMap<ChannelId, Vec<(u32, u32)>>>,
}

impl Subscription {
    /// Takes over what a newer one says.
    pub fn merge(&mut self, newer: Subscription) {
        let Subscription { typing, member_updates, members, channels } = newer;
        self.typing = typing.or(self.typing);
        self.member_updates = member_updates.or(self.member_updates);
        self.members = members.or(self.members.take());
        self.channels = channels.or(self.channels.take());
    }
}

/// Op 14: one guild.
#[derive(Debug, Deserialize)]
pub struct GuildSubscription {
    /// Which.
    pub guild_id: GuildId,
    /// What.
    #[serde(flatten)]
    pub subscription: Subscription,
}

/// Op 37: some guilds.
#[derive(Debug, Deserialize)]
pub struct GuildSubscriptions {
    /// What, by guild.
    pub subscriptions: BTreeMap<GuildId, Subscription>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_understood() {
        let one =
            r#"{"guild_id":"7","typing":true,"threads":true,"channels":{"9":[[0,99],[100,199]]},"members":["3"]}"#;
        let one: GuildSubscription = serde_json::from_str(one).unwrap();
        let many = r#"{"subscriptions":{"7":{"typing":true,"activities":true,"channels":{"9":[[0,99],[100,199]]},"members":["3"]}}}"#;
        let many: GuildSubscriptions = serde_json::from_str(many).unwrap();
        assert_eq!(one.guild_id, GuildId::new(7));
        assert_eq!(many.subscriptions[&one.guild_id], one.subscription);
        assert_eq!(one.subscription.channels.unwrap()[&ChannelId::new(9)], [(0, 99), (100, 199)]);
    }

    #[test]
    fn what_is_left_out_stays() {
        let mut kept =
            Subscription { typing: Some(true), members: Some(vec![UserId::new(1)]), ..Subscription::default() };
        kept.merge(Subscription { member_updates: Some(true), members: Some(Vec::new()), ..Subscription::default() });
        assert_eq!((kept.typing, kept.member_updates, kept.members), (Some(true), Some(true), Some(Vec::new())));
    }
}
