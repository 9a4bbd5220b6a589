//! Permission overwrites, one at a time. Source: Discord docs, Resources/Channel/Edit Channel Permissions.
//!
//! Lives on: the guild's core.

use crate::base::id::{ChannelId, RoleId};
use crate::guild::Guild;
use crate::guild::plan::{Plan, PlanContext, Stop};
use crate::mail::ask::Reply;
use crate::model::channel::{Overwrite, OverwriteKind};
use crate::model::permissions::Permissions;
use crate::wire::event::EventName;
use crate::wire::refusal::Refusal;

impl Guild {
    pub(super) fn plan_put_overwrite(
        &self,
        id: ChannelId,
        overwrite: Overwrite,
        at: &PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let before = self.channel_for(&acting, id, Permissions::MANAGE_ROLES)?;
        if overwrite.kind == OverwriteKind::Role && !self.facts.roles.contains_key(&RoleId::new(overwrite.id)) {
            return Err(Refusal::UNKNOWN_ROLE.into());
        }
        let mut channel = self.with_newest(before);
        match channel.overwrites.iter_mut().find(|old| (old.kind, old.id) == (overwrite.kind, overwrite.id)) {
            Some(old) => *old = overwrite,
            None => channel.overwrites.push(overwrite),
        }
        self.may_set_overwrites(&acting, &before.overwrites, &channel.overwrites, self.in_channel(&acting, id))?;
        Ok(self.put_channel(EventName::ChannelUpdate, channel, 200).replying(Reply::Done))
    }

    pub(super) fn plan_delete_overwrite(
        &self,
        id: ChannelId,
        overwrite: u64,
        at: &PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let before = self.channel_for(&acting, id, Permissions::MANAGE_ROLES)?;
        let mut channel = self.with_newest(before);
        channel.overwrites.retain(|old| old.id != overwrite);
        if channel.overwrites.len() == before.overwrites.len() {
            return Err(Refusal::UNKNOWN_OVERWRITE.into());
        }
        self.may_set_overwrites(&acting, &before.overwrites, &channel.overwrites, self.in_channel(&acting, id))?;
        Ok(self.put_channel(EventName::ChannelUpdate, channel, 200).replying(Reply::Done))
    }
}
