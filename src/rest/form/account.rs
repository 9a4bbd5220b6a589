//! Sign-up and sign-in. Source: the routes that user clients call.
//!
//! Lives on: every core.

use serde_json::Value;

use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::wire::refusal::Refusal;

/// `POST /auth/register`.
#[derive(Debug)]
pub struct Registration {
    /// 2 to 32 characters, none of which has a meaning in a mention.
    pub username: String,
    /// Display name.
    pub global_name: Option<String>,
    /// In the clear.
    pub password: String,
}

/// `POST /auth/login`.
#[derive(Debug)]
pub struct Credentials {
    /// A username.
    pub login: String,
    /// In the clear.
    pub password: String,
}

/// Reads a sign-up.
pub fn registration(body: &Value) -> Result<Registration, Refusal> {
    let form = FormReader::new(body)?;
    let username = form.required_text("username", limits::USERNAME_CHARS_MIN, limits::USERNAME_CHARS_MAX);
    let password = form.required_text("password", limits::PASSWORD_CHARS_MIN, limits::PASSWORD_CHARS_MAX);
    let global_name = form.nullable_text("global_name", limits::USERNAME_CHARS_MAX).flatten();
    let reserved = ["everyone", "here"].contains(&username.to_lowercase().as_str());
    if reserved || username.contains(['@', '#', ':']) || username.contains("```") {
        form.fault(&["username"], "USERNAME_INVALID", "Username contains something that it must not contain.");
    }
    form.finish()?;
    Ok(Registration { username, global_name, password })
}

/// Reads a sign-in.
pub fn credentials(body: &Value) -> Result<Credentials, Refusal> {
    let form = FormReader::new(body)?;
    let login = form.required_text("login", 1, limits::LOGIN_CHARS_MAX);
    let password = form.required_text("password", 1, limits::PASSWORD_CHARS_MAX);
    form.finish()?;
    Ok(Credentials { login, password })
}
