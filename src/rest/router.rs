//! The routes: one table of methods, templates, callers, bodies, rates and handlers. A line is all that a route needs
//! here.
//!
//! Lives on: every core. The tree is built from the table once, at the first request.
//! Source: Discord docs, Reference/API Versioning and the resources' pages.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use http::Method;

use crate::rest::body::BodyPolicy;
use crate::rest::call::Call;
use crate::rest::ratelimit::Rate;
use crate::rest::respond::HandlerResult;
use crate::rest::routes::{
    auth, channels, gateway, guilds, invites, members, messages, notes, overwrites, pins, roles, site, users,
};
use crate::rest::tree::{self, Lookup, Methods, RouteTree, Spans};
use crate::wire::refusal::Refusal;

type Handling = Pin<Box<dyn Future<Output = HandlerResult>>>;

/// A route.
pub struct Route {
    method: Method,
    template: &'static str,
    /// Method and template: the name in histograms, and of the bucket that counts its requests.
    pub name: &'static str,
    /// How often it may be called; without one as often as the client likes.
    pub rate: Option<Rate>,
    /// Whether a good token is needed.
    pub needs_caller: bool,
    /// What it takes as a body.
    pub body: BodyPolicy,
    /// What does it.
    pub handler: fn(Call) -> Handling,
}

