//! Records: what the server knows of a user, a guild, a channel, a role, a member, a message, a pin, an invite, a note.
//!
//! Lives on: every core and the store's threads.
//! Invariant: a record's serde form is what is kept on disk, and nothing else. It leaves out what has its default, and
//! reading it ignores keys that it does not know. What clients see is written by the views of `wire::model`.

pub mod account;
pub mod channel;
pub mod guild;
pub mod invite;
pub mod kept_member;
pub mod member;
pub mod message;
pub mod permission_rules;
pub mod permissions;
pub mod pin;
pub mod role;
pub mod user;
pub mod user_note;

/// Whether a field can be left out of what is kept.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
