//! Channels: list, make, change, move, delete. Source: Discord docs, Resources/Channel and Resources/Guild.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use crate::base::id::ChannelId;
use crate::guild::Guild;
use crate::guild::acting::Acting;
use crate::guild::plan::{Plan, PlanContext, Stop};
use crate::guild::settings::set;
use crate::limits;
use crate::mail::ask::Reply;
use crate::mail::ask::channel::ChannelRequest;
use crate::mail::event::{Change, Scope};
use crate::model::channel::{Channel, ChannelKind, Overwrite};
use crate::model::permissions::Permissions;
use crate::store::Write;
use crate::wire::event::EventName;
use crate::wire::model::channel::ChannelView;
use crate::wire::model::rendered;
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::channel::{ChannelDraft, ChannelMove, ChannelPatch};

impl Guild {
    pub(super) fn plan_channel(&self, request: &ChannelRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        use ChannelRequest as R;
        match request {
            R::List => self.plan_list_channels(at),
            R::Create(draft) => self.plan_create_channel(draft, at),
            R::Move(moves) => self.plan_move_channels(moves, at),
            R::Get(channel) => self.plan_get_channel(*channel, at),
            R::Modify(channel, patch) => self.plan_modify_channel(*channel, patch, at),
            R::Delete(channel) => self.plan_delete_channel(*channel, at),
            R::PutOverwrite(channel, overwrite) => self.plan_put_overwrite(*channel, *overwrite, at),
            R::DeleteOverwrite(channel, id) => self.plan_delete_overwrite(*channel, *id, at),
        }
    }

    /// Channels by position, then id.
    pub(super) fn channels_in_order(&self) -> impl Iterator<Item = &Arc<Channel>> {
        let mut channels: Vec<_> = self.facts.channels.values().collect();
        channels.sort_by_key(|channel| (channel.position, channel.id));
        channels.into_iter()
    }

    /// A channel with its newest message and pin, which are not kept in the record.
    pub(super) fn with_newest(&self, channel: &Channel) -> Channel {
        let last_message_id = self.last_messages.get(&channel.id).copied();
        let last_pin_ms = self.pins.last_ms(channel.id);
        Channel { last_message_id, last_pin_ms, ..channel.clone() }
    }

    fn plan_list_channels(&self, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        self.acting(at)?;
        let channels: Vec<Channel> = self.channels_in_order().map(|channel| self.with_newest(channel)).collect();
        Ok(Plan::json(200, &rendered(channels.iter().map(ChannelView))))
    }

    fn plan_get_channel(&self, channel: ChannelId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let channel = self.channel_for(&acting, channel, Permissions::empty())?;
        Ok(Plan::json(200, &ChannelView(&self.with_newest(channel))))
    }

