//! What follows from a guild's plan besides its events.
//!
//! Lives on: the guild's core.
//! When the writes of a plan are committed, [`Guild::commit`] applies the events and the effects. A new kind of effect
//! is a variant of [`Effect`], a producer, and an arm of [`Effect::apply`].

use crate::base::id::{ChannelId, MessageId, UserId};
use crate::guild::Guild;
use crate::guild::nonce::Sent;
use crate::mail::plan::OwnerPlan;
pub use crate::mail::plan::{PlanContext, Stop};
use crate::mail::to_user::ToUser;
use crate::model::pin::Pin;

/// A plan of a guild.
pub type Plan = OwnerPlan<Effect>;

/// What follows from a plan besides its events.
#[derive(Debug)]
pub enum Effect {
    /// A message is then its channel's newest.
    Newest(ChannelId, MessageId),
    /// A message is pinned.
    Pinned(Pin),
    /// A message is not pinned any more, if it was.
    Unpinned(ChannelId, MessageId),
    /// A message to be remembered for `enforce_nonce`.
    Sent(Sent),
    /// A user became a member; the user's owner must know.
    MemberJoined(UserId),
    /// A user is no member any more; the user's owner must know.
    MemberLeft(UserId),
    /// Members were written beside the server: those who are not online are forgotten.
    Refresh {
        /// How many there are now.
        member_count: u64,
    },
}

impl Effect {
    /// Applies the effect to its guild. Returns a letter to a user's owner, if it asks for one.
    pub(super) fn apply(&self, guild: &mut Guild) -> Option<(UserId, ToUser)> {
        match self {
            Effect::Newest(channel, message) => guild.note_newest(*channel, *message),
            Effect::Pinned(pin) => guild.note_pinned(pin),
            Effect::Unpinned(channel, message) => guild.note_unpinned(*channel, *message),
            Effect::Sent(sent) => guild.remember_sent(sent),
            Effect::MemberJoined(user) => return Some((*user, ToUser::Gained { user: *user, guild: guild.id() })),
            Effect::MemberLeft(user) => return Some((*user, ToUser::Parted { user: *user, guild: guild.id() })),
            Effect::Refresh { member_count } => guild.refresh(*member_count),
        }
        None
    }
}
