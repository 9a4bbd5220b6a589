//! A town to test in: a person, a bot, a guild that has them both.

use serde_json::Value;
use tempfile::TempDir;

use crate::rest::Rest;
use crate::server::{Server, admin};

/// A data directory with a person who owns a guild and a bot that is its member.
pub struct Town {
    /// The data directory; goes with the town.
    pub data: TempDir,
    /// The person's id and token.
    pub ann: (String, String),
    /// The bot's id and token, without the `Bot ` prefix.
    pub bot: (String, String),
    /// The guild.
    pub guild: String,
    /// Its first text channel.
    pub channel: String,
}

impl Town {
    /// Founds one.
    pub fn found() -> Town {
        let data = TempDir::new().expect("a temporary directory");
        let text = |value: &Value| value.as_str().expect("ids and tokens are strings").to_owned();
        let account = |answer: Value| (text(&answer["user_id"]), text(&answer["token"]));
        let ann = account(admin(data.path(), &["user", "create", "ann", "--password", "correct horse"]));
        let bot = account(admin(data.path(), &["bot", "create", "bob", "--intents", "all", "--owner", ann.0.as_str()]));
        let guild = admin(data.path(), &["guild", "create", "Town hall", "--owner", ann.0.as_str()]);
        let channel = guild["channels"]
            .as_array()
            .and_then(|channels| channels.iter().find(|channel| channel["type"] == 0))
            .map(|channel| text(&channel["id"]))
            .expect("a new guild has a text channel");
        let guild = text(&guild["guild_id"]);
        admin(data.path(), &["guild", "add", &guild, &bot.0]);
        Town { data, ann, bot, guild, channel }
    }

    /// Starts a server for it.
    pub fn serve(&self, cores: usize) -> Server {
        Server::start(self.data.path(), cores, &["--rate-limits", "false"])
    }

    /// Ann's REST.
    pub fn ann(&self, server: &Server) -> Rest {
        Rest::new(server.address, &self.ann.1)
    }

    /// The bot's REST.
    pub fn bot(&self, server: &Server) -> Rest {
        Rest::new(server.address, &format!("Bot {}", self.bot.1))
    }

    /// Has somebody write in the channel.
    pub fn say(&self, who: &Rest, content: &str) -> Value {
        who.done(
            "POST",
            &format!("/channels/{}/messages", self.channel),
            Some(serde_json::json!({ "content": content })),
        )
    }
}
