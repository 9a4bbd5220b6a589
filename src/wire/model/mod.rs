//! How clients see the things that Discord's API names, one file each.
//!
//! Lives on: every core.
//! Each view borrows a record of `model` and writes Discord's form of it, with every key that client libraries look
//! for. Records have serde forms of their own, for the disk: whatever goes to a client goes through a view.

pub mod account;
pub mod arrival;
pub mod channel;
pub mod guild;
pub mod invite;
pub mod listing;
pub mod member;
pub mod message;
pub mod pin;
pub mod presence;
pub mod role;
pub mod user;

use serde::{Serialize, Serializer};

/// A list of views.
pub fn rendered<I: Iterator<Item: Serialize> + Clone>(views: I) -> impl Serialize {
    ViewList(views)
}

struct ViewList<I>(I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for ViewList<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}
