//! Core commands: what the process and the operator have a core do.
//!
//! Lives on: sent by the main thread and the control thread, executed on each core.

use std::time::Duration;

use bytes::Bytes;
use flume::Sender;

use crate::base::clock::Time;
use crate::base::metrics::Metrics;
use crate::gateway::door::RawSendOutcome;
use crate::mail::ask::{Answer, Request};

/// One command. A reply channel that is closed means that the core has ended.
#[derive(Debug)]
pub enum CoreCommand {
    /// Reply with a copy of the measurements.
    Measure(Sender<Metrics>),
    /// Ask an owner on behalf of the operator.
    Ask(Box<Request>, Sender<Answer>),
    /// Write these frames once to every open connection, to at most this many between two turns of other work.
    RawSend(Bytes, u32, Sender<RawSendReport>),
    /// Stop accepting, close all connections within the time, then reply.
    Drain(Duration, Sender<()>),
    /// End.
    Stop,
}

/// One core's part of a raw send test.
#[derive(Debug, Clone, Copy)]
pub struct RawSendReport {
    /// Connections by outcome.
    pub outcome: RawSendOutcome,
    /// When the last write was done.
    pub last_write: Time,
    /// CPU time of the writing.
    pub cpu: Duration,
}
