//! Bodies, by the policy of their route: JSON, a form, or a form with files.
//!
//! Lives on: every core. Source: Discord docs, Reference (Uploading Files, HTTP API).
//! Nothing is kept of a body that the route does not take. What the route takes is bounded in bytes and in time; files
//! go to disk.

use std::time::Duration;

use bytes::Bytes;
use futures_lite::FutureExt;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyDataStream, BodyExt, Limited};
use hyper::body::{Body, Incoming};
use serde_json::Value;

use crate::limits;
use crate::rest::multipart::{self, RequestBody};
use crate::rest::spool::Spool;
use crate::wire::refusal::{FormErrors, Refusal};

/// What a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPolicy {
    /// Nothing: a body is read and dropped.
    None,
    /// JSON.
    Json,
    /// JSON, or an object in URL encoding.
    Form,
    /// As `Form`, or multipart with `payload_json` and files.
    Multipart {
        /// Files at most. With 0 a file is refused as not supported.
        files_max: usize,
        /// Bytes of all files together.
        bytes_max: u64,
    },
}

/// The kinds of body that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Json,
    UrlEncoded,
    Multipart,
}

impl BodyPolicy {
    fn takes(self, kind: BodyKind) -> bool {
        match kind {
            BodyKind::Json => self != BodyPolicy::None,
            BodyKind::UrlEncoded => matches!(self, BodyPolicy::Form | BodyPolicy::Multipart { .. }),
            BodyKind::Multipart => matches!(self, BodyPolicy::Multipart { .. }),
        }
    }

    /// Which kind a content type is, if the route takes it. Without one it is JSON.
    fn kind(self, content_type: &str) -> Result<BodyKind, Refusal> {
        let name = content_type.split(';').next().unwrap_or("").trim();
        let kinds = [
            ("application/json", BodyKind::Json),
            ("application/x-www-form-urlencoded", BodyKind::UrlEncoded),
            ("multipart/form-data", BodyKind::Multipart),
        ];
        let taken = kinds.iter().filter(|(_, kind)| self.takes(*kind));
        if let Some((_, kind)) = taken.clone().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Ok(*kind);
        }
        let names: Vec<String> = taken.map(|(name, _)| format!("'{name}'")).collect();
        let message = format!("Expected \"Content-Type\" header to be one of {{{}}}.", names.join(", "));
        Err(FormErrors::one(&[], "CONTENT_TYPE_INVALID", message))
    }

    /// Bytes that a body may have.
    fn bytes_max(self, kind: BodyKind) -> u64 {
        match (self, kind) {
            (BodyPolicy::Multipart { bytes_max, .. }, BodyKind::Multipart) => limits::BODY_BYTES_MAX as u64 + bytes_max,
            (BodyPolicy::None | BodyPolicy::Json | BodyPolicy::Form | BodyPolicy::Multipart { .. }, _) => {
                limits::BODY_BYTES_MAX as u64
            }
        }
    }
}

/// Reads a body as the route takes it. After a refusal the rest is read and dropped, so that the client reads the
/// refusal.
pub async fn read(
    policy: BodyPolicy,
    headers: &HeaderMap,
    mut incoming: Incoming,
    spool: &Spool,
) -> Result<RequestBody, Refusal> {
    if policy == BodyPolicy::None {
        discard(&mut incoming, limits::BODY_BYTES_MAX).await;
        return Ok(RequestBody::default());
    }
    if incoming.is_end_stream() {
        return Ok(RequestBody::default());
    }
    let read = read_some(policy, headers, &mut incoming, spool).await;
    if read.as_ref().is_err_and(|refusal| *refusal != Refusal::BODY_TOO_SLOW) {
        discard(&mut incoming, limits::BODY_DISCARDED_MAX).await;
    }
    read
}

async fn read_some(
    policy: BodyPolicy,
    headers: &HeaderMap,
    incoming: &mut Incoming,
    spool: &Spool,
) -> Result<RequestBody, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let kind = policy.kind(content_type)?;
    if incoming.size_hint().lower() > policy.bytes_max(kind) {
        return Err(Refusal::BODY_TOO_LARGE);
    }
    if kind == BodyKind::Multipart {
        let (files_max, bytes_max) = match policy {
            BodyPolicy::Multipart { files_max, bytes_max } => (files_max, bytes_max),
            BodyPolicy::None | BodyPolicy::Json | BodyPolicy::Form => (0, 0),
        };
        let time = if files_max > 0 { limits::UPLOAD_TIME } else { limits::BODY_TIME };
        let parts = BodyDataStream::new(incoming);
        return within(time, multipart::read(parts, content_type, files_max, bytes_max, spool)).await;
    }
    let bytes = within(limits::BODY_TIME, whole(incoming)).await?;
    let fields = match kind {
        _ if bytes.is_empty() => Value::Null,
        BodyKind::Json => serde_json::from_slice(&bytes).map_err(|_| Refusal::NOT_JSON)?,
        BodyKind::UrlEncoded | BodyKind::Multipart => Value::Object(
            form_urlencoded::parse(&bytes).map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect(),
        ),
    };
    Ok(RequestBody { fields, files: Vec::new() })
}

/// Reads and drops a body, up to so many bytes, so that the connection can go on.
pub async fn discard(incoming: &mut Incoming, bytes_max: usize) {
    let mut left = bytes_max;
    let read = async {
        while let Some(Ok(frame)) = incoming.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                // hyper closes a connection with an unread body.
                None => break,
            }
        }
        Ok(())
    };
    let _: Result<(), Refusal> = within(limits::BODY_TIME, read).await;
}

async fn whole(incoming: &mut Incoming) -> Result<Bytes, Refusal> {
    let collected = Limited::new(incoming, limits::BODY_BYTES_MAX).collect().await;
    collected.map(|collected| collected.to_bytes()).map_err(|_| Refusal::BODY_TOO_LARGE)
}

async fn within<T>(time: Duration, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = async {
        glommio::timer::sleep(time).await;
        Err(Refusal::BODY_TOO_SLOW)
    };
    read.or(late).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: BodyPolicy = BodyPolicy::Multipart { files_max: 10, bytes_max: 1_000 };

    #[test]
    fn policy_decides_the_content_type() {
        assert_eq!(BodyPolicy::Json.kind("application/json; charset=utf-8"), Ok(BodyKind::Json));
        assert_eq!(BodyPolicy::Form.kind("APPLICATION/X-WWW-FORM-URLENCODED"), Ok(BodyKind::UrlEncoded));
        assert_eq!(FILES.kind("multipart/form-data; boundary=x"), Ok(BodyKind::Multipart));
        for (policy, content_type) in [
            (BodyPolicy::Json, "application/x-www-form-urlencoded"),
            (BodyPolicy::Form, "multipart/form-data; boundary=x"),
            (FILES, "text/plain"),
        ] {
            let refusal = policy.kind(content_type).unwrap_err();
            let error = refusal.body()["errors"]["_errors"][0].clone();
            assert_eq!(error["code"], "CONTENT_TYPE_INVALID");
            assert_eq!(error["message"].as_str().unwrap().contains("multipart"), policy == FILES, "{error}");
        }
    }

    #[test]
    fn only_multipart_is_allowed_the_bytes_of_files() {
        let fields = limits::BODY_BYTES_MAX as u64;
        assert_eq!(FILES.bytes_max(BodyKind::Multipart), fields + 1_000);
        assert_eq!(FILES.bytes_max(BodyKind::Json), fields);
        assert_eq!(BodyPolicy::Form.bytes_max(BodyKind::UrlEncoded), fields);
    }
}
