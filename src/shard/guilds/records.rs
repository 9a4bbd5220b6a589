//! What a recording is made of: one record in the outbox for each thing that was done, for any number of receivers.
//!
//! Lives on: the guild's core, where plans are committed and sessions come and go; cuts are recorded on the home.
//! Only while the shard records; while it does not, each place costs one branch. Records hold ids and lengths, no text.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::guild::Guild;
use crate::guild::plan::Plan;
use crate::limits;
use crate::mail::ask::Actor;
use crate::mail::event::{Change, Scope};
use crate::mail::outbox::Outbox;
use crate::mail::record::{ChannelPlace, Declaration, TraceEvent, TraceRecord};
use crate::mail::session_id::SessionId;
use crate::model::channel::Channel;
use crate::model::member::Member;
use crate::model::permissions::Permissions;
use crate::store::Write;
use crate::wire::event::EventName;

/// What a plan does that is worth a note, while its writes are still with it.
pub(super) fn deeds(actor: Actor, plan: &Plan) -> Vec<TraceEvent> {
    let mut deeds = Vec::new();
    for write in plan.writes() {
        deeds.extend(match write {
            Write::CreateMessage(message) => Some(TraceEvent::Message {
                channel: message.channel_id,
                message: message.id,
                who: message.author.id,
                size: characters(&message.content),
            }),
            Write::EditMessage(message) => Some(TraceEvent::Edit { message: message.id, size: characters(&message.content) }),
            Write::DeleteMessage(_, message) => Some(TraceEvent::Delete { message: *message }),
            Write::DeleteChannel(_, channel) => Some(TraceEvent::ChannelDelete { channel: *channel }),
            Write::CreateAccount { .. }
            | Write::RevokeTokens { .. }
            | Write::SetNote(_)
            | Write::PutGuild(_)
            | Write::DeleteGuild(_)
            | Write::PutChannel(_)
            | Write::PutRole(..)
            | Write::DeleteRole(..)
            | Write::PutMember(..)
            | Write::RemoveMember(..)
            // Recorded as the edit and the message that come with them.
            | Write::Pin(_)
            | Write::Unpin(..)
            | Write::PutInvite(_)
            | Write::UseInvite { .. }
            | Write::DeleteInvite(_) => None,
        });
    }
    // Typing is the one deed that writes nothing.
    if let (Actor::User(who), [event]) = (actor, plan.events())
        && let (EventName::TypingStart, Scope::Channel(channel)) = (event.name, &event.scope)
    {
        deeds.push(TraceEvent::Typing { channel: *channel, who });
    }
    deeds
}

/// Notes what a plan does, just before the guild takes it over.
pub(super) fn note_plan(now: Time, guild: &Guild, plan: &Plan, deeds: Vec<TraceEvent>, out: &mut Outbox) {
    let mut note = |deed| out.notes.push(TraceRecord { at: now, deed });
    deeds.into_iter().for_each(&mut note);
    for event in plan.events() {
        if let (EventName::ChannelCreate, Some(Change::Channel(channel))) = (event.name, &event.change)
            && channel.kind.has_messages()
        {
            let (place, counted) = (place(guild, channel), counted(guild).count() as u32);
            note(TraceEvent::ChannelCreate { guild: guild.id(), place, counted });
        }
    }
    for event in plan.events() {
        match &event.change {
            Some(Change::Member(member)) if event.name == EventName::GuildMemberAdd => {
                note(TraceEvent::Join { guild: guild.id(), who: member.user.id });
            }
            Some(Change::MemberLeft(who)) => {
                note(TraceEvent::Leave { guild: guild.id(), who: *who });
                let mut sessions = guild.sessions_of(*who).collect::<Vec<_>>();
                sessions.sort_unstable();
                sessions.dedup();
                for session in sessions {
                    note(TraceEvent::Close { guild: guild.id(), who: *who, session });
                }
            }
            Some(
                Change::Guild(_)
                | Change::Channel(_)
                | Change::ChannelGone(_)
                | Change::Role(_)
                | Change::RoleGone(_)
                | Change::Member(_)
                | Change::Deleted,
            )
            | None => {}
        }
    }
}

/// Notes that a session comes to see a guild.
pub(super) fn note_connect(now: Time, guild: &Guild, member: &Member, session: SessionId, out: &mut Outbox) {
    let seen = guild.facts().channels.values().filter(|channel| channel.kind.has_messages());
    let sees = seen.filter(|channel| is_hidden(guild, channel) && views(guild, member, channel));
    let deed = TraceEvent::Connect {
        guild: guild.id(),
        who: member.user.id,
        session,
        sees: sees.map(|channel| channel.id).collect(),
    };
    out.notes.push(TraceRecord { at: now, deed });
}

/// Notes the guild as it is, once, before anything else is noted about it.
pub(super) fn declare(now: Time, guild: &Guild, declared: &mut bool, out: &mut Outbox) {
    if std::mem::replace(declared, true) {
        return;
    }
    let (members, online) = guild.counts();
    let channels = guild.facts().channels.values().filter(|channel| channel.kind.has_messages());
    let declaration = Declaration {
        guild: guild.id(),
        members,
        online,
        roles: guild.facts().roles.len().saturating_sub(1) as u32,
        counted: counted(guild).count() as u32,
        channels: channels.map(|channel| place(guild, channel)).collect(),
    };
    out.notes.push(TraceRecord { at: now, deed: TraceEvent::Guild(Box::new(declaration)) });
}

/// The members who are asked what they may view.
fn counted(guild: &Guild) -> impl Iterator<Item = Member> {
    guild.known_members().take(limits::RECORD_COUNTED)
}

fn place(guild: &Guild, channel: &Arc<Channel>) -> ChannelPlace {
    let viewers = || counted(guild).filter(|member| views(guild, member, channel)).count() as u32;
    let viewers = is_hidden(guild, channel).then(viewers);
    ChannelPlace { channel: channel.id, voice: channel.kind.has_voice(), viewers }
}

/// Whether a member without any role cannot view the channel.
fn is_hidden(guild: &Guild, channel: &Channel) -> bool {
    let nobody = UserId::new(0);
    !guild.facts().granted(nobody, &[], channel).contains(Permissions::VIEW_CHANNEL)
}

fn views(guild: &Guild, member: &Member, channel: &Channel) -> bool {
    guild.facts().granted(member.user.id, &member.roles, channel).contains(Permissions::VIEW_CHANNEL)
}

fn characters(text: &str) -> u32 {
    text.chars().count() as u32
}
