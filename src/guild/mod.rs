//! A guild: the one authority for its channels, roles, members and messages.
//!
//! Lives on: the core that owns its virtual shard.
//! A request becomes a [`Plan`]: what to write, what happened, what to answer. Planning changes nothing; when the writes are
//! committed the events are applied to the guild and published, in the order in which the commits were made. So memory never
//! holds what the store does not, and what was published is durable.
//! Members who are neither online nor lately active are not in memory; a plan that needs one says so and is made again.
//! Read next: `acting` (who may do what), `message` (the main thing done).

pub mod acting;
pub mod channel;
pub mod founding;
pub mod invite;
pub mod list;
pub mod member;
pub mod mention;
pub mod message;
pub mod overwrite;
pub mod presence;
pub mod role;
pub mod settings;
pub mod snapshot;
pub mod typing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::few::Few;
use crate::base::id::{ChannelId, GuildId, Id, MessageId, Mint, UserId};
use crate::guild::list::Lists;
use crate::guild::presence::{Changes, Here, Onlookers};
use crate::limits;
use crate::mail::ask::{Actor, GuildRequest, Reply};
use crate::mail::event::{Change, Event, Scope};
use crate::mail::facts::Facts;
use crate::mail::placement::{CoreId, VirtualShard};
use crate::mail::presence::Coming;
use crate::mail::session_id::SessionId;
use crate::store::{Found, GuildRecord, Query, Write};
use crate::wire::event::EventName;
use crate::wire::model::kept::KeptMember;
use crate::wire::model::member::Member;
use crate::wire::model::presence::{Activities, Showing};
use crate::wire::refusal::Refusal;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Halt {
    /// The client's fault.
    Refused(Refusal),
    /// Something must be looked up first; then plan again.
    Needs(Query),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Halt::Refused(refusal)
    }
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// To be committed together; nothing happens before that.
    pub writes: Vec<Write>,
    /// What then has happened, in order.
    pub events: Vec<Event>,
    /// A message that is then the channel's newest.
    pub newest: Option<(ChannelId, MessageId)>,
    /// Whose membership changes.
    pub membership: Option<(UserId, Membership)>,
    /// To be remembered then for `enforce_nonce`.
    pub sent: Option<message::Sent>,
    /// The answer.
    pub reply: Reply,
}

/// A change of membership that the user's owner must know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Joined.
    Gained,
    /// Left or was removed.
    Parted,
}

impl Plan {
    /// A plan that only answers.
    pub fn answer(reply: Reply) -> Plan {
        Plan { writes: Vec::new(), events: Vec::new(), newest: None, membership: None, sent: None, reply }
    }

    /// A plan that only answers, with JSON.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Plan {
        Plan::answer(Reply::Json(status, json(value)))
    }
}

/// Changes that must not overtake each other: while one is being committed, others with the same key wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Settings, channels, roles.
    Structure,
    /// One member.
    Member(UserId),
    /// One message.
    Message(MessageId),
    /// One `enforce_nonce`, hashed: a repeat waits for the first. Others of the same hash wait in vain, and not for long.
    Nonce(u64),
}

/// What was looked up for a plan.
pub type Loaded = Vec<(Query, Found)>;

/// Everything a plan is made from besides the guild.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// Now.
    pub now: Time,
    /// Who asks.
    pub actor: Actor,
    /// What was looked up.
    pub loaded: &'a Loaded,
    /// For new ids.
    pub mint: &'a mut Mint,
    /// For invite codes: bits nobody can guess.
    pub random: u64,
}

impl Circumstances<'_> {
    /// What the store found, or the wish to look it up.
    fn look_up(&self, query: Query) -> Result<&Found, Halt> {
        match self.loaded.iter().find(|(asked, _)| *asked == query) {
            Some((_, found)) => Ok(found),
            None => Err(Halt::Needs(query)),
        }
    }
}

/// A user of whom the guild knows whether it is a member.
#[derive(Debug)]
struct Resident {
    /// `None`: known not to be one.
    member: Option<KeptMember>,
    /// Sessions that see the guild. With none the resident may be forgotten.
    sessions: Few<Here>,
    /// Counts uses, to forget the least recent.
    used: u64,
}

