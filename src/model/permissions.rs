//! Permissions: the bits. `permission_rules` turns roles and overwrites into what a member may do.
//!
//! Lives on: every core.
//! Source: Discord docs, Topics/Permissions.

use std::fmt;

use bitflags::bitflags;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

bitflags! {
    /// A set of permissions. A decimal string in JSON; numbers are accepted on input.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Permissions: u64 {
        #[allow(missing_docs)] const CREATE_INSTANT_INVITE = 1;
        #[allow(missing_docs)] const KICK_MEMBERS = 1 << 1;
        #[allow(missing_docs)] const BAN_MEMBERS = 1 << 2;
        #[allow(missing_docs)] const ADMINISTRATOR = 1 << 3;
        #[allow(missing_docs)] const MANAGE_CHANNELS = 1 << 4;
        #[allow(missing_docs)] const MANAGE_GUILD = 1 << 5;
        #[allow(missing_docs)] const ADD_REACTIONS = 1 << 6;
        #[allow(missing_docs)] const VIEW_AUDIT_LOG = 1 << 7;
        #[allow(missing_docs)] const PRIORITY_SPEAKER = 1 << 8;
        #[allow(missing_docs)] const STREAM = 1 << 9;
        #[allow(missing_docs)] const VIEW_CHANNEL = 1 << 10;
        #[allow(missing_docs)] const SEND_MESSAGES = 1 << 11;
        #[allow(missing_docs)] const SEND_TTS_MESSAGES = 1 << 12;
        #[allow(missing_docs)] const MANAGE_MESSAGES = 1 << 13;
        #[allow(missing_docs)] const EMBED_LINKS = 1 << 14;
        #[allow(missing_docs)] const ATTACH_FILES = 1 << 15;
        #[allow(missing_docs)] const READ_MESSAGE_HISTORY = 1 << 16;
        #[allow(missing_docs)] const MENTION_EVERYONE = 1 << 17;
        #[allow(missing_docs)] const USE_EXTERNAL_EMOJIS = 1 << 18;
        #[allow(missing_docs)] const VIEW_GUILD_INSIGHTS = 1 << 19;
        #[allow(missing_docs)] const CONNECT = 1 << 20;
        #[allow(missing_docs)] const SPEAK = 1 << 21;
        #[allow(missing_docs)] const MUTE_MEMBERS = 1 << 22;
        #[allow(missing_docs)] const DEAFEN_MEMBERS = 1 << 23;
        #[allow(missing_docs)] const MOVE_MEMBERS = 1 << 24;
        #[allow(missing_docs)] const USE_VAD = 1 << 25;
        #[allow(missing_docs)] const CHANGE_NICKNAME = 1 << 26;
        #[allow(missing_docs)] const MANAGE_NICKNAMES = 1 << 27;
        #[allow(missing_docs)] const MANAGE_ROLES = 1 << 28;
        #[allow(missing_docs)] const MANAGE_WEBHOOKS = 1 << 29;
        #[allow(missing_docs)] const MANAGE_GUILD_EXPRESSIONS = 1 << 30;
        #[allow(missing_docs)] const USE_APPLICATION_COMMANDS = 1 << 31;
        #[allow(missing_docs)] const REQUEST_TO_SPEAK = 1 << 32;
        #[allow(missing_docs)] const MANAGE_EVENTS = 1 << 33;
        #[allow(missing_docs)] const MANAGE_THREADS = 1 << 34;
        #[allow(missing_docs)] const CREATE_PUBLIC_THREADS = 1 << 35;
        #[allow(missing_docs)] const CREATE_PRIVATE_THREADS = 1 << 36;
        #[allow(missing_docs)] const USE_EXTERNAL_STICKERS = 1 << 37;
        #[allow(missing_docs)] const SEND_MESSAGES_IN_THREADS = 1 << 38;
        #[allow(missing_docs)] const USE_EMBEDDED_ACTIVITIES = 1 << 39;
        #[allow(missing_docs)] const MODERATE_MEMBERS = 1 << 40;
        #[allow(missing_docs)] const VIEW_CREATOR_MONETIZATION_ANALYTICS = 1 << 41;
        #[allow(missing_docs)] const USE_SOUNDBOARD = 1 << 42;
        #[allow(missing_docs)] const CREATE_GUILD_EXPRESSIONS = 1 << 43;
        #[allow(missing_docs)] const CREATE_EVENTS = 1 << 44;
        #[allow(missing_docs)] const USE_EXTERNAL_SOUNDS = 1 << 45;
        #[allow(missing_docs)] const SEND_VOICE_MESSAGES = 1 << 46;
        #[allow(missing_docs)] const SET_VOICE_CHANNEL_STATUS = 1 << 48;
        #[allow(missing_docs)] const SEND_POLLS = 1 << 49;
        #[allow(missing_docs)] const USE_EXTERNAL_APPS = 1 << 50;
        #[allow(missing_docs)] const PIN_MESSAGES = 1 << 51;
        #[allow(missing_docs)] const BYPASS_SLOWMODE = 1 << 52;
    }
}

impl Permissions {
    /// What `@everyone` may do in a new guild; the set that current clients create.
    pub const NEW_GUILD: Permissions = Permissions::from_bits_truncate(2_248_473_465_835_073);

    /// What a timed-out member keeps.
    pub const TIMED_OUT: Permissions = Permissions::VIEW_CHANNEL.union(Permissions::READ_MESSAGE_HISTORY);
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(itoa::Buffer::new().format(self.bits()))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Permissions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a permission set as a decimal string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Permissions, E> {
                text.parse().map(Permissions::from_bits_truncate).map_err(|_| E::custom("not a permission set"))
            }
            fn visit_u64<E: de::Error>(self, raw: u64) -> Result<Permissions, E> {
                Ok(Permissions::from_bits_truncate(raw))
            }
            fn visit_i64<E: de::Error>(self, raw: i64) -> Result<Permissions, E> {
                u64::try_from(raw).map(Permissions::from_bits_truncate).map_err(|_| E::custom("negative"))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_decimal_strings() {
        assert_eq!(serde_json::to_string(&Permissions::VIEW_CHANNEL).unwrap(), "\"1024\"");
        assert_eq!(serde_json::from_str::<Permissions>("1024").unwrap(), Permissions::VIEW_CHANNEL);
        assert!(serde_json::from_str::<Permissions>("\"no\"").is_err());
    }
}