/// What a request's path leads to.
pub enum Routed {
    /// A handler, and where the path has the named segments.
    Route(&'static Route, Spans),
    /// 405: the path has these methods.
    WrongMethod(Methods),
    /// No such path, or no such version.
    Refused(Refusal),
}

/// A line: method, template, who may call (`caller`: with a good token; `anyone`), the body (`none`; `json`; `form`:
/// JSON or URL encoding; `multipart(files, bytes)`: that or multipart), requests in milliseconds (or `unlimited`), and
/// the handler.
macro_rules! table {
    ($table:ident: $($method:ident $template:literal $who:ident $body:ident $(($($bound:expr),+))? [$($rate:tt)+] => $handler:path;)*) => {
        static $table: &[Route] = &[$(Route {
            method: Method::$method,
            template: $template,
            name: concat!(stringify!($method), " ", $template),
            rate: table!(@rate $($rate)+),
            needs_caller: table!(@who $who),
            body: table!(@body $body $($($bound),+)?),
            handler: |call| Box::pin($handler(call)),
        },)*];
    };
    (@who caller) => { true };
    (@who anyone) => { false };
    (@rate unlimited) => { None };
    (@rate $requests:literal / $ms:literal) => { Some(Rate { requests: $requests, per_ms: $ms }) };
    (@body none) => { BodyPolicy::None };
    (@body json) => { BodyPolicy::Json };
    (@body form) => { BodyPolicy::Form };
    (@body multipart $files_max:expr, $bytes_max:expr) => {
        BodyPolicy::Multipart { files_max: $files_max, bytes_max: $bytes_max }
    };
}

// Paths as they are.
table! { SITE:
    GET "/" anyone none [20 / 1000] => site::landing;
    GET "/robots.txt" anyone none [20 / 1000] => site::robots;
    GET "/healthz" anyone none [unlimited] => site::health;
}

// Paths under `/api`, `/api/v10` and `/api/v9`.
table! { API:
    GET "/gateway" anyone none [100 / 1000] => gateway::get;
    GET "/gateway/bot" caller none [10 / 1000] => gateway::get_bot;
    GET "/users/@me" caller none [30 / 1000] => users::get_me;
    GET "/users/@me/guilds" caller none [10 / 1000] => users::guilds;
    DELETE "/users/@me/guilds/{guild.id}" caller none [10 / 1000] => users::leave;
    GET "/users/@me/notes" caller none [10 / 1000] => notes::list;
    GET "/users/@me/notes/{user.id}" caller none [10 / 1000] => notes::get;
    PUT "/users/@me/notes/{user.id}" caller form [10 / 1000] => notes::put;
    GET "/users/{user.id}" caller none [30 / 1000] => users::get;
    GET "/applications/detectable" caller none [10 / 1000] => gateway::nothing;
    GET "/applications/@me" caller none [10 / 1000] => users::application;
    GET "/oauth2/applications/@me" caller none [10 / 1000] => users::application;
    GET "/applications/{application.id}/commands" caller none [10 / 1000] => users::commands;
    PUT "/applications/{application.id}/commands" caller json [10 / 1000] => users::put_commands;
    GET "/applications/{application.id}/guilds/{guild.id}/commands" caller none [10 / 1000] => users::commands;
    PUT "/applications/{application.id}/guilds/{guild.id}/commands" caller json [10 / 1000] => users::put_commands;
    POST "/auth/register" anyone form [5 / 10000] => auth::register;
    POST "/auth/login" anyone form [5 / 10000] => auth::login;
    POST "/auth/logout" caller none [5 / 10000] => auth::logout;
    GET "/voice/regions" caller none [10 / 1000] => gateway::nothing;
    GET "/soundboard-default-sounds" caller none [10 / 1000] => gateway::nothing;
    GET "/sticker-packs" caller none [10 / 1000] => gateway::sticker_packs;
    POST "/guilds" caller form [10 / 10000] => guilds::create;
    GET "/guilds/{guild.id}" caller none [10 / 1000] => guilds::get;
    PATCH "/guilds/{guild.id}" caller form [10 / 10000] => guilds::modify;
    DELETE "/guilds/{guild.id}" caller none [5 / 10000] => guilds::delete;
    GET "/guilds/{guild.id}/channels" caller none [10 / 1000] => channels::list;
    POST "/guilds/{guild.id}/channels" caller form [10 / 10000] => channels::create;
    PATCH "/guilds/{guild.id}/channels" caller json [10 / 10000] => channels::reorder;
    GET "/guilds/{guild.id}/emojis" caller none [10 / 1000] => guilds::emojis;
    GET "/guilds/{guild.id}/threads/active" caller none [10 / 1000] => guilds::active_threads;
    GET "/guilds/{guild.id}/invites" caller none [10 / 1000] => invites::of_guild;
    GET "/guilds/{guild.id}/roles" caller none [10 / 1000] => roles::list;
    POST "/guilds/{guild.id}/roles" caller form [10 / 10000] => roles::create;
    PATCH "/guilds/{guild.id}/roles" caller json [10 / 10000] => roles::reorder;
    GET "/guilds/{guild.id}/roles/{role.id}" caller none [10 / 1000] => roles::get;
    PATCH "/guilds/{guild.id}/roles/{role.id}" caller form [10 / 10000] => roles::modify;
    DELETE "/guilds/{guild.id}/roles/{role.id}" caller none [10 / 10000] => roles::delete;
    GET "/guilds/{guild.id}/members" caller none [10 / 1000] => members::list;
    GET "/guilds/{guild.id}/members/search" caller none [10 / 1000] => members::search;
    PATCH "/guilds/{guild.id}/members/@me" caller form [10 / 10000] => members::modify_me;
    PATCH "/guilds/{guild.id}/members/@me/nick" caller form [10 / 10000] => members::modify_my_nick;
    GET "/guilds/{guild.id}/members/{user.id}" caller none [10 / 1000] => members::get;
    PATCH "/guilds/{guild.id}/members/{user.id}" caller form [10 / 10000] => members::modify;
    DELETE "/guilds/{guild.id}/members/{user.id}" caller none [10 / 10000] => members::remove;
    PUT "/guilds/{guild.id}/members/{user.id}/roles/{role.id}" caller none [10 / 10000] => members::give_role;
    DELETE "/guilds/{guild.id}/members/{user.id}/roles/{role.id}" caller none [10 / 10000] => members::take_role;
    GET "/channels/{channel.id}" caller none [10 / 1000] => channels::get;
    PATCH "/channels/{channel.id}" caller form [10 / 10000] => channels::modify;
    PUT "/channels/{channel.id}" caller form [10 / 10000] => channels::modify;
    DELETE "/channels/{channel.id}" caller none [10 / 10000] => channels::delete;
    PUT "/channels/{channel.id}/permissions/{overwrite.id}" caller form [10 / 10000] => overwrites::put;
    DELETE "/channels/{channel.id}/permissions/{overwrite.id}" caller none [10 / 10000] => overwrites::delete;
    GET "/channels/{channel.id}/invites" caller none [10 / 1000] => invites::of_channel;
    POST "/channels/{channel.id}/invites" caller form [5 / 10000] => invites::create;
    GET "/channels/{channel.id}/pins" caller none [10 / 1000] => pins::list;
    PUT "/channels/{channel.id}/pins/{message.id}" caller none [5 / 5000] => pins::pin;
    DELETE "/channels/{channel.id}/pins/{message.id}" caller none [5 / 5000] => pins::unpin;
    POST "/channels/{channel.id}/typing" caller none [5 / 5000] => messages::typing;
    GET "/channels/{channel.id}/messages/pins" caller none [10 / 1000] => pins::page;
    PUT "/channels/{channel.id}/messages/pins/{message.id}" caller none [5 / 5000] => pins::pin;
    DELETE "/channels/{channel.id}/messages/pins/{message.id}" caller none [5 / 5000] => pins::unpin;
    GET "/channels/{channel.id}/messages" caller none [10 / 1000] => messages::list;
    POST "/channels/{channel.id}/messages" caller multipart(0, 0) [5 / 5000] => messages::create;
    POST "/channels/{channel.id}/messages/bulk-delete" caller json [1 / 1000] => messages::bulk_delete;
    GET "/channels/{channel.id}/messages/{message.id}" caller none [10 / 1000] => messages::get;
    PATCH "/channels/{channel.id}/messages/{message.id}" caller multipart(0, 0) [5 / 5000] => messages::edit;
    DELETE "/channels/{channel.id}/messages/{message.id}" caller none [5 / 1000] => messages::delete;
    GET "/invites/{code}" anyone none [10 / 1000] => invites::get;
    POST "/invites/{code}" caller none [5 / 10000] => invites::accept;
    DELETE "/invites/{code}" caller none [5 / 10000] => invites::delete;
}

/// Both tables as trees.
struct Routes {
    site: RouteTree<&'static Route>,
    api: RouteTree<&'static Route>,
}

static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes { site: planted(SITE), api: planted(API) });

