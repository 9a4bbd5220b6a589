//! What handlers answer with.
//!
//! Lives on: every core. [`render`](super::render) makes HTTP of it.

use std::rc::Rc;

use bytes::Bytes;
use glommio::io::BufferedFile;
use serde::Serialize;

use crate::mail::ask::Reply;
use crate::wire::model::user::UserView;
use crate::wire::refusal::Refusal;

/// What a handler answers with when all went well.
#[derive(Debug)]
pub enum Response {
    /// A status and JSON.
    Json(u16, Bytes),
    /// 204.
    Empty,
    /// Bytes of some other kind. Ranges and conditions apply.
    Bytes {
        /// As the header says it.
        content_type: &'static str,
        /// What a browser may do with it.
        policy: ContentPolicy,
        /// All of it.
        bytes: Bytes,
    },
    /// A file, read as the client takes it. Ranges and conditions apply.
    Stream {
        /// As the header says it.
        content_type: String,
        /// Open for reading.
        file: Rc<BufferedFile>,
        /// Its length.
        length: u64,
        /// A strong one, without its quotes: other bytes have another one.
        etag: String,
    },
    /// 302 to this URL.
    Redirect(String),
}

/// What a browser may do with a response that is not JSON. Nothing is ever guessed from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentPolicy {
    /// Show it as text.
    Text,
    /// Show it as a page without scripts, styles, frames or requests.
    Page,
}

/// A response, or the refusal.
pub type HandlerResult = Result<Response, Refusal>;

/// A JSON answer.
pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> HandlerResult {
    serde_json::to_vec(value).map(|json| Response::Json(status, json.into())).map_err(|_| Refusal::INTERNAL)
}

/// What an owner answered.
pub fn reply(reply: Reply) -> HandlerResult {
    match reply {
        Reply::Json(status, body) => Ok(Response::Json(status, body)),
        Reply::Done => Ok(Response::Empty),
        Reply::Account(account) => json(201, &UserView(&account.user)),
        // `Call::ask` reads; a route that asks in another way must not ask to read.
        Reply::Read(query, _) => {
            tracing::error!(?query, "a reply that must be read first");
            Err(Refusal::INTERNAL)
        }
    }
}
