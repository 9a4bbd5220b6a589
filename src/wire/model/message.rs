//! A message. Source: Discord docs, Resources/Message.
//!
//! Lives on: every core.
//! Three forms come from one record: REST (no guild, no member), gateway (with both), and either of them blanked for those
//! who may not read other people's text.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::base::clock;
use crate::base::id::{ChannelId, GuildId, MessageId, RoleId, UserId};
use crate::wire::model::channel::ChannelKind;
use crate::wire::model::member::{Member, PartialMember};
use crate::wire::model::user::User;

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Id; carries the time.
    pub id: MessageId,
    /// Where.
    pub channel_id: ChannelId,
    /// The guild of the channel.
    pub guild_id: GuildId,
    /// Who wrote it.
    pub author: User,
    /// The text.
    pub content: String,
    /// Unix milliseconds of the last edit.
    pub edited_at_ms: Option<u64>,
    /// What is seldom there.
    pub extra: Extra,
}

/// The parts of a message that most messages lack; kept together so that a plain message is small.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// 0 default, 19 reply.
    #[serde(rename = "type", skip_serializing_if = "is_zero")]
    pub kind: u32,
    /// Bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub flags: u32,
    /// Read aloud.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tts: bool,
    /// Whether `@everyone` or `@here` was mentioned with effect.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mention_everyone: bool,
    /// Users mentioned with effect, as they were when the message was written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<User>,
    /// Roles mentioned with effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mention_roles: Vec<RoleId>,
    /// Rich embeds, as given after checking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub embeds: Vec<Value>,
    /// Components, as given after checking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Value>,
    /// The message replied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies_to: Option<MessageId>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Message {
    /// Whether `reader` gets the text even without the message content intent: it wrote the message or is mentioned in it.
    pub fn is_open_to(&self, reader: UserId) -> bool {
        self.author.id == reader || self.extra.mentions.iter().any(|user| user.id == reader)
    }
}

/// What a message is written out as.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a> {
    /// The message.
    pub message: &'a Message,
    /// For the gateway: the author's member and the channel's kind. `None` writes the REST form.
    pub gateway: Option<(&'a Member, ChannelKind)>,
    /// Echoed to the author's request and in `MESSAGE_CREATE`.
    pub nonce: Option<&'a Value>,
    /// The message replied to: `None` not looked up, `Some(None)` gone.
    pub referenced: Option<Option<&'a Message>>,
    /// Without text, embeds and components.
    pub blank: bool,
}

impl<'a> MessageView<'a> {
    /// The REST form.
    pub fn rest(message: &'a Message) -> Self {
        MessageView { message, gateway: None, nonce: None, referenced: None, blank: false }
    }
}

impl Serialize for MessageView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const NOTHING: [(); 0] = [];
        let message = self.message;
        let extra = &message.extra;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &message.id)?;
        map.serialize_entry("channel_id", &message.channel_id)?;
        map.serialize_entry("author", &message.author)?;
        map.serialize_entry("content", if self.blank { "" } else { &message.content })?;
        map.serialize_entry("timestamp", &clock::iso8601(message.id.unix_ms()))?;
        map.serialize_entry("edited_timestamp", &message.edited_at_ms.map(clock::iso8601))?;
        map.serialize_entry("tts", &extra.tts)?;
        map.serialize_entry("mention_everyone", &extra.mention_everyone)?;
        map.serialize_entry("mentions", &extra.mentions)?;
        map.serialize_entry("mention_roles", &extra.mention_roles)?;
        map.serialize_entry("attachments", &NOTHING)?;
        if self.blank {
            map.serialize_entry("embeds", &NOTHING)?;
            map.serialize_entry("components", &NOTHING)?;
        } else {
            map.serialize_entry("embeds", &extra.embeds)?;
            map.serialize_entry("components", &extra.components)?;
        }
        map.serialize_entry("pinned", &false)?;
        map.serialize_entry("type", &extra.kind)?;
        map.serialize_entry("flags", &extra.flags)?;
        if let Some(replied) = extra.replies_to {
            #[derive(Serialize)]
            struct Reference {
                r#type: u8,
                message_id: MessageId,
                channel_id: ChannelId,
                guild_id: GuildId,
            }
            map.serialize_entry(
                "message_reference",
                &Reference {
                    r#type: 0,
                    message_id: replied,
                    channel_id: message.channel_id,
                    guild_id: message.guild_id,
                },
            )?;
            if let Some(referenced) = self.referenced {
                let inner = referenced.map(|message| MessageView { blank: self.blank, ..MessageView::rest(message) });
                map.serialize_entry("referenced_message", &inner)?;
            }
        }
        if let Some(nonce) = self.nonce {
            map.serialize_entry("nonce", nonce)?;
        }
        if let Some((member, kind)) = self.gateway {
            map.serialize_entry("guild_id", &message.guild_id)?;
            map.serialize_entry("channel_type", &kind)?;
            map.serialize_entry("member", &PartialMember(member))?;
        }
        map.end()
    }
}
