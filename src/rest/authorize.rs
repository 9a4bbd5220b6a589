//! The caller of a request. Source: Discord docs, Reference/Authentication.
//!
//! Lives on: every core.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::base::id::UserId;
use crate::desk::Desk;

/// The caller, if the token is good. `Bot ` and `Bearer ` may stand before it; people send it bare.
pub fn caller(headers: &HeaderMap, desk: &Desk) -> Option<UserId> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?;
    desk.authenticate(token).map(|(user, _)| user)
}
