//! Errands: what the operator can have done, in a form that goes over the control socket.
//!
//! Lives on: the command's process, or a thread of the server's.

use flume::Sender;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::clock;
use crate::base::id::Id;
use crate::base::id::{GuildId, Mint, UserId, kind};
use crate::base::prng::Prng;
use crate::boot::Fatal;
use crate::boot::core::Order;
use crate::boot::pulse;
use crate::limits;
use crate::mail::ask::{Answer, GuildRequest, Reply, Request};
use crate::mail::placement::VirtualShard;
use crate::store::password::Password;
use crate::store::service::{Caller, Outcome, Work};
use crate::store::sqlite::SqliteStore;
use crate::store::token::Signer;
use crate::store::{Conflict, Found, Query, StoreError};
use crate::wire::refusal::Refusal;
use crate::wire::request::guild::GuildDraft;

/// Something to be done for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "errand")]
pub enum Errand {
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
    Pulse {
        /// Of each write.
        bytes: usize,
        /// How often.
        rounds: u32,
        /// Whether other work has its turn as often as it has while a message goes out.
        #[serde(default)]
        paced: bool,
    },
}

/// What an errand is done with: the owners, the store, the signer.
pub struct Means<'a> {
    /// Asks an owner as the operator.
    pub ask: &'a mut dyn FnMut(Request) -> Answer,
    /// The store's threads.
    pub caller: &'a Caller,
    /// The database, for filling.
    pub database: &'a std::path::Path,
    /// Issues tokens.
    pub signer: &'a Signer,
    /// The cores of the running server; none without one.
    pub cores: &'a [Sender<Order>],
}

impl Errand {
    /// Does it. The answer is a JSON object.
    pub fn run(&self, means: &mut Means<'_>) -> Result<Value, Fatal> {
        match self {
            Errand::CreateUser { name, password } => {
                let password = match password {
                    Some(password) => Some(hashed(means.caller, password)?),
                    None => None,
                };
                create(means, name, password, None, None)
            }
            Errand::CreateBot { name, privileged, owner } => {
                let owner = owner.map(UserId::new);
                let mut answer = create(means, name, None, Some(*privileged), owner)?;
                answer["intents"] = (*privileged).into();
                Ok(answer)
            }
            Errand::CreateGuild { name, owner } => {
                let request = Request::FoundGuild {
                    shard: random_shard()?,
                    owner: UserId::new(*owner),
                    draft: GuildDraft { name: name.clone() },
                };
                let Reply::Json(_, body) = (means.ask)(request).map_err(explain)? else { return Err(unexpected()) };
                let guild: Value = serde_json::from_slice(&body).map_err(|_| unexpected())?;
                let id: GuildId = guild["id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(unexpected)?;
                let Reply::Json(_, body) =
                    (means.ask)(Request::Guild(id, GuildRequest::ListChannels)).map_err(explain)?
                else {
                    return Err(unexpected());
                };
                let channels: Vec<Value> = serde_json::from_slice(&body).map_err(|_| unexpected())?;
                let channels: Vec<Value> = channels
                    .iter()
                    .map(|channel| json!({ "id": channel["id"], "name": channel["name"], "type": channel["type"] }))
                    .collect();
                Ok(json!({ "guild_id": id, "name": name, "channels": channels }))
            }
            Errand::AddMember { guild, user } => {
                let request = GuildRequest::AddMember(UserId::new(*user));
                (means.ask)(Request::Guild(GuildId::new(*guild), request)).map_err(explain)?;
                Ok(json!({ "guild_id": guild.to_string(), "user_id": user.to_string() }))
            }
            Errand::Fill { guild, members } => fill(means, GuildId::new(*guild), *members),
            Errand::Token { user } => {
                let user = UserId::new(*user);
                match means.caller.call(Work::Query(Query::Account(user)))? {
                    Outcome::Found(Found::Account(Some(_))) => {}
                    _ => return Err(explain(Refusal::UNKNOWN_USER)),
                }
                Ok(json!({ "user_id": user, "token": issue(means, user) }))
            }
            Errand::Pulse { bytes, rounds, paced } => {
                let slice = if *paced { limits::FLUSH_SLICE as u32 } else { limits::PULSE_SLICE };
                pulse::order(means.cores, *bytes, *rounds, slice)
            }
        }
    }
}

fn create(
    means: &mut Means<'_>,
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
    let Reply::Account(account) = (means.ask)(request).map_err(explain)? else { return Err(unexpected()) };
    let id = account.user.id;
    Ok(json!({ "user_id": id, "username": name, "token": issue(means, id) }))
}

/// Members for load tests: written straight to the database, in large transactions, beside the server if there is one.
fn fill(means: &mut Means<'_>, guild: GuildId, members: u64) -> Result<Value, Fatal> {
    let now = clock::now().millis();
    let mut mint = Mint::outside();
    let mut prng = Prng::from_entropy(entropy()?);
    let mut store = SqliteStore::open(means.database)?;
    let minted = || -> UserId {
        let shard = VirtualShard::hashed(prng.next_u64());
        let id: Id<kind::User> = mint.mint(now, shard.number());
        id
    };
    let users = match store.fill_members(guild, members, now, minted) {
        Ok(users) => users,
        Err(StoreError::Conflict(Conflict::Gone)) => return Err(explain(Refusal::UNKNOWN_GUILD)),
        Err(error) => return Err(error.into()),
    };
    // The server, if it has the guild in memory, counts anew.
    (means.ask)(Request::Guild(guild, GuildRequest::Refresh)).map_err(explain)?;
    let tokens: Vec<String> = users.iter().map(|user| issue(means, *user)).collect();
    Ok(json!({ "guild_id": guild, "members": users.len(), "tokens": tokens }))
}

fn issue(means: &Means<'_>, user: UserId) -> String {
    means.signer.issue(user, clock::now().millis())
}

fn hashed(caller: &Caller, password: &str) -> Result<String, Fatal> {
    match caller.call(Work::HashPassword(Password(password.to_owned())))? {
        Outcome::Hashed(phc) => Ok(phc),
        _ => Err(unexpected()),
    }
}

fn random_shard() -> Result<VirtualShard, Fatal> {
    let seed = entropy()?;
    Ok(VirtualShard::hashed(Prng::from_entropy(seed).next_u64()))
}

/// 256 bits of the kernel's.
pub fn entropy() -> Result<[u8; 32], Fatal> {
    use std::io::Read;
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut seed))
        .map_err(|error| Fatal(format!("cannot read /dev/urandom: {error}")))?;
    Ok(seed)
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
