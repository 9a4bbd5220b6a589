//! One request on its way through a handler.
//!
//! Lives on: every core.

use std::borrow::Cow;
use std::str::FromStr;

use http::HeaderMap;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode;
use serde_json::Value;

use crate::base::clock;
use crate::base::id::{ChannelId, GuildId, Id, UserId};
use crate::desk::Desk;
use crate::limits;
use crate::mail::ask::{Actor, GuildRequest, Reply, Request, Shape};
use crate::mail::placement::VirtualShard;
use crate::model::account::Account;
use crate::model::message::Message;
use crate::rest::multipart::UploadedFile;
use crate::rest::respond::{self, HandlerResult};
use crate::rest::tree::{self, Spans};
use crate::store::{Found, Query};
use crate::wire::intents::Intents;
use crate::wire::model::account::allows;
use crate::wire::model::member::MemberView;
use crate::wire::model::message::MessageView;
use crate::wire::model::pin::{PinView, PinsView};
use crate::wire::model::rendered;
use crate::wire::refusal::{FormErrors, Refusal};

/// The path and query of a request, and where the path has the segments that the route names.
#[derive(Debug, Clone)]
pub struct CallTarget {
    uri: PathAndQuery,
    spans: Spans,
}

impl CallTarget {
    /// Spans are those of the uri's path.
    pub fn new(uri: PathAndQuery, spans: Spans) -> CallTarget {
        CallTarget { uri, spans }
    }

    /// A named segment; empty if the route has no such one.
    pub fn word(&self, index: usize) -> Cow<'_, str> {
        let span = self.spans.get(index);
        span.map_or(Cow::Borrowed(""), |(start, end)| tree::decode(&self.uri.path()[*start as usize..*end as usize]))
    }

    /// The first id, by which rate limits are kept apart.
    pub fn major(&self) -> u64 {
        self.word(0).parse().unwrap_or(0)
    }
}

/// The reader of messages: a bot without the message content privilege gets only the text of its own messages and of
/// mentions.
struct Reader {
    user: UserId,
    all: bool,
}

impl Reader {
    fn of(account: &Account) -> Reader {
        Reader { user: account.user.id, all: allows(account, Intents::MESSAGE_CONTENT) }
    }

    fn view<'a>(&self, message: &'a Message) -> MessageView<'a> {
        MessageView { blank: !self.all && !message.is_open_to(self.user), ..MessageView::rest(message) }
    }
}

/// A request.
#[derive(Debug)]
pub struct Call {
    /// The core's desk.
    pub desk: Desk,
    /// Who calls, if that is known.
    pub user: Option<UserId>,
    /// Path and query.
    pub target: CallTarget,
    /// The body, as JSON; `null` if there is none.
    pub body: Value,
    /// Files that came with the body, if the route takes any.
    pub files: Vec<UploadedFile>,
    /// Why the caller does this, for the audit log.
    pub reason: Option<Box<str>>,
    /// The host that the client came by.
    pub host: String,
}

impl Call {
    /// Who calls; routes that need a caller have one.
    pub fn user(&self) -> Result<UserId, Refusal> {
        self.user.ok_or(Refusal::UNAUTHORIZED)
    }

    /// Refuses a caller that is in as many guilds as a user may be. Two calls at the same moment may exceed the bound
    /// by one.
    pub async fn room_for_a_guild(&self) -> Result<(), Refusal> {
        match self.desk.read(Query::AccountWithGuilds(self.user()?)).await? {
            Found::AccountWithGuilds(Some(found)) if found.1.len() >= limits::USER_GUILDS_MAX && !found.0.user.bot => {
                Err(Refusal::TOO_MANY_GUILDS)
            }
            _ => Ok(()),
        }
    }

