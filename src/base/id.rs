//! Ids: Discord's snowflakes, typed by what they name.
//!
//! Lives on: every core.
//! A snowflake is `(ms since 2015) << 22 | ten bits of place << 12 | 12 bits of increment`. The ten bits that Discord
//! calls worker and process hold the *virtual shard* that owns the thing (see `mail::placement`), so ownership is a
//! pure function of any id. Ids are decimal strings in JSON (numbers are accepted on input) and are never zero.
//! Source: Discord docs, Reference/Snowflakes.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Milliseconds between the Unix epoch and Discord's.
pub const EPOCH_MS: u64 = 1_420_070_400_000;

/// What an id names; the types are empty and exist only as parameters of [`Id`].
pub mod kind {
    /// A guild.
    #[derive(Debug)]
    pub enum OfGuild {}
    /// A channel.
    #[derive(Debug)]
    pub enum OfChannel {}
    /// A user account, of a person or a bot. A bot's application has the same id.
    #[derive(Debug)]
    pub enum OfUser {}
    /// A role; the role that everybody has carries the guild's id.
    #[derive(Debug)]
    pub enum OfRole {}
    /// A message.
    #[derive(Debug)]
    pub enum OfMessage {}
    /// A webhook.
    #[derive(Debug)]
    pub enum OfWebhook {}
}

/// Id of a guild.
pub type GuildId = Id<kind::OfGuild>;
/// Id of a channel.
pub type ChannelId = Id<kind::OfChannel>;
/// Id of a user.
pub type UserId = Id<kind::OfUser>;
/// Id of a role.
pub type RoleId = Id<kind::OfRole>;
/// Id of a message.
pub type MessageId = Id<kind::OfMessage>;
/// Id of a webhook.
pub type WebhookId = Id<kind::OfWebhook>;

/// A snowflake that names a `T`.
pub struct Id<T>(u64, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// Wraps a raw snowflake. Zero is let through so that `before=0` stays expressible; nothing is ever minted as zero.
    pub const fn new(raw: u64) -> Self {
        Id(raw, PhantomData)
    }

    /// The raw 64 bits.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same number naming something else: `@everyone`'s role id is the guild's id, an application's its bot's.
    pub const fn cast<U>(self) -> Id<U> {
        Id::new(self.0)
    }

    /// When it was minted, in Unix milliseconds.
    pub const fn unix_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH_MS
    }

    /// The ten bits that say where the thing is owned, 0..1024.
    pub const fn place(self) -> u16 {
        ((self.0 >> 12) & 0x3ff) as u16
    }
}

/// Mints ids that rise strictly, for one core.
///
/// Invariant: no two calls return the same `(millisecond, increment)`, whatever the clock does.
#[derive(Debug, Clone)]
pub struct Mint {
    last_ms: u64,
    increment: u16,
    first: u16,
    end: u16,
}

impl Mint {
    /// Increments a shard uses; the upper half belongs to [`Mint::outside`], so both may mint for one place at one
    /// time.
    const HALF: u16 = 2048;

    /// The mint of a shard.
    pub const fn inside() -> Self {
        Mint { last_ms: 0, increment: 0, first: 0, end: Self::HALF }
    }

    /// The mint of writers other than the shards: the operator's commands.
    pub const fn outside() -> Self {
        Mint { last_ms: 0, increment: 0, first: Self::HALF, end: 2 * Self::HALF }
    }

    /// Mints an id for `place` (0..1024) at `unix_ms`. If a millisecond is used up the next one is borrowed.
    pub fn mint<T>(&mut self, unix_ms: u64, place: u16) -> Id<T> {
        debug_assert!(place < 1024);
        if unix_ms > self.last_ms {
            self.last_ms = unix_ms;
            self.increment = self.first;
        } else if self.increment + 1 < self.end {
            self.increment += 1;
        } else {
            self.last_ms += 1;
            self.increment = self.first;
        }
        let ms = self.last_ms.saturating_sub(EPOCH_MS).max(1);
        Id::new(ms << 22 | u64::from(place & 0x3ff) << 12 | u64::from(self.increment))
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<T> FromStr for Id<T> {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Id::new)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = itoa::Buffer::new();
        serializer.serialize_str(buffer.format(self.0))
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SnowflakeDigits<T>(PhantomData<fn() -> T>);
        impl<T> Visitor<'_> for SnowflakeDigits<T> {
            type Value = Id<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snowflake as a decimal string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<T>, E> {
                text.parse().map_err(|_| E::custom("not a snowflake"))
            }
            fn visit_u64<E: de::Error>(self, raw: u64) -> Result<Id<T>, E> {
                Ok(Id::new(raw))
            }
            fn visit_i64<E: de::Error>(self, raw: i64) -> Result<Id<T>, E> {
                u64::try_from(raw).map(Id::new).map_err(|_| E::custom("not a snowflake"))
            }
        }
        deserializer.deserialize_any(SnowflakeDigits(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_rise_and_carry_their_place() {
        let mut mint = Mint::inside();
        let mut last = 0;
        for step in 0..10_000u64 {
            let id: GuildId = mint.mint(EPOCH_MS + 1_000 + step / 5_000, 777);
            assert!(id.get() > last, "an id did not rise");
            assert_eq!(id.place(), 777);
            last = id.get();
        }
    }

    #[test]
    fn the_two_mints_never_meet() {
        let (mut inside, mut outside) = (Mint::inside(), Mint::outside());
        let a: Vec<u64> = (0..4_096).map(|_| inside.mint::<kind::OfUser>(EPOCH_MS + 5, 1).get()).collect();
        assert!((0..4_096).all(|_| !a.contains(&outside.mint::<kind::OfUser>(EPOCH_MS + 5, 1).get())));
    }

    #[test]
    fn ids_are_strings_in_json_and_numbers_are_accepted() {
        let id: UserId = serde_json::from_str("\"175928847299117063\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"175928847299117063\"");
        assert_eq!(serde_json::from_str::<UserId>("175928847299117063").unwrap(), id);
        assert_eq!(id.unix_ms(), 1_462_015_105_796);
        assert!(serde_json::from_str::<UserId>("\"-1\"").is_err());
        assert!(serde_json::from_str::<UserId>("\"x\"").is_err());
    }
}
