//! Invites: make, read, use, withdraw. Source: Discord docs, Resources/Invite.
//!
//! Lives on: the guild's core. Invites are not kept in memory.

use serde_json::json;

use crate::base::clock;
use crate::base::id::ChannelId;
use crate::guild::{Circumstances, Guild, Halt, Plan};
use crate::limits;
use crate::mail::ask::{Actor, Reply};
use crate::mail::event::Scope;
use crate::store::{Found, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::invite::Invite;
use crate::wire::permissions::Permissions;
use crate::wire::refusal::Refusal;
use crate::wire::request::invite::InviteDraft;

impl Guild {
    pub(super) fn plan_create_invite(
        &self,
        channel: ChannelId,
        draft: &InviteDraft,
        at: &mut Circumstances<'_>,
    ) -> Result<Plan, Halt> {
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
            "inviter": invite.inviter,
            "max_age": invite.max_age,
            "max_uses": invite.max_uses,
            "temporary": invite.temporary,
            "uses": 0,
            "expires_at": invite.expires_at_ms().map(clock::iso8601),
        });
        let event = self.event(EventName::InviteCreate, Scope::ChannelManagers(channel), &body, None);
        let reply = Plan::json(200, &self.full(&invite, false)?).reply;
        let writes = vec![Write::PutInvite(Box::new(invite))];
        Ok(Plan { writes, events: vec![event], newest: None, membership: None, sent: None, reply })
    }

    pub(super) fn plan_get_invite(&self, code: &str, with_counts: bool, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        let invite = self.invite(code, at)?;
        Ok(Plan::json(200, &self.full(invite, with_counts)?))
    }

    pub(super) fn plan_accept_invite(&self, code: &str, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        let Actor::User(user) = at.actor else { return Err(Refusal::UNKNOWN_USER.into()) };
        let invite = self.invite(code, at)?;
        let mut answer = self.full(invite, false)?;
        match self.member(user) {
            Ok(_) => return Ok(Plan::json(200, &answer)),
            Err(Halt::Refused(_)) => {}
            Err(needs) => return Err(needs),
        }
        let Found::Users(users) = at.look_up(Query::Users(vec![user]))? else { unreachable!("users were asked for") };
        let user = users.first().ok_or(Refusal::UNKNOWN_USER)?;
        if user.bot {
            return Err(Refusal::BOTS_MAY_NOT.into());
        }
        answer["new_member"] = true.into();
        let mut plan = self.add(user.clone(), at);
        // Refused by the store if the last use went to somebody else meanwhile.
        plan.writes.insert(0, Write::UseInvite { code: code.to_owned(), unix_ms: at.now.millis() });
        plan.reply = Plan::json(200, &answer).reply;
        Ok(plan)
    }

    pub(super) fn plan_delete_invite(&self, code: &str, at: &Circumstances<'_>) -> Result<Plan, Halt> {
        let acting = self.acting(at)?;
        let invite = self.invite(code, at)?;
        let own = acting.user() == Some(invite.inviter.id);
        let manages = acting.permissions().contains(Permissions::MANAGE_GUILD)
            || self.in_channel(&acting, invite.channel_id).contains(Permissions::MANAGE_CHANNELS);
        if !own && !manages {
            return Err(Refusal::MISSING_PERMISSIONS.into());
        }
        let body = json!({ "channel_id": invite.channel_id, "guild_id": self.id(), "code": code });
        let event = self.event(EventName::InviteDelete, Scope::ChannelManagers(invite.channel_id), &body, None);
        let reply = Plan::json(200, &self.full(invite, false)?).reply;
        let writes = vec![Write::DeleteInvite(code.to_owned())];
        Ok(Plan { writes, events: vec![event], newest: None, membership: None, sent: None, reply })
    }

    pub(super) fn plan_list_invites(&self, channel: Option<ChannelId>, at: &Circumstances<'_>) -> Result<Plan, Halt> {
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
        Ok(Plan { reply: Reply::Json(200, super::json(&full)), ..Plan::answer(Reply::Done) })
    }

    fn invite<'a>(&self, code: &str, at: &'a Circumstances<'_>) -> Result<&'a Invite, Halt> {
        match at.look_up(Query::Invite(code.to_owned()))? {
            Found::Invite(Some(invite)) if invite.guild_id == self.id() && !invite.is_spent(at.now.millis()) => {
                Ok(invite)
            }
            _ => Err(Refusal::UNKNOWN_INVITE.into()),
        }
    }

    fn full(&self, invite: &Invite, with_counts: bool) -> Result<serde_json::Value, Halt> {
        let channel = self.facts.channels.get(&invite.channel_id).ok_or(Refusal::UNKNOWN_INVITE)?;
        Ok(invite.wire(&self.facts.guild, channel, with_counts.then(|| self.counts())))
    }
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
