//! Pins. Source: Discord docs, Resources/Message (Get Channel Pins, Pin Message, Unpin Message) and their older routes.
//!
//! Lives on: every core.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base::id::{ChannelId, MessageId};
use crate::limits;
use crate::mail::ask::message::MessageRequest;
use crate::rest::call::Call;
use crate::rest::respond::HandlerResult;

/// `PUT /channels/{channel.id}/messages/pins/{message.id}`, `PUT /channels/{channel.id}/pins/{message.id}`.
pub async fn pin(call: Call) -> HandlerResult {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    call.ask_channel(channel, MessageRequest::Pin(channel, id)).await
}

/// `DELETE /channels/{channel.id}/messages/pins/{message.id}`, `DELETE /channels/{channel.id}/pins/{message.id}`.
pub async fn unpin(call: Call) -> HandlerResult {
    let (channel, id): (ChannelId, MessageId) = (call.id(0)?, call.id(1)?);
    call.ask_channel(channel, MessageRequest::Unpin(channel, id)).await
}

/// `GET /channels/{channel.id}/messages/pins`.
pub async fn page(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    let limit = call.asked_number("limit", 1, limits::PINS_PAGE_MAX, limits::PINS_PAGE_MAX)?;
    let before_ms = call.asked_as::<PinnedBefore>("before")?.map(|before| before.0);
    call.ask_channel(channel, MessageRequest::Pins { channel, before_ms, limit }).await
}

/// `GET /channels/{channel.id}/pins`.
pub async fn list(call: Call) -> HandlerResult {
    let channel: ChannelId = call.id(0)?;
    call.ask_channel(channel, MessageRequest::PinnedMessages(channel)).await
}

/// A moment in ISO 8601, as the first whole Unix millisecond that is not before it.
#[derive(Debug, PartialEq)]
struct PinnedBefore(u64);

impl FromStr for PinnedBefore {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A plus sign that was not escaped has become a space.
        let moment = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339)?;
        let ms = (moment.unix_timestamp_nanos() + 999_999).div_euclid(1_000_000);
        Ok(PinnedBefore(u64::try_from(ms).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    #[test]
    fn before_is_read_as_pinned_at_is_written() {
        let written = clock::iso8601(1_700_000_000_123);
        assert_eq!(written.parse(), Ok(PinnedBefore(1_700_000_000_123)));
        assert_eq!(written.replace('+', " ").parse(), Ok(PinnedBefore(1_700_000_000_123)));
        assert_eq!("2023-11-14T22:13:20.1235Z".parse(), Ok(PinnedBefore(1_700_000_000_124)));
        assert!("yesterday".parse::<PinnedBefore>().is_err());
    }
}
