//! What passive sessions receive instead of messages: periodically, the channels with unread messages.
//!
//! Lives on: every core with a relay.
//! It is noted once per audience, however many sessions it has, and told as a change: only channels with messages since
//! the last time. A session that leaves its audience, to become active or because its roles change, receives the rest
//! immediately, so that there is no gap between the last unread mark and the first message.

use bytes::Bytes;
use serde::Serialize;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, GuildId, MessageId};
use crate::base::slab::{Key, Slab};
use crate::mail::event::{Event, Mark, Scope};
use crate::mail::facts::Facts;
use crate::relay::audience::Audience;
use crate::relay::{Effects, Relay};
use crate::session::body::{EventBody, SharedBody};
use crate::session::interest::Interest;
use crate::session::{Seat, Session};
use crate::wire::event::EventName;

impl Relay {
    /// Tells those who get no messages what has become unread.
    pub fn tell_unread(&mut self, now: Time, effects: &mut Effects) {
        self.unread = false;
        let guild = self.guild();
        let keys: Vec<Key> = self.audiences.iter().map(|(key, _)| key).collect();
        for key in keys {
            let audience = self.audiences.get_mut(key).expect("listed just now");
            let body = audience.unread_body(&self.facts, now);
            audience.unread.clear();
            if let Some(body) = body
                && audience.deliver(body)
            {
                effects.walks.push((guild, key));
            }
        }
    }

    /// A seated session asks for more, or less, of the guild.
    pub fn subscribe(
        &mut self,
        key: Key,
        (typing, member_updates): (Option<bool>, Option<bool>),
        now: Time,
        sessions: &mut Slab<Session>,
        effects: &mut Effects,
    ) {
        let Some(session) = sessions.get(key) else { return };
        let Some(index) = session.seat_in(self.guild()) else { return };
        let Seat { interest: before, audience, .. } = session.seats[index];
        let interest = before.subscribed(typing, member_updates);
        if interest != before {
            let audience = self.audiences.get(audience).expect("a seat is in an audience");
            let roles = audience.class.roles.clone();
            self.move_to(key, &roles, interest, now, sessions, effects);
        }
    }
}

impl Audience {
    /// Whether an event comes to all of these sessions, as far as what they ask of the guild decides it.
    pub fn takes(&self, event: &Event) -> bool {
        self.class.interest.takes(event.name) || event.mark().is_some_and(|mark| mark.mentions(&self.class.roles))
    }

    /// Notes a message that these sessions do not get. Says whether it is the first since they were told.
    pub(super) fn mark_unread(&mut self, scope: &Scope, mark: &Mark) -> bool {
        // Unread marks are a channel's; events for some members alone leave none.
        let Scope::Channel(channel) = scope else { return false };
        let first = self.unread.is_empty();
        self.unread.insert(*channel, mark.message);
        first
    }

    /// A message comes to these sessions after all: the marks of its channel before it are out of date.
    pub(super) fn mark_read(&mut self, event: &Event) {
        if let (Some(_), Scope::Channel(channel)) = (event.mark(), &event.scope) {
            self.unread.remove(channel);
        }
    }

    /// What is unread, as these sessions can read it; `None` if nothing is.
    pub(super) fn unread_body(&mut self, facts: &Facts, now: Time) -> Option<SharedBody> {
        let unread: Vec<(ChannelId, MessageId)> =
            self.unread.iter().map(|(channel, message)| (*channel, *message)).collect();
        // A channel may have gone out of sight since.
        let seen = unread.into_iter().filter(|(channel, _)| self.may_view(facts, *channel));
        let channels: Vec<Unread> = seen.map(|(id, last_message_id)| Unread { id, last_message_id }).collect();
        if channels.is_empty() {
            return None;
        }
        let guild_id = facts.id();
        let (name, json) = if self.class.interest.contains(Interest::DELTAS) {
            let update = PassiveUpdate {
                guild_id,
                updated_channels: channels,
                updated_voice_states: [],
                removed_voice_states: [],
                updated_members: [],
            };
            (EventName::PassiveUpdateV2, serde_json::to_vec(&update))
        } else {
            let update = ChannelUnreadUpdate { guild_id, channel_unread_updates: channels };
            (EventName::ChannelUnreadUpdate, serde_json::to_vec(&update))
        };
        Some(EventBody::new(name, Bytes::from(json.expect("an update is JSON")), now))
    }
}

#[derive(Serialize)]
struct Unread {
    id: ChannelId,
    last_message_id: MessageId,
}

/// PASSIVE_UPDATE_V2. There are no voice states, and members come with the messages that need them.
#[derive(Serialize)]
struct PassiveUpdate {
    guild_id: GuildId,
    updated_channels: Vec<Unread>,
    updated_voice_states: [u8; 0],
    removed_voice_states: [u8; 0],
    updated_members: [u8; 0],
}

#[derive(Serialize)]
struct ChannelUnreadUpdate {
    guild_id: GuildId,
    channel_unread_updates: Vec<Unread>,
}
