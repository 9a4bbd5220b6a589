//! Typing indicators. Source: Discord docs, Gateway Events/Typing Start.
//!
//! Lives on: the guild's core. Never kept.

use serde_json::json;

use crate::base::id::ChannelId;
use crate::guild::Guild;
use crate::guild::plan::{Plan, PlanContext, Stop};
use crate::mail::event::Scope;
use crate::model::permissions::Permissions;
use crate::wire::event::EventName;
use crate::wire::model::member::MemberView;

impl Guild {
    pub(super) fn plan_typing(&self, channel: ChannelId, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        self.channel_for(&acting, channel, Permissions::SEND_MESSAGES)?;
        let member = acting.member()?;
        let body = json!({
            "channel_id": channel,
            "guild_id": self.id(),
            "user_id": member.user.id,
            "timestamp": at.now.millis() / 1_000,
            "member": MemberView(member),
        });
        Ok(Plan::done().event(self.event(EventName::TypingStart, Scope::Channel(channel), &body)))
    }
}
