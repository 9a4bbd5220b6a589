//! Answers as HTTP. The content type is exactly `application/json`: several libraries compare it for equality.
//!
//! Lives on: every core.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;

use crate::mail::ask::{Answer, Reply};
use crate::rest::ratelimit::Exceeded;
use crate::store::service::StoreEnd;
use crate::wire::refusal::Refusal;

/// Bodies are whole.
pub type Body = Full<Bytes>;

/// What a handler comes to: a status and JSON (empty for 204), or a refusal.
pub type Outcome = Result<(u16, Bytes), Refusal>;

/// A JSON answer.
pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Outcome {
    serde_json::to_vec(value).map(|bytes| (status, Bytes::from(bytes))).map_err(|_| Refusal::INTERNAL)
}

/// 204.
pub fn done() -> Outcome {
    Ok((204, Bytes::new()))
}

/// What an owner answered.
pub fn answer(answer: Answer) -> Outcome {
    match answer? {
        Reply::Json(status, body) => Ok((status, body)),
        Reply::Done | Reply::MayRead { .. } | Reply::MayList | Reply::Account(_) => done(),
    }
}

/// The response of an outcome.
pub fn outcome(outcome: Outcome) -> Response<Body> {
    match outcome {
        Ok((204, _)) => {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            open_to_browsers(response)
        }
        Ok((status, body)) => with_json(status, body),
        Err(refusal) => refuse(&refusal),
    }
}

/// A refusal, with its JSON body.
pub fn refuse(refusal: &Refusal) -> Response<Body> {
    with_json(refusal.status, Bytes::from(refusal.body().to_string()))
}

/// 429, with everything that one library or another looks for. Source: Discord docs, Topics/Rate Limits.
pub fn limited(exceeded: &Exceeded) -> Response<Body> {
    let body = serde_json::json!({
        "message": "You are being rate limited.",
        "retry_after": exceeded.retry_after.as_secs_f64(),
        "global": exceeded.global,
    });
    let mut response = with_json(429, Bytes::from(body.to_string()));
    let headers = response.headers_mut();
    let seconds = exceeded.retry_after.as_secs_f64().ceil().max(1.0) as u64;
    headers.insert(header::RETRY_AFTER, seconds.into());
    // The discord.py family takes a 429 without it for Cloudflare's.
    headers.insert(header::VIA, HeaderValue::from_static("1.1 guildhall"));
    if exceeded.global {
        headers.insert("x-ratelimit-global", HeaderValue::from_static("true"));
        headers.insert("x-ratelimit-scope", HeaderValue::from_static("global"));
    } else {
        headers.insert("x-ratelimit-scope", HeaderValue::from_static("user"));
        super::ratelimit::describe(&exceeded.allowance, headers);
    }
    response
}

/// A plain GET of a gateway path.
pub fn upgrade_needed() -> Response<Body> {
    let mut response = with_json(426, Bytes::from_static(br#"{"message":"Connect with a WebSocket.","code":0}"#));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// `GET /healthz`.
pub fn health(store: &StoreEnd) -> Response<Body> {
    let well = store.is_open();
    let (status, word) = if well { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "no store\n") };
    let mut response = Response::new(Body::from(word));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// A browser's question before a request.
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, x-audit-log-reason, x-super-properties"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    open_to_browsers(response)
}

/// Reads and throws away a body that nobody wants, so that the connection can go on.
pub async fn drain(incoming: Incoming) {
    let _ = super::body::whole(incoming).await;
}

fn with_json(status: u16, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    open_to_browsers(response)
}

fn open_to_browsers(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-ratelimit-reset-after, \
             x-ratelimit-bucket, x-ratelimit-scope, x-ratelimit-global",
        ),
    );
    response
}
