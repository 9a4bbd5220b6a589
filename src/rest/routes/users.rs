//! Users and applications. Source: Discord docs, Resources/User and Resources/Application.
//!
//! Lives on: every core.

use serde_json::{Value, json};

use crate::base::id::{GuildId, UserId};
use crate::mail::ask::member::MemberRequest;
use crate::model::permissions::Permissions;
use crate::rest::call::Call;
use crate::rest::respond::{self, HandlerResult};
use crate::store::{Found, Query};
use crate::wire::model::account;
use crate::wire::model::user::{CurrentUser, UserView};
use crate::wire::refusal::Refusal;

/// `GET /users/@me`.
pub async fn get_me(call: Call) -> HandlerResult {
    respond::json(200, &CurrentUser(&call.account().await?.user))
}

/// `GET /users/{user.id}`.
pub async fn get(call: Call) -> HandlerResult {
    let user: UserId = call.id(0)?;
    let account = call.account_of(user).await?.ok_or(Refusal::UNKNOWN_USER)?;
    respond::json(200, &UserView(&account.user))
}

/// `GET /users/@me/guilds`.
pub async fn guilds(call: Call) -> HandlerResult {
    let user = call.user()?;
    let after = call.asked_as::<GuildId>("after")?.unwrap_or(GuildId::new(0));
    let before = call.asked_as::<GuildId>("before")?;
    let limit = call.asked_number("limit", 1, 200, 200)?;
    let Found::Guilds(guilds) = call.desk.read(Query::GuildsOf { user, after, limit }).await? else {
        return Err(Refusal::INTERNAL);
    };
    let list: Vec<Value> = guilds
        .iter()
        .filter(|guild| before.is_none_or(|before| guild.id < before))
        .map(|guild| {
            let owner = guild.owner_id == user;
            json!({
                "id": guild.id, "name": guild.name, "icon": guild.icon, "banner": null, "owner": owner,
                "permissions": if owner { Permissions::all() } else { Permissions::NEW_GUILD },
                "features": guild.features,
            })
        })
        .collect();
    respond::json(200, &list)
}

/// `DELETE /users/@me/guilds/{guild.id}`.
pub async fn leave(call: Call) -> HandlerResult {
    call.ask_guild(call.id(0)?, MemberRequest::Leave).await
}

/// `GET /applications/@me`, `GET /oauth2/applications/@me`.
pub async fn application(call: Call) -> HandlerResult {
    let caller = call.account().await?;
    if !caller.user.bot {
        return Err(Refusal::ONLY_BOTS_MAY);
    }
    let owner = match caller.owner {
        Some(owner) => call.account_of(owner).await?.map(|owner| owner.user),
        None => None,
    };
    respond::json(200, &account::application(&caller, owner.as_ref().unwrap_or(&caller.user)))
}

/// There are no application commands here, so the list is empty.
/// `GET /applications/{application.id}/commands`, `GET /applications/{application.id}/guilds/{guild.id}/commands`.
pub async fn commands(call: Call) -> HandlerResult {
    own(&call)?;
    respond::json(200, &json!([]))
}

/// Setting none is true; setting some cannot be done.
/// `PUT /applications/{application.id}/commands`, `PUT /applications/{application.id}/guilds/{guild.id}/commands`.
pub async fn put_commands(call: Call) -> HandlerResult {
    own(&call)?;
    match call.body.as_array() {
        Some(list) if list.is_empty() => respond::json(200, &json!([])),
        _ => Err(Refusal::NOT_FOUND),
    }
}

fn own(call: &Call) -> Result<(), Refusal> {
    let application: UserId = call.id(0)?;
    if call.user()? == application { Ok(()) } else { Err(Refusal::UNKNOWN_APPLICATION) }
}