fn planted(table: &'static [Route]) -> RouteTree<&'static Route> {
    let mut tree = RouteTree::default();
    for route in table {
        tree.insert(route.method.clone(), route.template, route);
    }
    tree
}

/// Finds the route of a path.
pub fn find(method: &Method, path: &str) -> Routed {
    let (tree, from) = match tree::segment(path, 0) {
        Some((start, end)) if &path[start..end] == "api" => match tree::segment(path, end) {
            Some((start, end)) if is_version(&path[start..end]) => match &path[start..end] {
                "v9" | "v10" => (&ROUTES.api, end),
                _ => return Routed::Refused(Refusal::INVALID_API_VERSION),
            },
            Some(_) | None => (&ROUTES.api, end),
        },
        Some(_) | None => (&ROUTES.site, 0),
    };
    match tree.find(method, path, from) {
        Lookup::Found(route, spans) => Routed::Route(route, spans),
        Lookup::WrongMethod(methods) => Routed::WrongMethod(methods),
        Lookup::Unknown => Routed::Refused(Refusal::NOT_FOUND),
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: Method, path: &str) -> String {
        match find(&method, path) {
            Routed::Route(route, spans) => {
                let named: Vec<&str> = spans.iter().map(|(start, end)| &path[*start as usize..*end as usize]).collect();
                format!("{} {named:?}", route.name)
            }
            Routed::WrongMethod(methods) => format!("405 {methods:?}"),
            Routed::Refused(refusal) => format!("{} {}", refusal.status, refusal.code),
        }
    }

    #[test]
    fn path_leads_to_its_route() {
        assert_eq!(name(Method::GET, "/api/v10/gateway"), "GET /gateway []");
        assert_eq!(name(Method::GET, "/api/gateway"), "GET /gateway []");
        assert_eq!(name(Method::GET, "/api/v9/users/%40me"), "GET /users/@me []");
        assert_eq!(name(Method::GET, "/api/v10/users/7"), "GET /users/{user.id} [\"7\"]");
        assert_eq!(
            name(Method::PATCH, "/api/v10/guilds/1/members/@me"),
            "PATCH /guilds/{guild.id}/members/@me [\"1\"]"
        );
        assert_eq!(
            name(Method::GET, "/api/v10/guilds/1/members/@me"),
            "GET /guilds/{guild.id}/members/{user.id} [\"1\", \"@me\"]"
        );
        assert_eq!(name(Method::GET, "/api/v3/gateway"), "400 50041");
        assert_eq!(name(Method::GET, "/api/v10/nothing"), "404 0");
        assert_eq!(name(Method::GET, "/gateway"), "404 0");
        assert_eq!(name(Method::DELETE, "/api/v10/gateway"), "405 [GET, HEAD]");
        assert_eq!(name(Method::HEAD, "//"), "GET / []");
        assert_eq!(name(Method::POST, "/"), "405 [GET, HEAD]");
        assert_eq!(name(Method::GET, "/healthz"), "GET /healthz []");
    }

    #[test]
    fn every_route_of_the_tables_is_found() {
        for (table, prefix) in [(SITE, ""), (API, "/api/v10")] {
            for route in table {
                let path = format!("{prefix}{}", route.template);
                assert!(name(route.method.clone(), &path).starts_with(route.name), "{path}");
            }
        }
    }

    #[test]
    fn reading_routes_take_no_body() {
        for route in API.iter().chain(SITE).filter(|route| route.method == Method::GET) {
            assert_eq!(route.body, BodyPolicy::None, "{}", route.name);
        }
    }
}
