//! Access classes and their audiences.
//!
//! Lives on: every core with a relay.
//! Sessions of a relay are grouped by everything that decides what they may see. What a class sees is worked out once
//! per class and kept until a role, an overwrite or the owner changes; delivering an event to an audience is one entry
//! in its journal, however many sessions it has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::base::clock::Time;
use crate::base::id::{ChannelId, MessageId, RoleId, UserId};
use crate::base::idmap::IdMap;
use crate::base::places::Places;
use crate::mail::facts::Facts;
use crate::model::permissions::Permissions;
use crate::session::body::SharedBody;
use crate::session::interest::Interest;
use crate::session::journal::{Journal, SharedJournal};
use crate::wire::event::EventName;
use crate::wire::intents::Intents;

/// What decides visibility. Sessions with equal classes see equal events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessClass {
    /// Roles without `@everyone`, ascending.
    pub roles: SmallVec<[RoleId; 2]>,
    /// Set for the owner and for members whom an overwrite names: they are a class of their own.
    pub user: Option<UserId>,
    /// What the sessions asked for; with [`Intents::MESSAGE_CONTENT`] they get the full rendering.
    pub intents: Intents,
    /// What the sessions ask of this guild.
    pub interest: Interest,
}

/// The sessions of one access class.
#[derive(Debug)]
pub struct Audience {
    /// What they have in common.
    pub class: AccessClass,
    /// What they were and will be sent.
    pub journal: SharedJournal,
    /// Who they are: their places among the core's sessions. So they are written to in the order in which they and
    /// their sockets lie in memory, whatever the order of their coming here.
    pub sessions: Places,
    /// Permissions by channel, as far as they were asked for.
    granted: IdMap<ChannelId, Permissions>,
    /// A walk over `sessions` that writes what is new to each.
    pub walk: Option<Walk>,
    /// Channels with messages that these sessions do not get and were not told of, each with the newest.
    pub(super) unread: BTreeMap<ChannelId, MessageId>,
    /// Everything before this entry was written to everybody who could take it.
    pub flushed: u64,
}

/// A walk under way: it proceeds in slices, other work gets its turn in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// The first place that was not visited.
    pub at: u32,
    /// The journal's end when the walk began: everything before it is flushed when the walk is over.
    pub covers: u64,
    /// Events came since: walk again.
    pub again: bool,
}

impl Audience {
    /// An audience without sessions.
    pub fn new(class: AccessClass) -> Audience {
        Audience {
            class,
            journal: Rc::new(RefCell::new(Journal::default())),
            sessions: Places::default(),
            granted: IdMap::default(),
            walk: None,
            unread: BTreeMap::new(),
            flushed: 0,
        }
    }

    /// Whether these sessions asked for such events.
    pub fn wants(&self, name: EventName) -> bool {
        name.guild_intents().is_some_and(|asked| asked.is_empty() || self.class.intents.intersects(asked))
    }

    /// What the class may do in a channel.
    pub fn in_channel(&mut self, facts: &Facts, channel: ChannelId) -> Permissions {
        let class = &self.class;
        *self.granted.entry(channel).or_insert_with(|| {
            // No user has the id zero, so nothing that names a user applies to a class without one.
            facts.in_channel(class.user.unwrap_or(UserId::new(0)), &class.roles, channel)
        })
    }

    /// What the class may do in the guild as a whole.
    pub fn in_guild(&self, facts: &Facts) -> Permissions {
        facts.in_guild(self.class.user.unwrap_or(UserId::new(0)), &self.class.roles)
    }

    /// The channels that the class may view, ascending.
    pub fn views(&mut self, facts: &Facts) -> Vec<ChannelId> {
        let channels: Vec<ChannelId> = facts.channels.keys().copied().collect();
        channels.into_iter().filter(|channel| self.may_view(facts, *channel)).collect()
    }

    /// Whether the class may view a channel.
    pub fn may_view(&mut self, facts: &Facts, channel: ChannelId) -> bool {
        self.in_channel(facts, channel).contains(Permissions::VIEW_CHANNEL)
    }

    /// Forgets what was worked out: something that decides it has changed.
    pub fn forget(&mut self) {
        self.granted.clear();
    }

    /// Delivers a body. Says whether a walk has to be started for it.
    pub fn deliver(&mut self, body: SharedBody) -> bool {
        let mut journal = self.journal.borrow_mut();
        journal.push(body);
        match &mut self.walk {
            Some(walk) => {
                walk.again = true;
                false
            }
            None => {
                self.walk = Some(Walk { at: 0, covers: journal.end(), again: false });
                true
            }
        }
    }

    /// Ends a walk, or begins the next one if events came meanwhile. Hands the publishing time of each entry that is
    /// now flushed to `each`, and says whether there is another walk.
    pub fn finish_walk(&mut self, mut each: impl FnMut(Time)) -> bool {
        let Some(walk) = self.walk.take() else { return false };
        let journal = self.journal.borrow();
        for number in self.flushed.max(journal.first())..walk.covers {
            if let Some(body) = journal.get(number) {
                each(body.published);
            }
        }
        self.flushed = walk.covers;
        if walk.again {
            self.walk = Some(Walk { at: 0, covers: journal.end(), again: false });
        }
        walk.again
    }
}
