//! A guild: the one authority for its channels, roles, members and messages.
//!
//! Lives on: the core that owns its virtual shard.
//! A request becomes a [`Plan`] (`plan.rs`). When its writes are committed, its events are applied and published, in
//! the order of the commits. So memory never holds what the store does not, and published events are durable.
//! Members who are neither online nor lately active are not in memory (`cached_member.rs`).
//! Read next: `plan` (what a request comes to), `acting` (who may do what), `message` (the main thing done).

pub mod acting;
pub mod cached_member;
pub mod channel;
pub mod founding;
pub mod guild_session;
pub mod invite;
pub mod joining;
pub mod list;
pub mod member;
pub mod mention;
pub mod message;
pub mod nonce;
pub mod overwrite;
pub mod pin;
pub mod plan;
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

use crate::base::id::{ChannelId, GuildId, Id, MessageId, UserId};
use crate::guild::cached_member::CachedMember;
use crate::guild::list::MemberLists;
use crate::guild::pin::GuildPins;
use crate::guild::plan::{Plan, PlanContext, Stop};
use crate::guild::presence::{Changes, Onlookers};
use crate::mail::ask::GuildRequest;
use crate::mail::event::{Change, Event, Origin, Scope};
use crate::mail::facts::Facts;
use crate::mail::placement::VirtualShard;
use crate::mail::site::Site;
use crate::mail::to_user::ToUser;
use crate::store::GuildRecord;
use crate::wire::event::EventName;
use crate::wire::model::presence::Activities;

/// A guild.
#[derive(Debug)]
pub struct Guild {
    facts: Facts,
    last_messages: BTreeMap<ChannelId, MessageId>,
    pins: GuildPins,
    member_count: u64,
    /// Members in memory.
    cached: BTreeMap<UserId, CachedMember>,
    /// Cached members without sessions in the order of their last use, with its count; stale entries are skipped.
    offline_cached: VecDeque<(UserId, u64)>,
    uses: u64,
    /// Members who are seen to be online.
    online: u64,
    /// What sessions do, by user and secret, of those that do something.
    activities: BTreeMap<(UserId, u64), Activities>,
    changes: Changes,
    onlookers: Onlookers,
    lists: MemberLists,
    watchers: BTreeMap<Site, u64>,
    common: Option<Bytes>,
    nonces: VecDeque<nonce::Sent>,
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
            pins: GuildPins::load(&record.pins),
            member_count: record.member_count,
            cached: BTreeMap::new(),
            offline_cached: VecDeque::new(),
            uses: 0,
            online: 0,
            activities: BTreeMap::new(),
            changes: Changes::default(),
            onlookers: Onlookers::default(),
            lists: MemberLists::default(),
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

    /// Works out what a request comes to.
    pub fn plan(&self, request: &GuildRequest, at: &mut PlanContext<'_>) -> Result<Plan, Stop> {
        match request {
            GuildRequest::Settings(request) => self.plan_settings(request, at),
            GuildRequest::Channel(request) => self.plan_channel(request, at),
            GuildRequest::Message(request) => self.plan_message(request, at),
            GuildRequest::Role(request) => self.plan_role(request, at),
            GuildRequest::Member(request) => self.plan_member(request, at),
            GuildRequest::Invite(request) => self.plan_invite(request, at),
        }
    }

    /// Applies a committed plan. Called once per plan, in order. Returns letters to the owners of users, to be sent
    /// after the events are published.
    pub fn commit(&mut self, plan: &Plan) -> SmallVec<[(UserId, ToUser); 1]> {
        let letters = plan.effects().iter().filter_map(|effect| effect.apply(self)).collect();
        for event in plan.events() {
            self.apply(event);
        }
        letters
    }

    /// A message is its channel's newest, unless a newer one is.
    fn note_newest(&mut self, channel: ChannelId, message: MessageId) {
        // The channel may have been deleted meanwhile.
        if self.facts.channels.contains_key(&channel) {
            let newest = self.last_messages.entry(channel).or_insert(message);
            *newest = message.max(*newest);
            self.common = None;
        }
    }

    fn apply(&mut self, event: &Event) {
        if let Some(change) = &event.change {
            self.common = None;
            self.facts.apply(change);
            match change {
                Change::Member(member) => {
                    let user = member.user.id;
                    let before = self.state_before(user);
                    if event.name == EventName::GuildMemberAdd {
                        self.member_count += 1;
                    }
                    self.remember(user, Some(Arc::clone(member)), true);
                    self.note_member(user);
                    self.update_lists(user, before);
                }
                Change::MemberLeft(user) => {
                    self.member_count = self.member_count.saturating_sub(1);
                    let (before, stood) = (self.presence_of(*user), self.state_before(*user));
                    let sessions = self.cached.remove(user).map(|cached| cached.sessions).unwrap_or_default();
                    for here in sessions.iter() {
                        self.forget_session(*user, here);
                    }
                    // Known not to be one: a look-up under way may still find the old row.
                    self.remember(*user, None, true);
                    self.note_presence(*user, before);
                    self.note_member(*user);
                    self.update_lists(*user, stood);
                }
                Change::ChannelGone(channel) => {
                    self.last_messages.remove(channel);
                    self.pins.remove_channel(*channel);
                }
                Change::Guild(_) | Change::Role(_) | Change::RoleGone(_) => self.lists.regroup(&self.facts),
                Change::Channel(_) | Change::Deleted => {}
            }
        }
    }

    /// `(members, members who are seen to be online)`.
    pub fn counts(&self) -> (u64, u64) {
        (self.member_count, self.online)
    }

    /// Panics if something that must hold does not.
    pub fn invariants(&self) {
        self.presence_invariants();
        self.lists.invariants();
        for cached in self.cached.values().filter(|cached| !cached.sessions.is_empty()) {
            assert!(cached.member.is_some(), "only members have sessions");
        }
        assert!(self.facts.roles.contains_key(&self.id().cast()), "@everyone is there");
        self.pins.invariants(|channel| self.facts.channels.contains_key(&channel));
        assert!(self.last_messages.keys().all(|channel| self.facts.channels.contains_key(channel)));
    }

    fn mint<T>(&self, at: &mut PlanContext<'_>) -> Id<T> {
        at.mint.mint(at.now.millis(), VirtualShard::of(self.id()).number())
    }

    /// An event of this guild.
    fn event<T: Serialize + ?Sized>(&self, name: EventName, scope: Scope, body: &T) -> Event {
        Event::new(Origin::Guild(self.id()), name, scope, json(body))
    }
}

/// Renders JSON.
fn json<T: Serialize + ?Sized>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("wire models are JSON"))
}
