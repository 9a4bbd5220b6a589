//! Admin commands: what the operator can have done, in a form that goes over the control socket.
//!
//! Lives on: the command's process (without a server), or the server's control thread.

use flume::Sender;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::clock;
use crate::base::fatal::Fatal;
use crate::base::id::Id;
use crate::base::id::{GuildId, Mint, UserId, kind};
use crate::base::prng::Prng;
use crate::limits;
use crate::mail::ask::channel::ChannelRequest;
use crate::mail::ask::guild::SettingsRequest;
use crate::mail::ask::member::MemberRequest;
use crate::mail::ask::{Answer, Reply, Request};
use crate::mail::placement::VirtualShard;
use crate::operate::core_command::CoreCommand;
use crate::operate::entropy::entropy;
use crate::operate::raw_send;
use crate::store::password::Password;
use crate::store::service::{Caller, Outcome, PasswordWork, Work};
use crate::store::token::Signer;
use crate::store::{Conflict, Found, Query, StoreError};
use crate::store::{backend, database};
use crate::wire::refusal::Refusal;
use crate::wire::request::guild::GuildDraft;

/// One command and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum AdminCommand {
    /// → `user_id`, `username`, `token`
    CreateUser {
        /// Username, its length checked.
        name: String,
        /// To sign in with.
        password: Option<String>,
    },
    /// → `user_id`, `username`, `token`, `intents`
    CreateBot {
        /// Username, its length checked.
        name: String,
        /// Bits of privileged intents.
        privileged: u32,
        /// Whose.
        owner: Option<u64>,
    },
    /// → `guild_id`, `name`, `channels`
    CreateGuild {
        /// Its name, its length checked.
        name: String,
        /// Its owner.
        owner: u64,
    },
    /// → `guild_id`, `user_id`
    AddMember {
        /// Which guild.
        guild: u64,
        /// Which user.
        user: u64,
    },
    /// → `guild_id`, `members`, `tokens`
    Fill {
        /// Which guild.
        guild: u64,
        /// How many.
        members: u64,
    },
    /// → `user_id`, `token`
    Token {
        /// Whose.
        user: u64,
    },
    /// → `bytes`, `frames`, `rounds`
    RawSend {
        /// Bytes of each write.
        bytes: usize,
        /// Repetitions.
        rounds: u32,
        /// Whether slices are as short as those of a message's fan-out.
        #[serde(default)]
        paced: bool,
    },
}

/// What commands run against: the owners, the store, the signer.
pub struct AdminContext<'a> {
    /// Asks an owner as the operator.
    pub ask: &'a mut dyn FnMut(Request) -> Answer,
    /// The store's threads.
    pub caller: &'a Caller,
    /// The database, for filling.
    pub database: &'a std::path::Path,
    /// Issues tokens.
    pub signer: &'a Signer,
    /// The cores of the running server; none without one.
    pub cores: &'a [Sender<CoreCommand>],
}

impl AdminCommand {
    /// Runs the command. The answer is a JSON object.
    pub fn run(&self, context: &mut AdminContext<'_>) -> Result<Value, Fatal> {
        match self {
            AdminCommand::CreateUser { name, password } => create_user(context, name, password.as_deref()),
            AdminCommand::CreateBot { name, privileged, owner } => {
                let owner = owner.map(UserId::new);
                let mut answer = create_account(context, name, None, Some(*privileged), owner)?;
                answer["intents"] = (*privileged).into();
                Ok(answer)
            }
            AdminCommand::CreateGuild { name, owner } => create_guild(context, name, UserId::new(*owner)),
            AdminCommand::AddMember { guild, user } => {
                let request = MemberRequest::Add(UserId::new(*user));
                (context.ask)(Request::Guild(GuildId::new(*guild), request.into())).map_err(explain)?;
                Ok(json!({ "guild_id": guild.to_string(), "user_id": user.to_string() }))
            }
            AdminCommand::Fill { guild, members } => fill(context, GuildId::new(*guild), *members),
            AdminCommand::Token { user } => token(context, UserId::new(*user)),
            AdminCommand::RawSend { bytes, rounds, paced } => {
                let slice = if *paced { limits::FLUSH_SLICE as u32 } else { limits::RAW_SEND_SLICE };
                raw_send::run(context.cores, *bytes, *rounds, slice)
            }
        }
    }
}

