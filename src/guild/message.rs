//! Messages: write, edit, delete; the main thing that a guild does. Source: Discord docs, Resources/Message.
//!
//! Lives on: the guild's core. Messages themselves are in the store, not in memory.

use serde_json::json;
use smallvec::SmallVec;

use crate::base::id::{ChannelId, MessageId, UserId};
use crate::guild::acting::Acting;
use crate::guild::mention::{self, Named};
use crate::guild::nonce::Sent;
use crate::guild::pin::PIN_NOTICE;
use crate::guild::plan::{Effect, Plan, PlanContext, Stop};
use crate::guild::{Guild, json};
use crate::mail::ask::message::MessageRequest;
use crate::mail::ask::{Reply, Shape};
use crate::mail::event::{Event, Mark, Scope, Text};
use crate::model::channel::ChannelKind;
use crate::model::member::Member;
use crate::model::message::{Extra, Message};
use crate::model::permissions::Permissions;
use crate::model::user::User;
use crate::store::{Anchor, Found, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::message::MessageView;
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::message::{AllowedMentions, MessageDraft, MessagePatch, Reference};

/// Message flag: embeds are not shown.
const SUPPRESS_EMBEDS: u32 = 1 << 2;
/// Message type of a reply.
const REPLY: u32 = 19;
/// Messages older than this cannot be deleted in bulk.
const BULK_DELETE_AGE_MS: u64 = 14 * 24 * 3_600 * 1_000;

impl Guild {
    pub(super) fn plan_message(&self, request: &MessageRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        use MessageRequest as R;
        match request {
            R::Create(channel, draft) => self.plan_create_message(*channel, draft, at),
            R::Edit(channel, message, patch) => self.plan_edit_message(*channel, *message, patch, at),
            R::Delete(channel, message) => self.plan_delete_message(*channel, *message, at),
            R::BulkDelete(channel, messages) => self.plan_bulk_delete(*channel, messages, at),
            R::Get(channel, message) => self.plan_get_message(*channel, *message, at),
            R::List { channel, anchor, limit } => self.plan_list_messages(*channel, *anchor, *limit, at),
            R::Pin(channel, message) => self.plan_pin(*channel, *message, at),
            R::Unpin(channel, message) => self.plan_unpin(*channel, *message, at),
            R::Pins { channel, before_ms, limit } => self.plan_list_pins(*channel, *before_ms, *limit, at),
            R::PinnedMessages(channel) => self.plan_list_pinned_messages(*channel, at),
            R::Typing(channel) => self.plan_typing(*channel, at),
        }
    }

    fn plan_create_message(
        &self,
        channel: ChannelId,
        draft: &MessageDraft,
        at: &mut PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let place = self.channel_for(&acting, channel, Permissions::SEND_MESSAGES)?.clone();
        if !place.kind.has_messages() {
            return Err(Refusal::NOT_A_TEXT_CHANNEL.into());
        }
        let granted = self.in_channel(&acting, channel);
        if draft.tts && !granted.contains(Permissions::SEND_TTS_MESSAGES) {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        let member = acting.member()?.clone();
        let author = &member.user;
        let nonce = draft.nonce.as_ref().filter(|_| draft.enforce_nonce);
        if let Some(reply) = nonce.and_then(|nonce| self.sent_before(author.id, channel, nonce)) {
            return Ok(Plan::answer(reply.clone()));
        }
        // Embeds without EMBED_LINKS are dropped, not refused.
        let embeds = if granted.contains(Permissions::EMBED_LINKS) { draft.embeds.clone() } else { Vec::new() };
        if draft.content.is_empty() && embeds.is_empty() && draft.components.is_empty() {
            return Err(Refusal::EMPTY_MESSAGE.into());
        }
        let referenced = match &draft.reference {
            Some(reference) => self.referenced(reference, channel, granted, at)?,
            None => None,
        };
        let mut extra = Extra {
            kind: if referenced.is_some() { REPLY } else { 0 },
            flags: draft.flags,
            tts: draft.tts,
            embeds,
            components: draft.components.clone(),
            replies_to: referenced.as_ref().map(|message| message.id),
            ..Extra::default()
        };
        let pinged = referenced
            .as_ref()
            .filter(|_| draft.allowed_mentions.replied_user)
            .map(|message| message.author.id)
            .filter(|replied| *replied != author.id);
        self.fill_mentions(&mut extra, &draft.content, &draft.allowed_mentions, pinged, granted, at)?;
        let id = self.mint(at);
        let message = Message {
            id,
            channel_id: channel,
            guild_id: self.id(),
            author: author.clone(),
            content: draft.content.clone(),
            edited_at_ms: None,
            extra,
        };
        let view = MessageView {
            nonce: draft.nonce.as_ref(),
            referenced: referenced.as_ref().map(Some),
            ..MessageView::rest(&message)
        };
        let reply = Reply::Json(200, json(&view));
        let event = self.message_event(EventName::MessageCreate, view, &member, place.kind);
        let sent = nonce.map(|nonce| Sent { author: author.id, channel, nonce: nonce.clone(), reply: reply.clone() });
        let plan = Plan::answer(reply).write(Write::CreateMessage(Box::new(message))).event(event);
        let plan = plan.effect(Effect::Newest(channel, id));
        Ok(match sent {
            Some(sent) => plan.effect(Effect::Sent(sent)),
            None => plan,
        })
    }

    fn plan_edit_message(
        &self,
        channel: ChannelId,
        id: MessageId,
        patch: &MessagePatch,
        at: &PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let place = self.channel_for(&acting, channel, Permissions::empty())?;
        let before = self.message(channel, id, at)?;
        if before.extra.kind == PIN_NOTICE {
            return Err(Refusal::SYSTEM_MESSAGE.into());
        }
        let granted = self.in_channel(&acting, channel);
        let author = acting.user() == Some(before.author.id);
        if !author {
            let only_flags = patch.content.is_none() && patch.embeds.is_none() && patch.components.is_none();
            if !only_flags {
                return Err(Refusal::NOT_THE_AUTHOR.into());
            }
            if !granted.contains(Permissions::MANAGE_MESSAGES) {
                return Err(Refusal::MISSING_PERMISSIONS.into());
            }
        }
        let mut message = before.clone();
        if let Some(content) = &patch.content {
            message.content.clone_from(content);
            message.edited_at_ms = Some(at.now.millis());
        }
        if let Some(embeds) = &patch.embeds
            && granted.contains(Permissions::EMBED_LINKS)
        {
            message.extra.embeds.clone_from(embeds);
            message.edited_at_ms = Some(at.now.millis());
        }
        if let Some(components) = &patch.components {
            message.extra.components.clone_from(components);
        }
        if let Some(flags) = patch.flags {
            message.extra.flags = message.extra.flags & !SUPPRESS_EMBEDS | flags & SUPPRESS_EMBEDS;
        }
        if message.content.is_empty() && message.extra.embeds.is_empty() && message.extra.components.is_empty() {
            return Err(Refusal::EMPTY_MESSAGE.into());
        }
        if patch.content.is_some() {
            let content = message.content.clone();
            self.fill_mentions(&mut message.extra, &content, &patch.allowed_mentions, None, granted, at)?;
        }
        // The author's membership goes with the event; an author who has left is shown as a bare user's member.
        let member = self.author_member(&acting, &message)?;
        let view = MessageView::rest(&message);
        let reply = Reply::Json(200, json(&view));
        let event = self.message_event(EventName::MessageUpdate, view, &member, place.kind);
        let plan = Plan::answer(reply).if_gone(Refusal::UNKNOWN_MESSAGE);
        Ok(plan.write(Write::EditMessage(Box::new(message))).event(event))
    }

    fn plan_delete_message(&self, channel: ChannelId, id: MessageId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        self.channel_for(&acting, channel, Permissions::empty())?;
        let message = self.message(channel, id, at)?;
        let own = acting.user() == Some(message.author.id);
        if !own && !self.in_channel(&acting, channel).contains(Permissions::MANAGE_MESSAGES) {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        let body = json!({ "id": id, "channel_id": channel, "guild_id": self.id() });
        let event = self.event(EventName::MessageDelete, Scope::Channel(channel), &body);
        let plan = Plan::done().if_gone(Refusal::UNKNOWN_MESSAGE);
        Ok(plan.write(Write::DeleteMessage(channel, id)).event(event).effect(Effect::Unpinned(channel, id)))
    }

    fn plan_bulk_delete(&self, channel: ChannelId, ids: &[MessageId], at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        self.channel_for(&acting, channel, Permissions::MANAGE_MESSAGES)?;
        if !(2..=100).contains(&ids.len()) {
            return Err(Refusal::BULK_DELETE_COUNT.into());
        }
        let oldest = at.now.millis().saturating_sub(BULK_DELETE_AGE_MS);
        if ids.iter().any(|id| id.unix_ms() < oldest) {
            return Err(Refusal::BULK_DELETE_TOO_OLD.into());
        }
        // Ids that are not there are ignored, as documented.
        let mut plan = Plan::done().if_gone(Refusal::UNKNOWN_MESSAGE);
        let mut gone: Vec<MessageId> = Vec::new();
        for id in ids {
            let Found::Message(found) = at.look_up(Query::Message(channel, *id))? else {
                unreachable!("a message was asked for")
            };
            if found.is_some() && !gone.contains(id) {
                plan = plan.write(Write::DeleteMessage(channel, *id)).effect(Effect::Unpinned(channel, *id));
                gone.push(*id);
            }
        }
        if gone.is_empty() {
            return Ok(plan);
        }
        let body = json!({ "ids": gone, "channel_id": channel, "guild_id": self.id() });
        Ok(plan.event(self.event(EventName::MessageDeleteBulk, Scope::Channel(channel), &body)))
    }

    fn plan_get_message(&self, channel: ChannelId, id: MessageId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        if !self.may_read_history(channel, at)? {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        Ok(Plan::answer(Reply::Read(Query::Message(channel, id), Shape::Message)))
    }

    fn plan_list_messages(
        &self,
        channel: ChannelId,
        anchor: Anchor,
        limit: u32,
        at: &PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        if !self.may_read_history(channel, at)? {
            return Ok(Plan::json(200, &[(); 0]));
        }
        Ok(Plan::answer(Reply::Read(Query::Messages { channel, anchor, limit }, Shape::Messages)))
    }

    /// Refuses who does not see the channel.
    pub(super) fn may_read_history(&self, channel: ChannelId, at: &PlanContext<'_>) -> Result<bool, Stop> {
        let acting = self.acting(at)?;
        self.channel_for(&acting, channel, Permissions::empty())?;
        Ok(self.in_channel(&acting, channel).contains(Permissions::READ_MESSAGE_HISTORY))
    }

    /// An event with a message in it: the full rendering, and the blank one for those who may not read the text.
    pub(super) fn message_event(
        &self,
        name: EventName,
        view: MessageView<'_>,
        member: &Member,
        kind: ChannelKind,
    ) -> Event {
        let message = view.message;
        let gateway = MessageView { gateway: Some((member, kind)), ..view };
        let blank = json(&MessageView { blank: true, ..gateway });
        let mut open_to: SmallVec<[UserId; 2]> = message.extra.mentions.iter().map(|user| user.id).collect();
        open_to.push(message.author.id);
        open_to.sort_unstable();
        open_to.dedup();
        let mark = (name == EventName::MessageCreate).then(|| {
            let roles = message.extra.mention_roles.iter().copied().collect();
            Mark { message: message.id, everyone: message.extra.mention_everyone, roles }
        });
        let event = self.event(name, Scope::Channel(message.channel_id), &gateway);
        event.with_text(Text { blank, open_to, mark })
    }

    fn referenced(
        &self,
        reference: &Reference,
        channel: ChannelId,
        granted: Permissions,
        at: &PlanContext<'_>,
    ) -> Result<Option<Message>, Stop> {
        if reference.channel_id.is_some_and(|other| other != channel)
            || reference.guild_id.is_some_and(|other| other != self.id())
        {
            let message = "Cannot reply to a message in a different channel";
            return Err(
                FormErrors::one(&["message_reference"], "REPLIES_CANNOT_REFERENCE_OTHER_CHANNEL", message).into()
            );
        }
        if !granted.contains(Permissions::READ_MESSAGE_HISTORY) {
            return Err(Refusal::REPLY_WITHOUT_HISTORY.into());
        }
        match at.look_up(Query::Message(channel, reference.message_id))? {
            Found::Message(Some(message)) => Ok(Some((**message).clone())),
            _ if reference.fail_if_not_exists => {
                Err(FormErrors::one(&["message_reference"], "REPLIES_UNKNOWN_MESSAGE", "Unknown message").into())
            }
            _ => Ok(None),
        }
    }

    /// Works out which mentions of a text take effect.
    fn fill_mentions(
        &self,
        extra: &mut Extra,
        text: &str,
        allowed: &AllowedMentions,
        replied: Option<UserId>,
        granted: Permissions,
        at: &PlanContext<'_>,
    ) -> Result<(), Stop> {
        let Named { users, roles, everyone } = mention::named(text);
        let may_mention_all = granted.contains(Permissions::MENTION_EVERYONE);
        extra.mention_everyone = everyone && allowed.everyone && may_mention_all;
        extra.mention_roles = roles
            .into_iter()
            .filter(|role| allowed.all_roles || allowed.roles.contains(role))
            .filter(|role| self.facts.roles.get(role).is_some_and(|found| found.mentionable || may_mention_all))
            .collect();
        let mut wanted: Vec<UserId> =
            users.into_iter().filter(|user| allowed.all_users || allowed.users.contains(user)).collect();
        if let Some(replied) = replied
            && !wanted.contains(&replied)
        {
            wanted.push(replied);
        }
        if wanted.is_empty() {
            extra.mentions = Vec::new();
            return Ok(());
        }
        let known = |user: &UserId| -> Option<User> {
            self.cached.get(user)?.member.as_ref().map(|member| member.member().user)
        };
        if let Some(mentions) = wanted.iter().map(known).collect::<Option<Vec<User>>>() {
            extra.mentions = mentions;
            return Ok(());
        }
        let Found::Users(found) = at.look_up(Query::Users(wanted))? else { unreachable!("users were asked for") };
        extra.mentions.clone_from(found);
        Ok(())
    }

    pub(super) fn message<'a>(
        &self,
        channel: ChannelId,
        id: MessageId,
        at: &'a PlanContext<'_>,
    ) -> Result<&'a Message, Stop> {
        match at.look_up(Query::Message(channel, id))? {
            Found::Message(Some(message)) => Ok(message),
            _ => Err(Refusal::UNKNOWN_MESSAGE.into()),
        }
    }

    pub(super) fn author_member(&self, acting: &Acting, message: &Message) -> Result<Member, Stop> {
        if acting.user() == Some(message.author.id) {
            return Ok((**acting.member()?).clone());
        }
        match self.member(message.author.id) {
            Ok(member) => Ok((*member).clone()),
            Err(Stop::Refused(_)) => Ok(Member::new(message.author.clone(), message.id.unix_ms())),
            Err(needs) => Err(needs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Time;
    use crate::base::id::{GuildId, Mint};
    use crate::guild::founding::found;
    use crate::mail::ask::claim::Claim;
    use crate::mail::ask::{Actor, GuildRequest};
    use crate::mail::placement::VirtualShard;

    #[test]
    fn a_nonce_is_answered_again_only_once_its_message_is_kept() {
        let owner = User { id: UserId::new(7), username: "ann".into(), global_name: None, avatar: None, bot: false };
        let mut mint = Mint::inside();
        let shard = VirtualShard::of(GuildId::new(1));
        let (record, _) = found(shard, owner.clone(), "Town".to_owned(), 1_800_000_000_000, &mut mint);
        let channel = record.channels.iter().find(|channel| channel.kind == ChannelKind::Text).expect("one").id;
        let mut guild = Guild::load(record);
        guild.remember(owner.id, Some(Member::new(owner.clone(), 0).into()), true);
        let allowed_mentions = AllowedMentions {
            all_users: false,
            all_roles: false,
            everyone: false,
            users: Vec::new(),
            roles: Vec::new(),
            replied_user: false,
        };
        let draft = MessageDraft {
            content: "once".to_owned(),
            nonce: Some("n".into()),
            enforce_nonce: true,
            tts: false,
            embeds: Vec::new(),
            components: Vec::new(),
            allowed_mentions,
            reference: None,
            flags: 0,
        };
        let (actor, request) = (Actor::User(owner.id), GuildRequest::from(MessageRequest::Create(channel, draft)));
        assert!(matches!(request.claims(actor)[..], [Claim::Nonce(..)]), "the second waits for the first");
        let plan = |guild: &Guild| {
            let now = Time::from_millis(1_800_000_000_000);
            let mut at = PlanContext { now, actor, reason: None, loaded: &Vec::new(), mint: mint.clone(), random: 0 };
            guild.plan(&request, &mut at).expect("it may be sent")
        };
        let first = plan(&guild);
        assert_eq!(first.writes().len(), 1);
        let second = plan(&guild);
        assert_eq!(second.writes().len(), 1, "the first was never written, so it is no answer");
        guild.commit(&second);
        let third = plan(&guild);
        assert_eq!((third.writes().len(), third.reply()), (0, second.reply()));
    }
}
