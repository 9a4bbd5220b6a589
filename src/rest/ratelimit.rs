//! Rate limits: so many requests of a kind in so much time, per user and guild or channel; and all kinds together.
//!
//! Lives on: every core, by itself. A client's connections may land on several cores, each of which keeps its own
//! count: the limit is a matter of politeness, and a count that all cores share would cost a hop per request. The
//! headers are true of the connection that the client uses.
//! Source: Discord docs, Topics/Rate Limits.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;

use crate::base::clock::Time;
use crate::base::id::UserId;
use crate::base::idmap::{IdHasher, IdMap};
use crate::desk::settings::Settings;
use crate::limits;

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests.
    pub requests: u32,
    /// In this many milliseconds.
    pub per_ms: u32,
}

/// Requests with one key are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateKey {
    /// A user's.
    User(UserId),
    /// Those without a token from one address, so that one host cannot use up the sign-ins of all.
    Address(IpAddr),
}

impl RateKey {
    /// The key of an address. A host has a whole /64 of IPv6 to itself, so that counts as one.
    pub fn of(address: IpAddr) -> RateKey {
        RateKey::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(long) => match long.to_ipv4_mapped() {
                Some(short) => short.into(),
                None => Ipv6Addr::from_bits(long.to_bits() >> 64 << 64).into(),
            },
        })
    }
}

/// What is left of a bucket.
#[derive(Debug, Clone)]
pub struct Allowance {
    bucket: String,
    limit: u32,
    remaining: u32,
    reset: Time,
    reset_after: Duration,
}

/// A request too many.
#[derive(Debug)]
pub struct Exceeded {
    /// The bucket.
    pub allowance: Allowance,
    /// When to try again.
    pub retry_after: Duration,
    /// Whether it was the limit over all routes.
    pub global: bool,
}

#[derive(Debug, Clone, Copy)]
struct RateBucket {
    began: Time,
    used: u32,
}

/// The buckets of one core.
#[derive(Debug, Clone, Default)]
pub struct RateLimits(Rc<RefCell<IdMap<u64, RateBucket>>>);

impl RateLimits {
    /// Takes one request out of the bucket of its route.
    pub fn take(
        &self,
        now: Time,
        key: RateKey,
        route: &'static str,
        rate: Rate,
        major: u64,
        settings: &Settings,
    ) -> Result<Allowance, Box<Exceeded>> {
        let bucket = format!("{:016x}", hash(&(route, 0u64, 0u64)));
        if !settings.rate_limits {
            // The headers are sent even so: libraries wait for them.
            let per = Duration::from_secs(1);
            let limit = 1_000_000;
            return Ok(Allowance { bucket, limit, remaining: limit - 1, reset: now + per, reset_after: per });
        }
        let mut buckets = self.0.borrow_mut();
        if buckets.len() >= limits::BUCKETS_MAX {
            buckets.retain(|_, bucket| now.since(bucket.began) < Duration::from_secs(60));
            if buckets.len() >= limits::BUCKETS_MAX {
                buckets.clear();
            }
        }
        let global = Rate { requests: settings.global_rate, per_ms: 1_000 };
        if let Err(mut exceeded) = draw(&mut buckets, hash(&("global", key, 0u64)), global, now, &bucket) {
            exceeded.global = true;
            return Err(exceeded);
        }
        draw(&mut buckets, hash(&(route, key, major)), rate, now, &bucket)
    }
}

fn draw(
    buckets: &mut IdMap<u64, RateBucket>,
    key: u64,
    rate: Rate,
    now: Time,
    name: &str,
) -> Result<Allowance, Box<Exceeded>> {
    let window = Duration::from_millis(u64::from(rate.per_ms));
    let bucket = buckets.entry(key).or_insert(RateBucket { began: now, used: 0 });
    if now.since(bucket.began) >= window {
        *bucket = RateBucket { began: now, used: 0 };
    }
    let reset = bucket.began + window;
    let reset_after = reset.since(now);
    let allowance =
        |remaining| Allowance { bucket: name.to_owned(), limit: rate.requests, remaining, reset, reset_after };
    if bucket.used >= rate.requests {
        return Err(Box::new(Exceeded { allowance: allowance(0), retry_after: reset_after, global: false }));
    }
    bucket.used += 1;
    Ok(allowance(rate.requests - bucket.used))
}

/// Puts what is left of the bucket into the headers.
pub fn describe(allowance: &Allowance, headers: &mut HeaderMap) {
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set("x-ratelimit-limit", allowance.limit.to_string());
    set("x-ratelimit-remaining", allowance.remaining.to_string());
    set("x-ratelimit-reset", format!("{:.3}", allowance.reset.millis() as f64 / 1_000.0));
    set("x-ratelimit-reset-after", format!("{:.3}", allowance.reset_after.as_secs_f64()));
    set("x-ratelimit-bucket", allowance.bucket.clone());
}

fn hash<T: Hash>(value: &T) -> u64 {
    let mut hasher = IdHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_without_token_are_counted_by_address() {
        let at = |text: &str| hash(&("global", RateKey::of(text.parse().unwrap()), 0u64));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("192.0.2.1"), at("::ffff:192.0.2.1"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("0.0.0.7"), hash(&("global", RateKey::User(UserId::new(7)), 0u64)));
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let mut buckets = IdMap::default();
        let rate = Rate { requests: 2, per_ms: 1_000 };
        let at = |ms: u64| Time::from_millis(10_000 + ms);
        assert_eq!(draw(&mut buckets, 1, rate, at(0), "b").unwrap().remaining, 1);
        assert_eq!(draw(&mut buckets, 1, rate, at(100), "b").unwrap().remaining, 0);
        let exceeded = draw(&mut buckets, 1, rate, at(400), "b").unwrap_err();
        assert_eq!(exceeded.retry_after, Duration::from_millis(600));
        assert!(draw(&mut buckets, 2, rate, at(400), "b").is_ok(), "another channel has a bucket of its own");
        assert_eq!(draw(&mut buckets, 1, rate, at(1_000), "b").unwrap().remaining, 1);
    }
}
