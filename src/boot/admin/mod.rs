//! `guildhall admin`: users, bots, guilds and members, with the server running or not; imports without it.
//!
//! Lives on: a process of its own. If a server has the data directory it is asked through its control socket; if not, the
//! command works on the store itself, through the same shard code, without a server.

pub mod errand;
pub mod import;
pub mod offline;
pub mod online;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use crate::boot::Fatal;
use crate::boot::admin::errand::Errand;
use crate::boot::admin::import::ImportArgs;
use crate::boot::commandline::DataArg;
use crate::store::directory::DataDir;
use crate::wire::intents::Intents;

/// Flags of `admin`.
#[derive(Debug, clap::Args)]
pub struct AdminArgs {
    #[command(flatten)]
    data: DataArg,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(flatten)]
    Errand(ErrandArgs),
    /// Make users and guilds in bulk from JSON lines, with the server stopped.
    Import(ImportArgs),
}

#[derive(Debug, Subcommand)]
enum ErrandArgs {
    /// People.
    #[command(subcommand)]
    User(UserCommand),
    /// Bots.
    #[command(subcommand)]
    Bot(BotCommand),
    /// Guilds.
    #[command(subcommand)]
    Guild(GuildCommand),
    /// Print a new token for a user or bot.
    Token {
        /// The user's id.
        user: u64,
    },
    /// Write once to every open connection, as fast as the kernel takes it, and say how long that took. Clients ignore it.
    Pulse {
        /// Bytes of each write.
        #[arg(long, value_name = "N")]
        bytes: usize,
        /// How often.
        #[arg(long, value_name = "R", default_value_t = 1)]
        rounds: u32,
        /// Let other work have its turn as often as a message to everybody does.
        #[arg(long)]
        paced: bool,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Create a person and print a token.
    Create {
        /// Username, 2 to 32 characters.
        name: String,
        /// A password to sign in with; without one only the token works.
        #[arg(long)]
        password: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum BotCommand {
    /// Create a bot and print a token.
    Create {
        /// Username, 2 to 32 characters.
        name: String,
        /// Privileged intents to enable, separated by commas: members, presences, content, or all.
        #[arg(long, value_delimiter = ',')]
        intents: Vec<String>,
        /// The person it belongs to, by id.
        #[arg(long)]
        owner: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
enum GuildCommand {
    /// Create a guild.
    Create {
        /// Its name, 2 to 100 characters.
        name: String,
        /// Its owner, by id.
        #[arg(long)]
        owner: u64,
    },
    /// Add a user or bot to a guild.
    Add {
        /// The guild's id.
        guild: u64,
        /// The user's id.
        user: u64,
    },
    /// Fill a guild with new members for load tests and write their tokens to a file, one per line.
    Fill {
        /// The guild's id.
        guild: u64,
        /// How many members to add.
        #[arg(long)]
        members: u64,
        /// Where the tokens go.
        #[arg(long)]
        tokens: PathBuf,
    },
}

/// Runs one command and prints what came of it.
pub fn run(args: &AdminArgs) -> Result<(), Fatal> {
    let Some(data) = &args.data.data else {
        return Err(Fatal("no data directory: say where with --data DIR".to_owned()));
    };
    let what = match &args.what {
        What::Errand(what) => what,
        What::Import(import) => return import::run(data, import, &mut |object| print_line(object, args.json)),
    };
    let errand = errand(what)?;
    let answer = match DataDir::lock(data) {
        Ok(directory) => offline::run(&directory, &errand)?,
        Err(refused) => match online::ask(data, &errand) {
            Ok(answer) => answer?,
            // Nobody answers at the socket: then what the lock said is the better sentence.
            Err(_) => return Err(refused.into()),
        },
    };
    let mut answer = answer;
    if let ErrandArgs::Guild(GuildCommand::Fill { tokens, .. }) = what {
        write_tokens(tokens, &mut answer)?;
    }
    print(&answer, args.json);
    Ok(())
}

fn errand(what: &ErrandArgs) -> Result<Errand, Fatal> {
    Ok(match what {
        ErrandArgs::User(UserCommand::Create { name, password }) => {
            Errand::CreateUser { name: checked(name)?, password: password.clone() }
        }
        ErrandArgs::Bot(BotCommand::Create { name, intents, owner }) => {
            Errand::CreateBot { name: checked(name)?, privileged: privileged(intents)?, owner: *owner }
        }
        ErrandArgs::Guild(GuildCommand::Create { name, owner }) => {
            if !(2..=100).contains(&name.chars().count()) {
                return Err(Fatal("a guild's name has 2 to 100 characters".to_owned()));
            }
            Errand::CreateGuild { name: name.clone(), owner: *owner }
        }
        ErrandArgs::Guild(GuildCommand::Add { guild, user }) => Errand::AddMember { guild: *guild, user: *user },
        ErrandArgs::Guild(GuildCommand::Fill { guild, members, .. }) => {
            Errand::Fill { guild: *guild, members: *members }
        }
        ErrandArgs::Token { user } => Errand::Token { user: *user },
        ErrandArgs::Pulse { bytes, rounds, paced } => Errand::Pulse { bytes: *bytes, rounds: *rounds, paced: *paced },
    })
}

fn checked(name: &str) -> Result<String, Fatal> {
    let name = name.trim();
    if !(2..=32).contains(&name.chars().count()) {
        return Err(Fatal("a username has 2 to 32 characters".to_owned()));
    }
    Ok(name.to_owned())
}

fn privileged(words: &[String]) -> Result<u32, Fatal> {
    let mut intents = Intents::empty();
    for word in words {
        intents |= match word.as_str() {
            "members" => Intents::GUILD_MEMBERS,
            "presences" => Intents::GUILD_PRESENCES,
            "content" => Intents::MESSAGE_CONTENT,
            "all" => Intents::PRIVILEGED,
            other => {
                return Err(Fatal(format!("unknown intent {other:?}: there are members, presences, content and all")));
            }
        };
    }
    Ok(intents.bits())
}

/// An empty file for tokens, readable by its owner alone.
fn token_file(path: &Path) -> Result<File, Fatal> {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.create(true).truncate(true).write(true).open(path);
    file.map_err(|error| Fatal(format!("cannot write the tokens to {}: {error}", path.display())))
}

/// Tokens go to their file and not to the terminal.
fn write_tokens(path: &Path, answer: &mut Value) -> Result<(), Fatal> {
    let explain = |error: std::io::Error| Fatal(format!("cannot write the tokens to {}: {error}", path.display()));
    let tokens = answer.as_object_mut().and_then(|map| map.remove("tokens")).unwrap_or_default();
    let mut file = std::io::BufWriter::new(token_file(path)?);
    for token in tokens.as_array().into_iter().flatten() {
        writeln!(file, "{}", token.as_str().unwrap_or_default()).map_err(explain)?;
    }
    file.flush().map_err(explain)?;
    answer["tokens_file"] = path.display().to_string().into();
    Ok(())
}

fn print(answer: &Value, json: bool) {
    if json {
        println!("{answer}");
        return;
    }
    for (key, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => println!("{key}: {text}"),
            Value::Array(list) if list.iter().all(Value::is_object) => {
                println!("{key}:");
                for item in list {
                    println!("  {}", fields(item));
                }
            }
            other => println!("{key}: {other}"),
        }
    }
}

/// `key value, key value`
fn fields(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten().map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        Value::Array(list) => {
            let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            format!("{key} {}", if list.is_empty() { "none".to_owned() } else { list.join(" ") })
        }
        other => format!("{key} {other}"),
    });
    fields.collect::<Vec<_>>().join(", ")
}

/// One object on one line. Whoever reads along may have gone: that is told, because ids are lost with it.
fn print_line(object: &Value, json: bool) -> Result<(), Fatal> {
    let line = if json { object.to_string() } else { fields(object) };
    writeln!(std::io::stdout(), "{line}").map_err(|error| Fatal(format!("cannot print what was imported: {error}")))
}
