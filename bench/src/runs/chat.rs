//! The run with nothing but messages: all sessions in one channel, a steady rate, and the question whether all sessions
//! got everything once, in order, and how fast. No scenario and no fixture is needed, only a channel and tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits;
use crate::base::random::Chance;
use crate::generate::clients::settings::Commands;
use crate::generate::rest_driver::assignment::assign;
use crate::model::fixture::{Fixture, FixtureGuild};
use crate::model::tokens::Tokens;
use crate::model::trace::{Action, Channel, ChannelKind, Guild, Header, Line, Trace, VERSION};
use crate::report::findings::Findings;
use crate::runs::replay;
use crate::runs::replay::Run;

/// A run.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The server.
    pub server: SocketAddr,
    /// `Authorization` headers' values; if there are more sessions, tokens are used again.
    pub tokens: Arc<Tokens>,
    /// How many sessions.
    pub sessions: u32,
    /// The channel's id.
    pub channel: u64,
    /// Who posts; the first token if absent.
    pub author: Option<String>,
    /// Messages per second; 0: none at all.
    pub rate: f64,
    /// For how long.
    pub seconds: f64,
    /// Bytes of a message's content.
    pub size: u32,
    /// The share of the sessions that is cut at a random time and resumes.
    pub cut: f64,
    /// Whether the sessions ask for zlib-stream.
    pub zlib: bool,
    /// New connections per second.
    pub connect_rate: f64,
    /// Threads of the pool; 0: as many as the limit of open files asks for.
    pub threads: u32,
    /// What chance depends on.
    pub seed: u64,
    /// The server's process, to be watched.
    pub server_pid: Option<i32>,
    /// Without a delivery for this long, what is missing counts as lost.
    pub patience: Duration,
    /// Without progress.
    pub quiet: bool,
}

/// Runs it.
pub fn run(chat: &Chat) -> Result<Findings, String> {
    if chat.rate * chat.seconds > f64::from(limits::EVENTS_MAX) {
        return Err(format!("a run has at most {} messages", limits::EVENTS_MAX));
    }
    let trace = Arc::new(trace(chat));
    let tokens = match chat.tokens.len() >= chat.sessions as usize {
        true => chat.tokens.clone(),
        false => Arc::new((0..chat.sessions).map(|session| chat.tokens.get(session)).collect()),
    };
    // The guild's id is not known; that the sessions are in it, and see the channel, is.
    let place = FixtureGuild { id: 0, channels: vec![chat.channel], invite: None };
    let fixture = Arc::new(Fixture { guilds: vec![place], owner: String::new(), tokens });
    fixture.check(&trace)?;
    let assignment = Arc::new(assign(&trace, &fixture, &[], |_| true));
    let run = Run {
        trace,
        fixture,
        server: chat.server,
        label: chat.server.to_string(),
        server_pid: chat.server_pid,
        author: chat.author.clone(),
        speed: 1.0,
        zlib: chat.zlib,
        connect_rate: chat.connect_rate,
        threads: chat.threads,
        seed: chat.seed,
        patience: chat.patience,
        quiet: chat.quiet,
    };
    replay::play(&run, &assignment, Commands::NONE, |_| true)
}

/// Runs it without traffic: the sessions come and stay, and cost what an identify and an idle session cost.
pub fn run_idle(chat: &Chat) -> Result<Findings, String> {
    let mut findings = run(&Chat { rate: 0.0, cut: 0.0, ..chat.clone() })?;
    // Nothing happens, so no connection has a reason to end.
    findings.report.sound &= findings.report.connections.disconnects == 0;
    Ok(findings)
}

/// What is done, as a trace.
fn trace(chat: &Chat) -> Trace {
    let name = if chat.rate > 0.0 { "chat" } else { "idle" };
    let header = Header {
        trace: "guildhall".into(),
        version: VERSION,
        by: "synth".into(),
        name: name.into(),
        seed: Some(chat.seed),
        scale: None,
        rate: None,
        began: 0,
        lasts: Some((chat.seconds * 1e6) as u64),
    };
    let guild = Guild {
        guild: 0,
        group: None,
        members: u64::from(chat.sessions),
        sessions: chat.sessions,
        first: None,
        present: None,
        joining: 0,
        looking: 1.0,
        roles: 0,
        channels: vec![Channel { kind: ChannelKind::Text, share: None }],
    };
    let count = (chat.rate * chat.seconds).round() as u32;
    let messages = (0..count).map(|index| Line {
        at: (f64::from(index) * 1e6 / chat.rate) as u64,
        action: Action::Message { guild: 0, channel: 0, who: 0, size: chat.size },
    });
    let mut actions: Vec<Line> = messages.collect();
    for who in 0..chat.sessions {
        // Each session has its own chance, so that a run's cuts do not depend on the number of sessions.
        let mut chance = Chance::new(chat.seed.rotate_left(17) ^ u64::from(who));
        if chance.share() < chat.cut {
            let at = chance.between(0, (chat.seconds * 1e6) as u64);
            actions.push(Line { at, action: Action::Cut { guild: 0, who } });
        }
    }
    actions.sort_by_key(|line| line.at);
    Trace { header, guilds: vec![guild], actions }
}
