//! What a run of the million does, and with which sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use crate::base::limits;
use crate::baseline::pulse::RawSendCommand;
use crate::generate::clients::task::Subset;
use crate::model::script::{Kind, MESSAGE_INTENTS, Script, Stream};
use crate::model::tokens::Tokens;

/// One session in so many is active before all are.
pub const ACTIVE_ONE_IN: u32 = 10;
/// The stream of messages that go to the active tenth.
pub const TENTH: u32 = 0;
/// The stream of messages that go to all.
pub const ALL: u32 = 1;

/// What is done. The order is always this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Step {
    /// A tenth of the sessions becomes active, and a message goes to them; the others are notified of what is unread.
    Tenth,
    /// All become active, and a message goes to all.
    All,
    /// All connections are cut at once, and all sessions resume.
    Resume,
    /// Every session changes its status once.
    Presence,
    /// Some sessions scroll through the member list.
    List,
    /// One session in a hundred stops reading.
    Stall,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Million {
    /// The server.
    pub server: SocketAddr,
    /// Its process, to be watched.
    pub server_pid: Option<i32>,
    /// `Authorization` headers' values, one for each session.
    pub tokens: Arc<Tokens>,
    /// Who posts; the first token if absent. It must be one of the active tenth, or have no session.
    pub author: Option<String>,
    /// How many sessions.
    pub sessions: u32,
    /// The guild that all are members of.
    pub guild: u64,
    /// One of its channels, which all see.
    pub channel: u64,
    /// What is done after all have come.
    pub steps: Vec<Step>,
    /// How the raw loop is run.
    pub pulse: Option<RawSendCommand>,
    /// The same, with other work in between as often as while a message goes out.
    pub paced_pulse: Option<RawSendCommand>,
    /// Bytes of a message's content.
    pub size: usize,
    /// Turns of message and raw loop.
    pub turns: u32,
    /// How long sessions that are notified of what is unread are waited for: the server's own interval, and the time to
    /// write to all.
    pub unread: Duration,
    /// How long those who stop reading are waited for.
    pub stall: Duration,
    /// How long server and pool are watched at rest.
    pub rest: Duration,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second.
    pub connect_rate: f64,
    /// Handshakes at a time.
    pub handshakes: u32,
    /// Threads of the pool; 0: half as many as there are CPUs, or more if the limit of open files asks for them.
    pub threads: u32,
    /// Without a further session for this long, a step is given up.
    pub patience: Duration,
    /// What chance depends on.
    pub seed: u64,
    /// Without progress.
    pub quiet: bool,
}

/// Who is active before all are.
pub fn tenth() -> Subset {
    Subset::one_in(ACTIVE_ONE_IN, 0)
}

/// Two streams: what goes to the active tenth, and what goes to all.
pub fn script(sessions: u32) -> Script {
    let stream = || Stream {
        kinds: vec![Kind::Message; limits::MILLION_MESSAGES_MAX as usize],
        at_us: vec![0; limits::MILLION_MESSAGES_MAX as usize],
    };
    let mut entitled = Vec::with_capacity(tenth().count(sessions) as usize + sessions as usize);
    let mut starts = Vec::with_capacity(sessions as usize + 1);
    for session in 0..sessions {
        starts.push(entitled.len() as u32);
        if tenth().has(session) {
            entitled.push(TENTH);
        }
        entitled.push(ALL);
    }
    starts.push(entitled.len() as u32);
    Script {
        streams: vec![stream(), stream()],
        entitled,
        starts,
        guild_of: vec![0, 0],
        intents: MESSAGE_INTENTS,
        ..Script::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_sees_both_streams_and_all_see_one() {
        let script = script(25);
        for session in 0..25 {
            let expected: &[u32] = if session % 10 == 0 { &[TENTH, ALL] } else { &[ALL] };
            assert_eq!(script.streams_of(session), expected);
        }
        assert_eq!(tenth().count(25), 3);
    }
}
