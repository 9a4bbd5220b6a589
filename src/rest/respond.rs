//! What handlers answer with.
//!
//! Lives on: every core. [`render`](super::render) makes HTTP of it.

use std::rc::Rc;

use bytes::Bytes;
use glommio::io::BufferedFile;
use serde::Serialize;

use crate::mail::ask::{Answer, Reply};
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

/// What a handler comes to.
pub type Outcome = Result<Response, Refusal>;

/// A JSON answer.
pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Outcome {
    serde_json::to_vec(value).map(|json| Response::Json(status, json.into())).map_err(|_| Refusal::INTERNAL)
}

/// What an owner answered.
pub fn answer(answer: Answer) -> Outcome {
    match answer? {
        Reply::Json(status, body) => Ok(Response::Json(status, body)),
        Reply::Done | Reply::MayRead { .. } | Reply::MayList | Reply::Account(_) => Ok(Response::Empty),
    }
}
