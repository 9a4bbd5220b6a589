//! What the server keeps of a user besides what others see: for bots, the application.
//!
//! Lives on: every core. Source: Discord docs, Resources/Application (flags).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::id::UserId;
use crate::wire::intents::Intents;
use crate::wire::model::user::User;

/// A user with what decides its sessions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The person a bot belongs to; `None` for people, and for bots that the operator made.
    #[serde(default)]
    pub owner: Option<UserId>,
    /// Privileged intents that the operator enabled for this bot. Meaningless for people.
    #[serde(default)]
    pub privileged: u32,
    /// Tokens issued before this Unix millisecond are void.
    #[serde(default)]
    pub tokens_valid_from_ms: u64,
}

impl Account {
    /// Whether the account may use `intents`: people all, bots the unprivileged ones and what is enabled for them.
    pub fn allows(&self, intents: Intents) -> bool {
        let privileged = intents & Intents::PRIVILEGED;
        !self.user.bot || Intents::from_bits_truncate(self.privileged).contains(privileged)
    }

    /// Application flags: for each privileged intent the bit for unverified applications (13, 15, 19).
    pub fn application_flags(&self) -> u64 {
        let enabled = Intents::from_bits_truncate(self.privileged);
        [(Intents::GUILD_PRESENCES, 13), (Intents::GUILD_MEMBERS, 15), (Intents::MESSAGE_CONTENT, 19)]
            .into_iter()
            .filter(|(intent, _)| enabled.contains(*intent))
            .fold(0, |flags, (_, bit)| flags | 1 << bit)
    }

    /// The application object of a bot, for `/applications/@me` and `/oauth2/applications/@me`.
    /// `owner` is the owning person, or the bot itself when it has none.
    pub fn application(&self, owner: &User) -> Value {
        json!({
            "id": self.user.id,
            "name": self.user.username,
            "icon": self.user.avatar,
            "description": "",
            "summary": "",
            "rpc_origins": [],
            "bot_public": true,
            "bot_require_code_grant": false,
            "verify_key": "0".repeat(64),
            "owner": owner,
            "team": null,
            "flags": self.application_flags(),
            "flags_new": self.application_flags().to_string(),
            "approximate_guild_count": 0,
            "approximate_user_install_count": 0,
            "redirect_uris": [],
            "interactions_endpoint_url": null,
            "role_connections_verification_url": null,
            "tags": [],
            "hook": false,
            "type": null,
            "bot": self.user,
        })
    }
}
