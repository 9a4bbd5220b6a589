//! The shard: everything that one core owns, as a synchronous state machine with three sides.
//!
//! Lives on: its core.
//! The sides are the owners of guilds (`guilds`), the owners of users (`users`) and the sessions that live here
//! (`home`). No side names another: they send letters, also to their own core; this file passes letters and answers on.
//! [`Shard::receive`] takes a letter and leaves letters, store jobs and answers in the outbox. It reads no clock, owns
//! no socket and draws no randomness of its own. The doors and the simulator drive it in the same way.
//! Read next: `door` (what gateway and REST call), then the sides.

mod context;
mod door;
mod guilds;
pub mod home;
mod jobs;
mod pipeline;
pub mod turn;
mod users;

use crate::base::clock::Time;
use crate::base::id::{Mint, UserId};
use crate::base::metrics::Metrics;
use crate::base::prng::Prng;
use crate::guild::list::ListSettings;
use crate::mail::letter::Letter;
use crate::mail::local::Local;
use crate::mail::outbox::Outbox;
use crate::mail::placement::Placement;
use crate::mail::site::Site;
use crate::shard::context::Context;
pub use crate::shard::context::Passivity;
use crate::shard::guilds::Guilds;
use crate::shard::home::Home;
use crate::shard::home::admission::Pace;
use crate::shard::jobs::Side;
use crate::shard::users::Users;
use crate::store::{Found, StoreError};

/// What a new shard needs to know.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// Which core it is.
    pub me: Site,
    /// All cores.
    pub placement: Placement,
    /// All its randomness.
    pub prng: Prng,
    /// Which sessions get no messages until they subscribe.
    pub passivity: Passivity,
    /// How many identifies and resumes it admits.
    pub pace: Pace,
    /// How member lists are made.
    pub listing: ListSettings,
    /// Users with revoked tokens, and from which Unix millisecond on tokens are good.
    pub revoked: Vec<(UserId, u64)>,
}

/// Everything that one core owns.
#[derive(Debug)]
pub struct Shard {
    context: Context,
    guilds: Guilds,
    users: Users,
    home: Home,
}

impl Shard {
    /// A shard that owns nothing yet.
    pub fn new(settings: ShardSettings) -> Shard {
        let ShardSettings { me, placement, prng, passivity, pace, listing, revoked } = settings;
        Shard {
            context: Context {
                me,
                placement,
                prng,
                mint: Mint::inside(),
                passivity,
                draining: false,
                recording: false,
                metrics: Metrics::default(),
            },
            guilds: Guilds::new(listing),
            users: Users::new(),
            home: Home::new(pace, revoked),
        }
    }

    /// Takes a letter.
    pub fn receive(&mut self, now: Time, letter: Letter, out: &mut Outbox) {
        let cx = &mut self.context;
        match letter {
            Letter::ToGuild(letter) => self.guilds.receive(cx, now, letter, out),
            Letter::ToUser(letter) => self.users.receive(cx, now, letter, out),
            Letter::ToHome(letter) => self.home.receive(cx, now, letter, out),
            Letter::Answer(ticket, answer) => out.answers.push((ticket, *answer)),
        }
    }

    /// Takes mail that only this host can bring.
    pub fn receive_local(&mut self, now: Time, local: Local, out: &mut Outbox) {
        match local {
            Local::Stored { job, result } => self.stored(now, job, result, out),
            Local::HandOver(hand_over) => out.arrivals.push(*hand_over),
        }
    }

    fn stored(&mut self, now: Time, job: u64, result: Result<Option<Found>, StoreError>, out: &mut Outbox) {
        let cx = &mut self.context;
        match Side::of(job) {
            Side::Guilds => self.guilds.stored(cx, now, job, result, out),
            Side::Users => self.users.stored(cx, now, job, result, out),
            Side::Home => self.home.stored(cx, now, job, result, out),
        }
    }

    /// Time has passed. To be called about every [`crate::limits::TICK`].
    pub fn tick(&mut self, now: Time, out: &mut Outbox) {
        self.home.tick(&mut self.context, now, out);
        self.guilds.begin_rounds(now, out);
    }

    /// Whether [`Shard::settle`] or [`Shard::attend_lists`] has anything to do.
    pub fn has_to_settle(&self) -> bool {
        self.guilds.has_to_settle() || self.home.has_stale_subscriptions()
    }

    /// The end of a pass of a turn: changed presences are published.
    pub fn settle(&mut self, now: Time, out: &mut Outbox) {
        self.guilds.settle(&mut self.context, now, out);
    }

    /// Advances member lists: once in a turn, not in each of its passes. What lists have for sessions of this core
    /// comes back as letters, and lists that were advanced for each of those would fill the turn.
    pub fn attend_lists(&mut self, now: Time, out: &mut Outbox) {
        self.home.recheck_lists(&mut self.context, now, out);
        self.guilds.attend_lists(now, out);
    }

    /// Whether anything waits for the store.
    pub fn awaits_store(&self) -> bool {
        self.guilds.awaits_store() || self.users.awaits_store() || self.home.awaits_store()
    }

    /// Panics if something that must hold does not. For tests and the simulator, every turn.
    pub fn invariants(&self) {
        self.guilds.invariants();
        self.home.invariants();
    }
}
