//! Pins: what is pinned in which channel, and requests about it. Source: Discord docs, Resources/Message (pins).
//!
//! Lives on: the guild's core. When and what is pinned is in memory; the messages are in the store.
//! Requests that pin or unpin in one channel are committed one after the other (`Claim::Pins`), so the bound holds and
//! no two pins of a channel have the same time, by which pages are cut.

use std::collections::BTreeMap;

use serde_json::json;

use crate::base::clock;
use crate::base::id::{ChannelId, MessageId};
use crate::guild::Guild;
use crate::guild::plan::{Effect, Plan, PlanContext, Stop};
use crate::limits;
use crate::mail::ask::{Reply, Shape};
use crate::mail::event::{Event, Scope};
use crate::model::message::{Extra, Message};
use crate::model::permissions::Permissions;
use crate::model::pin::Pin;
use crate::store::{Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::message::MessageView;
use crate::wire::model::pin::PinsView;
use crate::wire::refusal::Refusal;

/// Message type: the author has pinned the message that it refers to.
pub(super) const PIN_NOTICE: u32 = 6;

/// The pins of a guild, by channel, each channel's oldest first.
#[derive(Debug, Default)]
pub(super) struct GuildPins(BTreeMap<ChannelId, Vec<(u64, MessageId)>>);

impl GuildPins {
    /// Pins as the store has them.
    pub(super) fn load(pins: &[Pin]) -> GuildPins {
        let mut loaded = GuildPins::default();
        for pin in pins {
            loaded.add(pin);
        }
        loaded
    }

    /// When the newest pin of a channel was made.
    pub(super) fn last_ms(&self, channel: ChannelId) -> Option<u64> {
        self.0.get(&channel)?.last().map(|(pinned_at_ms, _)| *pinned_at_ms)
    }

    /// As [`GuildPins::last_ms`], of those that are left without one.
    fn last_ms_without(&self, channel: ChannelId, message: MessageId) -> Option<u64> {
        self.0.get(&channel)?.iter().rfind(|(_, pinned)| *pinned != message).map(|(pinned_at_ms, _)| *pinned_at_ms)
    }

    fn count(&self, channel: ChannelId) -> usize {
        self.0.get(&channel).map_or(0, Vec::len)
    }

    pub(super) fn add(&mut self, pin: &Pin) {
        self.0.entry(pin.channel_id).or_default().push((pin.pinned_at_ms, pin.message_id));
    }

    pub(super) fn remove(&mut self, channel: ChannelId, message: MessageId) {
        if let Some(pins) = self.0.get_mut(&channel) {
            pins.retain(|(_, pinned)| *pinned != message);
            if pins.is_empty() {
                self.0.remove(&channel);
            }
        }
    }

    pub(super) fn remove_channel(&mut self, channel: ChannelId) {
        self.0.remove(&channel);
    }

    /// Panics if something that must hold does not.
    pub(super) fn invariants(&self, is_channel: impl Fn(ChannelId) -> bool) {
        for (channel, pins) in &self.0 {
            assert!(is_channel(*channel), "pins are in a channel that is there");
            assert!((1..=limits::CHANNEL_PINS_MAX).contains(&pins.len()), "pins of a channel are bounded");
            assert!(pins.is_sorted_by(|one, next| one.0 < next.0), "pins are in order, each with a time of its own");
        }
    }
}

impl Guild {
    pub(super) fn plan_pin(&self, channel: ChannelId, id: MessageId, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let kind = self.channel_for(&acting, channel, PINNING)?.kind;
        let before = self.message(channel, id, at)?;
        if before.extra.pinned {
            return Ok(Plan::done());
        }
        if before.extra.kind == PIN_NOTICE {
            return Err(Refusal::SYSTEM_MESSAGE.into());
        }
        if self.pins.count(channel) >= limits::CHANNEL_PINS_MAX {
            return Err(Refusal::TOO_MANY_PINS.into());
        }
        let after = with_pinned(before, true);
        let member = acting.member()?.clone();
        let author = self.author_member(&acting, &after)?;
        let update = self.message_event(EventName::MessageUpdate, MessageView::rest(&after), &author, kind);
        let now = at.now.millis();
        let pinned_at_ms = self.pins.last_ms(channel).map_or(now, |last| now.max(last + 1));
        let pin = Pin { channel_id: channel, message_id: id, pinned_at_ms };
        let notice = Message {
            id: self.mint(at),
            channel_id: channel,
            guild_id: self.id(),
            author: member.user.clone(),
            content: String::new(),
            edited_at_ms: None,
            extra: Extra { kind: PIN_NOTICE, replies_to: Some(id), ..Extra::default() },
        };
        let create = self.message_event(EventName::MessageCreate, MessageView::rest(&notice), &member, kind);
        let newest = Effect::Newest(channel, notice.id);
        let plan = Plan::done().if_gone(Refusal::UNKNOWN_MESSAGE);
        let plan = plan.write(Write::Pin(pin)).event(self.pins_update(channel, Some(pinned_at_ms)));
        let plan = plan.write(Write::EditMessage(Box::new(after))).event(update);
        let plan = plan.write(Write::CreateMessage(Box::new(notice))).event(create);
        Ok(plan.effect(Effect::Pinned(pin)).effect(newest))
    }

    pub(super) fn plan_unpin(&self, channel: ChannelId, id: MessageId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let kind = self.channel_for(&acting, channel, PINNING)?.kind;
        let before = self.message(channel, id, at)?;
        if !before.extra.pinned {
            return Ok(Plan::done());
        }
        let after = with_pinned(before, false);
        let author = self.author_member(&acting, &after)?;
        let update = self.message_event(EventName::MessageUpdate, MessageView::rest(&after), &author, kind);
        let plan = Plan::done().if_gone(Refusal::UNKNOWN_MESSAGE);
        let plan = plan.write(Write::Unpin(channel, id));
        let plan = plan.event(self.pins_update(channel, self.pins.last_ms_without(channel, id)));
        let plan = plan.write(Write::EditMessage(Box::new(after))).event(update);
        Ok(plan.effect(Effect::Unpinned(channel, id)))
    }

    pub(super) fn plan_list_pins(
        &self,
        channel: ChannelId,
        before_ms: Option<u64>,
        limit: u32,
        at: &PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        if !self.may_read_history(channel, at)? {
            return Ok(Plan::json(200, &PinsView { items: Vec::new(), has_more: false }));
        }
        Ok(Plan::answer(Reply::Read(Query::Pins { channel, before_ms, limit }, Shape::Pins)))
    }

    pub(super) fn plan_list_pinned_messages(&self, channel: ChannelId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        if !self.may_read_history(channel, at)? {
            return Ok(Plan::json(200, &[(); 0]));
        }
        let query = Query::Pins { channel, before_ms: None, limit: limits::PINS_PAGE_MAX };
        Ok(Plan::answer(Reply::Read(query, Shape::Messages)))
    }

    /// A pin was committed.
    pub(super) fn note_pinned(&mut self, pin: &Pin) {
        // The channel may have been deleted meanwhile.
        if self.facts.channels.contains_key(&pin.channel_id) {
            self.pins.add(pin);
            self.common = None;
        }
    }

    /// A message is not pinned any more, if it was.
    pub(super) fn note_unpinned(&mut self, channel: ChannelId, message: MessageId) {
        let last_ms = self.pins.last_ms(channel);
        self.pins.remove(channel, message);
        if self.pins.last_ms(channel) != last_ms {
            self.common = None;
        }
    }

    fn pins_update(&self, channel: ChannelId, last_ms: Option<u64>) -> Event {
        let body = json!({
            "guild_id": self.id(),
            "channel_id": channel,
            "last_pin_timestamp": last_ms.map(clock::iso8601),
        });
        self.event(EventName::ChannelPinsUpdate, Scope::Channel(channel), &body)
    }
}

/// What pinning and unpinning needs besides seeing the channel.
const PINNING: Permissions = Permissions::PIN_MESSAGES.union(Permissions::READ_MESSAGE_HISTORY);

fn with_pinned(message: &Message, pinned: bool) -> Message {
    Message { extra: Extra { pinned, ..message.extra.clone() }, ..message.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Time;
    use crate::base::id::{EPOCH_MS, GuildId, Mint, UserId};
    use crate::guild::founding::found;
    use crate::mail::ask::claim::Claim;
    use crate::mail::ask::message::MessageRequest;
    use crate::mail::ask::{Actor, GuildRequest};
    use crate::mail::placement::VirtualShard;
    use crate::model::channel::ChannelKind;
    use crate::model::member::Member;
    use crate::model::user::User;
    use crate::store::Found;

    const NOW_MS: u64 = 1_800_000_000_000;

    /// A guild of Ann's with Bob in it, and the messages that the store would find.
    struct Town {
        guild: Guild,
        channel: ChannelId,
        ann: User,
        bob: User,
        messages: BTreeMap<MessageId, Message>,
    }

    /// The id of a message that is a millisecond old.
    fn message_id(number: u64) -> MessageId {
        MessageId::new((NOW_MS - 1 - EPOCH_MS) << 22 | number)
    }

    fn user(id: u64, username: &str) -> User {
        User { id: UserId::new(id), username: username.into(), global_name: None, avatar: None, bot: false }
    }

    impl Town {
        fn found() -> Town {
            let (ann, bob) = (user(7, "ann"), user(8, "bob"));
            let shard = VirtualShard::of(GuildId::new(1));
            let (record, _) = found(shard, ann.clone(), "Town".to_owned(), NOW_MS, &mut Mint::inside());
            let channel = record.channels.iter().find(|channel| channel.kind == ChannelKind::Text).expect("one").id;
            let mut guild = Guild::load(record);
            for user in [&ann, &bob] {
                guild.remember(user.id, Some(Member::new(user.clone(), 0).into()), true);
            }
            let mut town = Town { guild, channel, ann, bob, messages: BTreeMap::new() };
            for id in 1..=300 {
                town.keep(Message {
                    id: message_id(id),
                    channel_id: channel,
                    guild_id: town.guild.id(),
                    author: town.ann.clone(),
                    content: "text".to_owned(),
                    edited_at_ms: None,
                    extra: Extra::default(),
                });
            }
            town
        }

        fn keep(&mut self, message: Message) {
            self.messages.insert(message.id, message);
        }

        fn plan(&self, actor: &User, request: MessageRequest) -> Result<Plan, Refusal> {
            let request = GuildRequest::from(request);
            let mut loaded = Vec::new();
            loop {
                let (actor, mint) = (Actor::User(actor.id), Mint::inside());
                let now = Time::from_millis(NOW_MS);
                let mut at = PlanContext { now, actor, reason: Some("because"), loaded: &loaded, mint, random: 0 };
                match self.guild.plan(&request, &mut at) {
                    Ok(plan) => return Ok(plan),
                    Err(Stop::Refused(refusal)) => return Err(refusal),
                    Err(Stop::Needs(query)) => {
                        let Query::Message(_, id) = query else { panic!("{query:?}") };
                        loaded.push((query, Found::Message(self.messages.get(&id).cloned().map(Box::new))));
                    }
                }
            }
        }

        /// Plans and commits. Returns the names of the events.
        fn carry_out(&mut self, request: MessageRequest) -> Vec<&'static str> {
            let mut plan = self.plan(&self.ann, request).expect("Ann may do anything");
            for write in plan.take_writes() {
                match write {
                    Write::EditMessage(message) | Write::CreateMessage(message) => self.keep(*message),
                    Write::DeleteMessage(_, id) => drop(self.messages.remove(&id)),
                    Write::Pin(_) | Write::Unpin(..) => {}
                    other => panic!("{other:?}"),
                }
            }
            self.guild.commit(&plan);
            self.guild.invariants();
            plan.events().iter().map(|event| event.name.as_str()).collect()
        }

        fn pin(&mut self, id: u64) -> Vec<&'static str> {
            self.carry_out(MessageRequest::Pin(self.channel, message_id(id)))
        }

        fn last_ms(&self) -> Option<u64> {
            self.guild.with_newest(&self.guild.facts.channels[&self.channel]).last_pin_ms
        }
    }

    #[test]
    fn pin_and_unpin_change_the_message_once() {
        let mut town = Town::found();
        let (channel, id) = (town.channel, message_id(1));
        assert_eq!(town.pin(1), ["CHANNEL_PINS_UPDATE", "MESSAGE_UPDATE", "MESSAGE_CREATE"]);
        assert!(town.messages[&id].extra.pinned);
        let notice = town.messages.values().find(|message| message.extra.kind == PIN_NOTICE).expect("one").clone();
        assert_eq!((&notice.author, notice.extra.replies_to), (&town.ann, Some(id)));
        assert_eq!(town.last_ms(), Some(NOW_MS));
        assert_eq!(town.pin(1), [] as [&str; 0], "it is pinned");
        let unpin = MessageRequest::Unpin(channel, id);
        assert_eq!(town.carry_out(unpin.clone()), ["CHANNEL_PINS_UPDATE", "MESSAGE_UPDATE"]);
        assert!(!town.messages[&id].extra.pinned);
        assert_eq!(town.last_ms(), None);
        assert_eq!(town.carry_out(unpin), [] as [&str; 0], "it is not pinned");
        let refused = town.plan(&town.ann, MessageRequest::Pin(channel, notice.id)).unwrap_err();
        assert_eq!((refused.status, refused.code), (403, 50_021));
    }

    #[test]
    fn pinning_needs_its_permission_and_a_message() {
        let town = Town::found();
        let (channel, id) = (town.channel, message_id(1));
        for request in [MessageRequest::Pin(channel, id), MessageRequest::Unpin(channel, id)] {
            assert_eq!(town.plan(&town.bob, request).unwrap_err(), Refusal::MISSING_PERMISSIONS);
        }
        let unknown = MessageRequest::Pin(channel, message_id(999));
        assert_eq!(town.plan(&town.ann, unknown).unwrap_err(), Refusal::UNKNOWN_MESSAGE);
        assert!(town.plan(&town.bob, MessageRequest::PinnedMessages(channel)).is_ok());
    }

    #[test]
    fn pins_of_a_channel_are_bounded_and_ordered() {
        let mut town = Town::found();
        for id in 1..=limits::CHANNEL_PINS_MAX as u64 {
            assert_eq!(town.pin(id).len(), 3);
        }
        assert_eq!(town.last_ms(), Some(NOW_MS + limits::CHANNEL_PINS_MAX as u64 - 1), "each has its own time");
        let one_more = MessageRequest::Pin(town.channel, message_id(299));
        let refused = town.plan(&town.ann, one_more.clone()).unwrap_err();
        assert_eq!((refused.status, refused.code), (400, 30_003));
        let claims = one_more.claims(Actor::User(town.ann.id));
        assert!(claims.contains(&Claim::Pins(town.channel)), "two at the same moment are counted one after the other");
        assert_eq!(town.carry_out(MessageRequest::Delete(town.channel, message_id(1))), ["MESSAGE_DELETE"]);
        assert_eq!(town.carry_out(one_more).len(), 3, "a deleted message is no pin");
        let newest = [299, limits::CHANNEL_PINS_MAX as u64].map(message_id);
        town.carry_out(MessageRequest::BulkDelete(town.channel, newest.to_vec()));
        assert_eq!(town.last_ms(), Some(NOW_MS + limits::CHANNEL_PINS_MAX as u64 - 2));
    }
}
