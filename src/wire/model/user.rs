//! How clients see a user. Source: Discord docs, Resources/User.
//!
//! Lives on: every core.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::user::User;

fn fields<M: SerializeMap>(user: &User, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("id", &user.id)?;
    map.serialize_entry("username", &user.username)?;
    map.serialize_entry("discriminator", "0")?;
    map.serialize_entry("global_name", &user.global_name)?;
    map.serialize_entry("avatar", &user.avatar)?;
    if user.bot {
        map.serialize_entry("bot", &true)?;
    }
    map.serialize_entry("public_flags", &0)?;
    map.serialize_entry("avatar_decoration_data", &())?;
    map.serialize_entry("banner", &())?;
    map.serialize_entry("accent_color", &())
}

/// A user as others see it.
#[derive(Debug, Clone, Copy)]
pub struct UserView<'a>(pub &'a User);

impl Serialize for UserView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        fields(self.0, &mut map)?;
        map.end()
    }
}

/// A user as it sees itself: `/users/@me` and READY. Adds the keys that only the account itself gets.
#[derive(Debug)]
pub struct CurrentUser<'a>(pub &'a User);

impl Serialize for CurrentUser<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        fields(self.0, &mut map)?;
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
