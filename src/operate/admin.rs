//! `guildhall admin`: users, bots, guilds and members, with the server running or not; imports without it.
//!
//! Lives on: a process of its own. A server that has the data directory executes the command, sent through its control
//! socket; without a server the command works on the store itself, through the same shard code.
//! Read next: `admin_command.rs` for the commands, `offline.rs` and `online.rs` for the two ways.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::base::fatal::Fatal;
use crate::operate::admin_command::AdminCommand;
use crate::operate::data_arg::DataArg;
use crate::operate::import::{self, ImportArgs};
use crate::operate::token_file::TokenFile;
use crate::operate::{offline, online};
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
    Command(CommandArgs),
    /// Make users and guilds in bulk from JSON lines, with the server stopped.
    Import(ImportArgs),
}

#[derive(Debug, Subcommand)]
enum CommandArgs {
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
    /// Write once to every open connection, as fast as the kernel takes it, and say how long that took. Clients ignore
    /// it.
    #[command(name = "pulse")]
    RawSend {
        /// Bytes of each write.
        #[arg(long, value_name = "N")]
        bytes: usize,
        /// Repetitions.
        #[arg(long, value_name = "R", default_value_t = 1)]
        rounds: u32,
        /// Do other work between writes as often as the fan-out of a message does.
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

/// Runs one command and prints its answer.
pub fn run(args: &AdminArgs) -> Result<(), Fatal> {
    let Some(data) = &args.data.data else {
        return Err(Fatal("no data directory: say where with --data DIR".to_owned()));
    };
    let arguments = match &args.what {
        What::Command(arguments) => arguments,
        What::Import(import) => return import::run(data, import, &mut |object| print_line(object, args.json)),
    };
    let command = command(arguments)?;
    let mut answer = match DataDir::lock(data) {
        Ok(directory) => offline::run(&directory, &command)?,
        Err(refused) => match online::send(data, &command) {
            Ok(answer) => answer?,
            // No server answers at the socket: the lock's error is the better sentence.
            Err(_) => return Err(refused.into()),
        },
    };
    if let CommandArgs::Guild(GuildCommand::Fill { tokens, .. }) = arguments {
        // Tokens go to their file and not to the terminal.
        let file = TokenFile::create(tokens)?;
        let found = answer.as_object_mut().and_then(|map| map.remove("tokens")).unwrap_or_default();
        file.write(found.as_array().into_iter().flatten().filter_map(Value::as_str))?;
        answer["tokens_file"] = tokens.display().to_string().into();
    }
    print(&answer, args.json);
    Ok(())
}

fn command(arguments: &CommandArgs) -> Result<AdminCommand, Fatal> {
    Ok(match arguments {
        CommandArgs::User(UserCommand::Create { name, password }) => {
            AdminCommand::CreateUser { name: checked(name)?, password: password.clone() }
        }
        CommandArgs::Bot(BotCommand::Create { name, intents, owner }) => {
            AdminCommand::CreateBot { name: checked(name)?, privileged: privileged(intents)?, owner: *owner }
        }
        CommandArgs::Guild(GuildCommand::Create { name, owner }) => {
            if !(2..=100).contains(&name.chars().count()) {
                return Err(Fatal("a guild's name has 2 to 100 characters".to_owned()));
            }
            AdminCommand::CreateGuild { name: name.clone(), owner: *owner }
        }
        CommandArgs::Guild(GuildCommand::Add { guild, user }) => AdminCommand::AddMember { guild: *guild, user: *user },
        CommandArgs::Guild(GuildCommand::Fill { guild, members, .. }) => {
            AdminCommand::Fill { guild: *guild, members: *members }
        }
        CommandArgs::Token { user } => AdminCommand::Token { user: *user },
        CommandArgs::RawSend { bytes, rounds, paced } => {
            AdminCommand::RawSend { bytes: *bytes, rounds: *rounds, paced: *paced }
        }
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

/// Prints one object on one line. A closed pipe is an error here, because ids would be lost with it.
fn print_line(object: &Value, json: bool) -> Result<(), Fatal> {
    let line = if json { object.to_string() } else { fields(object) };
    writeln!(std::io::stdout(), "{line}").map_err(|error| Fatal(format!("cannot print what was imported: {error}")))
}