    /// A named part of the path.
    pub fn word(&self, index: usize) -> Cow<'_, str> {
        self.target.word(index)
    }

    /// A named part of the path that is an id.
    pub fn id<T>(&self, index: usize) -> Result<Id<T>, Refusal> {
        let word = self.word(index);
        word.parse().ok().filter(|id: &Id<T>| id.get() > 0).ok_or_else(|| {
            FormErrors::one(&["id"], "NUMBER_TYPE_COERCE", format!("Value \"{word}\" is not snowflake."))
        })
    }

    /// A value of the query.
    pub fn asked(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.target.uri.query().unwrap_or("").as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A value of the query in a form of its own; garbage is refused.
    pub fn asked_as<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        match self.asked(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                FormErrors::one(&[name], "NUMBER_TYPE_COERCE", format!("Value \"{text}\" is not valid here."))
            }),
        }
    }

    /// A number of the query, in a range.
    pub fn asked_number(&self, name: &str, min: u32, max: u32, default: u32) -> Result<u32, Refusal> {
        let number = self.asked_as::<i64>(name)?.unwrap_or(i64::from(default));
        let mut errors = FormErrors::default();
        errors.range(&[name], number, i64::from(min), i64::from(max));
        errors.finish()?;
        Ok(number as u32)
    }

    /// Whether the query says yes.
    pub fn asked_flag(&self, name: &str) -> bool {
        self.asked(name).is_some_and(|word| matches!(word.as_str(), "true" | "True" | "1"))
    }

    /// Asks an owner as the caller, and answers with what it answers.
    pub async fn ask(&self, request: Request) -> HandlerResult {
        let actor = Actor::User(self.user()?);
        match self.desk.ask(actor, self.reason.clone(), request).await? {
            Reply::Read(query, shape) => self.read(query, shape).await,
            reply @ (Reply::Json(..) | Reply::Done | Reply::Account(_)) => respond::reply(reply),
        }
    }

    /// Asks a guild as the caller, and answers with what it answers.
    pub async fn ask_guild(&self, guild: GuildId, request: impl Into<GuildRequest>) -> HandlerResult {
        self.ask(Request::Guild(guild, request.into())).await
    }

    /// Asks the guild that a channel is in as the caller, and answers with what it answers.
    pub async fn ask_channel(&self, channel: ChannelId, request: impl Into<GuildRequest>) -> HandlerResult {
        self.ask(Request::Channel(channel, request.into())).await
    }

    /// Answers with what the store finds, which an owner let the caller read.
    async fn read(&self, query: Query, shape: Shape) -> HandlerResult {
        let found = self.desk.read(query).await?;
        match (shape, found) {
            (Shape::Members, Found::Members(members)) => respond::json(200, &rendered(members.iter().map(MemberView))),
            (Shape::Messages, Found::Messages(messages)) => {
                let reader = Reader::of(&*self.account().await?);
                let views: Vec<MessageView<'_>> = messages.iter().map(|message| reader.view(message)).collect();
                respond::json(200, &views)
            }
            (Shape::Messages, Found::Pins(page)) => {
                let reader = Reader::of(&*self.account().await?);
                let views: Vec<MessageView<'_>> = page.items.iter().map(|(_, message)| reader.view(message)).collect();
                respond::json(200, &views)
            }
            (Shape::Pins, Found::Pins(page)) => {
                let reader = Reader::of(&*self.account().await?);
                let items = page.items.iter().map(|(pinned_at_ms, message)| PinView {
                    pinned_at: clock::iso8601(*pinned_at_ms),
                    message: reader.view(message),
                });
                respond::json(200, &PinsView { items: items.collect(), has_more: page.has_more })
            }
            (Shape::Message, Found::Message(Some(message))) => {
                let reader = Reader::of(&*self.account().await?);
                respond::json(200, &reader.view(&message))
            }
            (Shape::Message, Found::Message(None)) => Err(Refusal::UNKNOWN_MESSAGE),
            (Shape::Members | Shape::Messages | Shape::Pins | Shape::Message, _) => Err(Refusal::INTERNAL),
        }
    }

    /// The caller's account.
    pub async fn account(&self) -> Result<Box<Account>, Refusal> {
        self.account_of(self.user()?).await?.ok_or(Refusal::UNAUTHORIZED)
    }

    /// A user's account.
    pub async fn account_of(&self, user: UserId) -> Result<Option<Box<Account>>, Refusal> {
        match self.desk.read(Query::Account(user)).await? {
            Found::Account(account) => Ok(account),
            _ => Err(Refusal::INTERNAL),
        }
    }

    /// A virtual shard by chance, for something new.
    pub fn random_shard(&self) -> VirtualShard {
        self.desk.random_shard()
    }
}

/// The audit log reason of a request, percent-decoded. Source: Discord docs, Resources/Audit Log (X-Audit-Log-Reason).
pub fn audit_reason(headers: &HeaderMap) -> Result<Option<Box<str>>, Refusal> {
    let Some(value) = headers.get("x-audit-log-reason") else { return Ok(None) };
    let reason = percent_decode(value.as_bytes()).decode_utf8_lossy().trim().to_owned();
    let mut errors = FormErrors::default();
    errors.length(&["reason"], &reason, 0, limits::AUDIT_REASON_CHARS_MAX);
    errors.finish()?;
    Ok((!reason.is_empty()).then(|| reason.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn audit_reason_is_decoded_and_bounded() {
        let read = |value: &str| {
            audit_reason(&HeaderMap::from_iter([(
                http::HeaderName::from_static("x-audit-log-reason"),
                HeaderValue::from_str(value).unwrap(),
            )]))
        };
        assert_eq!(audit_reason(&HeaderMap::new()), Ok(None));
        assert_eq!(read("%E2%9C%93 spam"), Ok(Some("\u{2713} spam".into())));
        assert_eq!(read("%20"), Ok(None));
        assert!(read(&"x".repeat(limits::AUDIT_REASON_CHARS_MAX)).is_ok());
        assert_eq!(read(&"x".repeat(limits::AUDIT_REASON_CHARS_MAX + 1)).unwrap_err().code, 50_035);
    }
}
