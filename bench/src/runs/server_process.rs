//! A Guildhall of our own for a run: its data directory, its process. All through its command line, as an operator
//! would.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::json;

use crate::base::limits;
use crate::model::fixture::{Fixture, FixtureGuild, read_tokens};
use crate::model::trace::{ChannelKind, Guild, Trace};

/// VIEW_CHANNEL, SEND_MESSAGES and READ_MESSAGE_HISTORY: what the roles of a fixture may, which is what @everyone may.
const ROLE_PERMISSIONS: u64 = 1 << 10 | 1 << 11 | 1 << 16;
/// The file of the fixture in the host's folder.
pub const TOWN: &str = "fixture.json";
/// The file of what the server says.
pub const LOG: &str = "server.log";
/// Between looks at whether the server is up.
const PAUSE: Duration = Duration::from_millis(50);

/// How to have a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The binary.
    pub program: PathBuf,
    /// A folder that does not exist yet.
    pub data: PathBuf,
    /// Shards; the server's own default if absent.
    pub cores: Option<u32>,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
}

/// A server that runs.
#[derive(Debug)]
pub struct ServerProcess {
    process: Child,
    log: PathBuf,
    data: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it calls itself, and how many cores it has.
    pub label: String,
}

/// Makes the guilds of a trace in a new data directory. The last of the users made is the owner of all.
pub fn create_fixture(terms: &ServerOptions, trace: &Trace) -> Result<Fixture, String> {
    let sessions = trace.sessions();
    std::fs::create_dir_all(&terms.data).map_err(|error| format!("{}: {error}", terms.data.display()))?;
    let plan = terms.data.join("import.jsonl");
    let tokens = terms.data.join("tokens");
    write_plan(&plan, trace).map_err(|error| format!("{}: {error}", plan.display()))?;
    let output = Command::new(&terms.program)
        .args(["admin", "--json", "--data"])
        .arg(terms.data.join("data"))
        .arg("import")
        .arg(&plan)
        .arg("--tokens")
        .arg(&tokens)
        .args(["--tokens-for", &(sessions + 1).to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", terms.program.display()))?;
    if !output.status.success() {
        return Err("the server's import failed".into());
    }
    #[derive(Deserialize)]
    struct Made {
        guild_id: String,
        channels: Vec<String>,
        invite: String,
    }
    let mut tokens = read_tokens(&tokens)?;
    let owner = tokens.pop().unwrap_or_default();
    let mut fixture = Fixture { guilds: Vec::new(), owner, tokens: Arc::new(tokens) };
    for line in output.stdout.split(|byte| *byte == b'\n') {
        // The last line has the sums, not a guild.
        let Ok(made) = serde_json::from_slice::<Made>(line) else { continue };
        let number = |id: &String| id.parse::<u64>().map_err(|_| format!("the import said the id {id}"));
        let channels = made.channels.iter().map(number).collect::<Result<_, _>>()?;
        fixture.guilds.push(FixtureGuild { id: number(&made.guild_id)?, channels, invite: Some(made.invite) });
    }
    // A second run of the same trace on this data directory needs it.
    let file = File::create(terms.data.join(TOWN)).map_err(|error| error.to_string())?;
    serde_json::to_writer(BufWriter::new(file), &fixture).map_err(|error| error.to_string())?;
    Ok(fixture)
}

/// The import's lines: the sessions' users, then the owner, then people who are never online and whom all guilds share.
fn write_plan(path: &Path, trace: &Trace) -> io::Result<()> {
    let (guilds, sessions) = (&trace.guilds, trace.sessions());
    let mut out = BufWriter::new(File::create(path)?);
    let asleep = |guild: &Guild| guild.members.saturating_sub(u64::from(guild.sessions - guild.joining) + 1);
    let most_asleep = guilds.iter().map(asleep).max().unwrap_or(0);
    let owner = sessions;
    writeln!(out, "{}", json!({"users": {"count": sessions, "prefix": "session"}}))?;
    writeln!(out, "{}", json!({"users": {"count": 1, "prefix": "owner"}}))?;
    if most_asleep > 0 {
        writeln!(out, "{}", json!({"users": {"count": most_asleep, "prefix": "member"}}))?;
    }
    for (guild, first) in guilds.iter().zip(trace.firsts()) {
        let members = guild.sessions - guild.joining;
        let mut roles = Vec::new();
        let mut ranges = Vec::new();
        let permissions = ROLE_PERMISSIONS.to_string();
        // Each role has an equal part of the sessions; the first role begins with the first.
        for role in 0..guild.roles {
            roles.push(json!({"name": format!("role {role}"), "permissions": permissions, "hoist": role < 5}));
            let part = |of: u32| (u64::from(members) * u64::from(of) / u64::from(guild.roles)) as u32;
            let (from, to) = (part(role), part(role + 1));
            if to > from {
                ranges.push(json!({"first": first + from, "count": to - from, "roles": [role]}));
            }
        }
        let mut channels = Vec::new();
        for (number, channel) in guild.channels.iter().enumerate() {
            let kind = match channel.kind {
                ChannelKind::Text => 0,
                ChannelKind::Voice => 2,
            };
            let mut made = json!({"name": format!("channel-{number}"), "type": kind});
            if channel.share.is_some() {
                let role = roles.len();
                roles.push(json!({"name": format!("sees {number}"), "permissions": permissions, "hoist": false}));
                let viewers = guild.viewers(number as u32).min(members);
                if viewers > 0 {
                    ranges.push(json!({"first": first, "count": viewers, "roles": [role]}));
                }
                made["visible_to"] = json!([role]);
            }
            channels.push(made);
        }
        if members > 0 {
            ranges.push(json!({"first": first, "count": members, "roles": []}));
        }
        if asleep(guild) > 0 {
            ranges.push(json!({"first": owner + 1, "count": asleep(guild), "roles": []}));
        }
        let name = format!("guild {}", guild.guild);
        let made = json!({"name": name, "owner": owner, "roles": roles, "channels": channels, "members": ranges});
        writeln!(out, "{}", json!({"guild": made}))?;
    }
    out.flush()
}

impl ServerProcess {
    /// Starts the server on a port of its own choice, its rate limits off, and waits until it serves.
    pub fn start(terms: &ServerOptions) -> Result<ServerProcess, String> {
        let log = terms.data.join(LOG);
        let open = || File::create(&log).map_err(|error| format!("{}: {error}", log.display()));
        let mut command = Command::new(&terms.program);
        command.arg("serve").arg("--data").arg(terms.data.join("data"));
        command.args(["--listen", "127.0.0.1:0", "--rate-limits", "false"]);
        if let Some(cores) = terms.cores {
            command.args(["--cores", &cores.to_string()]);
        }
        let output = open()?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let process = command
            .args(&terms.arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{}: {error}", terms.program.display()))?;
        let data = terms.data.join("data");
        let mut host =
            ServerProcess { process, log, data, address: SocketAddr::from(([127, 0, 0, 1], 0)), label: String::new() };
        let start = Instant::now();
        loop {
            if let Some((address, cores)) = host.said()? {
                let version = Command::new(&terms.program).arg("--version").output().map(|output| output.stdout);
                let version = version.map(|text| String::from_utf8_lossy(&text).trim().to_owned()).unwrap_or_default();
                (host.address, host.label) = (address, format!("{version}, {cores}"));
                return Ok(host);
            }
            if host.process.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Err(format!("the server ended: {}", host.last_words()));
            }
            if start.elapsed() > limits::SERVER_START_TIME {
                return Err(format!("the server does not say where it serves; see {}", host.log.display()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Its process's id.
    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Stops it and waits; says where its histograms are.
    pub fn stop(mut self) -> Result<Option<PathBuf>, String> {
        self.terminate();
        let start = Instant::now();
        while start.elapsed() < limits::SERVER_STOP_TIME {
            if let Some(status) = self.process.try_wait().map_err(|error| error.to_string())? {
                if !status.success() {
                    return Err(format!("the server ended with {status}: {}", self.last_words()));
                }
                let folders = std::fs::read_dir(self.data.join("histograms")).into_iter().flatten().flatten();
                return Ok(folders.map(|folder| folder.path()).max());
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("the server does not stop; see {}", self.log.display()))
    }

    fn terminate(&self) {
        if let Some(pid) = Pid::from_raw(self.pid()) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// `serving on http://ADDRESS with N cores, …`, once it is in the log: the address, and `N cores`.
    fn said(&self) -> Result<Option<(SocketAddr, String)>, String> {
        let file = File::open(&self.log).map_err(|error| format!("{}: {error}", self.log.display()))?;
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("serving on http://") {
                let address = rest.split([' ', '/']).next().unwrap_or(rest);
                let address = address.parse().map_err(|_| format!("the server serves on {address}"))?;
                let cores = rest.split_once(" with ").and_then(|(_, rest)| rest.split(',').next()).unwrap_or_default();
                return Ok(Some((address, cores.to_owned())));
            }
        }
        Ok(None)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.terminate();
            let start = Instant::now();
            while start.elapsed() < limits::SERVER_STOP_TIME && matches!(self.process.try_wait(), Ok(None)) {
                std::thread::sleep(PAUSE);
            }
            // Whatever it still does, it does not outlive the run.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
