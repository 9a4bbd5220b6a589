//! Other servers that broadcast over WebSockets, measured on the wire as Guildhall is.
//!
//! A [`Peer`] says how one subscribes to a server and publishes on it; [`run`] connects a [`crowd`] of plain WebSocket clients,
//! publishes at fixed times and judges that every one of them got every message once, and all in one order.

pub mod crowd;
pub mod frames;
pub mod ladder;
pub mod messages;
pub mod nchan;
pub mod plain;
pub mod poster;
pub mod receipts;
pub mod report;
pub mod run;
pub mod stamp;
pub mod subscribers;
pub mod target;

use std::fmt::Debug;
use std::net::SocketAddr;

/// A server that brings what one publishes to all who have subscribed.
pub trait Peer: Debug + Send + Sync {
    /// What it is called in tables.
    fn name(&self) -> &str;
    /// Where subscribers connect.
    fn address(&self) -> SocketAddr;
    /// Appends the upgrade request of a subscriber.
    fn subscribe(&self, out: &mut Vec<u8>);
    /// What a subscriber says in a text frame as soon as it is connected.
    fn first_frame(&self) -> Option<&str>;
    /// How messages are published.
    fn way(&self) -> Way;
    /// Appends what publishes a message: the HTTP request, or the frame's text.
    fn publish(&self, out: &mut Vec<u8>, message: &str);
    /// How a message looks when it is delivered.
    fn shape(&self) -> Shape;
}

/// How messages are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By HTTP requests to this address; each must be answered by 2xx.
    Request(SocketAddr),
    /// By text frames on a WebSocket: its address, and the upgrade request. Nothing answers.
    Frame(SocketAddr, Vec<u8>),
}

/// How a message looks when it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The payload is the message, byte for byte.
    Whole,
    /// The message is somewhere in the payload.
    Within,
}
