//! The REST door: HTTP requests in, asks to the owners, responses out.
//!
//! Lives on: every core; each connection is served where it was accepted.
//! A request is routed ([`router`], [`tree`]), its caller identified ([`authorize`]) and limited ([`ratelimit`]), its
//! body read as the route takes it ([`body`], [`multipart`], [`spool`]), its form checked ([`form`]), handled
//! (`routes/`, one resource a file), and answered ([`respond`], [`render`], [`range`], [`content`]).
//! Source: Discord docs, Reference.

pub mod authorize;
pub mod body;
pub mod call;
pub mod content;
pub mod form;
pub mod multipart;
pub mod range;
pub mod ratelimit;
pub mod render;
pub mod respond;
pub mod router;
pub mod routes;
pub mod spool;
pub mod tree;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_lite::FutureExt;
use glommio::net::TcpStream;
use http::header::{CONNECTION, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::base::clock;
use crate::desk::Desk;
use crate::limits;
use crate::net::hyper_io::{GlommioTimer, HyperIo};
use crate::rest::call::{Call, CallTarget};
use crate::rest::ratelimit::{RateKey, RateLimits};
use crate::rest::render::HttpResponse;
use crate::rest::router::Routed;
use crate::rest::spool::Spool;
use crate::wire::refusal::Refusal;

/// The door of one core; a cheap handle.
#[derive(Debug, Clone)]
pub struct RestDoor {
    desk: Desk,
    limits: RateLimits,
    spool: Spool,
}

impl RestDoor {
    /// The door of the desk's core. `spool` is a folder that is there and empty.
    pub fn new(desk: Desk, spool: PathBuf) -> RestDoor {
        let spool = Spool::new(spool, usize::from(desk.me().core), limits::SPOOL_BYTES_MAX);
        RestDoor { desk, limits: RateLimits::default(), spool }
    }
}

/// A connection that was REST's until a request on it asked for an upgrade.
pub struct PendingUpgrade {
    /// The socket.
    pub stream: TcpStream,
    /// That request; unanswered.
    pub request: Request<()>,
    /// What came behind it.
    pub behind: Vec<u8>,
}

/// Serves one connection until it ends or is upgraded. `ahead` was already read from it.
///
/// `is_upgrade`: whether a request with these headers is for the gateway. aiohttp keeps one pool for HTTP and
/// WebSockets, so disnake, nextcord and py-cord open the gateway on a connection that has served REST before.
pub async fn serve(
    stream: TcpStream,
    ahead: Vec<u8>,
    door: RestDoor,
    is_upgrade: fn(&HeaderMap) -> bool,
) -> Option<PendingUpgrade> {
    let upgrading: Rc<RefCell<Option<Request<()>>>> = Rc::default();
    let found = Rc::clone(&upgrading);
    let address = RateKey::of(stream.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (door, found) = (door.clone(), Rc::clone(&found));
        // Boxed: a connection can only be stopped halfway if it can be moved.
        Box::pin(async move {
            if is_upgrade(request.headers()) {
                *found.borrow_mut() = Some(request.map(drop));
                return std::future::pending().await;
            }
            Ok::<_, Infallible>(answer(request, door, address).await)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(GlommioTimer)
        .header_read_timeout(limits::KEEP_ALIVE_TIME)
        .max_buf_size(limits::HEAD_MAX)
        .half_close(true)
        .serve_connection(HyperIo::new(stream, ahead), service);
    let request = poll_fn(|context| match Pin::new(&mut connection).poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(None),
        Poll::Ready(Err(error)) => {
            tracing::debug!(%error, "an HTTP connection ended");
            Poll::Ready(None)
        }
        // hyper has read the request and waits for its answer, which the gateway gives.
        Poll::Pending => upgrading.borrow_mut().take().map_or(Poll::Pending, |request| Poll::Ready(Some(request))),
    })
    .await?;
    let parts = connection.into_parts();
    let (stream, unread) = parts.io.into_inner();
    Some(PendingUpgrade { stream, request, behind: [&parts.read_buf[..], &unread].concat() })
}

/// Answers one request, whatever happens.
async fn answer(request: Request<Incoming>, door: RestDoor, address: RateKey) -> HttpResponse {
    let began = clock::now();
    let mut route = "unrouted";
    let handled = AssertUnwindSafe(handle(request, &door, address, &mut route)).catch_unwind().await;
    let response = handled.unwrap_or_else(|_| {
        tracing::error!(route, "a handler panicked");
        render::refuse(&Refusal::INTERNAL)
    });
    door.desk.record_request(route, clock::now().since(began), response.status().is_server_error());
    response
}

async fn handle(
    request: Request<Incoming>,
    door: &RestDoor,
    address: RateKey,
    name: &mut &'static str,
) -> HttpResponse {
    let (parts, mut incoming) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return render::preflight();
    }
    if wants_gateway(&parts) {
        return render::upgrade_needed();
    }
    let (route, spans) = match router::find(&parts.method, parts.uri.path()) {
        Routed::Route(route, spans) => (route, spans),
        Routed::WrongMethod(methods) => {
            body::discard(&mut incoming, limits::BODY_BYTES_MAX).await;
            return render::refuse_method(&methods);
        }
        Routed::Refused(refusal) => {
            body::discard(&mut incoming, limits::BODY_BYTES_MAX).await;
            return render::refuse(&refusal);
        }
    };
    *name = route.name;
    let uri = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let target = CallTarget::new(uri, spans);
    let user = authorize::caller(&parts.headers, &door.desk);
    if route.needs_caller && user.is_none() {
        body::discard(&mut incoming, limits::BODY_BYTES_MAX).await;
        return render::refuse(&Refusal::UNAUTHORIZED);
    }
    let allowance = match route.rate {
        None => None,
        Some(rate) => {
            let key = user.map_or(address, RateKey::User);
            match door.limits.take(clock::now(), key, route.name, rate, target.major(), door.desk.settings()) {
                Ok(allowance) => Some(allowance),
                Err(exceeded) => {
                    body::discard(&mut incoming, limits::BODY_BYTES_MAX).await;
                    return render::limited(&exceeded);
                }
            }
        }
    };
    let outcome = async {
        let reason = call::audit_reason(&parts.headers)?;
        let body = body::read(route.body, &parts.headers, incoming, &door.spool).await?;
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost").to_owned();
        let desk = door.desk.clone();
        (route.handler)(Call { desk, user, target, body: body.fields, files: body.files, reason, host }).await
    };
    let mut response = render::outcome(outcome.await, &parts.method, &parts.headers);
    if let Some(allowance) = &allowance {
        ratelimit::describe(allowance, response.headers_mut());
    }
    response
}

/// Whether a request of the gateway's path is a bad attempt at a WebSocket: it has its headers or its query, but no
/// upgrade.
fn wants_gateway(parts: &http::request::Parts) -> bool {
    if parts.method != Method::GET || !parts.uri.path().trim_matches('/').is_empty() {
        return false;
    }
    let names = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"];
    let connection = parts.headers.get(CONNECTION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let query = parts.uri.query().unwrap_or("");
    parts.headers.contains_key(UPGRADE)
        || names.iter().any(|name| parts.headers.contains_key(*name))
        || connection.to_ascii_lowercase().contains("upgrade")
        || form_urlencoded::parse(query.as_bytes()).any(|(key, _)| matches!(&*key, "v" | "encoding" | "compress"))
}
