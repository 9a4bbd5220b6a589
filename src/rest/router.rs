//! The routes: one table of methods, templates, handlers and rates.
//!
//! Lives on: every core.
//! Source: Discord docs, Reference/API Versioning and the resources' pages.

use std::future::Future;
use std::pin::Pin;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::rest::call::{Call, Path};
use crate::rest::ratelimit::Rate;
use crate::rest::respond::Outcome;
use crate::rest::routes::{auth, channels, gateway, guilds, invites, members, messages, overwrites, roles, users};
use crate::wire::refusal::Refusal;

type Handled = Pin<Box<dyn Future<Output = Outcome>>>;

/// A route.
pub struct Entry {
    method: Method,
    template: &'static str,
    /// Method and template; the name in histograms.
    pub name: &'static str,
    /// Routes with one name share a bucket.
    pub bucket: &'static str,
    /// How often it may be called.
    pub rate: Rate,
    /// Whether a good token is needed.
    pub needs_caller: bool,
    /// What does it.
    pub handler: fn(Call) -> Handled,
}

/// What a path leads to.
pub enum Found {
    /// A handler, and the named parts of the path.
    Route(&'static Entry, Path),
    /// Nothing, or not with this method or version.
    Refused(Refusal),
    /// A gateway path, without an upgrade.
    UpgradeNeeded,
    /// `/healthz`.
    Health,
}

macro_rules! table {
    ($($method:ident $template:literal $needs:ident $requests:literal / $ms:literal => $handler:path;)*) => {
        static ROUTES: &[Entry] = &[$(Entry {
            method: Method::$method,
            template: $template,
            name: concat!(stringify!($method), " ", $template),
            bucket: concat!(stringify!($method), " ", $template),
            rate: Rate { requests: $requests, per_ms: $ms },
            needs_caller: table!(@needs $needs),
            handler: |call| Box::pin($handler(call)),
        },)*];
    };
    (@needs caller) => { true };
    (@needs anyone) => { false };
}

table! {
    GET "/gateway" anyone 100 / 1000 => gateway::get;
    GET "/gateway/bot" caller 10 / 1000 => gateway::get_bot;
    GET "/users/@me" caller 30 / 1000 => users::get_me;
    GET "/users/@me/guilds" caller 10 / 1000 => users::guilds;
    DELETE "/users/@me/guilds/{guild.id}" caller 10 / 1000 => users::leave;
    GET "/users/{user.id}" caller 30 / 1000 => users::get;
    GET "/applications/detectable" caller 10 / 1000 => gateway::nothing;
    GET "/applications/@me" caller 10 / 1000 => users::application;
    GET "/oauth2/applications/@me" caller 10 / 1000 => users::application;
    GET "/applications/{application.id}/commands" caller 10 / 1000 => users::commands;
    PUT "/applications/{application.id}/commands" caller 10 / 1000 => users::put_commands;
    GET "/applications/{application.id}/guilds/{guild.id}/commands" caller 10 / 1000 => users::commands;
    PUT "/applications/{application.id}/guilds/{guild.id}/commands" caller 10 / 1000 => users::put_commands;
    POST "/auth/register" anyone 5 / 10000 => auth::register;
    POST "/auth/login" anyone 5 / 10000 => auth::login;
    POST "/auth/logout" caller 5 / 10000 => auth::logout;
    GET "/voice/regions" caller 10 / 1000 => gateway::nothing;
    GET "/soundboard-default-sounds" caller 10 / 1000 => gateway::nothing;
    GET "/sticker-packs" caller 10 / 1000 => gateway::sticker_packs;
    POST "/guilds" caller 10 / 10000 => guilds::create;
    GET "/guilds/{guild.id}" caller 10 / 1000 => guilds::get;
    PATCH "/guilds/{guild.id}" caller 10 / 10000 => guilds::modify;
    DELETE "/guilds/{guild.id}" caller 5 / 10000 => guilds::delete;
    GET "/guilds/{guild.id}/channels" caller 10 / 1000 => channels::list;
    POST "/guilds/{guild.id}/channels" caller 10 / 10000 => channels::create;
    PATCH "/guilds/{guild.id}/channels" caller 10 / 10000 => channels::reorder;
    GET "/guilds/{guild.id}/emojis" caller 10 / 1000 => guilds::emojis;
    GET "/guilds/{guild.id}/threads/active" caller 10 / 1000 => guilds::active_threads;
    GET "/guilds/{guild.id}/invites" caller 10 / 1000 => invites::of_guild;
    GET "/guilds/{guild.id}/roles" caller 10 / 1000 => roles::list;
    POST "/guilds/{guild.id}/roles" caller 10 / 10000 => roles::create;
    PATCH "/guilds/{guild.id}/roles" caller 10 / 10000 => roles::reorder;
    GET "/guilds/{guild.id}/roles/{role.id}" caller 10 / 1000 => roles::get;
    PATCH "/guilds/{guild.id}/roles/{role.id}" caller 10 / 10000 => roles::modify;
    DELETE "/guilds/{guild.id}/roles/{role.id}" caller 10 / 10000 => roles::delete;
    GET "/guilds/{guild.id}/members" caller 10 / 1000 => members::list;
    GET "/guilds/{guild.id}/members/search" caller 10 / 1000 => members::search;
    PATCH "/guilds/{guild.id}/members/@me" caller 10 / 10000 => members::modify_me;
    PATCH "/guilds/{guild.id}/members/@me/nick" caller 10 / 10000 => members::modify_my_nick;
    GET "/guilds/{guild.id}/members/{user.id}" caller 10 / 1000 => members::get;
    PATCH "/guilds/{guild.id}/members/{user.id}" caller 10 / 10000 => members::modify;
    DELETE "/guilds/{guild.id}/members/{user.id}" caller 10 / 10000 => members::remove;
    PUT "/guilds/{guild.id}/members/{user.id}/roles/{role.id}" caller 10 / 10000 => members::give_role;
    DELETE "/guilds/{guild.id}/members/{user.id}/roles/{role.id}" caller 10 / 10000 => members::take_role;
    GET "/channels/{channel.id}" caller 10 / 1000 => channels::get;
    PATCH "/channels/{channel.id}" caller 10 / 10000 => channels::modify;
    PUT "/channels/{channel.id}" caller 10 / 10000 => channels::modify;
    DELETE "/channels/{channel.id}" caller 10 / 10000 => channels::delete;
    PUT "/channels/{channel.id}/permissions/{overwrite.id}" caller 10 / 10000 => overwrites::put;
    DELETE "/channels/{channel.id}/permissions/{overwrite.id}" caller 10 / 10000 => overwrites::delete;
    GET "/channels/{channel.id}/invites" caller 10 / 1000 => invites::of_channel;
    POST "/channels/{channel.id}/invites" caller 5 / 10000 => invites::create;
    GET "/channels/{channel.id}/pins" caller 10 / 1000 => messages::pins;
    POST "/channels/{channel.id}/typing" caller 5 / 5000 => messages::typing;
    GET "/channels/{channel.id}/messages/pins" caller 10 / 1000 => messages::pins_page;
    GET "/channels/{channel.id}/messages" caller 10 / 1000 => messages::list;
    POST "/channels/{channel.id}/messages" caller 5 / 5000 => messages::create;
    POST "/channels/{channel.id}/messages/bulk-delete" caller 1 / 1000 => messages::bulk_delete;
    GET "/channels/{channel.id}/messages/{message.id}" caller 10 / 1000 => messages::get;
    PATCH "/channels/{channel.id}/messages/{message.id}" caller 5 / 5000 => messages::edit;
    DELETE "/channels/{channel.id}/messages/{message.id}" caller 5 / 1000 => messages::delete;
    GET "/invites/{code}" anyone 10 / 1000 => invites::get;
    POST "/invites/{code}" caller 5 / 10000 => invites::accept;
    DELETE "/invites/{code}" caller 5 / 10000 => invites::delete;
}

/// Finds the route of a path.
pub fn find(method: &Method, path: &str) -> Found {
    if path == "/healthz" {
        return Found::Health;
    }
    if path.trim_matches('/').is_empty() {
        return Found::UpgradeNeeded;
    }
    let Some(rest) = path.strip_prefix("/api") else { return Found::Refused(Refusal::NOT_FOUND) };
    let mut segments: Vec<String> = rest
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    if segments.first().is_some_and(|first| is_version(first)) {
        let version = segments.remove(0);
        if version != "v10" && version != "v9" {
            return Found::Refused(Refusal::INVALID_API_VERSION);
        }
    }
    let mut known = false;
    for entry in ROUTES {
        let Some(path) = matches(entry.template, &segments) else { continue };
        if entry.method == method {
            return Found::Route(entry, path);
        }
        known = true;
    }
    Found::Refused(if known { Refusal::METHOD_NOT_ALLOWED } else { Refusal::NOT_FOUND })
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn matches(template: &str, segments: &[String]) -> Option<Path> {
    let mut path = Path::default();
    let mut given = segments.iter();
    for part in template.split('/').skip(1) {
        let segment = given.next()?;
        if part.starts_with('{') {
            path.0.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    given.next().is_none().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: Method, path: &str) -> String {
        match find(&method, path) {
            Found::Route(entry, path) => format!("{} {:?}", entry.name, path.0),
            Found::Refused(refusal) => format!("{} {}", refusal.status, refusal.code),
            Found::UpgradeNeeded => "upgrade".to_owned(),
            Found::Health => "health".to_owned(),
        }
    }

    #[test]
    fn paths_lead_where_they_should() {
        assert_eq!(name(Method::GET, "/api/v10/gateway"), "GET /gateway []");
        assert_eq!(name(Method::GET, "/api/gateway"), "GET /gateway []");
        assert_eq!(name(Method::GET, "/api/v9/users/%40me"), "GET /users/@me []");
        assert_eq!(name(Method::GET, "/api/v10/users/7"), "GET /users/{user.id} [\"7\"]");
        assert_eq!(
            name(Method::PATCH, "/api/v10/guilds/1/members/@me"),
            "PATCH /guilds/{guild.id}/members/@me [\"1\"]"
        );
        assert_eq!(name(Method::GET, "/api/v3/gateway"), "400 50041");
        assert_eq!(name(Method::GET, "/api/v10/nothing"), "404 0");
        assert_eq!(name(Method::DELETE, "/api/v10/gateway"), "405 0");
        assert_eq!(name(Method::GET, "//"), "upgrade");
        assert_eq!(name(Method::GET, "/healthz"), "health");
    }
}
