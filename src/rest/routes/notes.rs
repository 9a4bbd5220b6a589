//! Notes: what a person has written about other users. Source: Discord's clients; undocumented.
//!
//! Lives on: every core.

use serde_json::{Map, json};

use crate::base::id::UserId;
use crate::limits;
use crate::mail::ask::Request;
use crate::model::user_note::UserNote;
use crate::rest::call::Call;
use crate::rest::form::reader::FormReader;
use crate::rest::respond::{self, HandlerResult};
use crate::store::{Found, Query};
use crate::wire::refusal::Refusal;

/// `PUT /users/@me/notes/{user.id}`.
pub async fn put(call: Call) -> HandlerResult {
    let author = person(&call).await?;
    let about: UserId = call.id(0)?;
    let form = FormReader::new(&call.body)?;
    let text = form.nullable_text("note", limits::USER_NOTE_CHARS_MAX).flatten().unwrap_or_default();
    form.finish()?;
    call.ask(Request::SetNote(UserNote { author, about, text })).await
}

/// `GET /users/@me/notes/{user.id}`.
pub async fn get(call: Call) -> HandlerResult {
    let author = person(&call).await?;
    let about: UserId = call.id(0)?;
    let note = notes(&call, author, Some(about)).await?.pop().ok_or(Refusal::UNKNOWN_USER)?;
    respond::json(200, &json!({ "user_id": author, "note_user_id": about, "note": note.text }))
}

/// `GET /users/@me/notes`.
pub async fn list(call: Call) -> HandlerResult {
    let author = person(&call).await?;
    let notes = notes(&call, author, None).await?;
    let map: Map<_, _> = notes.into_iter().map(|note| (note.about.to_string(), note.text.into())).collect();
    respond::json(200, &map)
}

async fn notes(call: &Call, author: UserId, about: Option<UserId>) -> Result<Vec<UserNote>, Refusal> {
    match call.desk.read(Query::Notes { author, about }).await? {
        Found::Notes(notes) => Ok(notes),
        _ => Err(Refusal::INTERNAL),
    }
}

/// The caller, who must be a person.
async fn person(call: &Call) -> Result<UserId, Refusal> {
    let caller = call.account().await?.user;
    if caller.bot { Err(Refusal::BOTS_MAY_NOT) } else { Ok(caller.id) }
}