    fn plan_create_channel(&self, draft: &ChannelDraft, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_CHANNELS)?;
        if self.facts.channels.len() >= limits::GUILD_CHANNELS_MAX {
            return Err(Refusal::TOO_MANY_CHANNELS.into());
        }
        let parent = self.category(draft.parent_id, draft.kind)?;
        let overwrites = match &draft.overwrites {
            Some(overwrites) => {
                self.may_set_overwrites(&acting, &[], overwrites, acting.permissions())?;
                overwrites.clone()
            }
            None => parent.map(|parent| parent.overwrites.clone()).unwrap_or_default(),
        };
        let behind = self.facts.channels.values().map(|channel| channel.position + 1).max().unwrap_or(0);
        let mut channel = Channel {
            topic: draft.topic.clone(),
            position: draft.position.unwrap_or(behind),
            parent_id: draft.parent_id,
            nsfw: draft.nsfw,
            rate_limit_per_user: draft.rate_limit_per_user,
            overwrites,
            ..Channel::new(self.mint(at), self.id(), draft.kind, draft.name.clone())
        };
        if draft.kind.has_voice() {
            set(&mut channel.bitrate, &draft.bitrate);
            set(&mut channel.user_limit, &draft.user_limit);
        }
        Ok(self.put_channel(EventName::ChannelCreate, channel, 201))
    }

    fn plan_modify_channel(&self, id: ChannelId, patch: &ChannelPatch, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let before = self.channel_for(&acting, id, Permissions::MANAGE_CHANNELS)?;
        let mut channel = self.with_newest(before);
        if let Some(kind) = patch.kind
            && kind != channel.kind
        {
            let both_plain = |kind| matches!(kind, ChannelKind::Text | ChannelKind::Announcement);
            if !(both_plain(kind) && both_plain(channel.kind)) {
                return Err(FormErrors::one(&["type"], "CHANNEL_TYPE_INVALID", "Cannot convert to this type.").into());
            }
            channel.kind = kind;
        }
        if let Some(parent) = patch.parent_id {
            self.category(parent, channel.kind)?;
            channel.parent_id = parent;
        }
        if let Some(overwrites) = &patch.overwrites {
            let granted = self.in_channel(&acting, id);
            self.may_set_overwrites(&acting, &channel.overwrites, overwrites, granted)?;
            channel.overwrites.clone_from(overwrites);
        }
        set(&mut channel.name, &patch.name);
        set(&mut channel.topic, &patch.topic);
        set(&mut channel.position, &patch.position);
        set(&mut channel.nsfw, &patch.nsfw);
        set(&mut channel.rate_limit_per_user, &patch.rate_limit_per_user);
        if channel.kind.has_voice() {
            set(&mut channel.bitrate, &patch.bitrate);
            set(&mut channel.user_limit, &patch.user_limit);
        }
        let mut plan = self.put_channel(EventName::ChannelUpdate, channel.clone(), 200);
        if before.kind == ChannelKind::Category && channel.overwrites != before.overwrites {
            // Children that were in step with the category stay in step. Source: Topics/Permissions/Permission Syncing.
            for child in self.facts.channels.values() {
                if child.parent_id == Some(id) && child.overwrites == before.overwrites {
                    let child = Channel { overwrites: channel.overwrites.clone(), ..self.with_newest(child) };
                    plan = plan.and(self.put_channel(EventName::ChannelUpdate, child, 200));
                }
            }
        }
        Ok(plan)
    }

    fn plan_move_channels(&self, moves: &[ChannelMove], at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_CHANNELS)?;
        let mut plan = Plan::done();
        for step in moves {
            let before = self.facts.channels.get(&step.id).ok_or(Refusal::UNKNOWN_CHANNEL)?;
            let mut channel = self.with_newest(before);
            set(&mut channel.position, &step.position);
            if let Some(parent) = step.parent_id {
                let category = self.category(parent, channel.kind)?;
                channel.parent_id = parent;
                if step.lock_permissions
                    && let Some(category) = category
                {
                    self.may_set_overwrites(&acting, &channel.overwrites, &category.overwrites, acting.permissions())?;
                    channel.overwrites.clone_from(&category.overwrites);
                }
            }
            if channel != self.with_newest(before) {
                plan = plan.and(self.put_channel(EventName::ChannelUpdate, channel, 200));
            }
        }
        Ok(plan)
    }

    fn plan_delete_channel(&self, id: ChannelId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let channel = self.with_newest(self.channel_for(&acting, id, Permissions::MANAGE_CHANNELS)?);
        let mut plan = Plan::json(200, &ChannelView(&channel));
        for child in self.facts.channels.values().filter(|child| child.parent_id == Some(id)) {
            let orphan = Channel { parent_id: None, ..self.with_newest(child) };
            plan = plan.and(self.put_channel(EventName::ChannelUpdate, orphan, 200));
        }
        let guild = &self.facts.guild;
        if [guild.afk_channel_id, guild.system_channel_id, guild.rules_channel_id, guild.public_updates_channel_id]
            .contains(&Some(id))
        {
            let mut guild = (**guild).clone();
            for used in [
                &mut guild.afk_channel_id,
                &mut guild.system_channel_id,
                &mut guild.rules_channel_id,
                &mut guild.public_updates_channel_id,
            ] {
                if *used == Some(id) {
                    *used = None;
                }
            }
            let body =
                crate::wire::model::guild::RestGuild { guild: &guild, roles: self.roles_in_order(), counts: None };
            let change = Change::Guild(Arc::new(guild.clone()));
            let event = self.event(EventName::GuildUpdate, Scope::Guild, &body).changing(change);
            plan = plan.write(Write::PutGuild(Box::new(guild))).event(event);
        }
        let event = self
            .event(EventName::ChannelDelete, Scope::Channel(id), &ChannelView(&channel))
            .changing(Change::ChannelGone(id));
        Ok(plan.write(Write::DeleteChannel(self.id(), id)).event(event))
    }

    /// Writes a channel, tells those who may view it, and answers with it.
    pub(super) fn put_channel(&self, name: EventName, channel: Channel, status: u16) -> Plan {
        let change = Change::Channel(Arc::new(channel.clone()));
        let event = self.event(name, Scope::Channel(channel.id), &ChannelView(&channel)).changing(change);
        let reply = Reply::Json(status, event.body.clone());
        Plan::answer(reply).write(Write::PutChannel(Box::new(channel))).event(event)
    }

    /// Refuses overwrites that give or take what the actor does not have itself, and too many of them.
    /// `granted` is what the actor has where the overwrites will apply.
    pub(super) fn may_set_overwrites(
        &self,
        acting: &Acting,
        before: &[Overwrite],
        after: &[Overwrite],
        granted: Permissions,
    ) -> Result<(), Refusal> {
        if after.len() > limits::CHANNEL_OVERWRITES_MAX {
            return Err(Refusal::TOO_MANY_OVERWRITES);
        }
        if before == after {
            return Ok(());
        }
        if !granted.contains(Permissions::MANAGE_ROLES) {
            return Err(Refusal::MISSING_PERMISSIONS);
        }
        let same = |one: &Overwrite, other: &Overwrite| (one.kind, one.id) == (other.kind, other.id);
        let changed = after.iter().map(|overwrite| {
            let old = before.iter().find(|old| same(old, overwrite));
            let (allow, deny) = old.map_or_else(Default::default, |old| (old.allow, old.deny));
            (overwrite.allow ^ allow) | (overwrite.deny ^ deny)
        });
        // Without a denial everybody has what it denied.
        let taken_away = before.iter().filter(|old| !after.iter().any(|overwrite| same(old, overwrite)));
        for touched in changed.chain(taken_away.map(|old| old.allow | old.deny)) {
            if !granted.contains(touched) {
                return Err(Refusal::MISSING_PERMISSIONS);
            }
            // Handing on the right to set overwrites takes an administrator.
            if touched.contains(Permissions::MANAGE_ROLES) && !acting.permissions().contains(Permissions::ADMINISTRATOR)
            {
                return Err(Refusal::MISSING_PERMISSIONS);
            }
        }
        Ok(())
    }

    fn category(&self, parent: Option<ChannelId>, kind: ChannelKind) -> Result<Option<&Arc<Channel>>, Refusal> {
        let Some(parent) = parent else { return Ok(None) };
        match self.facts.channels.get(&parent) {
            Some(category) if category.kind == ChannelKind::Category && kind != ChannelKind::Category => {
                Ok(Some(category))
            }
            _ => Err(FormErrors::one(&["parent_id"], "CHANNEL_PARENT_INVALID", "Category does not exist")),
        }
    }
}
