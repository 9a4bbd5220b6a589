//! Op 6: a session goes on.
//!
//! Lives on: the core that has the socket; if the session lives elsewhere, the socket goes there.
//! Source: Discord docs, Gateway/Resuming.

use serde::Deserialize;

use crate::base::clock::Time;
use crate::base::slab::Key;
use crate::gateway::commands::{Gate, Move, Verdict};
use crate::mail::outbox::Outbox;
use crate::mail::session_id::SessionId;
use crate::session::connection::Connection;
use crate::shard::Shard;
use crate::shard::home::handshake::{Resume, Resumption};
use crate::wire::close::CloseCode;

#[derive(Deserialize)]
struct ResumeForm {
    token: String,
    session_id: String,
    seq: Option<u64>,
}

pub(in crate::gateway) fn take(
    now: Time,
    key: Key,
    d: &str,
    gate: Gate<'_>,
    shard: &mut Shard,
    out: &mut Outbox,
) -> Verdict {
    let Ok(form) = serde_json::from_str::<ResumeForm>(d) else { return Verdict::Close(CloseCode::UnknownOpcode) };
    let verified = gate.signer.verify(&form.token).filter(|(user, issued)| shard.accepts_token(*user, *issued));
    let Some((user, _)) = verified else { return Verdict::Close(CloseCode::AuthenticationFailed) };
    let session: Option<SessionId> = form.session_id.parse().ok();
    let seq = form.seq.unwrap_or(0);
    // A second resume of the session that this connection already carries is tolerated: some libraries send it twice.
    if shard.connection(key).is_some_and(|connection| connection.session().is_some()) {
        return if session.is_some_and(|session| shard.carries(key, session)) {
            Verdict::Done
        } else {
            Verdict::Close(CloseCode::AlreadyAuthenticated)
        };
    }
    if shard.connection(key).is_some_and(Connection::waits) {
        return Verdict::Done;
    }
    match shard.resume(now, key, Resume { session, user, seq, asked: now }, out) {
        Resumption::Resumed | Resumption::Refused | Resumption::Waits => Verdict::Done,
        Resumption::FromTheFuture => Verdict::Close(CloseCode::InvalidSeq),
        Resumption::Elsewhere => match session {
            Some(session) => Verdict::Move(Move { session, user, seq }),
            None => Verdict::Done,
        },
    }
}
