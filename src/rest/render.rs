//! Answers as HTTP: statuses, headers, ranges.
//!
//! Lives on: every core.
//! The content type of JSON is exactly `application/json`: several libraries compare it for equality.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::rest::content::{FileStretch, RestBody};
use crate::rest::range::{self, Selection};
use crate::rest::ratelimit::{self, Exceeded};
use crate::rest::respond::{ContentPolicy, HandlerResult, Response};
use crate::rest::tree::Methods;
use crate::wire::refusal::Refusal;

/// A response on its way to hyper.
pub type HttpResponse = http::Response<RestBody>;

/// The response of an outcome, to a request with this method and these headers.
pub fn outcome(outcome: HandlerResult, method: &Method, headers: &HeaderMap) -> HttpResponse {
    match outcome {
        Ok(Response::Json(status, body)) => with_json(status, body),
        Ok(Response::Empty) => empty(StatusCode::NO_CONTENT),
        Ok(Response::Bytes { content_type, policy, bytes }) => {
            let etag = format!("\"{:x}\"", Sha256::digest(&bytes));
            let selection = range::select(method, headers, &etag, bytes.len() as u64);
            let part = |start: u64, end: u64| RestBody::Whole(bytes.slice(start as usize..end as usize));
            let mut response = selected(selection, bytes.len() as u64, part);
            let to = response.headers_mut();
            describe(to, content_type, &etag);
            if policy == ContentPolicy::Page {
                let rule = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
                set(to, header::CONTENT_SECURITY_POLICY, rule);
            }
            response
        }
        Ok(Response::Stream { content_type, file, length, etag }) => {
            let etag = format!("\"{etag}\"");
            let selection = range::select(method, headers, &etag, length);
            let part = |start, end| RestBody::File(FileStretch::new(Rc::clone(&file), start, end));
            let mut response = selected(selection, length, part);
            describe(response.headers_mut(), &content_type, &etag);
            // What users have sent is not run, whatever it is.
            set(response.headers_mut(), header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
            response
        }
        Ok(Response::Redirect(location)) => {
            let mut response = empty(StatusCode::FOUND);
            set(response.headers_mut(), header::LOCATION, &location);
            response
        }
        Err(refusal) => refuse(&refusal),
    }
}

/// A refusal, with its JSON body.
pub fn refuse(refusal: &Refusal) -> HttpResponse {
    with_json(refusal.status, Bytes::from(refusal.body().to_string()))
}

/// 405, with the methods that the path has.
pub fn refuse_method(methods: &Methods) -> HttpResponse {
    let mut response = refuse(&Refusal::METHOD_NOT_ALLOWED);
    let names: Vec<&str> = methods.iter().map(Method::as_str).chain([Method::OPTIONS.as_str()]).collect();
    set(response.headers_mut(), header::ALLOW, &names.join(", "));
    response
}

/// 429, with everything that one library or another looks for. Source: Discord docs, Topics/Rate Limits.
pub fn limited(exceeded: &Exceeded) -> HttpResponse {
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
        ratelimit::describe(&exceeded.allowance, headers);
    }
    response
}

