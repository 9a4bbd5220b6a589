//! The REST door: HTTP requests in, asks to the owners, JSON out.
//!
//! Lives on: every core; each connection is served where it was accepted.
//! A request is routed ([`router`]), its caller identified ([`authorize`]) and limited ([`ratelimit`]), its body brought into
//! one form ([`body`], [`form`]), handled (`routes/`, one resource a file), and answered ([`respond`]).
//! Source: Discord docs, Reference.

pub mod authorize;
pub mod body;
pub mod call;
pub mod form;
pub mod ratelimit;
pub mod respond;
pub mod router;
pub mod routes;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_lite::FutureExt;
use glommio::net::TcpStream;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::base::clock;
use crate::base::metrics::Counter;
use crate::desk::Desk;
use crate::limits;
use crate::net::hyper_io::{GlommioTimer, HyperIo};
use crate::rest::call::Call;
use crate::rest::ratelimit::{RateLimits, Who};
use crate::rest::respond::{Body, Outcome};
use crate::rest::router::Found;
use crate::wire::refusal::Refusal;

/// A connection that was REST's until a request on it asked for something else.
pub struct Turned {
    /// The socket.
    pub stream: TcpStream,
    /// The request that turned it; unanswered.
    pub request: Request<()>,
    /// What came behind that request.
    pub behind: Vec<u8>,
}

/// Serves one connection until it ends or turns. `ahead` was already read from it.
///
/// `turns`: whether a request with these headers is not for this door. aiohttp keeps one pool for HTTP and WebSockets, so
/// disnake, nextcord and py-cord open the gateway on a connection that has served REST before.
pub async fn serve(
    stream: TcpStream,
    ahead: Vec<u8>,
    desk: Desk,
    limits: RateLimits,
    turns: fn(&HeaderMap) -> bool,
) -> Option<Turned> {
    let turning: Rc<RefCell<Option<Request<()>>>> = Rc::default();
    let noted = Rc::clone(&turning);
    let stranger = Who::stranger(stream.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (desk, limits, noted) = (desk.clone(), limits.clone(), Rc::clone(&noted));
        // Boxed: a connection can only be stopped halfway if it can be moved.
        Box::pin(async move {
            if turns(request.headers()) {
                *noted.borrow_mut() = Some(request.map(drop));
                return std::future::pending().await;
            }
            Ok::<_, Infallible>(answer(request, desk, limits, stranger).await)
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
        // hyper has read the request and waits for its answer, which somebody else gives.
        Poll::Pending => turning.borrow_mut().take().map_or(Poll::Pending, |request| Poll::Ready(Some(request))),
    })
    .await?;
    let parts = connection.into_parts();
    let (stream, unread) = parts.io.into_inner();
    Some(Turned { stream, request, behind: [&parts.read_buf[..], &unread].concat() })
}

/// Answers one request, whatever happens.
async fn answer(request: Request<Incoming>, desk: Desk, limits: RateLimits, stranger: Who) -> Response<Body> {
    let began = clock::now();
    let mut route = "unrouted";
    let handled = AssertUnwindSafe(handle(request, &desk, &limits, stranger, &mut route)).catch_unwind().await;
    let response = handled.unwrap_or_else(|_| {
        tracing::error!(route, "a handler panicked");
        respond::refuse(&Refusal::INTERNAL)
    });
    let took = clock::now().since(began);
    let mut shard = desk.shard();
    shard.metrics.record_route(route, took);
    shard.metrics.count(Counter::RestRequests, 1);
    if response.status().is_server_error() {
        shard.metrics.count(Counter::RestErrors, 1);
    }
    response
}

async fn handle(
    request: Request<Incoming>,
    desk: &Desk,
    limits: &RateLimits,
    stranger: Who,
    route: &mut &'static str,
) -> Response<Body> {
    let (parts, incoming) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return respond::preflight();
    }
    let (entry, path) = match router::find(&parts.method, parts.uri.path()) {
        Found::Route(entry, path) => (entry, path),
        Found::Refused(refusal) => {
            respond::drain(incoming).await;
            return respond::refuse(&refusal);
        }
        Found::UpgradeNeeded => return respond::upgrade_needed(),
        Found::Health => {
            *route = "GET /healthz";
            return respond::health(desk.store());
        }
    };
    *route = entry.name;
    let caller = authorize::caller(&parts.headers, desk);
    let user = match (entry.needs_caller, caller) {
        (true, None) => {
            respond::drain(incoming).await;
            return respond::refuse(&Refusal::UNAUTHORIZED);
        }
        (_, caller) => caller,
    };
    let allowance =
        match limits.take(clock::now(), user.map_or(stranger, Who::User), entry, path.major(), desk.settings()) {
            Ok(allowance) => allowance,
            Err(exceeded) => {
                respond::drain(incoming).await;
                return respond::limited(&exceeded);
            }
        };
    let outcome: Outcome = match body::read(&parts.headers, incoming).await {
        Ok(body) => {
            let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost").to_owned();
            let query = parts.uri.query().unwrap_or("").to_owned();
            let call = Call { desk: desk.clone(), user, path, query, body, host };
            (entry.handler)(call).await
        }
        Err(refusal) => Err(refusal),
    };
    let mut response = respond::outcome(outcome);
    ratelimit::describe(&allowance, response.headers_mut());
    response
}
