//! `allowed_mentions`. Source: Discord docs, Resources/Message/Allowed Mentions Object.
//!
//! Lives on: every core.

use crate::limits;
use crate::rest::form::reader::FormReader;
use crate::wire::request::message::AllowedMentions;

/// Reads `allowed_mentions`; absent, everything is allowed.
pub fn allowed_mentions(form: &FormReader<'_>) -> AllowedMentions {
    let Some(value) = form.raw("allowed_mentions") else { return AllowedMentions::default() };
    let Ok(inner) = FormReader::new(value) else {
        form.fault(&["allowed_mentions"], "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType");
        return AllowedMentions::default();
    };
    let parse: Option<Vec<String>> = inner.parsed("parse", "LIST_TYPE_CONVERT", "Not a list of words.");
    let parse = parse.unwrap_or_default();
    let allowed = AllowedMentions {
        all_users: parse.iter().any(|word| word == "users"),
        all_roles: parse.iter().any(|word| word == "roles"),
        everyone: parse.iter().any(|word| word == "everyone"),
        users: inner.parsed("users", "LIST_TYPE_CONVERT", "Not a list of ids.").unwrap_or_default(),
        roles: inner.parsed("roles", "LIST_TYPE_CONVERT", "Not a list of ids.").unwrap_or_default(),
        replied_user: inner.flag("replied_user").unwrap_or(false),
    };
    for (all, count, word) in
        [(allowed.all_users, allowed.users.len(), "users"), (allowed.all_roles, allowed.roles.len(), "roles")]
    {
        if all && count > 0 {
            let message = format!("parse:[\"{word}\"] and {word}: [ids...] are mutually exclusive.");
            form.fault(&["allowed_mentions"], "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
        }
        if count > limits::MENTIONS_MAX {
            let message = format!("Must be {} or fewer in length.", limits::MENTIONS_MAX);
            form.fault(&["allowed_mentions", word], "BASE_TYPE_MAX_LENGTH", message);
        }
    }
    if inner.finish().is_err() {
        form.fault(&["allowed_mentions"], "MODEL_TYPE_CONVERT", "Could not be interpreted.");
    }
    allowed
}
