//! What an account may ask for, and a bot's application as it sees it.
//!
//! Lives on: every core. Source: Discord docs, Resources/Application (flags).

use serde_json::{Value, json};

use crate::model::account::Account;
use crate::model::user::User;
use crate::wire::intents::Intents;
use crate::wire::model::user::UserView;

/// Whether the account may use `intents`: people all, bots the unprivileged ones and what is enabled for them.
pub fn allows(account: &Account, intents: Intents) -> bool {
    let privileged = intents & Intents::PRIVILEGED;
    !account.user.bot || Intents::from_bits_truncate(account.privileged).contains(privileged)
}

/// Application flags: for each privileged intent the bit for unverified applications (13, 15, 19).
pub fn application_flags(account: &Account) -> u64 {
    let enabled = Intents::from_bits_truncate(account.privileged);
    [(Intents::GUILD_PRESENCES, 13), (Intents::GUILD_MEMBERS, 15), (Intents::MESSAGE_CONTENT, 19)]
        .into_iter()
        .filter(|(intent, _)| enabled.contains(*intent))
        .fold(0, |flags, (_, bit)| flags | 1 << bit)
}

/// The application object of a bot, for `/applications/@me` and `/oauth2/applications/@me`.
/// `owner` is the owning person, or the bot itself when it has none.
pub fn application(account: &Account, owner: &User) -> Value {
    json!({
        "id": account.user.id,
        "name": account.user.username,
        "icon": account.user.avatar,
        "description": "",
        "summary": "",
        "rpc_origins": [],
        "bot_public": true,
        "bot_require_code_grant": false,
        "verify_key": "0".repeat(64),
        "owner": UserView(owner),
        "team": null,
        "flags": application_flags(account),
        "flags_new": application_flags(account).to_string(),
        "approximate_guild_count": 0,
        "approximate_user_install_count": 0,
        "redirect_uris": [],
        "interactions_endpoint_url": null,
        "role_connections_verification_url": null,
        "tags": [],
        "hook": false,
        "type": null,
        "bot": UserView(&account.user),
    })
}
