//! How clients see a message. Source: Discord docs, Resources/Message.
//!
//! Lives on: every core.
//! Three forms come from one record: REST (no guild, no member), gateway (with both), and either of them blanked for
//! those who may not read other people's text.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::base::clock;
use crate::base::id::{ChannelId, GuildId, MessageId};
use crate::model::channel::ChannelKind;
use crate::model::member::Member;
use crate::model::message::Message;
use crate::wire::model::member::PartialMember;
use crate::wire::model::rendered;
use crate::wire::model::user::UserView;

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
        map.serialize_entry("author", &UserView(&message.author))?;
        map.serialize_entry("content", if self.blank { "" } else { &message.content })?;
        map.serialize_entry("timestamp", &clock::iso8601(message.id.unix_ms()))?;
        map.serialize_entry("edited_timestamp", &message.edited_at_ms.map(clock::iso8601))?;
        map.serialize_entry("tts", &extra.tts)?;
        map.serialize_entry("mention_everyone", &extra.mention_everyone)?;
        map.serialize_entry("mentions", &rendered(extra.mentions.iter().map(UserView)))?;
        map.serialize_entry("mention_roles", &extra.mention_roles)?;
        map.serialize_entry("attachments", &NOTHING)?;
        if self.blank {
            map.serialize_entry("embeds", &NOTHING)?;
            map.serialize_entry("components", &NOTHING)?;
        } else {
            map.serialize_entry("embeds", &extra.embeds)?;
            map.serialize_entry("components", &extra.components)?;
        }
        map.serialize_entry("pinned", &extra.pinned)?;
        map.serialize_entry("type", &extra.kind)?;
        map.serialize_entry("flags", &extra.flags)?;
        if let Some(replied) = extra.replies_to {
            #[derive(Serialize)]
            struct ReferenceView {
                r#type: u8,
                message_id: MessageId,
                channel_id: ChannelId,
                guild_id: GuildId,
            }
            map.serialize_entry(
                "message_reference",
                &ReferenceView {
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