/// A request of the gateway's path that wanted a WebSocket and did not ask for it as RFC 6455 says.
pub fn upgrade_needed() -> HttpResponse {
    let mut response = with_json(426, Bytes::from_static(br#"{"message":"Connect with a WebSocket.","code":0}"#));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// A browser's question before a request.
pub fn preflight() -> HttpResponse {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    let allowed = "authorization, content-type, x-audit-log-reason, x-super-properties";
    set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    set(headers, header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

/// The status, the body and the range of what was selected.
fn selected(selection: Selection, length: u64, part: impl Fn(u64, u64) -> RestBody) -> HttpResponse {
    let (status, body, content_range) = match selection {
        Selection::Whole => (StatusCode::OK, part(0, length), None),
        Selection::Part(start, end) => {
            let content_range = format!("bytes {start}-{}/{length}", end - 1);
            (StatusCode::PARTIAL_CONTENT, part(start, end), Some(content_range))
        }
        Selection::Unsatisfiable => {
            (StatusCode::RANGE_NOT_SATISFIABLE, RestBody::default(), Some(format!("bytes */{length}")))
        }
        Selection::Unchanged => (StatusCode::NOT_MODIFIED, RestBody::default(), None),
    };
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    if let Some(content_range) = content_range {
        set(response.headers_mut(), header::CONTENT_RANGE, &content_range);
    }
    open_to_browsers(response)
}

/// Headers of what is not JSON. Clients ask again each time; with the same ETag the answer is 304.
fn describe(headers: &mut HeaderMap, content_type: &str, etag: &str) {
    set(headers, header::CONTENT_TYPE, content_type);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::ETAG, etag);
    set(headers, header::ACCEPT_RANGES, "bytes");
    set(headers, header::CACHE_CONTROL, "no-cache");
}

/// A value that is not a header's is left out: it came from a client.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn empty(status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::new(RestBody::default());
    *response.status_mut() = status;
    open_to_browsers(response)
}

fn with_json(status: u16, body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::new(RestBody::Whole(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    open_to_browsers(response)
}

fn open_to_browsers(mut response: HttpResponse) -> HttpResponse {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::spool::tests::{on_core, spool};
    use http_body_util::BodyExt;
    use hyper::body::Body;

    fn ranged(range: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))])
    }

    fn header(response: &HttpResponse, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn page() -> HandlerResult {
        let bytes = Bytes::from_static(b"0123456789");
        Ok(Response::Bytes { content_type: "text/html", policy: ContentPolicy::Page, bytes })
    }

    #[test]
    fn bytes_answer_ranges_and_conditions() {
        let whole = outcome(page(), &Method::GET, &HeaderMap::new());
        assert_eq!((whole.status(), whole.body().size_hint().exact()), (StatusCode::OK, Some(10)));
        assert_eq!(header(&whole, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(header(&whole, header::CONTENT_SECURITY_POLICY).contains("default-src 'none'"));
        let part = outcome(page(), &Method::GET, &ranged("bytes=2-4"));
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(&part, header::CONTENT_RANGE), "bytes 2-4/10");
        assert!(matches!(part.body(), RestBody::Whole(bytes) if bytes == "234"));
        let beyond = outcome(page(), &Method::GET, &ranged("bytes=10-"));
        assert_eq!(
            (beyond.status(), header(&beyond, header::CONTENT_RANGE)),
            (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10")
        );
        assert!(beyond.body().is_end_stream());
        let etag = whole.headers()[header::ETAG].clone();
        let same = outcome(page(), &Method::GET, &HeaderMap::from_iter([(header::IF_NONE_MATCH, etag)]));
        assert_eq!((same.status(), same.body().is_end_stream()), (StatusCode::NOT_MODIFIED, true));
    }

    #[test]
    fn stream_answers_a_range_from_the_file() {
        on_core(|folder| async move {
            let mut file = spool(&folder, 1 << 20).create().await.unwrap();
            file.append(b"0123456789").await.unwrap();
            file.finish().await.unwrap();
            let stream = || {
                let (content_type, file) = ("image/png".to_owned(), Rc::clone(file.file()));
                Ok(Response::Stream { content_type, file, length: 10, etag: "a".to_owned() })
            };
            let part = outcome(stream(), &Method::GET, &ranged("bytes=-4"));
            assert_eq!(
                (part.status(), header(&part, header::CONTENT_RANGE)),
                (StatusCode::PARTIAL_CONTENT, "bytes 6-9/10")
            );
            assert_eq!((header(&part, header::ETAG), header(&part, header::ACCEPT_RANGES)), ("\"a\"", "bytes"));
            assert_eq!(part.into_body().collect().await.unwrap().to_bytes(), "6789");
            let beyond = outcome(stream(), &Method::GET, &ranged("bytes=10-"));
            assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        });
    }

    #[test]
    fn redirect_and_wrong_method_name_where_to_go() {
        let moved =
            outcome(Ok(Response::Redirect("https://cdn.example/a".to_owned())), &Method::GET, &HeaderMap::new());
        assert_eq!((moved.status(), header(&moved, header::LOCATION)), (StatusCode::FOUND, "https://cdn.example/a"));
        let refused = refuse_method(&Methods::from_iter([Method::GET, Method::HEAD]));
        assert_eq!(
            (refused.status(), header(&refused, header::ALLOW)),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
        );
    }
}
