//! The guild's own settings: read, change, delete, refresh. Source: Discord docs, Resources/Guild.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use crate::guild::plan::{Effect, Plan, PlanContext, Stop};
use crate::guild::{Guild, json};
use crate::mail::ask::guild::SettingsRequest;
use crate::mail::ask::{Actor, Reply};
use crate::mail::event::{Change, Scope};
use crate::model::permissions::Permissions;
use crate::store::{Found, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::guild::RestGuild;
use crate::wire::refusal::{FormErrors, Refusal};
use crate::wire::request::guild::GuildPatch;

impl Guild {
    pub(super) fn plan_settings(&self, request: &SettingsRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        use SettingsRequest as R;
        match request {
            R::Get { with_counts } => self.plan_get(*with_counts, at),
            R::Modify(patch) => self.plan_modify(patch, at),
            R::Delete => self.plan_delete(at),
            R::Refresh => self.plan_refresh(at),
        }
    }

    fn plan_get(&self, with_counts: bool, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        self.acting(at)?;
        Ok(Plan::json(200, &self.rest(with_counts)))
    }

    fn plan_modify(&self, patch: &GuildPatch, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        acting.require(Permissions::MANAGE_GUILD)?;
        let mut guild = (*self.facts.guild).clone();
        if let Some(owner) = patch.owner_id
            && owner != guild.owner_id
        {
            if !self.is_owner(&acting) {
                return Err(Refusal::MISSING_PERMISSIONS.into());
            }
            guild.owner_id = self.member(owner)?.user.id;
        }
        let mut errors = FormErrors::default();
        for (field, channel) in [
            ("afk_channel_id", patch.afk_channel_id),
            ("system_channel_id", patch.system_channel_id),
            ("rules_channel_id", patch.rules_channel_id),
            ("public_updates_channel_id", patch.public_updates_channel_id),
        ] {
            if let Some(Some(channel)) = channel
                && !self.facts.channels.contains_key(&channel)
            {
                errors.add(&[field], "CHANNEL_ID_INVALID", "Channel is not in this guild.");
            }
        }
        errors.finish()?;
        set(&mut guild.name, &patch.name);
        set(&mut guild.description, &patch.description);
        set(&mut guild.icon, &patch.icon);
        set(&mut guild.verification_level, &patch.verification_level);
        set(&mut guild.default_message_notifications, &patch.default_message_notifications);
        set(&mut guild.explicit_content_filter, &patch.explicit_content_filter);
        set(&mut guild.afk_channel_id, &patch.afk_channel_id);
        set(&mut guild.afk_timeout, &patch.afk_timeout);
        set(&mut guild.system_channel_id, &patch.system_channel_id);
        set(&mut guild.system_channel_flags, &patch.system_channel_flags);
        set(&mut guild.rules_channel_id, &patch.rules_channel_id);
        set(&mut guild.public_updates_channel_id, &patch.public_updates_channel_id);
        set(&mut guild.preferred_locale, &patch.preferred_locale);
        let body = RestGuild { guild: &guild, roles: self.roles_in_order(), counts: None };
        let change = Change::Guild(Arc::new(guild.clone()));
        let event = self.event(EventName::GuildUpdate, Scope::Guild, &body).changing(change);
        let reply = Reply::Json(200, event.body.clone());
        Ok(Plan::answer(reply).write(Write::PutGuild(Box::new(guild))).event(event))
    }

    fn plan_delete(&self, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        if !self.is_owner(&acting) {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        // The relays send their sessions a GUILD_DELETE of their own.
        let body = serde_json::json!({ "id": self.id() });
        let event = self.event(EventName::GuildDelete, Scope::None, &body).changing(Change::Deleted);
        Ok(Plan::done().write(Write::DeleteGuild(self.id())).event(event))
    }

    /// The operator wrote to the store beside the server: the count and members who are not online are read anew.
    fn plan_refresh(&self, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        if !matches!(at.actor, Actor::Operator | Actor::System) {
            return Err(Refusal::NOT_FOUND.into());
        }
        let Found::Guild(Some(record)) = at.look_up(Query::Guild(self.id()))? else {
            return Err(Refusal::UNKNOWN_GUILD.into());
        };
        Ok(Plan::done().effect(Effect::Refresh { member_count: record.member_count }))
    }

    /// Forgets what may have changed in the store beside the server.
    pub(super) fn refresh(&mut self, member_count: u64) {
        self.member_count = member_count;
        self.cached.retain(|_, cached| !cached.sessions.is_empty());
        self.lists.renew_all_members();
        self.common = None;
    }

    pub(super) fn rest(&self, with_counts: bool) -> RestGuild<'_> {
        RestGuild { guild: &self.facts.guild, roles: self.roles_in_order(), counts: with_counts.then(|| self.counts()) }
    }

    /// The REST guild, as JSON.
    pub fn rest_json(&self) -> bytes::Bytes {
        json(&self.rest(false))
    }
}

/// Sets a field if the patch has it.
pub(super) fn set<T: Clone>(field: &mut T, patch: &Option<T>) {
    if let Some(value) = patch {
        field.clone_from(value);
    }
}
