//! How clients see a pin. Source: Discord docs, Resources/Message (Message Pin Object).
//!
//! Lives on: every core.

use serde::Serialize;

use crate::wire::model::message::MessageView;

/// A page of pins.
#[derive(Debug, Serialize)]
pub struct PinsView<'a> {
    /// Newest first.
    pub items: Vec<PinView<'a>>,
    /// There are older ones.
    pub has_more: bool,
}

/// A pin with its message.
#[derive(Debug, Serialize)]
pub struct PinView<'a> {
    /// When it was pinned.
    pub pinned_at: String,
    /// The message.
    pub message: MessageView<'a>,
}
