//! People signing up, in and out. Source: the routes that user clients call.
//!
//! Lives on: every core.

use serde_json::json;

use crate::mail::ask::{Actor, Reply, Request};
use crate::rest::call::Call;
use crate::rest::form;
use crate::rest::respond::{self, HandlerResult};
use crate::store::{Found, Query};
use crate::wire::refusal::{FormErrors, Refusal};

/// `POST /auth/register`.
pub async fn register(call: Call) -> HandlerResult {
    if !call.desk.settings().registration {
        return Err(Refusal { message: "Registration is closed on this server.", ..Refusal::MISSING_ACCESS });
    }
    let form::account::Registration { username, global_name, password } = form::account::registration(&call.body)?;
    let password = Some(call.desk.hash_password(password).await?);
    let shard = call.random_shard();
    let request = Request::CreateAccount { shard, username, global_name, password, bot: None, owner: None };
    let Reply::Account(account) = call.desk.ask(Actor::System, None, request).await? else {
        return Err(Refusal::INTERNAL);
    };
    let token = issue(&call, account.user.id);
    respond::json(201, &json!({ "token": token, "user_id": account.user.id }))
}

/// `POST /auth/login`.
pub async fn login(call: Call) -> HandlerResult {
    let form::account::Credentials { login, password } = form::account::credentials(&call.body)?;
    let Found::Login(found) = call.desk.read(Query::Login(login)).await? else { return Err(Refusal::INTERNAL) };
    // An unknown login takes as long as a wrong password, so that names cannot be found out.
    let (account, phc) = match found {
        Some(found) => (Some(found.0), found.1),
        None => (None, DUMMY.to_owned()),
    };
    let good = call.desk.check_password(password, phc).await?;
    match account {
        Some(account) if good => {
            let token = issue(&call, account.user.id);
            let settings = json!({ "locale": "en-US", "theme": "dark" });
            respond::json(200, &json!({ "token": token, "user_id": account.user.id, "user_settings": settings }))
        }
        _ => {
            let mut errors = FormErrors::default();
            for field in ["login", "password"] {
                errors.add(&[field], "INVALID_LOGIN", "Login or password is invalid.");
            }
            errors.finish()?;
            Err(Refusal::INVALID_FORM_BODY)
        }
    }
}

/// All tokens of the caller are void from now on.
/// `POST /auth/logout`.
pub async fn logout(call: Call) -> HandlerResult {
    call.ask(Request::RevokeTokens(call.user()?)).await
}

fn issue(call: &Call, user: crate::base::id::UserId) -> String {
    call.desk.signer().issue(user, crate::base::clock::now().millis())
}

/// A hash that no password has.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