fn create_user(context: &mut AdminContext<'_>, name: &str, password: Option<&str>) -> Result<Value, Fatal> {
    let password = password.map(|password| hashed(context.caller, password)).transpose()?;
    create_account(context, name, password, None, None)
}

fn create_guild(context: &mut AdminContext<'_>, name: &str, owner: UserId) -> Result<Value, Fatal> {
    let draft = GuildDraft { name: name.to_owned() };
    let request = Request::FoundGuild { shard: random_shard()?, owner, draft };
    let Reply::Json(_, body) = (context.ask)(request).map_err(explain)? else { return Err(unexpected()) };
    let guild: Value = serde_json::from_slice(&body).map_err(|_| unexpected())?;
    let id: GuildId = guild["id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(unexpected)?;
    let request = Request::Guild(id, ChannelRequest::List.into());
    let Reply::Json(_, body) = (context.ask)(request).map_err(explain)? else { return Err(unexpected()) };
    let channels: Vec<Value> = serde_json::from_slice(&body).map_err(|_| unexpected())?;
    let channels: Vec<Value> = channels
        .iter()
        .map(|channel| json!({ "id": channel["id"], "name": channel["name"], "type": channel["type"] }))
        .collect();
    Ok(json!({ "guild_id": id, "name": name, "channels": channels }))
}

fn token(context: &AdminContext<'_>, user: UserId) -> Result<Value, Fatal> {
    match context.caller.call(Work::Query(Query::Account(user)))? {
        Outcome::Found(Found::Account(Some(_))) => Ok(json!({ "user_id": user, "token": issue(context, user) })),
        _ => Err(explain(Refusal::UNKNOWN_USER)),
    }
}

fn create_account(
    context: &mut AdminContext<'_>,
    name: &str,
    password: Option<String>,
    bot: Option<u32>,
    owner: Option<UserId>,
) -> Result<Value, Fatal> {
    let request = Request::CreateAccount {
        shard: random_shard()?,
        username: name.to_owned(),
        global_name: None,
        password,
        bot,
        owner,
    };
    let Reply::Account(account) = (context.ask)(request).map_err(explain)? else { return Err(unexpected()) };
    let id = account.user.id;
    Ok(json!({ "user_id": id, "username": name, "token": issue(context, id) }))
}

/// Members for load tests: written straight to the database, in large transactions, beside the server if there is one.
fn fill(context: &mut AdminContext<'_>, guild: GuildId, members: u64) -> Result<Value, Fatal> {
    let now = clock::now().millis();
    let mut mint = Mint::outside();
    let mut prng = Prng::from_entropy(entropy()?);
    let mut store = database::open(context.database)?;
    let minted = || -> UserId {
        let shard = VirtualShard::hashed(prng.next_u64());
        let id: Id<kind::OfUser> = mint.mint(now, shard.number());
        id
    };
    let users = match backend::fill_members(&mut *store, guild, members, now, minted) {
        Ok(users) => users,
        Err(StoreError::Conflict(Conflict::Gone)) => return Err(explain(Refusal::UNKNOWN_GUILD)),
        Err(error) => return Err(error.into()),
    };
    // The server, if it has the guild in memory, counts anew.
    (context.ask)(Request::Guild(guild, SettingsRequest::Refresh.into())).map_err(explain)?;
    let tokens: Vec<String> = users.iter().map(|user| issue(context, *user)).collect();
    Ok(json!({ "guild_id": guild, "members": users.len(), "tokens": tokens }))
}

fn issue(context: &AdminContext<'_>, user: UserId) -> String {
    context.signer.issue(user, clock::now().millis())
}

fn hashed(caller: &Caller, password: &str) -> Result<String, Fatal> {
    match caller.call(Work::Password(PasswordWork::Hash(Password(password.to_owned()))))? {
        Outcome::Hashed(phc) => Ok(phc),
        _ => Err(unexpected()),
    }
}

fn random_shard() -> Result<VirtualShard, Fatal> {
    let seed = entropy()?;
    Ok(VirtualShard::hashed(Prng::from_entropy(seed).next_u64()))
}

fn explain(refusal: Refusal) -> Fatal {
    match &refusal.errors {
        Some(errors) => Fatal(format!("{} ({errors})", refusal.message)),
        None => Fatal(refusal.message.to_owned()),
    }
}

fn unexpected() -> Fatal {
    Fatal("the server answered something unexpected".to_owned())
}
