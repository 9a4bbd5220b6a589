//! `guildhall admin import`: users and guilds in bulk, from JSON lines.
//!
//! Lives on: the command's process, which holds the data directory's lock. An import needs a stopped server, because
//! its large transactions would delay the server's own commits.
//! Truth it holds: the ids of the file's users by number, 8 bytes each; nothing else grows with them.
//! Read next: `plan` for the lines, `roster` for the members of a guild, `store::backend` for the writing.

pub mod plan;
pub mod roster;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base::clock;
use crate::base::fatal::Fatal;
use crate::base::id::{Mint, RoleId, UserId};
use crate::base::prng::Prng;
use crate::guild::{founding, invite};
use crate::limits;
use crate::mail::placement::VirtualShard;
use crate::model::channel::ChannelKind;
use crate::model::invite::Invite;
use crate::operate::entropy::entropy;
use crate::operate::import::plan::{GuildPlan, ImportStep};
use crate::operate::token_file::TokenFile;
use crate::store::backend::{Backend, Bulk};
use crate::store::database;
use crate::store::directory::DataDir;
use crate::store::token::Signer;
use crate::store::{Found, GuildRecord, Query, Write as Change};

/// Flags of `import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// JSON lines, or `-` for standard input.
    file: PathBuf,
    /// Where the users' tokens go, one per line, in the order of their numbers.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Only the tokens of the first K users.
    #[arg(long, value_name = "K", requires = "tokens")]
    tokens_for: Option<usize>,
}

/// Imports a file. `report` receives a JSON object for each guild, once it is in the database, and one at the end.
pub fn run(data: &Path, args: &ImportArgs, report: &mut dyn FnMut(&Value) -> Result<(), Fatal>) -> Result<(), Fatal> {
    let began = clock::now();
    let directory =
        DataDir::lock(data).map_err(|refused| Fatal(format!("an import needs a stopped server: {refused}")))?;
    let source = open(&args.file)?;
    let tokens = args.tokens.as_deref().map(TokenFile::create).transpose()?;

    let mut store = database::open(&directory.database())?;
    let signer = Signer::new(store.secret()?);
    store.relax()?;
    let mut import = Import::into(&mut *store, report)?;
    import.read(source, &args.file)?;
    let Imported { users, guilds, members } = import.finish()?;
    store.finish()?;

    let mut summary = json!({ "users": users.len(), "guilds": guilds, "members": members });
    if let Some(file) = tokens {
        let some = &users[..users.len().min(args.tokens_for.unwrap_or(usize::MAX))];
        summary["tokens"] = some.len().into();
        summary["tokens_file"] = file.path().display().to_string().into();
        let now = clock::now().millis();
        file.write(some.iter().map(|user| signer.issue(*user, now)))?;
    }
    let seconds = clock::now().since(began).as_secs_f64();
    summary["seconds"] = ((seconds * 1_000.0).round() / 1_000.0).into();
    report(&summary)
}

fn open(path: &Path) -> Result<BufReader<Box<dyn Read>>, Fatal> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|error| unreadable(path, &error))?)
    };
    Ok(BufReader::new(source))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fatal {
    Fatal(format!("cannot read {}: {error}", path.display()))
}

/// What an import has made.
struct Imported {
    users: Vec<UserId>,
    guilds: u64,
    members: u64,
}

/// The open transaction, and the guilds in it, which are reported once they are committed.
struct ImportBatch<'a> {
    bulk: Box<dyn Bulk + 'a>,
    report: &'a mut dyn FnMut(&Value) -> Result<(), Fatal>,
    unreported: Vec<Value>,
}

impl ImportBatch<'_> {
    fn commit_if_large(&mut self) -> Result<(), Fatal> {
        if self.bulk.rows() >= limits::IMPORT_ROWS { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), Fatal> {
        self.bulk.commit()?;
        for guild in self.unreported.drain(..) {
            (self.report)(&guild)?;
        }
        Ok(())
    }
}

struct Import<'a> {
    batch: ImportBatch<'a>,
    mint: Mint,
    prng: Prng,
    /// By number. Ascending but for neighbours, so that the tables grow at their ends.
    users: Vec<UserId>,
    guilds: u64,
    members: u64,
}

impl<'a> Import<'a> {
    fn into(
        store: &'a mut dyn Backend,
        report: &'a mut dyn FnMut(&Value) -> Result<(), Fatal>,
    ) -> Result<Import<'a>, Fatal> {
        Ok(Import {
            batch: ImportBatch { bulk: store.bulk(), report, unreported: Vec::new() },
            mint: Mint::outside(),
            prng: Prng::from_entropy(entropy()?),
            users: Vec::new(),
            guilds: 0,
            members: 0,
        })
    }

    /// Carries out all lines of the file `path`.
    fn read(&mut self, mut source: BufReader<Box<dyn Read>>, path: &Path) -> Result<(), Fatal> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let most = limits::IMPORT_LINE_BYTES;
            let read = source.by_ref().take(most as u64 + 1).read_until(b'\n', &mut line);
            if read.map_err(|error| unreadable(path, &error))? == 0 {
                break;
            }
            let step = if line.len() > most {
                Err(format!("it is longer than {most} bytes"))
            } else if line.trim_ascii().is_empty() {
                continue;
            } else {
                plan::read(&line, self.users.len())
            };
            match step {
                Ok(step) => self.carry_out(step)?,
                Err(wrong) => {
                    // The lines above were right, and nothing of this one was written.
                    self.batch.commit()?;
                    return Err(Fatal(format!("{}, line {number}: {wrong}", path.display())));
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, step: ImportStep) -> Result<(), Fatal> {
        match step {
            ImportStep::Users { count, prefix } => self.create_users(count, &prefix),
            ImportStep::Guild(plan) => self.create_guild(*plan),
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
            self.batch.bulk.create_users(prefix, 0, &self.users[from..])?;
            left -= batch;
            self.batch.commit_if_large()?;
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
        self.batch.bulk.apply(&writes)?;

        // @everyone is the first.
        let roles: Vec<RoleId> = record.roles[1..].iter().map(|role| role.id).collect();
        let mut count = 0;
        for (run, given) in roster::runs(plan.owner, &plan.members, roles.len()) {
            let given: Vec<RoleId> = given.into_iter().map(|role| roles[role]).collect();
            for batch in self.users[run].chunks(limits::IMPORT_BATCH) {
                self.batch.bulk.add_members(guild, batch, &given, now)?;
                count += batch.len() as u64;
                self.batch.commit_if_large()?;
            }
        }
        self.guilds += 1;
        self.members += count;
        let channels: Vec<_> = record.channels.iter().map(|channel| channel.id).collect();
        self.batch.unreported.push(json!({
            "guild_id": guild,
            "name": record.guild.name,
            "roles": roles,
            "channels": channels,
            "members": count,
            "invite": code,
        }));
        self.batch.commit_if_large()
    }

    /// An invite that never expires, by the owner, to the first channel that new members see, if possible a text
    /// channel.
    fn invite(&mut self, record: &GuildRecord, now: u64) -> Result<Invite, Fatal> {
        let unexpected = || Fatal("the database does not have what was just written".to_owned());
        let owner = record.guild.owner_id;
        let Found::Users(mut found) = self.batch.bulk.read(&Query::Users(vec![owner]))? else {
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
        self.batch.commit()?;
        Ok(Imported { users: self.users, guilds: self.guilds, members: self.members })
    }
}
