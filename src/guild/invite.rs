//! Invites: make, read, use, withdraw. Source: Discord docs, Resources/Invite.
//!
//! Lives on: the guild's core. Invites are not kept in memory.

use serde_json::json;

use crate::base::clock;
use crate::base::id::ChannelId;
use crate::guild::Guild;
use crate::guild::plan::{Plan, PlanContext, Stop};
use crate::limits;
use crate::mail::ask::invite::InviteRequest;
use crate::mail::event::Scope;
use crate::model::invite::Invite;
use crate::model::permissions::Permissions;
use crate::store::{Found, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::invite::render;
use crate::wire::model::user::UserView;
use crate::wire::refusal::Refusal;
use crate::wire::request::invite::InviteDraft;

impl Guild {
    pub(super) fn plan_invite(&self, request: &InviteRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        use InviteRequest as R;
        match request {
            R::Create(channel, draft) => self.plan_create_invite(*channel, draft, at),
            R::Get { code, with_counts } => self.plan_get_invite(code, *with_counts, at),
            R::Accept { code } => self.plan_accept_invite(code, at),
            R::Delete { code } => self.plan_delete_invite(code, at),
            R::List(channel) => self.plan_list_invites(*channel, at),
        }
    }

    fn plan_create_invite(
        &self,
        channel: ChannelId,
        draft: &InviteDraft,
        at: &mut PlanContext<'_>,
    ) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        self.channel_for(&acting, channel, Permissions::CREATE_INSTANT_INVITE)?;
        let inviter = acting.member()?.user.clone();
        let Found::Invites(existing) = at.look_up(Query::Invites(self.id()))? else {
            unreachable!("invites were asked for")
        };
        if !draft.unique {
            let equal = existing.iter().find(|invite| {
                (invite.channel_id, invite.inviter.id) == (channel, inviter.id)
                    && (invite.max_age, invite.max_uses, invite.temporary)
                        == (draft.max_age, draft.max_uses, draft.temporary)
                    && !invite.is_spent(at.now.millis())
            });
            if let Some(invite) = equal {
                return Ok(Plan::json(200, &self.full(invite, false)?));
            }
        }
        if existing.len() >= limits::GUILD_INVITES_MAX {
            return Err(Refusal::TOO_MANY_INVITES.into());
        }
        let invite = Invite {
            code: code(at.random),
            guild_id: self.id(),
            channel_id: channel,
            inviter,
            created_at_ms: at.now.millis(),
            max_age: draft.max_age,
            max_uses: draft.max_uses,
            uses: 0,
            temporary: draft.temporary,
        };
        let body = json!({
            "channel_id": channel,
            "guild_id": self.id(),
            "code": invite.code,
            "created_at": clock::iso8601(invite.created_at_ms),
            "inviter": UserView(&invite.inviter),
            "max_age": invite.max_age,
            "max_uses": invite.max_uses,
            "temporary": invite.temporary,
            "uses": 0,
            "expires_at": invite.expires_at_ms().map(clock::iso8601),
        });
        let event = self.event(EventName::InviteCreate, managers(channel), &body);
        let plan = Plan::json(200, &self.full(&invite, false)?);
        Ok(plan.write(Write::PutInvite(Box::new(invite))).event(event))
    }

    fn plan_get_invite(&self, code: &str, with_counts: bool, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let invite = self.invite(code, at)?;
        Ok(Plan::json(200, &self.full(invite, with_counts)?))
    }

    fn plan_accept_invite(&self, code: &str, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let user = at.actor.user().ok_or(Refusal::UNKNOWN_USER)?;
        let invite = self.invite(code, at)?;
        let mut answer = self.full(invite, false)?;
        match self.member(user) {
            Ok(_) => return Ok(Plan::json(200, &answer)),
            Err(Stop::Refused(_)) => {}
            Err(needs) => return Err(needs),
        }
        let Found::Users(users) = at.look_up(Query::Users(vec![user]))? else { unreachable!("users were asked for") };
        let user = users.first().ok_or(Refusal::UNKNOWN_USER)?;
        if user.bot {
            return Err(Refusal::BOTS_MAY_NOT.into());
        }
        answer["new_member"] = true.into();
        // Refused by the store if another request had the last use meanwhile.
        let plan = Plan::json(200, &answer).if_gone(Refusal::UNKNOWN_INVITE);
        let plan = plan.write(Write::UseInvite { code: code.to_owned(), unix_ms: at.now.millis() });
        Ok(plan.and(self.add(user.clone(), at)))
    }

    fn plan_delete_invite(&self, code: &str, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        let invite = self.invite(code, at)?;
        let own = acting.user() == Some(invite.inviter.id);
        let manages = acting.permissions().contains(Permissions::MANAGE_GUILD)
            || self.in_channel(&acting, invite.channel_id).contains(Permissions::MANAGE_CHANNELS);
        if !own && !manages {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        let body = json!({ "channel_id": invite.channel_id, "guild_id": self.id(), "code": code });
        let event = self.event(EventName::InviteDelete, managers(invite.channel_id), &body);
        let plan = Plan::json(200, &self.full(invite, false)?).if_gone(Refusal::UNKNOWN_INVITE);
        Ok(plan.write(Write::DeleteInvite(code.to_owned())).event(event))
    }

    fn plan_list_invites(&self, channel: Option<ChannelId>, at: &PlanContext<'_>) -> Result<Plan, Stop> {
        let acting = self.acting(at)?;
        match channel {
            Some(channel) => {
                self.channel_for(&acting, channel, Permissions::MANAGE_CHANNELS)?;
            }
            None => acting.require(Permissions::MANAGE_GUILD)?,
        }
        let Found::Invites(invites) = at.look_up(Query::Invites(self.id()))? else {
            unreachable!("invites were asked for")
        };
        let now = at.now.millis();
        let full: Vec<_> = invites
            .iter()
            .filter(|invite| channel.is_none_or(|channel| invite.channel_id == channel) && !invite.is_spent(now))
            .filter_map(|invite| self.full(invite, false).ok())
            .collect();
        Ok(Plan::json(200, &full))
    }

    fn invite<'a>(&self, code: &str, at: &'a PlanContext<'_>) -> Result<&'a Invite, Stop> {
        match at.look_up(Query::Invite(code.to_owned()))? {
            Found::Invite(Some(invite)) if invite.guild_id == self.id() && !invite.is_spent(at.now.millis()) => {
                Ok(invite)
            }
            _ => Err(Refusal::UNKNOWN_INVITE.into()),
        }
    }

    fn full(&self, invite: &Invite, with_counts: bool) -> Result<serde_json::Value, Stop> {
        let channel = self.facts.channels.get(&invite.channel_id).ok_or(Refusal::UNKNOWN_INVITE)?;
        Ok(render(invite, &self.facts.guild, channel, with_counts.then(|| self.counts())))
    }
}

/// Who is sent an invite's events.
fn managers(channel: ChannelId) -> Scope {
    Scope::Permitted { channel: Some(channel), permission: Permissions::MANAGE_CHANNELS }
}

/// A new invite's code: ten characters of base 62, 59 bits.
pub fn code(random: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = random;
    (0..10)
        .map(|_| {
            let digit = DIGITS[(rest % 62) as usize];
            rest /= 62;
            char::from(digit)
        })
        .collect()
}