impl Resident {
    /// Whether others see it online.
    fn is_visible(&self) -> bool {
        self.sessions.iter().any(Here::is_visible)
    }
}

/// A guild.
#[derive(Debug)]
pub struct Guild {
    facts: Facts,
    last_messages: BTreeMap<ChannelId, MessageId>,
    member_count: u64,
    residents: BTreeMap<UserId, Resident>,
    /// Visitors in the order of their last use, with the count that it had; stale entries are skipped.
    visitors: VecDeque<(UserId, u64)>,
    uses: u64,
    /// Members who are seen to be online.
    online: u64,
    /// What sessions do, by user and secret, of those that do something.
    activities: BTreeMap<(UserId, u64), Activities>,
    changes: Changes,
    onlookers: Onlookers,
    lists: Lists,
    watchers: BTreeMap<CoreId, u64>,
    common: Option<Bytes>,
    nonces: VecDeque<message::Sent>,
}

impl Guild {
    /// A guild as the store has it.
    pub fn load(record: GuildRecord) -> Guild {
        let last_messages =
            record.channels.iter().filter_map(|channel| Some((channel.id, channel.last_message_id?))).collect();
        Guild {
            facts: Facts {
                guild: Arc::new(record.guild),
                roles: record.roles.into_iter().map(|role| (role.id, Arc::new(role))).collect(),
                channels: record.channels.into_iter().map(|channel| (channel.id, Arc::new(channel))).collect(),
            },
            last_messages,
            member_count: record.member_count,
            residents: BTreeMap::new(),
            visitors: VecDeque::new(),
            uses: 0,
            online: 0,
            activities: BTreeMap::new(),
            changes: Changes::default(),
            onlookers: Onlookers::default(),
            lists: Lists::default(),
            watchers: BTreeMap::new(),
            common: None,
            nonces: VecDeque::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> GuildId {
        self.facts.id()
    }

    /// Its owner, roles and channels.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Cores with sessions that see the guild.
    pub fn watchers(&self) -> impl Iterator<Item = CoreId> {
        self.watchers.keys().copied()
    }

    /// Which other changes a request must not overtake, and which must not overtake it.
    pub fn claims(actor: Actor, request: &GuildRequest) -> SmallVec<[Claim; 2]> {
        let mut claims: SmallVec<[Claim; 2]> = Guild::claim(actor, request).into_iter().collect();
        // A new owner must not leave while the guild is handed over.
        if let GuildRequest::Modify(patch) = request {
            claims.extend(patch.owner_id.map(Claim::Member));
        }
        claims
    }

    fn claim(actor: Actor, request: &GuildRequest) -> Option<Claim> {
        use GuildRequest as R;
        match request {
            R::Modify(_)
            | R::Delete
            | R::CreateChannel(_)
            | R::MoveChannels(_)
            | R::ModifyChannel(..)
            | R::DeleteChannel(_)
            | R::PutOverwrite(..)
            | R::DeleteOverwrite(..)
            | R::CreateRole(_)
            | R::ModifyRole(..)
            | R::MoveRoles(_)
            | R::DeleteRole(_)
            | R::Refresh => Some(Claim::Structure),
            R::GiveRole(user, _)
            | R::TakeRole(user, _)
            | R::ModifyMember(user, _)
            | R::Kick(user)
            | R::AddMember(user) => Some(Claim::Member(*user)),
            R::Leave | R::AcceptInvite { .. } => match actor {
                Actor::User(user) => Some(Claim::Member(user)),
                Actor::Operator => None,
            },
            R::EditMessage(_, message, _) | R::DeleteMessage(_, message) => Some(Claim::Message(*message)),
            R::CreateMessage(channel, draft) => message::nonce_hash(*channel, draft).map(Claim::Nonce),
            R::Get { .. }
            | R::ListChannels
            | R::GetChannel(_)
            | R::BulkDelete(..)
            | R::ReadMessages(_)
            | R::Typing(_)
            | R::ListRoles
            | R::GetRole(_)
            | R::GetMember(_)
            | R::ListMembers
            | R::CreateInvite(..)
            | R::GetInvite { .. }
            | R::DeleteInvite { .. }
            | R::ListInvites(_) => None,
        }
    }

    /// Works out what a request comes to. Changes nothing but the count of uses, and what a refresh
    /// forgets.
    pub fn plan(&mut self, request: &GuildRequest, at: &mut Circumstances<'_>) -> Result<Plan, Halt> {
        use GuildRequest as R;
        match request {
            R::Get { with_counts } => self.plan_get(*with_counts, at),
            R::Modify(patch) => self.plan_modify(patch, at),
            R::Delete => self.plan_delete(at),
            R::ListChannels => self.plan_list_channels(at),
            R::CreateChannel(draft) => self.plan_create_channel(draft, at),
            R::MoveChannels(moves) => self.plan_move_channels(moves, at),
            R::GetChannel(channel) => self.plan_get_channel(*channel, at),
            R::ModifyChannel(channel, patch) => self.plan_modify_channel(*channel, patch, at),
            R::DeleteChannel(channel) => self.plan_delete_channel(*channel, at),
            R::PutOverwrite(channel, overwrite) => self.plan_put_overwrite(*channel, *overwrite, at),
            R::DeleteOverwrite(channel, id) => self.plan_delete_overwrite(*channel, *id, at),
            R::CreateMessage(channel, draft) => self.plan_create_message(*channel, draft, at),
            R::EditMessage(channel, message, patch) => self.plan_edit_message(*channel, *message, patch, at),
            R::DeleteMessage(channel, message) => self.plan_delete_message(*channel, *message, at),
            R::BulkDelete(channel, messages) => self.plan_bulk_delete(*channel, messages, at),
            R::ReadMessages(channel) => self.plan_read_messages(*channel, at),
            R::Typing(channel) => self.plan_typing(*channel, at),
            R::ListRoles => self.plan_list_roles(at),
            R::GetRole(role) => self.plan_get_role(*role, at),
            R::CreateRole(patch) => self.plan_create_role(patch, at),
            R::ModifyRole(role, patch) => self.plan_modify_role(*role, patch, at),
            R::MoveRoles(moves) => self.plan_move_roles(moves, at),
            R::DeleteRole(role) => self.plan_delete_role(*role, at),
            R::GiveRole(user, role) => self.plan_give_role(*user, *role, at),
            R::TakeRole(user, role) => self.plan_take_role(*user, *role, at),
            R::GetMember(user) => self.plan_get_member(*user, at),
            R::ListMembers => self.plan_list_members(at),
            R::ModifyMember(user, patch) => self.plan_modify_member(*user, patch, at),
            R::Kick(user) => self.plan_kick(*user, at),
            R::AddMember(user) => self.plan_add_member(*user, at),
            R::Leave => self.plan_leave(at),
            R::CreateInvite(channel, draft) => self.plan_create_invite(*channel, draft, at),
            R::GetInvite { code, with_counts } => self.plan_get_invite(code, *with_counts, at),
            R::AcceptInvite { code } => self.plan_accept_invite(code, at),
            R::DeleteInvite { code } => self.plan_delete_invite(code, at),
            R::ListInvites(channel) => self.plan_list_invites(*channel, at),
            R::Refresh => self.plan_refresh(at),
        }
    }

    /// Takes over what has happened. Called once per plan, in order, when its writes are committed.
    pub fn commit(&mut self, plan: &Plan) {
        if let Some((channel, message)) = plan.newest
            && self.facts.channels.contains_key(&channel)
        {
            let newest = self.last_messages.entry(channel).or_insert(message);
            *newest = message.max(*newest);
            self.common = None;
        }
        if let Some(sent) = &plan.sent {
            self.remember_sent(sent);
        }
        for event in &plan.events {
            self.apply(event);
        }
    }

    fn apply(&mut self, event: &Event) {
        if let Some(change) = &event.change {
            self.common = None;
            self.facts.apply(change);
            match change {
                Change::Member(member) => {
                    let user = member.user.id;
                    let before = self.stood(user);
                    if event.name == EventName::GuildMemberAdd {
                        self.member_count += 1;
                    }
                    self.remember(user, Some(Arc::clone(member)), true);
                    self.note_member(user);
                    self.restand(user, before);
                }
                Change::MemberLeft(user) => {
                    self.member_count = self.member_count.saturating_sub(1);
                    let (before, stood) = (self.presence_of(*user), self.stood(*user));
                    let sessions = self.residents.remove(user).map(|resident| resident.sessions).unwrap_or_default();
                    for here in sessions.iter() {
                        self.forget_session(*user, here);
                    }
                    // Known not to be one: a look-up under way may still find the old row.
                    self.remember(*user, None, true);
                    self.note_presence(*user, before);
                    self.note_member(*user);
                    self.restand(*user, stood);
                }
                Change::ChannelGone(channel) => {
                    self.last_messages.remove(channel);
                }
                Change::Guild(_) | Change::Role(_) | Change::RoleGone(_) => self.lists.regroup(&self.facts),
                Change::Channel(_) | Change::Deleted => {}
            }
        }
    }

    /// Notes what the store knows of a user, unless something newer is known; `newest` overrides.
    pub fn remember(&mut self, user: UserId, member: Option<Arc<Member>>, newest: bool) {
        self.note(user, member.map(|member| KeptMember::new(&member)), newest);
    }

    fn note(&mut self, user: UserId, member: Option<KeptMember>, newest: bool) {
        self.uses += 1;
        let used = self.uses;
        match self.residents.get_mut(&user) {
            Some(resident) => {
                if newest {
                    resident.member = member;
                }
                resident.used = used;
            }
            None => {
                self.residents.insert(user, Resident { member, sessions: Few::None, used });
            }
        }
        self.visitors.push_back((user, used));
        // Two entries per place, so that stale ones do not push out the living.
        while self.visitors.len() > 2 * limits::GUILD_VISITORS_MAX {
            let Some((user, used)) = self.visitors.pop_front() else { break };
            if self.residents.get(&user).is_some_and(|resident| resident.used == used && resident.sessions.is_empty()) {
                self.residents.remove(&user);
            }
        }
    }

    /// Takes over what the store found for a plan, so far as it is about members.
    pub fn learn(&mut self, query: &Query, found: &Found) {
        if let (Query::Member(_, user), Found::Member(member)) = (query, found) {
            self.note(*user, member.as_deref().map(KeptMember::new), false);
        }
    }

    /// All members, of whom the store has found these: what has changed since it looked is known here.
    pub fn renewed(&self, found: &[Member]) -> Arc<[Arc<Member>]> {
        let mut members = BTreeMap::new();
        for member in found {
            members.insert(member.user.id, Arc::new(member.clone()));
        }
        for (user, resident) in &self.residents {
            match &resident.member {
                Some(member) => members.insert(*user, Arc::new(member.member())),
                None => members.remove(user),
            };
        }
        members.into_values().collect()
    }

    /// A session of a member comes to see the guild; `None` if it must be looked up first.
    pub fn enter(&mut self, coming: &Coming) -> Option<Entrance> {
        let (user, here) = (coming.user, Here::new(coming));
        let (before, stood) = (self.presence_of(user), self.stood(user));
        let resident = self.residents.get_mut(&user)?;
        let Some(member) = resident.member.clone() else { return Some(Entrance::Stranger) };
        let twin = resident.sessions.iter().find(|other| other.id() == coming.session).copied();
        resident.sessions.push(twin.unwrap_or(here));
        self.count_onlooker(&here, true);
        // If it is there already, this has been on its way for long, and what is known is newer.
        if twin.is_none() {
            self.keep_activities(user, coming.session.secret, &coming.showing.activities);
        }
        self.note_presence(user, before);
        self.restand(user, stood);
        let home = coming.session.home;
        let new = !self.watchers.contains_key(&home);
        *self.watchers.entry(home).or_default() += 1;
        let facts = new.then(|| Arc::new(self.facts.clone()));
        let showing = self.showing_of(user, &twin.unwrap_or(here));
        Some(Entrance::Member { member, facts, showing })
    }

    /// When a member who is in memory joined.
    pub fn joined_ms(&self, user: UserId) -> Option<u64> {
        Some(self.residents.get(&user)?.member.as_ref()?.member().joined_at_ms)
    }

    /// A session of a member is over. Says whether it saw the guild until now.
    pub fn leave(&mut self, user: UserId, session: SessionId) -> bool {
        let (before, stood) = (self.presence_of(user), self.stood(user));
        let Some(resident) = self.residents.get_mut(&user) else { return false };
        let Some(index) = resident.sessions.iter().position(|here| here.id() == session) else {
            return false; // removed from the guild meanwhile, and perhaps back
        };
        let here = resident.sessions.remove_at(index);
        let is_still_there = resident.sessions.iter().any(|here| here.id() == session);
        if resident.sessions.is_empty() {
            self.visitors.push_back((user, resident.used));
        }
        if is_still_there {
            self.count_onlooker(&here, false);
        } else {
            self.forget_session(user, &here);
        }
        self.note_presence(user, before);
        self.restand(user, stood);
        true
    }

    /// A relay has nobody left. Says whether it will get no more events: not if a snapshot is on its way to it.
    pub fn unwatch(&mut self, core: CoreId, seen: u64) -> bool {
        if self.watchers.get(&core) == Some(&seen) {
            self.watchers.remove(&core);
            self.forget_onlookers(core);
            return true;
        }
        false
    }

    /// Members with sessions.
    pub fn online(&self) -> impl Iterator<Item = UserId> {
        self.residents.iter().filter(|(_, resident)| !resident.sessions.is_empty()).map(|(user, _)| *user)
    }

    /// Sessions of a member that see the guild.
    pub fn sessions_of(&self, user: UserId) -> impl Iterator<Item = SessionId> {
        self.residents.get(&user).into_iter().flat_map(|resident| resident.sessions.iter()).map(Here::id)
    }

    /// Members who are in memory.
    pub fn known_members(&self) -> impl Iterator<Item = Member> {
        self.residents.values().filter_map(|resident| resident.member.as_ref().map(KeptMember::member))
    }

    /// `(members, members who are seen to be online)`.
    pub fn counts(&self) -> (u64, u64) {
        (self.member_count, self.online)
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        self.presence_invariants();
        self.lists.invariants();
        for resident in self.residents.values().filter(|resident| !resident.sessions.is_empty()) {
            assert!(resident.member.is_some(), "only members have sessions");
        }
        assert!(self.facts.roles.contains_key(&self.id().cast()), "@everyone is there");
        assert!(self.last_messages.keys().all(|channel| self.facts.channels.contains_key(channel)));
    }

    /// The member, if known to be one; else a refusal or the wish to look it up.
    fn member(&self, user: UserId) -> Result<Arc<Member>, Halt> {
        match self.residents.get(&user) {
            Some(Resident { member: Some(member), .. }) => Ok(Arc::new(member.member())),
            Some(_) => Err(Refusal::UNKNOWN_MEMBER.into()),
            None => Err(Halt::Needs(Query::Member(self.id(), user))),
        }
    }

    fn mint<T>(&self, at: &mut Circumstances<'_>) -> Id<T> {
        at.mint.mint(at.now.millis(), VirtualShard::of(self.id()).number())
    }

    /// An event of this guild; when it was published is filled in then.
    fn event<T: Serialize + ?Sized>(&self, name: EventName, scope: Scope, body: &T, change: Option<Change>) -> Event {
        Event {
            guild: self.id(),
            name,
            body: json(body),
            blank: None,
            open_to: SmallVec::new(),
            scope,
            always_to: None,
            mark: None,
            change,
            published: Time::default(),
        }
    }
}

/// Who comes in.
#[derive(Debug)]
pub enum Entrance {
    /// Not a member.
    Stranger,
    /// A member; with the facts if its core did not watch the guild so far.
    Member {
        /// The member.
        member: KeptMember,
        /// For the relay to be born.
        facts: Option<Arc<Facts>>,
        /// How its session is taken to show itself.
        showing: Showing,
    },
}

/// Renders JSON.
fn json<T: Serialize + ?Sized>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("wire models are JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of them are a million times this.
    #[test]
    fn an_online_member_is_small() {
        assert!(size_of::<Resident>() <= 48, "{}", size_of::<Resident>());
    }
}
