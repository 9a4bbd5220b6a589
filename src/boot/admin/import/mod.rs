//! `guildhall admin import`: users and guilds in bulk, from JSON lines.
//!
//! Lives on: the command's process, which holds the data directory's lock. A running server is not asked: what is imported
//! knows only itself, but the one who writes so much at once would keep the server's own commits waiting.
//! Truth it holds: the ids of the file's users by number, 8 bytes each, and nothing else that grows with them.
//! Read next: `plan` for the lines, `roster` for who is a member, `store::sqlite::bulk` for the writing.

pub mod plan;
pub mod roster;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base::clock;
use crate::base::id::{Mint, RoleId, UserId};
use crate::base::prng::Prng;
use crate::boot::Fatal;
use crate::boot::admin::errand;
use crate::boot::admin::import::plan::{GuildPlan, Step};
use crate::boot::admin::token_file;
use crate::guild::{founding, invite};
use crate::limits;
use crate::mail::placement::VirtualShard;
use crate::store::directory::DataDir;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::bulk::Bulk;
use crate::store::token::Signer;
use crate::store::{Found, GuildRecord, Query, Write as Change};
use crate::wire::model::channel::ChannelKind;
use crate::wire::model::invite::Invite;

/// Flags of `import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// JSON lines, or `-` for standard input.
    file: PathBuf,
    /// Where the users' tokens go, one per line, in the order of their numbers.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Only the first so many users' tokens.
    #[arg(long, value_name = "K", requires = "tokens")]
    tokens_for: Option<usize>,
}

/// Imports a file. `tell` is given a JSON object for each guild, once it is in the database, and one at the end.
pub fn run(data: &Path, args: &ImportArgs, tell: &mut dyn FnMut(&Value) -> Result<(), Fatal>) -> Result<(), Fatal> {
    let began = clock::now();
    let directory =
        DataDir::lock(data).map_err(|refused| Fatal(format!("an import needs a stopped server: {refused}")))?;
    let name = args.file.display();
    let unreadable = |error: std::io::Error| Fatal(format!("cannot read {name}: {error}"));
    let source: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(&args.file).map_err(unreadable)?)
    };
    let mut source = BufReader::new(source);
    // Opened first: a path that cannot be written should not be found out after the work.
    let tokens = args.tokens.as_deref().map(|path| Ok::<_, Fatal>((path, token_file(path)?))).transpose()?;

    let mut store = SqliteStore::open(&directory.database())?;
    let signer = Signer::new(store.secret()?);
    store.relax()?;
    let mut import = Import::into(&mut store, tell)?;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let most = limits::IMPORT_LINE_BYTES;
        let read = source.by_ref().take(most as u64 + 1).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        let step = if line.len() > most {
            Err(format!("it is longer than {most} bytes"))
        } else if line.trim_ascii().is_empty() {
            continue;
        } else {
            plan::read(&line, import.users.len())
        };
        match step {
            Ok(step) => import.carry_out(step)?,
            Err(wrong) => {
                // The lines above were right, and nothing of this one was written.
                import.book.settle()?;
                return Err(Fatal(format!("{name}, line {number}: {wrong}")));
            }
        }
    }
    let Imported { users, guilds, members } = import.finish()?;
    store.checkpoint()?;

    let mut summary = json!({ "users": users.len(), "guilds": guilds, "members": members });
    if let Some((path, file)) = tokens {
        let some = &users[..users.len().min(args.tokens_for.unwrap_or(usize::MAX))];
        write_tokens(path, file, some, &signer)?;
        summary["tokens"] = some.len().into();
        summary["tokens_file"] = path.display().to_string().into();
    }
    let seconds = clock::now().since(began).as_secs_f64();
    summary["seconds"] = ((seconds * 1_000.0).round() / 1_000.0).into();
    tell(&summary)
}

/// What came of it.
struct Imported {
    users: Vec<UserId>,
    guilds: u64,
    members: u64,
}

/// What is being written, and whom to tell when it is there.
struct Book<'a> {
    bulk: Bulk<'a>,
    tell: &'a mut dyn FnMut(&Value) -> Result<(), Fatal>,
    /// Guilds of which not all is committed yet, so nobody was told of them.
    untold: Vec<Value>,
}

impl Book<'_> {
    fn settle_if_many(&mut self) -> Result<(), Fatal> {
        if self.bulk.rows() >= limits::IMPORT_ROWS { self.settle() } else { Ok(()) }
    }

    /// Commits everything, and tells of the guilds.
    fn settle(&mut self) -> Result<(), Fatal> {
        self.bulk.commit()?;
        for guild in self.untold.drain(..) {
            (self.tell)(&guild)?;
        }
        Ok(())
    }
}

