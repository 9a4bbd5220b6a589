//! A user: a person or a bot. Source: Discord docs, Resources/User.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::base::id::UserId;

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Id; a bot's application has the same.
    pub id: UserId,
    /// 2 to 32 characters, unique among people and bots alike.
    pub username: String,
    /// The name shown instead, if set.
    #[serde(default)]
    pub global_name: Option<String>,
    /// 32 hexadecimal digits, `a_` before them if animated.
    #[serde(default)]
    pub avatar: Option<String>,
    /// Whether this is a bot.
    #[serde(default)]
    pub bot: bool,
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.fields(&mut map)?;
        map.end()
    }
}

impl User {
    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("username", &self.username)?;
        map.serialize_entry("discriminator", "0")?;
        map.serialize_entry("global_name", &self.global_name)?;
        map.serialize_entry("avatar", &self.avatar)?;
        if self.bot {
            map.serialize_entry("bot", &true)?;
        }
        map.serialize_entry("public_flags", &0)?;
        map.serialize_entry("avatar_decoration_data", &())?;
        map.serialize_entry("banner", &())?;
        map.serialize_entry("accent_color", &())
    }
}

/// A user as it sees itself: `/users/@me` and READY. Adds the keys that only the account itself gets.
#[derive(Debug)]
pub struct CurrentUser<'a>(pub &'a User);

impl Serialize for CurrentUser<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.fields(&mut map)?;
        map.serialize_entry("mfa_enabled", &false)?;
        map.serialize_entry("verified", &true)?;
        map.serialize_entry("email", &())?;
        map.serialize_entry("flags", &0)?;
        map.serialize_entry("premium_type", &0)?;
        map.serialize_entry("locale", "en-US")?;
        if !self.0.bot {
            map.serialize_entry("bot", &false)?;
        }
        map.end()
    }
}
