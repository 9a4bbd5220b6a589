//! Visits: sessions of members join a guild, and leave it.
//!
//! Lives on: the guild's core.

use std::sync::Arc;

use crate::base::clock::Time;
use crate::base::id::{GuildId, UserId};
use crate::guild::joining::JoinOutcome;
use crate::guild::presence::is_small;
use crate::limits;
use crate::mail::outbox::Outbox;
use crate::mail::presence::{JoinRequest, Onlooker};
use crate::mail::record::{TraceEvent, TraceRecord};
use crate::mail::session_id::SessionId;
use crate::mail::site::Site;
use crate::mail::to_home::{Snapshot, ToHome};
use crate::model::member::Member;
use crate::shard::context::Context;
use crate::shard::guilds::{GuildJob, GuildSlot, Guilds, Pending, records};
use crate::store::{Found, Query, StoreError};

impl Guilds {
    /// A session of a member wants to see it; with all its members, if they are no more than it says.
    pub(super) fn join(&mut self, cx: &mut Context, now: Time, guild: GuildId, coming: JoinRequest, out: &mut Outbox) {
        let hosted = match self.guilds.get_mut(&guild) {
            None => {
                self.guilds.insert(guild, GuildSlot::Loading([Pending::Join(Box::new(coming))].into()));
                self.jobs.query(Query::Guild(guild), GuildJob::Guild(guild), out);
                return;
            }
            Some(GuildSlot::Loading(waiting)) => {
                waiting.push_back(Pending::Join(Box::new(coming)));
                return;
            }
            Some(GuildSlot::Here(hosted)) => hosted,
        };
        let (member_count, _) = hosted.owner.guild.counts();
        if (2..=u64::from(coming.whole)).contains(&member_count) {
            let query = Query::Members { guild, after: UserId::new(0), limit: u32::from(coming.whole) };
            self.jobs.query(query, GuildJob::Join { guild, coming: Box::new(coming) }, out);
        } else {
            self.admit(cx, now, guild, coming, None, out);
        }
    }

    /// Lets a session in, or looks up its member first.
    fn admit(
        &mut self,
        cx: &mut Context,
        now: Time,
        guild: GuildId,
        mut coming: JoinRequest,
        members: Option<&[Member]>,
        out: &mut Outbox,
    ) {
        let (session, user, onlooker) = (coming.session, coming.user, coming.onlooker);
        let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild) else {
            out.post(session.home, ToHome::JoinRefused { guild, session, unavailable: false });
            return;
        };
        // It may be joining twice: it began, and its user joined meanwhile. The home drops one of the two.
        let noted = cx.recording && !hosted.owner.guild.sessions_of(user).any(|other| other == session);
        if noted {
            let owner = &mut hosted.owner;
            records::declare(now, &owner.guild, &mut owner.declared, out);
        }
        match hosted.owner.guild.enter(&coming) {
            None => {
                coming.whole = 0;
                self.jobs.query(Query::Member(guild, user), GuildJob::Join { guild, coming: Box::new(coming) }, out);
            }
            Some(JoinOutcome::Stranger) => {
                out.post(session.home, ToHome::JoinRefused { guild, session, unavailable: false })
            }
            Some(JoinOutcome::Member { member, facts, showing }) => {
                if noted {
                    records::note_connect(now, &hosted.owner.guild, &member.member(), session, out);
                }
                let (member_count, _) = hosted.owner.guild.counts();
                let common = hosted.owner.guild.common();
                let (small, all) = (is_small(member_count, cx.passivity.above), limits::PRESENCES_MEMBERS_MAX);
                let told = match onlooker {
                    Onlooker::Nobody => false,
                    Onlooker::Person => small,
                    Onlooker::Bot => member_count <= all,
                };
                let (mut here, presences) =
                    if told { hosted.owner.guild.all_present(user) } else { Default::default() };
                let members = match members {
                    Some(found) => hosted.owner.guild.renewed(found),
                    None if here.is_empty() => Arc::default(),
                    None => {
                        here.push(Arc::new(member.member()));
                        here.into()
                    }
                };
                let presences = presences.into();
                let snapshot =
                    Snapshot { guild, session, member, facts, common, member_count, members, presences, showing };
                out.post(session.home, ToHome::Snapshot(Box::new(snapshot)));
                self.changed.push(guild);
            }
        }
    }

    /// The store has answered about a member whose session wants to see it, or about all.
    pub(super) fn member_loaded(
        &mut self,
        cx: &mut Context,
        now: Time,
        guild: GuildId,
        coming: JoinRequest,
        result: Result<Option<Found>, StoreError>,
        out: &mut Outbox,
    ) {
        let (session, user) = (coming.session, coming.user);
        let (Ok(Some(found)), Some(GuildSlot::Here(hosted))) = (&result, self.guilds.get_mut(&guild)) else {
            let unavailable = result.is_err();
            out.post(session.home, ToHome::JoinRefused { guild, session, unavailable });
            return;
        };
        if let Found::Members(members) = found {
            let member = members.iter().find(|member| member.user.id == user);
            hosted.owner.guild.remember(user, member.map(|member| Arc::new(member.clone())), false);
            self.admit(cx, now, guild, coming, Some(members), out);
            return;
        }
        hosted.owner.guild.learn(&Query::Member(guild, user), found);
        self.join(cx, now, guild, coming, out);
    }

    /// A session of a member is over.
    pub(super) fn leave(
        &mut self,
        cx: &mut Context,
        now: Time,
        guild: GuildId,
        (user, joined_ms): (UserId, Option<u64>),
        session: SessionId,
        out: &mut Outbox,
    ) {
        if let Some(GuildSlot::Here(hosted)) = self.guilds.get_mut(&guild)
            && joined_ms.is_none_or(|joined_ms| hosted.owner.guild.joined_ms(user) == Some(joined_ms))
            && hosted.owner.guild.leave(user, session)
        {
            self.changed.push(guild);
            if cx.recording && !cx.draining && !hosted.owner.guild.sessions_of(user).any(|other| other == session) {
                out.notes.push(TraceRecord { at: now, deed: TraceEvent::Close { guild, who: user, session } });
            }
        }
    }

    /// A relay has no session left.
    pub(super) fn unwatch(&mut self, guild: GuildId, core: Site, seen: u64, out: &mut Outbox) {
        let unwatched = match self.guilds.get_mut(&guild) {
            Some(GuildSlot::Here(hosted)) => hosted.owner.guild.unwatch(core, seen),
            Some(GuildSlot::Loading(_)) => false,
            None => true,
        };
        if unwatched {
            out.post(core, ToHome::Unwatched { guild });
        }
    }
}