struct Import<'a> {
    book: Book<'a>,
    mint: Mint,
    prng: Prng,
    /// By number. Ascending but for neighbours, so that the tables grow at their ends.
    users: Vec<UserId>,
    guilds: u64,
    members: u64,
}

impl<'a> Import<'a> {
    fn into(
        store: &'a mut SqliteStore,
        tell: &'a mut dyn FnMut(&Value) -> Result<(), Fatal>,
    ) -> Result<Import<'a>, Fatal> {
        Ok(Import {
            book: Book { bulk: store.bulk(), tell, untold: Vec::new() },
            mint: Mint::outside(),
            prng: Prng::from_entropy(errand::entropy()?),
            users: Vec::new(),
            guilds: 0,
            members: 0,
        })
    }

    fn carry_out(&mut self, step: Step) -> Result<(), Fatal> {
        match step {
            Step::Users { count, prefix } => self.create_users(count, &prefix),
            Step::Guild(plan) => self.create_guild(*plan),
        }
    }

    fn create_users(&mut self, count: u64, prefix: &str) -> Result<(), Fatal> {
        let mut left = count;
        while left > 0 {
            let batch = left.min(limits::IMPORT_BATCH as u64);
            let now = clock::now().millis();
            let from = self.users.len();
            for _ in 0..batch {
                let shard = VirtualShard::hashed(self.prng.next_u64());
                self.users.push(self.mint.mint(now, shard.number()));
            }
            // Within a millisecond ids go by their place first.
            self.users[from..].sort_unstable();
            self.book.bulk.create_users(prefix, 0, &self.users[from..])?;
            left -= batch;
            self.book.settle_if_many()?;
        }
        Ok(())
    }

    fn create_guild(&mut self, plan: GuildPlan) -> Result<(), Fatal> {
        let now = clock::now().millis();
        let shard = VirtualShard::hashed(self.prng.next_u64());
        let owner = self.users[plan.owner];
        let record = founding::lay_out(shard, owner, plan.design, now, &mut self.mint);
        let guild = record.guild.id;
        let invite = self.invite(&record, now)?;
        let code = invite.code.clone();
        let mut writes = founding::writes(&record);
        writes.push(Change::PutInvite(Box::new(invite)));
        self.book.bulk.apply(&writes)?;

        // @everyone is the first.
        let roles: Vec<RoleId> = record.roles[1..].iter().map(|role| role.id).collect();
        let mut count = 0;
        for (run, given) in roster::runs(plan.owner, &plan.members, roles.len()) {
            let given: Vec<RoleId> = given.into_iter().map(|role| roles[role]).collect();
            for batch in self.users[run].chunks(limits::IMPORT_BATCH) {
                self.book.bulk.add_members(guild, batch, &given, now)?;
                count += batch.len() as u64;
                self.book.settle_if_many()?;
            }
        }
        self.guilds += 1;
        self.members += count;
        let channels: Vec<_> = record.channels.iter().map(|channel| channel.id).collect();
        self.book.untold.push(json!({
            "guild_id": guild,
            "name": record.guild.name,
            "roles": roles,
            "channels": channels,
            "members": count,
            "invite": code,
        }));
        self.book.settle_if_many()
    }

    /// An invite that never ends, by the owner, into the first channel that newcomers see, if possible one of text.
    fn invite(&mut self, record: &GuildRecord, now: u64) -> Result<Invite, Fatal> {
        let unexpected = || Fatal("the database does not have what was just written".to_owned());
        let owner = record.guild.owner_id;
        let Found::Users(mut found) = self.book.bulk.read(&Query::Users(vec![owner]))? else {
            return Err(unexpected());
        };
        let inviter = found.pop().ok_or_else(unexpected)?;
        let rank = |kind: ChannelKind, hidden: bool| (hidden, kind != ChannelKind::Text);
        let channel = record.channels.iter().min_by_key(|channel| rank(channel.kind, !channel.overwrites.is_empty()));
        Ok(Invite {
            code: invite::code(self.prng.next_u64()),
            guild_id: record.guild.id,
            channel_id: channel.ok_or_else(unexpected)?.id,
            inviter,
            created_at_ms: now,
            max_age: 0,
            max_uses: 0,
            uses: 0,
            temporary: false,
        })
    }

    fn finish(mut self) -> Result<Imported, Fatal> {
        self.book.settle()?;
        Ok(Imported { users: self.users, guilds: self.guilds, members: self.members })
    }
}

fn write_tokens(path: &Path, file: File, users: &[UserId], signer: &Signer) -> Result<(), Fatal> {
    let explain = |error: std::io::Error| Fatal(format!("cannot write the tokens to {}: {error}", path.display()));
    let now = clock::now().millis();
    let mut file = BufWriter::new(file);
    for user in users {
        writeln!(file, "{}", signer.issue(*user, now)).map_err(explain)?;
    }
    file.flush().map_err(explain)
}
