//! The run without traffic: what an identify costs the server, and what an idle session holds.

use crate::report::folder::Findings;
use crate::runs::chat;
use crate::runs::chat::Chat;

/// Runs it: the sessions of `chat` come and stay for its seconds, and nobody says a word.
pub fn run(chat: &Chat) -> Result<Findings, String> {
    let mut findings = chat::run(&Chat { rate: 0.0, cut: 0.0, ..chat.clone() })?;
    // Nothing happens, so nobody has a reason to go.
    findings.report.sound &= findings.report.connections.disconnects == 0;
    Ok(findings)
}
